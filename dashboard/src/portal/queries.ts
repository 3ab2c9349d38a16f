// What the portal's pages ask for. Everything is about the one application (or source) of the token.
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";

import type { components } from "../api/generated/schema";
import { api, ask, plain } from "./api";
import type { Who } from "./door";

type Schemas = components["schemas"];
export type Endpoint = Schemas["EndpointOut"];
export type Message = Schemas["MessageOut"];
export type EndpointMessage = Schemas["EndpointMessageOut"];
export type Destination = Schemas["MessageEndpointOut"];
export type Attempt = Schemas["MessageAttemptOut"];
export type EventType = Schemas["EventTypeOut"];

const PAGE = 25;
const LIVE_MS = 5_000;
/** What is asked once for each row of a list. */
const CALM_MS = 10_000;
/** While a delivery is under way. */
const SOON_MS = 1_500;

export interface About {
  name: string;
  /** Where a source's sender sends to. */
  ingestUrl: string | null;
}

export const aboutQuery = (who: Who) => queryOptions({
  queryKey: [who.applicationId, "about"],
  queryFn: async (): Promise<About> => {
    if (who.kind === "customer") {
      const { name } = await ask(api.GET("/api/v1/app/{app_id}", { params: { path: { app_id: who.applicationId } } }));
      return { name, ingestUrl: null };
    }
    const source = await ask(api.GET("/ingest/api/v1/source/{source_id}", { params: { path: { source_id: who.applicationId } } })) as { name: string; ingestUrl?: string | null };
    return { name: source.name, ingestUrl: source.ingestUrl ?? null };
  },
  staleTime: 60_000,
});

const paged = {
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (last: { done: boolean; iterator?: string | null }) => (last.done ? undefined : (last.iterator ?? undefined)),
};

export const endpointsQuery = (app: string) => queryOptions({
  queryKey: [app, "endpoints"],
  queryFn: async () => {
    const all: Endpoint[] = [];
    let iterator: string | undefined;
    // A customer has a handful; the limit keeps a mistake from asking for ever.
    for (let page = 0; page < 20; page += 1) {
      const found = await ask(api.GET("/api/v1/app/{app_id}/endpoint", {
        params: { path: { app_id: app }, query: { limit: 250, order: "ascending", ...(iterator && { iterator }) } },
      }));
      all.push(...found.data);
      if (found.done || !found.iterator) break;
      iterator = found.iterator;
    }
    return all;
  },
  refetchInterval: LIVE_MS,
});

export const endpointQuery = (app: string, id: string) => queryOptions({
  queryKey: [app, "endpoint", id],
  queryFn: () => ask(api.GET("/api/v1/app/{app_id}/endpoint/{endpoint_id}", { params: { path: { app_id: app, endpoint_id: id } } })),
  refetchInterval: LIVE_MS,
});

/** Why an endpoint stands as it does, which the specification's shape does not tell. */
export interface Standing {
  stateReason: string | null;
  failingSince: string | null;
  origin: string;
}

export const standingQuery = (app: string, id: string) => queryOptions({
  queryKey: [app, "standing", id],
  queryFn: () => plain<Standing>("GET", `/api/v1/becket/endpoint/${encodeURIComponent(id)}`),
  refetchInterval: CALM_MS,
});

export const statsQuery = (app: string, id: string) => queryOptions({
  queryKey: [app, "stats", id],
  queryFn: () => ask(api.GET("/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats", { params: { path: { app_id: app, endpoint_id: id } } })),
  refetchInterval: CALM_MS,
});

export const headersQuery = (app: string, id: string) => queryOptions({
  queryKey: [app, "headers", id],
  queryFn: () => ask(api.GET("/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers", { params: { path: { app_id: app, endpoint_id: id } } })),
});

export const transformationQuery = (app: string, id: string) => queryOptions({
  queryKey: [app, "transformation", id],
  queryFn: () => ask(api.GET("/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation", { params: { path: { app_id: app, endpoint_id: id } } })),
});

export const filterQuery = (app: string, id: string) => queryOptions({
  queryKey: [app, "filter", id],
  queryFn: () => plain<{ filter: object | null }>("GET", `/api/v1/becket/endpoint/${encodeURIComponent(id)}/filter`),
});

