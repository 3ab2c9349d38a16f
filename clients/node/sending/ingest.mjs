// Ingest: sources made through the API, what is posted to them, and their endpoints.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { Webhook } from "svix";
import { lastStatus, nowhere, pages, recent, refused, until } from "./harness.mjs";
import { secret, unverified, verified } from "./receiver.mjs";

const GITHUB_SECRET = "It's a Secret to Everybody";

export async function ingest(harness) {
  await sources(harness);
  await listing(harness);
  await receiving(harness);
  await Promise.all([endpoints(harness), tokens(harness), portal(harness)]);
}

/** Where a source receives, reached at the address under test whatever the public one is. */
const receives = ({ url }, ingestUrl) => new URL(new URL(ingestUrl).pathname, url);

/** Posts a webhook as GitHub signs it. */
const github = (harness, ingestUrl, body, key = GITHUB_SECRET) =>
  fetch(receives(harness, ingestUrl), {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-github-event": "push",
      "x-github-delivery": crypto.randomUUID(),
      "x-hub-signature-256": `sha256=${createHmac("sha256", key).update(body).digest("hex")}`,
    },
    body,
  });

async function sources({ check, svix, other, stranger, run }) {
  const uid = `src-${run}`;
  const config = { secret: GITHUB_SECRET };
  await check("ingest.source.create", "fields come back, secrets do not", async () => {
    const made = await svix.ingest.source.create({ type: "github", name: "GitHub", uid, config, metadata: { a: "1" } });
    assert.equal(lastStatus(), 201);
    assert.match(made.id, /^src_[A-Za-z0-9]{21,22}$/);
    assert.equal(made.type, "github");
    assert.equal(made.name, "GitHub");
    assert.equal(made.uid, uid);
    assert.deepEqual(made.metadata, { a: "1" });
    assert.match(made.ingestUrl, /^https?:\/\/.+/);
    assert.ok(!JSON.stringify(made).includes(GITHUB_SECRET));
    recent(made.createdAt);
    const plain = await svix.ingest.source.create({ type: "generic-webhook", name: "plain", config: {} });
    assert.deepEqual(plain.config, {});
  });
  await check("ingest.source.create", "refusals", async () => {
    const create = (body) => svix.ingest.source.create(body);
    await refused(create({ type: "github", name: "again", uid, config }), 409);
    await refused(create({ type: "github", uid: `x-${run}`, config }), 422, "body");
    await refused(create({ type: "stripe", name: "x", config: {} }), 422, "body");
    await refused(stranger.ingest.source.create({ type: "github", name: "x", config }), 401);
  });
  await check("ingest.source.get", "by id and by uid", async () => {
    const found = await svix.ingest.source.get(uid);
    assert.deepEqual(await svix.ingest.source.get(found.id), found);
    await refused(svix.ingest.source.get(`no-such-${run}`), 404);
    await refused(other.ingest.source.get(found.id), 404);
  });
  await check("ingest.source.upsert", "makes, then changes", async () => {
    const put = `put-src-${run}`;
    const body = { type: "svix", name: "one", uid: put, config: { secret: secret() } };
    const made = await svix.ingest.source.upsert(put, body);
    assert.equal(lastStatus(), 201);
    const changed = await svix.ingest.source.upsert(put, { ...body, name: "two" });
    assert.equal(lastStatus(), 200);
    assert.equal(changed.id, made.id);
    assert.equal(changed.name, "two");
    assert.equal(changed.ingestUrl, made.ingestUrl);
    await refused(svix.ingest.source.upsert(put, { ...body, name: undefined }), 422, "body");
  });
  await check("ingest.source.delete", "is gone", async () => {
    const { id, ingestUrl } = await svix.ingest.source.create({ type: "generic-webhook", name: "gone", config: {} });
    await refused(other.ingest.source.delete(id), 404);
    await svix.ingest.source.delete(id);
    assert.equal(lastStatus(), 204);
    await refused(svix.ingest.source.get(id), 404);
    await refused(svix.ingest.source.delete(id), 404);
    assert.ok(ingestUrl);
  });
}

