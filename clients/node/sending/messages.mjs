// Messages: what is posted arrives where it should, once, signed, and byte for byte if raw; lists,
// repeats, and payloads that are deleted.

import assert from "node:assert/strict";
import { messageInRaw } from "svix";
import { finished, lastStatus, nowhere, pages, pause, recent, refused, types, until } from "./harness.mjs";
import { verified } from "./receiver.mjs";

export async function messages(harness) {
  const { svix, run, receiver } = harness;
  const app = `messages-${run}`;
  await types(svix, "m.typed", "p.p");
  await svix.application.create({ name: "messages", uid: app });
  const url = (name) => receiver.url(`${name}-${run}`);
  await svix.endpoint.create(app, { url: url("all"), uid: "all" });
  await svix.endpoint.create(app, { url: url("typed"), uid: "typed", eventTypes: ["m.typed"] });
  await svix.endpoint.create(app, { url: url("blue"), uid: "blue", channels: ["blue"] });
  await svix.endpoint.create(app, { url: url("off"), uid: "off", disabled: true });
  await delivering(harness, app);
  await filtering(harness, app);
  await making(harness, app);
  await raw(harness, app);
  await Promise.all([
    repeating(harness, app),
    listing(harness),
    prechecking(harness, app),
    examples(harness, app),
    expunging(harness),
    throttled(harness),
  ]);
}

/** Waits for the delivery of a message. */
export const delivery = ({ receiver }, name, id, seconds) =>
  until(`${id} at ${name}`, () =>
    receiver.requests(name).find(({ headers }) => headers["webhook-id"] === id), seconds);

async function delivering(harness, app) {
  const { check, svix, run } = harness;
  await check("message.create", "arrives once, signed, with its id", async () => {
    const payload = { text: "Grüße \u{1F44B}", number: 1.5, list: [1, null, true], nested: { a: "b" } };
    const message = await svix.message.create(app, { eventType: "m.other", payload }, { withContent: true });
    assert.equal(lastStatus(), 202);
    assert.match(message.id, /^msg_[A-Za-z0-9]{27}$/);
    assert.equal(message.eventType, "m.other");
    assert.deepEqual(message.payload, payload);
    recent(message.timestamp);
    const request = await delivery(harness, `all-${run}`, message.id);
    assert.equal(request.method, "POST");
    assert.match(request.headers["content-type"], /^application\/json/);
    const { key } = await svix.endpoint.getSecret(app, "all");
    assert.deepEqual(verified(key, request), payload);
    await pause(200);
    const all = harness.receiver.requests(`all-${run}`);
    assert.equal(all.filter(({ headers }) => headers["webhook-id"] === message.id).length, 1);
  });
  await check("message.create", "without content when it is not asked for", async () => {
    const message = await svix.message.create(app, { eventType: "m.other", payload: { secret: "hidden" } });
    assert.ok(!JSON.stringify(message.payload).includes("hidden"));
  });
}

async function filtering(harness, app) {
  const { check, svix, run, receiver } = harness;
  await check("message.create", "event types, channels and disabled endpoints decide", async () => {
    const send = async (eventType, channels) =>
      (await svix.message.create(app, { eventType, channels, payload: { eventType } })).id;
    const typed = await send("m.typed");
    const blue = await send("m.other", ["blue", "green"]);
    const red = await send("m.other", ["red"]);
    const both = await send("m.typed", ["blue"]);
    for (const id of [typed, blue, red, both]) await delivery(harness, `all-${run}`, id);
    await pause(300);
    const got = (name) => receiver.requests(`${name}-${run}`).map(({ headers }) => headers["webhook-id"]).sort();
    assert.deepEqual(got("typed"), [typed, both].sort());
    assert.deepEqual(got("blue"), [blue, both].sort());
    assert.deepEqual(got("off"), []);
    const { data } = await svix.messageAttempt.listAttemptedDestinations(app, blue);
    assert.equal(data.length, 2);
  });
}

