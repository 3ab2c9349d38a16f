// JSON Web Tokens signed with private keys: Kinde, Google Pub/Sub, Wix, Plaid, FusionAuth.
import { createHash, createPrivateKey, createPublicKey, sign as signBytes, verify as verifyBytes } from "node:crypto";
import { version, require, before, SENT, NOW, tampered } from "../lib.js";
import { suite } from "../suite.js";
import { hs } from "./d_jwt.js";

// Made up for these vectors and used nowhere else.
export const RSA = key(
  "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCFAxa9AWMTzK24pTT2xXJn736uxsj9SLkzinMc7h4bta9NIQDhZRMZjfBOCh1j9wo5RKqU" +
  "gxRSOobBoRsdAM+rc4DzVllAKlMSbLI/mTo4wvzNi/mahTCaOLLal9uDtUmuEfX2Ng9zWQKk40QsZZ6z7+DKcCJloggiDYLrdDdsLEhvvF+MegWFiHNjrtgx" +
  "jv8JbAibNtSkqC5AytN2UEnn446wLLM6zKixvyDptQB7rI+FfEQqSo0nYF5iENvcOyUN52hOw9QFRol49+oNQhJKjtABLeMQcRSyGqlv/BxIyfmLqWo6OWH0" +
  "AMnVDyFKIZ9nBBglo78p4ToGsIhYpkMXAgMBAAECggEAGregHZ7ls9htHKWymc7XSCFHJPww6w9sg/nPXYRG7/HyoF98ucl/qKZmGobVmHrKxu4QBXy+3DV9" +
  "U+90bsL2881jnX0+uDDINu82bqfslfI0rWTsYilWteOlqVrPcQk9H4XkDeyV9elvKoer7e8LjcElOgSEJD4DvDNSlNDnQQbp8c5HlTRoG9n3oJphU6DenKY9" +
  "UGWaQKo9jago4v1BEKXk4VBMeZAbrdYXzXO7MkLSqqSbOAqE3Gt3xA3tkzh1sxA0nb7XxKIYv3b3pdFdRLmv8yA4TDH3fgTpTw+sgCXq2yph8dZMcPxYe8T7" +
  "+I5SLx0UjchStHSzIGuKrlsgwQKBgQC7feR7RNyzATZul3qmn4+5J/EiQIM+3FDR8p9p6aL1a1mUKHVNJrA44W1PDX+ApZ0w/wxClqdbPbZ+Hq5H4O4x2gyc" +
  "rQtdeOye7YZCQ2fyU5PL8zhqqZQo6pJacD/NysZK5Kki5h45+UPOcf1pS+AC0Win3+GBp9bNwmBv++H9+QKBgQC1nSDAgeC9KLlA4LNqyHvYe0AN0bzyJohm" +
  "zwfkPNM2MKNitBxBP6k1b1yFyt8Qe6GXq7ZKS7pHyrKVrIV5H1rHQvx73HYAtbK5Hnf5N5dSpE/ydWnaLFKK2yCNdpON5JHR8m5nmzMSDqL45UHzyDoXOmBT" +
  "g1mHPFq1SbTFK5HNjwKBgC3L6mtRvrbarPkGdycMAocvgm7jYyuPlQ4zPU0ZjHx15EOUPlLCCHlcVt7gZSx/R44YPl5lfiuDP3g+9kMIZiY3JK2Ady41w1Zu" +
  "nkTBQjqmv4sptbYYBeCYq3b7xBn4VcclY0rq+qceg7mBjmyR4/3MOMwIm4SYApfvyq6Pz/vBAoGBAKitkI7b0iU+HpmAWYOTQ1t0VbDAHZJ2cXezT+wPBkit" +
  "cgKpsBh2DS2hCbkGDJndid85z6w/m3s0axuSycEOexzZPXG4+Cx+lclT4DArDrPmAo75uF+3jM6E6T4aZL+EDF+HoD1AK3XY/ErZe6D1VebfBDpso4l0Z/c6" +
  "xtfeOKRHAoGAMm8DUbW8tXqWxnQ5D8X3kZCNY4HsVj5OjRh/NPp4btBcZrrZR9irnzNLJx4o4LmnwGdl6KjudEgPN9reNyeLq7eRpawS4TT3Asx59pJp3zgE" +
  "W1/RNh8Yfiakey2l+WZSE7+XlPyRTOXVnDfnCKrKOUullDexTDgH+ajg2NW5Y8s=",
);
export const EC = key("MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgreUeI8IkYiaqFAXnsP8YmzHqHOO7NnlT+uHnPHAF0N2hRANCAAS8IuXG5TxzMgpf3nvViRsZnMP5USa4maIkEDoQh1KCOzpWLop68vX+jjM/7ZIUNZvBKKAJljVOwEF/EcX/iXNW");
export const OTHER = key(
  "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCyclNAcu6Vt/mtG/JZB2DJ9HKF0lnKStnCjgy5Q3/MrvQ+1NcXKqTbMK5VqNez/tQcPABU" +
  "RAQb+RavU+MPoBirnwfLBuBMCYzmUYeP08lTNYSmVdu5/1nXwy+QOAFQGQdnsWsTcoftz3RhSAn7Ae5oNIr2ojBAvCoEaHrc7bFKI5rtJfWdcE82nH3bvJXa" +
  "OkBjfGlnQQ69o+eFuPUVf6H5jfCUi629yZBEX4ZmHFe1lmKsCxDzWVzFDyC29SETs8lBJDAS9MKt5VzRdC/ic5v1mElnqKVpxie9NJ+pApJZLrO/+MDS21Ma" +
  "ik/056HHAQzfvDw2QTis4u4wsvuHmiB/AgMBAAECggEAAg05ctC/eH40gy6Ck0536OqEFJDOEnrY1RlQASNLCV3rlftZe700RwbgwkBeNoYUBz0TXeSoTXAI" +
  "ODzVK/1Ru0tpSgbKtmUXtyAx2E/9jRTc8RKko5dRf58RYW2bakHXaXRLQF59PJk5g9LRto6XoKAWBu7nch8XtpRC8V5UPv9z1wx4K5mJapxk89O1RcIIYOpe" +
  "sJBFQ0JZn/i7iGoqtO1VcZxb/V/XSn0MUr9OKEfYDobr/qXm4Wna0wYTR96EvzsDHZfbIBdAjATgHdfr25yHmkTPN+Fp8Cq0cr9L74lgkgyHeJuQWJyFZZcm" +
  "mixGPu7xqTsfYeOZHN/8m7GY3QKBgQD1F8gam2htk08qy4+i96ZOPuC6xFFks5V65E/GucvpSMlfhzAEtyPE1QIf1Danrg3apynoWBeTf1PiBJY0lXlLWmga" +
  "E30coacaCy7MhBoCMbjyE8fWvt8n4G1rU2S9yiGdVaPzwMj6u1c3IGdC+xQ3TcdqOVoP4+auYG/jwds54wKBgQC6Y0atoMrkIsWS3E86wNbUbsI1MwC165xO" +
  "9pDuGIizu3TFDWzIiwl0WP8DxdXAel4eOz8XbOqhlal/SkWt1BU/+4qI934zD66rqhksw8B50VSmuiwQ2pePYOQ2upu6y2uARZrIRIMoPO4gGMZK+zEmswRq" +
  "pSbS0y81+FGJsk9xtQKBgCxsthmUh7Ys2FGyegOZDezq2sMfqH0vS+3tikREEyDiz5VgJKUGKRaZYXwxdAKqutoiKKdzqDpU/vhdyngXi9fLuEjZtXjGGErR" +
  "Mhdh7nDtYE+IpFVZXYuV0197yyvXgoZJKqGZFRTVdjaIyg7LAdwQXg/z+04cCgkbc8x9q+XvAoGAZ2B6qgB9p6z1gi/5LbAZNze7NYB1S3FDf7RXzAcFgxJc" +
  "gJKinFQpSUO3JWOL27bDDudzZc2+ESMOIJCUNwZjRtqACtmiQDXZflLYpbBox+fnmJW3rR1gZGCsEwLLLv52QG3anGsLh7zLoje7e4j4yOsPbwrsjpAdJkT1" +
  "DHc+guUCgYEAs5EQmRYe6iWvhF5wlZfFT43VywrwWF3fRHZOlNKmwH2QMI/A+Tg7uFFRzy+msSVnUhq+mXonSswP2dwb+cnuJaOdEqV2dxBIUaOXiUdx3md7" +
  "uiSy5PFLfcVTvOhlZ/EfMv6OgYsl/CQmciS0M+2+Y+Tg8iEmoRMG3yTdUUp01pI=",
);
const OTHER_EC = key("MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgOG8d3fxOw0Wm5BAYmcl6lWASyGFZLAlQUqeOSq5+0PGhRANCAARtZWKYHN1TXtRdd7Y+wCsJckS1IhoogXkDoj0tV2Z4qadQfMA+7u1Tt41gP4/Txd/l+61oKgbVsY1zK5+nY//E");
export const ED = createPrivateKey({ key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, 7)]), format: "der", type: "pkcs8" });

