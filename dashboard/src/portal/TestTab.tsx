// Trying an endpoint: an example of an event type is sent there now, and what comes back is shown.
import { Alert, Button, NativeSelect, Skeleton, Stack, Text, TextInput, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { CodeBlock } from "../parts/CodeBlock";
import { CodeEditor, type CodeProblem } from "../parts/CodeEditor";
import { Trouble } from "../parts/Trouble";
import { api, ask } from "./api";
import { Attempts } from "./Attempts";
import { useRights } from "./context";
import { to } from "./place";
import { attemptsQuery, eventTypesQuery, examplesQuery, type Endpoint } from "./queries";
import { stateOf } from "./words";

export function TestTab({ endpoint }: { endpoint: Endpoint }) {
  const { app, source } = useRights();
  const queries = useQueryClient();
  const types = useQuery({ ...eventTypesQuery(app), enabled: !source });
  const examples = useQuery({ ...examplesQuery(app), enabled: !source });
  const names = (types.data ?? []).map((type) => type.name);
  const [chosen, setChosen] = useState("");
  const type = chosen || (source ? "test.event" : firstOf(endpoint, names, examples.data));
  const [own, setOwn] = useState<string | null>(null);
  const [problems, setProblems] = useState<CodeProblem[]>([]);
  const [sent, setSent] = useState<string | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const example = examples.data?.get(type);
  const text = own ?? (example === undefined ? '{\n  "test": true\n}' : JSON.stringify(example, null, 2));

  if (!source && (types.isPending || examples.isPending)) return <Skeleton h={200} />;
  if (stateOf(endpoint) === "disabled") {
    return <Alert color="blue" variant="light" title="This endpoint is disabled">A test can be sent once it is enabled.</Alert>;
  }
  const send = async () => {
    setError(null);
    const payload = read(text);
    if (typeof payload === "string") return setProblems([{ message: payload }]);
    setBusy(true);
    try {
      const message = await ask(api.POST("/api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example", {
        params: { path: { app_id: app, endpoint_id: endpoint.id } },
        body: { eventType: type, payload, exampleIndex: 0 },
      }));
      setSent(message.id);
      await queries.invalidateQueries({ queryKey: [app, "messages"] });
    } catch (problem) {
      setError(problem as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Stack gap="md" maw={760}>
      <Text c="dimmed">
        Sends an event to this endpoint now, signed like any other, whatever its event types, channels and filter say.
        It appears among the deliveries too.
      </Text>
      {names.length > 0
        ? <NativeSelect label="Event type" size="sm" data={names} value={type} onChange={(event) => { setChosen(event.currentTarget.value); setOwn(null); setProblems([]); }} />
        : <TextInput label="Event type" size="sm" value={chosen} placeholder="test.event" onChange={(event) => setChosen(event.currentTarget.value)} />}
      {own === null
        ? (
          <div>
            <Text fw={500} mb={4}>Payload</Text>
            <CodeBlock language="JSON" text={text} copyLabel="Copy the payload" />
            <Button mt="xs" variant="default" onClick={() => setOwn(text)}>Change the payload</Button>
          </div>
        )
        : <CodeEditor label="Payload" language="json" value={text} problems={problems} minHeight={180} onChange={(next) => { setOwn(next); setProblems([]); }} />}
      {error && <Trouble error={error} />}
      <div><Button size="sm" loading={busy} disabled={type === ""} onClick={() => void send()}>Send the test event</Button></div>
      {sent && <Outcome key={sent} id={sent} endpoint={endpoint.id} />}
    </Stack>
  );
}

/** The type that somebody would try first: one that the endpoint asks for, with an example. */
function firstOf(endpoint: Endpoint, names: string[], examples: Map<string, unknown> | undefined): string {
  const wanted = names.filter((name) => endpoint.eventTypes?.includes(name));
  const likely = wanted.length > 0 ? wanted : names;
  return likely.find((name) => examples?.has(name)) ?? likely[0] ?? "";
}

function read(text: string): Record<string, unknown> | string {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    return "The payload has to be a JSON object: { … }.";
  } catch (problem) {
    return `This is no JSON: ${(problem as Error).message}`;
  }
}

function Outcome({ id, endpoint }: { id: string; endpoint: string }) {
  const { app } = useRights();
  const attempts = useQuery(attemptsQuery(app, id, endpoint));
  const list = attempts.data ?? [];
  return (
    <section aria-live="polite">
      <Title order={2} mb="xs">What came back</Title>
      {attempts.error && <Trouble error={attempts.error} retry={() => void attempts.refetch()} />}
      {list.length === 0 && !attempts.error && <Text c="dimmed">Sent. Waiting for the answer of your server…</Text>}
      {list.length > 0 && <Attempts attempts={list} />}
      <Text mt="xs"><a className="link" href={to(["deliveries", id])}>Open the event</a></Text>
    </section>
  );
}
