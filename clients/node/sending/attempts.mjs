// Attempts: what they tell, how they are listed, and sending again by hand.

import assert from "node:assert/strict";
import { MessageAttemptTriggerType, MessageStatus, StatusCodeClass } from "svix";
import { lastStatus, nowhere, pages, recent, refused, until } from "./harness.mjs";
import { delivery } from "./messages.mjs";
import { verified } from "./receiver.mjs";

export async function attempts(harness) {
  const { svix, run, receiver } = harness;
  const app = `attempts-${run}`;
  await svix.application.create({ name: "attempts", uid: app });
  await svix.endpoint.create(app, { url: receiver.url(`ok-${run}`), uid: "ok" });
  await Promise.all([
    retried(harness),
    (async () => {
      const ids = await listing(harness, app);
      await messagesOf(harness, app, ids);
      await resending(harness, app, ids);
      await statistics(harness, app);
    })(),
    failing(harness),
  ]);
}

const SETTLED = { withContent: true };

async function retried(harness) {
  const { check, svix, run, receiver } = harness;
  const app = `retried-${run}`;
  await svix.application.create({ name: "retried", uid: app });
  await svix.endpoint.create(app, { url: receiver.url(app), uid: "e" });
  receiver.on(app, (number) => (number === 1 ? { status: 500, text: "not yet" } : {}));
  const { id } = await svix.message.create(app, { eventType: "r.r", payload: { a: 1 } });
  await receiver.wait(app, 1);
  await check("message-attempt.list-attempted-destinations", "waits for the next attempt", async () => {
    const destination = await until("an attempt is known", async () => {
      const { data } = await svix.messageAttempt.listAttemptedDestinations(app, id);
      return data[0]?.nextAttempt && data[0];
    });
    assert.equal(destination.uid, "e");
    assert.equal(destination.url, receiver.url(app));
    assert.ok(destination.nextAttempt > Date.now() - 1_000);
    assert.ok([MessageStatus.Pending, MessageStatus.Sending].includes(destination.status), destination.statusText);
  });
  await check("message-attempt.list-by-msg", "a retry comes, with the same id, and delivers", async () => {
    const [first, second] = await receiver.wait(app, 2, 20);
    assert.equal(second.headers["webhook-id"], first.headers["webhook-id"]);
    assert.equal(second.headers["webhook-id"], id);
    const { key } = await svix.endpoint.getSecret(app, "e");
    verified(key, first);
    verified(key, second);
    const data = await until("both attempts are listed", async () => {
      const page = await svix.messageAttempt.listByMsg(app, id, SETTLED);
      return page.data.length === 2 && page.data;
    });
    assert.deepEqual(data.map(({ status }) => status), [MessageStatus.Success, MessageStatus.Fail]);
    assert.deepEqual(data.map(({ responseStatusCode }) => responseStatusCode), [200, 500]);
    assert.deepEqual(data.map(({ response }) => response), ["received", "not yet"]);
    assert.ok(data.every(({ triggerType }) => triggerType === MessageAttemptTriggerType.Scheduled));
    const destinations = await svix.messageAttempt.listAttemptedDestinations(app, id);
    assert.equal(destinations.data[0].statusText, "success");
    assert.ok(destinations.data[0].nextAttempt == null);
  });
}

