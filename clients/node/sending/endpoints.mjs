// Endpoints: fields, pages, patches, headers, secrets and their rotation, transformations.

import assert from "node:assert/strict";
import { generateKeyPairSync, verify } from "node:crypto";
import { lastStatus, nowhere, pages, recent, refused, types } from "./harness.mjs";
import { secret, unverified, verified } from "./receiver.mjs";

export async function endpoints(harness) {
  const { svix, run } = harness;
  const app = `endpoints-${run}`;
  await types(svix, "a.one", "a.two");
  await svix.application.create({ name: "endpoints", uid: app });
  await svix.application.create({ name: "another", uid: `${app}-other` });
  await making(harness, app);
  await changing(harness, app);
  await listing(harness, app);
  await headers(harness, app);
  await secrets(harness, app);
  await rotation(harness, app);
  await asymmetric(harness, app);
  await transformations(harness, app);
  await removing(harness, app);
}

async function making({ check, svix, stranger, run, receiver }, app) {
  const url = receiver.url(`made-${run}`);
  await check("endpoint.create", "every field comes back", async () => {
    const made = await svix.endpoint.create(app, {
      url, uid: `ep-${run}`, description: "Ünï", throttleRate: 9, disabled: true,
      eventTypes: ["a.one", "a.two"], channels: ["c1", "c:2"], metadata: { team: "x" },
      secret: secret(), headers: { "x-team": "x" },
    });
    assert.equal(lastStatus(), 201);
    assert.match(made.id, /^ep_[A-Za-z0-9]{27}$/);
    assert.equal(made.url, url);
    assert.equal(made.uid, `ep-${run}`);
    assert.equal(made.description, "Ünï");
    assert.equal(made.throttleRate, 9);
    assert.equal(made.disabled, true);
    assert.deepEqual([...made.eventTypes].sort(), ["a.one", "a.two"]);
    assert.deepEqual([...made.channels].sort(), ["c1", "c:2"]);
    assert.deepEqual(made.metadata, { team: "x" });
    recent(made.createdAt);
    recent(made.updatedAt);
  });
  await check("endpoint.create", "only a URL is needed", async () => {
    const made = await svix.endpoint.create(app, { url });
    assert.equal(made.description, "");
    assert.equal(made.disabled, false);
    assert.deepEqual(made.metadata, {});
    assert.ok(made.uid == null && made.eventTypes == null && made.channels == null && made.throttleRate == null);
  });
  for (const [name, change, at] of [
    ["no URL", { url: undefined }, "body"],
    ["a URL that is none", { url: "not a url" }, "body.url"],
    ["a URL of another scheme", { url: "ftp://example.com/x" }, "body.url"],
    ["an empty list of event types", { eventTypes: [] }, "body.eventTypes"],
    ["an event type with a space", { eventTypes: ["a b"] }, "body.eventTypes"],
    ["an event type that there is not", { eventTypes: [`no.such-${run}`] }, "body.eventTypes"],
    ["an empty list of channels", { channels: [] }, "body.channels"],
    ["eleven channels", { channels: [..."abcdefghijk"] }, "body.channels"],
    ["a secret that is none", { secret: "whsec_?" }, "body.secret"],
    ["a rate of none", { throttleRate: 0 }, "body.throttleRate"],
    ["a header of ours", { headers: { "webhook-signature": "x" } }, "body.headers"],
    ["a header with a line break", { headers: { "x-a": "1\r\nx-b: 2" } }, "body.headers"],
  ]) {
    await check("endpoint.create", `${name} is refused`, () =>
      refused(svix.endpoint.create(app, { url, ...change }), 422, at));
  }
  await check("endpoint.create", "other refusals", async () => {
    await refused(svix.endpoint.create(app, { url, uid: `ep-${run}` }), 409);
    await refused(svix.endpoint.create(nowhere("app"), { url }), 404);
    await refused(stranger.endpoint.create(app, { url }), 401);
  });
}

