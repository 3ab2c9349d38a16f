/** A view of the quarantine is its URL. */
export interface QuarantineSearch {
  source?: string | undefined;
  code?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
}

const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);

export function search(given: Record<string, unknown>): QuarantineSearch {
  return { source: text(given.source), code: text(given.code), since: text(given.since), until: text(given.until) };
}
