// Where a typed text may lead: an id to its page, a word to what is called so, anything to the events
// that hold it.
import type { AnyRouter, NavigateOptions } from "@tanstack/react-router";

import type { Me } from "../api/queries/common";
import { eventOfAttempt } from "../api/queries/home";
import { pagesOf } from "./pages";

export interface Named {
  id: string;
  uid: string | null;
  name: string;
}

export interface Known {
  sources: Named[];
  endpoints: Named[];
  applications: Named[];
  eventTypes: string[];
}

type Target = NavigateOptions<AnyRouter>;

export interface Destination {
  key: string;
  label: string;
  kind: string;
  /** Where it leads; null if it turns out that there is nothing. */
  target: () => Promise<Target | null> | Target;
}

const to = (path: string, given: { params?: Record<string, string>; search?: Record<string, string> } = {}): Target =>
  ({ to: path, ...given }) as Target;

const ID = /\b((?:msg|ep|src|app|atmpt)_[A-Za-z0-9]{22,27})\b/;

/** The page of an id that stands anywhere in the text, e.g. in a line of a log. */
function ofId(text: string): Destination | null {
  const id = ID.exec(text)?.[1];
  if (!id) return null;
  const prefix = id.slice(0, id.indexOf("_"));
  switch (prefix) {
    case "msg": return { key: id, label: id, kind: "Event", target: () => to("/events/$eventId", { params: { eventId: id } }) };
    case "ep": return { key: id, label: id, kind: "Endpoint", target: () => to("/endpoints/$endpointId", { params: { endpointId: id } }) };
    case "src": return { key: id, label: id, kind: "Source", target: () => to("/sources/$sourceId", { params: { sourceId: id } }) };
    case "app": return { key: id, label: id, kind: "Application", target: () => to("/applications/$applicationId", { params: { applicationId: id } }) };
    default: return {
      key: id, label: id, kind: "Event of the attempt",
      target: async () => {
        const event = await eventOfAttempt(id);
        return event === null ? null : to("/events/$eventId", { params: { eventId: event } });
      },
    };
  }
}

const EACH = 5;

function called(list: Named[], text: string): Named[] {
  const small = text.toLowerCase();
  return list.filter((one) => one.name.toLowerCase().includes(small) || one.uid?.toLowerCase().includes(small)).slice(0, EACH);
}

/** What fits the text, the likeliest first. */
export function destinations(typed: string, known: Known, me: Me): Destination[] {
  const text = typed.trim();
  const pages = pagesOf(me).filter((page) => page.label.toLowerCase().includes(text.toLowerCase()))
    .map((page): Destination => ({ key: page.to, label: page.label, kind: "Page", target: () => to(page.to) }));
  if (text === "") return pages;
  const byId = ofId(text);
  if (byId) return [byId];
  const number = /^#?(\d{1,12})$/.exec(text)?.[1];
  return [
    ...pages,
    ...called(known.sources, text).map((one): Destination =>
      ({ key: one.id, label: one.name, kind: "Source", target: () => to("/sources/$sourceId", { params: { sourceId: one.id } }) })),
    ...called(known.endpoints, text).map((one): Destination =>
      ({ key: one.id, label: one.name, kind: "Endpoint", target: () => to("/endpoints/$endpointId", { params: { endpointId: one.id } }) })),
    ...called(known.applications, text).map((one): Destination =>
      ({ key: one.id, label: one.name, kind: "Application", target: () => to("/applications/$applicationId", { params: { applicationId: one.id } }) })),
    ...known.eventTypes.filter((name) => name.toLowerCase().includes(text.toLowerCase())).slice(0, EACH).map((name): Destination =>
      ({ key: `type ${name}`, label: name, kind: "Event type", target: () => to("/event-types/$name", { params: { name } }) })),
    ...(number ? [{ key: `refused ${number}`, label: `Refused request ${number}`, kind: "Quarantine", target: () => to("/quarantine/$number", { params: { number } }) }] : []),
    ...(me.payloads ? [{ key: "text", label: `Events with “${text}” in their payload`, kind: "Search", target: () => to("/events", { search: { text } }) }] : []),
  ];
}