function key(text) {
  return createPrivateKey({ key: Buffer.from(text, "base64"), format: "der", type: "pkcs8" });
}

const url = "https://hooks.example.com/in/src";
const part = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const sha256 = (text, encoding) => createHash("sha256").update(text).digest(encoding);
const pem = (key) => createPublicKey(key).export({ format: "pem", type: "spki" });
const jwk = (key, kid) => ({ ...createPublicKey(key).export({ format: "jwk" }), kid, use: "sig" });
const keySet = (...keys) => JSON.stringify({ keys });

function rs256(claims, { kid = "one", key = RSA, alg = "RS256" } = {}) {
  const signed = `${part({ alg, typ: "JWT", kid })}.${part(claims)}`;
  return `${signed}.${signBytes("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

/** ECDSA signatures contain a random number: what was written before stays, as long as it still fits. */
function es256(slug, name, claims, { kid = "one", header } = {}) {
  const signed = `${part({ alg: "ES256", typ: "JWT", kid })}.${part(claims)}`;
  const old = before(slug, name)?.headers[header]?.split(".")[2];
  const options = { key: EC, dsaEncoding: "ieee-p1363" };
  const fits = old && verifyBytes("sha256", Buffer.from(signed), { ...options, key: createPublicKey(EC) }, Buffer.from(old, "base64url"));
  return `${signed}.${fits ? old : signBytes("sha256", Buffer.from(signed), options).toString("base64url")}`;
}

/** A token that is "signed" with the public key's text as an HMAC key. */
const confused = (claims, key) => hs(claims, pem(key), { header: { alg: "HS256", typ: "JWT", kid: "one" } });

async function kinde() {
  const { decodeWebhook } = await import("@kinde/webhooks");
  const claims = { type: "user.created", event_id: "event_0190", source: "admin", timestamp: "2026-01-01T00:00:00Z", data: { user: { id: "kp_1", first_name: "Jörg" } } };
  const headers = { "content-type": "application/jwt" };
  const keys = keySet(jwk(EC, "other"), { ...jwk(RSA, "one"), alg: "RS256" });
  const body = rs256(claims);
  const changed = (token) => { const [head, , end] = token.split("."); return [head, part({ ...claims, type: "user.deleted" }), end].join("."); };
  return suite({
    slug: "kinde", judged: version("@kinde/webhooks"), key: keys, keys: (text) => ({ fetched: { keys: text }, public_keys: undefined, credentials: { domain: "acme.kinde.com" } }),
    other: keySet({ ...jwk(OTHER, "one"), alg: "RS256" }), body, rotation: false, signs_body: false, facts: { event_type: "user.created", delivery_id: "event_0190" },
    base: { secrets: ["unused"] },
    judge: async (v) => {
      const real = globalThis.fetch;
      globalThis.fetch = async () => new Response(v.fetched.keys, { status: 200, headers: { "content-type": "application/json" } });
      try {
        return (await decodeWebhook(v.body.toString(), `https://${v.credentials.domain}`)) !== null;
      } finally {
        globalThis.fetch = real;
      }
    },
    request: ({ key }) => ({ headers, body: key === keys ? body : rs256(claims, { key: OTHER }) }),
    extra: [
      { name: "an access token of the domain", body: rs256({ aud: [], azp: "app", sub: "kp_1", scp: ["openid"], iss: "https://acme.kinde.com", iat: SENT, exp: SENT + 3600 }), expect: "refused", refusal: "claim_mismatch", sdk_differs: "it takes every token of the domain" },
      { name: "a token with a type and no event's id", body: rs256({ ...claims, event_id: undefined }), expect: "refused", refusal: "claim_mismatch", sdk_differs: "it takes every token of the domain" },
      { name: "claims changed after signing", body: changed(body), expect: "refused", refusal: "signature_mismatch" },
      { name: "an unknown key", body: rs256(claims, { kid: "two" }), expect: "refused", refusal: "unknown_key" },
      { name: "the public key's text as an HMAC key", body: confused(claims, RSA), expect: "refused", refusal: "unsupported_signature" },
      { name: "empty body", body: "", expect: "refused", refusal: "missing_signature" },
      { name: "no token", body: "{}", expect: "refused", refusal: "malformed_signature" },
    ],
  });
}

