// Stripe: events signed by the official package's own helper, and verified by it after forwarding.

import Stripe from "stripe";
import { accepted, checkDeliveries, eventIdOf, refused } from "./lib/deliveries.mjs";
import { eachOf, send } from "./lib/http.mjs";
import { Report } from "./lib/report.mjs";

const TYPES = ["charge.succeeded", "checkout.session.completed", "customer.created",
  "customer.subscription.deleted", "invoice.paid", "payment_intent.succeeded"];
const COUNT = 60;

export async function stripe({ url, receiver, stripe: settings }) {
  const report = new Report("stripe");
  const { secret, otherSecret, path, otherPath, delivery } = settings;
  const sdk = new Stripe("sk_test_not_a_key");
  const now = () => Math.floor(Date.now() / 1000);
  const event = (number) => JSON.stringify({
    id: `evt_test_${Date.now()}_${number}`,
    object: "event",
    api_version: "2025-03-31",
    created: now(),
    type: TYPES[number % TYPES.length],
    livemode: false,
    data: { object: { id: `obj_${number}`, description: "Crème brûlée for 2 €", amount: number } },
  }, null, number % 2 ? 2 : 0);
  const post = (payload, { key = secret, timestamp = now(), to = path, body = payload } = {}) =>
    send(url, to, {
      "content-type": "application/json; charset=utf-8",
      "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
      "stripe-signature": sdk.webhooks.generateTestHeaderString({ payload, secret: key, timestamp }),
    }, body);

  const sent = new Map();
  await eachOf(Array.from({ length: COUNT }, (_, number) => number), 8, async (number) => {
    const body = event(number);
    const answer = await post(body);
    report.check("genuine requests are accepted", accepted(answer), `${answer.status} ${answer.body}`);
    sent.set(JSON.parse(body).id, { body, eventId: eventIdOf(answer) });
  });

  const payload = event(1000);
  await refused(report, "a tampered body is refused", 401,
    post(payload, { body: payload.replace("1000", "9000") }));
  await refused(report, "a stale timestamp is refused", 401,
    post(payload, { timestamp: now() - 3600 }));
  await refused(report, "a wrong secret is refused", 401, post(payload, { key: otherSecret }));
  await refused(report, "a source with another secret refuses it", 401,
    post(payload, { to: otherPath }));
  await refused(report, "an unsigned request is refused", 401,
    send(url, path, { "content-type": "application/json" }, payload));

  const [, first] = sent.entries().next().value;
  const again = await post(first.body);
  report.check("a repeat is answered with the first id",
    accepted(again) && eventIdOf(again) === first.eventId, `${again.status} ${again.body}`);

  await checkDeliveries({
    report, receiver, path: delivery.path, secret: delivery.secret, sent,
    keyOf: (request) => JSON.parse(request.body.toString()).id,
    original: (request) => sdk.webhooks.constructEvent(
      request.body, request.headers["stripe-signature"], secret),
  });
  return report.finish();
}
