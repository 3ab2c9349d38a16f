// Packages that verify without tokens: Nango, Inngest, Braintree, Chargebee, ZeroTier.
import { createHmac } from "node:crypto";
import { at, make, pythonJudge, pythonVersion, require, version, SENT, tampered } from "../lib.js";
import { suite } from "../suite.js";

const hmac = (key, text, digest = "sha256") => createHmac(digest, key).update(text).digest("hex");

async function nango() {
  const { Nango } = await import("@nangohq/node");
  const key = "made-up-signing-key-4f1c";
  const body = JSON.stringify({ from: "nango", type: "auth", operation: "creation", connectionId: "3c9f7a1e", success: true, text: "Grüße" });
  return suite({
    slug: "nango", judged: version("@nangohq/node"), key, body, signature: "x-nango-hmac-sha256", facts: { event_type: "auth" },
    judge: (v, secret) => new Nango({ secretKey: secret }).verifyIncomingWebhookRequest(v.body.toString(), v.headers),
    request: ({ key, body }) => ({ headers: { "content-type": "application/json", "x-nango-hmac-sha256": hmac(key, body) } }),
    extra: [
      { name: "the older hash alone", headers: { "content-type": "application/json", "x-nango-signature": hmac(key, body) }, expect: "refused", refusal: "missing_signature" },
      { name: "the JSON written anew", body: JSON.stringify(JSON.parse(body), null, 2), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

async function inngest() {
  const inside = (path) => import(new URL(`../node_modules/inngest/${path}`, import.meta.url));
  const { InngestCommHandler } = await inside("components/InngestCommHandler.js");
  const key = "signkey-prod-b2ed992186a5cb19f6668aade821f502c1d00970dfd0e35128d51bac4649916c";
  const body = JSON.stringify({ ctx: { attempt: 0, run_id: "01H" }, event: { data: { id: 7, text: "Grüße" }, name: "app/user.created" }, version: 1 });
  const loose = '{ "version": 1, "b": [1, 2.50, "\\u00fc"],\n "a": {"z": null, "y": 1e2} }';
  const canonical = '{"a":{"y":100,"z":null},"b":[1,2.5,"ü"],"version":1}';
  const raw = (key) => key.replace(/^signkey-\w+-/, "");
  const headers = (key, text, time) => ({ "content-type": "application/json", "x-inngest-signature": `t=${time}&s=${hmac(raw(key), `${text}${time}`)}` });
  return suite({
    slug: "inngest", judged: version("inngest"), key, other: key.replace("b2ed", "b2ee"), body, signature: "x-inngest-signature", malformed: `t=${SENT}&s=%`,
    judge: async (v, secret) => {
      const client = { mode: "cloud", signingKey: secret };
      const logger = { debug() {}, info() {}, warn() {}, error() {} };
      const known = new Proxy(client, { get: (target, name) => (typeof name === "symbol" ? logger : target[name]) });
      const seen = await InngestCommHandler.prototype.validateSignature.call({ client: known }, v.headers["x-inngest-signature"], JSON.parse(v.body.toString()));
      return seen.success;
    },
    request: ({ key, body, time }) => ({ headers: headers(key, body, time) }),
    time: { max_age: 300, max_future: 300, renew: (given, time) => ({ ...given, "x-inngest-signature": given["x-inngest-signature"].replace(/t=\d+/, `t=${time}`) }) },
    extra: [
      { name: "odd spacing, signed in canonical form", body: loose, headers: headers(key, canonical, SENT), expect: "genuine" },
      { name: "odd spacing, signed as it is", body: loose, headers: headers(key, loose, SENT), expect: "refused", refusal: "signature_mismatch" },
      { name: "the key's bytes instead of its text", headers: { "content-type": "application/json", "x-inngest-signature": `t=${SENT}&s=${hmac(Buffer.from(raw(key), "hex"), `${body}${SENT}`)}` }, expect: "refused", refusal: "signature_mismatch" },
      { name: "a key of a test environment", secrets: [key.replace("prod", "test")], expect: "genuine" },
      { name: "no time", headers: { "x-inngest-signature": `s=${hmac(raw(key), body)}` }, expect: "refused", refusal: "missing_timestamp" },
    ],
  });
}

async function braintree() {
  const { BraintreeGateway, Environment, WebhookNotification } = require("braintree");
  const key = "made-up-private-key-0123456789abcdef";
  const credentials = { public_key: "made_up_public_key" };
  const gateway = (privateKey, publicKey = credentials.public_key) => new BraintreeGateway({ environment: Environment.Sandbox, merchantId: "made_up", publicKey, privateKey });
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const form = (made) => new URLSearchParams(made).toString();
  const notification = (secret, publicKey) => at(SENT, () => gateway(secret, publicKey).webhookTesting.sampleNotification(WebhookNotification.Kind.SubscriptionWentPastDue, "sub_1"));
  const good = await notification(key);
  const bad = await notification("another-secret");
  const elsewhere = await notification("another-secret", "another_public_key");
  const challenge = "20f9f8ed05f77439fe955c977e4c8a53";
  const answered = async (secret) => gateway(secret).webhookNotification.verify(challenge);
  const ask = (text) => ({ method: "GET", url: `https://hooks.example.com/in/src?bt_challenge=${text}`, headers: {}, body: "" });
  const several = { ...good, bt_signature: `another_public_key|${"0".repeat(40)}&${good.bt_signature}` };
  return suite({
    slug: "braintree", made: `signed by ${version("braintree")}`, judged: version("braintree"), key, base: { credentials, headers },
    judge: async (v, secret) => {
      const given = new URLSearchParams(v.body.toString());
      return Boolean(await gateway(secret, v.credentials.public_key).webhookNotification.parse(given.get("bt_signature"), given.get("bt_payload")));
    },
    request: ({ key: secret }) => ({ headers, body: form(secret === key ? good : bad) }),
    extra: [
      { name: "several pairs, one of which is ours", body: form(several), expect: "genuine" },
      { name: "only the pair of another public key", body: form(elsewhere), expect: "refused", refusal: "unsupported_signature" },
      { name: "right signature under another public key", credentials: { public_key: "another_public_key" }, expect: "refused", refusal: "unsupported_signature" },
      { name: "no signature", body: form({ bt_payload: good.bt_payload }), expect: "refused", refusal: "missing_signature" },
      { name: "malformed signature", body: form({ ...good, bt_signature: `${credentials.public_key}|%` }), expect: "refused", refusal: "malformed_signature" },
      { name: "JSON instead of a form", body: JSON.stringify(good), headers: { "content-type": "application/json" }, expect: "refused", refusal: "missing_signature", unjudged: true },
      { name: "bt_challenge", ...ask(challenge), unjudged: true, origin: `the answer was made by ${version("braintree")}`, expect: "refused", refusal: "missing_signature", handshake: { status: 200, body: await answered(key) } },
      { name: "a payload in base64 as a challenge is not answered", ...ask(encodeURIComponent(Buffer.from("<notification><kind>disbursement</kind></notification>").toString("base64"))), unjudged: true, expect: "refused", refusal: "missing_signature", handshake: null },
      { name: "a challenge in capital letters is not answered", ...ask(challenge.toUpperCase()), unjudged: true, expect: "refused", refusal: "missing_signature", handshake: null },
      { name: "a challenge that is too long is not answered", ...ask(challenge.repeat(3)), unjudged: true, expect: "refused", refusal: "missing_signature", handshake: null },
      { name: "a challenge that would sign a forgery is not answered", ...ask(encodeURIComponent(good.bt_payload.slice(0, 60) + "\n" + "x".repeat(300))), unjudged: true, expect: "refused", refusal: "missing_signature", handshake: null },
    ],
  });
}

async function chargebee() {
  const { basicAuthValidator } = await import(new URL("../node_modules/chargebee/esm/resources/webhook/auth.js", import.meta.url));
  const key = "hook:päss:word";
  const body = JSON.stringify({ id: "ev_AzZlwJTqW2kC61oV", occurred_at: 1767225600, event_type: "subscription_created", content: { subscription: { id: "sub_1" } } });
  const headers = (text) => ({ "content-type": "application/json", authorization: `Basic ${Buffer.from(text).toString("base64")}` });
  const compare = (secret) => basicAuthValidator((user, password) => `${user}:${password}` === secret);
  return suite({
    slug: "chargebee", made: "made with Node's Buffer", judged: version("chargebee"), key, other: "hook:another", body, signs_body: false, signature: "authorization", malformed: "Basic %",
    facts: { event_type: "subscription_created", delivery_id: "ev_AzZlwJTqW2kC61oV" },
    judge: async (v, secret) => { await compare(secret)(v.headers); return true; },
    request: ({ key }) => ({ headers: headers(key) }),
    extra: [
      { name: "the body is not signed", body: tampered(Buffer.from(body)), expect: "genuine" },
      { name: "named credentials", secrets: [], credentials: { username: "hook", password: "päss:word" }, expect: "genuine", unjudged: true },
      { name: "another user", headers: headers("root:päss:word"), expect: "refused", refusal: "signature_mismatch" },
      { name: "a bearer token", headers: { authorization: "Bearer x" }, expect: "refused", refusal: "unsupported_signature" },
    ],
  });
}

function zerotier() {
  const key = "778c6dab5feca625c7831644d18c4d0e4b3a337bff8a1e1c8f938f9cc20e6536";
  const printed = '{"hook_id":"ae76d4c0-c94e-4025-a648-2c504eb90e3c","org_id":"1bb4dc96-f311-4c4a-ac93-551cbc0fa3da","hook_type":"NETWORK_JOIN","network_id":"19d9808567a17ccf","member_id":"a02505e545"}';
  const body = JSON.stringify({ hook_id: "e2a8d0f4", org_id: "5f8f0d0c", hook_type: "NETWORK_CONFIG_CHANGED", text: "ü" });
  const sign = (key, text, time) => hmac(Buffer.from(key, "hex"), `${time},${text}`);
  const headers = (value) => ({ "content-type": "application/json", "x-ztc-signature": value });
  const good = sign(key, body, SENT);
  return suite({
    slug: "zerotier", judged: pythonVersion("ztchooks"), judge: pythonJudge("zerotier"), key, other: key.replace("778c", "778d"), body, signature: "x-ztc-signature", malformed: `t=${SENT},v1=%`,
    facts: { event_type: "NETWORK_CONFIG_CHANGED", delivery_id: "e2a8d0f4" },
    request: ({ key, body, time }) => ({ headers: headers(`t=${time},v1=${sign(key, body, time)}`) }),
    time: { max_age: 300, renew: (given, time) => headers(given["x-ztc-signature"].replace(/t=\d+/, `t=${time}`)) },
    extra: [
      { name: "the package's own test", body: printed, headers: headers("t=1694033429,v1=04d87956d1953f28ac04d441f139fc655109e9b5c64396fb55dbdf567c735f86"), verify_at: 1694033430, origin: "printed in the test of PyPI ztchooks 0.1.1", expect: "genuine", facts: { event_type: "NETWORK_JOIN", delivery_id: "ae76d4c0-c94e-4025-a648-2c504eb90e3c" } },
      { name: "two signatures", headers: headers(`t=${SENT},v1=${"0".repeat(64)},v1=${good}`), expect: "genuine" },
      { name: "the key's text instead of its bytes", headers: headers(`t=${SENT},v1=${hmac(key, `${SENT},${body}`)}`), expect: "refused", refusal: "signature_mismatch" },
      { name: "no time", headers: headers(`v1=${good}`), expect: "refused", refusal: "missing_timestamp" },
    ],
  });
}

export default async () => [nango(), inngest(), braintree(), chargebee(), zerotier()];
