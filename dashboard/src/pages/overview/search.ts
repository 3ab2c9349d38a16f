import { STRETCHES, type Stretch } from "../../api/queries/home";

/** What this page takes from its URL: the stretch of time that it shows. */
export interface Search {
  stretch?: Stretch | undefined;
}

export const USUAL: Stretch = "24h";

export function search(given: Record<string, unknown>): Search {
  const named = typeof given.stretch === "string" && Object.hasOwn(STRETCHES, given.stretch) ? (given.stretch as Stretch) : undefined;
  // Said even if there is none: what is not said here stays as it stands in the URL.
  return { stretch: named === USUAL ? undefined : named };
}
