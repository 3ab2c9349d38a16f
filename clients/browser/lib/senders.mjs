// Requests as providers send them, signed by their published schemes with node:crypto, so that a
// mistake in the gateway's own signing cannot hide.

import { createHmac, randomUUID } from "node:crypto";

const hmac = (secret, text, encoding = "hex") => createHmac("sha256", secret).update(text).digest(encoding);
const json = { "content-type": "application/json" };

/** GitHub: HMAC-SHA256 of the body in `X-Hub-Signature-256`. */
export function github(secret, payload, { event = "push", delivery = randomUUID() } = {}) {
  const body = text(payload);
  return {
    body,
    headers: {
      ...json,
      "user-agent": "GitHub-Hookshot/0123abc",
      "x-github-event": event,
      "x-github-delivery": delivery,
      "x-hub-signature-256": `sha256=${hmac(secret, body)}`,
    },
  };
}

/** Stripe: HMAC-SHA256 of `time.body` in `Stripe-Signature`. */
export function stripe(secret, payload, { at = Math.floor(Date.now() / 1000) } = {}) {
  const body = text(payload);
  return {
    body,
    headers: { ...json, "user-agent": "Stripe/1.0", "stripe-signature": `t=${at},v1=${hmac(secret, `${at}.${body}`)}` },
  };
}

/** Slack: HMAC-SHA256 of `v0:time:body`. */
export function slack(secret, payload, { at = Math.floor(Date.now() / 1000) } = {}) {
  const body = text(payload);
  return {
    body,
    headers: { ...json, "x-slack-request-timestamp": String(at), "x-slack-signature": `v0=${hmac(secret, `v0:${at}:${body}`)}` },
  };
}

/** Standard Webhooks: HMAC-SHA256 of `id.time.body` under the decoded secret. */
export function standard(secret, payload, { id = `msg_${randomUUID()}`, at = Math.floor(Date.now() / 1000) } = {}) {
  const body = text(payload);
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  return {
    body,
    headers: { ...json, "webhook-id": id, "webhook-timestamp": String(at), "webhook-signature": `v1,${hmac(key, `${id}.${at}.${body}`, "base64")}` },
  };
}

/** A body as it is sent: bytes and texts as they are, the rest as JSON. */
function text(payload) {
  return typeof payload === "string" || payload instanceof Uint8Array ? payload : JSON.stringify(payload);
}
