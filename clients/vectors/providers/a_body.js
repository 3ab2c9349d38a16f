// Providers that sign the body alone, judged by their own SDKs.
import { createHmac } from "node:crypto";
import { suite } from "../suite.js";
import { version, require } from "../lib.js";

const hmac = (key, text, digest = "sha256", encoding = "hex") => createHmac(digest, key).update(text).digest(encoding);

/**
 * The usual set for a signature over the body in one header. `write(signature)` makes the header's value, and
 * `weaker(body)` headers with an older signature that must never decide.
 */
export function plain({ slug, header, made, judged, judge, key = "made-up-secret-0123456789", other = "another-made-up-secret", body, facts, write = (signature) => signature, digest = "sha256", encoding = "hex", bytes = (secret) => secret, headers: more = {}, malformed, weaker, differs = {}, extra = [], upper = true }) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const sign = (secret, sent) => hmac(bytes(secret), sent, digest, encoding);
  const headers = (value) => ({ "content-type": "application/json", ...(value === undefined ? {} : { [header]: value }), ...more });
  const right = sign(key, text);
  const spaced = `${text.slice(0, 1)}  ${text.slice(1)}\r\n`;
  const vectors = [
    { name: "odd spacing in the body", body: spaced, headers: headers(write(sign(key, spaced))), expect: "genuine" },
    { name: "re-serialised body", body: spaced, expect: "refused", refusal: "signature_mismatch" },
    { name: "signature cut short", headers: headers(write(right.slice(0, 24))), expect: "refused", refusal: "signature_mismatch" },
    ...(encoding === "hex" && upper ? [{ name: "upper-case hexadecimal", headers: headers(write(right.toUpperCase())), expect: "genuine" }] : []),
    ...(write("") === "" ? [] : [{ name: "without what stands in front", headers: headers(right), expect: "refused", refusal: "unsupported_signature" }]),
    ...(weaker ? [
      { name: "the older signature alone", headers: { ...headers(), ...weaker(key, text) }, expect: "refused", refusal: "missing_signature" },
      { name: "the older signature right, the newer wrong", headers: { ...headers(write(sign(other, text))), ...weaker(key, text) }, expect: "refused", refusal: "signature_mismatch" },
    ] : []),
    ...extra,
  ];
  for (const vector of vectors) if (differs[vector.name]) vector.sdk_differs = differs[vector.name];
  return suite({
    slug, made, judged, key, other, body: text, facts, signature: header, malformed: malformed === undefined ? write("%%") : malformed,
    judge: judge && ((v, k) => judge(v.headers[header], v.body.toString(), k, v)),
    request: ({ key: secret, body: sent }) => ({ headers: headers(write(sign(secret, sent))) }),
    extra: vectors,
  });
}

async function notion() {
  const { verifyWebhookSignature, signWebhookPayload } = await import("@notionhq/client");
  const key = "secret_made_up_0123456789";
  const body = JSON.stringify({ id: "367cba44-b6f3-4c92-81e7-6a2e9659efd4", type: "page.content_updated", entity: { id: "153104cd", type: "page" } });
  const first = JSON.stringify({ verification_token: "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl" });
  return plain({
    slug: "notion", header: "x-notion-signature", judged: version("@notionhq/client"), key, write: (one) => `sha256=${one}`, body,
    facts: { event_type: "page.content_updated", delivery_id: "367cba44-b6f3-4c92-81e7-6a2e9659efd4" },
    judge: (signature, text, verificationToken) => verifyWebhookSignature({ body: text, signature, verificationToken }),
    extra: [
      { name: "signed by the SDK", headers: { "x-notion-signature": await signWebhookPayload({ body, verificationToken: key }) }, expect: "genuine" },
      { name: "verification token", body: first, headers: { "content-type": "application/json" }, expect: "refused", refusal: "missing_signature", handshake: { status: 200, body: "", captured: JSON.parse(first).verification_token } },
      { name: "a verification token inside an event is no handshake", body: `${body.slice(0, -1)},"verification_token":"guess"}`, headers: {}, expect: "refused", refusal: "missing_signature", handshake: null },
    ],
  });
}

async function easypost() {
  const { default: Client } = await import("@easypost/api");
  const client = new Client("EZTK_made_up");
  const key = "sécret-made-up";
  const weights = "{\"description\":\"tracker.updated\",\"id\":\"evt_1\",\"result\":{\"weight\": 614.0}}";
  const whole = weights.replace("614.0", "614");
  const header = (text) => ({ headers: { "x-hmac-signature": `hmac-sha256-hex=${hmac(key.normalize("NFKD"), text)}` } });
  return plain({
    slug: "easypost", header: "x-hmac-signature", judged: version("@easypost/api"), key, write: (one) => `hmac-sha256-hex=${one}`, bytes: (secret) => secret.normalize("NFKD"),
    body: { description: "tracker.updated", mode: "test", id: "evt_1", object: "Event", result: { id: "trk_1", status: "in_transit" } },
    facts: { event_type: "tracker.updated", delivery_id: "evt_1" },
    judge: (signature, text, secret) => client.Utils.validateWebhook(Buffer.from(text), { "x-hmac-signature": signature }, secret) !== null,
    differs: { "upper-case hexadecimal": "it compares texts" },
    extra: [
      { name: "the secret in another normal form", secrets: [key.normalize("NFD")], expect: "genuine" },
      { name: "a weight with its fraction", body: weights, ...header(weights), expect: "genuine" },
      { name: "a weight without its fraction", body: whole, ...header(whole), expect: "genuine", sdk_differs: "it writes 614 as 614.0 before it hashes, for bodies that were parsed; here the bytes that came count" },
    ],
  });
}

async function twitter() {
  const { validateWebhook, validateSignature } = require("twitter-autohook");
  const key = "made-up-consumer-secret";
  const crc = (query) => ({ method: "GET", url: `https://hooks.example.com/in/src?${query}`, headers: {}, body: "", unjudged: true, expect: "refused", refusal: "missing_signature" });
  const { response_token } = validateWebhook("NTMxMTkyMjQ", { consumer_secret: key });
  return plain({
    slug: "twitter", header: "x-twitter-webhooks-signature", judged: version("twitter-autohook"), key, encoding: "base64", write: (one) => `sha256=${one}`,
    body: { for_user_id: "2244994945", tweet_create_events: [{ id_str: "1", text: "Grüße" }] }, facts: { event_type: "tweet_create_events" },
    judge: (signature, text, consumer_secret) => validateSignature({ "x-twitter-webhooks-signature": signature }, { consumer_secret }, text),
    extra: [
      { name: "crc_token", ...crc("crc_token=NTMxMTkyMjQ"), handshake: { status: 200, body: JSON.stringify({ response_token }) }, origin: `answered by ${version("twitter-autohook")}` },
      ...["true", "12345"].map((text) => ({
        name: `the answer to the challenge ${text} as a signature`, body: text, headers: { "content-type": "application/json", "x-twitter-webhooks-signature": validateWebhook(text, { consumer_secret: key }).response_token },
        expect: "refused", refusal: "unsupported_body", unjudged: true, origin: `answered by ${version("twitter-autohook")}, which would accept it as a signature`,
      })),
      { name: "a body as crc_token is not signed", ...crc(`crc_token=${encodeURIComponent("{\"for_user_id\":\"1\"}")}`), handshake: null, origin: "signing any text for strangers would sign forgeries" },
    ],
  });
}

// One after the other: while a judge runs, the clock stands still for all.
export default async () => {
  const made = [];
  for (const one of [notion, easypost, twitter]) made.push(await one());
  return made;
};
