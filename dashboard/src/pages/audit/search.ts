import { STRETCHES, type Stretch } from "../../api/queries/home";

/** What this page takes from its URL: which entries are shown. */
export interface Search {
  range?: Stretch | undefined;
  action?: string | undefined;
  by?: string | undefined;
  subject?: string | undefined;
}

const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : typeof value === "number" ? String(value) : undefined);

export function search(given: Record<string, unknown>): Search {
  const range = typeof given.range === "string" && Object.hasOwn(STRETCHES, given.range) ? (given.range as Stretch) : undefined;
  // Each is said even if it is absent: what is not said here stays as it stands in the URL.
  return { range, action: text(given.action), by: text(given.by), subject: text(given.subject) };
}

/** Whether anything is left out. */
export const isFiltered = (view: Search): boolean => Object.values(view).some(Boolean);
