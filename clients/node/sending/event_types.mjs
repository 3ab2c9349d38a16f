// Event types: schemas, archiving, import from OpenAPI documents; and moving all of it as an
// environment.

import assert from "node:assert/strict";
import { lastStatus, pages, recent, refused } from "./harness.mjs";

const SCHEMA = {
  type: "object",
  properties: { id: { type: "string" }, amount: { type: "integer" } },
  required: ["id"],
};

export async function eventTypes(harness) {
  await making(harness);
  await changing(harness);
  await listing(harness);
  await removing(harness);
  await importing(harness);
  await moving(harness);
}

async function making({ check, svix, stranger, run }) {
  const name = `order.paid-${run}`;
  await check("event-type.create", "every field comes back", async () => {
    const made = await svix.eventType.create({
      name, description: "An order was paid", schemas: { 1: SCHEMA },
      groupName: "orders", featureFlags: ["beta"], deprecated: true,
    });
    assert.equal(lastStatus(), 201);
    assert.equal(made.name, name);
    assert.equal(made.description, "An order was paid");
    assert.deepEqual(made.schemas, { 1: SCHEMA });
    assert.equal(made.groupName, "orders");
    assert.deepEqual(made.featureFlags, ["beta"]);
    assert.equal(made.deprecated, true);
    assert.ok(!made.archived);
    recent(made.createdAt);
  });
  await check("event-type.create", "refusals", async () => {
    await refused(svix.eventType.create({ name, description: "again" }), 409);
    await refused(svix.eventType.create({ name: "a b", description: "x" }), 422, "body.name");
    await refused(svix.eventType.create({ name: `x-${run}` }), 422, "body");
    await refused(svix.eventType.create({ name: `x-${run}`, description: "x", groupName: "a b" }), 422,
      "body.groupName");
    await refused(stranger.eventType.create({ name: `x-${run}`, description: "x" }), 401);
  });
}

async function changing({ check, svix, other, run }) {
  const name = `order.paid-${run}`;
  await check("event-type.get", "known, unknown, another tenant's", async () => {
    assert.equal((await svix.eventType.get(name)).description, "An order was paid");
    await refused(svix.eventType.get(`no.such-${run}`), 404);
    await refused(other.eventType.get(name), 404);
  });
  await check("event-type.patch", "absent keeps, null removes", async () => {
    const described = await svix.eventType.patch(name, { description: "Paid" });
    assert.equal(described.description, "Paid");
    assert.equal(described.groupName, "orders");
    assert.deepEqual(described.schemas, { 1: SCHEMA });
    const bare = await svix.eventType.patch(name, { groupName: null, featureFlags: null, deprecated: false });
    assert.ok(bare.groupName == null && bare.featureFlags == null);
    assert.equal(bare.deprecated, false);
    assert.equal(bare.description, "Paid");
    const archived = await svix.eventType.patch(name, { archived: true });
    assert.equal(archived.archived, true);
    assert.equal((await svix.eventType.patch(name, { archived: false })).archived, false);
  });
  await check("event-type.patch", "refusals", async () => {
    await refused(svix.eventType.patch(`no.such-${run}`, { description: "x" }), 404);
    await refused(svix.eventType.patch(name, { description: 7 }), 422, "body.description");
  });
  await check("event-type.upsert", "makes, then changes", async () => {
    const put = `order.put-${run}`;
    const made = await svix.eventType.upsert(put, { description: "one", groupName: "g" });
    assert.equal(lastStatus(), 201);
    assert.equal(made.name, put);
    const changed = await svix.eventType.upsert(put, { description: "two", schemas: { 1: SCHEMA } });
    assert.equal(lastStatus(), 200);
    assert.equal(changed.description, "two");
    assert.ok(changed.groupName == null);
    await refused(svix.eventType.upsert(put, {}), 422, "body");
  });
}

async function listing({ check, svix, stranger, run }) {
  const names = [];
  for (let number = 0; number < 5; number += 1) {
    names.push(`zz.listed-${run}-${number}`);
    await svix.eventType.create({ name: names[number], description: "listed", schemas: { 1: SCHEMA } });
  }
  const list = (options) => svix.eventType.list(options);
  const among = ({ items }) => items.map(({ name }) => name).filter((name) => names.includes(name));
  await check("event-type.list", "page by page, in both directions", async () => {
    const ascending = await pages(list, { limit: 2, order: "ascending" });
    assert.deepEqual(among(ascending), names);
    assert.equal(new Set(ascending.items.map(({ name }) => name)).size, ascending.items.length);
    assert.deepEqual(among(await pages(list, { limit: 3, order: "descending" })), names.toReversed());
  });
  await check("event-type.list", "with schemas when they are asked for", async () => {
    const own = ({ items }) => items.find(({ name }) => name === names[0]);
    assert.deepEqual(own(await pages(list, { limit: 100, withContent: true })).schemas, { 1: SCHEMA });
    assert.ok(own(await pages(list, { limit: 100 })).schemas == null);
  });
  await check("event-type.list", "refusals", async () => {
    await refused(list({ limit: 1_000 }), 422, "query.limit");
    await refused(stranger.eventType.list(), 401);
  });
}

