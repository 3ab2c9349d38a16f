// What several pages ask for, each with a key that says everything it depends on; and who is signed in.
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { answer, api, ApiProblem, call } from "../client";

export const statsQuery = queryOptions({
  queryKey: ["stats"],
  queryFn: () => answer(api.GET("/api/v1/becket/stats")),
  refetchInterval: 2_000,
});

export const sourcesQuery = queryOptions({
  queryKey: ["sources"],
  queryFn: () => answer(api.GET("/api/v1/becket/source", { params: { query: { limit: 250 } } })),
});

export const endpointsQuery = queryOptions({
  queryKey: ["endpoints"],
  queryFn: () => answer(api.GET("/api/v1/becket/endpoint", { params: { query: { limit: 250 } } })),
  refetchInterval: 5_000,
});

export type Role = "admin" | "developer" | "viewer" | "portal";

/** Who is signed in, as the gateway tells it. */
export interface SelfOut {
  environment: number;
  operator: boolean;
  role: Role | "read_only";
  name?: string | null;
  payloads?: boolean;
  session?: boolean;
  expiresAt?: string | null;
  tokenId: string | null;
  applicationId: string | null;
}

/** Who is signed in; `null` when nobody is. */
export const selfQuery = queryOptions({
  queryKey: ["self"],
  queryFn: async (): Promise<SelfOut | null> => {
    try {
      return await call<SelfOut>("GET", "/api/v1/becket/self");
    } catch (error) {
      if (error instanceof ApiProblem && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

/** What the person at the screen is and may do. */
export interface Me {
  role: Role;
  /** May see bodies, header values and responses. */
  payloads: boolean;
  /** Rules the whole installation, not only one environment. */
  operator: boolean;
  name: string | null;
  environment: number;
  /** May change things: not a viewer. */
  changes: boolean;
  /** May see secrets' owners, tokens and the audit log. */
  admin: boolean;
  /** Signed in with the browser's session, not by a token that a proxy adds. */
  session: boolean;
  expiresAt: string | null;
}

const NOBODY: Me = {
  role: "viewer", payloads: false, operator: false, name: null, environment: 1,
  changes: false, admin: false, session: false, expiresAt: null,
};

/** Who is signed in. Inside the shell somebody always is. */
export function useSelf(): Me {
  const { data } = useQuery(selfQuery);
  return useMemo(() => (data ? meOf(data) : NOBODY), [data]);
}

function meOf(data: SelfOut): Me {
  const role = data.role === "read_only" ? "viewer" : data.role;
  return {
    role,
    payloads: data.payloads ?? true,
    operator: data.operator,
    name: data.name ?? null,
    environment: data.environment,
    changes: role === "admin" || role === "developer",
    admin: role === "admin",
    session: data.session ?? false,
    expiresAt: data.expiresAt ?? null,
  };
}
