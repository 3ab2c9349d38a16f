// Applications: names, pages, patches, repeats.

import assert from "node:assert/strict";
import { lastStatus, nowhere, pages, recent, refused } from "./harness.mjs";

export async function applications(harness) {
  await making(harness);
  await changing(harness);
  await listing(harness);
  await repeating(harness);
  await removing(harness);
}

async function making({ check, svix, stranger, run }) {
  const uid = `app-${run}`;
  await check("application.create", "every field comes back", async () => {
    const made = await svix.application.create({
      name: "Ünïted", uid, throttleRate: 50, metadata: { plan: "pro", region: "eu" },
    });
    assert.equal(lastStatus(), 201);
    assert.match(made.id, /^app_[A-Za-z0-9]{27}$/);
    assert.equal(made.name, "Ünïted");
    assert.equal(made.uid, uid);
    assert.equal(made.throttleRate, 50);
    assert.deepEqual(made.metadata, { plan: "pro", region: "eu" });
    recent(made.createdAt);
    recent(made.updatedAt);
  });
  await check("application.create", "only a name is needed", async () => {
    const made = await svix.application.create({ name: "plain" });
    assert.ok(made.uid == null && made.throttleRate == null);
    assert.deepEqual(made.metadata, {});
  });
  await check("application.create", "a uid in use is refused", () =>
    refused(svix.application.create({ name: "again", uid }), 409));
  await check("application.create", "a uid may look like an id", async () => {
    const old = (prefix) => `${prefix}_${`0${run}Moved`.replace(/[^A-Za-z0-9]/g, "").padEnd(27, "0").slice(0, 27)}`;
    const made = await svix.application.create({ name: "moved", uid: old("app") });
    assert.equal((await svix.application.get(old("app"))).id, made.id);
    await svix.endpoint.create(old("app"), { url: "https://example.com/", uid: old("ep") });
    assert.equal((await svix.endpoint.get(old("app"), old("ep"))).uid, old("ep"));
    await refused(svix.application.create({ name: "taken", uid: made.id }), 409);
    await svix.application.delete(old("app"));
  });
  for (const [name, body, at] of [
    ["an empty name", { name: "" }, "body.name"],
    ["a name that is a number", { name: 5 }, "body.name"],
    ["no name", { uid: `other-${run}` }, "body"],
    ["a uid with a space", { name: "x", uid: "a b" }, "body.uid"],
    ["a uid of 257 characters", { name: "x", uid: "u".repeat(257) }, "body.uid"],
    ["a rate of none", { name: "x", throttleRate: 0 }, "body.throttleRate"],
    ["metadata that is no text", { name: "x", metadata: { n: 1 } }, "body.metadata"],
  ]) {
    await check("application.create", `${name} is refused`, () =>
      refused(svix.application.create(body), 422, at));
  }
  await check("application.create", "get_if_exists answers the one that is there", async () => {
    const there = await svix.application.getOrCreate({ name: "changed", uid });
    assert.equal(lastStatus(), 200);
    assert.equal(there.name, "Ünïted");
    const fresh = await svix.application.getOrCreate({ name: "fresh", uid: `fresh-${run}` });
    assert.equal(lastStatus(), 201);
    assert.equal(fresh.name, "fresh");
  });
  await check("application.create", "a stranger is refused", () =>
    refused(stranger.application.create({ name: "x" }), 401));
}

async function changing({ check, svix, other, run }) {
  const uid = `app-${run}`;
  await check("application.get", "by id and by uid", async () => {
    const byUid = await svix.application.get(uid);
    const byId = await svix.application.get(byUid.id);
    assert.deepEqual(byId, byUid);
  });
  await check("application.get", "unknown, or another tenant's", async () => {
    await refused(svix.application.get(nowhere("app")), 404);
    await refused(svix.application.get(`no-such-${run}`), 404);
    const { id } = await svix.application.get(uid);
    await refused(other.application.get(id), 404);
    await refused(other.application.get(uid), 404);
  });
  await check("application.patch", "absent keeps, null removes", async () => {
    const before = await svix.application.get(uid);
    const named = await svix.application.patch(uid, { name: "renamed" });
    assert.equal(named.name, "renamed");
    assert.equal(named.throttleRate, 50);
    assert.deepEqual(named.metadata, before.metadata);
    assert.equal(named.id, before.id);
    assert.ok(named.updatedAt >= before.updatedAt);
    const free = await svix.application.patch(uid, { throttleRate: null, metadata: { plan: "free" } });
    assert.ok(free.throttleRate == null);
    assert.equal(free.name, "renamed");
    assert.equal(free.metadata.plan, "free");
    const nameless = await svix.application.patch(before.id, { uid: null });
    assert.ok(nameless.uid == null);
    await refused(svix.application.get(uid), 404);
    assert.equal((await svix.application.patch(before.id, { uid })).uid, uid);
    const same = await svix.application.patch(uid, {});
    assert.equal(same.name, "renamed");
  });
  await check("application.patch", "refusals", async () => {
    await refused(svix.application.patch(nowhere("app"), { name: "x" }), 404);
    await refused(svix.application.patch(uid, { name: "" }), 422, "body.name");
    await refused(svix.application.patch(uid, { uid: `fresh-${run}` }), 409);
    await refused(other.application.patch(uid, { name: "stolen" }), 404);
  });
  await check("application.upsert", "makes, then changes", async () => {
    const put = `put-${run}`;
    const made = await svix.application.upsert(put, { name: "one", uid: put, metadata: { a: "1" } });
    assert.equal(lastStatus(), 201);
    assert.equal(made.uid, put);
    const changed = await svix.application.upsert(put, { name: "two", uid: put });
    assert.equal(lastStatus(), 200);
    assert.equal(changed.id, made.id);
    assert.equal(changed.name, "two");
    assert.deepEqual(changed.metadata, {});
    const byId = await svix.application.upsert(made.id, { name: "three", uid: put });
    assert.equal(byId.id, made.id);
  });
  await check("application.upsert", "the path names it if the body does not", async () => {
    const put = `path-${run}`;
    const made = await svix.application.upsert(put, { name: "one" });
    const again = await svix.application.upsert(put, { name: "two" });
    assert.equal(again.id, made.id);
    assert.equal((await svix.application.get(put)).name, "two");
  });
  await check("application.upsert", "refusals", async () => {
    await refused(svix.application.upsert(`put-${run}`, { name: "" }), 422, "body.name");
    await refused(svix.application.upsert(`put-${run}`, { name: "x", uid: `fresh-${run}` }), 409);
  });
}

