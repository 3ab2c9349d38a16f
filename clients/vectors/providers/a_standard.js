// Providers that follow Standard Webhooks or deliver through Svix, judged by their own SDKs.
import { createHmac } from "node:crypto";
import { suite } from "../suite.js";
import { version, require, SENT } from "../lib.js";

const KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
const decoded = (secret) => Buffer.from(secret.replace(/^whsec_/, ""), "base64");

/** The base64 signature that the specification describes: id, time and body, joined by dots. */
function sign(key, id, time, body) {
  return createHmac("sha256", key).update(`${id}.${time}.`).update(body).digest("base64");
}

/**
 * The usual set for one provider. `prefix` is `webhook` or `svix`, `bytes(key)` makes the HMAC key of a secret, `facts`
 * are the event type (the id is added), and `judge(headers, text, key, vector)` throws or answers false to refuse.
 */
export function standard({ slug, prefix = "webhook", made, judged, judge, body, event_type, bytes = decoded, key = KEY, other = OTHER, future = 300, age = 300, headers: more = {}, differs = {}, extra = [] }) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const headers = (list, time = SENT, id = ID) => ({
    "content-type": "application/json", [`${prefix}-id`]: id, [`${prefix}-timestamp`]: String(time), [`${prefix}-signature`]: list, ...more,
  });
  const right = `v1,${sign(bytes(key), ID, SENT, text)}`;
  const wrong = `v1,${sign(bytes(other), ID, SENT, text)}`;
  const without = (name) => Object.fromEntries(Object.entries(headers(right)).filter(([header]) => header !== `${prefix}-${name}`));
  const spaced = `${text.slice(0, 1)}  ${text.slice(1)}\n`;
  const vectors = [
    { name: "several signatures", headers: headers(`${wrong} ${right}`), expect: "genuine" },
    { name: "an unknown version beside", headers: headers(`v2,${right.slice(3)} ${right}`), expect: "genuine" },
    { name: "an unknown version alone", headers: headers(`v2,${right.slice(3)}`), expect: "refused", refusal: "unsupported_signature" },
    { name: "another id", headers: headers(right, SENT, "msg_another"), expect: "refused", refusal: "signature_mismatch" },
    { name: "odd spacing in the body", body: spaced, headers: headers(`v1,${sign(bytes(key), ID, SENT, spaced)}`), expect: "genuine" },
    { name: "re-serialised body", body: spaced, expect: "refused", refusal: "signature_mismatch" },
    { name: "no id", headers: without("id"), expect: "refused", refusal: "missing_part" },
    { name: "no time", headers: without("timestamp"), expect: "refused", refusal: "missing_timestamp" },
    ...extra,
  ];
  for (const vector of vectors) if (differs[vector.name]) vector.sdk_differs = differs[vector.name];
  return suite({
    slug, made, judged, key, other, body: text, facts: { ...(event_type ? { event_type } : {}), delivery_id: ID },
    judge: judge && ((v, k) => judge(v.headers, v.body.toString(), k, v)),
    request: ({ key: secret, body: sent, time }) => ({ headers: headers(`v1,${sign(bytes(secret), ID, time, sent)}`, time) }),
    signature: `${prefix}-signature`, malformed: "v1,%%%",
    time: { max_age: age, max_future: future, renew: (old, time) => ({ ...old, [`${prefix}-timestamp`]: String(time) }) },
    extra: vectors,
  });
}

/** A judge that passes when its call does not throw. */
const quiet = (call) => async (...given) => {
  await call(...given);
  return true;
};

async function clerk() {
  const { verifyWebhook } = await import("@clerk/backend/webhooks");
  return standard({
    slug: "clerk", prefix: "svix", judged: version("@clerk/backend"), event_type: "user.created",
    body: { data: { id: "user_29w83sxmDNGwOuEthce5gg56FcC", first_name: "Zoë" }, object: "event", type: "user.created" },
    judge: quiet((headers, body, key) => verifyWebhook(new Request("https://hooks.example.com/in/src", { method: "POST", headers, body }), { signingSecret: key })),
  });
}

