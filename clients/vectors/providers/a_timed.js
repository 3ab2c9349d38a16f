// Providers whose signature header names a time and one or more signatures, judged by their own SDKs.
import { createHmac } from "node:crypto";
import { suite } from "../suite.js";
import { version, require, SENT } from "../lib.js";

const hex = (key, text) => createHmac("sha256", key).update(text).digest("hex");

/**
 * The usual set for headers such as `t=1,v1=aa`. `write(time, signature)` makes the header, `sign(key, time, body)`
 * the signature, and `unit` is how many of the header's units a second has. `list: false` says that only one signature
 * may come, `versions: false` that signatures have no version; `future: null` that times ahead are accepted,
 * `positional` that the time is no named field.
 */
export function timed({ slug, header, made, judged, judge, body, facts, key, other = "another-made-up-secret", write, sign, unit = 1, age = 300, future = 300, list = true, versions = true, headers: more = {}, differs = {}, malformed, positional = false, extra = [] }) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const headers = (value) => ({ "content-type": "application/json", [header]: value, ...more });
  const right = sign(key, SENT * unit, text);
  const wrong = sign(other, SENT * unit, text);
  const spaced = `${text.slice(0, 1)}  ${text.slice(1)}\n`;
  const vectors = [
    { name: "odd spacing in the body", body: spaced, headers: headers(write(SENT * unit, [sign(key, SENT * unit, spaced)])), expect: "genuine" },
    { name: "re-serialised body", body: spaced, expect: "refused", refusal: "signature_mismatch" },
    ...(positional ? [] : [{ name: "signature without a time", headers: headers(write(SENT * unit, [right]).replace(/(^|[,;] ?)(t|ts|v|timestamp)=[0-9]+[,;]? ?/, "$1")), expect: "refused", refusal: "missing_timestamp" }]),
    ...(list ? [
      { name: "several signatures", headers: headers(write(SENT * unit, [wrong, right])), expect: "genuine" },
      { name: "several signatures, none fits", headers: headers(write(SENT * unit, [wrong, wrong])), expect: "refused", refusal: "signature_mismatch" },
    ] : []),
    ...(versions ? [{ name: "an unknown version alone", headers: headers(`${write(SENT * unit, [])}${write(0, []).includes(";") ? ";" : ","}v9=${right}`.replace(",,", ",")), expect: "refused", refusal: "unsupported_signature" }] : []),
    ...(future === null ? [{ name: "from the future is not checked", verify_at: SENT - 4000, expect: "genuine" }] : []),
    ...extra,
  ];
  for (const vector of vectors) if (differs[vector.name]) vector.sdk_differs = differs[vector.name];
  return suite({
    slug, made, judged, key, other, body: text, facts, signature: header,
    malformed: malformed === undefined ? write(SENT * unit, ["zz"]) : malformed,
    judge: judge && ((v, k) => judge(v.headers[header], v.body.toString(), k, v)),
    request: ({ key: secret, body: sent, time }) => ({ headers: headers(write(time * unit, [sign(secret, time * unit, sent)])) }),
    time: { max_age: age, max_future: future, renew: (old, time) => ({ ...old, [header]: write(time * unit, [right]) }) },
    extra: vectors,
  });
}

/** A judge that passes when its call does not throw. */
const quiet = (call) => async (...given) => {
  await call(...given);
  return true;
};
const dotted = (key, time, body) => hex(key, `${time}.${body}`);
const stripe_like = (name = "v1", separator = ",") => (time, signatures) => [`t=${time}`, ...signatures.map((one) => `${name}=${one}`)].join(separator);

async function mux() {
  const { default: Mux } = await import("@mux/mux-node");
  const client = new Mux({ tokenId: "made-up", tokenSecret: "made-up" });
  return timed({
    slug: "mux", header: "mux-signature", judged: version("@mux/mux-node"), key: "made-up-mux-signing-secret", write: stripe_like(), sign: dotted, future: null,
    body: { type: "video.asset.ready", id: "3a56ac3d-33da-4366-855b-f592d898409d", data: { status: "ready", passthrough: "Grüße" } },
    facts: { event_type: "video.asset.ready", delivery_id: "3a56ac3d-33da-4366-855b-f592d898409d" },
    judge: quiet((signature, body, key) => client.webhooks.verifySignature(body, { "mux-signature": signature }, key)),
  });
}

