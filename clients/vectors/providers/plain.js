// Schemes that sign the body alone or nothing: GitHub, Shopify, Facebook, GitLab.
import { createHmac } from "node:crypto";
import { make, version, tampered } from "../lib.js";

async function github() {
  const { sign, verify } = await import("@octokit/webhooks-methods");
  const secret = "It's a Secret to Everybody";
  const body = JSON.stringify({ ref: "refs/heads/main", repository: { full_name: "octo/hello" }, commits: [{ message: "Grüße 🐙" }] });
  const signature = await sign(secret, body);
  const headers = (value) => ({
    "content-type": "application/json", "x-github-event": "push", "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", ...(value ? { "x-hub-signature-256": value } : {}),
  });
  const documented = "Hello, World!";
  const form = `payload=${encodeURIComponent(body)}`;
  const sha1 = `sha1=${createHmac("sha1", secret).update(body).digest("hex")}`;
  return make({
    slug: "github", made: `signed by ${version("@octokit/webhooks-methods")}`, judged: version("@octokit/webhooks-methods"),
    base: { secrets: [secret], body, headers: headers(signature) },
    judge: (v, key) => verify(key, v.body.toString(), v.headers["x-hub-signature-256"]),
    vectors: [
      { name: "valid", expect: "genuine", secret_index: 0, facts: { event_type: "push", delivery_id: "72d3162e-cc78-11e3-81ab-4c9367dc0958" } },
      { name: "the documented example", body: documented, headers: headers("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"), expect: "genuine", origin: "printed in GitHub's documentation" },
      { name: "as a form", body: form, headers: { ...headers(await sign(secret, form)), "content-type": "application/x-www-form-urlencoded" }, expect: "genuine" },
      { name: "upper-case hexadecimal", headers: headers(`sha256=${signature.slice(7).toUpperCase()}`), expect: "genuine", sdk_differs: "it compares texts" },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "a line feed more", body: body + "\n", expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "second secret fits", secrets: ["another", secret], expect: "genuine", secret_index: 1 },
      { name: "secret with a line end", secrets: [`${secret}\n`], expect: "genuine", sdk_differs: "a pasted line end is ignored here" },
      { name: "no secret", secrets: [], expect: "refused", refusal: "missing_credential" },
      { name: "no header", headers: headers(), expect: "refused", refusal: "missing_signature" },
      { name: "SHA-1 alone", headers: { ...headers(), "x-hub-signature": sha1 }, expect: "refused", refusal: "missing_signature" },
      { name: "SHA-1 right, SHA-256 wrong", headers: { ...headers(`sha256=${"0".repeat(64)}`), "x-hub-signature": sha1 }, expect: "refused", refusal: "signature_mismatch" },
      { name: "another prefix", headers: headers(`sha512=${signature.slice(7)}`), expect: "refused", refusal: "unsupported_signature" },
      { name: "no prefix", headers: headers(signature.slice(7)), expect: "refused", refusal: "unsupported_signature" },
      { name: "signature cut short", headers: headers(signature.slice(0, 20)), expect: "refused", refusal: "malformed_signature" },
      { name: "empty body", body: "", headers: headers(`sha256=${createHmac("sha256", secret).update("").digest("hex")}`), expect: "genuine", origin: "signed with Node's crypto", sdk_differs: "it demands a body" },
    ],
  });
}

