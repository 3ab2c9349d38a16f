// Plain HMAC schemes without an SDK that judges: signed here after each provider's own text where `after` is an
// address, and otherwise after descriptions by others.
import { createHmac } from "node:crypto";
import { SENT } from "../lib.js";
import { suite } from "../suite.js";

const others = "descriptions by others";
const iso = (time) => new Date(time * 1000).toISOString();
const seconds = (time) => String(time);
const ms = (time) => String(time * 1000);
const HEX_KEY = "058bfb6a3d8cfdc4da7c3be5901b16ae11da982b46a25fb2cd7016e97a140a1c";
const BASE64_KEY = "bWFkZS11cC1rZXktZm9yLXZlY3RvcnMtb25seQ==";

/**
 * One row: `stamp(time)` writes the time, `stampAt` is its header, `message(t, body)` what is signed, `prefix` what
 * stands before the signature, `other` a second key of the same form, `bytes` how the key is read, `fixed` further
 * headers.
 */
const rows = [
  {
    slug: "zendesk", after: "https://developer.zendesk.com/documentation/webhooks/verifying/", header: "x-zendesk-webhook-signature", encoding: "base64",
    stampAt: "x-zendesk-webhook-signature-timestamp", stamp: iso, message: (t, b) => t + b, fixed: { "x-zendesk-webhook-invocation-id": "01GQXJZ3P4" },
    body: { type: "zen:event-type:ticket.created", detail: { id: "5158", subject: "Grüße" } }, facts: { event_type: "zen:event-type:ticket.created", delivery_id: "01GQXJZ3P4" },
    extra: [{ name: "no body", method: "GET", body: "", signed: "", expect: "genuine" }],
  },
  {
    slug: "akeneo", after: "https://api.akeneo.com/events-documentation/security.html", header: "x-akeneo-request-signature", stampAt: "x-akeneo-request-timestamp", stamp: seconds, message: (t, b) => `${t}.${b}`,
    body: { events: [{ action: "product.updated", event_id: "1f8bfb1c" }, { action: "product.removed", event_id: "2a" }] }, facts: { event_type: "product.updated", delivery_id: "1f8bfb1c" },
  },
  {
    slug: "close", after: "https://developer.close.com/api/resources/webhooks.md", header: "close-sig-hash", stampAt: "close-sig-timestamp", stamp: seconds, message: (t, b) => t + b,
    key: HEX_KEY, other: HEX_KEY.replace("0", "1"), bytes: "hex", body: { event: { id: "ev_1", object_type: "lead", action: "updated" } }, facts: { event_type: "lead.updated", delivery_id: "ev_1" },
  },
  {
    slug: "zerohash", after: "Zero Hash's document on token signature requests", header: "x-zh-hook-signature", stampAt: "x-zh-hook-timestamp", stamp: ms, message: (t, b) => b + t,
    fixed: { "x-zh-hook-payload-type": "trade_status_changed", "x-zh-hook-notification-id": "n-1" }, body: { trade_id: "t-1" }, facts: { event_type: "trade_status_changed", delivery_id: "n-1" },
    extra: [{ name: "time in seconds", stamped: String(SENT), expect: "genuine" }],
  },
  {
    slug: "configcat", after: "https://github.com/configcat/configcat-proxy", header: "x-configcat-webhook-signature-v1", encoding: "base64", stampAt: "x-configcat-webhook-timestamp", stamp: seconds,
    message: (t, b) => `b616ca65${t}${b}`, fixed: { "x-configcat-webhook-id": "b616ca65" }, body: { event: "setting.changed" }, facts: { event_type: "setting.changed", delivery_id: "b616ca65" },
    extra: [{ name: "two signatures", also: (good) => `${Buffer.alloc(32).toString("base64")},${good}`, expect: "genuine" }],
  },
  {
    slug: "customerio", header: "x-cio-signature", stampAt: "x-cio-timestamp", stamp: seconds, message: (t, b) => `v0:${t}:${b}`,
    body: { event_id: "01E4C4CT", object_type: "email", metric: "delivered" }, facts: { event_type: "email.delivered", delivery_id: "01E4C4CT" },
  },
  {
    slug: "airship", header: "x-ua-signature", stampAt: "x-ua-timestamp", stamp: seconds, message: (t, b) => `${t}:${b}`, body: { values: [] },
  },
  {
    slug: "airwallex", header: "x-signature", stampAt: "x-timestamp", stamp: ms, message: (t, b) => t + b, body: { id: "evt_1", name: "payment_intent.succeeded" }, facts: { event_type: "payment_intent.succeeded", delivery_id: "evt_1" },
  },
  {
    slug: "synctera", header: "synctera-signature", stampAt: "request-timestamp", stamp: seconds, message: (t, b) => `${t}.${b}`, body: { id: "b1a4", type: "ACCOUNT.UPDATED" }, facts: { event_type: "ACCOUNT.UPDATED", delivery_id: "b1a4" },
    extra: [{ name: "two signatures", also: (good) => `${"0".repeat(64)}.${good}`, expect: "genuine" }],
  },
  {
    slug: "faundit", header: "x-faundit-signature-next", stampAt: "x-faundit-timestamp", stamp: seconds, message: (t, b) => `v1:${t}:${b}`, body: { event: "item-status" }, facts: { event_type: "item-status" },
    extra: [{ name: "the older signature alone", only: { "x-faundit-signature": createHmac("sha256", "a made-up secret").update(`v0:${SENT}`).digest("hex"), "x-faundit-timestamp": String(SENT) }, expect: "refused", refusal: "missing_signature" }],
  },
  {
    slug: "klaviyo", header: "klaviyo-signature", stampAt: "klaviyo-timestamp", stamp: (time) => new Date(time * 1000).toUTCString(), message: (t, b) => b + t,
    body: { data: [{ topic: "event:klaviyo.opened_email" }] }, facts: { event_type: "event:klaviyo.opened_email" },
  },
  {
    slug: "daily", header: "x-webhook-signature", encoding: "base64", stampAt: "x-webhook-timestamp", stamp: ms, message: (t, b) => `${t}.${b}`, key: BASE64_KEY, other: "b3RoZXI=", bytes: "base64",
    body: { type: "meeting.started", id: "msg-1" }, facts: { event_type: "meeting.started", delivery_id: "msg-1" },
  },
  {
    slug: "frameio", header: "x-frameio-signature", prefix: "v0=", stampAt: "x-frameio-request-timestamp", stamp: seconds, message: (t, b) => `v0:${t}:${b}`, body: { type: "comment.created" }, facts: { event_type: "comment.created" },
  },
  {
    slug: "lob", header: "lob-signature", stampAt: "lob-signature-timestamp", stamp: ms, message: (t, b) => `${t}.${b}`, body: { id: "evt_1", event_type: { id: "postcard.created" } }, facts: { event_type: "postcard.created", delivery_id: "evt_1" },
  },
  {
    slug: "grafana", header: "x-grafana-alerting-signature", stampAt: "x-grafana-alerting-timestamp", stamp: seconds, message: (t, b) => `${t}:${b}`, body: { status: "firing" }, facts: { event_type: "firing" },
    after: "Grafana's description of the webhook contact point, as told by others",
    extra: [
      { name: "without a time", bodyOnly: true, expect: "genuine" },
      { name: "the time moved into the body", body: `${SENT}:{"status":"firing"}`, dropStamp: true, expect: "refused", refusal: "unsupported_body" },
    ],
  },
];

