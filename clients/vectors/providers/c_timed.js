// Schemes with a signed time whose SDKs judge offline: Orb, Webflow, Metronome, Schematic, Cashfree, Crisp, Sinch, Box,
// Emailit.
import { createHmac } from "node:crypto";
import { fileURLToPath } from "node:url";
import { pythonJudge, pythonVersion, version, require, SENT } from "../lib.js";
import { suite } from "../suite.js";

/** A module of a package that does not export it. */
const inside = (path) => require(fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url)));
const hmac = (key, text, encoding = "hex") => createHmac("sha256", key).update(text).digest(encoding);
const JSON_TYPE = { "content-type": "application/json" };
const iso = (time) => new Date(time * 1000).toISOString();
const ageLeft = "it leaves the age to the caller";
/** Vectors about the age for SDKs that do not judge it. */
const unaged = (max) => [
  { name: "at the edge of the tolerance", verify_at: SENT + max, expect: "genuine" },
  { name: "stale", verify_at: SENT + max + 1, expect: "refused", refusal: "stale", sdk_differs: ageLeft },
  { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future", sdk_differs: ageLeft },
];
const spaced = (body) => JSON.stringify(JSON.parse(body), null, 2);

async function orb() {
  const { default: Orb } = await import("orb-billing");
  const client = new Orb({ apiKey: "k", webhookSecret: "k" });
  const key = "c-r32WOuPwlehmz6IbaMOt0BCxQHIHUH";
  const body = JSON.stringify({ id: "o4mmewpfNNTnjfZc", created_at: "2026-01-01T00:00:00+00:00", type: "customer.created", properties: {}, customer: { name: "Änne" } });
  const naive = (time) => iso(time).slice(0, -1).replace(".000", ".123456");
  const signature = (given, time, text) => `v1=${hmac(given, `v1:${time}:${text}`)}`;
  const request = ({ key: given, body: text, time }) => ({
    headers: { ...JSON_TYPE, "x-orb-timestamp": naive(time), "x-orb-signature": signature(given, naive(time), text) },
  });
  const zoned = "2026-01-01T00:00:00Z";
  const good = request({ key, body, time: SENT }).headers;
  return suite({
    slug: "orb", judged: version("orb-billing"), key, body, request, signature: "x-orb-signature", malformed: "v1=zz",
    judge: (v, given) => { client.webhooks.verifySignature(v.body.toString(), v.headers, given); return true; },
    facts: { event_type: "customer.created", delivery_id: "o4mmewpfNNTnjfZc" },
    time: { max_age: 300, max_future: 300, renew: (headers, time) => ({ ...headers, "x-orb-timestamp": naive(time) }) },
    extra: [
      { name: "time with a zone", headers: { ...JSON_TYPE, "x-orb-timestamp": zoned, "x-orb-signature": signature(key, zoned, body) }, expect: "genuine" },
      { name: "an unknown version alone", headers: { ...good, "x-orb-signature": good["x-orb-signature"].replace("v1=", "v2=") }, expect: "refused", refusal: "unsupported_signature" },
      { name: "two signatures", headers: { ...good, "x-orb-signature": `v1=${"0".repeat(64)} ${good["x-orb-signature"]}` }, expect: "genuine" },
      { name: "re-serialised body", body: spaced(body), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

async function webflow() {
  const { WebflowClient } = await import("webflow-api");
  const client = new WebflowClient({ accessToken: "k" });
  const key = "0f3a5c7b9d1e2f4a6c8e0b2d4f6a8c0e2b4d6f8a0c2e4b6d8f0a2c4e6b8d0f2a";
  const body = JSON.stringify({ triggerType: "form_submission", payload: { name: "Contact us", data: { Name: "Änne" } } });
  const request = ({ key: given, body: text, time }) => ({
    headers: { ...JSON_TYPE, "x-webflow-timestamp": String(time * 1000), "x-webflow-signature": hmac(given, `${time * 1000}:${text}`) },
  });
  return suite({
    slug: "webflow", judged: version("webflow-api"), key, body, request, signature: "x-webflow-signature",
    judge: (v, given) => client.webhooks.verifySignature({ headers: v.headers, body: v.body.toString(), secret: given }),
    facts: { event_type: "form_submission" },
    time: { renew: (headers, time) => ({ ...headers, "x-webflow-timestamp": String(time * 1000) }) },
    extra: [
      ...unaged(300),
      { name: "re-serialised body", body: spaced(body), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

async function metronome() {
  const { default: Metronome } = await import("@metronome/sdk");
  const client = new Metronome({ bearerToken: "k", webhookSecret: "k" });
  const key = "made-up-metronome-secret";
  const body = JSON.stringify({ id: "a1b2c3d4", type: "invoice.finalized", properties: { customer: "Änne" } });
  const date = (time) => new Date(time * 1000).toUTCString();
  const request = ({ key: given, body: text, time }) => ({
    headers: { ...JSON_TYPE, "x-metronome-date": date(time), "metronome-webhook-signature": hmac(given, `${date(time)}\n${text}`) },
  });
  return suite({
    slug: "metronome", judged: version("@metronome/sdk"), key, body, request, signature: "metronome-webhook-signature",
    judge: (v, given) => { client.webhooks.verifySignature(v.body.toString(), v.headers, given); return true; },
    facts: { event_type: "invoice.finalized", delivery_id: "a1b2c3d4" },
    time: { max_age: 300, max_future: 300, renew: (headers, time) => ({ ...headers, "x-metronome-date": date(time) }) },
    extra: [{ name: "a line feed more", body: `${body}\n`, expect: "refused", refusal: "signature_mismatch" }],
  });
}

function schematic() {
  const { verifySignature, computeHexSignature } = require("@schematichq/schematic-typescript-node");
  const key = "sch_whsec_made_up";
  const body = JSON.stringify({ action: "company.updated", message: "company updated", object_type: "company", body: { name: "Änne" } });
  const request = ({ key: given, body: text, time }) => ({
    headers: { ...JSON_TYPE, "x-schematic-webhook-timestamp": String(time), "x-schematic-webhook-signature": computeHexSignature(text, String(time), given) },
  });
  return suite({
    slug: "schematic", made: `signed by ${version("@schematichq/schematic-typescript-node")}`, judged: version("@schematichq/schematic-typescript-node"),
    key, body, request, signature: "x-schematic-webhook-signature",
    judge: (v, given) => { verifySignature(v.body, v.headers["x-schematic-webhook-signature"], v.headers["x-schematic-webhook-timestamp"], given); return true; },
    facts: { event_type: "company.updated" },
    time: { renew: (headers, time) => ({ ...headers, "x-schematic-webhook-timestamp": String(time) }) },
    extra: unaged(300),
  });
}

function cashfree() {
  const { Cashfree, CFEnvironment } = require("cashfree-pg");
  const key = "cfsk_ma_test_made_up_0123456789";
  // The trailing zeros are what parsing and printing would lose.
  const body = '{"data":{"order":{"order_id":"order_1","order_amount":2.00},"payment":{"payment_status":"SUCCESS","payment_amount":1.00}},"event_time":"2026-01-01T05:30:00+05:30","type":"PAYMENT_SUCCESS_WEBHOOK"}';
  const request = ({ key: given, body: text, time }) => ({
    headers: { ...JSON_TYPE, "x-webhook-timestamp": String(time * 1000), "x-webhook-signature": hmac(given, `${time * 1000}${text}`, "base64") },
  });
  const dotted = { ...request({ key, body, time: SENT }).headers, "x-webhook-signature": hmac(key, `${SENT * 1000}.${body}`, "base64") };
  return suite({
    slug: "cashfree", judged: version("cashfree-pg"), key, body, request, signature: "x-webhook-signature",
    judge: (v, given) => {
      new Cashfree(CFEnvironment.SANDBOX, "id", given).PGVerifyWebhookSignature(v.headers["x-webhook-signature"], v.body.toString(), v.headers["x-webhook-timestamp"]);
      return true;
    },
    facts: { event_type: "PAYMENT_SUCCESS_WEBHOOK" },
    time: { renew: (headers, time) => ({ ...headers, "x-webhook-timestamp": String(time * 1000) }) },
    extra: [
      ...unaged(300),
      { name: "numbers printed anew", body: JSON.stringify(JSON.parse(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "a dot between time and body", headers: dotted, expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

async function crisp() {
  const { Crisp } = await import("crisp-api");
  const client = new Crisp();
  const key = "made-up-crisp-secret";
  const body = JSON.stringify({ website_id: "42286ab3", event: "message:send", data: { content: "Grüße" }, timestamp: SENT * 1000 });
  const request = ({ key: given, body: text, time }) => ({
    headers: { ...JSON_TYPE, "x-crisp-request-timestamp": String(time * 1000), "x-crisp-signature": hmac(given, `[${time * 1000};${text}]`) },
  });
  const odd = spaced(body);
  const seconds = { ...JSON_TYPE, "x-crisp-request-timestamp": String(SENT), "x-crisp-signature": hmac(key, `[${SENT};${body}]`) };
  return suite({
    slug: "crisp", judged: version("crisp-api"), key, body, request, signature: "x-crisp-signature",
    judge: (v, given) => client.verifyWidget(given, JSON.parse(v.body.toString()), v.headers["x-crisp-request-timestamp"], v.headers["x-crisp-signature"]),
    facts: { event_type: "message:send" },
    time: { renew: (headers, time) => ({ ...headers, "x-crisp-request-timestamp": String(time * 1000) }) },
    extra: [
      ...unaged(300),
      { name: "time in seconds", headers: seconds, expect: "genuine" },
      { name: "odd spacing, signed as it is", body: odd, ...request({ key, body: odd, time: SENT }), expect: "genuine", sdk_differs: "it prints the body anew" },
    ],
  });
}

async function sinch() {
  const { validateWebhookSignature, computeSignedData, calculateWebhookSignature } = inside("@sinch/sdk-client/dist/utils/authorization.helper.js");
  const key = "made-up-sinch-secret";
  const body = JSON.stringify({ app_id: "01W4FFL35P4NC4K35CONVAPP001", message: { id: "01W4", contact_message: { text_message: { text: "Grüße" } } } });
  const request = ({ key: given, body: text, time }) => ({
    headers: {
      ...JSON_TYPE, "x-sinch-webhook-signature-algorithm": "HmacSHA256", "x-sinch-webhook-signature-nonce": "01FJA8B4A7BM43YGWSG9GBV067",
      "x-sinch-webhook-signature-timestamp": String(time), "x-sinch-webhook-signature": calculateWebhookSignature(computeSignedData(text, "01FJA8B4A7BM43YGWSG9GBV067", String(time)), given),
    },
  });
  const good = request({ key, body, time: SENT }).headers;
  const { "x-sinch-webhook-signature-nonce": nonce, ...without } = good;
  return suite({
    slug: "sinch", made: `signed by ${version("@sinch/sdk-client")}`, judged: version("@sinch/sdk-client"), key, body, request, signature: "x-sinch-webhook-signature", facts: { event_type: "message" },
    judge: (v, given) => validateWebhookSignature(given, v.headers, v.body.toString()),
    time: { renew: (headers, time) => ({ ...headers, "x-sinch-webhook-signature-timestamp": String(time) }) },
    extra: [
      ...unaged(300),
      { name: "another nonce", headers: { ...good, "x-sinch-webhook-signature-nonce": `${nonce}x` }, expect: "refused", refusal: "signature_mismatch" },
      { name: "no nonce", headers: without, expect: "refused", refusal: "missing_part" },
    ],
  });
}

function box() {
  const { WebhooksManager } = inside("box-node-sdk/lib/managers/webhooks.js");
  const key = "SamplePrimaryKey-made-up";
  const secondary = "SampleSecondaryKey-made-up";
  const body = JSON.stringify({ type: "webhook_event", id: "0a3e9c5a-1f0b", trigger: "FILE.UPLOADED", source: { id: "73835521473", name: "notes.txt" } });
  const id = "f96bb54b-ee16-4fc5-aa65-8c2d9e5b546f";
  const stamp = (time) => iso(time).replace(".000Z", "-00:00");
  const common = (time) => ({ ...JSON_TYPE, "box-signature-version": "1", "box-signature-algorithm": "HmacSHA256", "box-delivery-id": id, "box-delivery-timestamp": stamp(time) });
  const request = ({ key: given, body: text, time }) => ({ headers: { ...common(time), "box-signature-primary": hmac(given, text + stamp(time), "base64") } });
  const good = request({ key, body, time: SENT }).headers;
  const second = hmac(secondary, body + stamp(SENT), "base64");
  return suite({
    slug: "box", judged: version("box-node-sdk"), key, body, request, signature: "box-signature-primary",
    judge: (v, given) => WebhooksManager.validateMessage(v.body.toString(), v.headers, given, { secondaryKey: given }),
    facts: { event_type: "FILE.UPLOADED", delivery_id: "0a3e9c5a-1f0b" },
    time: { max_age: 600, renew: (headers, time) => ({ ...headers, "box-delivery-timestamp": stamp(time) }) },
    extra: [
      { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future" },
      { name: "a clock a minute behind", verify_at: SENT - 60, expect: "genuine", sdk_differs: "it allows no second ahead" },
      { name: "only the secondary fits", secrets: [secondary], headers: { ...good, "box-signature-primary": "A".repeat(43) + "=", "box-signature-secondary": second }, expect: "genuine" },
      { name: "both wrong", headers: { ...good, "box-signature-primary": second, "box-signature-secondary": second }, expect: "refused", refusal: "signature_mismatch" },
      { name: "another algorithm", headers: { ...good, "box-signature-algorithm": "HmacSHA1" }, expect: "refused", refusal: "unsupported_body" },
      { name: "another version", headers: { ...good, "box-signature-version": "2" }, expect: "refused", refusal: "unsupported_body" },
    ],
  });
}

function emailit() {
  const key = "made-up-emailit-secret";
  const body = JSON.stringify({ event_id: "evt_1", type: "email.delivered", data: { object: { subject: "Grüße" } } });
  const request = ({ key: given, body: text, time }) => ({
    headers: { ...JSON_TYPE, "x-emailit-timestamp": String(time), "x-emailit-signature": hmac(given, `${time}.${text}`) },
  });
  return suite({
    slug: "emailit", judged: pythonVersion("emailit"), judge: pythonJudge("emailit"), key, body, request, signature: "x-emailit-signature",
    facts: { event_type: "email.delivered", delivery_id: "evt_1" },
    time: { max_age: 300, renew: (headers, time) => ({ ...headers, "x-emailit-timestamp": String(time) }) },
    extra: [
      { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future", sdk_differs: "it looks at the past only" },
      { name: "re-serialised body", body: spaced(body), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

// One after the other: the clock is global, and some judges wait.
export default async () => {
  const made = [];
  for (const one of [orb, webflow, metronome, schematic, cashfree, crisp, sinch, box, emailit]) made.push(await one());
  return made;
};
