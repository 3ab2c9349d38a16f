// Events: pages of them, one with its life and bytes, following new ones, and replaying.
import { queryOptions } from "@tanstack/react-query";

import { answer, api } from "../client";
import type { components } from "../generated/schema";

type Schemas = components["schemas"];
export type Event = Schemas["Event"];
export type Explain = Schemas["Explain"];
export type Attempt = Schemas["Attempt"];
export type AttemptDetail = NonNullable<Attempt["detail"]>;
export type Headers = [string, string][];
export type Replay = Schemas["Replay"];

/** A page of events; `searchedTo` says how far back a search in payloads has looked. */
export interface EventPage {
  data: Event[];
  iterator: string | null;
  done: boolean;
  searchedTo?: string | null;
}

/** What the lists and the tail are asked with, by the names of the API. */
export type Asked = Record<string, string | number>;

/** One page of events, newest first; goes on behind `iterator`. */
export function eventPage(asked: Asked, signal?: AbortSignal): Promise<EventPage> {
  return answer(
    api.GET("/api/v1/becket/event", { params: { query: asked as never }, ...(signal && { signal }) }),
  ) as Promise<EventPage>;
}

export function eventQuery(eventId: string) {
  return queryOptions({
    queryKey: ["event", eventId],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/becket/event/{event_id}", { params: { path: { event_id: eventId } }, signal })),
  });
}

export function lifeQuery(eventId: string, reveal = false) {
  return queryOptions({
    queryKey: ["explain", eventId, reveal],
    queryFn: ({ signal }) =>
      answer(
        api.GET("/api/v1/becket/event/{event_id}/explain", {
          params: { path: { event_id: eventId }, query: { ...(reveal && { reveal: true }) } },
          signal,
        }),
      ),
    staleTime: 1_000,
  });
}

/** The exact bytes of an event's body. They never change, so they are asked for once. */
export function bodyQuery(eventId: string) {
  return queryOptions({
    queryKey: ["body", eventId],
    queryFn: ({ signal }) =>
      answer(
        api.GET("/api/v1/becket/event/{event_id}/body", {
          params: { path: { event_id: eventId } },
          parseAs: "arrayBuffer",
          signal,
        }),
      ) as unknown as Promise<ArrayBuffer>,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
}

export const applicationsQuery = queryOptions({
  queryKey: ["filter", "applications"],
  queryFn: () => answer(api.GET("/api/v1/app", { params: { query: { limit: 250 } } })),
  staleTime: 60_000,
});

export const eventTypesQuery = queryOptions({
  queryKey: ["filter", "event-types"],
  queryFn: () => answer(api.GET("/api/v1/event-type", { params: { query: { limit: 250 } } })),
  staleTime: 60_000,
});

/** Starts the deliveries of one event again: to an endpoint, or to all it was planned for. */
export function replayOne(eventId: string, body: { endpoint?: string; status?: "failed" }, signal?: AbortSignal): Promise<Replay> {
  return answer(
    api.POST("/api/v1/becket/event/{event_id}/replay", {
      params: { path: { event_id: eventId } }, body, ...(signal && { signal }),
    }),
  );
}

/** One step of a replay of all events that match. */
export function replayStep(body: Schemas["ReplayMany"], signal?: AbortSignal): Promise<Replay> {
  return answer(api.POST("/api/v1/becket/replay", { body, ...(signal && { signal }) }));
}
