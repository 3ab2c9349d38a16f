// Providers that sign the body alone and whose own SDK judges it: payments, messaging, scheduling, gateways.
import { createHmac } from "node:crypto";
import { require, version, pythonJudge, pythonVersion } from "../lib.js";
import { usual, json } from "./b_text.js";

const texts = "it compares texts";
const made = "signed with Node's crypto";

function razorpay() {
  const { validateWebhookSignature } = require("razorpay");
  return usual({
    slug: "razorpay", made, judged: version("razorpay"), header: "x-razorpay-signature", key: "rzp-made-up-secret", upper: texts,
    judge: (v, key) => validateWebhookSignature(v.body.toString(), v.headers["x-razorpay-signature"], key),
    body: json({ entity: "event", event: "payment.captured", payload: { payment: { entity: { id: "pay_1", amount: 100 } } } }),
    headers: { "x-razorpay-event-id": "PZ4aXvY1" }, facts: { event_type: "payment.captured", delivery_id: "PZ4aXvY1" },
  });
}

function gocardless() {
  const { verifySignature } = require("gocardless-nodejs/webhooks");
  return usual({
    slug: "gocardless", made, judged: version("gocardless-nodejs"), header: "webhook-signature", key: "ED7D658C-D8EB-4941-948B-3973214F2D49",
    judge: (v, key) => (verifySignature(v.body, key, v.headers["webhook-signature"]), true),
    body: json({ events: [{ id: "EV00BD05S5VM2T", resource_type: "payments", action: "confirmed" }], meta: { webhook_id: "WB00016AQ0R6NC" } }),
    facts: { event_type: "payments.confirmed", delivery_id: "WB00016AQ0R6NC" },
  });
}

function modernTreasury() {
  const ModernTreasury = require("modern-treasury").default;
  const client = new ModernTreasury({ apiKey: "made up", organizationID: "made up" });
  const key = "made-up-webhook-key";
  return usual({
    slug: "modern_treasury", made: `signed by ${version("modern-treasury")}`, judged: version("modern-treasury"), header: "x-signature", key, upper: texts,
    sign: (used, body) => client.webhooks.getSignature(body, { key: used }),
    judge: (v, used) => client.webhooks.validateSignature(v.body.toString(), v.headers["x-signature"], { key: used }),
    body: json({ event: "created", data: { id: "6bd8ce5d", object: "payment_order", amount: 1000 } }),
    headers: { "x-topic": "payment_order", "x-webhook-id": "3d6b3c24" }, facts: { event_type: "payment_order", delivery_id: "3d6b3c24" },
  });
}

function onfido() {
  const { WebhookEventVerifier } = require("@onfido/api");
  return usual({
    slug: "onfido", made, judged: version("@onfido/api"), header: "x-sha2-signature", key: "made_up_webhook_token",
    judge: (v, key) => Boolean(new WebhookEventVerifier(key).readPayload(v.body.toString(), v.headers["x-sha2-signature"])),
    body: json({ payload: { resource_type: "check", action: "check.completed", object: { id: "12345-23122", status: "complete", completed_at_iso8601: "2026-01-01T00:00:00Z" } } }),
    facts: { event_type: "check.completed", delivery_id: "check.completed:12345-23122:2026-01-01T00:00:00Z" },
  });
}

function stream() {
  const { StreamChat } = require("stream-chat");
  return usual({
    slug: "stream", made, judged: version("stream-chat"), header: "x-signature", key: "made-up-api-secret", upper: texts,
    judge: (v, key) => new StreamChat("key", key).verifyWebhook(v.body, v.headers["x-signature"]),
    body: json({ type: "message.new", cid: "messaging:general", message: { id: "2a1f", text: "Grüße" } }),
    headers: { "x-webhook-id": "a6f2", "x-api-key": "key" }, facts: { event_type: "message.new", delivery_id: "a6f2" },
  });
}

function pusher() {
  const Pusher = require("pusher");
  return usual({
    slug: "pusher", made, judged: version("pusher"), header: "x-pusher-signature", key: "made-up-app-secret", upper: texts,
    judge: (v, key) => new Pusher({ appId: "1", key: "278d425b", secret: key, cluster: "eu" }).webhook({ headers: v.headers, rawBody: v.body.toString() }).isValid(),
    body: json({ time_ms: 1767225600123, events: [{ name: "channel_occupied", channel: "my-channel" }] }),
    headers: { "x-pusher-key": "278d425b" }, facts: { event_type: "channel_occupied", delivery_id: "1767225600123:channel_occupied:my-channel" },
  });
}

