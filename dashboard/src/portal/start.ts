// What the address of the portal says: the token and how the page that embeds it wants it shown.
//
// The token is only taken from the fragment, which browsers send to nobody. The fragment is replaced
// at once, so that neither the address bar nor the history keeps it.

export interface Start {
  /** A one-time code (`otc_...`) or a token (`bk_...`). */
  token: string | null;
  look: Look;
}

/** What an embedding page may choose. */
export interface Look {
  theme: "light" | "dark" | null;
  /** `#rrggbb` */
  color: string | null;
  /** The origin of the embedding page, as it names itself. */
  origin: string | null;
}

const LOOK_KEY = "becket.portal.look";

/** Where `page=` may lead. */
const PAGES = ["endpoints", "deliveries", "events", "verify"];

/** Whether a fragment is a place in the portal rather than a set of parameters. */
export const isPlace = (hash: string): boolean => hash === "" || hash === "#" || hash.startsWith("#/");

/** Reads fragment and query; the fragment wins, and the token is read from nothing else. */
export function readStart(hash: string, search: string): Start & { place: string } {
  const fragment = new URLSearchParams(isPlace(hash) ? "" : hash.slice(1));
  const query = new URLSearchParams(search);
  const value = (name: string) => fragment.get(name) ?? query.get(name);
  const theme = value("theme");
  return {
    token: fragment.get("token") || null,
    place: isPlace(hash) && hash.length > 1 ? hash : placeOf(value("page")),
    look: {
      theme: theme === "light" || theme === "dark" ? theme : null,
      color: colorOf(value("color")),
      origin: originOf(value("origin")),
    },
  };
}

function placeOf(page: string | null): string {
  const path = (page ?? "").replace(/^\/+/, "");
  const [first = ""] = path.split("/");
  return PAGES.includes(first) && /^[\w./-]*$/.test(path) ? `#/${path}` : "#/endpoints";
}

/** A colour as `#rrggbb`; three digits and a missing `#` are understood. */
export function colorOf(text: string | null): string | null {
  const digits = (text ?? "").replace(/^#/, "").toLowerCase();
  if (/^[0-9a-f]{6}$/.test(digits)) return `#${digits}`;
  if (/^[0-9a-f]{3}$/.test(digits)) return `#${[...digits].map((digit) => digit + digit).join("")}`;
  return null;
}

function originOf(text: string | null): string | null {
  if (!text) return null;
  try {
    const { origin, protocol } = new URL(text);
    return protocol === "https:" || protocol === "http:" ? origin : null;
  } catch {
    return null;
  }
}

/** Takes the token out of the address and gives back what it said. `stay` is a place that is kept. */
export function takeStart(stay?: string): Start {
  const start = readStart(window.location.hash, window.location.search);
  const remembered = isPlace(window.location.hash) ? recall() : null;
  const place = start.token !== null && stay ? stay : start.place;
  if (place !== window.location.hash) {
    window.history.replaceState(null, "", window.location.pathname + window.location.search + place);
  }
  const look = {
    theme: start.look.theme ?? remembered?.theme ?? null,
    color: start.look.color ?? remembered?.color ?? null,
    origin: start.look.origin ?? remembered?.origin ?? null,
  };
  keep(look);
  return { token: start.token, look };
}

/**
 * Listens for a fresh link that is opened in this tab or frame: only its fragment differs, so whatever
 * is being worked on stays on the page. Without a token, `page=` leads elsewhere.
 */
export function onFreshLink(take: (token: string) => void): void {
  window.addEventListener("hashchange", (event) => {
    if (isPlace(window.location.hash)) return;
    const before = event.oldURL ? new URL(event.oldURL).hash : "";
    const { token } = takeStart(isPlace(before) && before.length > 1 ? before : undefined);
    if (token) take(token);
  });
}

// A reload has no parameters any more; none of these is a secret.
function keep(look: Look): void {
  try {
    window.sessionStorage.setItem(LOOK_KEY, JSON.stringify(look));
  } catch {
    // Storage may be blocked in a frame of another site: then a reload shows the portal's own look.
  }
}

function recall(): Look | null {
  try {
    const text = window.sessionStorage.getItem(LOOK_KEY);
    return text ? (JSON.parse(text) as Look) : null;
  } catch {
    return null;
  }
}
