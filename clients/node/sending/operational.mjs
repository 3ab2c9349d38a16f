// Operational webhooks: what the gateway itself has to tell, delivered and signed like the rest; and
// integrations, programs with a key of their own.

import assert from "node:assert/strict";
import { lastStatus, nowhere, pages, recent, refused, until } from "./harness.mjs";
import { secret, verified } from "./receiver.mjs";

export async function operational(harness) {
  const name = `operational-${harness.run}`;
  await making(harness, name);
  await Promise.all([arriving(harness, name), troubles(harness), finishing(harness)]);
  await removing(harness, name);
}

async function making({ check, svix, other, stranger, run, receiver }, name) {
  const api = svix.operationalWebhook.endpoint;
  const url = receiver.url(name);
  await check("operational-webhook.endpoint.create", "fields come back", async () => {
    const made = await api.create({
      url, uid: name, description: "ops", metadata: { a: "1" }, throttleRate: 100,
      eventTypes: ["endpoint.created", "endpoint.updated", "endpoint.deleted", "endpoint.disabled"],
      headers: { "x-ops": "yes" },
    });
    assert.equal(lastStatus(), 201);
    assert.match(made.id, /^ep_[A-Za-z0-9]{27}$/);
    assert.equal(made.uid, name);
    assert.equal(made.description, "ops");
    assert.equal(made.throttleRate, 100);
    assert.deepEqual(made.metadata, { a: "1" });
    assert.equal(made.eventTypes.length, 4);
    recent(made.createdAt);
    await refused(api.create({ url, uid: name }), 409);
    await refused(api.create({ url: "nonsense" }), 422, "body.url");
    await refused(stranger.operationalWebhook.endpoint.create({ url }), 401);
  });
  await check("operational-webhook.endpoint.get", "by id and by uid", async () => {
    const found = await api.get(name);
    assert.deepEqual(await api.get(found.id), found);
    await refused(api.get(nowhere("ep")), 404);
    await refused(other.operationalWebhook.endpoint.get(found.id), 404);
  });
  await check("operational-webhook.endpoint.upsert", "changes, and makes", async () => {
    const put = `ops-put-${run}`;
    const made = await api.upsert(put, { url, uid: put, disabled: true });
    const changed = await api.upsert(put, { url, uid: put, disabled: true, description: "two" });
    assert.equal(lastStatus(), 200);
    assert.equal(changed.id, made.id);
    assert.equal(changed.description, "two");
    await refused(api.upsert(put, { url: "nonsense" }), 422, "body.url");
  });
  await check("operational-webhook.endpoint.list", "page by page, in both directions", async () => {
    const own = [(await api.get(name)).id];
    for (let number = 0; number < 3; number += 1) own.push((await api.create({ url, disabled: true })).id);
    const among = async (options) => (await pages((given) => api.list(given), options)).items
      .map(({ id }) => id).filter((id) => own.includes(id));
    assert.deepEqual(await among({ limit: 2, order: "ascending" }), own);
    assert.deepEqual(await among({ limit: 2, order: "descending" }), own.toReversed());
    assert.ok(!(await other.operationalWebhook.endpoint.list()).data.some(({ id }) => own.includes(id)));
    await refused(api.list({ limit: 0 }), 422, "query.limit");
  });
  await check("operational-webhook.endpoint.set-headers", "replaces", async () => {
    await api.setHeaders(name, { headers: { "x-ops": "2", authorization: "Bearer s3cret" } });
    assert.equal(lastStatus(), 204);
    await refused(api.setHeaders(name, { headers: { "a b": "1" } }), 422, "body.headers");
    await refused(api.setHeaders(nowhere("ep"), { headers: {} }), 404);
  });
  await check("operational-webhook.endpoint.get-headers", "of credentials only the names", async () => {
    const known = await api.getHeaders(name);
    assert.deepEqual(known.headers, { "x-ops": "2" });
    assert.deepEqual(known.sensitive.map((key) => key.toLowerCase()), ["authorization"]);
    await refused(api.getHeaders(nowhere("ep")), 404);
  });
}

