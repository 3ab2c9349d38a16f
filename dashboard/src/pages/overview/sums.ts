// From points of time to what is shown of them.
import type { Point } from "../../api/queries/home";

export interface Totals {
  received: number;
  duplicates: number;
  refused: number;
  filtered: number;
  delivered: number;
  failed: number;
  attempts: number;
  attemptsFailed: number;
}

/** All points together. */
export function totals(points: Point[]): Totals {
  const sum: Totals = { received: 0, duplicates: 0, refused: 0, filtered: 0, delivered: 0, failed: 0, attempts: 0, attemptsFailed: 0 };
  for (const point of points) {
    for (const key of Object.keys(sum) as (keyof Totals)[]) sum[key] += point[key];
  }
  return sum;
}

// More bars than this are thinner than a hair.
const BARS = 150;

/** Neighbouring points put together until there are few enough to be bars: counts added, the worst latency
 * and the last backlog kept. */
export function bundled(points: Point[], stepMs: number): { points: Point[]; stepMs: number } {
  const size = Math.ceil(points.length / BARS);
  if (size <= 1) return { points, stepMs };
  const bundles: Point[] = [];
  for (let from = 0; from < points.length; from += size) {
    const part = points.slice(from, from + size);
    const first = part[0];
    if (!first) break;
    bundles.push({
      ...first,
      ...totals(part),
      bytes: part.reduce((sum, one) => sum + one.bytes, 0),
      pending: part.findLast((one) => one.pending !== null)?.pending ?? null,
      latency: worst(part),
    });
  }
  return { points: bundles, stepMs: stepMs * size };
}

/** The highest percentiles of any point: those of the whole cannot be had from those of its parts. */
export function worst(points: Point[]): Point["latency"] {
  const known = points.flatMap((point) => (point.latency ? [point.latency] : []));
  if (known.length === 0) return null;
  const highest = (key: "p50Ms" | "p95Ms" | "p99Ms") => Math.max(...known.map((one) => one[key]));
  return { p50Ms: highest("p50Ms"), p95Ms: highest("p95Ms"), p99Ms: highest("p99Ms") };
}

/** A percentile over a whole stretch, each point weighing as much as it delivered: near enough for one
 * number; the chart has the points. */
export function typical(points: Point[], key: "p50Ms" | "p95Ms" | "p99Ms"): number | null {
  let weight = 0;
  let sum = 0;
  for (const { latency, delivered } of points) {
    if (!latency || delivered === 0) continue;
    weight += delivered;
    sum += latency[key] * delivered;
  }
  return weight === 0 ? null : sum / weight;
}
