// What every suite expects of deliveries: one for each accepted request, byte for byte, signed by
// the gateway by the Standard Webhooks rules, with the id that the sender was given.

import { Webhook } from "standardwebhooks";

/** Whether an answer accepts the request. */
export const accepted = (answer) => answer.status >= 200 && answer.status < 300;

/**
 * Waits for the deliveries of `sent` (a map from a request's key to `{ body, eventId }`) at `path`
 * and checks them. `keyOf` finds the key of a delivery; `original` throws unless the provider's own
 * SDK takes the forwarded request for genuine.
 */
export async function checkDeliveries({ report, receiver, path, secret, sent, keyOf, original }) {
  const deliveries = await receiver.wait(path, sent.size);
  report.check("every accepted request was delivered", deliveries.length >= sent.size,
    `${deliveries.length} of ${sent.size}`);
  const webhook = new Webhook(secret);
  const seen = new Set();
  for (const delivery of deliveries) {
    const key = keyOf(delivery);
    const expected = sent.get(key);
    if (!report.check("deliveries are of accepted requests", expected !== undefined, key)) continue;
    report.check("delivered once", !seen.has(key), key);
    seen.add(key);
    report.check("delivered byte for byte", delivery.body.equals(Buffer.from(expected.body)), key);
    report.check("webhook-id is the id the sender was given",
      delivery.headers["webhook-id"] === expected.eventId,
      `${delivery.headers["webhook-id"]} is not ${expected.eventId}`);
    await report.attempt("standardwebhooks verifies the delivery",
      () => webhook.verify(delivery.body.toString(), delivery.headers, { jsonParse: false }), key);
    if (original) {
      await report.attempt("the provider's SDK verifies the original",
        () => original(delivery), key);
    }
  }
}

/** The event id in the answer to an accepted request. */
export function eventIdOf(answer) {
  const header = answer.headers["becket-event-id"];
  if (header) return header;
  try {
    return JSON.parse(answer.body).id;
  } catch {
    return undefined;
  }
}

/** Sends a request that must be refused, and checks the status. */
export async function refused(report, name, status, sending) {
  const answer = await sending;
  report.check(name, answer.status === status, `answered ${answer.status} ${answer.body}`);
}