async function listing({ check, svix, other, run }) {
  const own = [];
  for (let number = 0; number < 4; number += 1) {
    own.push((await svix.ingest.source.create({ type: "generic-webhook", name: `listed ${run}`, config: {} })).id);
  }
  const list = (options) => svix.ingest.source.list(options);
  const among = ({ items }) => items.map(({ id }) => id).filter((id) => own.includes(id));
  await check("ingest.source.list", "page by page, in both directions", async () => {
    assert.deepEqual(among(await pages(list, { limit: 2, order: "ascending" })), own);
    assert.deepEqual(among(await pages(list, { limit: 3, order: "descending" })), own.toReversed());
    assert.ok(!(await pages((options) => other.ingest.source.list(options))).items.some(({ id }) => own.includes(id)));
    await refused(list({ limit: 0 }), 422, "query.limit");
    await refused(list({ iterator: "nonsense" }), 422, "query.iterator");
  });
}

async function receiving(harness) {
  const { check, svix, run, receiver } = harness;
  const uid = `recv-${run}`;
  const source = await svix.ingest.source.create(
    { type: "github", name: "receiving", uid, config: { secret: GITHUB_SECRET } });
  await check("ingest.endpoint.create", "what GitHub signs arrives, what others sign does not", async () => {
    const endpoint = await svix.ingest.endpoint.create(uid, {
      url: receiver.url(uid), uid: "e", description: "here", metadata: { a: "1" }, headers: { "x-extra": "yes" },
    });
    assert.equal(lastStatus(), 201);
    assert.match(endpoint.id, /^ep_[A-Za-z0-9]{27}$/);
    assert.equal(endpoint.description, "here");
    assert.deepEqual(endpoint.metadata, { a: "1" });
    assert.equal(endpoint.disabled, false);
    recent(endpoint.createdAt);
    const body = '{"zen":  "Grüße",\n "n": 1}';
    const taken = await github(harness, source.ingestUrl, body);
    assert.ok(taken.ok, `answered ${taken.status} ${await taken.text()}`);
    const forged = await github(harness, source.ingestUrl, '{"zen":"forged"}', "another secret");
    assert.equal(forged.status, 401);
    const [request] = await receiver.wait(uid, 1);
    assert.equal(request.body.toString(), body);
    assert.equal(request.headers["x-extra"], "yes");
    assert.equal(request.headers["x-github-event"], "push");
    verified((await svix.ingest.endpoint.getSecret(uid, "e")).key, request);
    assert.equal(receiver.requests(uid).length, 1);
  });
  await check("ingest.source.create", "what this SDK signs is genuine", async () => {
    const key = secret();
    const name = `svix-${run}`;
    const { ingestUrl } = await svix.ingest.source.create({ type: "svix", name, uid: name, config: { secret: key } });
    await svix.ingest.endpoint.create(name, { url: receiver.url(name) });
    const post = (webhook, body) => {
      const [id, at] = [`msg_${crypto.randomUUID()}`, new Date()];
      return fetch(receives(harness, ingestUrl), {
        method: "POST",
        headers: {
          "svix-id": id,
          "svix-timestamp": String(Math.floor(at / 1_000)),
          "svix-signature": webhook.sign(id, at, body),
        },
        body,
      });
    };
    assert.equal((await post(new Webhook(secret()), "{}")).status, 401);
    assert.ok((await post(new Webhook(key), '{"a":1}')).ok);
    const [request] = await receiver.wait(name, 1);
    assert.equal(request.body.toString(), '{"a":1}');
  });
}

