// Replays of many events in steps: what was done so far, and a way to stop in the middle.
import { type Replay, replayOne, replayStep } from "../api/queries/events";
import { explained } from "./Trouble";

export interface ReplayProgress {
  /** How many events there are; null while they are still being counted. */
  total: number | null;
  done: number;
  started: number;
  madeDue: number;
  skipped: number;
  failed: { id: string; why: string }[];
  state: "counting" | "running" | "stopped" | "finished";
}

export const NOTHING_DONE: ReplayProgress = { total: null, done: 0, started: 0, madeDue: 0, skipped: 0, failed: [], state: "counting" };

/** Where to, and which deliveries. Without an endpoint: all that each event was planned for. */
export interface ReplayTo {
  endpoint?: string;
  onlyFailed?: boolean;
}

type Tell = (progress: ReplayProgress) => void;

const AT_ONCE = 4;
const FAILURES_KEPT = 100;
const STEP = 50;
const COUNT_STEP = 1_000;

const add = (before: ReplayProgress, did: Replay): ReplayProgress => ({
  ...before, started: before.started + did.started, madeDue: before.madeDue + did.madeDue, skipped: before.skipped + did.skipped,
});

/** Replays chosen events, a few at the same time. */
export async function replayChosen(ids: string[], to: ReplayTo, tell: Tell, signal: AbortSignal): Promise<void> {
  let now: ReplayProgress = { ...NOTHING_DONE, total: ids.length, state: "running" };
  const say = (next: ReplayProgress) => { now = next; tell(now); };
  say(now);
  const waiting = [...ids];
  const work = async () => {
    for (let id = waiting.shift(); id !== undefined && !signal.aborted; id = waiting.shift()) {
      try {
        // What was sent is carried out: a stop comes between two events, so that every count is true.
        const did = await replayOne(id, { ...(to.endpoint && { endpoint: to.endpoint }), ...(to.onlyFailed && { status: "failed" as const }) });
        say({ ...add(now, did), done: now.done + 1 });
      } catch (error) {
        const { title, todo } = explained(error);
        say({ ...now, done: now.done + 1, failed: [...now.failed, { id, why: `${title} ${todo}` }].slice(0, FAILURES_KEPT) });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  say({ ...now, state: signal.aborted && now.done < ids.length ? "stopped" : "finished" });
}

/** Which events a replay of many takes, as the API wants it. */
export interface ReplayWhich {
  source?: string;
  endpoint?: string;
  eventTypes?: string[];
  status?: "pending" | "delivered" | "failed" | "cancelled";
  since: string;
  until?: string;
}

/** Replays everything that matches, oldest first: counted first, then in steps. */
export async function replayMatching(which: ReplayWhich, tell: Tell, signal: AbortSignal): Promise<void> {
  // Events that come meanwhile are not meant.
  const fixed = { ...which, until: which.until ?? new Date().toISOString() };
  let now: ReplayProgress = { ...NOTHING_DONE };
  const say = (next: ReplayProgress) => { now = next; tell(now); };
  say(now);
  let total = 0;
  await steps((iterator) => replayStep({ ...fixed, dryRun: true, limit: COUNT_STEP, ...(iterator && { iterator }) }, signal), signal, (did) => {
    total += did.events;
  });
  if (signal.aborted) return say({ ...now, state: "stopped" });
  say({ ...now, total, state: "running" });
  const finished = await steps((iterator) => replayStep({ ...fixed, limit: STEP, ...(iterator && { iterator }) }), signal, (did) => {
    say({ ...add(now, did), done: now.done + did.events });
  });
  say({ ...now, state: finished ? "finished" : "stopped" });
}

async function steps(step: (iterator: string | null) => Promise<Replay>, signal: AbortSignal, did: (replay: Replay) => void): Promise<boolean> {
  let iterator: string | null = null;
  while (!signal.aborted) {
    const replay: Replay = await step(iterator);
    did(replay);
    if (replay.done || replay.iterator === null) return true;
    iterator = replay.iterator;
  }
  return false;
}
