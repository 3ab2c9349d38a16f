// What the pages of sources take from their URLs. A secret is never among it.

const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);

/** The list: what is typed into the filter, and whether removed sources are shown. */
export interface ListSearch {
  find?: string | undefined;
  removed?: true | undefined;
}

export function listSearch(given: Record<string, unknown>): ListSearch {
  return { find: text(given.find), removed: given.removed === true || given.removed === "true" ? true : undefined };
}

/** Where the wizard stands: with a provider it asks for credentials, with a source it waits for a request. */
export interface NewSearch {
  find?: string | undefined;
  provider?: string | undefined;
  source?: string | undefined;
}

export function newSearch(given: Record<string, unknown>): NewSearch {
  return { find: text(given.find), provider: text(given.provider), source: text(given.source) };
}

export const TABS = ["overview", "verification", "rules", "test"] as const;
export type Tab = (typeof TABS)[number];

/** A source's page: which of its parts is open. */
export interface SourceSearch {
  tab?: Tab | undefined;
}

export function sourceSearch(given: Record<string, unknown>): SourceSearch {
  return { tab: TABS.find((tab) => tab === given.tab) };
}
