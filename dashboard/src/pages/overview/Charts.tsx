import { SimpleGrid } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";

import type { ActivityOut, Point } from "../../api/queries/home";
import { Chart, type ChartSeries } from "../../parts/Chart";
import { count, duration } from "../../parts/format";
import { bundled } from "./sums";

const PER: [number, string][] = [[86_400_000, "day"], [3_600_000, "hour"], [60_000, "minute"]];

function per(stepMs: number): string {
  const [size, word] = PER.find(([unit]) => stepMs >= unit && stepMs % unit === 0) ?? [60_000, "minute"];
  const times = stepMs / size;
  return times === 1 ? `per ${word}` : `per ${times} ${word}s`;
}

// A logarithmic scale has no zero.
const ms = (value: number | undefined): number | null => (value === undefined ? null : Math.max(value, 1));

/** The stretch over time: what came, what went, how fast, and what waits. */
export function Charts({ activity }: { activity: ActivityOut }) {
  const shown = useMemo(() => {
    const bars = bundled(activity.points, activity.stepMs);
    const moments = (points: Point[]) => points.map((point) => Date.parse(point.at));
    const values = (points: Point[], of: (point: Point) => number | null) => points.map(of);
    const line = (label: string, color: string, of: (point: Point) => number | null): ChartSeries =>
      ({ label, color, kind: "line", values: values(bars.points, of) });
    const bar = (label: string, color: string, of: (point: Point) => number): ChartSeries =>
      ({ label, color, kind: "bar", values: values(bars.points, of) });
    return {
      at: moments(bars.points),
      stepMs: bars.stepMs,
      received: [bar("Accepted", "ink", (one) => one.received), bar("Refused", "red", (one) => one.refused)],
      delivered: [bar("Delivered", "green", (one) => one.delivered), bar("Failed for good", "red", (one) => one.failed)],
      latency: [
        line("p50", "ink", (one) => ms(one.latency?.p50Ms)),
        line("p95", "yellow", (one) => ms(one.latency?.p95Ms)),
        line("p99", "red", (one) => ms(one.latency?.p99Ms)),
      ],
      backlog: [{ label: "Deliveries waiting", color: "violet", kind: "area", values: values(bars.points, (one) => one.pending) } satisfies ChartSeries],
    };
  }, [activity]);
  const { at, stepMs } = shown;
  const navigate = useNavigate();
  const onPick = (from: number, until: number) =>
    void navigate({ to: "/events", search: { since: new Date(from).toISOString(), until: new Date(until).toISOString() } });
  const step = per(stepMs);
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="sm">
      <Chart title="Received" headline={step} at={at} stepMs={stepMs} series={shown.received} stacked format={count} onPick={onPick} empty="Nothing was received in this stretch." />
      <Chart title="Delivered" headline={step} at={at} stepMs={stepMs} series={shown.delivered} stacked format={count} onPick={onPick} empty="Nothing was delivered in this stretch." />
      <Chart title="Receipt to delivery" headline="retries included" at={at} stepMs={stepMs} series={shown.latency} logarithmic format={duration} onPick={onPick} empty="Nothing was delivered in this stretch." />
      <Chart title="Backlog" at={at} stepMs={stepMs} series={shown.backlog} format={count} empty="Nothing waited in this stretch." />
    </SimpleGrid>
  );
}
