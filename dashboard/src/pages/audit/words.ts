import type { AuditEntry } from "../../api/queries/home";

/** `secret.shown` as people say it: `Secret shown`. */
export function spoken(action: string): string {
  const words = action.replaceAll(/[._-]+/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What the log is asked for by the beginning of an action: everything that is done to one kind of thing. */
export const GROUPS: { value: string; label: string }[] = [
  { value: "secret", label: "Secrets" },
  { value: "session", label: "Signing in and out" },
  { value: "token", label: "Tokens" },
  { value: "event", label: "Events and replays" },
  { value: "endpoint", label: "Endpoints" },
  { value: "source", label: "Sources" },
  { value: "application", label: "Applications" },
  { value: "quarantine", label: "Quarantine" },
];

const KINDS: Record<AuditEntry["by"]["kind"], string> = {
  operator: "Operator", token: "Token", session: "Browser session", portal: "Portal", "sign-in": "Sign-in", gateway: "Gateway",
};

/** Who it was: a name if there is one, and how they came. */
export function who({ by }: AuditEntry): { name: string; how: string | null } {
  const how = KINDS[by.kind];
  if (by.kind === "operator") return { name: how, how: null };
  return by.name ? { name: by.name, how } : { name: how, how: null };
}
