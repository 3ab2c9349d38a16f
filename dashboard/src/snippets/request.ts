// A received request in forms that go into a terminal or a repository: a curl line, and a recording for
// `becket test`.
import type { Headers } from "../api/queries/events";

/** What is needed of an event. */
export interface Received {
  eventId: string;
  receivedAt: string;
  provider: string;
  source: string;
  eventType: string | null;
  method: string;
  url: string;
  headers: Headers;
  body: ArrayBuffer;
}

const INLINE_BYTES_MAX = 8 * 1024;
const HIDDEN = "[redacted]";
const CONNECTION = new Set(["host", "content-length", "connection", "accept-encoding", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive"]);

function textOf(body: ArrayBuffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return null;
  }
}

// Everything is quoted; a quote inside ends the text, stands alone and begins it again.
const quoted = (text: string) => (/^[\w./:=,+@%-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A curl line that sends the request again, as it came; credentials that are hidden are left out. */
export function curlOf({ eventId, method, url, headers, body }: Received): string {
  const parts = [`curl --request ${quoted(method)} --url ${quoted(url)}`];
  let typed = false;
  for (const [name, value] of headers) {
    if (CONNECTION.has(name.toLowerCase()) || value === HIDDEN) continue;
    if (name.toLowerCase() === "content-type") typed = true;
    parts.push(`--header ${quoted(value === "" ? `${name};` : `${name}: ${value}`)}`);
  }
  if (!typed && body.byteLength > 0) parts.push("--header 'content-type:'");
  const text = body.byteLength <= INLINE_BYTES_MAX ? textOf(body) : null;
  // What a terminal would swallow or obey comes from a file.
  const inline = text !== null && !/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(text);
  if (body.byteLength > 0) parts.push(inline ? `--data-raw ${quoted(text)}` : `--data-binary @${eventId}.body`);
  return parts.join(" \\\n  ");
}

const PASSING = new Set([
  ...CONNECTION, "proxy-connection", "via", "forwarded", "x-real-ip", "x-request-id", "x-correlation-id", "x-amzn-trace-id", "x-cloud-trace-context",
  "traceparent", "tracestate", "baggage", "true-client-ip", "cdn-loop", "priority", "date", "webhook-id", "webhook-timestamp", "x-github-delivery",
]);
const BEGINNINGS = ["x-forwarded-", "cf-", "fly-", "x-vercel-", "x-b3-", "becket-", "x-datadog-", "fastly-"];
const PROVES = ["signature", "hmac", "authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "timestamp"];

function isKept(name: string, value: string): boolean {
  return !PASSING.has(name) && value !== HIDDEN && !BEGINNINGS.some((beginning) => name.startsWith(beginning)) && !PROVES.some((word) => name.includes(word));
}

// A text of TOML in double quotes; `JSON` writes the same escapes, but for two signs.
const basic = (text: string) => JSON.stringify(text).replace(/[\u007f-\u009f]/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`);

function lines(text: string): string {
  const plain = !text.includes("'''") && !text.endsWith("'") && !/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text);
  return plain ? `'''\n${text}'''` : basic(text);
}

/** A recording for `becket test`: signed afresh when it is sent, so that no signature is in it. */
export function recordingOf(received: Received): string {
  const { eventId, receivedAt, provider, source, eventType, method, headers, body } = received;
  const head = [
    `# ${eventType ?? "an event"} of ${source}, received ${receivedAt} as ${eventId}`.replace(/[\u0000-\u001f\u007f-\u009f]/g, " "),
    "# Signatures and credentials are left out; the body is as it came. Read it before you commit it:",
    `# becket record --event ${eventId} also replaces personal data by itself.`,
    `provider = ${basic(provider)}`, `source = ${basic(source)}`,
    ...(eventType === null ? [] : [`event_type = ${basic(eventType)}`]),
    `method = ${basic(method)}`, "", "[expect]", 'status = "2xx"', "", "[headers]",
  ];
  const byName = new Map<string, string[]>();
  for (const [given, value] of headers) {
    const name = given.toLowerCase();
    if (isKept(name, value)) byName.set(name, [...(byName.get(name) ?? []), value]);
  }
  const kept = [...byName].map(([name, values]) => `${/^[\w-]+$/.test(name) ? name : basic(name)} = ${values.length === 1 ? basic(values[0] ?? "") : `[${values.map(basic).join(", ")}]`}`);
  return [...head, ...kept, ...bodyLines(body), ""].join("\n");
}

function bodyLines(body: ArrayBuffer): string[] {
  if (body.byteLength === 0) return [];
  const text = textOf(body);
  if (text === null) return ["", "[body]", `base64 = "${base64(body)}"`];
  const json = compactJson(text);
  if (json !== null) return ["", "[body]", 'layout = "compact"', `json = ${lines(json)}`];
  return ["", "[body]", `text = ${lines(text)}`];
}

// In lines only if exactly these bytes come out again.
function compactJson(text: string): string | null {
  if (!/^[{[]/.test(text)) return null;
  try {
    const value: unknown = JSON.parse(text);
    return JSON.stringify(value) === text ? JSON.stringify(value, null, 2) : null;
  } catch {
    return null;
  }
}

function base64(body: ArrayBuffer): string {
  const bytes = new Uint8Array(body);
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}
