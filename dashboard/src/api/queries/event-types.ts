// What the pages of event types ask for and what they do.
import { queryOptions } from "@tanstack/react-query";

import { answer, api, call } from "../client";
import type { components } from "../generated/schema";

type Schemas = components["schemas"];
export type EventType = Schemas["EventTypeOut"];
export type EventTypeIn = Schemas["EventTypeIn"];

const PAGE = 250;

/** Every event type, archived ones too, without schemas: there are some hundred at most. */
export const eventTypesQuery = queryOptions({
  queryKey: ["event-types"],
  queryFn: async () => {
    const all: EventType[] = [];
    let iterator: string | undefined;
    do {
      const page = await answer(api.GET("/api/v1/event-type", {
        params: { query: { limit: PAGE, include_archived: true, with_content: false, ...(iterator && { iterator }) } },
      }));
      all.push(...page.data);
      iterator = page.done ? undefined : (page.iterator ?? undefined);
    } while (iterator !== undefined);
    return all;
  },
});

export const eventTypeQuery = (name: string) => queryOptions({
  queryKey: ["event-types", name],
  queryFn: () => answer(api.GET("/api/v1/event-type/{event_type_name}", { params: { path: { event_type_name: name } } })),
});

export const createEventType = (body: Partial<EventTypeIn> & { name: string }) => call<EventType>("POST", "/api/v1/event-type", { body });

export const patchEventType = (name: string, body: Schemas["EventTypePatch"]) =>
  answer(api.PATCH("/api/v1/event-type/{event_type_name}", { params: { path: { event_type_name: name } }, body }));

/** Archives an event type, or removes it for good. */
export const deleteEventType = (name: string, expunge: boolean) =>
  call<undefined>("DELETE", `/api/v1/event-type/${encodeURIComponent(name)}`, { query: { expunge } });

export const importOpenApi = (specRaw: string, how: { dryRun: boolean; replaceAll: boolean }) =>
  answer(api.POST("/api/v1/event-type/import/openapi", { body: { specRaw, ...how } }));

/** The versions of an event type's schema, newest first: numbers at the end of a name count as numbers. */
export function versionsOf(type: Pick<EventType, "schemas">): string[] {
  const by = new Intl.Collator("en", { numeric: true });
  return Object.keys(type.schemas ?? {}).sort((one, other) => by.compare(other, one));
}

/** The first example of the newest schema; null if it has none. */
export function exampleOf(type: Pick<EventType, "schemas">): unknown {
  const newest = versionsOf(type)[0];
  const schema = newest === undefined ? undefined : (type.schemas as Record<string, unknown>)[newest];
  if (typeof schema !== "object" || schema === null) return null;
  const { examples, example } = schema as { examples?: unknown; example?: unknown };
  if (Array.isArray(examples) && examples.length > 0) return examples[0];
  return example ?? null;
}

/** What a try found: at JSON pointers of the schema and of the payload. */
export interface SchemaTried {
  schema: { path: string; message: string } | null;
  violations: { path: string; rule: string; message: string }[] | null;
  example: unknown;
}

/** Checks a schema, and a payload against it, without storing anything. */
export const trySchema = (schema: unknown, payload: unknown) =>
  call<SchemaTried>("POST", "/api/v1/becket/try/schema", { body: { schema, ...(payload !== undefined && { payload }) } });
