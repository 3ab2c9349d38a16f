// What runs in the background: recovering, replaying, counting; and the tasks that tell how far.

import assert from "node:assert/strict";
import { finished, lastStatus, nowhere, pages, recent, refused, types, until } from "./harness.mjs";
import { verified } from "./receiver.mjs";

export async function replays(harness) {
  await Promise.all([recovering(harness), missing(harness), counting(harness)]);
  await tasks(harness);
}

const ago = (seconds) => new Date(Date.now() - seconds * 1_000);

async function recovering({ check, svix, other, run, receiver }) {
  const app = `recovered-${run}`;
  await svix.application.create({ name: "recovered", uid: app });
  await svix.endpoint.create(app, { url: receiver.url(app), uid: "e" });
  let gone = true;
  receiver.on(app, () => (gone ? { status: 410, text: "gone" } : {}));
  const { id } = await svix.message.create(app, { eventType: "r.r", payload: { lost: true } });
  await receiver.wait(app, 1);
  await check("endpoint.recover", "what failed for good comes again", async () => {
    await until("410 has disabled the endpoint", async () => (await svix.endpoint.get(app, "e")).disabled);
    gone = false;
    await svix.endpoint.patch(app, "e", { disabled: false });
    const task = await svix.endpoint.recover(app, "e", { since: ago(3_600) });
    assert.equal(lastStatus(), 202);
    assert.match(task.id, /^qtask_[A-Za-z0-9]{27}$/);
    assert.equal(task.task, "endpoint.recover");
    recent(task.updatedAt);
    const { data } = await finished(svix, task.id);
    assert.equal(data.messagesSent, 1, JSON.stringify(data));
    const request = (await receiver.wait(app, 2))[1];
    assert.equal(request.headers["webhook-id"], id);
    verified((await svix.endpoint.getSecret(app, "e")).key, request);
    const again = await svix.endpoint.recover(app, "e", { since: ago(3_600) });
    assert.equal((await finished(svix, again.id)).data.messagesSent, 0);
  });
  await check("endpoint.recover", "what still waits for its next attempt comes now", async () => {
    const name = `${app}-waiting`;
    await svix.endpoint.create(app, { url: receiver.url(name), uid: "w", channels: [name] });
    let down = true;
    receiver.on(name, () => (down ? { status: 500, headers: { "retry-after": "600" }, text: "down" } : {}));
    const { id } = await svix.message.create(app, { eventType: "r.r", payload: {}, channels: [name] });
    await until("one attempt has failed", async () => {
      const { data } = await svix.messageAttempt.listByMsg(app, id, { endpointId: "w" });
      return data.length === 1;
    });
    down = false;
    const task = await svix.endpoint.recover(app, "w", { since: ago(3_600) });
    assert.equal((await finished(svix, task.id)).data.messagesSent, 1);
    assert.equal((await receiver.wait(name, 2))[1].headers["webhook-id"], id);
  });
  await check("endpoint.recover", "refusals", async () => {
    await refused(svix.endpoint.recover(app, "e", {}), 422, "body");
    await refused(svix.endpoint.recover(app, "e", { since: "yesterday" }), 422, "body.since");
    await refused(svix.endpoint.recover(app, nowhere("ep"), { since: ago(60) }), 404);
    await refused(other.endpoint.recover(app, "e", { since: ago(60) }), 404);
  });
}

async function missing({ check, svix, other, run, receiver }) {
  const app = `missed-${run}`;
  await svix.application.create({ name: "missed", uid: app });
  const sent = [];
  for (let number = 0; number < 3; number += 1) {
    const eventType = number === 0 ? "m.first" : "m.rest";
    sent.push((await svix.message.create(app, { eventType, payload: { number } })).id);
  }
  await svix.endpoint.create(app, { url: receiver.url(app), uid: "e" });
  const ids = (requests) => requests.map(({ headers }) => headers["webhook-id"]).sort();
  await check("endpoint.replay-missing", "what it never got comes, once", async () => {
    const task = await svix.endpoint.replayMissing(app, "e", { since: ago(3_600) });
    assert.equal(lastStatus(), 202);
    assert.equal(task.task, "endpoint.replay");
    const { data } = await finished(svix, task.id);
    assert.equal(data.messagesSent, 3, JSON.stringify(data));
    assert.deepEqual(ids(await receiver.wait(app, 3)), [...sent].sort());
    const again = await svix.endpoint.replayMissing(app, "e", { since: ago(3_600) });
    assert.equal((await finished(svix, again.id)).data.messagesSent, 0);
    await refused(svix.endpoint.replayMissing(app, "e", {}), 422, "body");
    await refused(svix.endpoint.replayMissing(app, nowhere("ep"), { since: ago(60) }), 404);
  });
  await check("endpoint.bulk-replay", "what was delivered comes again, by filter or all", async () => {
    const delivered = async (count) => {
      await until("the deliveries are known", async () =>
        (await svix.endpoint.getStats(app, "e")).pending === 0 && receiver.requests(app).length >= count);
    };
    await delivered(3);
    const some = await svix.endpoint.bulkReplay(app, "e", { since: ago(3_600), eventTypes: ["m.first"] });
    assert.equal(lastStatus(), 202);
    assert.equal(some.task, "endpoint.bulk-replay");
    assert.equal((await finished(svix, some.id)).data.messagesSent, 1);
    const request = (await receiver.wait(app, 4))[3];
    assert.equal(request.headers["webhook-id"], sent[0]);
    await delivered(4);
    const all = await svix.endpoint.bulkReplay(app, "e", { since: ago(3_600), status: 0 });
    assert.equal((await finished(svix, all.id)).data.messagesSent, 3);
    assert.deepEqual(ids((await receiver.wait(app, 7)).slice(4)), [...sent].sort());
    const none = await svix.endpoint.bulkReplay(app, "e", { since: ago(3_600), until: ago(1_800) });
    assert.equal((await finished(svix, none.id)).data.messagesSent, 0);
  });
  await check("endpoint.bulk-replay", "refusals", async () => {
    const since = ago(60);
    await refused(svix.endpoint.bulkReplay(app, "e", {}), 422, "body");
    await refused(svix.endpoint.bulkReplay(app, "e", { since, status: 9 }), 422, "body.status");
    await refused(svix.endpoint.bulkReplay(app, nowhere("ep"), { since }), 404);
    await refused(other.endpoint.bulkReplay(app, "e", { since }), 404);
    await refused(other.endpoint.replayMissing(app, "e", { since }), 404);
  });
}