function coinbaseCommerce() {
  const { Webhook } = require("coinbase-commerce-node");
  return usual({
    slug: "coinbase_commerce", made: `signed by ${version("coinbase-commerce-node")}`, judged: version("coinbase-commerce-node"), header: "x-cc-webhook-signature",
    key: "30291a20-0bd1-4267-9b0f-e6e7b123c0bf", upper: texts, sign: (key, body) => Webhook.computeSignature(body, key),
    judge: (v, key) => Webhook.verifySigHeader(v.body.toString(), v.headers["x-cc-webhook-signature"], key),
    body: json({ id: 1, attempt_number: 1, event: { id: "24934862", type: "charge:confirmed", data: { code: "66BEOV2A" } } }),
    facts: { event_type: "charge:confirmed", delivery_id: "24934862" },
  });
}

function smartcar() {
  const sdk = require("smartcar");
  const key = "made-up-management-token";
  const ask = (name, body, challenge) => ({
    name, body: json(body), headers: { "content-type": "application/json" }, expect: "refused", refusal: "missing_signature", unjudged: true,
    handshake: { status: 200, body: json({ challenge: sdk.hashChallenge(key, challenge) }) }, origin: `the answer is made by ${version("smartcar")}`,
  });
  return usual({
    slug: "smartcar", made: `signed by ${version("smartcar")}`, judged: version("smartcar"), header: "sc-signature", key, upper: texts,
    sign: (used, body) => sdk.hashChallenge(used, body), odd: "it writes the parsed body anew",
    reserialised: "it writes the parsed body anew", line_feed: "it writes the parsed body anew",
    judge: (v, used) => sdk.verifyPayload(used, v.headers["sc-signature"], JSON.parse(v.body.toString())),
    body: json({ eventId: "1b2f6d0e", eventType: "VEHICLE_STATE", data: { vehicle: { id: "a0c1" } }, meta: { webhookId: "d7c8" } }),
    facts: { event_type: "VEHICLE_STATE", delivery_id: "1b2f6d0e" },
    extra: [
      ask("challenge", { version: "2.0", webhookId: "w1", eventName: "verify", payload: { challenge: "3a5c8f72-e6d9-4b1a-9f2e-8c7d6a5b4e3f" } }, "3a5c8f72-e6d9-4b1a-9f2e-8c7d6a5b4e3f"),
      ask("challenge of the newer webhooks", { eventType: "VERIFY", data: { challenge: "3a5c8f72" } }, "3a5c8f72"),
      ...["true", "12345"].map((text) => ({
        name: `the answer to the challenge ${text} as a signature`, body: text, headers: { "content-type": "application/json", "sc-signature": sdk.hashChallenge(key, text) },
        expect: "refused", refusal: "unsupported_body", unjudged: true, origin: `the answer is made by ${version("smartcar")}`,
      })),
      {
        name: "a challenge that is a payload is not hashed", body: json({ eventName: "verify", payload: { challenge: json({ eventType: "VEHICLE_STATE" }) } }), headers: {},
        expect: "refused", refusal: "missing_signature", handshake: null, unjudged: true,
      },
    ],
  });
}

function line() {
  const { validateSignature } = require("@line/bot-sdk");
  return usual({
    slug: "line", made, judged: version("@line/bot-sdk"), header: "x-line-signature", enc: "base64", key: "made_up_channel_secret",
    judge: (v, key) => validateSignature(v.body, key, v.headers["x-line-signature"]),
    body: json({ destination: "U8e742f61", events: [{ type: "message", webhookEventId: "01FZ74A0TDDPYRVKNK77XKC3ZR", message: { type: "text", text: "こんにちは" } }] }),
    facts: { event_type: "message", delivery_id: "01FZ74A0TDDPYRVKNK77XKC3ZR" },
    extra: [
      (() => {
        const body = json({ destination: "U8e742f61", events: [] });
        return { name: "the console's check without events", body, headers: { "x-line-signature": createHmac("sha256", "made_up_channel_secret").update(body).digest("base64") }, expect: "genuine" };
      })(),
    ],
  });
}

