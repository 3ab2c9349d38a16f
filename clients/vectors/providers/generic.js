// The settable entries: hmac, token, basic, none.
import { createHash, createHmac } from "node:crypto";
import { make, SENT, tampered } from "../lib.js";

const body = JSON.stringify({ type: "order.paid", id: "o_1", ts: SENT });
const secret = "a shared secret";
const hmac = (algorithm, text, encoding, key = secret) => createHmac(algorithm, key).update(text).digest(encoding);

function hmacVectors() {
  const made = "made with Node's crypto";
  const timed = { message: "{ts}.{body}", timestamp_header: "x-time" };
  return make({
    slug: "hmac", made, base: { secrets: [secret], body, headers: { "x-signature": hmac("sha256", body, "hex") } },
    vectors: [
      { name: "without parameters", expect: "genuine" },
      { name: "test case 2 of RFC 4231", secrets: ["Jefe"], body: "what do ya want for nothing?", headers: { "x-signature": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" }, expect: "genuine", origin: "printed in RFC 4231" },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "second secret fits", secrets: ["another", secret], expect: "genuine", secret_index: 1 },
      { name: "malformed signature", headers: { "x-signature": "%" }, expect: "refused", refusal: "malformed_signature" },
      { name: "no header", headers: {}, expect: "refused", refusal: "missing_signature" },
      { name: "sha512, base64, prefix, another header", credentials: { algorithm: "sha512", header: "X-Sig", encoding: "base64", prefix: "sha512=" }, headers: { "x-sig": `sha512=${hmac("sha512", body, "base64")}` }, expect: "genuine" },
      { name: "sha1", credentials: { algorithm: "sha1" }, headers: { "x-signature": hmac("sha1", body, "hex") }, expect: "genuine" },
      { name: "sha384 in the query", credentials: { algorithm: "sha384", at: "query:sig", encoding: "base64url" }, url: `https://hooks.example.com/in/src?sig=${hmac("sha384", body, "base64url")}`, headers: {}, expect: "genuine" },
      { name: "base64 of hexadecimal", credentials: { encoding: "base64_hex" }, headers: { "x-signature": Buffer.from(hmac("sha256", body, "hex")).toString("base64") }, expect: "genuine" },
      { name: "decoded key", secrets: [Buffer.from(secret).toString("hex")], credentials: { key: "hex" }, expect: "genuine" },
      { name: "prefixed base64 key", secrets: [`key_${Buffer.from(secret).toString("base64")}`], credentials: { key: "strip_prefix:key_,base64" }, expect: "genuine" },
      { name: "with time", credentials: timed, headers: { "x-time": String(SENT), "x-signature": hmac("sha256", `${SENT}.${body}`, "hex") }, expect: "genuine" },
      { name: "with time, stale", credentials: timed, verify_at: SENT + 301, headers: { "x-time": String(SENT), "x-signature": hmac("sha256", `${SENT}.${body}`, "hex") }, expect: "refused", refusal: "stale" },
      { name: "with time, own tolerance", credentials: { ...timed, max_age_s: "600" }, verify_at: SENT + 599, headers: { "x-time": String(SENT), "x-signature": hmac("sha256", `${SENT}.${body}`, "hex") }, expect: "genuine" },
      { name: "with time as an HTTP date", credentials: { ...timed, timestamp_unit: "http_date" }, headers: { "x-time": new Date(SENT * 1000).toUTCString(), "x-signature": hmac("sha256", `${new Date(SENT * 1000).toUTCString()}.${body}`, "hex") }, expect: "genuine" },
      { name: "with time as RFC 3339", credentials: { ...timed, timestamp_unit: "rfc3339" }, headers: { "x-time": "2026-01-01T01:00:00+01:00", "x-signature": hmac("sha256", `2026-01-01T01:00:00+01:00.${body}`, "hex") }, expect: "genuine" },
      { name: "fields in the header", credentials: { items: ",", pair: "=", wanted: "sig", timestamp: "field:time", message: "{ts}|{body}" }, headers: { "x-signature": `time=${SENT},sig=${hmac("sha256", `${SENT}|${body}`, "hex")}` }, expect: "genuine" },
      { name: "several values in the message", credentials: { message: "{method} {path}?{query:a} {header:x-id} {json:id} {sha256hex(body)}" }, url: "https://hooks.example.com/in/src?a=1%202", headers: { "x-id": "7", "x-signature": hmac("sha256", `POST /in/src?1 2 7 o_1 ${sha256(body)}`, "hex") }, expect: "genuine" },
      { name: "facts by parameter", credentials: { event_type: "json:type", delivery_id: "json:id" }, expect: "genuine", facts: { event_type: "order.paid", delivery_id: "o_1" } },
    ],
  });
}

function sha256(text) {
  return createHash("sha256").update(text).digest("hex");
}

function tokenVectors() {
  return make({
    slug: "token", made: "made by hand", base: { secrets: [secret], body, headers: { "x-webhook-token": secret } },
    vectors: [
      { name: "header", expect: "genuine" },
      { name: "wrong", headers: { "x-webhook-token": "guess" }, expect: "refused", refusal: "signature_mismatch" },
      { name: "absent", headers: {}, expect: "refused", refusal: "missing_signature" },
      { name: "second secret fits", secrets: ["another", secret], expect: "genuine", secret_index: 1 },
      { name: "bearer", credentials: { header: "authorization", prefix: "Bearer " }, headers: { authorization: `Bearer ${secret}` }, expect: "genuine" },
      { name: "the example of RFC 6750", secrets: ["mF_9.B5f-4.1JqM"], credentials: { header: "authorization", prefix: "Bearer " }, headers: { authorization: "Bearer mF_9.B5f-4.1JqM" }, expect: "genuine", origin: "printed in RFC 6750, 2.1" },
      { name: "bearer missing", credentials: { header: "authorization", prefix: "Bearer " }, headers: { authorization: secret }, expect: "refused", refusal: "unsupported_signature" },
      { name: "query", credentials: { query: "token" }, headers: {}, url: `https://hooks.example.com/in/src?token=${encodeURIComponent(secret)}`, expect: "genuine" },
      { name: "json", credentials: { json: "auth.token" }, headers: {}, body: JSON.stringify({ auth: { token: secret } }), expect: "genuine" },
      { name: "json of another kind", credentials: { json: "auth.token" }, headers: {}, body: JSON.stringify({ auth: { token: [secret] } }), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

function basicVectors() {
  const basic = (text) => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });
  return make({
    slug: "basic", made: "made with Node's Buffer", base: { secrets: ["user:päss:word"], body, headers: basic("user:päss:word") },
    vectors: [
      { name: "valid", expect: "genuine" },
      { name: "the example of RFC 7617", secrets: ["Aladdin:open sesame"], headers: { authorization: "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" }, expect: "genuine", origin: "printed in RFC 7617, 2" },
      { name: "second secret fits", secrets: ["user:another", "user:päss:word"], expect: "genuine", secret_index: 1 },
      { name: "not base64", headers: { authorization: "Basic %" }, expect: "refused", refusal: "malformed_signature" },
      { name: "scheme in lower case", headers: { authorization: basic("user:päss:word").authorization.replace("Basic", "basic") }, expect: "genuine" },
      { name: "named credentials", secrets: [], credentials: { username: "user", password: "päss:word" }, expect: "genuine" },
      { name: "wrong password", headers: basic("user:guess"), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong user", headers: basic("root:päss:word"), expect: "refused", refusal: "signature_mismatch" },
      { name: "bearer", headers: { authorization: "Bearer x" }, expect: "refused", refusal: "unsupported_signature" },
      { name: "absent", headers: {}, expect: "refused", refusal: "missing_signature" },
    ],
  });
}

function noneVectors() {
  return make({
    slug: "none", made: "made by hand", base: { body, headers: {} },
    vectors: [
      { name: "anything", expect: "genuine" },
      { name: "with an event type", credentials: { event_type: "json:type" }, expect: "genuine", facts: { event_type: "order.paid" } },
    ],
  });
}

export default async () => [hmacVectors(), tokenVectors(), basicVectors(), noneVectors()];
