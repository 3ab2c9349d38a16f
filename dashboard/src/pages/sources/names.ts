import type { Source } from "../../api/queries/sources";

/** What a source is called on the screen. */
export function nameOf(source: Source): string {
  if (source.name) return source.name;
  return source.uid === source.id ? `${source.providerName ?? source.provider} …${source.id.slice(-4)}` : source.uid;
}
