// Applications in the browser: made, posted for, opened to their customers by a link, counted, removed.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { browser, looked, open, signedIn } from "./lib/browser.mjs";
import { house, until } from "./lib/house.mjs";

let gate;
let chrome;
before(async () => {
  gate = await house();
  chrome = await browser();
  await gate.api("POST", "/api/v1/event-type", {
    name: "invoice.paid", description: "An invoice was paid",
    schemas: { 1: {
      type: "object", required: ["invoice", "amount"],
      properties: { invoice: { type: "string" }, amount: { type: "integer", minimum: 1 } },
      examples: [{ invoice: "2026-0042", amount: 129900 }],
    } },
    validatePayloads: true,
  });
});
after(async () => {
  await chrome?.close();
  await gate?.stop();
});

/** Puts a text into a code editor, as a person would. */
async function write(page, label, text) {
  const editor = page.getByRole("textbox", { name: label, exact: true });
  await editor.click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(text);
}
const application = (uid) => gate.api("GET", `/api/v1/app/${uid}`);

test("without applications the page teaches, then one is made with the keyboard", async () => {
  const page = await signedIn(chrome, gate, { at: "/applications" });
  await page.getByRole("heading", { name: "There are no applications yet" }).waitFor();
  await looked(page, "applications-empty");
  await page.getByRole("button", { name: "New application" }).first().focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "New application" }).waitFor();
  await looked(page, "application-new");
  await page.getByRole("textbox", { name: /^Name/ }).fill("Acme");
  await page.getByLabel("Uid").fill("not a uid!");
  await page.keyboard.press("Enter");
  await page.getByText("Only letters, digits, dot, dash and underscore.").waitFor();
  await page.getByLabel("Uid").fill("acme");
  await page.getByLabel("Metadata").fill("plan = enterprise");
  await page.getByLabel("Rate limit").fill("50");
  await page.getByRole("button", { name: "Make the application" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Acme" }).waitFor();
  const made = await application("acme");
  assert.deepEqual([made.name, made.throttleRate, made.metadata], ["Acme", 50, { plan: "enterprise" }]);
  await page.done();
});

test("its endpoint is made, an invalid event is refused at its place, a valid one delivered", async () => {
  const { id } = await application("acme");
  const page = await signedIn(chrome, gate, { at: `/applications/${id}` });
  await page.getByRole("heading", { name: "It has no endpoints yet" }).waitFor();
  await page.getByRole("button", { name: "New endpoint" }).click();
  await page.getByRole("textbox", { name: /^URL/ }).fill("ftp://nowhere");
  await page.getByRole("button", { name: "Make the endpoint" }).click();
  await page.getByText("It has to begin with https:// or http://.").waitFor();
  await page.getByRole("textbox", { name: /^URL/ }).fill(`${gate.sink.url}/acme`);
  await page.getByLabel("Your own id").fill("acme-main");
  await looked(page, "endpoint-new");
  await page.getByRole("button", { name: "Make the endpoint" }).click();
  await page.getByRole("heading", { level: 1, name: "acme-main" }).waitFor();

  await page.goto(`${gate.url}/applications/${id}?tab=events`);
  await page.getByRole("combobox", { name: /^Event type/ }).fill("invoice.paid");
  const payload = page.getByRole("textbox", { name: "Payload", exact: true });
  await until("the example is filled in", async () => (await payload.innerText()).includes("2026-0042"));
  await looked(page, "application-post");
  await write(page, "Payload", '{\n  "invoice": "2026-0043",\n  "amount": "many"\n}');
  await page.getByRole("button", { name: "Post the event" }).click();
  await page.getByRole("button", { name: /^Line 3/ }).waitFor();
  assert.equal(gate.sink.at("/acme").length, 0);
  await looked(page, "application-post-refused");
  await write(page, "Payload", '{ "invoice": "2026-0043", "amount": 5 }');
  await page.getByRole("button", { name: "Post the event" }).click();
  await page.getByText("It is on disk and on its way").waitFor();
  const [delivered] = await until("the delivery", () => gate.sink.at("/acme").length > 0 && gate.sink.at("/acme"));
  assert.deepEqual(JSON.parse(delivered.body), { invoice: "2026-0043", amount: 5 });
  await page.getByRole("table", { name: "Latest events" }).getByText("invoice.paid").waitFor();
  await page.done();
});