async function listing(harness, app) {
  const { check, svix, other, run } = harness;
  const endpoint = await svix.endpoint.get(app, "ok");
  const ids = [];
  for (let number = 0; number < 5; number += 1) {
    const message = { eventType: number < 3 ? "a.one" : "a.two", payload: { number }, eventId: `at-${run}-${number}` };
    if (number === 0) Object.assign(message, { channels: ["ch"], tags: ["tg"] });
    const { id } = await svix.message.create(app, message);
    await delivery(harness, `ok-${run}`, id);
    ids.unshift(id);
  }
  const list = (options) => svix.messageAttempt.listByEndpoint(app, "ok", options);
  const messages = async (options) => (await pages(list, options)).items.map(({ msgId }) => msgId);
  await until("five attempts are listed", async () => (await messages({})).length === 5);
  await check("message-attempt.list-by-endpoint", "every field, newest first, page by page", async () => {
    const { items, count } = await pages(list, { limit: 2, withMsg: true, withContent: true });
    assert.deepEqual(items.map(({ msgId }) => msgId), ids);
    assert.ok(count >= 3);
    const [attempt] = items;
    assert.match(attempt.id, /^atmpt_[A-Za-z0-9]{27}$/);
    assert.equal(attempt.endpointId, endpoint.id);
    assert.equal(attempt.url, endpoint.url);
    assert.equal(attempt.status, MessageStatus.Success);
    assert.equal(attempt.statusText, "success");
    assert.equal(attempt.responseStatusCode, 200);
    assert.equal(attempt.response, "received");
    assert.ok(attempt.responseDurationMs >= 0);
    assert.equal(attempt.triggerType, MessageAttemptTriggerType.Scheduled);
    recent(attempt.timestamp);
    assert.equal(attempt.msg.id, ids[0]);
    assert.equal(attempt.msg.eventType, "a.two");
    assert.equal(attempt.msg.eventId, `at-${run}-4`);
    assert.ok((await list({})).data.every(({ msg }) => msg == null));
  });
  await check("message-attempt.list-by-endpoint", "filters", async () => {
    assert.deepEqual(await messages({ eventTypes: ["a.two"] }), ids.slice(0, 2));
    assert.deepEqual(await messages({ channel: "ch" }), [ids[4]]);
    assert.deepEqual(await messages({ tag: "tg" }), [ids[4]]);
    assert.deepEqual(await messages({ status: MessageStatus.Success }), ids);
    assert.deepEqual(await messages({ status: MessageStatus.Fail }), []);
    assert.deepEqual(await messages({ statusCodeClass: StatusCodeClass.Code2xx }), ids);
    assert.deepEqual(await messages({ statusCodeClass: StatusCodeClass.Code5xx }), []);
    assert.deepEqual(await messages({ after: new Date(Date.now() + 60_000) }), []);
    assert.deepEqual(await messages({ before: new Date(Date.now() + 60_000) }), ids);
  });
  await check("message-attempt.list-by-endpoint", "refusals", async () => {
    await refused(list({ limit: 0 }), 422, "query.limit");
    await refused(list({ iterator: "nonsense" }), 422, "query.iterator");
    await refused(list({ status: 9 }), 422, "query.status");
    await refused(svix.messageAttempt.listByEndpoint(app, nowhere("ep")), 404);
    await refused(other.messageAttempt.listByEndpoint(app, "ok"), 404);
  });
  await check("message-attempt.list-by-msg", "by endpoint; refusals", async () => {
    const byMessage = (options) => svix.messageAttempt.listByMsg(app, ids[0], options);
    assert.equal((await byMessage({ endpointId: "ok" })).data.length, 1);
    assert.equal((await byMessage({ endpointId: endpoint.id })).data[0].endpointId, endpoint.id);
    assert.equal((await svix.messageAttempt.listByMsg(app, `at-${run}-4`)).data[0].msgId, ids[0]);
    await refused(svix.messageAttempt.listByMsg(app, nowhere("msg")), 404);
    await refused(other.messageAttempt.listByMsg(app, ids[0]), 404);
  });
  await check("message-attempt.get", "shows one", async () => {
    const { data } = await list({ limit: 1, withContent: true });
    const attempt = await svix.messageAttempt.get(app, ids[0], data[0].id);
    assert.equal(attempt.id, data[0].id);
    assert.equal(attempt.msgId, ids[0]);
    assert.equal(attempt.response, "received");
    await refused(svix.messageAttempt.get(app, ids[0], nowhere("atmpt")), 404);
    await refused(svix.messageAttempt.get(app, ids[1], data[0].id), 404);
    await refused(other.messageAttempt.get(app, ids[0], data[0].id), 404);
  });
  return ids;
}

async function messagesOf(harness, app, ids) {
  const { check, svix, other, run, receiver } = harness;
  const list = (options) => svix.messageAttempt.listAttemptedMessages(app, "ok", options);
  await check("message-attempt.list-attempted-messages", "page by page, and filters", async () => {
    const all = await pages(list, { limit: 2, withContent: true });
    assert.deepEqual(all.items.map(({ id }) => id), ids);
    assert.deepEqual(all.items[0].payload, { number: 4 });
    assert.equal(all.items[0].status, MessageStatus.Success);
    assert.equal(all.items[0].eventId, `at-${run}-4`);
    const some = async (options) => (await pages(list, options)).items.map(({ id }) => id);
    assert.deepEqual(await some({ eventTypes: ["a.two"] }), ids.slice(0, 2));
    assert.deepEqual(await some({ channel: "ch" }), [ids[4]]);
    assert.deepEqual(await some({ tag: "tg" }), [ids[4]]);
    assert.deepEqual(await some({ status: MessageStatus.Fail }), []);
    assert.deepEqual(await some({ status: MessageStatus.Success, limit: 3 }), ids);
    assert.ok((await list({})).data.every(({ payload }) => payload.number === undefined));
    await refused(svix.messageAttempt.listAttemptedMessages(app, nowhere("ep")), 404);
    await refused(other.messageAttempt.listAttemptedMessages(app, "ok"), 404);
  });
  await check("message-attempt.list-attempted-destinations", "page by page", async () => {
    const uid = `destinations-${run}`;
    await svix.application.create({ name: "destinations", uid });
    const own = [];
    for (let number = 0; number < 3; number += 1) {
      own.push((await svix.endpoint.create(uid, { url: receiver.url(uid) })).id);
    }
    const { id } = await svix.message.create(uid, { eventType: "d.d", payload: {} });
    await receiver.wait(uid, 3);
    const { items, count } = await pages(
      (options) => svix.messageAttempt.listAttemptedDestinations(uid, id, options), { limit: 2 });
    assert.deepEqual(items.map((item) => item.id), own);
    assert.ok(count >= 2);
    await refused(svix.messageAttempt.listAttemptedDestinations(uid, nowhere("msg")), 404);
    await refused(other.messageAttempt.listAttemptedDestinations(uid, id), 404);
  });
}

