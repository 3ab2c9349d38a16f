// Sending an example to one endpoint, and watching what its receiver answers.
import { Alert, Autocomplete, Button, Group, Loader, Modal, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";

import { answer, api, ApiProblem } from "../../api/client";
import type { Endpoint, Owner } from "../../api/queries/endpoints";
import { eventTypeQuery, eventTypesQuery, exampleOf } from "../../api/queries/event-types";
import { CodeEditor, type CodeProblem } from "../../parts/CodeEditor";
import { readJson } from "../../parts/CodeEditorPlaces";
import { duration } from "../../parts/format";
import { Trouble } from "../../parts/Trouble";
import { useReturnFocus } from "../../parts/useReturnFocus";
import { answerOf } from "./Attempts";

const FALLBACK = '{\n  "hello": "from the dashboard"\n}';

interface Props {
  endpoint: Endpoint;
  owner: Owner;
  close: () => void;
}

/** Chooses a type and a payload, sends them, and shows the answer. */
export function SendTest({ endpoint, owner, close }: Props) {
  useReturnFocus();
  const types = useQuery(eventTypesQuery);
  const known = (types.data ?? []).filter((type) => !type.archived).map((type) => type.name);
  const wanted = endpoint.eventTypes ?? [];
  const [type, setType] = useState("");
  const [payload, setPayload] = useState(FALLBACK);
  const [touched, setTouched] = useState(false);
  const [problems, setProblems] = useState<CodeProblem[]>([]);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const [sent, setSent] = useState<string | null>(null);

  const details = useQuery({ ...eventTypeQuery(type), enabled: owner.kind === "application" && known.includes(type), retry: false });
  const example = details.data ? exampleOf(details.data) : null;
  useEffect(() => {
    if (!touched && example !== null) setPayload(JSON.stringify(example, null, 2));
  }, [example, touched]);

  const send = async () => {
    setError(null);
    setProblems([]);
    const read = readJson(payload);
    if ("problem" in read) return setProblems([read.problem]);
    if (typeof read.value !== "object" || read.value === null || Array.isArray(read.value)) {
      return setProblems([{ message: "A payload is a JSON object: { … }.", line: 1 }]);
    }
    setBusy(true);
    try {
      const message = await answer(api.POST("/api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example", {
        params: { path: { app_id: owner.id, endpoint_id: endpoint.id } },
        body: { eventType: type.trim(), exampleIndex: null, payload: read.value as Record<string, unknown> },
      }));
      setSent(message.id);
    } catch (problem) {
      const flaw = problem instanceof ApiProblem ? problem.flaws[0] : undefined;
      setError(flaw && flaw.place === "eventType" ? new Error(`The event type ${flaw.text}.`) : (problem as Error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <Modal opened onClose={close} size="lg" title={<Text fw={600} size="md" span>Send a test event</Text>}>
      <Stack>
        <Text c="dimmed">It goes to this endpoint only, whatever its event types and filter say, signed like any other delivery.</Text>
        <Autocomplete label="Event type" placeholder="invoice.paid" required data-autofocus value={type} onChange={setType}
          data={[...new Set([...wanted, ...known])]} />
        <CodeEditor label="Payload" language="json" value={payload} problems={problems} minHeight={140} maxHeight={320}
          onChange={(text) => { setPayload(text); setTouched(true); setProblems([]); }} />
        {error && <Trouble error={error} />}
        {sent && <Answer eventId={sent} endpoint={endpoint} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close}>Close</Button>
          <Button loading={busy} disabled={type.trim() === ""} onClick={() => void send()}>{sent ? "Send another" : "Send"}</Button>
        </Group>
      </Stack>
    </Modal>
  );
}

/** Waits for the attempt and tells how it ended. */
function Answer({ eventId, endpoint }: { eventId: string; endpoint: Endpoint }) {
  const attempts = useQuery({
    queryKey: ["attempts", "of", eventId],
    queryFn: () => answer(api.GET("/api/v1/becket/attempt", { params: { query: { event: eventId, limit: 1 } } })),
    refetchInterval: (query) => (query.state.data?.data.length ? false : 600),
  });
  const attempt = attempts.data?.data[0];
  const link = <Link to="/events/$eventId" params={{ eventId }} className="link">Look at the event</Link>;
  if (!attempt) {
    return (
      <Alert color="blue" variant="light" title={endpoint.state === "paused" ? "Sent; the endpoint is paused" : "Sent; waiting for the answer"} role="status">
        <Group gap="xs">
          {endpoint.state === "paused" ? <Text>It is delivered when the endpoint is resumed.</Text> : <Loader size="xs" aria-label="Waiting" />}
          {link}
        </Group>
      </Alert>
    );
  }
  return (
    <Alert color={attempt.succeeded ? "green" : "red"} variant="light" role="status" title={attempt.succeeded ? "Delivered" : "The attempt failed"}>
      <Text>{answerOf(attempt)} after {duration(attempt.durationMs)}. {link}</Text>
      {!attempt.succeeded && <Text mt={4}>It is tried again by the endpoint's schedule.</Text>}
    </Alert>
  );
}
