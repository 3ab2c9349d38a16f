// What the catalogue knows about a provider: where to click there, and what its signature proves.
import "./facts.css";

import { Alert, Anchor, Group, Stack, Text } from "@mantine/core";
import { IconAlertTriangle, IconExternalLink } from "@tabler/icons-react";

import type { ProviderDetails } from "../api/queries/sources";
import { Markdown } from "./Markdown";
import { State, type Tone } from "./State";

const PROOFS: Record<string, { word: string; tone: Tone; says: string }> = {
  sdk: { word: "Proven", tone: "good", says: "Checked against requests that the provider's own library made or accepted." },
  document: { word: "Proven", tone: "good", says: "Checked against the worked example in the provider's or the standard's document." },
  shared: { word: "Proven", tone: "good", says: "The provider's text names a scheme that is proven for another provider." },
  proven: { word: "Proven", tone: "good", says: "Checked against a signature that somebody else made." },
  declared: { word: "Declared", tone: "warn", says: "Written from the provider's documentation. No signature of theirs was at hand to check it, so watch the first request." },
  own: { word: "Yours", tone: "none", says: "An entry of this gateway's own configuration." },
};

/** How sure it is that the provider's signatures are read rightly; says so in words. */
export function Proof({ status, proof }: { status: string; proof?: string | null }) {
  const known = PROOFS[proof ?? status] ?? PROOFS[status];
  if (!known) return null;
  return <State state={known.word} tone={known.tone} />;
}

/** What the word of `Proof` means, as a sentence. */
const proofSays = (status: string, proof: string | null): string =>
  (PROOFS[proof ?? status] ?? PROOFS[status])?.says ?? "";

/** A provider's guide with what else is worth knowing before its events are trusted. */
export function Guide({ provider }: { provider: ProviderDetails }) {
  return (
    <Stack gap="sm">
      {provider.warning && (
        <Alert color="yellow" variant="light" icon={<IconAlertTriangle size={18} />} title="What its signature does not prove">
          <Text size="sm">Even on a request that passes, {provider.warning}.</Text>
        </Alert>
      )}
      <Markdown text={provider.guide} />
      <Facts provider={provider} />
      <Group gap="md">
        {provider.docsUrl && (
          <Anchor href={provider.docsUrl} target="_blank" rel="noopener noreferrer" size="sm" underline="always">
            {provider.name}'s documentation <IconExternalLink size={14} aria-label="(opens in a new tab)" />
          </Anchor>
        )}
      </Group>
    </Stack>
  );
}

function Facts({ provider }: { provider: ProviderDetails }) {
  const facts: [string, string][] = [["Proof", proofSays(provider.status, provider.proof)]];
  if (provider.retries) facts.push(["Its retries", provider.retries]);
  if (provider.timeoutMs) facts.push(["Waits for an answer", `${provider.timeoutMs / 1000} s`]);
  if (provider.handshakes.length > 0) facts.push(["Handshake", `${provider.handshakes.join(", ")}: answered by the gateway`]);
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <Text component="dt" size="xs" c="dimmed">{name}</Text>
          <Text component="dd" size="sm" m={0} className="foreign">{value}</Text>
        </div>
      ))}
    </dl>
  );
}
