// Schemes with a signed timestamp: Stripe, Slack, Zoom, Standard Webhooks, Svix, Linear, Paddle, Sanity.
import { createHmac, createPrivateKey, createPublicKey, sign as signBytes } from "node:crypto";
import { make, version, require, SENT, NOW, tampered } from "../lib.js";

const hmac = (key, text, encoding = "hex") => createHmac("sha256", key).update(text).digest(encoding);

async function stripe() {
  const Stripe = (await import("stripe")).default;
  const client = new Stripe("sk_test_made_up");
  const secret = "whsec_4dDZ0iZ8ZgD8T2cX1uYq3QpLs9vM7nKb";
  const other = "whsec_rotated_9fK2mQ7xW1pZ5tL8";
  const body = JSON.stringify({ id: "evt_1QXk2eLkdIwHu7ix", object: "event", type: "charge.succeeded", data: { object: { amount: 2000, note: "Grüße" } } });
  const sign = (key, timestamp = SENT) => client.webhooks.generateTestHeaderString({ payload: body, secret: key, timestamp });
  const header = sign(secret);
  const v1 = header.split("v1=")[1];
  const base = { secrets: [secret], body, headers: { "content-type": "application/json; charset=utf-8", "stripe-signature": header } };
  const h = (value) => ({ headers: { ...base.headers, "stripe-signature": value } });
  return make({
    slug: "stripe", made: `signed by ${version("stripe")}`, judged: version("stripe"), base,
    judge: (v, key) => { client.webhooks.constructEvent(v.body, v.headers["stripe-signature"], key); return true; },
    vectors: [
      { name: "valid", expect: "genuine", secret_index: 0, facts: { event_type: "charge.succeeded", delivery_id: "evt_1QXk2eLkdIwHu7ix" } },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: [other], expect: "refused", refusal: "signature_mismatch" },
      { name: "prefix removed from the secret", secrets: [secret.slice(6)], expect: "refused", refusal: "signature_mismatch" },
      { name: "second secret fits", secrets: [other, secret], expect: "genuine", secret_index: 1 },
      { name: "signed with two secrets", ...h(`${header},v1=${sign(other).split("v1=")[1]}`), secrets: [other], expect: "genuine" },
      { name: "a wrong signature before the right one", ...h(`t=${SENT},v1=${"0".repeat(64)},v1=${v1}`), expect: "genuine" },
      { name: "an unknown version beside", ...h(`t=${SENT},v0=${v1},v1=${v1}`), expect: "genuine" },
      { name: "an unknown version alone", ...h(`t=${SENT},v0=${v1}`), expect: "refused", refusal: "unsupported_signature" },
      { name: "at the edge of the tolerance", verify_at: SENT + 300, expect: "genuine" },
      { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale" },
      { name: "from the future is not checked", verify_at: SENT - 4000, expect: "genuine" },
      { name: "another time than the signed one", ...h(`t=${SENT + 1},v1=${v1}`), expect: "refused", refusal: "signature_mismatch" },
      { name: "no time", ...h(`v1=${v1}`), expect: "refused", refusal: "missing_timestamp" },
      { name: "no header", headers: { "content-type": "application/json" }, expect: "refused", refusal: "missing_signature" },
      { name: "empty header", ...h(""), expect: "refused", refusal: "missing_signature" },
      { name: "signature cut short", ...h(`t=${SENT},v1=${v1.slice(0, 40)}`), expect: "refused", refusal: "signature_mismatch" },
      { name: "signature not hexadecimal", ...h(`t=${SENT},v1=${"z".repeat(64)}`), expect: "refused", refusal: "malformed_signature" },
    ],
  });
}