function hookdeck() {
  const { verifyWebhookSignature } = require("@hookdeck/sdk/webhooks/helpers");
  const body = json({ id: "evt_1", type: "order.created" });
  const sign = (key) => createHmac("sha256", key).update(body).digest("base64");
  const both = (first, second) => ({ headers: { "content-type": "application/json", "x-hookdeck-eventid": "evt_A0", "x-hookdeck-signature": first, "x-hookdeck-signature-2": second } });
  return usual({
    slug: "hookdeck", made, judged: version("@hookdeck/sdk"), header: "x-hookdeck-signature", enc: "base64", key: "made-up-signing-secret", padding: texts, body,
    judge: async (v, key) => (await verifyWebhookSignature({ headers: v.headers, rawBody: v.body.toString(), signingSecret: key })).isValidSignature,
    headers: { "x-hookdeck-eventid": "evt_A0" }, facts: { delivery_id: "evt_A0" },
    extra: [
      { name: "the second signature fits", ...both(sign("older-secret"), sign("made-up-signing-secret")), expect: "genuine" },
      { name: "neither signature fits", ...both(sign("older-secret"), sign("oldest-secret")), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

function worldline() {
  const { newSignatureValidator } = require("connect-sdk-nodejs/lib/webhooks/validation");
  const verification = { "x-gcs-webhooks-endpoint-verification": "f3d1a7c0-5b1e-4d0a-8f39-9d6a3c2b1e00" };
  const get = { method: "GET", body: "", expect: "refused", refusal: "missing_signature", unjudged: true, origin: "after Worldline's description" };
  return usual({
    slug: "worldline", made, judged: version("connect-sdk-nodejs"), header: "x-gcs-signature", enc: "base64", key: "made-up-webhooks-key", padding: texts,
    judge: async (v, key) => (await newSignatureValidator({ getSecretKey: async () => key }).validate(v.body, v.headers), true),
    body: json({ apiVersion: "v1", id: "97a4fcdf", merchantId: "20000", type: "payment.created" }),
    headers: { "x-gcs-keyid": "key-id" }, facts: { event_type: "payment.created", delivery_id: "97a4fcdf" },
    extra: [
      { name: "endpoint verification", ...get, headers: verification, handshake: { status: 200, body: "f3d1a7c0-5b1e-4d0a-8f39-9d6a3c2b1e00" } },
      { name: "markup in the verification is not echoed", ...get, headers: { "x-gcs-webhooks-endpoint-verification": "<script>" }, handshake: null },
    ],
  });
}

function todoist() {
  const { verifyWebhookSignature } = require("@doist/todoist-sdk");
  return usual({
    slug: "todoist", made, judged: version("@doist/todoist-sdk"), header: "x-todoist-hmac-sha256", enc: "base64", key: "made-up-client-secret",
    judge: (v, key) => verifyWebhookSignature({ rawBody: new Uint8Array(v.body), signature: v.headers["x-todoist-hmac-sha256"], clientSecret: key }),
    body: json({ event_name: "item:added", user_id: "2671355", event_data: { id: "6XR4", content: "Buy milk" } }),
    headers: { "x-todoist-delivery-id": "662d53c1" }, facts: { event_type: "item:added", delivery_id: "662d53c1" },
  });
}

function acuity() {
  const { verifyMessageSignature } = require("acuityscheduling");
  return usual({
    slug: "acuity", made, judged: version("acuityscheduling"), header: "x-acuity-signature", enc: "base64", key: "made-up-api-key", padding: texts,
    judge: (v, key) => (verifyMessageSignature(key, v.body.toString(), v.headers["x-acuity-signature"]), true),
    body: "action=scheduled&id=1&calendarID=5&appointmentTypeID=100", content_type: "application/x-www-form-urlencoded", facts: { event_type: "scheduled" },
  });
}

function mollie() {
  const { SignatureValidator } = require("mollie-api-typescript");
  const bare = (v) => v.slice("sha256=".length);
  return usual({
    slug: "mollie", made, judged: version("mollie-api-typescript"), header: "x-mollie-signature", prefix: "sha256=", key: "made-up-signing-secret", upper: texts,
    judge: (v, key) => SignatureValidator.validate(v.body.toString(), key, v.headers["x-mollie-signature"]),
    body: json({ resource: "event", id: "event_GvJ8WHrp5isUdRub9CJyH", type: "payment-link.paid", entityId: "pl_qng5" }),
    facts: { event_type: "payment-link.paid", delivery_id: "event_GvJ8WHrp5isUdRub9CJyH" },
    extra: (signed) => [
      { name: "without the prefix", headers: { "x-mollie-signature": bare(signed) }, expect: "genuine" },
      { name: "without the prefix, wrong secret", headers: { "x-mollie-signature": bare(signed) }, secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "a classic webhook has no signature", body: "id=tr_d0b0E3EA3v", headers: { "content-type": "application/x-www-form-urlencoded" }, expect: "refused", refusal: "missing_signature" },
    ],
  });
}

function castle() {
  return usual({
    slug: "castle", made, judged: pythonVersion("castle"), header: "x-castle-signature", enc: "base64", key: "made-up-api-secret", padding: texts,
    judge: pythonJudge("castle"),
    body: json({ api_version: "v1", type: "$policy.matched", data: { id: "policy_1", user: { name: "Zoë" } } }), facts: { event_type: "$policy.matched" },
  });
}

function nylas() {
  const Notification = require("nylas/lib/models/webhook-notification").default;
  const get = (challenge) => ({
    method: "GET", body: "", headers: {}, url: `https://hooks.example.com/in/src?challenge=${challenge}`, expect: "refused", refusal: "missing_signature", unjudged: true,
    origin: "after Nylas' description",
  });
  return usual({
    slug: "nylas", made, judged: version("nylas"), header: "x-nylas-signature", key: "made-up-webhook-secret", upper: texts,
    judge: (v, key) => Notification.verifyWebhookSignature(v.headers["x-nylas-signature"], v.body.toString(), key),
    body: json({ specversion: "1.0", type: "message.created", id: "mock-id", data: { object: { subject: "Grüße" } } }), facts: { event_type: "message.created", delivery_id: "mock-id" },
    extra: [
      { name: "challenge", ...get("bc609b38-c81f-47fb-a275-1d9bd61a968b"), handshake: { status: 200, body: "bc609b38-c81f-47fb-a275-1d9bd61a968b" } },
      { name: "markup in the challenge is not echoed", ...get("%3Cscript%3E"), handshake: null },
    ],
  });
}

// The package itself cannot be installed (it needs versions of others that are in no registry). Its signing function
// was run once, and what it made stands here; Node's crypto has to come to the same.
function segment() {
  const key = "a made-up segment secret";
  const by = "signed by npm @segment/action-destinations 3.497.0 (run once)";
  const event = { messageId: "022bb90c-bbac-11e4-8dfc-aa07a5b093db", type: "track", event: "Order Completed", userId: "019mr8mf4r", properties: { total: 25, note: "Grüße" } };
  const second = { messageId: "022bb90d", type: "track", event: "Second" };
  const theirs = "e5021defd29d08a7f21b7388fdba5d9714ab93a2";
  const body = json(event);
  if (createHmac("sha1", key).update(body).digest("hex") !== theirs) throw new Error("segment: Node's crypto differs from Segment's code");
  const facts = { event_type: "track", delivery_id: event.messageId };
  const h = { headers: { "content-type": "application/json", "x-signature": theirs } };
  return usual({
    slug: "segment", made, header: "x-signature", dig: "sha1", key, body, facts,
    extra: [
      { name: "as Segment signed it", body, ...h, expect: "genuine", facts, origin: by },
      { name: "a batch as Segment signed it", body: json([event, second]), ...h, expect: "genuine", facts, origin: by },
      { name: "the second event of a batch is not signed", body: json([event, { ...second, event: "changed" }]), ...h, expect: "genuine", origin: by },
      { name: "a single event sent again before a made-up one: only the first counts", body: json([event, { messageId: "x", type: "track", event: "Made up" }]), ...h, expect: "genuine", facts, origin: by },
      { name: "the first event of a batch is signed", body: json([{ ...event, event: "changed" }, second]), ...h, expect: "refused", refusal: "signature_mismatch", origin: by },
    ],
  });
}

export default async () => [
  razorpay(), gocardless(), modernTreasury(), onfido(), stream(), pusher(), coinbaseCommerce(), smartcar(), line(), hookdeck(), worldline(), todoist(), acuity(),
  mollie(), castle(), nylas(), segment(),
];
