// What the pages of event types keep in the URL.

/** The list: what is looked for, and whether archived ones are shown. */
export interface EventTypesSearch {
  q?: string | undefined;
  archived?: boolean | undefined;
}

/** An event type's page: the version of its schema that is shown. */
export interface EventTypeSearch {
  version?: string | undefined;
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

export function search(given: Record<string, unknown>): EventTypesSearch {
  return { q: text(given.q), archived: given.archived === true ? true : undefined };
}

export function eventTypeSearch(given: Record<string, unknown>): EventTypeSearch {
  // A version of digits comes back from the URL as a number.
  return { version: typeof given.version === "number" ? String(given.version) : text(given.version) };
}