async function arriving(harness, name) {
  const { check, svix, run, receiver } = harness;
  const api = svix.operationalWebhook.endpoint;
  const app = `watched-${run}`;
  const { id: appId } = await svix.application.create({ name: "watched", uid: app });
  const { id } = await svix.endpoint.create(app, { url: receiver.url(app), uid: "watched" });
  const event = (type, endpoint) => receiver.find(name, (body) =>
    body.type === type && body.data.endpointId === endpoint, 20);
  let first;
  await check("operational-webhook.endpoint.get-secret", "verifies what arrives", async () => {
    first = (await api.getSecret(name)).key;
    assert.match(first, /^whsec_/);
    const request = await event("endpoint.created", id);
    const { type, data } = verified(first, request);
    assert.equal(type, "endpoint.created");
    assert.equal(data.appId, appId);
    assert.equal(data.appUid, app);
    assert.equal(data.endpointUid, "watched");
    assert.equal(request.headers["x-ops"], "2");
    await refused(api.getSecret(nowhere("ep")), 404);
  });
  await check("operational-webhook.endpoint.rotate-secret", "both verify in the grace period", async () => {
    const second = secret();
    await api.rotateSecret(name, { key: second });
    assert.equal(lastStatus(), 204);
    assert.equal((await api.getSecret(name)).key, second);
    await svix.endpoint.patch(app, id, { description: "changed" });
    const request = await event("endpoint.updated", id);
    verified(first, request);
    verified(second, request);
    await refused(api.rotateSecret(name, { key: "short" }), 422, "body.key");
    await refused(api.rotateSecret(nowhere("ep"), {}), 404);
  });
  await check("operational-webhook.endpoint.create", "tells of what is disabled and deleted, and of no more", async () => {
    receiver.on(app, () => ({ status: 410 }));
    await svix.message.create(app, { eventType: "w.w", payload: {} });
    const { key } = await api.getSecret(name);
    const { data } = verified(key, await event("endpoint.disabled", id));
    assert.equal(data.appId, appId);
    await svix.endpoint.delete(app, id);
    await event("endpoint.deleted", id);
    await api.create({ url: receiver.url(`${name}-none`), eventTypes: ["background_task.finished"] });
    const types = receiver.requests(name).map(({ body }) => JSON.parse(body.toString()).type);
    assert.ok(types.every((type) => type.startsWith("endpoint.")), types.join());
    assert.ok(!types.includes("endpoint.enabled"));
  });
}

async function troubles(harness) {
  const { check, svix, run, receiver } = harness;
  const [app, name, type] = [`troubled-${run}`, `troubles-${run}`, `troubled.${run}`];
  await svix.operationalWebhook.endpoint.create({
    url: receiver.url(name), uid: name,
    eventTypes: ["message.attempt.failing", "message.attempt.exhausted", "message.attempt.recovered"],
  });
  await svix.eventType.create({ name: type, description: "x" });
  await harness.ours("PATCH", `/api/v1/event-type/${type}`, { retry: [0, 0, 0, 0] });
  const { id: appId } = await svix.application.create({ name: "troubled", uid: app });
  const [never, late] = [`never-${run}`, `late-${run}`];
  receiver.on(never, () => ({ status: 500 }));
  receiver.on(late, (number) => ({ status: number < 5 ? 500 : 200 }));
  for (const uid of [never, late]) await svix.endpoint.create(app, { url: receiver.url(uid), uid });
  await check("operational-webhook.endpoint.get-secret", "failing, exhausted and recovered arrive and verify", async () => {
    const { id } = await svix.message.create(app, { eventType: type, payload: {}, eventId: `trouble-${run}` });
    await receiver.wait(never, 5, 25);
    const { key } = await svix.operationalWebhook.endpoint.getSecret(name);
    for (const [kind, endpointUid, code] of [
      ["failing", never, 500], ["failing", late, 500], ["exhausted", never, 500], ["recovered", late, 200],
    ]) {
      const request = await receiver.find(name, ({ type: told, data }) =>
        told === `message.attempt.${kind}` && data.endpointUid === endpointUid, 25);
      const { data } = verified(key, request);
      assert.equal(data.appId, appId);
      assert.equal(data.msgId, id);
      assert.equal(data.msgEventId, `trouble-${run}`);
      assert.equal(data.lastAttempt.responseStatusCode, code);
      assert.match(data.lastAttempt.id, /^atmpt_/);
    }
    assert.equal(receiver.requests(never).length, 5);
    await svix.operationalWebhook.endpoint.delete(name);
  });
}

