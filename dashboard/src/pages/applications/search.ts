// What the pages of applications keep in the URL.

/** The list: what is looked for. */
export interface ApplicationsSearch {
  q?: string | undefined;
}

/** An application's page: which part is open, and the count of its use that was asked for. */
export interface ApplicationSearch {
  tab?: string | undefined;
  task?: string | undefined;
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

export function search(given: Record<string, unknown>): ApplicationsSearch {
  return { q: text(given.q) };
}

export function applicationSearch(given: Record<string, unknown>): ApplicationSearch {
  return { tab: text(given.tab), task: text(given.task) };
}
