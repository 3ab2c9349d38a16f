// Whether somebody is in, and as whom. The token lives in memory and, where the browser allows it, in
// this tab's sessionStorage: a reload stays in, another tab does not. No cookie, nothing that lasts.
//
// Invariants: a one-time code is exchanged once, outside of rendering; a token that is not one of a
// portal is dropped unread; after the end nothing is asked any more with the old token.
import { useSyncExternalStore } from "react";

import { knock, leave, type Knock, type Who } from "./door";

const TOKEN_KEY = "becket.portal.token";

/** Why nobody is in. */
export type Refusal = "no-link" | "link-used" | "not-portal" | "too-many" | "unreachable" | "left";

export type Session =
  | { at: "opening" }
  | { at: "refused"; why: Refusal; retry: (() => void) | null }
  | { at: "open"; token: string; who: Who }
  /** The session ended while somebody was at work; what was on the page stays. `why` a new link failed. */
  | { at: "ended"; who: Who; why: Refusal | null };

let now: Session = { at: "opening" };
const listeners = new Set<() => void>();

function become(next: Session): void {
  now = next;
  for (const listener of listeners) listener();
}

export const session = {
  now: (): Session => now,
  token: (): string | null => (now.at === "open" ? now.token : null),
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
  /** Opens with a code or a token, or with what this tab still has. */
  async begin(given: string | null): Promise<void> {
    const token = given ?? stored();
    if (token === null) return become({ at: "refused", why: "no-link", retry: null });
    // A fresh link while somebody is at work keeps the page as it is.
    if (now.at === "refused") become({ at: "opening" });
    const before = now;
    const came: Knock = await knock(token, store);
    if (came.why === null) {
      store(came.token);
      return become({ at: "open", token: came.token, who: came.who });
    }
    if (came.why !== "unreachable" && came.why !== "too-many" && given === null) forget();
    // A bad link does not end a session that is still good.
    if (before.at === "open") return;
    if (before.at === "ended") return become({ ...before, why: came.why });
    const again = came.why === "unreachable" || came.why === "too-many";
    become({ at: "refused", why: came.why, retry: again ? () => void session.begin(came.token ?? given) : null });
  },
  /** The gateway refused the token: it has expired or was ended. */
  end(): void {
    forget();
    if (now.at === "open") become({ at: "ended", who: now.who, why: null });
  },
  /** Somebody leaves: the token ends at the gateway too. */
  async leave(): Promise<void> {
    const token = session.token();
    forget();
    become({ at: "refused", why: "left", retry: null });
    if (token) await leave(token);
  },
};

export function useSession(): Session {
  return useSyncExternalStore(session.subscribe, session.now);
}

// Browsers that block storage in frames of another site throw on any access: then the token lives in
// memory alone, and a reload asks for a new link.
function stored(): string | null {
  try {
    return window.sessionStorage.getItem(TOKEN_KEY);
  } catch {
    return null;
  }
}

function store(token: string): void {
  try {
    window.sessionStorage.setItem(TOKEN_KEY, token);
  } catch {
    // As above: memory has it.
  }
}

function forget(): void {
  try {
    window.sessionStorage.removeItem(TOKEN_KEY);
  } catch {
    // As above: there was nothing to forget.
  }
}