async function endpoints(harness) {
  const { check, svix, other, run, receiver } = harness;
  const uid = `ends-${run}`;
  const { ingestUrl } = await svix.ingest.source.create(
    { type: "github", name: "endpoints", uid, config: { secret: GITHUB_SECRET } });
  const url = receiver.url(uid);
  const own = [];
  for (let number = 0; number < 3; number += 1) {
    own.push((await svix.ingest.endpoint.create(uid, { url, disabled: true, uid: `e${number}` })).id);
  }
  await check("ingest.endpoint.list", "page by page, in both directions", async () => {
    const list = (options) => svix.ingest.endpoint.list(uid, options);
    const ids = async (options) => (await pages(list, options)).items.map(({ id }) => id);
    assert.deepEqual(await ids({ limit: 2, order: "ascending" }), own);
    assert.deepEqual(await ids({ limit: 2, order: "descending" }), own.toReversed());
    await refused(list({ limit: 0 }), 422, "query.limit");
    await refused(other.ingest.endpoint.list(uid), 404);
  });
  await check("ingest.endpoint.get", "by id and by uid", async () => {
    const found = await svix.ingest.endpoint.get(uid, "e0");
    assert.deepEqual(await svix.ingest.endpoint.get(uid, own[0]), found);
    await refused(svix.ingest.endpoint.get(uid, nowhere("ep")), 404);
    await refused(other.ingest.endpoint.get(uid, own[0]), 404);
  });
  await check("ingest.endpoint.create", "refusals", async () => {
    await refused(svix.ingest.endpoint.create(uid, { url, uid: "e0" }), 409);
    await refused(svix.ingest.endpoint.create(uid, { url: "nonsense" }), 422, "body.url");
    await refused(svix.ingest.endpoint.create(`no-such-${run}`, { url }), 404);
  });
  await check("ingest.endpoint.upsert", "changes, and makes", async () => {
    const changed = await svix.ingest.endpoint.upsert(uid, "e0", { url, uid: "e0", disabled: true, description: "new" });
    assert.equal(lastStatus(), 200);
    assert.equal(changed.id, own[0]);
    assert.equal(changed.description, "new");
    const made = await svix.ingest.endpoint.upsert(uid, "e9", { url, uid: "e9", disabled: true });
    assert.equal(made.uid, "e9");
    await refused(svix.ingest.endpoint.upsert(uid, "e0", { url: "nonsense" }), 422, "body.url");
  });
  await check("ingest.endpoint.delete", "is gone", async () => {
    await svix.ingest.endpoint.delete(uid, "e9");
    assert.equal(lastStatus(), 204);
    await refused(svix.ingest.endpoint.get(uid, "e9"), 404);
    await refused(svix.ingest.endpoint.delete(uid, "e9"), 404);
  });
  await check("ingest.endpoint.set-headers", "are shown and sent", async () => {
    await svix.ingest.endpoint.setHeaders(uid, "e1", { headers: { "x-one": "1", authorization: "Basic c2VjcmV0" } });
    assert.equal(lastStatus(), 204);
    await refused(svix.ingest.endpoint.setHeaders(uid, "e1", { headers: { "a b": "1" } }), 422, "body.headers");
    await refused(svix.ingest.endpoint.setHeaders(uid, nowhere("ep"), { headers: {} }), 404);
  });
  await check("ingest.endpoint.get-headers", "of credentials only the names", async () => {
    const known = await svix.ingest.endpoint.getHeaders(uid, "e1");
    assert.deepEqual(known.headers, { "x-one": "1" });
    assert.deepEqual(known.sensitive.map((name) => name.toLowerCase()), ["authorization"]);
    await refused(svix.ingest.endpoint.getHeaders(uid, nowhere("ep")), 404);
  });
  await rotation(harness, uid, ingestUrl);
  await check("ingest.endpoint.transformation.patch", "is kept", async () => {
    const code = "function handler(webhook) { return webhook; }";
    await svix.ingest.endpoint.transformation.patch(uid, "e2", { code, enabled: true });
    assert.equal(lastStatus(), 204);
    await refused(svix.ingest.endpoint.transformation.patch(uid, "e2", { code: "short" }), 422, "body.code");
    await refused(svix.ingest.endpoint.transformation.patch(uid, nowhere("ep"), { enabled: false }), 404);
  });
  await check("ingest.endpoint.transformation.get", "shows it", async () => {
    const kept = await svix.ingest.endpoint.transformation.get(uid, "e2");
    assert.match(kept.code, /handler/);
    assert.equal(kept.enabled, true);
    assert.ok((await svix.ingest.endpoint.transformation.get(uid, "e0")).code == null);
    await refused(svix.ingest.endpoint.transformation.get(uid, nowhere("ep")), 404);
  });
}