function google() {
  const { OAuth2Client } = require("google-auth-library");
  const body = JSON.stringify({ message: { data: "eyJhbW91bnQiOjEyfQ==", messageId: "2070443601311540", publishTime: "2026-01-01T00:00:00.000Z" }, subscription: "projects/acme/subscriptions/becket" });
  const claims = (time = SENT) => ({ aud: url, azp: "113774264463038321964", email: "push@acme.iam.gserviceaccount.com", email_verified: true, exp: time + 3600, iat: time, iss: "https://accounts.google.com", sub: "113774264463038321964" });
  const headers = (token) => ({ "content-type": "application/json", authorization: `Bearer ${token}` });
  const keys = keySet(jwk(EC, "other"), jwk(RSA, "one"));
  const credentials = { email: "push@acme.iam.gserviceaccount.com", audience: url };
  const left = "it leaves the address to the caller";
  return suite({
    slug: "google_pubsub", judged: version("google-auth-library"), key: keys, keys: (text) => ({ fetched: { keys: text }, credentials }), other: keySet(jwk(OTHER, "one")),
    body, rotation: false, signs_body: false, signature: "authorization", malformed: "Bearer abc", facts: { delivery_id: "2070443601311540" }, base: { secrets: ["unused"] },
    judge: async (v) => {
      const certs = {};
      for (const key of JSON.parse(v.fetched.keys).keys) certs[key.kid] = createPublicKey({ key, format: "jwk" }).export({ format: "pem", type: "spki" });
      const token = (v.headers.authorization ?? "").replace(/^Bearer /, "");
      await new OAuth2Client().verifySignedJwtWithCertsAsync(token, certs, v.credentials.audience, ["https://accounts.google.com", "accounts.google.com"]);
      return true;
    },
    request: ({ key, time }) => ({ headers: headers(rs256(claims(time), { key: key === keys ? RSA : OTHER })) }),
    extra: [
      { name: "the body is not signed", body: tampered(Buffer.from(body)), expect: "genuine" },
      { name: "another audience", headers: headers(rs256({ ...claims(), aud: "https://elsewhere.example.com/" })), expect: "refused", refusal: "claim_mismatch" },
      { name: "another issuer", headers: headers(rs256({ ...claims(), iss: "https://example.com" })), expect: "refused", refusal: "claim_mismatch" },
      { name: "another service account", headers: headers(rs256({ ...claims(), email: "x@evil.iam.gserviceaccount.com" })), expect: "refused", refusal: "claim_mismatch", sdk_differs: left },
      { name: "an address that is not verified", headers: headers(rs256({ ...claims(), email_verified: false })), expect: "refused", refusal: "claim_mismatch", sdk_differs: left },
      { name: "expired", headers: headers(rs256(claims(SENT - 4200))), expect: "refused", refusal: "stale" },
      { name: "an unknown key", headers: headers(rs256(claims(), { kid: "two" })), expect: "refused", refusal: "unknown_key" },
      { name: "the public key's text as an HMAC key", headers: headers(confused(claims(), RSA)), expect: "refused", refusal: "unsupported_signature" },
    ],
  });
}