async function making({ check, svix, other, stranger, run }, app) {
  await check("message.create", "optional fields come back", async () => {
    const message = await svix.message.create(app, {
      eventType: "m.other", payload: {}, eventId: `evt-${run}`, channels: ["c1"], tags: ["t/1", "t#2"],
      payloadRetentionPeriod: 1,
    });
    assert.equal(message.eventId, `evt-${run}`);
    assert.deepEqual(message.channels, ["c1"]);
    assert.deepEqual([...message.tags].sort(), ["t#2", "t/1"]);
  });
  await check("message.create", "an event id in use is refused", () =>
    refused(svix.message.create(app, { eventType: "m.other", payload: {}, eventId: `evt-${run}` }), 409));
  await check("message.create", "deliverAt holds it back", async () => {
    const deliverAt = new Date(Date.now() + 3_600_000);
    const message = await svix.message.create(app, { eventType: "m.typed", payload: {}, deliverAt });
    assert.ok(Math.abs(message.deliverAt - deliverAt) < 1_000);
    const { data } = await svix.messageAttempt.listAttemptedDestinations(app, message.id);
    assert.ok(data.every(({ nextAttempt }) => nextAttempt == null || nextAttempt > Date.now() + 3_000_000));
    assert.ok(data.every(({ statusText }) => statusText === "pending"), JSON.stringify(data));
    const soon = new Date(Date.now() + 5_000);
    await refused(svix.message.create(app, { eventType: "m.typed", payload: {}, deliverAt: soon }), 422,
      "body.deliverAt");
    const late = new Date(Date.now() + 25 * 3_600_000);
    await refused(svix.message.create(app, { eventType: "m.typed", payload: {}, deliverAt: late }), 422,
      "body.deliverAt");
  });
  await check("message.create", "makes its application on the way", async () => {
    const uid = `onway-${run}`;
    const application = { name: "on the way", uid };
    await svix.message.create(uid, { eventType: "m.other", payload: {}, application });
    assert.equal((await svix.application.get(uid)).name, "on the way");
    await svix.message.create(uid, { eventType: "m.other", payload: {}, application: { name: "ignored", uid } });
    assert.equal((await svix.application.get(uid)).name, "on the way");
  });
  for (const [name, change, at] of [
    ["no event type", { eventType: undefined }, "body"],
    ["an event type with a space", { eventType: "a b" }, "body.eventType"],
    ["a payload that is a list", { payload: [1] }, "body.payload"],
    ["no payload", { payload: undefined }, "body"],
    ["an empty list of channels", { channels: [] }, "body.channels"],
    ["six tags", { tags: [..."abcdef"] }, "body.tags"],
    ["a retention of 91 days", { payloadRetentionPeriod: 91 }, "body.payloadRetentionPeriod"],
    ["two retentions", { payloadRetentionPeriod: 1, payloadRetentionHours: 1 }, "body"],
    ["an event id with a space", { eventId: "a b" }, "body.eventId"],
  ]) {
    await check("message.create", `${name} is refused`, () =>
      refused(svix.message.create(app, { eventType: "m.other", payload: {}, ...change }), 422, at));
  }
  await check("message.create", "other refusals", async () => {
    const message = { eventType: "m.other", payload: {} };
    await refused(svix.message.create(nowhere("app"), message), 404);
    await refused(other.message.create(app, message), 404);
    await refused(stranger.message.create(app, message), 401);
    const large = { eventType: "m.other", payload: { text: "x".repeat(1_100_000) } };
    await refused(svix.message.create(app, large), 413);
  });
  await check("message.get", "by id and by event id, with content when asked for", async () => {
    const { id } = await svix.message.create(app, { eventType: "m.other", payload: { a: 1 }, eventId: `get-${run}` });
    const full = await svix.message.get(app, id, { withContent: true });
    assert.deepEqual(full.payload, { a: 1 });
    assert.equal(full.eventId, `get-${run}`);
    assert.equal((await svix.message.get(app, `get-${run}`)).id, id);
    assert.deepEqual((await svix.message.get(app, id)).payload, {});
    await refused(svix.message.get(app, nowhere("msg")), 404);
    await refused(other.message.get(app, id), 404);
  });
}

async function raw(harness, app) {
  const { check, svix, run } = harness;
  await check("message.create", "a raw payload arrives byte for byte", async () => {
    const text = "  <a>\tnot JSON, ünd not trimmed </a>\n";
    const { id } = await svix.message.create(app, messageInRaw("m.other", text, "text/plain"));
    const request = await delivery(harness, `all-${run}`, id);
    assert.equal(request.body.toString(), text);
    assert.match(request.headers["content-type"], /^text\/plain/);
    const { key } = await svix.endpoint.getSecret(app, "all");
    assert.throws(() => verified(key, request), SyntaxError, "it verifies, and is not JSON");
    const spaced = '{ "b" : 1,  "a":"\\u00fc" }';
    const { id: json } = await svix.message.create(app, messageInRaw("m.other", spaced));
    const second = await delivery(harness, `all-${run}`, json);
    assert.equal(second.body.toString(), spaced);
    assert.match(second.headers["content-type"], /^application\/json/);
    assert.deepEqual(verified(key, second), { b: 1, a: "ü" });
  });
}

