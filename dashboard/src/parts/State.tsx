export type Tone = "good" | "busy" | "warn" | "bad" | "none";

// Colour is never the only sign: the word is always there.
const TONES: Record<string, Tone> = {
  delivered: "good", succeeded: "good", enabled: "good", genuine: "good", accepting: "good", active: "good", finished: "good",
  pending: "busy", running: "busy", sending: "busy", accepted: "busy",
  paused: "warn", unverified: "warn", warning: "warn", failing: "warn", stale: "warn", partly: "warn",
  failed: "bad", disabled: "bad", refused: "bad", forged: "bad", error: "bad", revoked: "bad",
  filtered: "none", cancelled: "none", duplicate: "none", expired: "none",
};

/** What a state's word stands for, for those who draw it otherwise. */
export const toneOf = (state: string): Tone => TONES[state] ?? "none";

/** Where a delivery, an event or an endpoint stands. `tone` for words that are not known here. */
export function State({ state, tone }: { state: string; tone?: Tone }) {
  return <span className="state" data-tone={tone ?? toneOf(state)}>{state}</span>;
}