async function changing({ check, svix, other, run, receiver }, app) {
  const uid = `ep-${run}`;
  await check("endpoint.get", "by id and by uid", async () => {
    const found = await svix.endpoint.get(app, uid);
    const { id } = await svix.application.get(app);
    assert.deepEqual(await svix.endpoint.get(id, found.id), found);
  });
  await check("endpoint.get", "unknown, another application's, another tenant's", async () => {
    const { id } = await svix.endpoint.get(app, uid);
    await refused(svix.endpoint.get(app, nowhere("ep")), 404);
    await refused(svix.endpoint.get(`${app}-other`, id), 404);
    await refused(other.endpoint.get(app, id), 404);
  });
  await check("endpoint.patch", "absent keeps, null removes", async () => {
    const named = await svix.endpoint.patch(app, uid, { description: "patched" });
    assert.equal(named.description, "patched");
    assert.equal(named.throttleRate, 9);
    assert.deepEqual([...named.channels].sort(), ["c1", "c:2"]);
    const bare = await svix.endpoint.patch(app, uid,
      { throttleRate: null, channels: null, eventTypes: null, disabled: false });
    assert.ok(bare.throttleRate == null && bare.channels == null && bare.eventTypes == null);
    assert.equal(bare.disabled, false);
    assert.equal(bare.description, "patched");
    assert.deepEqual(bare.metadata, { team: "x" });
    const moved = await svix.endpoint.patch(app, uid, { url: receiver.url(`moved-${run}`), eventTypes: ["a.one"] });
    assert.equal(moved.url, receiver.url(`moved-${run}`));
    assert.deepEqual(moved.eventTypes, ["a.one"]);
    const nameless = await svix.endpoint.patch(app, uid, { uid: null });
    assert.ok(nameless.uid == null);
    assert.equal((await svix.endpoint.patch(app, nameless.id, { uid })).uid, uid);
  });
  await check("endpoint.patch", "refusals", async () => {
    await refused(svix.endpoint.patch(app, uid, { url: "nonsense" }), 422, "body.url");
    await refused(svix.endpoint.patch(app, uid, { eventTypes: [] }), 422, "body.eventTypes");
    await refused(svix.endpoint.patch(app, nowhere("ep"), { description: "x" }), 404);
  });
  await check("endpoint.upsert", "makes, then changes", async () => {
    const put = `put-${run}`;
    const url = receiver.url(put);
    const made = await svix.endpoint.upsert(app, put, { url, uid: put, channels: ["c"], metadata: { a: "1" } });
    assert.equal(lastStatus(), 201);
    const { key } = await svix.endpoint.getSecret(app, put);
    const changed = await svix.endpoint.upsert(app, put, { url, uid: put, description: "two" });
    assert.equal(lastStatus(), 200);
    assert.equal(changed.id, made.id);
    assert.equal(changed.description, "two");
    assert.ok(changed.channels == null);
    assert.deepEqual(changed.metadata, {});
    assert.equal((await svix.endpoint.getSecret(app, put)).key, key);
    await refused(svix.endpoint.upsert(app, put, { url: "nonsense" }), 422, "body.url");
    await refused(svix.endpoint.upsert(nowhere("app"), put, { url }), 404);
  });
}

async function listing({ check, svix, other, run, receiver }, app) {
  const own = [];
  for (let number = 0; number < 5; number += 1) {
    own.push((await svix.endpoint.create(app, { url: receiver.url(`listed-${run}`) })).id);
  }
  const list = (options) => svix.endpoint.list(app, options);
  const among = ({ items }) => items.map(({ id }) => id).filter((id) => own.includes(id));
  await check("endpoint.list", "page by page, in both directions", async () => {
    const ascending = await pages(list, { limit: 2, order: "ascending" });
    assert.ok(ascending.count > 3);
    assert.deepEqual(among(ascending), own);
    assert.deepEqual(among(await pages(list, { limit: 3, order: "descending" })), own.toReversed());
  });
  await check("endpoint.list", "the newest comes first if nothing is said", async () => {
    assert.deepEqual(among(await pages(list, { limit: 2 })), own.toReversed());
  });
  await check("endpoint.list", "refusals", async () => {
    await refused(list({ limit: 0 }), 422, "query.limit");
    await refused(list({ iterator: "nonsense" }), 422, "query.iterator");
    await refused(svix.endpoint.list(nowhere("app")), 404);
    await refused(other.endpoint.list(app), 404);
  });
}