async function workos() {
  const { WorkOS } = await import("@workos-inc/node");
  const client = new WorkOS("sk_made_up");
  return timed({
    slug: "workos", header: "workos-signature", judged: version("@workos-inc/node"), key: "made-up-workos-secret", unit: 1000, age: 180, future: null,
    write: stripe_like("v1", ", "), sign: dotted,
    body: { id: "wh_01FPE04BHZGTHKAHKQGCTK6YTS", event: "dsync.user.created", data: { email: "ada@example.com" } },
    facts: { event_type: "dsync.user.created", delivery_id: "wh_01FPE04BHZGTHKAHKQGCTK6YTS" },
    judge: quiet((sigHeader, payload, secret) => client.webhooks.verifyHeader({ payload, sigHeader, secret })),
    differs: { "several signatures": "it reads the first signature only", "an unknown version alone": "it does not look at the version" },
    extra: [{ name: "without a space after the comma", headers: { "workos-signature": `t=${SENT * 1000},v1=${dotted("made-up-workos-secret", SENT * 1000, JSON.stringify({ id: "wh_01FPE04BHZGTHKAHKQGCTK6YTS", event: "dsync.user.created", data: { email: "ada@example.com" } }))}` }, expect: "genuine" }],
  });
}

async function elevenlabs() {
  const { ElevenLabsClient } = await import("@elevenlabs/elevenlabs-js");
  const client = new ElevenLabsClient({ apiKey: "made-up" });
  return timed({
    slug: "elevenlabs", header: "elevenlabs-signature", judged: version("@elevenlabs/elevenlabs-js"), key: "wsec_made_up_0123456789", age: 1800, future: null,
    write: stripe_like("v0"), sign: dotted,
    body: { type: "post_call_transcription", event_timestamp: SENT, data: { agent_id: "agent_1", conversation_id: "conv_1" } }, facts: { event_type: "post_call_transcription" },
    judge: quiet((signature, body, key) => client.webhooks.constructEvent(body, signature, key)),
    differs: { "several signatures": "it reads the first signature only" },
  });
}

async function retell() {
  const { Retell } = await import("retell-sdk");
  return timed({
    slug: "retell", header: "x-retell-signature", judged: version("retell-sdk"), key: "key_made_up_0123456789", unit: 1000, list: false, versions: false,
    write: (time, signatures) => [`v=${time}`, ...signatures.map((one) => `d=${one}`)].join(","), sign: (key, time, body) => hex(key, `${body}${time}`),
    body: { event: "call_ended", call: { call_id: "Jabr9TXYYJHfvl6Syypi88rdAHYHmcq6", call_status: "ended" } },
    facts: { event_type: "call_ended", delivery_id: "call_ended:Jabr9TXYYJHfvl6Syypi88rdAHYHmcq6" },
    judge: (signature, body, key) => Retell.verify(body, key, signature),
  });
}

