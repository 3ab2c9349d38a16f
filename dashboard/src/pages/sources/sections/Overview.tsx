import { Button, Card, Group, SimpleGrid, Stack, Table, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";

import { type Source, addEndpoint, newestEventsQuery, newestRefusedQuery, sourceEndpointsQuery } from "../../../api/queries/sources";
import { useSelf } from "../../../api/queries/common";
import { State } from "../../../parts/State";
import { Time } from "../../../parts/Time";
import { Trouble } from "../../../parts/Trouble";
import { reasonWord } from "../../../parts/VerdictWords";
import { notify } from "../../../parts/notify";
import { ReceivingUrl } from "../ReceivingUrl";

const RECENT = 8;

/** The URL, where events go, and what came in lately. */
export function Overview({ source }: { source: Source }) {
  return (
    <Stack>
      <Card component="section" aria-label="Receiving URL">
        <Title order={2} size="h3" mb="xs">Receiving URL</Title>
        <ReceivingUrl url={source.receivingUrl} />
      </Card>
      <Endpoints source={source} />
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Events source={source} />
        <Refusals source={source} />
      </SimpleGrid>
    </Stack>
  );
}

function Endpoints({ source }: { source: Source }) {
  const me = useSelf();
  const endpoints = useQuery(sourceEndpointsQuery(source.id));
  const rows = endpoints.data?.filter((endpoint) => endpoint.state !== "removed") ?? [];
  return (
    <Card component="section" aria-label="Endpoints">
      <Title order={2} size="h3" mb="xs">Endpoints</Title>
      {endpoints.error && <Trouble error={endpoints.error} retry={() => void endpoints.refetch()} />}
      {endpoints.data && rows.length === 0 && (
        <Text c="dimmed" mb="sm">Events are verified and kept, and go nowhere yet. An endpoint is your application's URL: every event of this source is delivered to it, and tried again until it answers.</Text>
      )}
      {rows.length > 0 && (
        <Table.ScrollContainer minWidth={0} type="native" mb="sm">
          <Table aria-label="Endpoints">
            <Table.Tbody>
              {rows.map((endpoint) => (
                <Table.Tr key={endpoint.id}>
                  <Table.Td>
                    <Link className="link" to="/endpoints/$endpointId" params={{ endpointId: endpoint.id }}><span className="foreign">{endpoint.uid}</span></Link>
                    <Text size="xs" c="dimmed" className="foreign mono">{endpoint.url}</Text>
                  </Table.Td>
                  <Table.Td ta="right"><State state={endpoint.state} /></Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {me.changes && !source.removed && source.origin === "api" && <AddEndpoint source={source} />}
    </Card>
  );
}

function AddEndpoint({ source }: { source: Source }) {
  const queries = useQueryClient();
  const [url, setUrl] = useState("");
  const add = useMutation({
    mutationFn: () => addEndpoint(source.id, url.trim()),
    onSuccess: () => {
      setUrl("");
      notify.done("The endpoint is there: events from now on go to it.");
      void queries.invalidateQueries({ queryKey: ["endpoints"] });
      void queries.invalidateQueries({ queryKey: ["sources"] });
    },
  });
  function submit(event: FormEvent) {
    event.preventDefault();
    if (!add.isPending) add.mutate();
  }
  return (
    <form onSubmit={submit}>
      <Stack gap="xs">
        <Group gap="xs" align="flex-end">
          <TextInput label="Add an endpoint" placeholder="https://app.example.com/webhooks" type="url" inputMode="url" required autoComplete="off"
            style={{ flex: "1 1 16rem" }} value={url} onChange={(change) => setUrl(change.currentTarget.value)} />
          <Button type="submit" variant="default" loading={add.isPending}>Add</Button>
        </Group>
        {add.error && <Trouble error={add.error} />}
      </Stack>
    </form>
  );
}

function Events({ source }: { source: Source }) {
  const events = useQuery(newestEventsQuery(source.id, RECENT));
  return (
    <Card component="section" aria-label="Newest events">
      <Group justify="space-between" mb="xs">
        <Title order={2} size="h3">Newest events</Title>
        <Link className="link" to="/events" search={{ source: source.id }}>All events</Link>
      </Group>
      {events.error && <Trouble error={events.error} retry={() => void events.refetch()} />}
      {events.data?.length === 0 && <Text c="dimmed">None yet. Send one from the provider, or under Test.</Text>}
      <Stack gap={0}>
        {events.data?.map((event) => (
          <Group key={event.id} justify="space-between" wrap="nowrap" py={5} gap="sm">
            <div style={{ minWidth: 0 }}>
              <Link className="link" to="/events/$eventId" params={{ eventId: event.id }}>
                <span className="foreign">{event.eventType ?? "without a type"}</span>
              </Link>
              <Text size="xs" c="dimmed"><Time at={event.receivedAt} show="ago" quiet /></Text>
            </div>
            <Group gap={4} wrap="nowrap">
              {event.unverified && <State state="unverified" />}
              <State state={event.disposition !== "accepted" ? event.disposition : event.state === "none" ? "kept" : event.state} />
            </Group>
          </Group>
        ))}
      </Stack>
    </Card>
  );
}

function Refusals({ source }: { source: Source }) {
  const refused = useQuery(newestRefusedQuery(source.id, RECENT));
  return (
    <Card component="section" aria-label="Refused lately">
      <Group justify="space-between" mb="xs">
        <Title order={2} size="h3">Refused lately</Title>
        <Link className="link" to="/quarantine" search={{ source: source.id }}>Quarantine</Link>
      </Group>
      {refused.error && <Trouble error={refused.error} retry={() => void refused.refetch()} />}
      {refused.data?.length === 0 && <Text c="dimmed">Nothing. What cannot be verified would be kept here, and could be let out once the cause is found.</Text>}
      <Stack gap={0}>
        {refused.data?.map((request) => (
          <Group key={request.number} justify="space-between" wrap="nowrap" py={5} gap="sm">
            <Link className="link" to="/quarantine/$number" params={{ number: String(request.number) }}>{reasonWord(request.code)}</Link>
            <Text size="xs" c="dimmed"><Time at={request.receivedAt} show="ago" quiet /></Text>
          </Group>
        ))}
      </Stack>
    </Card>
  );
}