async function wix() {
  const { createClient, AppStrategy } = await import("@wix/sdk");
  const claims = (event = "wix.stores.v3.product_created", time = SENT) => ({ data: JSON.stringify({ data: JSON.stringify({ id: "1f81eb52", entityId: "7" }), instanceId: "9f3b", eventType: event }), iat: time, exp: time + 3600 });
  const headers = { "content-type": "text/plain" };
  const body = rs256(claims());
  const changed = (token) => { const [head, , end] = token.split("."); return [head, part(claims("wix.stores.v3.product_deleted")), end].join("."); };
  return suite({
    slug: "wix", judged: version("@wix/sdk"), key: pem(RSA), other: pem(OTHER), keys: (...given) => ({ public_keys: given }), body, signs_body: false, facts: { event_type: "wix.stores.v3.product_created" },
    judge: async (v, key) => Boolean(await createClient({ auth: AppStrategy({ appId: "app", publicKey: key }) }).webhooks.process(v.body.toString())),
    request: ({ key }) => ({ headers, body: rs256(claims(), { key: key === pem(RSA) ? RSA : OTHER }) }),
    extra: [
      { name: "claims changed after signing", body: changed(body), expect: "refused", refusal: "signature_mismatch" },
      { name: "another token of the app", body: rs256({ sub: "9f3b", iat: SENT, exp: SENT + 3600 }), expect: "refused", refusal: "claim_mismatch" },
      { name: "expired", body: rs256(claims(undefined, SENT - 4200)), expect: "refused", refusal: "stale" },
      { name: "the public key's text as an HMAC key", body: confused(claims(), RSA), expect: "refused", refusal: "unsupported_signature" },
      { name: "empty body", body: "", expect: "refused", refusal: "missing_signature" },
      { name: "no token", body: "{}", expect: "refused", refusal: "malformed_signature" },
    ],
  });
}

