// Where in the portal somebody is: the fragment, so that back, forward and reload work and the server
// needs to know one address only. A link is an ordinary `<a href="#/...">`.
import { useSyncExternalStore } from "react";

import { isPlace } from "./start";

let last = isPlace(window.location.hash) ? window.location.hash : "#/endpoints";

function current(): string {
  // A fresh link passes through the fragment for a moment; that is no place.
  if (isPlace(window.location.hash)) last = window.location.hash;
  return last.replace(/^#/, "") || "/endpoints";
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}

export interface Place {
  /** The parts of the path: `/endpoints/ep_1/settings` is three of them. */
  parts: string[];
  query: URLSearchParams;
}

export function usePlace(): Place {
  const [path = "", query = ""] = useSyncExternalStore(subscribe, current).split("?");
  return {
    parts: path.split("/").filter(Boolean).map(decoded),
    query: new URLSearchParams(query),
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The `href` of a place in the portal. */
export function to(parts: string[], query?: Record<string, string | null | undefined>): string {
  const path = `#/${parts.map(encodeURIComponent).join("/")}`;
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value) search.set(name, value);
  return search.size > 0 ? `${path}?${search}` : path;
}

/** Goes to a place; `replace` leaves no step behind for going back. */
export function go(href: string, replace = false): void {
  if (!replace) {
    window.location.hash = href;
    return;
  }
  window.history.replaceState(null, "", href);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}