async function repeating(harness, app) {
  const { check, svix, run, receiver } = harness;
  await check("message.create", "a repeat with its key is delivered once", async () => {
    const message = { eventType: "m.other", payload: { repeat: 1 }, channels: ["repeat"] };
    const idempotencyKey = `msg-${run}`;
    const first = await svix.message.create(app, message, { idempotencyKey });
    const second = await svix.message.create(app, message, { idempotencyKey });
    assert.deepEqual(second, first);
    assert.equal(lastStatus(), 202);
    await refused(svix.message.create(app, { ...message, payload: { repeat: 2 } }, { idempotencyKey }), 422);
    await delivery(harness, `all-${run}`, first.id);
    await pause(300);
    const all = receiver.requests(`all-${run}`).map(({ body }) => body.toString());
    assert.equal(all.filter((body) => body.includes('"repeat"')).length, 1);
  });
}

async function listing({ check, svix, other, run }) {
  const app = `listed-${run}`;
  await svix.application.create({ name: "listed", uid: app });
  const own = [];
  for (let number = 0; number < 6; number += 1) {
    own.unshift((await svix.message.create(app, {
      eventType: number < 4 ? "l.even" : "l.odd", payload: { number },
      channels: number === 1 ? ["one"] : undefined, tags: number === 2 ? ["two"] : undefined,
    })).id);
    if (number === 2) await pause(20);
  }
  const list = (options) => svix.message.list(app, options);
  const ids = async (options) => (await pages(list, options)).items.map(({ id }) => id);
  await check("message.list", "page by page, newest first", async () => {
    const all = await pages(list, { limit: 2 });
    assert.deepEqual(all.items.map(({ id }) => id), own);
    assert.ok(all.count >= 3);
    assert.deepEqual(all.items[0].payload, {});
  });
  await check("message.list", "filters", async () => {
    assert.deepEqual(await ids({ eventTypes: ["l.odd"] }), own.slice(0, 2));
    assert.deepEqual(await ids({ eventTypes: ["l.odd", "l.even"], limit: 4 }), own);
    assert.deepEqual(await ids({ channel: "one" }), [own[4]]);
    assert.deepEqual(await ids({ tag: "two" }), [own[3]]);
    const { data } = await list({ withContent: true });
    assert.deepEqual(data.map(({ payload }) => payload.number), [5, 4, 3, 2, 1, 0]);
    const middle = new Date(data[2].timestamp.getTime());
    const before = await ids({ before: middle });
    const after = await ids({ after: new Date(middle.getTime() - 1) });
    assert.ok(before.includes(own[5]) && !before.includes(own[0]), "before");
    assert.ok(after.includes(own[0]) && !after.includes(own[5]), "after");
  });
  await check("message.list", "refusals", async () => {
    await refused(list({ limit: 300 }), 422, "query.limit");
    await refused(list({ iterator: "nonsense" }), 422, "query.iterator");
    await refused(other.message.list(app), 404);
  });
}

async function prechecking({ check, svix, run, receiver }, app) {
  await check("message.precheck", "tells whether anybody listens", async () => {
    const uid = `precheck-${run}`;
    await svix.application.create({ name: "precheck", uid });
    const active = async (body) => (await svix.message.precheck(uid, body)).active;
    assert.equal(await active({ eventType: "p.p" }), false);
    await svix.endpoint.create(uid, { url: receiver.url(uid), eventTypes: ["p.p"], channels: ["c"], uid: "e" });
    assert.equal(await active({ eventType: "p.p", channels: ["c"] }), true);
    assert.equal(await active({ eventType: "p.p" }), false);
    assert.equal(await active({ eventType: "p.q", channels: ["c"] }), false);
    await svix.endpoint.patch(uid, "e", { disabled: true });
    assert.equal(await active({ eventType: "p.p", channels: ["c"] }), false);
    await refused(svix.message.precheck(app, { eventType: "a b" }), 422, "body.eventType");
    await refused(svix.message.precheck(nowhere("app"), { eventType: "p.p" }), 404);
  });
}