export interface Wanted {
  type?: string | null;
  since?: string | null;
  /** Only with an endpoint. */
  status?: string | null;
}

const filters = (wanted: Wanted) => ({
  ...(wanted.type && { event_types: [wanted.type] }),
  ...(wanted.since && { after: wanted.since }),
});

export const messagesQuery = (app: string, wanted: Wanted) => infiniteQueryOptions({
  queryKey: [app, "messages", wanted],
  queryFn: ({ pageParam }) => ask(api.GET("/api/v1/app/{app_id}/msg", {
    params: { path: { app_id: app }, query: { limit: PAGE, with_content: false, ...filters(wanted), ...(pageParam && { iterator: pageParam }) } },
  })),
  ...paged,
  refetchInterval: LIVE_MS,
});

export const endpointMessagesQuery = (app: string, endpoint: string, wanted: Wanted) => infiniteQueryOptions({
  queryKey: [app, "messages", endpoint, wanted],
  queryFn: ({ pageParam }) => ask(api.GET("/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg", {
    params: {
      path: { app_id: app, endpoint_id: endpoint },
      query: {
        limit: PAGE, with_content: false, expanded_statuses: true, ...filters(wanted),
        ...(wanted.status && { status: Number(wanted.status) as 0 }), ...(pageParam && { iterator: pageParam }),
      },
    },
  })),
  ...paged,
  refetchInterval: LIVE_MS,
});

export const messageQuery = (app: string, id: string) => queryOptions({
  queryKey: [app, "message", id],
  queryFn: () => ask(api.GET("/api/v1/app/{app_id}/msg/{msg_id}", { params: { path: { app_id: app, msg_id: id } } })),
  staleTime: 60_000,
});

/** Whether something may still happen to it by itself soon. */
export const moving = (list: { statusText: string }[] | undefined) =>
  list?.some((one) => one.statusText === "pending" || one.statusText === "sending") ?? true;

export const destinationsQuery = (app: string, id: string) => queryOptions({
  queryKey: [app, "destinations", id],
  queryFn: async () => (await ask(api.GET("/api/v1/app/{app_id}/msg/{msg_id}/endpoint", {
    params: { path: { app_id: app, msg_id: id }, query: { limit: 250 } },
  }))).data,
  refetchInterval: (query) => (moving(query.state.data) ? SOON_MS : CALM_MS),
});

export const attemptsQuery = (app: string, id: string, endpoint?: string) => queryOptions({
  queryKey: [app, "attempts", id, endpoint ?? null],
  queryFn: async () => (await ask(api.GET("/api/v1/app/{app_id}/attempt/msg/{msg_id}", {
    params: { path: { app_id: app, msg_id: id }, query: { limit: 100, ...(endpoint && { endpoint_id: endpoint }) } },
  }))).data,
  refetchInterval: (query) => (query.state.data?.length ? LIVE_MS : SOON_MS),
});

export const eventTypesQuery = (app: string) => queryOptions({
  queryKey: [app, "event-types"],
  queryFn: async () => {
    const all: EventType[] = [];
    let iterator: string | undefined;
    for (let page = 0; page < 20; page += 1) {
      const found = await ask(api.GET("/api/v1/event-type", { params: { query: { limit: 250, with_content: true, ...(iterator && { iterator }) } } }));
      all.push(...found.data);
      if (found.done || !found.iterator) break;
      iterator = found.iterator;
    }
    return all;
  },
  staleTime: 60_000,
});

/** An example of each event type: the one that its owner wrote, or one made from its schema. */
export const examplesQuery = (app: string) => queryOptions({
  queryKey: [app, "examples"],
  queryFn: async () => {
    interface Content { examples?: Record<string, { value?: unknown }> }
    interface Catalogue { webhooks?: Record<string, { post?: { requestBody?: { content?: Record<string, Content> } } }> }
    const catalogue = await plain<Catalogue>("GET", "/api/v1/becket/event-catalogue/openapi.json");
    const examples = new Map<string, unknown>();
    for (const [name, hook] of Object.entries(catalogue.webhooks ?? {})) {
      const [content] = Object.values(hook.post?.requestBody?.content ?? {});
      const example = Object.values(content?.examples ?? {})[0]?.value;
      if (example !== undefined) examples.set(name, example);
    }
    return examples;
  },
  staleTime: 60_000,
});
