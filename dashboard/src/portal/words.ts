// The portal's words for what the API counts.
import type { Tone } from "../parts/State";
import type { Endpoint } from "./queries";

/** A delivery's or an attempt's status as people say it. */
export function statusWord(status: string): { word: string; tone: Tone } {
  switch (status) {
    case "success": return { word: "delivered", tone: "good" };
    case "fail": return { word: "failed", tone: "bad" };
    case "sending": return { word: "sending", tone: "busy" };
    case "pending": return { word: "waiting", tone: "busy" };
    case "canceled": return { word: "cancelled", tone: "none" };
    default: return { word: status, tone: "none" };
  }
}

export type StateWord = "enabled" | "paused" | "disabled";

export function stateOf(endpoint: Pick<Endpoint, "state" | "disabled">): StateWord {
  if (endpoint.state === "paused") return "paused";
  return endpoint.state === "disabled" || endpoint.state === "removed" || endpoint.disabled ? "disabled" : "enabled";
}

/** What an endpoint is called: its description, else its host and path. */
export function nameOf(endpoint: { description: string; url: string }): string {
  if (endpoint.description.trim() !== "") return endpoint.description.trim();
  try {
    const url = new URL(endpoint.url);
    return url.host + (url.pathname === "/" ? "" : url.pathname);
  } catch {
    return endpoint.url;
  }
}

/** What an attempt's HTTP status says; 0 is no answer at all. */
export const answerWord = (code: number): string => (code > 0 ? `HTTP ${code}` : "no answer");

/** Periods that lists are narrowed to. */
export const PERIODS: Record<string, { label: string; ms: number }> = {
  "1h": { label: "Last hour", ms: 3_600_000 },
  "24h": { label: "Last 24 hours", ms: 86_400_000 },
  "7d": { label: "Last 7 days", ms: 7 * 86_400_000 },
  "28d": { label: "Last 28 days", ms: 28 * 86_400_000 },
};

/** When a period began, on a whole minute so that the same question has the same answer for a while. */
export function sinceOf(period: string | null): string | null {
  const known = period ? PERIODS[period] : undefined;
  if (!known) return null;
  return new Date(Math.floor((Date.now() - known.ms) / 60_000) * 60_000).toISOString();
}
