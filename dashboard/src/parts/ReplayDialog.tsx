// Asks where to, replays, shows how far it is, and can be stopped in the middle.
import { Alert, Button, Checkbox, Group, List, Modal, Progress, Select, Stack, Text } from "@mantine/core";
import { IconCircleCheck, IconPlayerStop } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";

import { visible } from "./foreign";
import { counted, fullCount } from "./format";
import { NOTHING_DONE, type ReplayProgress, type ReplayTo } from "./replaying";
import { Trouble } from "./Trouble";
import { useReturnFocus } from "./useReturnFocus";

interface Props {
  title: string;
  /** What is going to be replayed, in a sentence. */
  what: string;
  /** Endpoints that may be chosen; none means that there is nothing to choose. */
  endpoints: string[];
  /** Only deliveries that failed may be chosen. */
  mayOnlyFailed?: boolean;
  run: (to: ReplayTo, tell: (progress: ReplayProgress) => void, signal: AbortSignal) => Promise<void>;
  onClose: () => void;
  onDone?: () => void;
}

export function ReplayDialog({ title, what, endpoints, mayOnlyFailed = false, run, onClose, onDone }: Props) {
  useReturnFocus();
  const [endpoint, setEndpoint] = useState<string | null>(null);
  const [onlyFailed, setOnlyFailed] = useState(false);
  const [progress, setProgress] = useState<ReplayProgress | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const stop = useRef<AbortController | null>(null);
  useEffect(() => () => stop.current?.abort(), []);
  const busy = progress?.state === "counting" || progress?.state === "running";
  const start = async () => {
    stop.current = new AbortController();
    setProblem(null);
    setProgress(NOTHING_DONE);
    try {
      await run({ ...(endpoint && { endpoint }), ...(onlyFailed && { onlyFailed }) }, setProgress, stop.current.signal);
    } catch (error) {
      if (!stop.current.signal.aborted) setProblem(error);
      setProgress((before) => before && { ...before, state: "stopped" });
    }
    onDone?.();
  };
  return (
    <Modal opened onClose={() => { if (!busy) onClose(); }} title={<Text fw={600} size="md" span>{title}</Text>} closeOnClickOutside={false} closeOnEscape={!busy} withCloseButton={!busy}>
      <Stack>
        {!progress && (
          <>
            <Text>{what} Receivers see the same <span className="mono">webhook-id</span> again, so that a handler can tell a repeat.</Text>
            {endpoints.length > 0 && (
              <Select label="To" data={endpoints} value={endpoint} onChange={setEndpoint} clearable searchable placeholder="Every endpoint it was planned for" comboboxProps={{ withinPortal: true }} />
            )}
            {mayOnlyFailed && <Checkbox label="Only deliveries that failed" checked={onlyFailed} onChange={(change) => setOnlyFailed(change.currentTarget.checked)} />}
            <Group justify="flex-end" gap="xs">
              <Button variant="default" onClick={onClose}>Cancel</Button>
              <Button data-autofocus onClick={() => void start()}>Replay</Button>
            </Group>
          </>
        )}
        {progress && <Running progress={progress} />}
        {problem !== null && <Trouble error={problem} />}
        {progress && (
          <Group justify="flex-end">
            {busy
              ? <Button variant="default" leftSection={<IconPlayerStop size={15} />} onClick={() => stop.current?.abort()}>Stop</Button>
              : <Button data-autofocus onClick={onClose}>Close</Button>}
          </Group>
        )}
      </Stack>
    </Modal>
  );
}

function Running({ progress }: { progress: ReplayProgress }) {
  const { total, done, state } = progress;
  const share = total ? (done / total) * 100 : total === 0 ? 100 : 0;
  const words = state === "counting" ? "Counting the events…"
    : state === "running" ? `${fullCount(done)} of ${counted(total ?? 0, "event")}`
    : state === "stopped" ? `Stopped after ${fullCount(done)} of ${total === null ? "the events" : counted(total, "event")}. What was started stays started.`
    : total === 0 ? "Nothing fits: no event was replayed." : `Done: ${counted(done, "event")}.`;
  return (
    <Stack gap="xs">
      <Progress.Root size="lg">
        <Progress.Section value={share} aria-label="Replay" animated={state === "running"} color={state === "stopped" ? "yellow" : state === "finished" ? "green" : "ink"} />
      </Progress.Root>
      <Text role="status" fw={500}>{words}</Text>
      <List size="sm">
        <List.Item>{counted(progress.started, "delivery", "deliveries")} started again</List.Item>
        {progress.madeDue > 0 && <List.Item>{counted(progress.madeDue, "delivery", "deliveries")} pending already, due now</List.Item>}
        {progress.skipped > 0 && <List.Item>{counted(progress.skipped, "delivery", "deliveries")} left out, because the endpoint is disabled or gone</List.Item>}
      </List>
      {progress.failed.length > 0 && (
        <Alert color="red" title={`${counted(progress.failed.length, "event")} could not be replayed`}>
          <Stack gap={4} mah={180} style={{ overflow: "auto" }} tabIndex={0}>
            {progress.failed.map(({ id, why }) => <Text key={id} size="xs" className="foreign"><span className="mono">{id}</span> {visible(why)}</Text>)}
          </Stack>
        </Alert>
      )}
      {state === "finished" && progress.failed.length === 0 && progress.started > 0 && (
        <Text size="sm" c="dimmed"><IconCircleCheck size={15} style={{ verticalAlign: "-3px" }} /> Their attempts appear in the list as they happen.</Text>
      )}
    </Stack>
  );
}