function row({ slug, after = others, header, encoding = "hex", prefix = "", stampAt, stamp, message, key = "a made-up secret", other = "another secret", bytes, fixed = {}, body, facts, extra = [] }) {
  const text = JSON.stringify(body);
  const sign = (given, signed) => `${prefix}${createHmac("sha256", bytes ? Buffer.from(given, bytes) : given).update(signed).digest(encoding)}`;
  const headers = (given, stamped, signed) => ({ "content-type": "application/json", ...fixed, [stampAt]: stamped, [header]: sign(given, message(stamped, signed)) });
  const good = headers(key, stamp(SENT), text);
  const without = (name) => Object.fromEntries(Object.entries(good).filter(([one]) => one !== name));
  const further = extra.map(({ signed, stamped, also, only, bodyOnly, dropStamp, ...vector }) => {
    if (signed !== undefined) return { ...vector, headers: headers(key, stamp(SENT), signed) };
    if (stamped) return { ...vector, headers: headers(key, stamped, text) };
    if (also) return { ...vector, headers: { ...good, [header]: also(good[header]) } };
    if (only) return { ...vector, headers: only };
    if (bodyOnly) return { ...vector, headers: { ...without(stampAt), [header]: sign(key, text) } };
    if (dropStamp) return { ...vector, headers: without(stampAt) };
    return vector;
  });
  return suite({
    slug, made: `signed with Node's crypto after ${after}`, key, other, body: text, facts, signature: header, malformed: `${prefix}%`,
    request: ({ key: given, body: signed, time }) => ({ headers: headers(given, stamp(time), signed) }),
    time: { max_age: 300, max_future: 300, renew: (all, time) => ({ ...all, [stampAt]: stamp(time) }) },
    extra: [...further, { name: "re-serialised body", body: JSON.stringify(body, null, 2), expect: "refused", refusal: "signature_mismatch" }],
  });
}

export default async () => rows.map(row);
