// What an application was sent in a stretch of time, counted in the background.
import { Button, Card, Group, Select, SimpleGrid, Stack, Text } from "@mantine/core";
import { useState } from "react";

import { type Application, countUsage, expungePayloads } from "../../api/queries/applications";
import { useSelf } from "../../api/queries/common";
import { loadTask } from "../../api/queries/endpoints";
import { confirm } from "../../parts/Confirm";
import { Figure } from "../../parts/Figure";
import { fullCount } from "../../parts/format";
import { notify } from "../../parts/notify";
import { type Task, TaskProgress } from "../../parts/TaskProgress";
import { Trouble } from "../../parts/Trouble";

const STRETCHES = [
  { value: "1", label: "Last 24 hours" }, { value: "7", label: "Last 7 days" }, { value: "28", label: "Last 28 days" }, { value: "90", label: "Last 90 days" },
];
const DAY_MS = 86_400_000;

interface Counted {
  appId: string;
  messages: number;
  messageDestinations: number;
}

interface Props {
  application: Application;
  task: string | undefined;
  watch: (task: string | undefined) => void;
}

export function UsageTab({ application, task, watch }: Props) {
  const me = useSelf();
  const [days, setDays] = useState("28");
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const [ended, setEnded] = useState<Task | null>(null);
  const count = async () => {
    setBusy(true);
    setError(null);
    setEnded(null);
    const now = Date.now();
    try {
      const begun = await countUsage(application.id, new Date(now - Number(days) * DAY_MS).toISOString(), new Date(now).toISOString());
      watch(begun.id);
    } catch (problem) {
      setError(problem as Error);
    } finally {
      setBusy(false);
    }
  };
  const load = async (): Promise<Task> => {
    const { status, data } = await loadTask(task ?? "");
    return { status, data: data as Record<string, unknown> };
  };
  const stats = ended?.data.appStats;
  const counted = Array.isArray(stats) ? (stats as Counted[]).find((one) => one.appId === application.id) : undefined;
  return (
    <Stack>
      <Card>
        <Stack>
          <div>
            <Text component="h2" fw={600} size="md">Usage</Text>
            <Text c="dimmed">How many events were posted for this application, and how many deliveries they made.</Text>
          </div>
          <Group align="end" gap="xs">
            <Select label="Stretch" data={STRETCHES} value={days} allowDeselect={false} onChange={(value) => setDays(value ?? "28")} w={170} />
            <Button loading={busy} disabled={!me.changes} onClick={() => void count()}>Count</Button>
          </Group>
          {error && <Trouble error={error} />}
          {task && !ended && <TaskProgress key={task} title="Counting" load={load} onEnd={setEnded} figures={false} close={() => watch(undefined)} />}
          {ended && (
            <SimpleGrid cols={{ base: 2, sm: 4 }} spacing="sm" role="status">
              <Figure label="Events posted" value={fullCount(counted?.messages ?? 0)} />
              <Figure label="Deliveries" value={fullCount(counted?.messageDestinations ?? 0)} note="one for each endpoint" />
            </SimpleGrid>
          )}
        </Stack>
      </Card>
      {me.changes && <Payloads application={application} />}
    </Stack>
  );
}

function Payloads({ application }: { application: Application }) {
  const [task, setTask] = useState<string | null>(null);
  const remove = async () => {
    const yes = await confirm({
      title: `Remove all payloads of ${application.name}?`, danger: true, confirmLabel: "Remove the payloads",
      message: "The payloads of all its events are overwritten on disk for good. That they were sent, and when, stays. Deliveries that still wait end as failed.",
    });
    if (!yes) return;
    try {
      setTask((await expungePayloads(application.id)).id);
    } catch (problem) {
      notify.failed(problem);
    }
  };
  const load = async (): Promise<Task> => {
    const { status, data } = await loadTask(task ?? "");
    return { status, data: data as Record<string, unknown> };
  };
  return (
    <Card>
      <Stack>
        <div>
          <Text component="h2" fw={600} size="md">Remove payloads</Text>
          <Text c="dimmed">When a customer wants everything forgotten that was sent about it.</Text>
        </div>
        {task && <TaskProgress key={task} title="Removing payloads" load={load} figures={false} close={() => setTask(null)} />}
        <Group justify="flex-end"><Button color="red" variant="outline" onClick={() => void remove()}>Remove all payloads</Button></Group>
      </Stack>
    </Card>
  );
}