async function hygraph() {
  const { verifyWebhookSignature } = require("@hygraph/utils");
  const sign = (key, time, body, env = "master") => createHmac("sha256", key).update(JSON.stringify({ Body: body, EnvironmentName: env, TimeStamp: time })).digest("base64");
  const key = "rCNwyiloY3oJYYkxgpBXaleIiUv5MYlx";
  const body = JSON.stringify({ operation: "publish", data: { __typename: "Post", id: "ckb9j9y3k004i0149ypzxop4r", title: "A \"quoted\" title\nwith </script> and Grüße 🐙" } });
  const header = (env, signature) => ({ headers: { "content-type": "application/json", "gcms-signature": `sign=${signature}, env=${env}, t=${SENT * 1000}` } });
  return timed({
    slug: "hygraph", header: "gcms-signature", judged: version("@hygraph/utils"), key, unit: 1000, list: false, versions: false, malformed: `sign=%, env=master, t=${SENT * 1000}`,
    write: (time, signatures) => [...signatures.map((one) => `sign=${one}`), "env=master", `t=${time}`].join(", "), sign, body, facts: { event_type: "publish" },
    judge: (signature, rawPayload, secret, v) => Math.abs(v.verify_at * 1000 - Number(/t=([0-9]+)/.exec(signature)[1])) <= 300_000 && verifyWebhookSignature({ rawPayload, signature, secret }),
    extra: [
      { name: "another environment", ...header("staging", sign(key, SENT * 1000, body, "staging")), expect: "genuine" },
      { name: "environment renamed", ...header("staging", sign(key, SENT * 1000, body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "control characters in the body", body: "{\"a\":\"\\u0001\t\u2028\"}", ...header("master", sign(key, SENT * 1000, "{\"a\":\"\\u0001\t\u2028\"}")), expect: "genuine" },
    ],
  });
}

async function mercadopago() {
  const { WebhookSignatureValidator } = require("mercadopago/dist/utils/webhook");
  const key = "made-up-mercadopago-secret";
  const request_id = "bb56a2f1-6aae-46ac-982e-9dcd3581d08e";
  const url = "https://hooks.example.com/in/src?data.id=999999999&type=payment";
  const sign = (secret, time, id = "999999999") => hex(secret, `${id === null ? "" : `id:${id};`}request-id:${request_id};ts:${time};`);
  const headers = (signature, time = SENT, request = request_id) => ({ "content-type": "application/json", "x-signature": `ts=${time},v1=${signature}`, "x-request-id": request });
  return suite({
    slug: "mercadopago", judged: version("mercadopago"), key, signs_body: false, signature: "x-signature", malformed: `ts=${SENT},v1=zz`,
    body: JSON.stringify({ id: 12345, type: "payment", action: "payment.updated", data: { id: "999999999" } }), facts: { event_type: "payment.updated", delivery_id: "12345" },
    judge: (v, secret) => {
      WebhookSignatureValidator.validate({ xSignature: v.headers["x-signature"], xRequestId: v.headers["x-request-id"], dataId: new URL(v.url).searchParams.get("data.id") ?? undefined, secret });
      return true;
    },
    request: ({ key: secret, time }) => ({ url, headers: headers(sign(secret, time), time) }),
    extra: [
      { name: "the body is not signed", body: "{}", expect: "genuine" },
      { name: "a second id behind the signed one", url: `${url}&data.id=888888888`, expect: "refused", refusal: "repeated_header", sdk_differs: "it is handed the first one" },
      { name: "a second id before the signed one", url: url.replace("?", "?data.id=888888888&"), expect: "refused", refusal: "repeated_header" },
      { name: "another id in the URL", url: url.replace("999999999", "888888888"), expect: "refused", refusal: "signature_mismatch" },
      { name: "another request id", headers: headers(sign(key, SENT), SENT, "another"), expect: "refused", refusal: "signature_mismatch" },
      { name: "time renewed", headers: headers(sign(key, SENT), SENT + 1), expect: "refused", refusal: "signature_mismatch" },
      {
        name: "an id with capital letters is signed in lower case", url: url.replace("999999999", "ORD01J49MMW3SSBK5PSV3DFR32959"), headers: headers(sign(key, SENT, "ord01j49mmw3ssbk5psv3dfr32959")), expect: "genuine",
        sdk_differs: "it leaves the letters as they are, and Mercado Pago's page is quoted as asking for lower case",
      },
      { name: "no id in the URL", url: "https://hooks.example.com/in/src", headers: headers(sign(key, SENT, null)), expect: "genuine" },
      { name: "an unknown version alone", headers: { ...headers(""), "x-signature": `ts=${SENT},v9=${sign(key, SENT)}` }, expect: "refused", refusal: "unsupported_signature" },
      { name: "no time", headers: { ...headers(""), "x-signature": `v1=${sign(key, SENT)}` }, expect: "refused", refusal: "missing_part" },
    ],
  });
}

// One after the other: while a judge runs, the clock stands still for all.
export default async () => {
  const made = [];
  for (const one of [mux, workos, elevenlabs, retell, hygraph, mercadopago]) made.push(await one());
  return made;
};
