// How an endpoint does: figures of the last day, what waits, and its attempts over time.
import { Alert, Group, SegmentedControl, SimpleGrid, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { type Endpoint, endpointActivityQuery, type Owner, type Point, standingQuery } from "../../api/queries/endpoints";
import { Chart } from "../../parts/Chart";
import { Figure } from "../../parts/Figure";
import { count, duration } from "../../parts/format";
import { Time } from "../../parts/Time";
import { percent, successOf } from "./owner";

const HOUR_MS = 3_600_000;
const STRETCHES = [
  { value: "1", label: "1 h", words: "last hour" }, { value: "24", label: "24 h", words: "last 24 hours" },
  { value: "168", label: "7 d", words: "last 7 days" }, { value: "720", label: "30 d", words: "last 30 days" },
];

const sum = (points: Point[], of: (point: Point) => number): number => points.reduce((all, point) => all + of(point), 0);

/** Figures, a chart, and in words what is wrong. */
export function Health({ endpoint, owner }: { endpoint: Endpoint; owner: Owner }) {
  const [hours, setHours] = useState("24");
  const words = STRETCHES.find((one) => one.value === hours)?.words ?? "";
  const activity = useQuery({ ...endpointActivityQuery(endpoint.id, Number(hours) * HOUR_MS), retry: false, placeholderData: (before) => before });
  const standing = useQuery({ ...standingQuery(owner, endpoint.id), enabled: owner.kind !== "gateway", retry: false });
  const points = activity.data?.points ?? [];
  const attempts = sum(points, (point) => point.attempts);
  const failed = sum(points, (point) => point.attemptsFailed);
  const share = successOf({ attempts, attemptsFailed: failed });
  const latest = points.findLast((point) => point.latency !== null)?.latency;
  const waiting = (standing.data?.pending ?? 0) + (standing.data?.sending ?? 0);
  return (
    <>
      <Trouble endpoint={endpoint} waiting={waiting} />
      <Group justify="space-between" mb="xs" gap="xs">
        <Text component="h2" fw={600} size="md">How it does</Text>
        <SegmentedControl aria-label="Stretch of time" data={STRETCHES.map(({ value, label }) => ({ value, label }))} value={hours} onChange={setHours} />
      </Group>
      <SimpleGrid cols={{ base: 2, sm: 4 }} spacing="sm" mb="sm">
        <Figure label="Success of attempts" value={percent(share)} note={words} tone={share !== null && share < 0.9 ? "bad" : undefined} />
        <Figure label="Attempts" value={count(attempts)} note={failed > 0 ? `${count(failed)} failed` : "none failed"} />
        <Figure label="Waiting" value={standing.data ? count(waiting) : "–"} note={standing.data && standing.data.fail > 0 ? `${count(standing.data.fail)} failed for good, 28 days` : "deliveries not through yet"}
          tone={waiting > 0 && endpoint.state !== "enabled" ? "warn" : undefined} />
        <Figure label="Receipt to delivery" value={latest ? duration(latest.p50Ms) : "–"} note={latest ? `95 % within ${duration(latest.p95Ms)}` : "nothing delivered lately"} />
      </SimpleGrid>
      {activity.data && (
        <div className="below">
          <Chart title="Attempts" headline={words} stacked format={count} stepMs={activity.data.stepMs}
            at={points.map((point) => Date.parse(point.at))} empty="No attempt was made in this stretch."
            series={[
              { label: "succeeded", color: "green", kind: "bar", values: points.map((point) => point.attempts - point.attemptsFailed) },
              { label: "failed", color: "red", kind: "bar", values: points.map((point) => point.attemptsFailed) },
            ]} />
        </div>
      )}
    </>
  );
}

function Trouble({ endpoint, waiting }: { endpoint: Endpoint; waiting: number }) {
  const told = waiting > 0 ? ` ${count(waiting)} ${waiting === 1 ? "delivery waits" : "deliveries wait"}.` : "";
  if (endpoint.state === "paused") {
    return <Alert color="yellow" variant="light" mb="sm" title="Paused"><Text className="foreign">{endpoint.stateReason ?? "No reason was given"}.{told} Resume it, and they are delivered.</Text></Alert>;
  }
  if (endpoint.state === "disabled") {
    return (
      <Alert color="red" variant="light" mb="sm" title="Disabled">
        <Text className="foreign">{endpoint.stateReason ?? "No reason was given"}. Nothing new is planned for it. Repair the receiver, enable it, then send what is missing under Replay.</Text>
      </Alert>
    );
  }
  if (endpoint.state === "enabled" && endpoint.failingSince) {
    return (
      <Alert color="red" variant="light" mb="sm" title="Failing">
        <Text component="div">No attempt has succeeded since <Time at={endpoint.failingSince} />.{told} Attempts are repeated by its schedule; an endpoint that fails for five days is disabled.</Text>
      </Alert>
    );
  }
  return null;
}
