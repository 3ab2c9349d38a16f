// Standard Webhooks: the reference library signs, and verifies both the original and our delivery.

import { randomUUID } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { accepted, checkDeliveries, eventIdOf, refused } from "./lib/deliveries.mjs";
import { eachOf, send } from "./lib/http.mjs";
import { Report } from "./lib/report.mjs";

const COUNT = 60;

export async function standard({ url, receiver, standard: settings }) {
  const report = new Report("standardwebhooks");
  const { secret, otherSecret, path, otherPath, delivery } = settings;
  const event = (number) => JSON.stringify({
    type: number % 2 ? "invoice.paid" : "user.created",
    timestamp: new Date().toISOString(),
    data: { number, text: "Grüße, 世界" },
  });
  const headers = (body, { key = secret, id = `msg_${randomUUID()}`, at = new Date() } = {}) => ({
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(key).sign(id, at, body),
  });
  const ago = (seconds) => new Date(Date.now() - seconds * 1000);

  const sent = new Map();
  await eachOf(Array.from({ length: COUNT }, (_, number) => number), 8, async (number) => {
    const body = event(number);
    const answer = await send(url, path, headers(body), body);
    report.check("genuine requests are accepted", accepted(answer), `${answer.status} ${answer.body}`);
    sent.set(eventIdOf(answer), { body, eventId: eventIdOf(answer) });
  });

  const body = event(COUNT);
  const rotated = headers(body);
  rotated["webhook-signature"] =
    `${new Webhook(otherSecret).sign("msg_other", new Date(), body)} ${rotated["webhook-signature"]}`;
  const answer = await send(url, path, rotated, body);
  report.check("one good signature of several is enough", accepted(answer), `${answer.status}`);
  sent.set(eventIdOf(answer), { body, eventId: eventIdOf(answer) });

  await refused(report, "a tampered body is refused", 401,
    send(url, path, headers(body), body.replace("世界", "世間")));
  await refused(report, "a tampered id is refused", 401,
    send(url, path, { ...headers(body), "webhook-id": "msg_forged" }, body));
  await refused(report, "a stale timestamp is refused", 401,
    send(url, path, headers(body, { at: ago(3600) }), body));
  await refused(report, "a timestamp far ahead is refused", 401,
    send(url, path, headers(body, { at: ago(-3600) }), body));
  await refused(report, "a wrong secret is refused", 401,
    send(url, path, headers(body, { key: otherSecret }), body));
  await refused(report, "a source with another secret refuses it", 401,
    send(url, otherPath, headers(body), body));

  await checkDeliveries({
    report, receiver, path: delivery.path, secret: delivery.secret, sent,
    keyOf: (request) => request.headers["webhook-id"],
  });
  return report.finish();
}
