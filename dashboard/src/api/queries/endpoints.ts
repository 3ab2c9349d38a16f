// What the pages of endpoints ask for and what they do. An endpoint is reached in two ways: by its id
// across the installation, and below its owner, which is an application, a source, or the gateway itself.
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";

import { answer, api, call } from "../client";
import type { components } from "../generated/schema";

type Schemas = components["schemas"];
export type Endpoint = Schemas["OurEndpoint"];
export type EndpointDetails = Schemas["EndpointOut"];
export type Attempt = Schemas["Attempt"];

/** Whose endpoint it is. */
export interface Owner {
  kind: "application" | "source" | "gateway";
  id: string;
}

const PAGE = 250;

/** The path of an endpoint below its owner. */
export function pathOf(owner: Owner, endpointId: string): string {
  const base = owner.kind === "gateway" ? "/api/v1/operational-webhook" : `/api/v1/app/${encodeURIComponent(owner.id)}`;
  return `${base}/endpoint/${encodeURIComponent(endpointId)}`;
}

/** The path of the endpoints of an owner. */
export const listPathOf = (owner: Owner): string =>
  owner.kind === "gateway" ? "/api/v1/operational-webhook/endpoint" : `/api/v1/app/${encodeURIComponent(owner.id)}/endpoint`;

/** Every endpoint that there is, page by page. */
export const everyEndpointQuery = infiniteQueryOptions({
  queryKey: ["endpoints", "every"],
  initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam }) =>
    answer(api.GET("/api/v1/becket/endpoint", { params: { query: { limit: PAGE, ...(pageParam && { iterator: pageParam }) } } })),
  getNextPageParam: (last) => (last.done ? undefined : (last.iterator ?? undefined)),
  refetchInterval: 10_000,
});

export const endpointQuery = (id: string) => queryOptions({
  queryKey: ["endpoint", id],
  queryFn: () => answer(api.GET("/api/v1/becket/endpoint/{endpoint_id}", { params: { path: { endpoint_id: id } } })),
  refetchInterval: 5_000,
});

/** The endpoints for events about the gateway itself: those that no application has. */
export const gatewayEndpointsQuery = queryOptions({
  queryKey: ["endpoints", "gateway"],
  queryFn: () => answer(api.GET("/api/v1/operational-webhook/endpoint", { params: { query: { limit: PAGE } } })),
  staleTime: 60_000,
});

/** Channels, metadata and what else only the owner's view knows. */
export const detailsQuery = (owner: Owner, id: string) => queryOptions({
  queryKey: ["endpoint", id, "details", owner.kind],
  queryFn: () => call<EndpointDetails>("GET", pathOf(owner, id)),
});

export const headersQuery = (owner: Owner, id: string) => queryOptions({
  queryKey: ["endpoint", id, "headers"],
  queryFn: () => call<Schemas["EndpointHeadersOut"]>("GET", `${pathOf(owner, id)}/headers`),
});

export const filterQuery = (id: string) => queryOptions({
  queryKey: ["endpoint", id, "filter"],
  queryFn: () => answer(api.GET("/api/v1/becket/endpoint/{endpoint_id}/filter", { params: { path: { endpoint_id: id } } })),
});

export const transformationQuery = (owner: Owner, id: string) => queryOptions({
  queryKey: ["endpoint", id, "transformation"],
  queryFn: () => call<Schemas["EndpointTransformationOut"]>("GET", `${pathOf(owner, id)}/transformation`),
});

export type Outcome = "succeeded" | "failed";

/** The latest attempts at an endpoint. */
export const attemptsQuery = (id: string, outcome?: Outcome) => infiniteQueryOptions({
  queryKey: ["attempts", id, outcome ?? "all"],
  initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam }) =>
    answer(api.GET("/api/v1/becket/attempt", {
      params: { query: { endpoint: id, limit: 50, ...(outcome && { outcome }), ...(pageParam && { iterator: pageParam }) } },
    })),
  getNextPageParam: (last) => (last.done ? undefined : (last.iterator ?? undefined)),
  refetchInterval: 5_000,
});

