import { SimpleGrid } from "@mantine/core";

import type { Point, Stretch } from "../../api/queries/home";
import { Figure } from "../../parts/Figure";
import { bytes, count, counted, duration, percent } from "../../parts/format";
import { totals, typical } from "./sums";

/** Of the whole store; null in other environments than the first. */
interface Stats {
  deliveriesPending: number | null;
  events: number | null;
  bytes: number | null;
}

const LOW = 0.95;

/** The numbers of the stretch; what waits and what is kept are of this moment. */
export function Figures({ points, stats, stretch }: { points: Point[]; stats: Stats; stretch: Stretch }) {
  const waiting = stats.deliveriesPending ?? points.findLast((point) => point.pending !== null)?.pending ?? 0;
  const sum = totals(points);
  const ended = sum.delivered + sum.failed;
  const tries = sum.attempts;
  const p95 = typical(points, "p95Ms");
  const p50 = typical(points, "p50Ms");
  const p99 = typical(points, "p99Ms");
  const succeeded = tries - sum.attemptsFailed;
  const rate = tries === 0 ? null : succeeded / tries;
  return (
    <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="sm" aria-label={`Totals of the last ${stretch}`} role="group">
      <Figure label="Received" value={count(sum.received)} note={[counted(sum.refused, "refused", "refused"), ...(sum.duplicates ? [counted(sum.duplicates, "duplicate")] : [])].join(" · ")} />
      <Figure label="Delivered" value={count(sum.delivered)} note={sum.failed ? `${count(sum.failed)} failed for good` : ended ? "none failed for good" : ""} noteTone={sum.failed > 0 ? "bad" : undefined} />
      <Figure label="Attempts that succeed" value={percent(succeeded, tries)} note={tries ? `${count(sum.attemptsFailed)} of ${count(tries)} failed` : "no attempts"}
        tone={rate !== null && rate < 0.5 ? "bad" : rate !== null && rate < LOW ? "warn" : undefined} />
      <Figure label="Receipt to delivery, p95" value={p95 === null ? "–" : duration(p95)} note={p50 !== null && p99 !== null ? `p50 ${duration(p50)} · p99 ${duration(p99)}` : "nothing delivered"} />
      <Figure label="Waiting now" value={count(waiting)} note={waiting === 0 ? "nothing waits" : "deliveries, retries included"} />
      {stats.events !== null && stats.bytes !== null
        ? <Figure label="Events kept" value={count(stats.events)} note={`${bytes(stats.bytes)} on disk`} />
        : <Figure label="Filtered" value={count(sum.filtered)} note="wanted by no endpoint" />}
    </SimpleGrid>
  );
}
