// Whose an endpoint is, what it is called, and what may be done with it.
import { useQuery } from "@tanstack/react-query";

import { type Endpoint, gatewayEndpointsQuery, type NamedSums, type Owner } from "../../api/queries/endpoints";
import type { Me } from "../../api/queries/common";

/** The owner; undefined until it is known. */
export function useOwner(endpoint: Endpoint | undefined): Owner | undefined {
  const source = endpoint?.sourceId?.startsWith("src_") ?? false;
  const gateway = useQuery({ ...gatewayEndpointsQuery, enabled: endpoint !== undefined && !source });
  if (!endpoint?.sourceId) return undefined;
  if (source) return { kind: "source", id: endpoint.sourceId };
  if (!gateway.data && !gateway.error) return undefined;
  const own = gateway.data?.data.some((one) => one.id === endpoint.id) ?? false;
  return { kind: own ? "gateway" : "application", id: endpoint.sourceId };
}

/** What people call it: its own id if it has one, else where it leads. */
export function nameOf(endpoint: Pick<Endpoint, "id" | "uid" | "url" | "description">): string {
  if (endpoint.uid !== "" && endpoint.uid !== endpoint.id) return endpoint.uid;
  if (endpoint.description !== "") return endpoint.description;
  try {
    const url = new URL(endpoint.url);
    return `${url.host}${url.pathname === "/" ? "" : url.pathname}`;
  } catch {
    return endpoint.url;
  }
}

/** Why its settings cannot be changed by this person; undefined if they can. */
export function lockOf(endpoint: Endpoint, me: Me): string | undefined {
  if (endpoint.state === "removed") return "This endpoint was removed. It is shown because its deliveries are still kept.";
  if (endpoint.kind === "listen") return "This endpoint belongs to a listener on a developer's machine and goes when the listener goes.";
  if (endpoint.origin === "file") {
    return "This endpoint is declared in the gateway's configuration file; change it there, and the change is applied at once. Here it can be paused, disabled, tested and replayed to.";
  }
  if (!me.changes) return "Your role is viewer: it looks, and changes nothing. Ask an admin for another role.";
  if (!me.payloads) return "Who changes an endpoint decides where payloads go, and your role may not see payloads. Ask an admin.";
  return undefined;
}

/** The share of attempts that succeeded, of those that there were; null if there were none. */
export function successOf(sums: Pick<NamedSums, "attempts" | "attemptsFailed"> | undefined): number | null {
  if (!sums || sums.attempts === 0) return null;
  return (sums.attempts - sums.attemptsFailed) / sums.attempts;
}

/** A share as whole percents; never 100 when something failed. */
export function percent(share: number | null): string {
  if (share === null) return "–";
  const whole = share * 100;
  if (whole > 99 && whole < 100) return `${Math.min(99.9, Math.floor(whole * 10) / 10)} %`;
  return `${Math.round(whole)} %`;
}

/** What its kind does with a delivery. */
export const KINDS: Record<Endpoint["kind"], string> = {
  http: "posts to a URL", exec: "runs a command", sql: "writes to a table", notify: "sends a message",
  queue: "publishes to a queue", listen: "a developer's machine",
};
