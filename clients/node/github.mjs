// GitHub: every example payload of @octokit/webhooks-examples, signed by @octokit/webhooks-methods.

import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";
import { sign, verify } from "@octokit/webhooks-methods";
import { accepted, checkDeliveries, eventIdOf, refused } from "./lib/deliveries.mjs";
import { eachOf, send } from "./lib/http.mjs";
import { Report } from "./lib/report.mjs";

const examples = createRequire(import.meta.url)("@octokit/webhooks-examples");

export async function github({ url, receiver, github: settings }) {
  const report = new Report("github");
  const { secret, otherSecret, path, otherPath, delivery } = settings;
  const headers = (event, id, signature) => ({
    "content-type": "application/json",
    "user-agent": "GitHub-Hookshot/test",
    "x-github-event": event,
    "x-github-delivery": id,
    "x-github-hook-id": "1",
    "x-hub-signature-256": signature,
  });

  const sent = new Map();
  const payloads = examples.flatMap(({ name, examples: list }) =>
    list.map((payload) => ({ name, body: JSON.stringify(payload) })),
  );
  report.check("there are as many examples as their package says", payloads.length >= 329,
    `${payloads.length}`);
  await eachOf(payloads, 16, async ({ name, body }) => {
    const id = randomUUID();
    const answer = await send(url, path, headers(name, id, await sign(secret, body)), body);
    report.check("genuine requests are accepted", accepted(answer),
      `${name}: ${answer.status} ${answer.body}`);
    sent.set(id, { body, eventId: eventIdOf(answer) });
  });

  const body = JSON.stringify({ zen: "Keep it logically awesome.", hook_id: 1 });
  const good = await sign(secret, body);
  await refused(report, "a tampered body is refused", 401,
    send(url, path, headers("ping", randomUUID(), good), body.replace("awesome", "awful")));
  await refused(report, "a tampered signature is refused", 401,
    send(url, path, headers("ping", randomUUID(), flipLast(good)), body));
  await refused(report, "a wrong secret is refused", 401,
    send(url, path, headers("ping", randomUUID(), await sign(otherSecret, body)), body));
  await refused(report, "a source with another secret refuses it", 401,
    send(url, otherPath, headers("ping", randomUUID(), good), body));
  await refused(report, "an unknown source answers 404", 404,
    send(url, `${path}-unknown`, headers("ping", randomUUID(), good), body));
  const unsigned = headers("ping", randomUUID(), good);
  delete unsigned["x-hub-signature-256"];
  await refused(report, "an unsigned request is refused", 401, send(url, path, unsigned, body));

  // A redelivery, and then a thousand copies at once: one event, one id, everybody is told yes.
  const [firstId, first] = sent.entries().next().value;
  const again = await send(url, path,
    headers("push", firstId, await sign(secret, first.body)), first.body);
  report.check("a repeat is answered with the first id",
    accepted(again) && eventIdOf(again) === first.eventId, `${again.status} ${again.body}`);
  const storm = randomUUID();
  const answers = await Promise.all(
    Array.from({ length: 1000 }, () => send(url, path, headers("ping", storm, good), body)),
  );
  report.check("a thousand repeats at once are all accepted", answers.every(accepted),
    JSON.stringify(answers.find((answer) => !accepted(answer))));
  report.check("a thousand repeats at once are one event", new Set(answers.map(eventIdOf)).size === 1);
  sent.set(storm, { body, eventId: eventIdOf(answers[0]) });

  await checkDeliveries({
    report, receiver, path: delivery.path, secret: delivery.secret, sent,
    keyOf: (request) => request.headers["x-github-delivery"],
    original: async (request) => {
      const signature = request.headers["x-hub-signature-256"];
      if (!(await verify(secret, request.body.toString(), signature))) throw new Error("refused");
    },
  });
  return report.finish();
}

function flipLast(signature) {
  return signature.slice(0, -1) + (signature.endsWith("0") ? "1" : "0");
}