async function headers({ check, svix, run, receiver }, app) {
  const name = `headers-${run}`;
  const { id } = await svix.endpoint.create(app, { url: receiver.url(name), channels: [name] });
  const names = (known) => Object.keys(known).map((key) => key.toLowerCase()).sort();
  await check("endpoint.set-headers", "are added to deliveries", async () => {
    await svix.endpoint.setHeaders(app, id, { headers: { "X-One": "1", authorization: "Bearer s3cret" } });
    assert.equal(lastStatus(), 204);
    await svix.message.create(app, { eventType: "h.h", payload: {}, channels: [name] });
    const [request] = await receiver.wait(name, 1);
    assert.equal(request.headers["x-one"], "1");
    assert.equal(request.headers.authorization, "Bearer s3cret");
  });
  await check("endpoint.get-headers", "values, but of credentials only the names", async () => {
    const known = await svix.endpoint.getHeaders(app, id);
    assert.deepEqual(names(known.headers), ["x-one"]);
    assert.deepEqual(known.sensitive.map((key) => key.toLowerCase()), ["authorization"]);
    assert.ok(!JSON.stringify(known).includes("s3cret"));
    await refused(svix.endpoint.getHeaders(app, nowhere("ep")), 404);
  });
  await check("endpoint.patch-headers", "adds, changes and removes", async () => {
    await svix.endpoint.patchHeaders(app, id,
      { headers: { "x-one": "uno", "x-two": "2" }, deleteHeaders: ["Authorization"] });
    assert.equal(lastStatus(), 204);
    const known = await svix.endpoint.getHeaders(app, id);
    assert.deepEqual(names(known.headers), ["x-one", "x-two"]);
    assert.deepEqual(Object.values(known.headers).sort(), ["2", "uno"]);
    assert.deepEqual(known.sensitive, []);
    await refused(svix.endpoint.patchHeaders(app, id, { headers: { "a b": "1" } }), 422, "body.headers");
    await refused(svix.endpoint.patchHeaders(app, nowhere("ep"), { headers: {} }), 404);
  });
  await check("endpoint.set-headers", "replaces all", async () => {
    await svix.endpoint.setHeaders(app, id, { headers: { "x-three": "3" } });
    assert.deepEqual(names((await svix.endpoint.getHeaders(app, id)).headers), ["x-three"]);
    await refused(svix.endpoint.setHeaders(app, id, { headers: { "content-length": "1" } }), 422, "body.headers");
    await refused(svix.endpoint.setHeaders(app, id, {}), 422, "body");
    await refused(svix.endpoint.setHeaders(app, nowhere("ep"), { headers: {} }), 404);
  });
}

async function secrets({ check, svix, other, run, receiver }, app) {
  await check("endpoint.get-secret", "made or given, it verifies", async () => {
    const url = receiver.url(`secret-${run}`);
    const made = await svix.endpoint.create(app, { url, channels: [`secret-${run}`] });
    const { key } = await svix.endpoint.getSecret(app, made.id);
    assert.match(key, /^whsec_[A-Za-z0-9+/=]{32,}$/);
    const given = secret();
    const { id } = await svix.endpoint.create(app, { url, secret: given, disabled: true });
    assert.equal((await svix.endpoint.getSecret(app, id)).key, given);
    await svix.message.create(app, { eventType: "s.s", payload: { a: 1 }, channels: [`secret-${run}`] });
    const [request] = await receiver.wait(`secret-${run}`, 1);
    assert.deepEqual(verified(key, request), { a: 1 });
    unverified(given, request);
    await refused(svix.endpoint.getSecret(app, nowhere("ep")), 404);
    await refused(other.endpoint.getSecret(app, id), 404);
  });
}

async function rotation({ check, svix, run, receiver }, app) {
  const name = `rotated-${run}`;
  const first = secret();
  const { id } = await svix.endpoint.create(app, { url: receiver.url(name), secret: first, channels: [name] });
  const deliver = async (count) => {
    await svix.message.create(app, { eventType: "r.r", payload: { count }, channels: [name] });
    return (await receiver.wait(name, count))[count - 1];
  };
  await check("endpoint.rotate-secret", "both verify while the old one has grace", async () => {
    const second = secret();
    await svix.endpoint.rotateSecret(app, id, { key: second, gracePeriodSeconds: 3_600 });
    assert.equal(lastStatus(), 200);
    assert.equal((await svix.endpoint.getSecret(app, id)).key, second);
    const request = await deliver(1);
    verified(first, request);
    verified(second, request);
  });
  await check("endpoint.rotate-secret", "a made one, without grace, is the only one", async () => {
    const { key: before } = await svix.endpoint.getSecret(app, id);
    await svix.endpoint.rotateSecret(app, id, { gracePeriodSeconds: 0 });
    const { key } = await svix.endpoint.getSecret(app, id);
    assert.notEqual(key, before);
    const request = await deliver(2);
    verified(key, request);
    unverified(before, request);
  });
  await check("endpoint.rotate-secret", "refusals", async () => {
    await refused(svix.endpoint.rotateSecret(app, id, { key: "short" }), 422, "body.key");
    await refused(svix.endpoint.rotateSecret(app, id, { gracePeriodSeconds: 604_801 }), 422,
      "body.gracePeriodSeconds");
    await refused(svix.endpoint.rotateSecret(app, nowhere("ep"), {}), 404);
  });
}

