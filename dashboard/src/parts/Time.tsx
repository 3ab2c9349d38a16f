import { Text, Tooltip } from "@mantine/core";
import { useSyncExternalStore } from "react";

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const exactToday = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "narrow" });

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1_000],
];

/** How long ago, or how long until, in words. */
export function ago(at: number, now: number): string {
  const distance = at - now;
  const step = STEPS.find(([, size]) => Math.abs(distance) >= size) ?? ["second", 1_000];
  return relative.format(Math.trunc(distance / step[1]), step[0]);
}

/** A moment in the reader's zone; only the time of the day if it was today. */
export function local(at: number, now: number): string {
  const sameDay = new Date(at).toDateString() === new Date(now).toDateString();
  return (sameDay ? exactToday : exact).format(at);
}

// One clock for all times on the page.
const listeners = new Set<() => void>();
let moment = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void) {
  listeners.add(listener);
  if (!timer) moment = Date.now();
  timer ??= setInterval(() => {
    moment = Date.now();
    for (const one of listeners) one();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) { clearInterval(timer); timer = undefined; }
  };
}

/** The present, in whole steps of `stepMs`: what shows it is drawn again once per step. */
export function useNow(stepMs = 1_000): number {
  return useSyncExternalStore(subscribe, () => Math.floor(moment / stepMs) * stepMs);
}

export interface TimeProps {
  at: string;
  /** Both the moment and the distance if absent. */
  show?: "both" | "ago" | "exact";
  /** In rows that can be reached themselves: no stop for the Tab key, and the browser's own tooltip. */
  quiet?: boolean;
}

/** A moment in the reader's zone, how long ago it was, and in UTC on hover and focus. */
export function Time({ at, show = "both", quiet = false }: TimeProps) {
  const parsed = Date.parse(at);
  const young = Math.abs(Date.now() - parsed) < 120_000;
  const now = useNow(young ? 1_000 : 30_000);
  if (Number.isNaN(parsed)) return <span className="foreign">{at}</span>;
  const utc = `${new Date(parsed).toISOString().replace("T", " ").replace("Z", "")} UTC`;
  const here = local(parsed, now);
  // The clock's step may lie a moment before what has just happened.
  const distance = ago(young && parsed > now && parsed <= Date.now() ? now : parsed, now);
  const inner = show === "exact" ? here : show === "ago" ? distance
    : <>{here} <Text span c="dimmed" inherit>({distance})</Text></>;
  const other = show === "ago" ? `${exact.format(parsed)} · ${utc}` : utc;
  if (quiet) return <time className="numbers" dateTime={at} title={other}>{inner}</time>;
  return (
    <Tooltip label={other}>
      <time className="numbers" dateTime={at} tabIndex={0}>{inner}</time>
    </Tooltip>
  );
}