async function slack() {
  const { verifySlackRequest } = require("@slack/bolt/dist/receivers/verify-request.js");
  const secret = "8f742231b10e8888abcd99yyyzzz85a5";
  const body = JSON.stringify({ token: "t", team_id: "T1", type: "event_callback", event_id: "Ev08MFMKH6", event: { type: "app_mention", text: "hi" } });
  const headers = (text, key = secret, time = SENT) => ({
    "content-type": "application/json", "x-slack-request-timestamp": String(time), "x-slack-signature": `v0=${hmac(key, `v0:${time}:${text}`)}`,
  });
  const challenge = JSON.stringify({ token: "t", challenge: "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P", type: "url_verification" });
  const form = "token=x&team_id=T1&command=%2Fweather&text=94070&trigger_id=13345224609.738474920.8088930838d88f008e0";
  return make({
    slug: "slack", made: "signed with Node's crypto", judged: version("@slack/bolt"), base: { secrets: [secret], body, headers: headers(body) },
    judge: (v, key) => {
      const given = { ...v.headers, "x-slack-request-timestamp": Number(v.headers["x-slack-request-timestamp"]) };
      verifySlackRequest({ signingSecret: key, body: v.body.toString(), headers: given });
      return true;
    },
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "app_mention", delivery_id: "Ev08MFMKH6" } },
      { name: "slash command", body: form, headers: { ...headers(form), "content-type": "application/x-www-form-urlencoded" }, expect: "genuine", facts: { event_type: "/weather", delivery_id: "13345224609.738474920.8088930838d88f008e0" } },
      { name: "url_verification", body: challenge, headers: headers(challenge), expect: "genuine", handshake: { status: 200, body: "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" } },
      { name: "url_verification unsigned is not answered", body: challenge, headers: { "content-type": "application/json" }, expect: "refused", refusal: "missing_signature", handshake: null },
      { name: "url_verification with a wrong signature is not answered", body: challenge, headers: headers(challenge, "another"), expect: "refused", refusal: "signature_mismatch", handshake: null },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "second secret fits", secrets: ["another", secret], expect: "genuine", secret_index: 1 },
      { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale" },
      { name: "unknown version", headers: { ...headers(body), "x-slack-signature": `v1=${hmac(secret, `v0:${SENT}:${body}`)}` }, expect: "refused", refusal: "unsupported_signature" },
      { name: "no signature", headers: { "x-slack-request-timestamp": String(SENT) }, expect: "refused", refusal: "missing_signature" },
      { name: "no time", headers: { "x-slack-signature": headers(body)["x-slack-signature"] }, expect: "refused", refusal: "missing_timestamp" },
      { name: "time renewed", headers: { ...headers(body), "x-slack-request-timestamp": String(NOW) }, expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

async function zoom() {
  const { AwsLambdaReceiver } = await import("@zoom/rivet/meetings");
  // The receiver for Lambda takes a request as it came; the judge in it is the same for all receivers.
  const judge = async (v, key) => {
    const debug = console.debug;
    console.debug = () => {};
    const receiver = new AwsLambdaReceiver({ webhooksSecretToken: key });
    receiver.init({ eventEmitter: { emit: async () => {} } });
    const handler = await receiver.start();
    const answer = await handler({ headers: v.headers, body: v.body.toString(), isBase64Encoded: false }, {});
    console.debug = debug;
    return answer.statusCode === 200;
  };
  const secret = "jD3xJ1wLQ0m8vQh5sZqN2A";
  const body = JSON.stringify({ event: "meeting.started", event_ts: 1767225600000, payload: { account_id: "a", object: { id: "1" } } });
  const challenge = JSON.stringify({ payload: { plainToken: "qgg8vlvZRS6UYooatFL8Aw" }, event_ts: 1767225600000, event: "endpoint.url_validation" });
  const oracle = JSON.stringify({ payload: { plainToken: `v0:${SENT}:{"event":"forged"}` }, event: "endpoint.url_validation" });
  const headers = (text) => ({ "content-type": "application/json", "x-zm-request-timestamp": String(SENT), "x-zm-signature": `v0=${hmac(secret, `v0:${SENT}:${text}`)}` });
  const answer = JSON.stringify({ plainToken: "qgg8vlvZRS6UYooatFL8Aw", encryptedToken: hmac(secret, "qgg8vlvZRS6UYooatFL8Aw") });
  return make({
    slug: "zoom", made: "signed with Node's crypto", judged: version("@zoom/rivet"), judge, base: { secrets: [secret], body, headers: headers(body) },
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "meeting.started" } },
      { name: "challenge", body: challenge, headers: headers(challenge), expect: "genuine", handshake: { status: 200, body: answer } },
      { name: "unsigned challenge is not answered", body: challenge, headers: {}, expect: "refused", refusal: "missing_signature", handshake: null },
      { name: "a challenge that would sign a forgery is not answered", body: oracle, headers: headers(oracle), expect: "genuine", handshake: null },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale", sdk_differs: "it leaves the age to the caller" },
      { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future", sdk_differs: "it leaves the time to the caller" },
      { name: "second secret fits", secrets: ["another", secret], expect: "genuine", secret_index: 1 },
      { name: "time renewed", headers: { ...headers(body), "x-zm-request-timestamp": String(NOW) }, expect: "refused", refusal: "signature_mismatch" },
      { name: "malformed signature", headers: { ...headers(body), "x-zm-signature": "v0=zz" }, expect: "refused", refusal: "malformed_signature" },
      { name: "no header", headers: {}, expect: "refused", refusal: "missing_signature" },
    ],
  });
}

