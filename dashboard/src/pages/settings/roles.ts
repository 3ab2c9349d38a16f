import type { TokenOut, TokenWanted } from "../../api/queries/home";

/** What each role may do, in the order in which they are offered. */
export const ROLES: { value: TokenWanted["role"]; label: string; may: string }[] = [
  { value: "viewer", label: "Viewer", may: "Looks at everything but secrets; changes nothing." },
  { value: "developer", label: "Developer", may: "Also changes sources, endpoints and applications, sees their secrets, and replays." },
  { value: "admin", label: "Admin", may: "Also makes tokens and reads the audit log." },
];

/** A role as people read it. */
export function roleName(role: TokenOut["role"]): string {
  if (role === "portal") return "Portal";
  return ROLES.find((one) => one.value === (role === "read_only" ? "viewer" : role))?.label ?? role;
}

const DAY_S = 86_400;

/** How long a token may hold. */
export const EXPIRIES: { value: string; label: string; seconds: number | null }[] = [
  { value: "1d", label: "A day", seconds: DAY_S },
  { value: "7d", label: "A week", seconds: 7 * DAY_S },
  { value: "30d", label: "30 days", seconds: 30 * DAY_S },
  { value: "90d", label: "90 days", seconds: 90 * DAY_S },
  { value: "365d", label: "A year", seconds: 365 * DAY_S },
  { value: "never", label: "Until it is revoked", seconds: null },
];
