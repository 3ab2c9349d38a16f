// The one way to the gateway's API: typed by its OpenAPI document, with problems made into errors that
// say what to do. Who is signed in is known by a cookie that scripts cannot read; no token is kept here.
import createClient, { type Middleware } from "openapi-fetch";
import type { paths } from "./generated/schema";

/** A place in a request that the gateway did not like. */
export interface Flaw {
  place: string;
  text: string;
}

/** What the gateway said instead of an answer. */
export class ApiProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string | null;
  /** With status 422: what is wrong, place by place. */
  readonly flaws: Flaw[];

  constructor(status: number, code: string, detail: string, hint: string | null, flaws: Flaw[] = []) {
    super(detail);
    this.name = "ApiProblem";
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.flaws = flaws;
  }
}

type Listener = () => void;
const outside = new Set<Listener>();

/** Calls `listener` when the gateway says that nobody is signed in (any more). */
export function onSignedOut(listener: Listener): () => void {
  outside.add(listener);
  return () => outside.delete(listener);
}

const LOOKING = new Set(["GET", "HEAD"]);

// A page of another site can send the cookie along with a form, but not this header.
const fromHere: Middleware = {
  onRequest({ request }) {
    if (!LOOKING.has(request.method)) request.headers.set("x-becket-session", "1");
    return request;
  },
  onResponse({ request, response }) {
    noticeSignedOut(request.url, response.status);
    return undefined;
  },
};

function noticeSignedOut(url: string, status: number) {
  // A wrong token at the sign-in is that form's business.
  if (status === 401 && !url.includes("/becket/session")) for (const listener of outside) listener();
}

export const api = createClient<paths>({ baseUrl: "/" });
api.use(fromHere);

interface Outcome<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer, or the problem as an error. An answer without content is `undefined`. */
export async function answer<T>(asked: Promise<Outcome<T>>): Promise<T> {
  const { data, error, response } = await asked;
  if (response.ok) return data as T;
  throw problemOf(response.status, error);
}

type Query = Record<string, string | number | boolean | null | undefined>;

/** Asks for a path that the OpenAPI document does not describe (streams, plain bytes) or describes only
 * since the types were last made. `undefined` and empty values of `query` are left out. */
export async function call<T>(method: string, path: string, given: { query?: Query; body?: unknown; signal?: AbortSignal } = {}): Promise<T> {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(given.query ?? {})) {
    if (value !== undefined && value !== null && value !== "") query.set(key, String(value));
  }
  const headers: Record<string, string> = { accept: "application/json" };
  if (!LOOKING.has(method)) headers["x-becket-session"] = "1";
  if (given.body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch(query.size > 0 ? `${path}?${query}` : path, {
    method,
    headers,
    ...(given.body !== undefined && { body: JSON.stringify(given.body) }),
    ...(given.signal && { signal: given.signal }),
  });
  noticeSignedOut(path, response.status);
  const text = await response.text();
  const read = json(text);
  if (response.ok) return read as T;
  throw problemOf(response.status, read);
}

function json(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The error that a problem answer stands for. */
export function problemOf(status: number, error: unknown): ApiProblem {
  const told = (typeof error === "object" && error !== null ? error : {}) as Record<string, unknown>;
  const text = (value: unknown) => (typeof value === "string" ? value : null);
  const flaws = flawsOf(told.detail);
  const detail = text(told.detail) ?? (flaws.length > 0 ? (text(told.title) ?? "The request is not right.") : null);
  return new ApiProblem(status, text(told.code) ?? "unknown", detail ?? `The gateway answered ${status}.`, text(told.hint), flaws);
}

function flawsOf(detail: unknown): Flaw[] {
  if (!Array.isArray(detail)) return [];
  return (detail as { loc?: unknown; msg?: unknown }[]).map((one) => ({
    place: Array.isArray(one.loc) ? one.loc.filter((part) => part !== "body").join(".") : "",
    text: typeof one.msg === "string" ? one.msg : "is not right",
  }));
}
