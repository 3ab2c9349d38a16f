// Endpoints in the browser: how they stand, what holds them back, what changes a delivery, and how what
// was lost is sent again.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { browser, looked, signedIn } from "./lib/browser.mjs";
import { house, until } from "./lib/house.mjs";

let gate;
let chrome;
before(async () => {
  gate = await house();
  chrome = await browser();
  // One attempt and no more, so that a failure is final at once.
  await gate.api("POST", "/api/v1/event-type", { name: "order.created", description: "An order was placed", retry: "none" });
});
after(async () => {
  await chrome?.close();
  await gate?.stop();
});

/** A customer with one endpoint at the receiver. */
async function endpoint(uid, more = {}) {
  const { endpoints } = await gate.customer(uid, uid, [{ uid: `${uid}-main`, url: `${gate.sink.url}/${uid}`, ...more }]);
  return endpoints[0];
}
const bodies = (path) => gate.sink.at(path).map((one) => JSON.parse(one.body));
async function write(page, label, text) {
  const editor = page.getByRole("textbox", { name: label, exact: true });
  await editor.click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(text);
}

test("paused with a reason, what is posted waits, resumed, it is delivered", async () => {
  const { id } = await endpoint("pausing");
  const page = await signedIn(chrome, gate, { at: `/endpoints/${id}` });
  await page.getByRole("button", { name: "Pause" }).focus();
  await page.keyboard.press("Enter");
  await page.getByLabel("Reason").waitFor();
  await page.keyboard.type("Maintenance until 18:00");
  await page.keyboard.press("Enter");
  await page.getByText("Maintenance until 18:00").first().waitFor();
  await gate.post("pausing", "order.created", { n: 1 });
  await page.getByText("1 delivery waits").waitFor();
  assert.equal(gate.sink.at("/pausing").length, 0);
  await looked(page, "endpoint-paused");
  await page.getByRole("button", { name: "Resume" }).click();
  await until("the delivery", () => gate.sink.at("/pausing").length === 1);
  await page.getByRole("table", { name: "Attempts" }).getByText("HTTP 200").waitFor();
  await looked(page, "endpoint");
  await page.done();
});

test("a failing endpoint is repaired and recovered, with progress that survives a reload", async () => {
  const { id } = await endpoint("broken", { url: `${gate.sink.url}/status/500` });
  for (let n = 0; n < 6; n += 1) await gate.post("broken", "order.created", { n });
  await until("every attempt has failed", async () => (await gate.api("GET", `/api/v1/app/broken/endpoint/${id}/stats`)).fail === 6);
  const page = await signedIn(chrome, gate, { at: `/endpoints/${id}` });
  await page.getByRole("table", { name: "Attempts" }).getByText("HTTP 500").first().waitFor();
  await page.getByText("No attempt has succeeded since").waitFor();
  await looked(page, "endpoint-failing");
  await page.getByRole("tab", { name: "Settings" }).click();
  await page.getByRole("textbox", { name: /^URL/ }).fill(`${gate.sink.url}/repaired`);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("It counts from the next event on.").waitFor();
  await looked(page, "endpoint-settings");
  await page.getByRole("tab", { name: "Replay" }).click();
  await looked(page, "endpoint-replay");
  await page.getByRole("button", { name: "Recover what failed" }).click();
  await page.getByText("6 events sent again").waitFor();
  await page.getByRole("progressbar", { name: "Recovering failed deliveries" }).waitFor();
  assert.match(page.url(), /task=qtask_/);
  await until("six deliveries", () => gate.sink.at("/repaired").length === 6);
  await page.reload();
  await page.getByText("6 events sent again").waitFor();
  await looked(page, "endpoint-recovered");
  await page.getByRole("button", { name: "Close", exact: true }).click();
  await until("the task is out of the URL", () => !page.url().includes("task="));
  await page.done();
});

test("a filter keeps and drops; one that cannot work is told at its clause", async () => {
  const { id } = await endpoint("filtering");
  await gate.post("filtering", "order.created", { total: 5 });
  await gate.post("filtering", "order.created", { total: 50 });
  await until("both", () => gate.sink.at("/filtering").length === 2);
  const page = await signedIn(chrome, gate, { at: `/endpoints/${id}?tab=filter` });
  await write(page, "Filter", '{\n  "body": {\n    "total": { "$gtr": 10 }\n  }\n}');
  await page.getByRole("button", { name: "Save the filter" }).click();
  await page.getByRole("button", { name: "Line 3, column 16" }).waitFor();
  await page.getByText("did you mean $gt").first().waitFor();
  await looked(page, "endpoint-filter-wrong");
  await write(page, "Filter", '{\n  "body": {\n    "total": { "$gt": 10 }\n  }\n}');
  await page.getByRole("button", { name: "Try it on recent events" }).click();
  await page.getByText("1 of the last 2 events would be delivered, 1 kept out.").waitFor();
  await looked(page, "endpoint-filter");
  await page.getByRole("button", { name: "Save the filter" }).click();
  await page.getByText("The filter is set.").waitFor();
  await gate.post("filtering", "order.created", { total: 1 });
  await gate.post("filtering", "order.created", { total: 100 });
  await until("the third", () => gate.sink.at("/filtering").length === 3);
  assert.deepEqual(bodies("/filtering").at(-1), { total: 100 });
  await page.done();
});

