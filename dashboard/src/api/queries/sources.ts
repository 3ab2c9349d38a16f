// Sources, providers and the quarantine: what the pages ask for, and what they change.
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";

import type { components } from "../generated/schema";
import { answer, api, call } from "../client";

type Schemas = components["schemas"];
export type Provider = Schemas["Provider"];
export type ProviderDetails = Schemas["ProviderDetails"];
export type Credential = ProviderDetails["credentials"][number];
export type Captured = Schemas["CapturedSecret"];
export type Endpoint = Schemas["OurEndpoint"];
export type LetOut = Schemas["LetOut"];
export type RetryStep = Schemas["RetryManyOut"];
export type Verification = Schemas["Verification"];
type Quarantined = Schemas["Quarantined"];

export interface Settings {
  eventTypes: string[] | null;
  rateLimit: { count: number; periodMs: number } | null;
  bodyLimitBytes: number | null;
  required: string[];
  schema: Record<string, unknown> | null;
  onInvalid: "reject" | "accept";
  dedupe: { enabled: boolean; windowMs: number; hashWindowMs: number; id: string | null };
  allowIps: string[];
  toleranceMs: number | null;
  quietAfterMs: number | null;
}

/** A source, with what newer gateways say of it. */
export type Source = Schemas["OurSource"] & {
  name?: string;
  settings?: Settings | null;
  credentials?: { name: string; set: boolean; count?: number }[];
};

/** What a change of settings names; what is left out stays. */
export type SettingsChange = Partial<Settings> & { name?: string; verification?: Verification };

export interface Step { name: string; ok: boolean; detail: string }

/** What verification says about a request, step by step. */
export interface Explanation {
  provider: string;
  scheme: string | null;
  verdict: { refused: string } | Record<string, unknown> | string;
  steps: Step[];
  signed_text: { template: string; text: string; hex: string; length_bytes: number; cut: boolean } | null;
  signature_received: string[];
  timestamp: {
    text: string; sent_s: number | null; now_s: number; age_s: number | null;
    max_age_s: number | null; max_future_s: number | null;
  } | null;
  likely_cause: string | null;
  sentence: string;
  hint: string | null;
  effort: { trials: number; bytes: number; cut_short: boolean };
}

export type Refused = Omit<Quarantined, "verdict"> & {
  verdict?: { recorded: unknown; explanation: Explanation | null };
};

export interface TestResult {
  status: number;
  eventId: string | null;
  outcome: string;
  detail: string | null;
  request: { method: string; path: string; headers: [string, string][]; bodyText: string };
}

export interface Credentials {
  secrets?: string[];
  publicKey?: string;
  credentials?: Record<string, string>;
  parameters?: Record<string, string>;
}

const PAGE = 250;
const PAGES_MAX = 20;
const LIVE_MS = 3_000;

async function everySource(): Promise<Source[]> {
  const all: Source[] = [];
  let iterator: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const told = await answer(api.GET("/api/v1/becket/source", { params: { query: { limit: PAGE, ...(iterator && { iterator }) } } }));
    all.push(...told.data);
    if (told.done || !told.iterator) break;
    iterator = told.iterator;
  }
  return all;
}

/** Every source, removed ones included. */
export const sourceListQuery = queryOptions({
  queryKey: ["sources", "every"],
  queryFn: everySource,
  refetchInterval: 10_000,
});

export const sourceQuery = (id: string) => queryOptions({
  queryKey: ["sources", "one", id],
  queryFn: (): Promise<Source> => answer(api.GET("/api/v1/becket/source/{source_id}", { params: { path: { source_id: id } } })),
  refetchInterval: 10_000,
});

export const providersQuery = queryOptions({
  queryKey: ["providers"],
  queryFn: async () => (await answer(api.GET("/api/v1/becket/provider"))).data,
  staleTime: Infinity,
});

export const providerQuery = (slug: string) => queryOptions({
  queryKey: ["providers", slug],
  queryFn: () => answer(api.GET("/api/v1/becket/provider/{slug}", { params: { path: { slug } } })),
  staleTime: Infinity,
});

/** The secrets that handshakes brought along; asking for them is noted in the audit log. */
export const capturedQuery = (id: string) => queryOptions({
  queryKey: ["sources", "captured", id],
  queryFn: async () => (await answer(api.GET("/api/v1/becket/source/{source_id}/secret", { params: { path: { source_id: id } } }))).data,
  staleTime: Infinity,
  refetchOnWindowFocus: false,
});

export const sourceEndpointsQuery = (source: string) => queryOptions({
  queryKey: ["endpoints", "of", source],
  queryFn: async () => (await answer(api.GET("/api/v1/becket/endpoint", { params: { query: { source, limit: PAGE } } }))).data,
  refetchInterval: 5_000,
});

