// JSON Web Tokens signed with a shared secret: Vonage, MessageBird, LiveKit, Upstash, Netlify, FusionAuth, monday.com.
import { createHash, createHmac, createSecretKey } from "node:crypto";
import { version, require, SENT, NOW, tampered } from "../lib.js";
import { suite } from "../suite.js";

const url = "https://hooks.example.com/in/src";
const part = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const sha256 = (text, encoding) => createHash("sha256").update(text).digest(encoding);

/** A token signed with HMAC, whatever its header says. */
export function hs(claims, key, { digest = "sha256", header = { alg: "HS256", typ: "JWT" } } = {}) {
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${createHmac(digest, key).update(signed).digest("base64url")}`;
}

/** What every provider with tokens should have besides the usual: other algorithms, and times in the token. */
function tokens({ claims, key, headers, expiry = true, body }) {
  const made = (over, options, using = key) => ({ headers: headers(hs({ ...claims(body), ...over }, using, options)) });
  const none = hs(claims(body), key, { header: { alg: "none" } }).split(".").slice(0, 2).join(".") + ".";
  const list = [
    { name: "algorithm none", headers: headers(none), expect: "refused", refusal: "malformed_signature" },
    { name: "a header that names no algorithm", ...made({}, { header: { typ: "JWT" } }), expect: "refused", refusal: "malformed_signature" },
    { name: "a public-key algorithm named over an HMAC", ...made({}, { header: { alg: "RS256" } }), expect: "refused", refusal: "unsupported_signature" },
    { name: "claims changed after signing", headers: headers(swapped(hs(claims(body), key))), expect: "refused", refusal: "signature_mismatch" },
  ];
  if (expiry) {
    list.push({ name: "expired", ...made({ exp: SENT - 100 }), expect: "refused", refusal: "stale" });
    list.push({ name: "not yet valid", ...made({ nbf: NOW + 100 }), expect: "refused", refusal: "from_future" });
  }
  return list;
}

function swapped(token) {
  const [head, claims, signature] = token.split(".");
  const changed = { ...JSON.parse(Buffer.from(claims, "base64url")), sub: "changed" };
  return [head, part(changed), signature].join(".");
}

function vonage() {
  const { verifySignature } = require("@vonage/jwt");
  const key = "made-up-signature-secret-of-the-account-0123456789";
  const body = JSON.stringify({ to: "447700900000", from: "447700900001", channel: "sms", message_uuid: "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab", text: "Grüße" });
  const claims = (text, time = SENT) => ({ iat: time, jti: "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5", iss: "Vonage", payload_hash: sha256(text, "hex"), api_key: "a1b2c3d4", application_id: "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ac" });
  const headers = (token) => ({ "content-type": "application/json", authorization: `Bearer ${token}` });
  const unbound = "its README leaves the body's hash to the caller";
  return suite({
    slug: "vonage", judged: version("@vonage/jwt"), key, other: "another-signature-secret-0123456789abcdef", body, mismatch: "signature_mismatch", signature: "authorization", malformed: "Bearer abc",
    judge: (v, secret) => verifySignature((v.headers.authorization ?? "").replace(/^Bearer /, ""), secret),
    request: ({ key, body, time }) => ({ headers: headers(hs(claims(body, time), key)) }), signs_body: false,
    extra: [
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "body_mismatch", sdk_differs: unbound },
      { name: "no hash of the body", headers: headers(hs({ ...claims(body), payload_hash: undefined }, key)), expect: "refused", refusal: "claim_mismatch", sdk_differs: unbound },
      { name: "GET without a body", method: "GET", body: "", headers: { authorization: `Bearer ${hs({ ...claims(""), payload_hash: undefined }, key)}` }, expect: "genuine" },
      { name: "a captured token without the body", method: "GET", body: "", expect: "refused", refusal: "body_mismatch", sdk_differs: unbound },
      { name: "GET with the hash of nothing", method: "GET", body: "", headers: { authorization: `Bearer ${hs(claims(""), key)}` }, expect: "genuine" },
      { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale", sdk_differs: "it leaves the age to the caller" },
      { name: "no Bearer", headers: { authorization: hs(claims(body), key) }, expect: "refused", refusal: "unsupported_signature", unjudged: true },
      ...tokens({ claims, key, headers, body }),
    ],
  });
}

function messagebird() {
  const { verify, VerifyOptions } = require("messagebird/lib/webhook-signature-jwt");
  const key = "made-up-signing-key-0123456789abcdef";
  const body = JSON.stringify({ id: "5979d85e0a7e4a5e9c1c1b2f0d4b5a6c", status: "delivered" });
  const claims = (text, time = SENT) => ({ iss: "MessageBird", nbf: time - 1, exp: time + 60, jti: "8a0a1a2b-1f1f-4c8e-8c8e-5a3b9b1b2c3d", url_hash: sha256(url, "hex"), payload_hash: sha256(text, "hex") });
  const headers = (token) => ({ "content-type": "application/json", "messagebird-signature-jwt": token });
  return suite({
    slug: "messagebird", judged: version("messagebird"), key, body, mismatch: "signature_mismatch", signature: "messagebird-signature-jwt", malformed: "abc", signs_body: false, facts: { delivery_id: "8a0a1a2b-1f1f-4c8e-8c8e-5a3b9b1b2c3d" },
    judge: (v, secret) => verify(v.url, v.body, v.headers["messagebird-signature-jwt"], createSecretKey(Buffer.from(secret)), new VerifyOptions()).then(() => true),
    request: ({ key, body, time }) => ({ headers: headers(hs(claims(body, time), key)) }),
    extra: [
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "body_mismatch" },
      { name: "another URL", url: `${url}?more=1`, expect: "refused", refusal: "claim_mismatch" },
      { name: "another issuer", headers: headers(hs({ ...claims(body), iss: "Somebody" }, key)), expect: "refused", refusal: "claim_mismatch" },
      { name: "no hash of the body", headers: headers(hs({ ...claims(body), payload_hash: undefined }, key)), expect: "refused", refusal: "claim_mismatch" },
      { name: "empty body", body: "", headers: headers(hs({ ...claims(""), payload_hash: undefined }, key)), expect: "genuine" },
      { name: "a captured token without the body", body: "", expect: "refused", refusal: "body_mismatch" },
      { name: "empty body with the hash of nothing", body: "", headers: headers(hs(claims(""), key)), expect: "genuine" },
      { name: "HS512", headers: headers(hs(claims(body), key, { digest: "sha512", header: { alg: "HS512" } })), expect: "genuine" },
      { name: "another HMAC than the header says", headers: headers(hs(claims(body), key, { digest: "sha512" })), expect: "refused", refusal: "signature_mismatch" },
      ...tokens({ claims, key, headers, body }),
    ],
  });
}

async function livekit() {
  const { WebhookReceiver } = await import("livekit-server-sdk");
  const key = "made-up-api-secret-0123456789abcdef0123456789";
  const body = JSON.stringify({ event: "room_started", id: "EV_gUuAq7GnKQXg", createdAt: "1767225600", room: { sid: "RM_hycBMAjmt6Ub", name: "stand-up ü" } });
  const claims = (text, time = SENT) => ({ iss: "APImadeup", exp: time + 300, sha256: sha256(text, "base64") });
  const headers = (token) => ({ "content-type": "application/webhook+json", authorization: token });
  return suite({
    slug: "livekit", judged: version("livekit-server-sdk"), key, body, signature: "authorization", malformed: "abc", signs_body: false, facts: { event_type: "room_started", delivery_id: "EV_gUuAq7GnKQXg" },
    judge: async (v, secret) => Boolean(await new WebhookReceiver("APImadeup", secret).receive(v.body.toString(), v.headers.authorization)),
    request: ({ key, body, time }) => ({ headers: headers(hs(claims(body, time), key)) }),
    extra: [
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "body_mismatch" },
      { name: "no hash of the body", headers: headers(hs({ ...claims(body), sha256: undefined }, key)), expect: "refused", refusal: "claim_mismatch" },
      { name: "no expiry", headers: headers(hs({ ...claims(body), exp: undefined }, key)), expect: "refused", refusal: "claim_mismatch" },
      ...tokens({ claims, key, headers, body }),
    ],
  });
}

async function upstash() {
  const { Receiver } = await import("@upstash/qstash");
  const key = "sig_madeup_current_0123456789abcdef";
  const other = "sig_madeup_next_0123456789abcdef";
  const body = JSON.stringify({ job: "send-invoice", invoice: "in_1042 ü" });
  const claims = (text, time = SENT) => ({ iss: "Upstash", sub: url, exp: time + 300, nbf: time, iat: time, jti: "jwt_67kxXD6UBAk7DqU6hzuHMDdXFXfP", body: sha256(text, "base64url") });
  const headers = (token) => ({ "content-type": "application/json", "upstash-message-id": "msg_26hZCxZCuWyyTWPmSVBrNB882AMRP", "upstash-signature": token });
  return suite({
    slug: "upstash_qstash", judged: version("@upstash/qstash"), key, other, body, signature: "upstash-signature", malformed: "abc", signs_body: false, facts: { delivery_id: "msg_26hZCxZCuWyyTWPmSVBrNB882AMRP" },
    judge: (v, secret) => new Receiver({ currentSigningKey: secret, nextSigningKey: secret }).verify({ signature: v.headers["upstash-signature"], body: v.body.toString(), url: v.url }),
    request: ({ key, body, time }) => ({ headers: headers(hs(claims(body, time), key)) }),
    extra: [
      { name: "hash with padding", headers: headers(hs({ ...claims(body), body: `${claims(body).body}=` }, key)), expect: "genuine" },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "body_mismatch" },
      { name: "another URL", url: `${url}/`, expect: "refused", refusal: "claim_mismatch" },
      { name: "another issuer", headers: headers(hs({ ...claims(body), iss: "Somebody" }, key)), expect: "refused", refusal: "claim_mismatch" },
      { name: "no hash of the body", headers: headers(hs({ ...claims(body), body: undefined }, key)), expect: "refused", refusal: "claim_mismatch" },
      ...tokens({ claims, key, headers, body }),
    ],
  });
}

function netlify() {
  const key = "made-up-jws-secret";
  const body = JSON.stringify({ id: "5ebc34bf4fea0b01f02efa3a", site_id: "fa4dd95a", state: "ready", name: "docs-site", error_message: null });
  const claims = (text) => ({ iss: "netlify", sha256: sha256(text, "hex") });
  const headers = (token) => ({ "content-type": "application/json", "x-webhook-signature": token });
  return suite({
    slug: "netlify", made: "signed with Node's crypto after descriptions by others", key, body, signature: "x-webhook-signature", malformed: "abc", signs_body: false, facts: { event_type: "ready", delivery_id: "5ebc34bf4fea0b01f02efa3a:ready" },
    request: ({ key, body }) => ({ headers: headers(hs(claims(body), key)) }),
    extra: [
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "body_mismatch" },
      { name: "another issuer", headers: headers(hs({ ...claims(body), iss: "somebody" }, key)), expect: "refused", refusal: "claim_mismatch" },
      ...tokens({ claims, key, headers, body }),
    ],
  });
}

function monday() {
  const key = "made-up-signing-secret-of-the-app";
  const body = JSON.stringify({ event: { type: "update_column_value", boardId: 1771812698, pulseId: 1771812728, triggerUuid: "645fc8d8709d35718f1ae00ceded91e9" } });
  const claims = (text, time = SENT) => ({ accountId: 7, userId: 9603417, aud: url, exp: time + 300, iat: time });
  const headers = (token) => ({ "content-type": "application/json", authorization: token });
  const challenge = JSON.stringify({ challenge: "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" });
  const marked = JSON.stringify({ challenge: "<script>" });
  return suite({
    slug: "monday", made: "signed with Node's crypto after https://developer.monday.com/apps/docs/integration-authorization", key, body, signature: "authorization", malformed: "abc", signs_body: false, facts: { event_type: "update_column_value", delivery_id: "645fc8d8709d35718f1ae00ceded91e9" },
    request: ({ key, body, time }) => ({ headers: headers(hs(claims(body, time), key)) }),
    extra: [
      { name: "the body is not signed", body: tampered(Buffer.from(body)), expect: "genuine" },
      { name: "another URL", url: `${url}/other`, expect: "refused", refusal: "claim_mismatch" },
      { name: "behind a proxy", url: "http://127.0.0.1:8080/in/src", public_url: url, expect: "genuine" },
      { name: "no audience", headers: headers(hs({ ...claims(body), aud: undefined }, key)), expect: "refused", refusal: "claim_mismatch" },
      { name: "no expiry", headers: headers(hs({ ...claims(body), exp: undefined }, key)), expect: "refused", refusal: "claim_mismatch" },
      { name: "a session token of the app's user", headers: headers(hs({ dat: { client_id: "app", user_id: 9603417, account_id: 7 }, exp: SENT + 300 }, key)), expect: "refused", refusal: "claim_mismatch" },
      { name: "challenge", body: challenge, headers: { "content-type": "application/json" }, expect: "refused", refusal: "missing_signature", handshake: { status: 200, body: challenge } },
      { name: "markup in the challenge is not echoed", body: marked, headers: { "content-type": "application/json" }, expect: "refused", refusal: "missing_signature", handshake: null },
      { name: "a challenge inside an event is no challenge", body: JSON.stringify({ event: {}, challenge: "abc" }), headers: { "content-type": "application/json" }, expect: "refused", refusal: "missing_signature", handshake: null },
      ...tokens({ claims, key, headers, body }),
    ],
  });
}

export default async () => [vonage(), messagebird(), livekit(), upstash(), netlify(), monday()];
