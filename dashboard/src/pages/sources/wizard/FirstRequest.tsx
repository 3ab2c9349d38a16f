import { Alert, Card, Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { IconCircleCheck } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { type LetOut, type ProviderDetails, type Source, newestEventsQuery, newestRefusedQuery, refusedQuery } from "../../../api/queries/sources";
import { Guide } from "../../../parts/Guide";
import { Time } from "../../../parts/Time";
import { Trouble } from "../../../parts/Trouble";
import { Diagnosis, Steps, passesNow } from "../../../parts/Verdict";
import { reasonWord, repairOf, repairedHere } from "../../../parts/VerdictWords";
import { CapturedSecrets, secretWaits } from "../CapturedSecrets";
import { LinkButton } from "../LinkButton";
import { ReceivingUrl } from "../ReceivingUrl";
import { RepairForm } from "../RepairForm";
import { RetryButton } from "../RetryButton";

const EVERY_MS = 1_500;

interface Props { source: Source; provider: ProviderDetails }

/** The URL to register, and what came in since: the first genuine event, or what is wrong. */
export function FirstRequest({ source, provider }: Props) {
  const events = useQuery({ ...newestEventsQuery(source.id, 1), refetchInterval: EVERY_MS });
  const refused = useQuery({ ...newestRefusedQuery(source.id, 1), refetchInterval: EVERY_MS });
  const event = events.data?.[0];
  const problem = refused.data?.[0];
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
      <Stack>
        <Card component="section" aria-label="Receiving URL">
          <Title order={2} size="h3" mb="xs">Give {provider.name} this URL</Title>
          <ReceivingUrl url={source.receivingUrl} />
        </Card>
        {events.error && <Trouble error={events.error} />}
        {!problem && <Unset source={source} provider={provider} />}
        <Card component="section" aria-label="First request" aria-live="polite">
          {event ? <Arrived source={source} event={event} /> : <Waiting source={source} provider={provider} refused={problem !== undefined} />}
        </Card>
        {secretWaits(source) && <CapturedSecrets source={source} />}
        {problem && (!event || problem.receivedAt > event.receivedAt) && (
          <Refusal key={problem.number} number={problem.number} source={source} provider={provider} />
        )}
      </Stack>
      <Card component="section" aria-label="Guide">
        <Title order={2} size="h3" mb="sm">Where to click</Title>
        <Guide provider={provider} />
      </Card>
    </SimpleGrid>
  );
}

function Unset({ source, provider }: Props) {
  const [saved, setSaved] = useState(false);
  const known = new Map(source.credentials?.map((credential) => [credential.name, credential.set]));
  const wanted = provider.credentials.filter((credential) => !credential.optional && known.get(credential.name) === false);
  if (wanted.length === 0 || saved) {
    return saved ? <Alert color="green" variant="light" icon={<IconCircleCheck size={18} />} title="The secret is set" role="status" /> : null;
  }
  return (
    <Card component="section" aria-label="Secret">
      <Title order={2} size="h3" mb={4}>Then paste what {provider.name} shows</Title>
      <Text size="sm" c="dimmed" mb="sm">Nothing can be verified before it is here.</Text>
      <RepairForm sourceId={source.id} provider={provider} onDone={() => setSaved(true)} />
    </Card>
  );
}

function Waiting({ source, provider, refused }: Props & { refused: boolean }) {
  const shaken = provider.handshakes.length > 0 && !secretWaits(source) && source.credentials?.some((credential) => credential.set);
  return (
    <Group wrap="nowrap" gap="sm">
      <span className="waiting-dot" aria-hidden />
      <div>
        <Text fw={600}>{refused ? "Waiting for a request that passes" : "Waiting for the first request"}</Text>
        <Text size="sm" c="dimmed">Send a test from {provider.name}'s settings, or let something happen there. This page sees it by itself.</Text>
        {shaken && <Text size="sm">A secret is in place, and handshakes are answered.</Text>}
      </div>
    </Group>
  );
}

function Arrived({ source, event }: { source: Source; event: { id: string; eventType: string | null; receivedAt: string; unverified: string | null; released: unknown } }) {
  const genuine = event.unverified === null;
  return (
    <Stack gap="sm">
      <Group wrap="nowrap" gap="sm" align="flex-start">
        <IconCircleCheck size={26} color="var(--mantine-color-green-6)" aria-hidden />
        <div>
          <Text fw={600} size="lg">{genuine ? "The first event is here, and it is genuine" : "The first event is here, unverified"}</Text>
          <Text size="sm" c="dimmed">
            {event.eventType && <><span className="foreign mono">{event.eventType}</span>, </>}<Time at={event.receivedAt} />
          </Text>
        </div>
      </Group>
      {!genuine && <Text size="sm">It was accepted without proof ({reasonWord(event.unverified ?? "")}). See that the next one verifies.</Text>}
      <Group>
        <LinkButton to="/events/$eventId" params={{ eventId: event.id }} size="sm">See the event</LinkButton>
        <LinkButton to="/sources/$sourceId" params={{ sourceId: source.id }} variant="default" size="sm">Go to the source</LinkButton>
      </Group>
      {source.endpoints.length === 0 && (
        <Text size="sm">It is kept and goes nowhere yet: <Link className="link" to="/sources/$sourceId" params={{ sourceId: source.id }}>add an endpoint</Link> to have it delivered.</Text>
      )}
    </Stack>
  );
}

/** What is wrong with a refused request, and the form that repairs it. */
function Refusal({ number, source, provider }: Props & { number: number }) {
  const refused = useQuery(refusedQuery(number));
  const [letOut, setLetOut] = useState<LetOut | null>(null);
  if (!refused.data) return null;
  const { code, verdict, receivedAt } = refused.data;
  const explanation = verdict?.explanation ?? null;
  const repair = repairOf(explanation?.likely_cause ?? null, code, provider.slug);
  const passes = passesNow(explanation);
  return (
    <Card component="section" aria-label="A refused request">
      <Stack>
        <Group justify="space-between">
          <Title order={2} size="h3">A request was refused</Title>
          <Text size="sm" c="dimmed"><Time at={receivedAt} /></Text>
        </Group>
        <Diagnosis code={code} explanation={explanation} />
        {repairedHere(repair) && !passes && (
          <RepairForm sourceId={source.id} provider={provider} number={number}
            onDone={(told) => { setLetOut(told); void refused.refetch(); }} />
        )}
        {letOut?.outcome === "absent" && <Text size="sm">Somebody else has let it out already.</Text>}
        <Group>
          {(passes || !repairedHere(repair)) && <RetryButton number={number} onDone={() => void refused.refetch()} />}
          <LinkButton to="/quarantine/$number" params={{ number: String(number) }} variant="default">See the whole request</LinkButton>
        </Group>
        {explanation && (
          <details>
            <summary>What was checked</summary>
            <Stack mt="sm"><Steps explanation={explanation} /></Stack>
          </details>
        )}
      </Stack>
    </Card>
  );
}
