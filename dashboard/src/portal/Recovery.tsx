import { Stack } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { EndpointReplay, REPLAY_WORDS, type ReplayAsked } from "../parts/EndpointReplay";
import { TaskProgress, type Task } from "../parts/TaskProgress";
import { plain } from "./api";
import { useRights } from "./context";
import { eventTypesQuery, type Endpoint } from "./queries";
import { stateOf } from "./words";

/** Sends many events again, and shows how far that is. */
export function Recovery({ endpoint }: { endpoint: Endpoint }) {
  const { app, source } = useRights();
  const queries = useQueryClient();
  const types = useQuery({ ...eventTypesQuery(app), enabled: !source });
  const [running, setRunning] = useState<{ id: string; title: string } | null>(null);
  const begin = async ({ kind, ...asked }: ReplayAsked) => {
    const path = `/api/v1/app/${encodeURIComponent(app)}/endpoint/${encodeURIComponent(endpoint.id)}/${kind}`;
    const { id } = await plain<{ id: string }>("POST", path, asked);
    setRunning({ id, title: REPLAY_WORDS[kind].doing });
  };
  const disabled = stateOf(endpoint) === "disabled";
  return (
    <Stack gap="lg" maw={760}>
      {running && (
        <TaskProgress key={running.id} title={running.title} close={() => setRunning(null)}
          load={() => plain<Task>("GET", `/api/v1/background-task/${encodeURIComponent(running.id)}`)}
          onEnd={() => void queries.invalidateQueries({ queryKey: [app] })} />
      )}
      <EndpointReplay begin={begin} types={(types.data ?? []).map((type) => type.name)}
        {...(disabled && { locked: "This endpoint is disabled. Enable it first." })} />
    </Stack>
  );
}