test("the list is searched, and the search is in the URL", async () => {
  await gate.customer("globex", "Globex Corporation");
  const page = await signedIn(chrome, gate, { at: "/applications" });
  await page.getByRole("link", { name: "Globex Corporation" }).waitFor();
  await page.getByLabel("Find an application").fill("enterprise");
  await until("one application", async () => (await page.getByRole("table", { name: "Applications" }).getByRole("row").count()) === 2);
  assert.match(page.url(), /q=enterprise/);
  await page.getByRole("link", { name: "Acme" }).waitFor();
  await looked(page, "applications");
  await page.done();
});

test("a portal link is told to be a secret, opens once, and ends with all sessions", async () => {
  const { id } = await application("acme");
  const page = await signedIn(chrome, gate, { at: `/applications/${id}?tab=portal` });
  await page.getByLabel("Rotate secrets").uncheck();
  await page.getByRole("button", { name: "Make a link" }).click();
  await page.getByText("This link is a secret").waitFor();
  await looked(page, "application-portal");
  const link = await page.getByTestId("portal-link").innerText();
  assert.match(link, /\/portal\/#token=/);
  await page.getByRole("button", { name: "Copy the link" }).click();
  await page.getByRole("button", { name: "Copied" }).waitFor();

  const customer = await open(chrome);
  await customer.goto(link);
  await customer.getByText(`${gate.sink.url}/acme`).first().waitFor();
  await page.getByRole("button", { name: "End all sessions" }).click();
  await page.getByRole("button", { name: "End the sessions" }).click();
  await page.getByText("The sessions are ended.").waitFor();
  await customer.done();
  await page.done();
});

test("integrations get keys that are shown once", async () => {
  const { id } = await application("acme");
  const page = await signedIn(chrome, gate, { at: `/applications/${id}?tab=integrations` });
  await page.getByRole("button", { name: "New integration" }).click();
  await page.getByRole("textbox", { name: /^Name/ }).fill("Zapier");
  await page.getByRole("button", { name: "Make it and show its key" }).click();
  const shown = page.getByRole("alert").filter({ hasText: "is shown this once" });
  await shown.waitFor();
  const key = await shown.locator(".mono").innerText();
  const self = await gate.api("GET", "/api/v1/becket/self", undefined, { token: key });
  assert.equal(self.applicationId, id);
  await looked(page, "application-integrations");
  await page.reload();
  await page.getByRole("cell", { name: "Zapier", exact: true }).waitFor();
  assert.equal(await page.getByText(key).count(), 0);
  await page.getByRole("button", { name: "Delete Zapier" }).click();
  await page.getByRole("button", { name: "Delete the integration" }).click();
  await page.getByRole("heading", { name: "It has no integrations" }).waitFor();
  await page.done();
});

test("its use is counted, it is changed, and removed", async () => {
  const { id } = await application("acme");
  const page = await signedIn(chrome, gate, { at: `/applications/${id}?tab=usage` });
  await page.getByRole("button", { name: "Count", exact: true }).click();
  await page.getByText("Events posted").waitFor();
  await looked(page, "application-usage");
  assert.match(page.url(), /task=qtask_/);
  await page.reload();
  await page.getByText("Events posted").waitFor();

  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByRole("textbox", { name: /^Name/ }).fill("Acme Limited");
  await page.getByLabel("Check payloads").check();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { level: 1, name: "Acme Limited" }).waitFor();
  assert.equal((await application("acme")).validatePayloads, true);
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Delete the application" }).click();
  await page.getByRole("button", { name: "Delete the application" }).click();
  await page.getByRole("heading", { level: 1, name: "Applications" }).waitFor();
  await assert.rejects(application("acme"), /404/);
  await page.done();
});
