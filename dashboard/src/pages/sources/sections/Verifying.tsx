import { Alert, Button, Card, Group, Radio, Select, Stack, Text, Title } from "@mantine/core";
import { IconAlertTriangle, IconRefresh } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { type ProviderDetails, type Source, type Verification, changeSource, rotateUrl, setCredentials } from "../../../api/queries/sources";
import { confirm } from "../../../parts/Confirm";
import { Guide } from "../../../parts/Guide";
import { State } from "../../../parts/State";
import { Trouble } from "../../../parts/Trouble";
import { notify } from "../../../parts/notify";
import { CapturedSecrets, secretWaits } from "../CapturedSecrets";
import { CredentialFields, type Typed, credentialsOf } from "../CredentialFields";
import { ReceivingUrl } from "../ReceivingUrl";

interface Props { source: Source; provider: ProviderDetails | undefined; locked: boolean }

/** What proves a request genuine: secrets, what becomes of the rest, and the URL itself. */
export function Verifying({ source, provider, locked }: Props) {
  return (
    <Stack>
      {provider && provider.credentials.length > 0 && <Secrets source={source} provider={provider} locked={locked} />}
      {provider && (provider.handshakes.length > 0 || secretWaits(source)) && !source.removed && <CapturedSecrets source={source} />}
      {source.provider !== "none" && <Enforce source={source} locked={locked} />}
      <UrlToken source={source} locked={locked} />
      {provider && (
        <Card component="section" aria-label="Guide">
          <Title order={2} size="h3" mb="sm">The guide for {provider.name}</Title>
          <Guide provider={provider} />
        </Card>
      )}
    </Stack>
  );
}

const KEEP = [
  { value: "86400000", label: "24 hours more, beside the new one" },
  { value: "3600000", label: "One hour more, beside the new one" },
  { value: "604800000", label: "Seven days more, beside the new one" },
  { value: "0", label: "Not any more, from this moment" },
];

function Secrets({ source, provider, locked }: { source: Source; provider: ProviderDetails; locked: boolean }) {
  const queries = useQueryClient();
  const [typed, setTyped] = useState<Typed>({});
  const [keep, setKeep] = useState("86400000");
  const empty = Object.values(typed).every((value) => value === "");
  const save = useMutation({
    mutationFn: () => setCredentials(source.id, credentialsOf(provider, typed), Number(keep)),
    onSuccess: () => {
      setTyped({});
      notify.done("The new secret verifies from now on.");
      void queries.invalidateQueries({ queryKey: ["sources"] });
    },
  });
  function submit(event: FormEvent) {
    event.preventDefault();
    if (!save.isPending && !empty) save.mutate();
  }
  return (
    <Card component="section" aria-label="Secrets">
      <Title order={2} size="h3" mb={4}>Secrets</Title>
      <Text c="dimmed" mb="sm">What is set is not shown, only replaced. Set the new one here first, then at {provider.name}: both verify meanwhile.</Text>
      {source.credentials && source.credentials.length > 0 && (
        <Stack gap={6} mb="sm" component="ul" className="plain-list" p={0}>
          {source.credentials.map((credential) => (
            <Group key={credential.name} component="li" gap="xs">
              <Text span>{provider.credentials.find((known) => known.name === credential.name)?.label ?? credential.name}</Text>
              <State state={credential.set ? ((credential.count ?? 1) > 1 ? `${credential.count} are valid` : "set") : "not set"} tone={credential.set ? "good" : "warn"} />
            </Group>
          ))}
        </Stack>
      )}
      {!locked && (
        <form onSubmit={submit}>
          <Stack gap="sm" maw={560}>
            <CredentialFields provider={provider} typed={typed} onTyped={setTyped} withParameters />
            <Select label="The secret before it verifies" data={KEEP} value={keep} allowDeselect={false} onChange={(value) => setKeep(value ?? "0")} />
            {save.error && <Trouble error={save.error} />}
            <Group><Button type="submit" disabled={empty} loading={save.isPending}>Set the new secret</Button></Group>
          </Stack>
        </form>
      )}
    </Card>
  );
}

function Enforce({ source, locked }: { source: Source; locked: boolean }) {
  const queries = useQueryClient();
  const change = useMutation({
    mutationFn: (verification: Verification) => changeSource(source.id, { verification }),
    onSuccess: () => { notify.done("The change is in force."); void queries.invalidateQueries({ queryKey: ["sources"] }); },
    onError: (error) => notify.failed(error),
  });
  async function choose(to: string) {
    if (to === source.verification) return;
    if (to === "observe") {
      const yes = await confirm({
        title: "Accept requests that nothing proves?", confirmLabel: "Observe only", danger: true,
        message: "Anybody who knows the URL can then send events, and your endpoints get them. They are marked as unverified. This is for trying out a new source, and for nothing else.",
      });
      if (!yes) return;
    }
    change.mutate(to as Verification);
  }
  return (
    <Card component="section" aria-label="What cannot be verified">
      <Title order={2} size="h3" mb="xs">What cannot be verified</Title>
      {source.verification === "observe" && (
        <Alert color="red" variant="light" mb="sm" icon={<IconAlertTriangle size={18} />} title="This source proves nothing about who sends">
          Put “refuse” back as soon as the source is set up.
        </Alert>
      )}
      <Radio.Group value={source.verification} onChange={(to) => void choose(to)} aria-label="What becomes of requests that cannot be verified">
        <Stack gap="xs">
          <Radio value="enforce" disabled={locked || change.isPending} label="Refuse it and keep it in quarantine" description="The sender gets an error; with the cause found, it can be let out." />
          <Radio value="observe" disabled={locked || change.isPending} label="Accept it, marked as unverified" description="For trying out a new source only." />
        </Stack>
      </Radio.Group>
    </Card>
  );
}

function UrlToken({ source, locked }: { source: Source; locked: boolean }) {
  const queries = useQueryClient();
  const rotate = useMutation({
    mutationFn: () => rotateUrl(source.id),
    onSuccess: () => { notify.done("The source has a new URL; the old one receives for 48 hours more."); void queries.invalidateQueries({ queryKey: ["sources"] }); },
    onError: (error) => notify.failed(error),
  });
  async function ask() {
    const yes = await confirm({
      title: "Give this source a new receiving URL?", confirmLabel: "Make a new URL",
      message: "The old URL receives for another 48 hours. Register the new one at the provider in that time; after that the old one answers 404.",
    });
    if (yes) rotate.mutate();
  }
  if (source.removed) return null;
  return (
    <Card component="section" aria-label="Receiving URL">
      <Title order={2} size="h3" mb="xs">Receiving URL</Title>
      <Stack gap="sm">
        <ReceivingUrl url={source.receivingUrl} />
        {rotate.data && <Text role="status">This is the new one. Register it at the provider within 48 hours.</Text>}
        {!locked && (
          <Group>
            <Button variant="default" leftSection={<IconRefresh size={15} aria-hidden />} loading={rotate.isPending} onClick={() => void ask()}>Make a new URL</Button>
            <Text size="xs" c="dimmed">When the URL has become known to somebody who should not know it.</Text>
          </Group>
        )}
      </Stack>
    </Card>
  );
}