async function standard(slug, packageName, prefix, extra = []) {
  const { Webhook } = await import(packageName);
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const other = "whsec_c2Vjb25kIHNlY3JldCBmb3Igcm90YXRpb24u";
  const id = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
  const body = JSON.stringify({ type: "contact.created", timestamp: "2026-01-01T00:00:00Z", data: { id: "1f81eb52", text: "ü" } });
  const sign = (key, time = SENT, text = body) => new Webhook(key).sign(id, new Date(time * 1000), text);
  const headers = (value, over = {}) => ({ "content-type": "application/json", [`${prefix}-id`]: id, [`${prefix}-timestamp`]: String(SENT), [`${prefix}-signature`]: value, ...over });
  const without = (name) => { const all = headers(sign(secret)); delete all[name]; return all; };
  const base = { secrets: [secret], body, headers: headers(sign(secret)) };
  return make({
    slug, made: `signed by ${version(packageName)}`, judged: version(packageName), base,
    judge: (v, key) => { new Webhook(key).verify(v.body.toString(), v.headers); return true; },
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "contact.created", delivery_id: id } },
      { name: "secret without its prefix", secrets: [secret.slice(6)], expect: "genuine" },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: [other], expect: "refused", refusal: "signature_mismatch" },
      { name: "second secret fits", secrets: [other, secret], expect: "genuine", secret_index: 1 },
      { name: "several signatures", headers: headers(`${sign(other)} ${sign(secret)}`), expect: "genuine" },
      { name: "an unknown version beside", headers: headers(`v9,AAAA ${sign(secret)}`), expect: "genuine" },
      { name: "an unknown version alone", headers: headers(sign(secret).replace("v1,", "v2,")), expect: "refused", refusal: "unsupported_signature" },
      { name: "another id", headers: headers(sign(secret), { [`${prefix}-id`]: "msg_other" }), expect: "refused", refusal: "signature_mismatch" },
      { name: "at the edge of the tolerance", verify_at: SENT + 300, expect: "genuine" },
      { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale" },
      { name: "ahead within the tolerance", verify_at: SENT - 300, expect: "genuine" },
      { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future" },
      { name: "no signature", headers: without(`${prefix}-signature`), expect: "refused", refusal: "missing_signature" },
      { name: "no id", headers: without(`${prefix}-id`), expect: "refused", refusal: "missing_part" },
      { name: "no time", headers: without(`${prefix}-timestamp`), expect: "refused", refusal: "missing_timestamp" },
      { name: "time is no number", headers: headers(sign(secret), { [`${prefix}-timestamp`]: "soon" }), expect: "refused", refusal: "signature_mismatch" },
      ...extra.map((make) => make({ id, body, headers })),
    ],
  });
}

/** Asymmetric Standard Webhooks (v1a), which the SDK does not judge. */
function ed25519Vectors() {
  const seed = Buffer.from("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "hex");
  const key = createPrivateKey({ key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]), format: "der", type: "pkcs8" });
  const raw = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(12);
  const sign = (id, body) => `v1a,${signBytes(null, Buffer.from(`${id}.${SENT}.${body}`), key).toString("base64")}`;
  const common = { secrets: undefined, public_keys: [`whpk_${raw.toString("base64")}`], unjudged: true, origin: "signed with Node's crypto; the SDK does not know v1a" };
  return [
    ({ id, body, headers }) => ({ name: "asymmetric", ...common, headers: headers(sign(id, body)), expect: "genuine" }),
    ({ id, body, headers }) => ({ name: "asymmetric beside a symmetric one", ...common, headers: headers(`v1,AAAA ${sign(id, body)}`), expect: "genuine" }),
    ({ id, body, headers }) => ({ name: "asymmetric with a wrong body", ...common, headers: headers(sign(id, body + " ")), expect: "refused", refusal: "signature_mismatch" }),
  ];
}

