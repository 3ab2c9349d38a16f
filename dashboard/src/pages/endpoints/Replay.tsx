// Sending many events again, and watching how far it is. The task is in the URL, so that a reload, or a
// colleague with the link, sees the same bar.
import { Card } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";

import { call } from "../../api/client";
import type { Me } from "../../api/queries/common";
import { beginReplay, type Endpoint, loadTask, type Owner, pathOf } from "../../api/queries/endpoints";
import { eventTypesQuery } from "../../api/queries/event-types";
import { EndpointReplay, REPLAY_WORDS, type ReplayAsked } from "../../parts/EndpointReplay";
import { type Task, TaskProgress } from "../../parts/TaskProgress";

interface ReplayTabProps {
  endpoint: Endpoint;
  owner: Owner;
  me: Me;
  watch: (task: string, total: number | undefined) => void;
}

function lockOf(endpoint: Endpoint, me: Me): string | undefined {
  if (!me.changes) return "Your role is viewer: it looks, and changes nothing.";
  if (endpoint.state === "disabled") return "The endpoint is disabled. Enable it first.";
  if (endpoint.state === "removed") return "The endpoint was removed. Replay to another one.";
  return undefined;
}

/** How many deliveries it is about, if that can be told. */
async function expected(owner: Owner, endpoint: Endpoint, asked: ReplayAsked): Promise<number | undefined> {
  if (asked.kind === "replay-missing" || asked.eventTypes || asked.channel || asked.tag) return undefined;
  const stats = await call<Record<string, number>>("GET", `${pathOf(owner, endpoint.id)}/stats`, {
    query: { since: asked.since, until: asked.until },
  });
  const of = (name: string) => stats[name] ?? 0;
  if (asked.kind === "recover" || asked.status === 2) return of("fail");
  if (asked.status === 0) return of("success");
  if (asked.status === 1) return of("pending");
  return of("success") + of("fail") + of("pending") + of("sending");
}

export function ReplayTab({ endpoint, owner, me, watch }: ReplayTabProps) {
  const types = useQuery(eventTypesQuery);
  const begin = async ({ kind, ...asked }: ReplayAsked) => {
    const total = await expected(owner, endpoint, { kind, ...asked });
    const task = await beginReplay(owner, endpoint.id, kind, asked);
    watch(task.id, total);
  };
  return (
    <Card>
      <EndpointReplay begin={begin} types={(types.data ?? []).map((type) => type.name)} locked={lockOf(endpoint, me)} />
    </Card>
  );
}

const TITLES: Record<string, string> = {
  "endpoint.recover": REPLAY_WORDS.recover.doing,
  "endpoint.replay": REPLAY_WORDS["replay-missing"].doing,
  "endpoint.bulk-replay": REPLAY_WORDS["bulk-replay"].doing,
};

/** The bar of the task that the URL names. */
export function Running({ endpoint, task, total, close }: { endpoint: Endpoint; task: string; total: number | undefined; close: () => void }) {
  const queries = useQueryClient();
  const first = useQuery({ queryKey: ["task", task], queryFn: () => loadTask(task), staleTime: Infinity });
  const load = async (): Promise<Task> => {
    const { status, data } = await loadTask(task);
    return { status, data: data as Record<string, unknown> };
  };
  const ended = () => {
    void queries.invalidateQueries({ queryKey: ["endpoint", endpoint.id] });
    void queries.invalidateQueries({ queryKey: ["attempts", endpoint.id] });
  };
  return <TaskProgress title={TITLES[first.data?.task ?? ""] ?? "Sending again"} load={load} total={total} onEnd={ended} close={close} />;
}