function plaid() {
  const body = JSON.stringify({ webhook_type: "TRANSACTIONS", webhook_code: "SYNC_UPDATES_AVAILABLE", item_id: "wz666MBjYWTp2PDzzggYhM6oWWmBb", environment: "production" });
  const headers = (token) => ({ "content-type": "application/json", "plaid-verification": token });
  const claims = (over) => ({ iat: SENT, request_body_sha256: sha256(body, "hex"), ...over });
  const made = (name, over, options) => ({ name, headers: headers(es256("plaid", name, claims(over), { header: "plaid-verification", ...options })) });
  const answer = (key) => JSON.stringify({ key: { alg: "ES256", created_at: 1560466150, expired_at: null, ...jwk(key, "one") }, request_id: "RZ6Omi1bzzwDaLo" });
  const credentials = { client_id: "made-up", client_secret: "made-up-secret" };
  const keys = answer(EC);
  return suite({
    slug: "plaid", made: "signed with Node's crypto after https://plaid.com/docs/api/webhooks/webhook-verification/", key: keys, keys: (text) => ({ fetched: { keys: text }, credentials }),
    other: answer(OTHER_EC), body, rotation: false, signs_body: false, signature: "plaid-verification", malformed: "abc", facts: { event_type: "TRANSACTIONS.SYNC_UPDATES_AVAILABLE" },
    request: ({ key }) => (key === keys ? made("valid", {}) : { headers: headers(es256With(OTHER_EC, "signed with another secret", claims())) }),
    time: { max_age: 300, max_future: 300 },
    extra: [
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "body_mismatch" },
      { name: "the JSON written anew", body: JSON.stringify(JSON.parse(body), null, 2), expect: "refused", refusal: "body_mismatch" },
      { ...made("no hash of the body", { request_body_sha256: undefined }), expect: "refused", refusal: "claim_mismatch" },
      { ...made("no time", { iat: undefined }), expect: "refused", refusal: "missing_timestamp" },
      { name: "RS256 instead", headers: headers(rs256(claims())), expect: "refused", refusal: "unsupported_signature" },
      { name: "the public key's text as an HMAC key", headers: headers(confused(claims(), EC)), expect: "refused", refusal: "unsupported_signature" },
      { name: "no answer with a key", fetched: undefined, expect: "refused", refusal: "key_unavailable" },
    ],
  });
}

