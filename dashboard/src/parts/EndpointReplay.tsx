// Sending many events again to one endpoint: what failed, what never came, or what was sent before.
import { Alert, Button, Group, Radio, Select, SimpleGrid, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { useState } from "react";

import { Trouble } from "./Trouble";

export type ReplayKind = "recover" | "replay-missing" | "bulk-replay";

/** What is asked for; times as the API takes them. */
export interface ReplayAsked {
  kind: ReplayKind;
  since: string;
  until?: string;
  eventTypes?: string[];
  channel?: string;
  tag?: string;
  status?: number;
}

export interface EndpointReplayProps {
  begin: (asked: ReplayAsked) => Promise<unknown>;
  /** The kinds that may be chosen; all if absent. */
  kinds?: readonly ReplayKind[];
  /** Names of event types to choose from. */
  types?: string[];
  /** Why nothing can be sent. */
  locked?: string | undefined;
}

/** What each kind is called, also where its progress is shown. */
export const REPLAY_WORDS: Record<ReplayKind, { label: string; text: string; doing: string }> = {
  "recover": {
    label: "Recover what failed", doing: "Recovering failed deliveries",
    text: "Every event whose delivery here has failed for good since then is delivered again.",
  },
  "replay-missing": {
    label: "Send what is missing", doing: "Sending missing events",
    text: "Every event that this endpoint would take and never got, because it was not there, was disabled, or had another filter.",
  },
  "bulk-replay": {
    label: "Replay what was sent", doing: "Replaying events",
    text: "Events that were sent here before are sent again, delivered ones too. The receiver gets them twice, with the same webhook-id.",
  },
};

const SINCE = [
  { value: "1", label: "1 hour ago" }, { value: "6", label: "6 hours ago" }, { value: "24", label: "a day ago" },
  { value: "72", label: "3 days ago" }, { value: "168", label: "a week ago" }, { value: "720", label: "30 days ago" },
  { value: "own", label: "a moment of my own" },
];
const STATES = [{ value: "0", label: "delivered" }, { value: "2", label: "failed" }, { value: "1", label: "waiting" }];
const HOUR_MS = 3_600_000;

/** The value of a field for date and time, in the reader's zone. */
function fieldTime(at: number): string {
  return new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** Asks what to send again and since when, and begins it. */
export function EndpointReplay({ begin, kinds = ["recover", "replay-missing", "bulk-replay"], types = [], locked }: EndpointReplayProps) {
  const [kind, setKind] = useState<ReplayKind>(kinds[0] ?? "recover");
  const [since, setSince] = useState("24");
  const [from, setFrom] = useState(() => fieldTime(Date.now() - 24 * HOUR_MS));
  const [until, setUntil] = useState("");
  const [chosen, setChosen] = useState<string[]>([]);
  const [channel, setChannel] = useState("");
  const [tag, setTag] = useState("");
  const [status, setStatus] = useState<string | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const go = async () => {
    setBusy(true);
    setError(null);
    const at = since === "own" ? new Date(from) : new Date(Date.now() - Number(since) * HOUR_MS);
    try {
      if (Number.isNaN(at.getTime())) throw new RangeError("Say since when: the date and the time.");
      await begin({
        kind, since: at.toISOString(),
        ...(until !== "" && { until: new Date(until).toISOString() }),
        ...(kind === "bulk-replay" && {
          ...(chosen.length > 0 && { eventTypes: chosen }),
          ...(channel !== "" && { channel }),
          ...(tag !== "" && { tag }),
          ...(status !== null && { status: Number(status) }),
        }),
      });
    } catch (problem) {
      setError(problem as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Stack>
      {locked && <Alert color="yellow" variant="light" title="Nothing can be sent now"><Text>{locked}</Text></Alert>}
      <Radio.Group label="What to send again" value={kind} onChange={(value) => setKind(value as ReplayKind)}>
        <Stack gap="xs" mt={6}>
          {kinds.map((one) => <Radio key={one} value={one} label={REPLAY_WORDS[one].label} description={REPLAY_WORDS[one].text} />)}
        </Stack>
      </Radio.Group>
      <SimpleGrid cols={{ base: 1, sm: 3 }} spacing="sm">
        <Select label="Received since" data={SINCE} value={since} allowDeselect={false} onChange={(value) => setSince(value ?? "24")} />
        {since === "own" && (
          <TextInput label="Since" type="datetime-local" value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
        )}
        <TextInput label="Until" type="datetime-local" description="Until now if empty" inputWrapperOrder={["label", "input", "description"]}
          value={until} onChange={(event) => setUntil(event.currentTarget.value)} />
      </SimpleGrid>
      {kind === "bulk-replay" && (
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
          <TagsInput label="Event types" placeholder="All" data={types} value={chosen} onChange={setChosen} clearable />
          <Select label="State of the delivery" placeholder="Any" data={STATES} value={status} onChange={setStatus} clearable />
          <TextInput label="Channel" placeholder="Any" value={channel} onChange={(event) => setChannel(event.currentTarget.value)} />
          <TextInput label="Tag" placeholder="Any" value={tag} onChange={(event) => setTag(event.currentTarget.value)} />
        </SimpleGrid>
      )}
      {error && <Trouble error={error} />}
      <Group><Button loading={busy} disabled={locked !== undefined} onClick={() => void go()}>{REPLAY_WORDS[kind].label}</Button></Group>
    </Stack>
  );
}
