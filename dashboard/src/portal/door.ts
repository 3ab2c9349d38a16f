// The requests that stand before a session: exchanging a code, asking whose a token is, leaving.

export type Capability =
  | "ViewBase" | "ViewEndpointSecret" | "ManageEndpointSecret"
  | "ManageTransformations" | "CreateAttempts" | "ManageEndpoint";

/** Whose token it is and what it may do. */
export interface Who {
  applicationId: string;
  kind: "customer" | "source";
  capabilities: Capability[];
  /** When the token ends, if the gateway says so. */
  expiresAt: string | null;
}

export type Knock =
  | { why: null; token: string; who: Who }
  /** `token` is what to try again with: a code that was exchanged must not be asked for twice. */
  | { why: "link-used" | "not-portal" | "too-many" | "unreachable"; token?: string };

const QUIET: RequestInit = { credentials: "omit", referrerPolicy: "no-referrer", cache: "no-store" };

/**
 * Exchanges a code if it is one, and asks whose the token is. `keep` gets the token of a code at once:
 * a reload in between must not lose what cannot be had a second time.
 */
export async function knock(given: string, keep: (token: string) => void): Promise<Knock> {
  try {
    let token = given;
    if (given.startsWith("otc_")) {
      const answer = await fetch("/api/v1/auth/one-time-token", {
        ...QUIET, method: "POST", headers: { "content-type": "application/json" },
        body: JSON.stringify({ oneTimeToken: given }),
      });
      if (answer.status === 429) return { why: "too-many" };
      if (answer.status >= 500) return { why: "unreachable" };
      if (!answer.ok) return { why: "link-used" };
      token = ((await answer.json()) as { token: string }).token;
      keep(token);
    }
    return await whose(token);
  } catch {
    return { why: "unreachable" };
  }
}

async function whose(token: string): Promise<Knock> {
  const answer = await fetch("/api/v1/becket/self", { ...QUIET, headers: { authorization: `Bearer ${token}` } }).catch(() => null);
  if (answer === null || answer.status >= 500) return { why: "unreachable", token };
  if (answer.status === 429) return { why: "too-many", token };
  if (!answer.ok) return { why: "link-used" };
  const self = (await answer.json()) as {
    role: string; applicationId: string | null; applicationKind: string | null;
    capabilities: Capability[] | null; expiresAt?: string | null;
  };
  if (self.role !== "portal" || self.applicationId === null) return { why: "not-portal" };
  return {
    why: null,
    token,
    who: {
      applicationId: self.applicationId,
      kind: self.applicationKind === "source" ? "source" : "customer",
      capabilities: self.capabilities ?? [],
      expiresAt: self.expiresAt ?? null,
    },
  };
}

/** Ends the token at the gateway; one that has ended already is no trouble. */
export async function leave(token: string): Promise<void> {
  // It goes out even if the tab is closed at once.
  await fetch("/api/v1/auth/logout", { ...QUIET, keepalive: true, method: "POST", headers: { authorization: `Bearer ${token}` } }).catch(() => null);
}