/** How the events of an endpoint stand, since a moment. */
export const standingQuery = (owner: Owner, id: string, since?: string) => queryOptions({
  queryKey: ["endpoint", id, "standing", since ?? "default"],
  queryFn: () => call<Schemas["EndpointStats"]>("GET", `${pathOf(owner, id)}/stats`, { query: { since } }),
  refetchInterval: 5_000,
});

/** What happened in a stretch of time. */
export interface Sums {
  received: number;
  attempts: number;
  attemptsFailed: number;
  delivered: number;
  failed: number;
  pending: number | null;
  latency: { p50Ms: number; p95Ms: number; p99Ms: number } | null;
}

export interface Point extends Sums {
  at: string;
}

export interface NamedSums extends Sums {
  name: string;
  id: string | null;
}

export interface Activity {
  since: string;
  until: string;
  stepMs: number;
  points: Point[];
}

export const endpointActivityQuery = (id: string, sinceMs: number) => queryOptions({
  queryKey: ["activity", "endpoint", id, sinceMs],
  queryFn: () => call<Activity>("GET", "/api/v1/becket/activity", {
    query: { endpoint: id, since: new Date(Date.now() - sinceMs).toISOString(), step: "auto" },
  }),
  refetchInterval: 10_000,
});

/** The attempts of all endpoints in the last day, by endpoint. */
export const activityByEndpointQuery = queryOptions({
  queryKey: ["activity", "by", "endpoint"],
  queryFn: async () => {
    const since = new Date(Date.now() - 86_400_000).toISOString();
    const { data } = await call<{ data: NamedSums[] }>("GET", "/api/v1/becket/activity/by", {
      query: { dimension: "endpoint", since, limit: PAGE },
    });
    return new Map(data.map((sums) => [sums.id ?? sums.name, sums]));
  },
  refetchInterval: 10_000,
});

export type Change = "pause" | "resume" | "enable" | "disable";

export const changeState = (id: string, change: Change, reason: string) =>
  call<Endpoint>("POST", `/api/v1/becket/endpoint/${encodeURIComponent(id)}/${change}`, { body: reason === "" ? {} : { reason } });

export const setFilter = (id: string, filter: unknown) =>
  call<Schemas["EndpointFilter"]>("PUT", `/api/v1/becket/endpoint/${encodeURIComponent(id)}/filter`, { body: { filter } });

export type TaskOut = Schemas["BackgroundTaskOut"];

/** What is sent again: what failed, what never came, or what was sent. */
export type ReplayKind = "recover" | "replay-missing" | "bulk-replay";

export const beginReplay = (owner: Owner, id: string, kind: ReplayKind, body: Record<string, unknown>) =>
  call<TaskOut>("POST", `${pathOf(owner, id)}/${kind}`, { body });

export const loadTask = (id: string) =>
  answer(api.GET("/api/v1/background-task/{task_id}", { params: { path: { task_id: id } } }));

type FoundEvents = { data: { id: string; receivedAt: string; eventType: string | null }[]; iterator: string | null; done: boolean };

const TRIED = 25;

/** The latest events of a source or an application, and which of them pass a filter. */
export async function tryFilter(owner: Owner, filter: unknown) {
  const whose = owner.kind === "source" ? { source: owner.id } : { application: owner.id };
  const { data: latest } = await call<FoundEvents>("GET", "/api/v1/becket/event", { query: { ...whose, limit: TRIED } });
  const oldest = latest.at(-1);
  if (!oldest) return [];
  const passing = new Set<string>();
  let iterator: string | null = null;
  // A page may end before it has looked at everything: then it is asked on.
  for (let round = 0; round < 20; round += 1) {
    const found: FoundEvents = await call<FoundEvents>("GET", "/api/v1/becket/event", {
      query: { ...whose, limit: TRIED, since: oldest.receivedAt, filter: JSON.stringify(filter), iterator },
    });
    for (const event of found.data) passing.add(event.id);
    iterator = found.iterator;
    if (found.done || iterator === null) break;
  }
  return latest.map((event) => ({ ...event, passes: passing.has(event.id) }));
}