/** As `es256`, with another key. */
function es256With(text, name, claims) {
  const signed = `${part({ alg: "ES256", typ: "JWT", kid: "one" })}.${part(claims)}`;
  const old = before("plaid", name)?.headers["plaid-verification"]?.split(".")[2];
  const options = { key: text, dsaEncoding: "ieee-p1363" };
  const fits = old && verifyBytes("sha256", Buffer.from(signed), { ...options, key: createPublicKey(options.key) }, Buffer.from(old, "base64url"));
  return `${signed}.${fits ? old : signBytes("sha256", Buffer.from(signed), options).toString("base64url")}`;
}

function fusionauth() {
  const body = JSON.stringify({ event: { type: "user.create", id: "e502168a-b469-45d9-a079-fd45f83e0406", createInstant: 1767225600000, user: { email: "jo@example.com", firstName: "Jörg" } } });
  const claims = { request_body_sha256: sha256(body, "base64") };
  const headers = (token) => ({ "content-type": "application/json", "x-fusionauth-signature-jwt": token });
  const ed = () => { const signed = `${part({ alg: "EdDSA", typ: "JWT", kid: "one" })}.${part(claims)}`; return `${signed}.${signBytes(null, Buffer.from(signed), ED).toString("base64url")}`; };
  const by = (key) => ({ secrets: undefined, public_keys: [pem(key)] });
  const key = "made-up-hmac-key-of-the-key-master-0123456789";
  return suite({
    slug: "fusionauth", made: "signed with Node's crypto after https://fusionauth.io/docs/extend/events-and-webhooks/signing", key, body, signs_body: false,
    signature: "x-fusionauth-signature-jwt", malformed: "abc", facts: { event_type: "user.create", delivery_id: "e502168a-b469-45d9-a079-fd45f83e0406" },
    request: ({ key }) => ({ headers: headers(hs(claims, key)) }),
    extra: [
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "body_mismatch" },
      { name: "no hash of the body", headers: headers(hs({}, key)), expect: "refused", refusal: "claim_mismatch" },
      { name: "HS512", headers: headers(hs(claims, key, { digest: "sha512", header: { alg: "HS512" } })), expect: "genuine" },
      { name: "RS256", ...by(RSA), headers: headers(rs256(claims)), expect: "genuine" },
      { name: "ES256", ...by(EC), headers: headers(es256("fusionauth", "ES256", claims, { header: "x-fusionauth-signature-jwt" })), expect: "genuine" },
      { name: "EdDSA", ...by(ED), headers: headers(ed()), expect: "genuine" },
      { name: "RS256 with a tampered body", ...by(RSA), body: tampered(Buffer.from(body)), headers: headers(rs256(claims)), expect: "refused", refusal: "body_mismatch" },
      { name: "another public key", ...by(EC), headers: headers(rs256(claims)), expect: "refused", refusal: "signature_mismatch" },
      { name: "the public key's text as an HMAC key", ...by(RSA), headers: headers(confused(claims, RSA)), expect: "refused", refusal: "unsupported_signature" },
    ],
  });
}

/** A fetched key is none of the given ones, so that no index is named. */
async function fetching(made) {
  const { slug, text } = await made;
  return { slug, text: JSON.stringify(JSON.parse(text).map((vector) => ({ ...vector, secret_index: undefined })), null, 1) + "\n" };
}

export default async () => [fetching(kinde()), fetching(google()), wix(), fetching(plaid()), fusionauth()];
