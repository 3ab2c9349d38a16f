// What the overview, the audit log, the settings and the shell ask for.
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";

import { answer, api, ApiProblem, call } from "../client";

/** How people may sign in here. */
export interface SignInWays {
  token: boolean;
  oidc: { name: string; startUrl: string } | null;
  version: string;
}

export const signInQuery = queryOptions({
  queryKey: ["sign-in"],
  queryFn: () => call<SignInWays>("GET", "/api/v1/becket/sign-in"),
  staleTime: 60_000,
});

/** Something that is wrong, and what to do about it. */
export interface ProblemOut {
  kind: string;
  severity: "error" | "warning";
  since: string | null;
  title: string;
  detail: string;
  hint: string;
  sourceId: string | null;
  source: string | null;
  endpointId: string | null;
  endpoint: string | null;
  count: number | null;
}

export const problemsQuery = queryOptions({
  queryKey: ["problems"],
  queryFn: () => call<{ data: ProblemOut[] }>("GET", "/api/v1/becket/problem"),
  refetchInterval: 5_000,
});

/** One of several gateways that share a database. */
export interface NodeOut {
  number: number;
  name: string;
  version: string;
  roles: string[];
  shards: number;
  joinedAt: string;
  expiresInMs: number;
  own: boolean;
}

export interface NodesOut {
  store: "sqlite" | "postgres";
  data: NodeOut[];
  advice: { code: string; text: string; urgent: boolean }[];
}

export const nodesQuery = queryOptions({
  queryKey: ["nodes"],
  queryFn: () => call<NodesOut>("GET", "/api/v1/becket/nodes"),
  refetchInterval: 5_000,
});

export interface Latency {
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
}

/** What happened in one step of time, or to one name. */
export interface Sums {
  received: number;
  duplicates: number;
  refused: number;
  filtered: number;
  bytes: number;
  attempts: number;
  attemptsFailed: number;
  delivered: number;
  failed: number;
  pending: number | null;
  latency: Latency | null;
}

export interface Point extends Sums {
  at: string;
}

export interface ActivityOut {
  since: string;
  until: string;
  stepMs: number;
  points: Point[];
}

export const STRETCHES = { "1h": 3_600_000, "6h": 21_600_000, "24h": 86_400_000, "7d": 604_800_000, "30d": 2_592_000_000 } as const;
export type Stretch = keyof typeof STRETCHES;

const since = (stretch: Stretch) => new Date(Date.now() - STRETCHES[stretch]).toISOString();

// The shorter the stretch, the sooner a change is to be seen in it.
const pace = (stretch: Stretch) => (stretch === "1h" ? 2_000 : 5_000);

export const activityQuery = (stretch: Stretch) => queryOptions({
  queryKey: ["activity", stretch],
  queryFn: ({ signal }) => call<ActivityOut>("GET", "/api/v1/becket/activity", { query: { since: since(stretch), step: "auto" }, signal }),
  refetchInterval: pace(stretch),
});

/** Whether this environment has ever seen an event that is still kept; asked until it has. */
export const anyEventQuery = queryOptions({
  queryKey: ["any-event"],
  queryFn: async () => (await answer(api.GET("/api/v1/becket/event", { params: { query: { limit: 1 } } }))).data.length > 0,
  refetchInterval: (query) => (query.state.data === true ? false : 2_000),
});

export type Dimension = "source" | "endpoint" | "event_type";

export interface Share extends Sums {
  name: string;
  id: string | null;
  /** Of a source: its own kind, or a customer's application. */
  kind?: "source" | "customer";
}

export const activityByQuery = (dimension: Dimension, stretch: Stretch) => queryOptions({
  queryKey: ["activity", "by", dimension, stretch],
  queryFn: ({ signal }) =>
    call<{ data: Share[]; other?: Sums | null }>("GET", "/api/v1/becket/activity/by", { query: { dimension, since: since(stretch), limit: 8 }, signal }),
  refetchInterval: pace(stretch) * 2,
});

/** Who did what; `subject` is what it was done to. */
export interface AuditEntry {
  id: string;
  at: string;
  by: { kind: "operator" | "token" | "session" | "portal" | "sign-in" | "gateway"; name: string | null; tokenId: string | null };
  action: string;
  subject: string;
  address: string | null;
  detail: string | null;
}

export interface AuditFilter {
  since?: string | undefined;
  until?: string | undefined;
  action?: string | undefined;
  by?: string | undefined;
  subject?: string | undefined;
}

interface Pages<T> {
  data: T[];
  iterator: string | null;
  done: boolean;
}

export const auditQuery = (filter: AuditFilter) => infiniteQueryOptions({
  queryKey: ["audit", filter],
  initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam, signal }) =>
    call<Pages<AuditEntry>>("GET", "/api/v1/becket/audit", { query: { ...filter, limit: 100, iterator: pageParam }, signal }),
  getNextPageParam: (last) => (last.done ? undefined : (last.iterator ?? undefined)),
});

export interface TokenOut {
  id: string;
  name: string;
  role: "admin" | "developer" | "viewer" | "read_only" | "portal";
  payloads?: boolean;
  createdAt: string;
  expiresAt: string | null;
}

export const tokensQuery = infiniteQueryOptions({
  queryKey: ["tokens"],
  initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam }) =>
    call<Pages<TokenOut>>("GET", "/api/v1/becket/token", { query: { limit: 100, order: "descending", iterator: pageParam } }),
  getNextPageParam: (last) => (last.done ? undefined : (last.iterator ?? undefined)),
});

export interface TokenWanted {
  name: string;
  role: "admin" | "developer" | "viewer";
  payloads: boolean;
  /** Seconds; for ever if null. */
  expiry: number | null;
}

/** Makes a token; the answer is the only place where its text is. */
export const makeToken = ({ name, role, payloads, expiry }: TokenWanted) =>
  call<TokenOut & { token: string }>("POST", "/api/v1/becket/token", {
    body: { name, role, ...(role !== "admin" && { payloads }), ...(expiry !== null && { expiry }) },
  });

export const revokeToken = (id: string) => call<undefined>("DELETE", `/api/v1/becket/token/${encodeURIComponent(id)}`);

export const environmentsQuery = queryOptions({
  queryKey: ["environments"],
  queryFn: () => answer(api.GET("/api/v1/becket/environment", { params: { query: { limit: 250 } } })),
});

export const makeEnvironment = (name: string) => answer(api.POST("/api/v1/becket/environment", { body: { name } }));
export const backUp = (folder: string) => answer(api.POST("/api/v1/becket/backup", { body: { folder } }));
export const reload = () => answer(api.POST("/api/v1/becket/reload"));

/** Where an id leads: attempts belong to an event, whose page shows them. */
export async function eventOfAttempt(attemptId: string): Promise<string | null> {
  try {
    const attempt = await call<{ eventId: string }>("GET", `/api/v1/becket/attempt/${encodeURIComponent(attemptId)}`);
    return attempt.eventId;
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 404) return null;
    throw error;
  }
}
