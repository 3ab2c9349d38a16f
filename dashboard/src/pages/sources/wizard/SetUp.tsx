import { Alert, Button, Card, Group, SimpleGrid, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { type ProviderDetails, addEndpoint, createSource, sourceListQuery } from "../../../api/queries/sources";
import { Guide, Proof } from "../../../parts/Guide";
import { Trouble } from "../../../parts/Trouble";
import { notify } from "../../../parts/notify";
import { CredentialFields, type Typed, credentialsOf, lacking } from "../CredentialFields";

interface Props {
  provider: ProviderDetails;
  onOther: () => void;
  onMade: (source: string) => void;
}

/** Name, credentials if they are at hand, and where events go; makes the source. */
export function SetUp({ provider, onOther, onMade }: Props) {
  const queries = useQueryClient();
  const sources = useQuery(sourceListQuery);
  const [name, setName] = useState(provider.slug === "none" ? "" : provider.name);
  const [typed, setTyped] = useState<Typed>({});
  const [forward, setForward] = useState("");
  const missing = lacking(provider, typed);

  const make = useMutation({
    mutationFn: async () => {
      const source = await createSource(provider.slug, name.trim(), credentialsOf(provider, typed));
      if (forward.trim() !== "") {
        // The source is there already: what is wrong with the endpoint is said, and the way goes on.
        await addEndpoint(source.id, forward.trim()).catch((error: unknown) => notify.failed(error));
      }
      return source;
    },
    onSuccess: (source) => {
      void queries.invalidateQueries({ queryKey: ["sources"] });
      onMade(source.id);
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    if (!make.isPending) make.mutate();
  }

  const taken = sources.data?.some((source) => !source.removed && (source.name ?? source.uid) === name.trim());
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
      <Card component="form" onSubmit={submit}>
        <Stack>
          <Group justify="space-between" gap="xs">
            <Group gap="sm" wrap="nowrap">
              <span className="provider-mark" aria-hidden>{provider.name.slice(0, 1).toUpperCase()}</span>
              <Title order={2} size="h3" className="foreign">{provider.name}</Title>
              <Proof status={provider.status} proof={provider.proof} />
            </Group>
            <Button variant="subtle" onClick={onOther}>Another provider</Button>
          </Group>
          <TextInput label="Name" description={taken ? "Another source is called so too; they are told apart by their URLs." : "What you want to see in lists."}
            required maxLength={256} autoFocus value={name} onChange={(change) => setName(change.currentTarget.value)} />
          {provider.credentials.length > 0 && (
            <CredentialFields provider={provider} typed={typed} onTyped={setTyped} withParameters />
          )}
          {provider.credentials.length === 0 && Object.keys(provider.parameters).length > 0 && (
            <CredentialFields provider={provider} typed={typed} onTyped={setTyped} withParameters />
          )}
          {missing.length > 0 && (
            <Text size="xs" c="dimmed">
              Many providers show a secret only after the URL is registered. Leave it empty then: you get the URL now and paste
              the secret in the next step. Until it is there, requests are kept in quarantine, and nothing is lost.
            </Text>
          )}
          <TextInput label="Forward to (if you know already)" placeholder="https://app.example.com/webhooks" type="url" inputMode="url"
            description="Your application's URL. Events are kept without it too, and more endpoints can be added any time."
            autoComplete="off" value={forward} onChange={(change) => setForward(change.currentTarget.value)} />
          {make.error && <Trouble error={make.error} />}
          <Group>
            <Button type="submit" size="sm" loading={make.isPending}>Create the source</Button>
            <Text size="xs" c="dimmed">Next: the URL to register at {provider.name}.</Text>
          </Group>
        </Stack>
      </Card>
      <Card component="section" aria-label="Guide">
        <Title order={2} size="h3" mb="sm">Where to click</Title>
        {provider.status === "declared" && (
          <Alert color="yellow" variant="light" mb="sm" title="Declared, not proven">
            <Text size="sm">This entry was written from {provider.name}'s documentation. Send a test first and look at what is found.</Text>
          </Alert>
        )}
        <Guide provider={provider} />
      </Card>
    </SimpleGrid>
  );
}
