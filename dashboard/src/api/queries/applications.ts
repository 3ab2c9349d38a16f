// What the pages of applications ask for and what they do.
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";

import { answer, api, call } from "../client";
import type { components } from "../generated/schema";

type Schemas = components["schemas"];
export type Application = Schemas["ApplicationOut"];
export type ApplicationIn = Schemas["ApplicationIn"];
export type Integration = Schemas["IntegrationOut"];
export type Capability = Schemas["AppPortalCapability"];
export type PortalAccess = Schemas["AppPortalAccessIn"];

const PAGE = 250;
const at = (id: string) => ({ params: { path: { app_id: id } } });

export const applicationsQuery = infiniteQueryOptions({
  queryKey: ["applications"],
  initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam }) =>
    answer(api.GET("/api/v1/app", {
      params: { query: { limit: PAGE, order: "descending", ...(pageParam && { iterator: pageParam }) } },
    })),
  getNextPageParam: (last) => (last.done ? undefined : (last.iterator ?? undefined)),
});

export const applicationQuery = (id: string) => queryOptions({
  queryKey: ["applications", id],
  queryFn: () => answer(api.GET("/api/v1/app/{app_id}", at(id))),
});

export const applicationEndpointsQuery = (id: string) => infiniteQueryOptions({
  queryKey: ["applications", id, "endpoints"],
  initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam }) =>
    answer(api.GET("/api/v1/app/{app_id}/endpoint", {
      params: { path: { app_id: id }, query: { limit: PAGE, order: "ascending", ...(pageParam && { iterator: pageParam }) } },
    })),
  getNextPageParam: (last) => (last.done ? undefined : (last.iterator ?? undefined)),
  refetchInterval: 10_000,
});

/** The latest events that were posted for an application. */
export const postedQuery = (id: string) => queryOptions({
  queryKey: ["applications", id, "posted"],
  queryFn: () => answer(api.GET("/api/v1/app/{app_id}/msg", {
    params: { path: { app_id: id }, query: { limit: 10, with_content: false } },
  })),
  refetchInterval: 5_000,
});

export const integrationsQuery = (id: string) => queryOptions({
  queryKey: ["applications", id, "integrations"],
  queryFn: () => answer(api.GET("/api/v1/app/{app_id}/integration", { params: { path: { app_id: id }, query: { limit: PAGE } } })),
});

export const createApplication = (body: ApplicationIn) => answer(api.POST("/api/v1/app", { body }));
export const patchApplication = (id: string, body: Schemas["ApplicationPatch"]) =>
  answer(api.PATCH("/api/v1/app/{app_id}", { ...at(id), body }));
export const deleteApplication = (id: string) => answer(api.DELETE("/api/v1/app/{app_id}", at(id)));

export const createEndpoint = (id: string, body: Schemas["EndpointIn"]) =>
  answer(api.POST("/api/v1/app/{app_id}/endpoint", { ...at(id), body }));

/** An event as it is posted. */
export interface Posted {
  eventType: string;
  payload: unknown;
  eventId?: string;
  channels?: string[];
  tags?: string[];
}

export const postEvent = (id: string, body: Posted) =>
  call<Schemas["MessageOut"]>("POST", `/api/v1/app/${encodeURIComponent(id)}/msg`, { body });

/** Whether some endpoint would take an event. */
export const precheck = (id: string, eventType: string, channels: string[]) =>
  answer(api.POST("/api/v1/app/{app_id}/msg/precheck/active", {
    ...at(id), body: { eventType, ...(channels.length > 0 && { channels }) },
  }));

export const portalLink = (id: string, body: PortalAccess) =>
  answer(api.POST("/api/v1/auth/app-portal-access/{app_id}", { ...at(id), body }));

/** Ends portal sessions: all, or those of one session id. */
export const expireSessions = (id: string, sessionIds: string[]) =>
  answer(api.POST("/api/v1/auth/app/{app_id}/expire-all", { ...at(id), body: sessionIds.length > 0 ? { sessionIds } : {} }));

const integration = (id: string, integrationId: string) => ({ params: { path: { app_id: id, integ_id: integrationId } } });

export const createIntegration = (id: string, name: string) =>
  answer(api.POST("/api/v1/app/{app_id}/integration", { ...at(id), body: { name } }));
export const renameIntegration = (id: string, integrationId: string, name: string) =>
  answer(api.PUT("/api/v1/app/{app_id}/integration/{integ_id}", { ...integration(id, integrationId), body: { name } }));
export const deleteIntegration = (id: string, integrationId: string) =>
  answer(api.DELETE("/api/v1/app/{app_id}/integration/{integ_id}", integration(id, integrationId)));
export const rotateIntegrationKey = (id: string, integrationId: string) =>
  answer(api.POST("/api/v1/app/{app_id}/integration/{integ_id}/key/rotate", integration(id, integrationId)));

/** Counts what an application was sent, in the background. */
export const countUsage = (id: string, since: string, until: string) =>
  answer(api.POST("/api/v1/stats/usage/app", { body: { since, until, appIds: [id] } }));

/** Removes the payloads of all events of an application for good, in the background. */
export const expungePayloads = (id: string) =>
  call<{ id: string }>("POST", `/api/v1/app/${encodeURIComponent(id)}/msg/expunge-all-contents`);
