// WebSub with its four digests, Flutterwave with its two ways, and Keygen's signed request lines.
import { createHash, createHmac, createPrivateKey, createPublicKey, sign as signBytes } from "node:crypto";
import { SENT, tampered } from "../lib.js";
import { suite } from "../suite.js";
import { ED, OTHER, RSA } from "./d_keys.js";

const json = { "content-type": "application/json" };
const hmac = (key, text, digest = "sha256", encoding = "hex") => createHmac(digest, key).update(text).digest(encoding);
const url = "https://hooks.example.com/in/src";

function websub() {
  const key = "made-up-hub-secret";
  const topic = "https://www.youtube.com/xml/feeds/videos.xml?channel_id=UCmadeup";
  const body = '<feed xmlns="http://www.w3.org/2005/Atom"><title>Grüße</title></feed>';
  const headers = (value) => ({ "content-type": "application/atom+xml", "x-hub-signature": value });
  const by = (digest, text = body, secret = key) => headers(`${digest}=${hmac(secret, text, digest)}`);
  const ask = (over) => {
    const query = new URLSearchParams({ "hub.mode": "subscribe", "hub.topic": topic, "hub.challenge": "11184037213427374421", "hub.lease_seconds": "432000", ...over });
    return { method: "GET", body: "", headers: {}, url: `${url}?${query}`, credentials: { topic }, expect: "refused", refusal: "missing_signature" };
  };
  const answered = { status: 200, body: "11184037213427374421" };
  return suite({
    slug: "websub", made: "signed with Node's crypto after https://www.w3.org/TR/websub/", key, body, signature: "x-hub-signature", malformed: "sha256=%", request: ({ key, body }) => ({ headers: by("sha256", body, key) }),
    extra: [
      { name: "SHA-512", headers: by("sha512"), expect: "genuine" },
      { name: "SHA-384", headers: by("sha384"), expect: "genuine" },
      { name: "SHA-1, as YouTube's hub signs", headers: by("sha1"), expect: "genuine" },
      { name: "SHA-1 with a tampered body", headers: by("sha1"), body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "another digest than the header says", headers: headers(`sha512=${hmac(key, body)}`), expect: "refused", refusal: "signature_mismatch" },
      { name: "MD5", headers: headers(`md5=${hmac(key, body, "md5")}`), expect: "refused", refusal: "unsupported_signature" },
      { name: "subscribe", ...ask({}), handshake: answered },
      { name: "unsubscribe", ...ask({ "hub.mode": "unsubscribe" }), handshake: answered },
      { name: "a topic that nobody asked for is not confirmed", ...ask({ "hub.topic": "https://example.com/feed" }), handshake: null },
      { name: "denied", ...ask({ "hub.mode": "denied" }), handshake: null },
      { name: "markup in the challenge is not echoed", ...ask({ "hub.challenge": "<script>" }), handshake: null },
      { name: "no topic configured", ...ask({}), credentials: {}, handshake: null },
    ],
  });
}