async function resending(harness, app, ids) {
  const { check, svix, other, run, receiver } = harness;
  const name = `ok-${run}`;
  await check("message-attempt.resend", "comes again, with the same id, and is called manual", async () => {
    const before = receiver.requests(name).length;
    const answer = await svix.messageAttempt.resend(app, ids[2], "ok");
    assert.equal(lastStatus(), 202);
    assert.deepEqual(answer, {});
    const request = (await receiver.wait(name, before + 1)).at(-1);
    assert.equal(request.headers["webhook-id"], ids[2]);
    const { key } = await svix.endpoint.getSecret(app, "ok");
    verified(key, request);
    const data = await until("two attempts are listed", async () => {
      const page = await svix.messageAttempt.listByMsg(app, ids[2]);
      return page.data.length === 2 && page.data;
    });
    assert.deepEqual(data.map(({ triggerType }) => triggerType),
      [MessageAttemptTriggerType.Manual, MessageAttemptTriggerType.Scheduled]);
  });
  await check("message-attempt.resend", "refusals", async () => {
    await refused(svix.messageAttempt.resend(app, nowhere("msg"), "ok"), 404);
    await refused(svix.messageAttempt.resend(app, ids[0], nowhere("ep")), 404);
    await refused(other.messageAttempt.resend(app, ids[0], "ok"), 404);
  });
  await check("message-attempt.expunge-content", "the response is gone", async () => {
    const attempt = async () => (await svix.messageAttempt.listByMsg(app, ids[1], SETTLED)).data[0];
    const { id } = await attempt();
    await refused(other.messageAttempt.expungeContent(app, ids[1], id), 404);
    await svix.messageAttempt.expungeContent(app, ids[1], id);
    assert.equal(lastStatus(), 204);
    assert.notEqual((await attempt()).response, "received");
    assert.notEqual((await svix.messageAttempt.get(app, ids[1], id)).response, "received");
    assert.equal((await attempt()).responseStatusCode, 200);
    await refused(svix.messageAttempt.expungeContent(app, ids[1], nowhere("atmpt")), 404);
  });
}

async function statistics({ check, svix, other, run }, app) {
  await check("endpoint.get-stats", "counts deliveries", async () => {
    const stats = await svix.endpoint.getStats(app, "ok");
    assert.ok(stats.success >= 5, JSON.stringify(stats));
    assert.equal(stats.fail, 0);
    for (const count of Object.values(stats)) assert.ok(Number.isInteger(count));
    const since = new Date(Date.now() - 86_400_000);
    const within = await svix.endpoint.getStats(app, "ok", { since, until: new Date(Date.now() + 3_600_000) });
    assert.ok(within.success >= 5);
    const long = { since: new Date(since - 86_400_000), until: since };
    assert.equal((await svix.endpoint.getStats(app, "ok", long)).success, 0);
    await refused(svix.endpoint.getStats(app, nowhere("ep")), 404);
    await refused(other.endpoint.getStats(app, "ok"), 404);
    await refused(svix.endpoint.getStats(`no-such-${run}`, "ok"), 404);
  });
}

async function failing(harness) {
  const { check, svix, run, receiver } = harness;
  const app = `failing-${run}`;
  await svix.application.create({ name: "failing", uid: app });
  await svix.endpoint.create(app, { url: receiver.url(app), uid: "e" });
  receiver.on(app, (number) => ({ status: number % 2 ? 404 : 503, text: `no ${number}` }));
  for (let number = 0; number < 2; number += 1) {
    await svix.message.create(app, { eventType: "f.f", payload: { number } });
    await receiver.wait(app, number + 1);
  }
  await check("message-attempt.list-by-endpoint", "failures by status and class", async () => {
    const list = (options) => svix.messageAttempt.listByEndpoint(app, "e", { withContent: true, ...options });
    const data = await until("two failures are listed", async () => {
      const page = await list({ status: MessageStatus.Fail });
      return page.data.length >= 2 && page.data;
    });
    assert.ok(data.every(({ status, statusText }) => status === MessageStatus.Fail && statusText === "fail"));
    const of = async (statusCodeClass) => (await list({ statusCodeClass })).data.map(({ responseStatusCode }) =>
      responseStatusCode);
    assert.ok((await of(StatusCodeClass.Code4xx)).every((code) => code === 404));
    assert.ok((await of(StatusCodeClass.Code4xx)).length >= 1);
    assert.ok((await of(StatusCodeClass.Code5xx)).every((code) => code === 503));
    assert.ok((await of(StatusCodeClass.Code5xx)).length >= 1);
    assert.deepEqual((await list({ status: MessageStatus.Success })).data, []);
    assert.ok(data.some(({ response }) => response === "no 1"));
    const bare = await svix.messageAttempt.listByEndpoint(app, "e");
    assert.ok(bare.data.every(({ response }) => !response.startsWith("no ")));
  });
}
