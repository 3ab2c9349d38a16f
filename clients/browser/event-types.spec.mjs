// Event types in the browser: schemas with examples, versions, OpenAPI documents, the archive.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { browser, looked, signedIn } from "./lib/browser.mjs";
import { house, until } from "./lib/house.mjs";

let gate;
let chrome;
before(async () => {
  gate = await house();
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await gate?.stop();
});

async function write(page, label, text) {
  const editor = page.getByRole("textbox", { name: label, exact: true });
  await editor.click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(text);
}
const type = (name) => gate.api("GET", `/api/v1/event-type/${name}`);
const SCHEMA = { type: "object", required: ["id", "total"], properties: { id: { type: "string" }, total: { type: "number" } } };

test("one is made: a wrong schema and an example that breaks it are told at their lines", async () => {
  const page = await signedIn(chrome, gate, { at: "/event-types" });
  await page.getByRole("heading", { name: "There are no event types yet" }).waitFor();
  await looked(page, "event-types-empty");
  await page.getByRole("button", { name: "New event type" }).first().click();
  await page.getByRole("textbox", { name: /^Name/ }).fill("order.created");
  await page.getByLabel("Description").fill("An order was placed");
  await page.getByLabel("Group").fill("order");
  await write(page, "Schema", JSON.stringify({ ...SCHEMA, properties: { id: { type: "strin" }, total: { type: "number" } } }, null, 2));
  const line = page.getByRole("button", { name: /^Line \d+/ });
  await line.waitFor();
  await line.click();
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Schema");
  await write(page, "Schema", JSON.stringify(SCHEMA, null, 2));
  await page.getByRole("button", { name: "Make one from the schema" }).click();
  await page.getByText("The example fits the schema.").waitFor();
  await write(page, "Example", '{\n  "id": "o_1",\n  "total": "ten"\n}');
  await page.getByRole("button", { name: /^Line 3/ }).waitFor();
  await looked(page, "event-type-new");
  await write(page, "Example", '{ "id": "o_1", "total": 10 }');
  await page.getByText("The example fits the schema.").waitFor();
  await page.getByRole("button", { name: "Make the event type" }).click();
  await page.getByRole("heading", { level: 1, name: "order.created" }).waitFor();
  const made = await type("order.created");
  assert.deepEqual(made.schemas, { 1: { ...SCHEMA, examples: [{ id: "o_1", total: 10 }] } });
  assert.equal(made.groupName, "order");
  await page.done();
});

test("the keyboard leaves the editor with Escape and Tab", async () => {
  const page = await signedIn(chrome, gate, { at: "/event-types/order.created" });
  const editor = page.getByRole("textbox", { name: "Schema", exact: true });
  await editor.focus();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Schema", "Tab indents");
  await page.keyboard.press("ControlOrMeta+z");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Tab");
  assert.notEqual(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Schema");
  await page.done();
});

test("a new version stands beside the old one, and payloads are checked against it", async () => {
  const page = await signedIn(chrome, gate, { at: "/event-types/order.created" });
  await page.getByRole("button", { name: "New version" }).click();
  await write(page, "Schema", JSON.stringify({ ...SCHEMA, required: ["id", "total", "currency"] }, null, 2));
  await page.getByText("required", { exact: false }).first().waitFor();
  await write(page, "Example", '{ "id": "o_1", "total": 10, "currency": "eur" }');
  await page.getByText("The example fits the schema.").waitFor();
  await page.getByRole("button", { name: "Save version 2" }).click();
  await until("version 2", async () => Object.keys((await type("order.created")).schemas).length === 2);
  await page.getByLabel("Check payloads").check();
  await page.getByRole("button", { name: "Save the details" }).click();
  await until("payloads are checked", async () => (await type("order.created")).validatePayloads);
  await gate.customer("acme", "Acme");
  await assert.rejects(gate.post("acme", "order.created", { id: "o_1", total: 10 }), /422/);
  await gate.post("acme", "order.created", { id: "o_1", total: 10, currency: "eur" });
  await page.getByRole("combobox", { name: "Version" }).click();
  await page.getByRole("option", { name: "Version 1" }).click();
  await page.getByText("An older version.").waitFor();
  assert.match(page.url(), /version=/);
  await looked(page, "event-type");
  await page.done();
});

test("an OpenAPI document is shown before it is imported", async () => {
  const page = await signedIn(chrome, gate, { at: "/event-types" });
  await page.getByRole("button", { name: "Import" }).click();
  await page.getByLabel("OpenAPI document").fill("openapi: 3.1.0\nwebhooks: [");
  await page.getByRole("button", { name: "Show what would change" }).click();
  await page.getByText("cannot be read").waitFor();
  const document = {
    openapi: "3.1.0", info: { title: "Shop", version: "1" },
    webhooks: {
      "order.shipped": { post: { description: "An order left", requestBody: { content: { "application/json": { schema: SCHEMA } } } } },
      "order.created": { post: { description: "An order was placed, again", requestBody: { content: { "application/json": { schema: SCHEMA } } } } },
    },
  };
  await page.getByLabel("OpenAPI document").fill(JSON.stringify(document));
  await page.getByRole("button", { name: "Show what would change" }).click();
  const plan = page.getByRole("table", { name: "What would change" });
  await plan.getByRole("row").filter({ hasText: "order.shipped" }).getByText("new").waitFor();
  await plan.getByRole("row").filter({ hasText: "order.created" }).getByText("changed").waitFor();
  await looked(page, "event-types-import");
  await assert.rejects(type("order.shipped"), /404/);
  await page.getByRole("button", { name: "Import 2 event types" }).click();
  await page.getByRole("link", { name: "order.shipped" }).waitFor();
  assert.equal((await type("order.shipped")).description, "An order left");
  await page.done();
});

test("archived, brought back, and deleted for good", async () => {
  const page = await signedIn(chrome, gate, { at: "/event-types/order.shipped" });
  const choose = async (item) => {
    await page.getByRole("button", { name: "More" }).click();
    await page.getByRole("menuitem", { name: item }).click();
  };
  await choose("Archive");
  await page.getByRole("button", { name: "Archive it" }).click();
  await page.getByText("takes no new events").waitFor();
  assert.equal((await type("order.shipped")).archived, true);
  await choose("Bring it back");
  await until("it is back", async () => !(await type("order.shipped")).archived);
  await choose("Delete for good");
  await page.getByRole("button", { name: "Delete the event type" }).click();
  await page.getByRole("heading", { level: 1, name: "Event types" }).waitFor();
  await assert.rejects(type("order.shipped"), /404/);

  await gate.api("POST", "/api/v1/event-type", { name: "old.one", description: "Out of use", archived: true });
  await gate.api("POST", "/api/v1/event-type", { name: "beta.one", description: "For some", deprecated: true, featureFlags: ["beta"] });
  await page.reload();
  await page.getByText("flag beta").waitFor();
  assert.equal(await page.getByRole("link", { name: "old.one" }).count(), 0);
  await page.getByRole("switch", { name: /Show archived/ }).check();
  await page.getByRole("link", { name: "old.one" }).waitFor();
  assert.match(page.url(), /archived=true/);
  await looked(page, "event-types");
  await page.done();
});
