// How far a task in the background is: recover, replay of what is missing, bulk replay, counts.
import { Alert, Button, Group, Paper, Progress, Stack, Text } from "@mantine/core";
import { IconCheck, IconX } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";

import { count } from "./format";
import { Trouble } from "./Trouble";

/** A task as the API tells it. */
export interface Task {
  status: "running" | "finished" | "failed";
  data: Record<string, unknown>;
}

export interface TaskProgressProps {
  /** What it does, such as "Recovering failed deliveries". */
  title: string;
  /** Asks how far it is. */
  load: () => Promise<Task>;
  /** How many events it was expected to send when it began, if that is known. */
  total?: number | undefined;
  /** Whether to tell what was sent again; not for tasks that send nothing. */
  figures?: boolean;
  /** Called once, when it has ended. */
  onEnd?: ((task: Task) => void) | undefined;
  /** Takes it off the page. */
  close?: (() => void) | undefined;
}

const EVERY_MS = 700;

const figure = (data: Record<string, unknown>, name: string): number => {
  const value = data[name];
  return typeof value === "number" ? value : 0;
};

/** Asks until the task has ended; a failed question is asked again. */
function useTask(load: () => Promise<Task>, onEnd?: (task: Task) => void) {
  const [task, setTask] = useState<Task | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const latest = useRef({ load, onEnd });
  latest.current = { load, onEnd };
  const [round, setRound] = useState(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const ask = async () => {
      try {
        const now = await latest.current.load();
        if (over) return;
        setTask(now);
        setError(null);
        if (now.status === "running") timer = setTimeout(ask, EVERY_MS);
        else latest.current.onEnd?.(now);
      } catch (problem) {
        if (!over) setError(problem as Error);
      }
    };
    void ask();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [round]);
  return { task, error, again: () => setRound((number) => number + 1) };
}

/** A bar with what has been looked at and sent; survives a reload where the page keeps the task's id. */
export function TaskProgress({ title, load, total, figures = true, onEnd, close }: TaskProgressProps) {
  const { task, error, again } = useTask(load, onEnd);
  if (error) return <Trouble error={error} retry={again} />;
  const data = task?.data ?? {};
  const running = task === null || task.status === "running";
  const sent = figure(data, "messagesSent");
  const looked = sent + figure(data, "filtered");
  const share = total === undefined || total === 0 ? undefined : Math.min(100, (looked / total) * 100);
  const value = running ? (share ?? 100) : 100;
  const failed = task?.status === "failed";
  return (
    <Paper withBorder p="md" radius="sm">
      <Stack gap="xs">
        <Group justify="space-between" wrap="nowrap">
          <Group gap="xs" wrap="nowrap">
            {!running && (failed ? <IconX size={18} aria-hidden /> : <IconCheck size={18} aria-hidden />)}
            <Text fw={500}>{title}{!running && (failed ? ": failed" : ": done")}</Text>
          </Group>
          {!running && close && <Button size="xs" variant="default" onClick={close}>Close</Button>}
        </Group>
        <Progress.Root size="lg">
          <Progress.Section value={value} color={failed ? "red" : running ? "ink" : "teal"} animated={running} striped={running}
            aria-label={title} {...(running && share === undefined && { "aria-valuetext": "under way" })} />
        </Progress.Root>
        <Text size="sm" role="status" aria-live="polite">{figures ? told(data, running, sent, total) : running ? "Under way." : failed ? "" : "Done."}</Text>
        {failed && (
          <Alert color="red" variant="light" title="It stopped before the end">
            <Text size="sm" className="foreign">
              {typeof data.error === "string" ? data.error : "What was sent until then stays sent. Start it again: what went through is not sent twice."}
            </Text>
          </Alert>
        )}
      </Stack>
    </Paper>
  );
}

function told(data: Record<string, unknown>, running: boolean, sent: number, total?: number): string {
  const parts = [
    total !== undefined && running ? `${count(sent)} of about ${count(total)} events sent again` : `${count(sent)} ${sent === 1 ? "event" : "events"} sent again`,
    `${count(figure(data, "seen"))} looked at`,
  ];
  const filtered = figure(data, "filtered");
  const due = figure(data, "madeDue");
  if (filtered > 0) parts.push(`${count(filtered)} left out by the filter`);
  if (due > 0) parts.push(`${count(due)} were waiting and are due now`);
  return `${parts.join(" · ")}.`;
}