async function rotation(harness, uid, ingestUrl) {
  const { check, svix, other, receiver } = harness;
  await svix.ingest.endpoint.upsert(uid, "e1", { url: receiver.url(uid), uid: "e1", disabled: false });
  let first;
  await check("ingest.endpoint.get-secret", "made for it", async () => {
    first = (await svix.ingest.endpoint.getSecret(uid, "e1")).key;
    assert.match(first, /^whsec_/);
    await refused(svix.ingest.endpoint.getSecret(uid, nowhere("ep")), 404);
    await refused(other.ingest.endpoint.getSecret(uid, "e1"), 404);
  });
  await check("ingest.endpoint.rotate-secret", "both verify in the grace period", async () => {
    const second = secret();
    await svix.ingest.endpoint.rotateSecret(uid, "e1", { key: second });
    assert.equal(lastStatus(), 204);
    assert.equal((await svix.ingest.endpoint.getSecret(uid, "e1")).key, second);
    assert.ok((await github(harness, ingestUrl, '{"rotated":1}')).ok);
    const [request] = await receiver.wait(uid, 1);
    assert.equal(request.headers.authorization, "Basic c2VjcmV0");
    verified(first, request);
    verified(second, request);
    unverified(secret(), request);
    await refused(svix.ingest.endpoint.rotateSecret(uid, "e1", { key: "short" }), 422, "body.key");
    await refused(svix.ingest.endpoint.rotateSecret(uid, nowhere("ep"), {}), 404);
  });
}

async function tokens(harness) {
  const { check, svix, other, run } = harness;
  await check("ingest.source.rotate-token", "a new URL; the old one works on for now", async () => {
    const uid = `token-${run}`;
    const { ingestUrl: before } = await svix.ingest.source.create(
      { type: "github", name: "token", uid, config: { secret: GITHUB_SECRET } });
    const { ingestUrl } = await svix.ingest.source.rotateToken(uid);
    assert.equal(lastStatus(), 200);
    assert.notEqual(ingestUrl, before);
    assert.equal((await svix.ingest.source.get(uid)).ingestUrl, ingestUrl);
    assert.ok((await github(harness, ingestUrl, '{"new":1}')).ok);
    assert.ok((await github(harness, before, '{"old":1}')).ok);
    await svix.ingest.source.delete(uid);
    await until("nobody receives there", async () =>
      (await github(harness, ingestUrl, '{"gone":1}')).status === 404);
    await refused(svix.ingest.source.rotateToken(`no-such-${run}`), 404);
    await refused(other.ingest.source.rotateToken(`src-${run}`), 404);
  });
}

async function portal(harness) {
  const { check, svix, other, run, receiver } = harness;
  await check("ingest.authentication.consumer-portal-access", "works for its source only", async () => {
    const uid = `portal-src-${run}`;
    await svix.ingest.source.create({ type: "generic-webhook", name: "portal", uid, config: {} });
    const open = async (body) => {
      const { url, token } = await svix.ingest.authentication.consumerPortalAccess(uid, body);
      assert.equal(lastStatus(), 200);
      assert.match(url, /^https?:\/\//);
      return harness.client(token);
    };
    const consumer = await open({ expiry: 3_600 });
    const { id } = await consumer.ingest.endpoint.create(uid, { url: receiver.url(uid), disabled: true });
    assert.equal((await consumer.ingest.endpoint.get(uid, id)).id, id);
    await refused(consumer.ingest.endpoint.list(`src-${run}`), [403, 404]);
    await refused(consumer.ingest.source.list(), 403);
    const reader = await open({ readOnly: true });
    assert.equal((await reader.ingest.endpoint.list(uid)).data.length, 1);
    await refused(reader.ingest.endpoint.delete(uid, id), 403);
    await refused(svix.ingest.authentication.consumerPortalAccess(uid, { expiry: 1 }), 422, "body.expiry");
    await refused(svix.ingest.authentication.consumerPortalAccess(`no-such-${run}`, {}), 404);
    await refused(other.ingest.authentication.consumerPortalAccess(uid, {}), 404);
  });
}