async function finishing({ check, svix, run, receiver }) {
  await check("operational-webhook.endpoint.create", "a finished task arrives", async () => {
    const name = `finished-${run}`;
    await svix.operationalWebhook.endpoint.create(
      { url: receiver.url(name), uid: name, eventTypes: ["background_task.finished"] });
    const { id } = await svix.statistics.aggregateEventTypes();
    const request = await receiver.find(name, ({ data }) => data.taskId === id, 20);
    const { data } = verified((await svix.operationalWebhook.endpoint.getSecret(name)).key, request);
    assert.equal(data.task, "event-type.aggregate");
    assert.equal(data.status, "finished");
    await svix.operationalWebhook.endpoint.delete(name);
  });
}

async function removing({ check, svix, other, run }, name) {
  const api = svix.operationalWebhook.endpoint;
  await check("operational-webhook.endpoint.delete", "is gone", async () => {
    await refused(other.operationalWebhook.endpoint.delete(name), 404);
    await api.delete(name);
    assert.equal(lastStatus(), 204);
    await refused(api.get(name), 404);
    await refused(api.delete(name), 404);
    await api.delete(`ops-put-${run}`);
  });
}

export async function integrations(harness) {
  const { check, svix, other, run } = harness;
  const app = `integrated-${run}`;
  await svix.application.create({ name: "integrated", uid: app });
  await svix.application.create({ name: "elsewhere", uid: `${app}-other` });
  const api = svix.integration;
  let id;
  await check("integration.create", "fields come back", async () => {
    const made = await api.create(app, { name: "Zap", featureFlags: ["beta"] });
    assert.equal(lastStatus(), 201);
    assert.match(made.id, /^integ_[A-Za-z0-9]{27}$/);
    assert.equal(made.name, "Zap");
    assert.deepEqual(made.featureFlags, ["beta"]);
    recent(made.createdAt);
    id = made.id;
    await refused(api.create(app, {}), 422, "body");
    await refused(api.create(app, { name: "x", featureFlags: ["a b"] }), 422, "body.featureFlags");
    await refused(api.create(nowhere("app"), { name: "x" }), 404);
  });
  await check("integration.get", "known and unknown", async () => {
    assert.equal((await api.get(app, id)).name, "Zap");
    await refused(api.get(app, nowhere("integ")), 404);
    await refused(api.get(`${app}-other`, id), 404);
    await refused(other.integration.get(app, id), 404);
  });
  await check("integration.update", "changes", async () => {
    const changed = await api.update(app, id, { name: "Zip" });
    assert.equal(lastStatus(), 200);
    assert.equal(changed.id, id);
    assert.equal(changed.name, "Zip");
    await refused(api.update(app, id, {}), 422, "body");
    await refused(api.update(app, nowhere("integ"), { name: "x" }), 404);
  });
  await check("integration.list", "page by page, in both directions", async () => {
    const own = [id];
    for (let number = 0; number < 4; number += 1) own.push((await api.create(app, { name: `${number}` })).id);
    const ids = async (options) => (await pages((given) => api.list(app, given), options)).items.map((item) => item.id);
    assert.deepEqual(await ids({ limit: 2, order: "ascending" }), own);
    assert.deepEqual(await ids({ limit: 2, order: "descending" }), own.toReversed());
    await refused(api.list(app, { limit: 0 }), 422, "query.limit");
    await refused(other.integration.list(app), 404);
  });
  let key;
  await check("integration.rotate-key", "the key works for its application, the one before no more", async () => {
    const first = (await api.rotateKey(app, id)).key;
    assert.equal(lastStatus(), 200);
    await harness.client(first).endpoint.list(app);
    await refused(harness.client(first).endpoint.list(`${app}-other`), [403, 404]);
    await refused(harness.client(first).application.list(), 403);
    key = (await api.rotateKey(app, id)).key;
    assert.notEqual(key, first);
    await refused(harness.client(first).endpoint.list(app), 401);
    await harness.client(key).endpoint.list(app);
    await refused(api.rotateKey(app, nowhere("integ")), 404);
  });
  await check("integration.delete", "is gone, and its key too", async () => {
    await refused(other.integration.delete(app, id), 404);
    await api.delete(app, id);
    assert.equal(lastStatus(), 204);
    await refused(api.get(app, id), 404);
    await refused(api.delete(app, id), 404);
    await until("the key is refused", () => harness.client(key).endpoint.list(app).then(() => false, () => true));
  });
}
