// Schemes with public keys: Discord (Ed25519) and SendGrid (ECDSA P-256).
import { createPrivateKey, createPublicKey, sign as signBytes } from "node:crypto";
import { before, make, version, require, SENT, NOW, tampered } from "../lib.js";

const SEED = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";

function discordKey() {
  return createPrivateKey({ key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.from(SEED, "hex")]), format: "der", type: "pkcs8" });
}

async function discord() {
  const { verifyKey } = require("discord-interactions");
  const key = discordKey();
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  const raw = spki.subarray(12).toString("hex");
  const other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
  const body = JSON.stringify({ version: 1, application_id: "1", type: 1, event: { type: "APPLICATION_AUTHORIZED", timestamp: "2026-01-01T00:00:00" } });
  const headers = (text, time = SENT) => ({
    "content-type": "application/json", "x-signature-timestamp": String(time), "x-signature-ed25519": signBytes(null, Buffer.from(`${time}${text}`), key).toString("hex"),
  });
  const ping = JSON.stringify({ version: 1, application_id: "1", type: 0 });
  const interaction = JSON.stringify({ id: "1", application_id: "1", type: 1, token: "t", version: 1 });
  return make({
    slug: "discord", made: "signed with Node's crypto", judged: version("discord-interactions"), base: { public_keys: [raw], body, headers: headers(body) },
    judge: (v, publicKey) => verifyKey(v.body, v.headers["x-signature-ed25519"], v.headers["x-signature-timestamp"], publicKey),
    vectors: [
      { name: "valid", expect: "genuine", handshake: null, facts: { event_type: "APPLICATION_AUTHORIZED" } },
      { name: "key as PEM", public_keys: [createPublicKey(key).export({ format: "pem", type: "spki" })], unjudged: true, expect: "genuine" },
      { name: "key as DER in base64", public_keys: [spki.toString("base64")], unjudged: true, expect: "genuine" },
      { name: "key as JWK", public_keys: [JSON.stringify(createPublicKey(key).export({ format: "jwk" }))], unjudged: true, expect: "genuine" },
      { name: "event PING", body: ping, headers: headers(ping), expect: "genuine", handshake: { status: 204, body: "" } },
      { name: "interaction PING", body: interaction, headers: headers(interaction), expect: "genuine", handshake: { status: 200, body: '{"type":1}' } },
      { name: "PING with a bad signature", body: interaction, headers: headers(ping), expect: "refused", refusal: "signature_mismatch", handshake: null },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong key", public_keys: [other], expect: "refused", refusal: "signature_mismatch" },
      { name: "second key fits", public_keys: [other, raw], expect: "genuine", secret_index: 1 },
      { name: "another time than the signed one", headers: { ...headers(body), "x-signature-timestamp": String(NOW) }, expect: "refused", refusal: "signature_mismatch" },
      { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale", sdk_differs: "it leaves the age to the caller" },
      { name: "no header", headers: { "x-signature-timestamp": String(SENT) }, expect: "refused", refusal: "missing_signature" },
      { name: "signature not hexadecimal", headers: { ...headers(body), "x-signature-ed25519": "zz" }, expect: "refused", refusal: "malformed_signature" },
    ],
  });
}

async function sendgrid() {
  const { EventWebhook } = require("@sendgrid/eventwebhook");
  const jwk = (d, x, y) => createPrivateKey({ format: "jwk", key: { kty: "EC", crv: "P-256", d, x, y } });
  // The key of RFC 7515, appendix A.3.
  const key = jwk("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).toString("base64");
  const other = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";
  const body = `${JSON.stringify([{ email: "a@example.com", event: "processed", sg_event_id: "ZGVmYXVsdC1ldmVudA" }])}\r\n`;
  const judge = (v, pk) => {
    const webhook = new EventWebhook();
    return webhook.verifySignature(webhook.convertPublicKeyToECDSA(pk), v.body, v.headers["x-twilio-email-event-webhook-signature"], v.headers["x-twilio-email-event-webhook-timestamp"]);
  };
  // ECDSA signatures contain a random number: a written one is kept as long as the SDK accepts it.
  const kept = before("sendgrid", "valid")?.headers["x-twilio-email-event-webhook-signature"];
  const usable = (value) => {
    try {
      return judge({ body: Buffer.from(body), headers: { "x-twilio-email-event-webhook-signature": value, "x-twilio-email-event-webhook-timestamp": String(SENT) } }, publicKey);
    } catch {
      return false;
    }
  };
  const signature = kept && usable(kept) ? kept : signBytes("sha256", Buffer.from(`${SENT}${body}`), key).toString("base64");
  const headers = (over = {}) => ({
    "content-type": "application/json", "x-twilio-email-event-webhook-signature": signature, "x-twilio-email-event-webhook-timestamp": String(SENT), ...over,
  });
  return make({
    slug: "sendgrid", made: "signed with Node's crypto", judged: version("@sendgrid/eventwebhook"), base: { public_keys: [publicKey], body, headers: headers() }, judge,
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "processed", delivery_id: "ZGVmYXVsdC1ldmVudA" } },
      { name: "key as PEM", public_keys: [createPublicKey(key).export({ format: "pem", type: "spki" })], unjudged: true, expect: "genuine" },
      { name: "key as JWK", public_keys: [JSON.stringify(createPublicKey(key).export({ format: "jwk" }))], unjudged: true, expect: "genuine" },
      { name: "trimmed body", body: body.trim(), expect: "refused", refusal: "signature_mismatch" },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong key", public_keys: [other], expect: "refused", refusal: "signature_mismatch" },
      { name: "second key fits", public_keys: [other, publicKey], expect: "genuine", secret_index: 1 },
      { name: "another time than the signed one", headers: headers({ "x-twilio-email-event-webhook-timestamp": String(NOW) }), expect: "refused", refusal: "signature_mismatch" },
      { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale", sdk_differs: "it leaves the age to the caller" },
      { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future", sdk_differs: "it leaves the time to the caller" },
      { name: "no header", headers: {}, expect: "refused", refusal: "missing_signature" },
      { name: "rubbish as signature", headers: headers({ "x-twilio-email-event-webhook-signature": "AAAA" }), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

export default async () => [discord(), sendgrid()];