test("a transformation changes the delivery; code that cannot be loaded is told with its line", async () => {
  const { id } = await endpoint("changing");
  const page = await signedIn(chrome, gate, { at: `/endpoints/${id}?tab=transformation` });
  await page.getByRole("button", { name: "Begin with an example" }).click();
  await write(page, "Code", "function handler(webhook) {\n  webhook.payload = { = };\n  return webhook;\n}");
  await page.getByRole("button", { name: "Save the transformation" }).click();
  await page.getByRole("button", { name: /^Line 2/ }).waitFor();
  await looked(page, "endpoint-transformation-wrong");
  await write(page, "Code", "function handler(webhook) {\n  webhook.payload = { text: webhook.variables.HELLO, was: webhook.payload };\n  return webhook;\n}");
  await page.getByLabel("Variables").fill("HELLO = good morning");
  await page.getByRole("button", { name: "Save the transformation" }).click();
  await page.getByText("It is applied from the next attempt on.").waitFor();
  await gate.post("changing", "order.created", { n: 7 });
  await until("the delivery", () => gate.sink.at("/changing").length === 1);
  assert.deepEqual(bodies("/changing"), [{ text: "good morning", was: { n: 7 } }]);
  await looked(page, "endpoint-transformation");
  await page.done();
});

test("the secret is shown on demand and noted; rotated, both sign; headers keep their values", async () => {
  const { id } = await endpoint("secrets");
  const before = (await gate.api("GET", `/api/v1/app/secrets/endpoint/${id}/secret`)).key;
  const page = await signedIn(chrome, gate, { at: `/endpoints/${id}?tab=security` });
  await page.getByRole("button", { name: "Show the signing secret" }).waitFor();
  assert.equal(await page.getByText("whsec_").count(), 0);
  await page.getByRole("button", { name: "Show the signing secret" }).click();
  await page.getByText(before).waitFor();
  const noted = await until("a line in the audit log", async () => {
    const { data } = await gate.api("GET", "/api/v1/becket/audit?limit=50");
    return data.find((one) => one.action.includes("secret") && one.subject === id && one.by.kind === "session");
  });
  assert.match(noted.action, /shown/);
  await looked(page, "endpoint-secret");
  await page.getByRole("button", { name: "Hide the signing secret" }).click();
  assert.equal(await page.getByText(before).count(), 0);

  await page.getByRole("button", { name: "Rotate" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
  await page.getByText("The secret is rotated.").waitFor();
  assert.notEqual((await gate.api("GET", `/api/v1/app/secrets/endpoint/${id}/secret`)).key, before);
  await page.getByRole("textbox", { name: /^Header/ }).fill("Host");
  await page.getByRole("textbox", { name: /^Value/ }).fill("x");
  await page.getByRole("button", { name: "Add the header" }).click();
  await page.getByText("belongs to the connection").waitFor();
  await page.getByRole("textbox", { name: /^Header/ }).fill("Authorization");
  await page.getByRole("textbox", { name: /^Value/ }).fill("Bearer of-the-receiver");
  await page.getByRole("button", { name: "Add the header" }).click();
  await page.getByText("set, not shown").waitFor();
  await gate.post("secrets", "order.created", { n: 1 });
  const [one] = await until("the delivery", () => gate.sink.at("/secrets").length > 0 && gate.sink.at("/secrets"));
  assert.equal(one.headers["webhook-signature"].split(" ").length, 2, "both secrets sign");
  assert.equal(one.headers.authorization, "Bearer of-the-receiver");
  await page.getByRole("button", { name: "Remove Authorization" }).click();
  await page.getByText("No headers are added.").waitFor();
  await page.done();
});

test("a test event is sent, and its answer shown", async () => {
  const { id } = await endpoint("testing", { eventTypes: ["order.created"] });
  const page = await signedIn(chrome, gate, { at: `/endpoints/${id}` });
  await page.getByRole("button", { name: "Send a test event" }).click();
  await page.getByRole("combobox", { name: /^Event type/ }).fill("order.created");
  await write(page, "Payload", '{ "test": true }');
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByText("HTTP 200 after").waitFor();
  await looked(page, "endpoint-test");
  assert.deepEqual(bodies("/testing"), [{ test: true }]);
  await page.done();
});

test("what came while it was disabled is sent afterwards, and what was sent can be sent again", async () => {
  const { id } = await endpoint("missing", { disabled: true });
  // Without any endpoint that takes it, an event is kept all the same.
  for (let n = 0; n < 3; n += 1) await gate.post("missing", "order.created", { n });
  const page = await signedIn(chrome, gate, { at: `/endpoints/${id}?tab=replay` });
  await page.getByText("The endpoint is disabled. Enable it first.").waitFor();
  await page.getByRole("button", { name: "Enable" }).click();
  await page.getByLabel("Send what is missing").check();
  await page.getByRole("button", { name: "Send what is missing" }).click();
  await page.getByText("3 events sent again").waitFor();
  await until("the missing ones", () => gate.sink.at("/missing").length === 3);
  await page.getByRole("button", { name: "Close", exact: true }).click();
  await page.getByLabel("Replay what was sent").check();
  await page.getByRole("button", { name: "Replay what was sent" }).click();
  await until("all of them again", () => gate.sink.at("/missing").length === 6);
  await page.done();
});

test("a viewer looks, changes nothing, and sees no secret", async () => {
  const { id } = await endpoint("viewed");
  const { token } = await gate.api("POST", "/api/v1/becket/token", { name: "looks", role: "viewer" });
  const page = await signedIn(chrome, gate, { token, at: `/endpoints/${id}?tab=settings` });
  await page.getByText("Your role is viewer").waitFor();
  assert.equal(await page.getByRole("textbox", { name: /^URL/ }).isDisabled(), true);
  for (const name of ["Pause", "Disable", "Send a test event", "More", "Save"]) {
    assert.equal(await page.getByRole("button", { name, exact: true }).count(), 0, name);
  }
  await page.getByRole("tab", { name: "Secret and headers" }).click();
  await page.getByText("Your role does not see secrets.").waitFor();
  assert.equal(await page.getByRole("button", { name: /Show the/ }).count(), 0);
  await page.done();
});

test("what the file declares is shown, not changed, and the reason is told", async () => {
  const { data } = await gate.api("GET", "/api/v1/becket/endpoint?limit=250");
  const declared = data.find((one) => one.uid === "deploy");
  const page = await signedIn(chrome, gate, { at: `/endpoints/${declared.id}?tab=filter` });
  await page.getByText("declared in the gateway's configuration file").waitFor();
  assert.equal(await page.getByRole("button", { name: "Save the filter" }).count(), 0);
  await page.getByText("refs/heads/main").waitFor();
  await looked(page, "endpoint-declared");
  await page.getByRole("tab", { name: "Settings" }).click();
  await page.getByRole("textbox", { name: /^URL/ }).waitFor();
  assert.equal(await page.getByRole("textbox", { name: /^URL/ }).isDisabled(), true);
  await page.getByRole("button", { name: "Disable" }).click();
  await page.getByLabel("Reason").fill("Moved to another host");
  await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
  await page.getByRole("button", { name: "Enable" }).click();
  await page.getByText("Enabled.").waitFor();
  await page.done();
});

test("all endpoints are listed, troubled ones first, and found", async () => {
  const { id } = await endpoint("paused");
  await gate.api("POST", `/api/v1/becket/endpoint/${id}/pause`, {});
  const page = await signedIn(chrome, gate, { at: "/endpoints" });
  const table = page.getByRole("table", { name: "Endpoints" });
  await table.getByRole("link", { name: "paused-main" }).waitFor();
  await until("success rates", async () => (await table.innerText()).includes("100 %"));
  await looked(page, "endpoints");
  await page.getByRole("combobox", { name: "State" }).click();
  await page.getByRole("option", { name: "paused" }).click();
  await until("only paused ones", async () => (await table.getByRole("row").count()) === 2);
  assert.match(page.url(), /state=paused/);
  await page.getByRole("combobox", { name: "State" }).press("Escape");
  await table.getByRole("link", { name: "paused-main" }).press("Enter");
  await page.getByRole("heading", { level: 1, name: "paused-main" }).waitFor();
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Delete the endpoint" }).click();
  await page.getByRole("button", { name: "Delete the endpoint" }).click();
  await page.getByRole("heading", { level: 1, name: "paused" }).waitFor();
  await page.done();
});

test("an endpoint for events about the gateway itself", async () => {
  const page = await signedIn(chrome, gate, { at: "/endpoints" });
  await page.getByRole("button", { name: "New endpoint" }).click();
  await page.getByRole("combobox", { name: "Whose events" }).fill("gateway itself");
  await page.getByRole("option", { name: "Events about the gateway itself" }).click();
  await page.getByRole("textbox", { name: /^URL/ }).fill(`${gate.sink.url}/gateway`);
  await page.getByLabel("Your own id").fill("watch");
  await page.getByRole("button", { name: "Make the endpoint" }).click();
  await page.getByRole("heading", { level: 1, name: "watch" }).waitFor();
  await endpoint("told");
  await until("the news", () => gate.sink.at("/gateway").some((one) => one.body.includes("endpoint.created")));
  await looked(page, "endpoint-gateway");
  await page.done();
});