async function removing({ check, svix, other, run }) {
  const name = `order.gone-${run}`;
  await svix.eventType.create({ name, description: "one", schemas: { 1: SCHEMA } });
  await check("event-type.delete", "archives, and creating unarchives", async () => {
    await refused(other.eventType.delete(name), 404);
    await svix.eventType.delete(name);
    assert.equal(lastStatus(), 204);
    assert.equal((await svix.eventType.get(name)).archived, true);
    const listed = async (includeArchived) =>
      (await pages((options) => svix.eventType.list(options), { limit: 250, includeArchived }))
        .items.some((item) => item.name === name);
    assert.equal(await listed(false), false);
    assert.equal(await listed(true), true);
    const { id } = await svix.application.create({ name: "archived types" });
    await refused(svix.message.create(id, { eventType: name, payload: {} }), 422);
    const asks = { url: "https://example.com/", eventTypes: [name] };
    await refused(svix.endpoint.create(id, asks), 422, "body.eventTypes");
    const again = await svix.eventType.create({ name, description: "two" });
    assert.equal(again.description, "two");
    assert.ok(!again.archived);
  });
  await check("event-type.delete", "expunge forgets it", async () => {
    await svix.eventType.delete(name, { expunge: true });
    await refused(svix.eventType.get(name), 404);
    await refused(svix.eventType.delete(name), 404);
  });
}

const document = (name, description, key = "webhooks") => ({
  openapi: "3.1.0",
  info: { title: "Shop", version: "1" },
  [key]: {
    [name]: {
      post: {
        description,
        requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/Pet" } } } },
        responses: { 200: { description: "ok" } },
      },
    },
  },
  components: { schemas: { Pet: { type: "object", required: ["name"], properties: { name: { type: "string" } } } } },
});

async function importing({ check, svix, other, stranger, run }) {
  const name = `pet.new-${run}`;
  await check("event-type.import-openapi", "a trial changes nothing", async () => {
    const { data } = await svix.eventType.importOpenapi({ spec: document(name, "A pet"), dryRun: true });
    assert.equal(lastStatus(), 200);
    assert.deepEqual(data.toModify.map((item) => item.name), [name]);
    assert.equal(data.toModify[0].description, "A pet");
    await refused(svix.eventType.get(name), 404);
  });
  await check("event-type.import-openapi", "makes and updates", async () => {
    await svix.eventType.importOpenapi({ spec: document(name, "A pet") });
    const made = await svix.eventType.get(name);
    assert.equal(made.description, "A pet");
    const schema = JSON.stringify(made.schemas);
    assert.ok(schema.includes('"required":["name"]'), schema);
    const raw = [
      "openapi: 3.1.0", "info: {title: Shop, version: '1'}", "x-webhooks:", `  ${name}:`,
      "    post:", "      description: A new pet", "      requestBody:", "        content:",
      "          application/json:", "            schema: {type: object}",
    ].join("\n");
    await svix.eventType.delete(name);
    const { data } = await svix.eventType.importOpenapi({ specRaw: raw });
    assert.deepEqual(data.modified, [name]);
    const updated = await svix.eventType.get(name);
    assert.equal(updated.description, "A new pet");
    assert.ok(!updated.archived);
  });
  await check("event-type.import-openapi", "replaceAll archives the rest", async () => {
    await other.eventType.upsert(`rest-${run}`, { description: "not in the document" });
    await other.eventType.importOpenapi({ spec: document(name, "A pet"), replaceAll: true });
    assert.equal((await other.eventType.get(`rest-${run}`)).archived, true);
    assert.ok(!(await other.eventType.get(name)).archived);
  });
  await check("event-type.import-openapi", "refusals", async () => {
    await refused(svix.eventType.importOpenapi({}), [400, 422]);
    await refused(svix.eventType.importOpenapi({ spec: document(name, "x"), specRaw: "{}" }), [400, 422]);
    await refused(svix.eventType.importOpenapi({ specRaw: "a: [" }), [400, 422]);
    await refused(stranger.eventType.importOpenapi({ spec: document(name, "x") }), 401);
  });
}

async function moving({ check, svix, other, stranger, run }) {
  const name = `moved.${run}`;
  await svix.eventType.create({ name, description: "moves", schemas: { 1: SCHEMA }, groupName: "moving" });
  let exported;
  await check("environment.export", "has the event types", async () => {
    exported = await svix.environment.export();
    assert.equal(lastStatus(), 200);
    recent(exported.createdAt);
    assert.ok(Array.isArray(exported.connectors) && exported.settings !== undefined);
    const own = exported.eventTypes.find((item) => item.name === name);
    assert.equal(own.description, "moves");
    assert.equal(own.groupName, "moving");
    assert.deepEqual(own.schemas, { 1: SCHEMA });
    await refused(stranger.environment.export(), 401);
  });
  await check("environment.import", "another tenant gets them, twice the same", async () => {
    const { settings } = exported;
    const types = exported.eventTypes.map(
      ({ name, description, schemas, groupName, featureFlags, deprecated, archived }) =>
        ({ name, description, schemas, groupName, featureFlags, deprecated, archived }));
    for (let time = 0; time < 2; time += 1) {
      await other.environment.import({ eventTypes: types, settings });
      assert.equal(lastStatus(), 204);
      const moved = await other.eventType.get(name);
      assert.equal(moved.groupName, "moving");
      assert.deepEqual(moved.schemas, { 1: SCHEMA });
    }
    await other.environment.import({ eventTypes: [{ name, description: "changed" }] });
    assert.equal((await other.eventType.get(name)).description, "changed");
    assert.equal((await svix.eventType.get(name)).description, "moves");
  });
  await check("environment.import", "refusals", () =>
    refused(other.environment.import({ eventTypes: [{ name: "not a name", description: "x" }] }), 422, "body"));
}