async function counting({ check, svix, stranger, run, receiver }) {
  const uid = `counted-${run}`;
  await types(svix, "c.one", "c.two");
  const { id } = await svix.application.create({ name: "counted", uid });
  await svix.endpoint.create(uid, { url: receiver.url(uid), eventTypes: ["c.one"] });
  await svix.endpoint.create(uid, { url: receiver.url(uid), eventTypes: ["c.one", "c.two"] });
  await svix.message.create(uid, { eventType: "c.one", payload: {} });
  await receiver.wait(uid, 2);
  await check("statistics.aggregate-app-stats", "counts destinations", async () => {
    const since = ago(3_600);
    const end = new Date(Date.now() + 3_600_000);
    const absent = `no-such-${run}`;
    const task = await svix.statistics.aggregateAppStats({ since, until: end, appIds: [uid, absent] });
    assert.equal(lastStatus(), 202);
    assert.equal(task.task, "application.stats");
    assert.deepEqual(task.unresolvedAppIds, [absent]);
    const { data } = await finished(svix, task.id);
    assert.equal(data.appStats.length, 1);
    const [{ appId, appUid, messageDestinations }] = data.appStats;
    assert.deepEqual([appId, appUid, messageDestinations], [id, uid, 2]);
    const all = await svix.statistics.aggregateAppStats({ since, until: end });
    const found = (await finished(svix, all.id)).data.appStats.find(({ appId }) => appId === id);
    assert.equal(found.messageDestinations, 2);
    await refused(svix.statistics.aggregateAppStats({ since }), 422, "body");
    await refused(svix.statistics.aggregateAppStats({ since, until: end, appIds: ["a b"] }), 422, "body.appIds");
  });
  await check("statistics.aggregate-event-types", "tells who listens to what", async () => {
    const task = await svix.statistics.aggregateEventTypes();
    assert.equal(lastStatus(), 202);
    assert.equal(task.task, "event-type.aggregate");
    const { data } = await finished(svix, task.id);
    const found = data.event_types.find(({ appId }) => appId === id);
    assert.deepEqual([...found.explicitlySubscribedEventTypes].sort(), ["c.one", "c.two"]);
    assert.equal(found.hasCatchAllEndpoint, false);
    await refused(stranger.statistics.aggregateEventTypes(), 401);
  });
}

async function tasks({ check, svix, other }) {
  const list = (options) => svix.backgroundTask.list(options);
  await check("background-task.list", "page by page, and filters", async () => {
    const all = await pages(list, { limit: 2, order: "ascending" });
    assert.ok(all.items.length >= 5 && all.count > 2);
    const ids = all.items.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    const descending = (await pages(list, { limit: 3, order: "descending" })).items.map(({ id }) => id);
    assert.deepEqual(descending.filter((id) => ids.includes(id)), ids.toReversed());
    const replayed = (await pages(list, { task: "endpoint.bulk-replay", status: "finished" })).items;
    assert.ok(replayed.length >= 2);
    assert.ok(replayed.every(({ task, status }) => task === "endpoint.bulk-replay" && status === "finished"));
    await refused(list({ limit: 0 }), 422, "query.limit");
    await refused(list({ status: "odd" }), 422, "query.status");
    await refused(list({ task: "odd" }), 422, "query.task");
  });
  await check("background-task.get", "another tenant's is unknown", async () => {
    const { data } = await list({ limit: 1 });
    const task = await svix.backgroundTask.get(data[0].id);
    assert.deepEqual(task.id, data[0].id);
    assert.equal(typeof task.data, "object");
    await refused(other.backgroundTask.get(task.id), 404);
    await refused(svix.backgroundTask.get(nowhere("qtask")), 404);
    assert.ok(!(await pages((options) => other.backgroundTask.list(options))).items.some(({ id }) => id === task.id));
  });
}