async function linear() {
  const { LinearWebhookClient } = await import("@linear/sdk/webhooks");
  const secret = "lin_wh_made_up_0123456789";
  const body = JSON.stringify({ action: "create", type: "Issue", data: { id: "2174add1" }, webhookTimestamp: SENT * 1000 + 123 });
  const untimed = JSON.stringify({ action: "create", type: "Issue" });
  const headers = (text, key = secret) => ({ "content-type": "application/json", "linear-delivery": "234d1a4e-b617-4388-90fe-adc3633d6b72", "linear-signature": hmac(key, text) });
  return make({
    slug: "linear", made: "signed with Node's crypto", judged: version("@linear/sdk"), base: { secrets: [secret], body, headers: headers(body) },
    judge: (v, key) => new LinearWebhookClient(key).verify(v.body, v.headers["linear-signature"]),
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "Issue.create", delivery_id: "234d1a4e-b617-4388-90fe-adc3633d6b72" } },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "second secret fits", secrets: ["another", secret], expect: "genuine", secret_index: 1 },
      { name: "stale", verify_at: SENT + 61, expect: "refused", refusal: "stale" },
      { name: "from the future", verify_at: SENT - 61, expect: "refused", refusal: "from_future" },
      { name: "no time in the body", body: untimed, headers: headers(untimed), expect: "refused", refusal: "missing_timestamp" },
      { name: "no header", headers: {}, expect: "refused", refusal: "missing_signature" },
    ],
  });
}

async function paddle() {
  const { Paddle } = require("@paddle/paddle-node-sdk");
  const client = new Paddle("made_up");
  const secret = "pdl_ntfset_01gkpjp8bkm3tm53kdgkx6sms7_made+up";
  const body = JSON.stringify({ event_id: "evt_01gks14ge726w50ch2tmaw2a1x", event_type: "subscription.created", data: {} });
  const header = (text = body, time = SENT, key = secret) => `ts=${time};h1=${hmac(key, `${time}:${text}`)}`;
  const h = (value) => ({ headers: { "content-type": "application/json", "paddle-signature": value } });
  return make({
    slug: "paddle", made: "signed with Node's crypto", judged: version("@paddle/paddle-node-sdk"), base: { secrets: [secret], body, ...h(header()) },
    judge: (v, key) => client.webhooks.isSignatureValid(v.body.toString(), key, v.headers["paddle-signature"]),
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "subscription.created", delivery_id: "evt_01gks14ge726w50ch2tmaw2a1x" } },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "stale after six seconds", verify_at: SENT + 6, expect: "refused", refusal: "stale" },
      { name: "from the future is not checked", verify_at: SENT - 4000, expect: "genuine" },
      { name: "two signatures", ...h(`ts=${SENT};h1=${"0".repeat(64)};h1=${header().split("h1=")[1]}`), expect: "genuine" },
      { name: "no header", headers: {}, expect: "refused", refusal: "missing_signature" },
    ],
  });
}

async function sanity() {
  const { encodeSignatureHeader, isValidSignature } = require("@sanity/webhook");
  const secret = "a made-up sanity secret";
  const body = JSON.stringify({ _id: "resume", _type: "page" });
  const headers = async (key = secret, time = SENT * 1000) => ({
    "content-type": "application/json", "sanity-operation": "update", "idempotency-key": "ik_1", "sanity-webhook-signature": await encodeSignatureHeader(body, time, key),
  });
  const base = { secrets: [secret], body, headers: await headers() };
  return make({
    slug: "sanity", made: `signed by ${version("@sanity/webhook")}`, judged: version("@sanity/webhook"), base,
    judge: (v, key) => isValidSignature(v.body.toString(), v.headers["sanity-webhook-signature"], key),
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "update", delivery_id: "ik_1" } },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale", sdk_differs: "it leaves the age to the caller" },
      { name: "no header", headers: {}, expect: "refused", refusal: "missing_signature" },
    ],
  });
}

export default async () => [
  stripe(), slack(), zoom(), standard("standardwebhooks", "standardwebhooks", "webhook", ed25519Vectors()), standard("svix", "svix", "svix"), linear(), paddle(), sanity(),
];