async function listing({ check, svix, stranger, run, receiver }) {
  const own = [];
  for (let number = 0; number < 5; number += 1) {
    own.push((await svix.application.create({ name: `listed ${number}`, uid: `list-${run}-${number}` })).id);
  }
  const list = (options) => svix.application.list(options);
  const among = ({ items }) => items.map(({ id }) => id).filter((id) => own.includes(id));
  await check("application.list", "page by page, in both directions", async () => {
    const ascending = await pages(list, { limit: 3, order: "ascending" });
    assert.ok(ascending.count > 1);
    assert.deepEqual(among(ascending), own);
    assert.equal(new Set(ascending.items.map(({ id }) => id)).size, ascending.items.length);
    const descending = await pages(list, { limit: 4, order: "descending" });
    assert.deepEqual(among(descending), own.toReversed());
  });
  await check("application.list", "the last iterator goes on when there is more", async () => {
    const { iterator } = await pages(list, { limit: 250, order: "ascending" });
    const { id } = await svix.application.create({ name: "later" });
    const { items } = await pages((options) => list({ ...options, iterator: options.iterator ?? iterator }),
      { limit: 250, order: "ascending" });
    assert.ok(items.some((item) => item.id === id));
    assert.ok(!items.some((item) => own.includes(item.id)));
  });
  await check("application.list", "by their endpoints", async () => {
    const url = receiver.url("nothing");
    await svix.endpoint.create(own[0], { url });
    await svix.endpoint.create(own[1], { url, disabled: true });
    const some = await pages(list, { limit: 100, order: "ascending", excludeAppsWithNoEndpoints: true });
    assert.deepEqual(among(some), own.slice(0, 2));
    const enabled = await pages(list,
      { limit: 100, order: "ascending", excludeAppsWithNoEndpoints: true, excludeAppsWithDisabledEndpoints: true });
    assert.deepEqual(among(enabled), own.slice(0, 1));
  });
  await check("application.list", "refusals", async () => {
    await refused(list({ limit: 0 }), 422, "query.limit");
    await refused(list({ limit: 251 }), 422, "query.limit");
    await refused(list({ iterator: "nonsense" }), 422, "query.iterator");
    await refused(list({ order: "sideways" }), 422, "query.order");
    await refused(stranger.application.list(), 401);
  });
}

async function repeating({ check, svix, other, run }) {
  await check("application.create", "a repeat with its key gets the first answer", async () => {
    const body = { name: `repeated ${run}` };
    const idempotencyKey = `key-${run}`;
    const first = await svix.application.create(body, { idempotencyKey });
    const second = await svix.application.create(body, { idempotencyKey });
    assert.equal(lastStatus(), 201);
    assert.deepEqual(second, first);
    const { items } = await pages((options) => svix.application.list(options), { limit: 250 });
    assert.equal(items.filter(({ name }) => name === body.name).length, 1);
    await refused(svix.application.create({ name: "another" }, { idempotencyKey }), 422);
    const theirs = await other.application.create(body, { idempotencyKey });
    assert.notEqual(theirs.id, first.id);
    const { id } = await svix.application.create(body, { idempotencyKey: `key2-${run}` });
    assert.notEqual(id, first.id);
  });
}

async function removing({ check, svix, other, run }) {
  await check("application.delete", "is gone, and its name is free", async () => {
    const uid = `gone-${run}`;
    const { id } = await svix.application.create({ name: "gone", uid });
    await refused(other.application.delete(id), 404);
    await svix.application.delete(uid);
    assert.equal(lastStatus(), 204);
    await refused(svix.application.get(id), 404);
    await refused(svix.application.delete(id), 404);
    await refused(svix.message.create(id, { eventType: "a.b", payload: {} }), 404);
    const again = await svix.application.create({ name: "again", uid });
    assert.notEqual(again.id, id);
  });
}