async function examples(harness, app) {
  const { check, svix, run, receiver } = harness;
  await check("endpoint.send-example", "the schema's example, to this endpoint only", async () => {
    const eventType = `example.${run}`;
    const schema = { type: "object", properties: { id: { type: "string" } }, examples: [{ id: "e1" }, { id: "e2" }] };
    await svix.eventType.create({ name: eventType, description: "x", schemas: { 1: schema } });
    const name = `example-${run}`;
    await svix.endpoint.create(app, { url: receiver.url(name), uid: name, channels: ["nobody"] });
    const first = await svix.endpoint.sendExample(app, name, { eventType });
    assert.equal(lastStatus(), 202);
    assert.equal(first.eventType, eventType);
    const { key } = await svix.endpoint.getSecret(app, name);
    assert.deepEqual(verified(key, await delivery(harness, name, first.id)), { id: "e1" });
    const second = await svix.endpoint.sendExample(app, name, { eventType, exampleIndex: 1 });
    assert.deepEqual(verified(key, await delivery(harness, name, second.id)), { id: "e2" });
    await pause(200);
    const all = receiver.requests(`all-${run}`).map(({ headers }) => headers["webhook-id"]);
    assert.ok(!all.includes(first.id) && !all.includes(second.id));
  });
  await check("endpoint.send-example", "one made from the schema; refusals", async () => {
    const eventType = `generated.${run}`;
    const schema = {
      type: "object", required: ["id", "count"],
      properties: { id: { type: "string" }, count: { type: "integer", minimum: 3 } },
    };
    await svix.eventType.create({ name: eventType, description: "x", schemas: { 1: schema } });
    const { id } = await svix.endpoint.sendExample(app, "all", { eventType });
    const { key } = await svix.endpoint.getSecret(app, "all");
    const body = verified(key, await delivery(harness, `all-${run}`, id));
    assert.equal(typeof body.id, "string");
    assert.ok(Number.isInteger(body.count) && body.count >= 3);
    await refused(svix.endpoint.sendExample(app, "all", { eventType: `no.such-${run}` }), [404, 422]);
    await refused(svix.endpoint.sendExample(app, nowhere("ep"), { eventType }), 404);
  });
}

async function expunging(harness) {
  const { check, svix, other, run, receiver } = harness;
  const app = `expunged-${run}`;
  await svix.application.create({ name: "expunged", uid: app });
  await svix.endpoint.create(app, { url: receiver.url(app), uid: "e" });
  const send = async (eventId) =>
    (await svix.message.create(app, { eventType: "x.x", payload: { mark: "confidential" }, eventId })).id;
  const gone = async (id) => {
    const { payload } = await svix.message.get(app, id, { withContent: true });
    return !JSON.stringify(payload).includes("confidential");
  };
  await check("message.expunge-content", "the payload is gone for good", async () => {
    const [id, kept] = [await send(), await send()];
    await delivery(harness, app, id);
    await delivery(harness, app, kept);
    assert.equal(await gone(id), false);
    await svix.message.expungeContent(app, id);
    assert.equal(lastStatus(), 204);
    assert.equal(await gone(id), true);
    assert.equal(await gone(kept), false);
    const { data } = await svix.message.list(app, { withContent: true });
    assert.ok(!JSON.stringify(data.find((message) => message.id === id)).includes("confidential"));
    await refused(svix.messageAttempt.resend(app, id, "e"), [400, 404, 409, 410, 422]);
    await refused(svix.message.expungeContent(app, nowhere("msg")), 404);
    await refused(other.message.expungeContent(app, kept), 404);
  });
  await check("message.bulk-expunge-content", "tells of each", async () => {
    const [byId, byUid] = [await send(), await send(`bulk-${run}`)];
    const absent = nowhere("msg");
    const { results } = await svix.message.bulkExpungeContent(app, { ids: [byId, `bulk-${run}`, absent] });
    assert.deepEqual(results, { [byId]: "expunged", [`bulk-${run}`]: "expunged", [absent]: "not-found" });
    assert.equal(await gone(byId), true);
    assert.equal(await gone(byUid), true);
    await refused(svix.message.bulkExpungeContent(app, { ids: ["a b"] }), 422, "body.ids");
    await refused(svix.message.bulkExpungeContent(nowhere("app"), { ids: [absent] }), 404);
  });
  await check("message.expunge-all-contents", "a task deletes every payload", async () => {
    const ids = [await send(), await send()];
    const task = await svix.message.expungeAllContents(app);
    assert.equal(lastStatus(), 202);
    assert.equal(task.task, "application.purge_content");
    const { data } = await finished(svix, task.id);
    assert.ok(data.messagesPurged >= 2, JSON.stringify(data));
    for (const id of ids) assert.equal(await gone(id), true);
    await refused(svix.message.expungeAllContents(nowhere("app")), 404);
  });
}

async function throttled({ check, svix, run, receiver }) {
  await check("message.create", "an endpoint's rate is kept", async () => {
    const app = `throttled-${run}`;
    await svix.application.create({ name: "throttled", uid: app });
    await svix.endpoint.create(app, { url: receiver.url(app), throttleRate: 2 });
    await Promise.all(Array.from({ length: 8 }, (_, number) =>
      svix.message.create(app, { eventType: "t.t", payload: { number } })));
    const requests = await receiver.wait(app, 8, 20);
    const times = requests.map(({ at }) => at).sort((one, two) => one - two);
    assert.ok(times[7] - times[0] > 2_000, `eight came within ${times[7] - times[0]} ms`);
  });
}