async function shopify() {
  await import("@shopify/shopify-api/adapters/node");
  const { shopifyApi, LogSeverity } = await import("@shopify/shopify-api");
  const secret = "shpss_0123456789abcdef0123456789abcdef";
  const body = JSON.stringify({ id: 820982911946154500, email: "jon@example.com", total_price: "398.00" });
  const api = (key) => shopifyApi({ apiKey: "k", apiSecretKey: key, scopes: [], hostName: "hooks.example.com", apiVersion: "2025-10", isEmbeddedApp: false, logger: { level: LogSeverity.Error, log: () => {} } });
  const headers = (value) => ({
    "content-type": "application/json", "x-shopify-topic": "orders/create", "x-shopify-shop-domain": "shop.myshopify.com", "x-shopify-api-version": "2025-10",
    "x-shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", "x-shopify-event-id": "98880550-7158-44d4-b7cd-2c97c8a091b5", ...(value ? { "x-shopify-hmac-sha256": value } : {}),
  });
  const sign = (text, key = secret) => createHmac("sha256", key).update(text).digest("base64");
  const facts = { event_type: "orders/create", delivery_id: "98880550-7158-44d4-b7cd-2c97c8a091b5" };
  return make({
    slug: "shopify", made: "signed with Node's crypto", judged: version("@shopify/shopify-api"), base: { secrets: [secret], body, headers: headers(sign(body)) },
    judge: async (v, key) => (await api(key).webhooks.validate({ rawBody: v.body.toString(), rawRequest: { method: "POST", url: "/in/src", headers: v.headers } })).valid,
    vectors: [
      { name: "valid", expect: "genuine", facts },
      { name: "without padding", headers: headers(sign(body).replace("=", "")), expect: "genuine", sdk_differs: "it compares texts" },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "re-serialised body", body: JSON.stringify(JSON.parse(body), null, 2), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "second secret fits", secrets: ["another", secret], expect: "genuine", secret_index: 1 },
      { name: "hexadecimal instead of base64", headers: headers(createHmac("sha256", secret).update(body).digest("hex")), expect: "refused", refusal: "signature_mismatch" },
      { name: "no header", headers: headers(), expect: "refused", refusal: "missing_signature" },
    ],
  });
}

function facebook(slug) {
  const secret = "made-up-app-secret";
  const body = JSON.stringify({ object: "page", entry: [{ id: "1", changes: [{ field: "feed", value: {} }] }] });
  const headers = { "content-type": "application/json", "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}` };
  const base = { secrets: [secret], credentials: { verify_token: "meatyhamhock" }, body, headers };
  const url = (token, challenge = "1158201444") => ({ method: "GET", url: `https://hooks.example.com/in/src?hub.mode=subscribe&hub.challenge=${challenge}&hub.verify_token=${token}`, headers: {}, body: "" });
  const sha1 = `sha1=${createHmac("sha1", secret).update(body).digest("hex")}`;
  return make({
    slug, made: "made with Node's crypto after Meta's documentation", base,
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "feed" } },
      { name: "hub.challenge", ...url("meatyhamhock"), expect: "refused", refusal: "missing_signature", handshake: { status: 200, body: "1158201444" } },
      { name: "wrong verify token", ...url("guess"), expect: "refused", refusal: "missing_signature", handshake: null },
      { name: "markup in the challenge is not echoed", ...url("meatyhamhock", "%3Cscript%3E"), expect: "refused", refusal: "missing_signature", handshake: null },
      { name: "no verify token configured", ...url("meatyhamhock"), credentials: {}, expect: "refused", refusal: "missing_signature", handshake: null },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "downgrade to SHA-1", headers: { "x-hub-signature": sha1, "x-hub-signature-256": `sha256=${"1".repeat(64)}` }, expect: "refused", refusal: "signature_mismatch" },
      { name: "SHA-1 alone", headers: { "x-hub-signature": sha1 }, expect: "refused", refusal: "missing_signature" },
    ],
  });
}

function gitlab() {
  const secret = "glwt-made-up-0123456789";
  const headers = (token) => ({ "content-type": "application/json", "x-gitlab-event": "Push Hook", "idempotency-key": "f5e5f430-f57b-4e6e-9fac-d9128cd7232f", ...(token ? { "x-gitlab-token": token } : {}) });
  const body = JSON.stringify({ object_kind: "push" });
  return make({
    slug: "gitlab", made: "after GitLab's documentation", base: { secrets: [secret], body, headers: headers(secret) },
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "Push Hook", delivery_id: "f5e5f430-f57b-4e6e-9fac-d9128cd7232f" } },
      { name: "the body is not signed", body: "{}", expect: "genuine" },
      { name: "second secret fits", secrets: ["another", secret], expect: "genuine", secret_index: 1 },
      { name: "wrong token", headers: headers("guess"), expect: "refused", refusal: "signature_mismatch" },
      { name: "the beginning of the token", headers: headers(secret.slice(0, -1)), expect: "refused", refusal: "signature_mismatch" },
      { name: "no token", headers: headers(), expect: "refused", refusal: "missing_signature" },
    ],
  });
}

export default async () => [github(), shopify(), facebook("facebook"), facebook("whatsapp"), gitlab()];
