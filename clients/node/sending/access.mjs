// Portal access: what a customer's token may do, for how long, and for which application.

import assert from "node:assert/strict";
import { AppPortalCapability } from "svix";
import { lastStatus, nowhere, pause, refused, until } from "./harness.mjs";

export async function access(harness) {
  const { svix, run, receiver } = harness;
  const app = `portal-${run}`;
  await svix.application.create({ name: "portal", uid: app });
  await svix.application.create({ name: "elsewhere", uid: `${app}-other` });
  await svix.endpoint.create(app, { url: receiver.url(app), uid: "e" });
  await opening(harness, app);
  await limits(harness, app);
  await ending(harness, app);
}

async function opening(harness, app) {
  const { check, svix, other, stranger, run, receiver } = harness;
  const open = async (body) => harness.client((await svix.authentication.appPortalAccess(app, body)).token);
  await check("authentication.app-portal-access", "works for its application only", async () => {
    const { url, token } = await svix.authentication.appPortalAccess(app, {});
    assert.equal(lastStatus(), 200);
    assert.match(url, /^https?:\/\//);
    const portal = harness.client(token);
    assert.equal((await portal.endpoint.get(app, "e")).uid, "e");
    assert.equal((await portal.application.get(app)).uid, app);
    const { id } = await portal.endpoint.create(app, { url: receiver.url(app), disabled: true });
    await portal.endpoint.delete(app, id);
    assert.match((await portal.endpoint.getSecret(app, "e")).key, /^whsec_/);
    await refused(portal.endpoint.list(`${app}-other`), [403, 404]);
    await refused(portal.application.list(), 403);
    await refused(portal.application.create({ name: "x" }), 403);
    await refused(portal.message.create(app, { eventType: "a.b", payload: {} }), 403);
    await refused(portal.authentication.appPortalAccess(app, {}), 403);
    await refused(portal.environment.export(), 403);
    await refused(portal.ingest.source.list(), 403);
  });
  await check("authentication.app-portal-access", "capabilities", async () => {
    const viewer = await open({ capabilities: [AppPortalCapability.ViewBase] });
    assert.equal((await viewer.endpoint.list(app)).data.length, 1);
    await refused(viewer.endpoint.getSecret(app, "e"), 403);
    await refused(viewer.endpoint.rotateSecret(app, "e", {}), 403);
    await refused(viewer.endpoint.create(app, { url: receiver.url(app) }), 403);
    await refused(viewer.endpoint.patch(app, "e", { disabled: true }), 403);
    await refused(viewer.endpoint.delete(app, "e"), 403);
    const manager = await open({ capabilities: [AppPortalCapability.ViewBase, AppPortalCapability.ManageEndpoint] });
    const { id } = await manager.endpoint.create(app, { url: receiver.url(app), disabled: true });
    await manager.endpoint.delete(app, id);
    assert.match((await manager.endpoint.getSecret(app, "e")).key, /^whsec_/);
    const transformer = await open(
      { capabilities: [AppPortalCapability.ViewBase, AppPortalCapability.ManageTransformations] });
    await transformer.endpoint.transformation.patch(app, "e", { enabled: false });
    await refused(transformer.endpoint.patch(app, "e", { disabled: true }), 403);
  });
  await check("authentication.app-portal-access", "read only", async () => {
    const reader = await open({ readOnly: true });
    assert.equal((await reader.endpoint.get(app, "e")).uid, "e");
    await refused(reader.endpoint.create(app, { url: receiver.url(app) }), 403);
    await refused(reader.endpoint.setHeaders(app, "e", { headers: {} }), 403);
  });
  await check("authentication.app-portal-access", "event types by feature flag", async () => {
    const [open1, flagged] = [`open.${run}`, `flagged.${run}`];
    await svix.eventType.create({ name: open1, description: "x" });
    await svix.eventType.create({ name: flagged, description: "x", featureFlags: ["beta"] });
    const names = async (client) => (await client.eventType.list({ limit: 250 })).data.map(({ name }) => name);
    const without = await names(await open({}));
    assert.ok(without.includes(open1) && !without.includes(flagged));
    assert.ok((await names(await open({ featureFlags: ["beta"] }))).includes(flagged));
  });
  await check("authentication.app-portal-access", "makes its application on the way", async () => {
    const uid = `portal-new-${run}`;
    const { token } = await svix.authentication.appPortalAccess(uid, { application: { name: "new", uid } });
    assert.equal((await harness.client(token).application.get(uid)).name, "new");
  });
  await check("authentication.app-portal-access", "refusals", async () => {
    const ask = (body) => svix.authentication.appPortalAccess(app, body);
    await refused(ask({ expiry: 3_599 }), 422, "body.expiry");
    await refused(ask({ expiry: 604_801 }), 422, "body.expiry");
    await refused(ask({ capabilities: ["Everything"] }), 422, "body.capabilities");
    await refused(ask({ sessionId: "a b" }), 422, "body.sessionId");
    await refused(svix.authentication.appPortalAccess(nowhere("app"), {}), 404);
    await refused(other.authentication.appPortalAccess(app, {}), 404);
    await refused(stranger.authentication.appPortalAccess(app, {}), 401);
  });
}

async function limits(harness, app) {
  const { check, svix } = harness;
  await check("health.get", "is up", async () => {
    await svix.health.get();
    assert.equal(lastStatus(), 204);
  });
  await check("authentication.logout", "the token is worth nothing afterwards", async () => {
    const { token } = await svix.authentication.appPortalAccess(app, {});
    const portal = harness.client(token);
    await portal.endpoint.list(app);
    await portal.authentication.logout();
    assert.equal(lastStatus(), 204);
    await refused(portal.endpoint.list(app), 401);
    await refused(svix.authentication.logout(), [400, 403]);
  });
}

async function ending(harness, app) {
  const { check, svix, other } = harness;
  const open = async (sessionId) =>
    harness.client((await svix.authentication.appPortalAccess(app, { sessionId })).token);
  await check("authentication.expire-all", "by session", async () => {
    const [one, two] = [await open("one"), await open("two")];
    await one.endpoint.list(app);
    await svix.authentication.expireAll(app, { expiry: 0, sessionIds: ["one"] });
    assert.equal(lastStatus(), 204);
    await refused(one.endpoint.list(app), 401);
    await two.endpoint.list(app);
  });
  await check("authentication.expire-all", "all, after a while", async () => {
    const [one, elsewhere] = [await open("one"), harness.client(
      (await svix.authentication.appPortalAccess(`${app}-other`, {})).token)];
    await svix.authentication.expireAll(app, { expiry: 3 });
    await one.endpoint.list(app);
    await pause(3_200);
    await until("it has expired", () => one.endpoint.list(app).then(() => pause(500), () => true), 8);
    await refused(one.endpoint.list(app), 401);
    await elsewhere.endpoint.list(`${app}-other`);
  });
  await check("authentication.expire-all", "refusals", async () => {
    await refused(svix.authentication.expireAll(app, { expiry: 259_201 }), 422, "body.expiry");
    await refused(svix.authentication.expireAll(app, { sessionIds: ["a b"] }), 422, "body.sessionIds");
    await refused(svix.authentication.expireAll(nowhere("app"), {}), 404);
    await refused(other.authentication.expireAll(app, {}), 404);
  });
}
