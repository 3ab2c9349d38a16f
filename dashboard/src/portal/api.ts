// The portal's way to the API: its own token, no cookie, and problems told in a customer's words.
import createClient, { type Middleware } from "openapi-fetch";

import { ApiProblem, problemOf } from "../api/client";
import type { paths } from "../api/generated/schema";
import { session } from "./session";

const authorize: Middleware = {
  onRequest({ request }) {
    const token = session.token();
    if (token) request.headers.set("authorization", `Bearer ${token}`);
    return request;
  },
  onResponse({ request, response }) {
    noticeEnd(response.status, request.headers.get("authorization"));
    return undefined;
  },
};

// An answer to an older token says nothing about the present one.
function noticeEnd(status: number, authorization: string | null): void {
  if (status === 401 && authorization === `Bearer ${session.token()}`) session.end();
}

export const api = createClient<paths>({ baseUrl: "/", credentials: "omit", referrerPolicy: "no-referrer" });
api.use(authorize);

interface Outcome<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer, or the problem as an error. */
export async function ask<T>(asked: Promise<Outcome<T>>): Promise<T> {
  const { data, error, response } = await asked;
  if (response.ok) return data as T;
  throw problem(response.status, error);
}

/** A call whose answer the API's document leaves open, or that it does not name yet. */
export async function plain<T>(method: string, path: string, body?: unknown): Promise<T> {
  const authorization = `Bearer ${session.token() ?? ""}`;
  const answer = await fetch(path, {
    method, credentials: "omit", referrerPolicy: "no-referrer",
    headers: { authorization, ...(body !== undefined && { "content-type": "application/json" }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  noticeEnd(answer.status, authorization);
  const told: unknown = await answer.json().catch(() => undefined);
  if (!answer.ok) throw problem(answer.status, told);
  return told as T;
}

/** What is said to whoever runs the gateway: commands, settings, tokens. */
const FOR_OPERATORS = /`?becket |BECKET_|admin|capability|\[[a-z_]+\]|POST \/|GET \//i;

const ADVICE: Record<number, string> = {
  401: "Ask for a new link to this page.",
  403: "Your access does not include this. Ask whoever gave you the link.",
  404: "It may have been deleted, or it is older than what is kept.",
  409: "It was changed meanwhile. Reload the page and try again.",
  429: "Wait a moment, then try again.",
};

/** The error that a problem answer stands for, with advice that a customer can follow. */
function problem(status: number, told: unknown): ApiProblem {
  const { code, message, hint, flaws } = problemOf(status, told);
  const useful = hint && !FOR_OPERATORS.test(hint) ? hint : null;
  const advice = useful ?? ADVICE[status] ?? (status >= 500 ? "Try again in a moment." : null)
    ?? (flaws.length > 0 ? "Change what is named here, then try again." : "Check what you entered, then try again.");
  const title = message.charAt(0).toUpperCase() + message.slice(1);
  return new ApiProblem(status, code, title, advice, flaws);
}
