// What the pages of endpoints keep in the URL.

/** The list: what is looked for, and which endpoints. */
export interface EndpointsSearch {
  q?: string | undefined;
  state?: string | undefined;
  kind?: string | undefined;
  source?: string | undefined;
}

/** An endpoint's page: which part is open, and the task whose progress is watched. */
export interface EndpointSearch {
  tab?: string | undefined;
  task?: string | undefined;
  total?: number | undefined;
  outcome?: string | undefined;
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

export function search(given: Record<string, unknown>): EndpointsSearch {
  return { q: text(given.q), state: text(given.state), kind: text(given.kind), source: text(given.source) };
}

export function endpointSearch(given: Record<string, unknown>): EndpointSearch {
  const total = Number(given.total);
  return {
    tab: text(given.tab),
    task: text(given.task),
    total: Number.isSafeInteger(total) && total > 0 ? total : undefined,
    outcome: text(given.outcome),
  };
}