/** An Ed25519 pair as `whsk_` and `whpk_` carry it: seed and public key, and the public key. */
function pair() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const { d: seed, x: open } = privateKey.export({ format: "jwk" });
  const bytes = [Buffer.from(seed, "base64url"), Buffer.from(open, "base64url")];
  return {
    whsk: `whsk_${Buffer.concat(bytes).toString("base64")}`,
    whpk: `whpk_${bytes[1].toString("base64")}`,
    publicKey,
  };
}

async function asymmetric({ check, svix, run, receiver }, app) {
  await check("endpoint.create", "an Ed25519 secret signs, its public half is shown", async () => {
    const name = `ed25519-${run}`;
    const { whsk, whpk, publicKey } = pair();
    const { id } = await svix.endpoint.create(app, { url: receiver.url(name), secret: whsk, channels: [name] });
    await svix.message.create(app, { eventType: "e.e", payload: { a: 1 }, channels: [name] });
    const [{ headers, body }] = await receiver.wait(name, 1);
    const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
    const [version, signature] = headers["webhook-signature"].split(",");
    assert.equal(version, "v1a");
    assert.ok(verify(null, signed, publicKey, Buffer.from(signature, "base64")), "the signature verifies");
    const { key } = await svix.endpoint.getSecret(app, id);
    assert.equal(key, whpk);
  });
}

async function transformations({ check, svix, run, receiver }, app) {
  const { id } = await svix.endpoint.create(app, { url: receiver.url(`transformed-${run}`), disabled: true });
  const code = "function handler(webhook) { return webhook; }";
  await check("endpoint.transformation.get", "none at first", async () => {
    const none = await svix.endpoint.transformation.get(app, id);
    assert.ok(none.code == null && !none.enabled);
    await refused(svix.endpoint.transformation.get(app, nowhere("ep")), 404);
  });
  await check("endpoint.transformation.patch", "absent keeps, null removes", async () => {
    await svix.endpoint.transformation.patch(app, id, { code, enabled: true, variables: { KEY: "v" } });
    assert.equal(lastStatus(), 204);
    const kept = await svix.endpoint.transformation.get(app, id);
    assert.equal(kept.code, code);
    assert.equal(kept.enabled, true);
    assert.deepEqual(kept.variables, { KEY: "v" });
    recent(kept.updatedAt);
    await svix.endpoint.transformation.patch(app, id, { enabled: false });
    const off = await svix.endpoint.transformation.get(app, id);
    assert.equal(off.enabled, false);
    assert.equal(off.code, code);
    await svix.endpoint.transformation.patch(app, id, { code: null });
    assert.ok((await svix.endpoint.transformation.get(app, id)).code == null);
  });
  await check("endpoint.transformation.patch", "refusals", async () => {
    const patch = (body) => svix.endpoint.transformation.patch(app, id, body);
    await refused(patch({ code: "short" }), 422, "body.code");
    await refused(patch({ code: "x".repeat(51_201) }), 422, "body.code");
    await refused(svix.endpoint.transformation.patch(app, nowhere("ep"), { enabled: false }), 404);
  });
}

async function removing({ check, svix, other, run, receiver }, app) {
  await check("endpoint.delete", "is gone and gets nothing more", async () => {
    const [gone, there] = [`gone-${run}`, `there-${run}`];
    const { id } = await svix.endpoint.create(app, { url: receiver.url(gone), channels: [gone], uid: gone });
    await svix.endpoint.create(app, { url: receiver.url(there), channels: [gone] });
    await refused(other.endpoint.delete(app, id), 404);
    await svix.endpoint.delete(app, gone);
    assert.equal(lastStatus(), 204);
    await refused(svix.endpoint.get(app, id), 404);
    await refused(svix.endpoint.delete(app, id), 404);
    await svix.message.create(app, { eventType: "d.d", payload: {}, channels: [gone] });
    await receiver.wait(there, 1);
    assert.equal(receiver.requests(gone).length, 0);
    await svix.endpoint.create(app, { url: receiver.url(gone), uid: gone, disabled: true });
  });
}