/** The newest events of a source. */
export const newestEventsQuery = (source: string, limit: number) => queryOptions({
  queryKey: ["events", "newest", source, limit],
  queryFn: async () => (await answer(api.GET("/api/v1/becket/event", { params: { query: { source, limit } } }))).data,
  refetchInterval: LIVE_MS,
});

export interface QuarantineFilter {
  source?: string | undefined;
  code?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
}

function quarantinePage(filter: QuarantineFilter, limit: number, iterator?: string) {
  const query = {
    limit,
    ...(iterator && { iterator }),
    ...(filter.source && { source: filter.source }),
    ...(filter.code && { code: filter.code }),
    ...(filter.since && { since: filter.since }),
    ...(filter.until && { until: filter.until }),
  };
  return answer(api.GET("/api/v1/becket/quarantine", { params: { query: query as never } }));
}

/** The newest refused requests of a source. */
export const newestRefusedQuery = (source: string, limit: number) => queryOptions({
  queryKey: ["quarantine", "newest", source, limit],
  queryFn: async () => (await quarantinePage({ source }, limit)).data as Refused[],
  refetchInterval: LIVE_MS,
});

export const quarantineQuery = (filter: QuarantineFilter) => infiniteQueryOptions({
  queryKey: ["quarantine", "list", filter],
  initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam }) => quarantinePage(filter, 100, pageParam),
  getNextPageParam: (last) => (last.done ? undefined : (last.iterator ?? undefined)),
  // Whoever has gone far back is not served all of it anew again and again.
  refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) > 2 ? false : 5_000),
});

export const refusedQuery = (number: number) => queryOptions({
  queryKey: ["quarantine", "one", number],
  queryFn: async () => (await answer(api.GET("/api/v1/becket/quarantine/{number}", { params: { path: { number: String(number) } } }))) as Refused,
});

export interface SourceActivity { id: string | null; name: string; received: number; refused: number }

/** What came in at each source within a day. */
export const sourceActivityQuery = queryOptions({
  queryKey: ["activity", "by", "source", "day"],
  queryFn: async () => {
    const query = { dimension: "source", since: new Date(Date.now() - 86_400_000).toISOString(), limit: PAGE };
    return (await call<{ data: SourceActivity[] }>("GET", "/api/v1/becket/activity/by", { query })).data;
  },
  refetchInterval: 10_000,
});

export const createSource = (provider: string, name: string, credentials: Credentials) =>
  call<Source>("POST", "/api/v1/becket/source", { body: { provider, name, ...credentials } });

/** Replaces what is given; the secrets before it verify for `keepOldMs` more. */
export const setCredentials = (id: string, credentials: Credentials, keepOldMs: number) =>
  call<Source>("PUT", `/api/v1/becket/source/${id}/credentials`, { body: { ...credentials, ...(keepOldMs > 0 && { keepOldMs }) } });

export const changeSource = (id: string, change: SettingsChange): Promise<Source> =>
  call<Source>("PATCH", `/api/v1/becket/source/${id}`, { body: change });

export const rotateUrl = (id: string) =>
  answer(api.POST("/ingest/api/v1/source/{source_id}/token/rotate", { params: { path: { source_id: id } } }));

export const removeSource = (id: string) =>
  call<void>("DELETE", `/ingest/api/v1/source/${id}`);

export const acceptCaptured = (id: string, value: string) =>
  answer(api.POST("/api/v1/becket/source/{source_id}/secret/accept", { params: { path: { source_id: id } }, body: { value } }));

export const forgetCaptured = (id: string) =>
  answer(api.DELETE("/api/v1/becket/source/{source_id}/secret", { params: { path: { source_id: id } } }));

export const addEndpoint = (source: string, url: string, uid?: string) =>
  answer(api.POST("/ingest/api/v1/source/{source_id}/endpoint", {
    params: { path: { source_id: source } }, body: { url, ...(uid && { uid }) } as never,
  }));

export interface TestIn { sample?: number; eventType?: string; body?: string; contentType?: string }

/** Has the gateway sign a request as the provider would, and receive it. */
export const sendTest = (id: string, test: TestIn) =>
  call<TestResult>("POST", `/api/v1/becket/source/${id}/test`, { body: test });

export const retryOne = (number: number): Promise<LetOut> =>
  answer(api.POST("/api/v1/becket/quarantine/{number}/retry", { params: { path: { number: String(number) } } }));

export const releaseOne = (number: number, reason: string): Promise<LetOut> =>
  answer(api.POST("/api/v1/becket/quarantine/{number}/release", { params: { path: { number: String(number) } }, body: { reason } }));

/** One step through the refused requests of a source, oldest first. */
export const retryStep = (step: Schemas["RetryMany"]): Promise<RetryStep> =>
  answer(api.POST("/api/v1/becket/quarantine/retry", { body: step }));
