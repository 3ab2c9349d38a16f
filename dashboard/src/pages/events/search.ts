// A view of the events is its URL: whoever gets the link sees the same.
import type { Asked } from "../../api/queries/events";
import { bodyFilter } from "./where";

export interface EventsSearch {
  source?: string | undefined;
  application?: string | undefined;
  endpoint?: string | undefined;
  /** Event types, several with commas between. */
  type?: string | undefined;
  /** pending, delivered, failed, cancelled; or filtered, invalid. */
  status?: string | undefined;
  verdict?: string | undefined;
  /** The last so many minutes, hours or days: 15m, 1h, 7d. Instead of `since` and `until`. */
  range?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
  id?: string | undefined;
  /** A text anywhere in the payload. */
  text?: string | undefined;
  /** A condition on the payload: `data.object.id = x`. */
  where?: string | undefined;
  /** A filter document as endpoints have them, as JSON. */
  filter?: string | undefined;
}

const FIELDS = [
  "source", "application", "endpoint", "type", "status", "verdict", "range", "since", "until", "id", "text", "where", "filter",
] as const satisfies (keyof EventsSearch)[];

/** Reads a URL; what is not understood is left out. */
export function search(given: Record<string, unknown>): EventsSearch {
  // Every field is said, also those that are absent: what is left out the router takes from the raw URL.
  const read: EventsSearch = Object.fromEntries(FIELDS.map((field) => [field, text(given[field])]));
  if (read.range && spanMs(read.range) === null) read.range = undefined;
  return read;
}

// The router reads numbers and documents out of a URL that somebody typed; here all are texts.
function text(value: unknown): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : undefined;
}

const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** How long a range is, in milliseconds; null if it is none. */
export function spanMs(range: string): number | null {
  const [, number, unit] = /^(\d{1,5})([mhd])$/.exec(range) ?? [];
  const size = UNITS[unit ?? ""];
  return number && size ? Number(number) * size : null;
}

/** Whether payloads are searched, so that a page may be short and the search goes on in steps. */
export const searchesPayloads = (view: EventsSearch): boolean => Boolean(view.text || view.where || view.filter);

/** Whether anything is filtered at all. */
export const isFiltered = (view: EventsSearch): boolean => FIELDS.some((field) => view[field] !== undefined);

const DISPOSITIONS = ["filtered", "invalid"];

/** What the API is asked for a view, at a moment. Throws what is wrong with a condition, in words. */
export function asked(view: EventsSearch, nowMs: number): Asked {
  const span = view.range ? spanMs(view.range) : null;
  const since = span === null ? view.since : new Date(nowMs - span).toISOString();
  const until = span === null ? view.until : undefined;
  const filter = bodyFilter(view.where, view.filter);
  return {
    ...(view.source && { source: view.source }),
    // One of both says whose events; the API takes no two.
    ...(view.application && !view.source && { application: view.application }),
    ...(view.endpoint && { endpoint: view.endpoint }),
    ...(view.type && { event_type: view.type }),
    ...(view.status && (DISPOSITIONS.includes(view.status) ? { disposition: view.status } : { status: view.status })),
    ...(view.verdict && { verdict: view.verdict }),
    ...(since && { since }),
    ...(until && { until }),
    ...(view.id && { id: view.id }),
    ...(view.text && { text: view.text }),
    ...(filter && { filter }),
  };
}