function flutterwave() {
  const key = "made-up-secret-hash";
  const body = JSON.stringify({ id: "wbk_1", type: "charge.completed", data: { id: "chg_1", amount: 200.5, text: "ü" } });
  const older = JSON.stringify({ event: "charge.completed", data: { id: 285959875, status: "successful" } });
  return suite({
    slug: "flutterwave", made: "signed with Node's crypto after descriptions by others", key, body, signature: "flutterwave-signature", malformed: "%", facts: { event_type: "charge.completed", delivery_id: "wbk_1" },
    request: ({ key, body }) => ({ headers: { ...json, "flutterwave-signature": hmac(key, body, "sha256", "base64") } }),
    extra: [
      { name: "the text alone, as v3 sends it", body: older, headers: { ...json, "verif-hash": key }, expect: "genuine", facts: { event_type: "charge.completed", delivery_id: "charge.completed:285959875:successful" } },
      { name: "a wrong text", body: older, headers: { ...json, "verif-hash": "guess" }, expect: "refused", refusal: "signature_mismatch" },
      { name: "downgrade: the right text beside a wrong signature", headers: { ...json, "verif-hash": key, "flutterwave-signature": hmac("another", body, "sha256", "base64") }, expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

function keygen() {
  const body = JSON.stringify({ data: { id: "5f0c9a1f-7a2b-4c00-92e4-d9aa00000001", type: "webhook-events", attributes: { event: "license.created", payload: "{}" } } });
  const httpDate = (time) => new Date(time * 1000).toUTCString();
  const digest = (text) => `sha-256=${createHash("sha256").update(text).digest("base64")}`;
  const lines = (text, time, path = "/in/src?a=1") => `(request-target): post ${path}\nhost: hooks.example.com\ndate: ${httpDate(time)}\ndigest: ${digest(text)}`;
  const value = (algorithm, signature) => `keyid="made-up-account", algorithm="${algorithm}", signature="${signature}", headers="(request-target) host date digest"`;
  const headers = (algorithm, signature, text = body, time = SENT) => ({ ...json, date: httpDate(time), digest: digest(text), "keygen-date": httpDate(time), "keygen-digest": digest(text), "keygen-signature": value(algorithm, signature) });
  const raw = (key) => createPublicKey(key).export({ format: "der", type: "spki" }).subarray(12).toString("hex");
  const ed = (key, text, time) => signBytes(null, Buffer.from(lines(text, time)), key).toString("base64");
  const other = createPrivateKey({ key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, 9)]), format: "der", type: "pkcs8" });
  const good = ed(ED, body, SENT);
  return suite({
    slug: "keygen", made: "signed with Node's crypto after https://github.com/keygen-sh/keygen-api (signature_methods.rb)", key: ED, other, keys: (...keys) => ({ public_keys: keys.map(raw) }), body, base: { url: `${url}?a=1` },
    signature: "keygen-signature", malformed: value("ed25519", "%"), facts: { event_type: "license.created", delivery_id: "5f0c9a1f-7a2b-4c00-92e4-d9aa00000001" },
    request: ({ key, body, time }) => ({ headers: headers("ed25519", ed(key, body, time), body, time) }),
    time: { max_age: 300, max_future: 300, renew: (given, time) => ({ ...given, date: httpDate(time), "keygen-date": httpDate(time) }) },
    extra: [
      { name: "tampered body with a fresh digest", body: `${body} `, headers: headers("ed25519", good, `${body} `), expect: "refused", refusal: "signature_mismatch" },
      { name: "another path", url: `${url}/other?a=1`, expect: "refused", refusal: "signature_mismatch" },
      { name: "another query", url: `${url}?a=2`, expect: "refused", refusal: "signature_mismatch" },
      { name: "another host", url: "https://elsewhere.example.com/in/src?a=1", expect: "refused", refusal: "signature_mismatch" },
      { name: "another algorithm", headers: headers("rsa-sha256", signBytes("sha256", Buffer.from(lines(body, SENT)), RSA).toString("base64")), expect: "refused", refusal: "unsupported_body" },
    ],
  });
}

function orum() {
  const body = JSON.stringify({ event_id: "0b7d1f0e", event_type: "transfer_updated", created_at: "2026-01-01T00:00:00Z", event_data: { status: "completed", text: "ü" } });
  const sign = (key, text) => signBytes("sha256", Buffer.from(text), key).toString("base64");
  const headers = (signature) => ({ ...json, signature });
  const spki = (key) => createPublicKey(key).export({ format: "pem", type: "spki" });
  const untimed = JSON.stringify({ event_id: "0b7d1f0e" });
  return suite({
    slug: "orum_io", made: "signed with Node's crypto after https://docs.orum.io/api-reference/webhooks/secure-webhooks", key: RSA, other: OTHER, keys: (...keys) => ({ public_keys: keys.map(spki) }), body,
    signature: "signature", facts: { event_type: "transfer_updated", delivery_id: "0b7d1f0e" }, request: ({ key, body }) => ({ headers: headers(sign(key, `${body}2026-01-01T00:00:00Z`)) }),
    extra: [
      { name: "the body alone signed", headers: headers(sign(RSA, body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "no created_at", body: untimed, headers: headers(sign(RSA, untimed)), expect: "refused", refusal: "missing_part" },
    ],
  });
}

export default async () => [websub(), flutterwave(), keygen(), orum()];