async function resend() {
  const { Resend } = await import("resend");
  const client = new Resend("re_made_up");
  return standard({
    slug: "resend", prefix: "svix", judged: version("resend"), event_type: "email.delivered",
    body: { type: "email.delivered", created_at: "2026-01-01T00:00:00.000Z", data: { email_id: "56761188", subject: "Grüße" } },
    judge: quiet((headers, payload, webhookSecret) => client.webhooks.verify({
      payload, webhookSecret, headers: { id: headers["svix-id"], timestamp: headers["svix-timestamp"], signature: headers["svix-signature"] },
    })),
  });
}

async function openai() {
  const { OpenAI } = await import("openai");
  const client = new OpenAI({ apiKey: "sk-made-up" });
  const plain = "a plain secret without any prefix";
  const body = { object: "event", id: "evt_1", type: "response.completed", created_at: SENT, data: { id: "resp_1" } };
  const signature = `v1,${sign(Buffer.from(plain), ID, SENT, JSON.stringify(body))}`;
  return standard({
    slug: "openai", judged: version("openai"), event_type: "response.completed", body,
    judge: quiet((headers, text, key) => client.webhooks.unwrap(text, headers, key)),
    extra: [
      { name: "a secret without prefix is the key as it is", secrets: [plain], headers: { "webhook-id": ID, "webhook-timestamp": String(SENT), "webhook-signature": signature }, expect: "genuine" },
      { name: "the prefix removed from the secret", secrets: [KEY.slice(6)], expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

async function anthropic() {
  const { Anthropic } = await import("@anthropic-ai/sdk");
  const client = new Anthropic({ apiKey: "made-up" });
  return standard({
    slug: "anthropic", judged: version("@anthropic-ai/sdk"), event_type: "session.status_idled",
    body: { type: "event", id: "wevt_1", created_at: "2026-01-01T00:00:00Z", data: { type: "session.status_idled", id: "sesn_1" } },
    judge: quiet((headers, text, key) => client.beta.webhooks.unwrap(text, { headers, key })),
    extra: [{ name: "only X-Webhook-Signature", headers: { "x-webhook-signature": "sha256=00" }, expect: "refused", refusal: "missing_signature" }],
  });
}

async function replicate() {
  const { validateWebhook } = await import("replicate");
  const unchecked = "it leaves the age to the caller, and Replicate's page advises a bound";
  return standard({
    slug: "replicate", judged: version("replicate"), event_type: "succeeded", age: null, future: null,
    body: { id: "ufawqhfynnddngldkgtslldrkq", status: "succeeded", output: ["https://replicate.delivery/pbxt/1/out.png"], error: null },
    judge: (headers, body, secret) => validateWebhook({
      id: headers["webhook-id"], timestamp: headers["webhook-timestamp"], signature: headers["webhook-signature"], body, secret,
    }),
    differs: { "an unknown version alone": "it does not look at the version" },
    extra: [
      { name: "at the edge of the tolerance", verify_at: SENT + 300, expect: "genuine" },
      { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale", sdk_differs: unchecked },
      { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future", sdk_differs: unchecked },
    ],
  });
}

async function liveblocks() {
  const { WebhookHandler } = await import("@liveblocks/node");
  return standard({
    slug: "liveblocks", judged: version("@liveblocks/node"), event_type: "storageUpdated",
    body: { type: "storageUpdated", data: { projectId: "p1", roomId: "room-1", updatedAt: "2026-01-01T00:00:00.000Z" } },
    judge: quiet((headers, rawBody, key) => new WebhookHandler(key).verifyRequest({ rawBody, headers })),
    differs: { "an unknown version alone": "it does not look at the version" },
  });
}

async function dodopayments() {
  const { default: DodoPayments } = await import("dodopayments");
  const client = new DodoPayments({ bearerToken: "made-up" });
  return standard({
    slug: "dodopayments", judged: version("dodopayments"), event_type: "payment.succeeded",
    body: { business_id: "bus_1", type: "payment.succeeded", timestamp: "2026-01-01T00:00:00Z", data: { payment_id: "pay_1", total_amount: 4000 } },
    judge: quiet((headers, text, key) => client.webhooks.unwrap(text, { headers, key })),
  });
}

async function lithic() {
  const { default: Lithic } = await import("lithic");
  const client = new Lithic({ apiKey: "made-up" });
  return standard({
    slug: "lithic", judged: version("lithic"), event_type: "card.created",
    body: { event_type: "card.created", card_token: "00000000-0000-0000-0000-000000000001" },
    judge: quiet((headers, text, key) => client.webhooks.verifySignature(text, headers, key)),
  });
}

async function polar() {
  const body = { type: "order.paid", timestamp: "2026-01-01T00:00:00Z", data: { id: "o1" } };
  const headers = (bytes) => ({ "webhook-id": ID, "webhook-timestamp": String(SENT), "webhook-signature": `v1,${sign(bytes, ID, SENT, JSON.stringify(body))}` });
  const { validateEvent } = await polarWebhooks();
  return standard({
    slug: "polar", judged: version("@polar-sh/sdk"), event_type: "order.paid", bytes: (secret) => Buffer.from(secret),
    key: "polar_whs_made_up_0123456789", other: "polar_whs_another_9876543210",
    body,
    judge: quiet((headers, text, key) => validateEvent(text, headers, key)),
    extra: [
      { name: "a secret with whsec_, used as text", secrets: [KEY], headers: headers(Buffer.from(KEY)), expect: "genuine" },
      { name: "a secret with whsec_, decoded", secrets: [KEY], headers: headers(decoded(KEY)), expect: "genuine" },
      { name: "a secret with whsec_, the prefix removed and not decoded", secrets: [KEY], headers: headers(Buffer.from(KEY.slice(6))), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

/** The SDK's check of signatures; a type that it does not know is refused after the signature was accepted. */
async function polarWebhooks() {
  const { webhooks } = require("@polar-sh/sdk/2026-04");
  return {
    validateEvent: async (text, headers, key) => {
      try {
        await webhooks.validateEvent(text, headers, key);
      } catch (failure) {
        if (failure.constructor.name !== "PolarWebhookUnknownTypeError") throw failure;
      }
    },
  };
}

async function seam() {
  const { SeamWebhook } = await import("@seamapi/webhook");
  return standard({
    slug: "seam", prefix: "svix", judged: version("@seamapi/webhook"), event_type: "device.connected",
    body: { event_id: "8d7b0b3e", event_type: "device.connected", workspace_id: "w1", device_id: "d1" },
    judge: quiet((headers, text, key) => new SeamWebhook(key).verify(text, headers)),
  });
}

async function fathom() {
  const { Fathom } = require("fathom-typescript");
  return standard({
    slug: "fathom", judged: version("fathom-typescript"),
    body: { recording_id: 123456789, title: "Quarterly review", url: "https://fathom.video/calls/1" },
    judge: quiet((headers, text, key) => Fathom.verifyWebhook(key, headers, text)),
  });
}

async function composio() {
  const { Composio } = await import("@composio/core");
  const client = new Composio({ apiKey: "made-up", allowTracking: false, disableVersionCheck: true });
  const body = {
    id: "msg_1", timestamp: "2026-01-01T00:00:00.000Z", type: "composio.trigger.message", data: { message: "fix" },
    metadata: { log_id: "l1", trigger_slug: "GITHUB_COMMIT_EVENT", trigger_id: "ti_1", connected_account_id: "ca_1", auth_config_id: "ac_1", user_id: "u1" },
  };
  return standard({
    slug: "composio", judged: version("@composio/core"), event_type: "composio.trigger.message", body, bytes: (secret) => Buffer.from(secret),
    key: "made-up-webhook-secret-0123456789", other: "made-up-webhook-secret-9876543210",
    judge: quiet((headers, payload, secret) => client.triggers.verifyWebhook({
      payload, secret, id: headers["webhook-id"], timestamp: headers["webhook-timestamp"], signature: headers["webhook-signature"],
    })),
  });
}

// One after the other: while a judge runs, the clock stands still for all.
export default async () => {
  const made = [];
  for (const one of [clerk, resend, openai, anthropic, replicate, liveblocks, dodopayments, lithic, polar, seam, fathom, composio]) made.push(await one());
  return made;
};
