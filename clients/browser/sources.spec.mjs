// Sources in the browser: from a provider's name to its first genuine event, what is wrong when it is
// refused, the rules of a source, and its test events.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";

import { PHONE, axe, browser, fits, looked, shot, signedIn } from "./lib/browser.mjs";
import { gateway } from "./lib/gateway.mjs";
import { house, until } from "./lib/house.mjs";
import { github, standard, stripe } from "./lib/senders.mjs";

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

const every = () => gate.api("GET", "/api/v1/becket/source?limit=250").then((page) => page.data);
const named = async (name) => (await every()).find((source) => source.name === name && !source.removed);
const where = (source) => new URL(source.receivingUrl).pathname;
const made = (name, provider = "github", secret = "the secret of this source") =>
  gate.api("POST", "/api/v1/becket/source", { provider, name, secrets: [secret] });

/** The receiving URL that the wizard shows. */
async function shownPath(page) {
  const url = await page.locator(".receiving-url").first().innerText();
  return new URL(url).pathname;
}

test("the list shows who sends, to which URL, and what is wrong", async () => {
  const page = await signedIn(chrome, gate, { at: "/sources" });
  const list = page.getByRole("list", { name: "Sources" });
  await list.getByRole("link", { name: "github" }).waitFor();
  assert.equal(await list.locator("> li").count(), 4);
  await gate.github({ ref: "refs/heads/seen" });
  await looked(page, "sources-list");
  await page.getByLabel("Find a source").fill("strip");
  await until("one source", async () => (await list.locator("> li").count()) === 1);
  assert.match(page.url(), /find=strip/);
  await list.getByRole("button", { name: "Copy the URL of stripe" }).click();
  await list.getByText("Copied").waitFor();
  await page.done();
});

test("GitHub from its name to its first event, with keyboard only", async () => {
  const page = await signedIn(chrome, gate, { at: "/sources/new" });
  await page.getByRole("combobox", { name: "Who sends the webhooks?" }).waitFor();
  await looked(page, "wizard-provider");
  await page.getByRole("combobox", { name: "Who sends the webhooks?" }).focus();
  await page.keyboard.type("gith");
  await page.getByRole("option", { name: /GitHub/ }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "GitHub", exact: true }).waitFor();
  await until("the name's field has the focus", async () => page.evaluate(() => document.activeElement?.tagName === "INPUT"));
  await page.getByText("Recent Deliveries can send it again").waitFor();
  await looked(page, "wizard-set-up");
  await page.getByLabel("Name").focus();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("Shop repository");
  await page.keyboard.press("Tab");
  await page.keyboard.type("keyboard secret");
  await page.keyboard.press("Enter");
  await page.getByText("Waiting for the first request").waitFor();
  assert.match(page.url(), /source=src_/);
  assert.doesNotMatch(page.url(), /keyboard/, "no secret in the URL");
  await looked(page, "wizard-waiting");
  await page.reload();
  await page.getByText("Waiting for the first request").waitFor();
  const { status } = await gate.send(await shownPath(page), github("keyboard secret", { ref: "refs/heads/first" }));
  assert.equal(status, 200);
  await page.getByText("The first event is here, and it is genuine").waitFor();
  await looked(page, "wizard-arrived");
  await page.getByRole("link", { name: "See the event" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/events\/msg_/);
  await page.done();
});

test("Stripe on a phone: the URL first, a wrong secret, the doctor, the repair, the event", async () => {
  const page = await signedIn(chrome, gate, { at: "/sources/new", size: PHONE });
  await page.getByRole("combobox", { name: "Who sends the webhooks?" }).fill("stripe");
  await page.getByRole("option", { name: /^S?\s*Stripe/ }).first().click();
  await page.getByLabel("Name").fill("Stripe live");
  await page.getByLabel(/Forward to/).fill(`${gate.sink.url}/wizard`);
  await page.getByRole("button", { name: "Create the source" }).click();
  await page.getByText("Waiting for the first request").waitFor();
  await page.getByRole("heading", { name: "Then paste what Stripe shows" }).waitFor();
  await fits(page);
  await axe(page);
  const path = await shownPath(page);
  const payload = { id: "evt_wizard", object: "event", type: "invoice.paid", livemode: true };
  const secret = "whsec_theRightOneOfTheWizardAbcdefgh";
  const secrets = page.getByRole("region", { name: "Secret", exact: true });
  await secrets.getByLabel("The endpoint's signing secret (whsec_...)", { exact: true }).fill("whsec_aWrongOneOfTheWizardAbcdefghij");
  await secrets.getByRole("button", { name: "Save the secret" }).click();
  await page.getByText("The secret is set").waitFor();
  const first = await gate.send(path, stripe(secret, payload));
  assert.notEqual(first.status, 200);
  const refused = page.getByRole("region", { name: "A refused request" });
  await refused.getByText("The secret does not fit", { exact: true }).waitFor();
  await looked(page, "wizard-refused");
  await refused.getByLabel("The endpoint's signing secret (whsec_...)", { exact: true }).fill(secret);
  await refused.getByRole("button", { name: "Save the secret and verify again" }).click();
  await page.getByText("The first event is here, and it is genuine").waitFor();
  await fits(page);
  assert.doesNotMatch(await page.locator("main").innerText(), /theRightOne/, "the secret is not echoed");
  await until("the delivery", async () => gate.sink.at("/wizard").length > 0);
  const source = await named("Stripe live");
  assert.equal(source.endpoints.length, 1);
  await page.done();
});

test("an unsigned request in the wizard says where to repair it", async () => {
  const source = await made("Unsigned");
  const page = await signedIn(chrome, gate, { at: `/sources/new?source=${source.id}` });
  await page.getByText("Waiting for the first request").waitFor();
  await gate.send(where(source), { body: "{}", headers: { "content-type": "application/json", "x-github-event": "ping" } });
  const refused = page.getByRole("region", { name: "A refused request" });
  await refused.getByText(/Repair it at the provider/).waitFor();
  assert.equal(await refused.getByRole("button", { name: /Save the secret/ }).count(), 0, "no form where the secret is not the cause");
  await page.done();
});

test("a handshake brings a secret along, which is accepted", async () => {
  const source = await gate.api("POST", "/api/v1/becket/source", { provider: "notion", name: "Notion workspace" });
  const page = await signedIn(chrome, gate, { at: `/sources/new?source=${source.id}` });
  await page.getByText("Waiting for the first request").waitFor();
  const token = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl";
  const shaken = await gate.send(where(source), { body: JSON.stringify({ verification_token: token }), headers: { "content-type": "application/json" } });
  assert.equal(shaken.status, 200, "the handshake is answered");
  await page.getByText("A handshake brought a secret along").waitFor();
  await axe(page, { where: "a captured secret" });
  await page.getByRole("button", { name: "Show it" }).click();
  await page.getByText(token).waitFor();
  await page.getByRole("button", { name: "Accept it", exact: true }).click();
  await until("the secret to count", async () => (await gate.api("GET", `/api/v1/becket/source/${source.id}/secret`)).data.some((secret) => secret.accepted));
  await page.getByText("A secret is in place").waitFor();
  const body = JSON.stringify({ id: "e1", type: "page.content_updated", timestamp: new Date().toISOString() });
  const genuine = await gate.send(where(source), { body, headers: { "content-type": "application/json", "x-notion-signature": `sha256=${createHmac("sha256", token).update(body).digest("hex")}` } });
  assert.equal(genuine.status, 200, genuine.text);
  await page.getByText("The first event is here, and it is genuine").waitFor();
  await page.done();
});

test("a name that the catalogue does not have leads to the general entries", async () => {
  const page = await signedIn(chrome, gate, { at: "/sources/new" });
  await page.getByRole("combobox", { name: "Who sends the webhooks?" }).fill("no such provider");
  await page.getByRole("button", { name: "take the general entry" }).click();
  await page.getByRole("button", { name: /How this sender signs/ }).click();
  await page.getByLabel("header", { exact: true }).fill("X-Shop-Signature");
  await page.getByLabel("Name").fill("Our own shop");
  await page.getByLabel("Shared secret").first().fill("the shop's secret");
  await axe(page, { where: "the general entry" });
  await page.getByRole("button", { name: "Create the source" }).click();
  await page.getByText("Waiting for the first request").waitFor();
  const body = JSON.stringify({ order: 1 });
  const signature = createHmac("sha256", "the shop's secret").update(body).digest("hex");
  await gate.send(await shownPath(page), { body, headers: { "content-type": "application/json", "x-shop-signature": signature } });
  await page.getByText("The first event is here, and it is genuine").waitFor();
  await page.done();
});

test("a general entry whose header was named wrongly is repaired where it is explained", async () => {
  const source = await gate.api("POST", "/api/v1/becket/source", { provider: "hmac", name: "Warehouse", secrets: ["the warehouse's secret"] });
  const body = JSON.stringify({ shelf: 7 });
  const signature = createHmac("sha256", "the warehouse's secret").update(body).digest("hex");
  await gate.send(where(source), { body, headers: { "content-type": "application/json", "x-warehouse-signature": signature } });
  const page = await signedIn(chrome, gate, { at: `/sources/new?source=${source.id}` });
  const refused = page.getByRole("region", { name: "A refused request" });
  await refused.getByText(/in which header the signature stands/).waitFor();
  await refused.getByRole("button", { name: /How this sender signs/ }).click();
  await refused.getByLabel("header", { exact: true }).fill("X-Warehouse-Signature");
  await refused.getByRole("button", { name: "Save this and verify again" }).click();
  await page.getByText("The first event is here, and it is genuine").waitFor();
  await page.done();
});

test("each part of a source's page, looked at", async () => {
  const source = await made("Looked at");
  await gate.send(where(source), github("the secret of this source", { n: 1 }));
  await gate.send(where(source), github("another", { n: 2 }));
  const page = await signedIn(chrome, gate, { at: `/sources/${source.id}` });
  await page.getByRole("region", { name: "Refused lately" }).getByRole("link", { name: "Signature does not fit" }).waitFor();
  await looked(page, "source-overview");
  await page.getByRole("tab", { name: "Verification" }).click();
  await page.getByRole("heading", { name: "Secrets", exact: true }).waitFor();
  await page.getByText("Recent Deliveries can send it again").waitFor();
  await looked(page, "source-verification");
  await page.getByRole("tab", { name: "Rules" }).click();
  await page.getByRole("heading", { name: "Repeats" }).waitFor();
  await looked(page, "source-rules");
  await page.getByRole("tab", { name: "Test" }).click();
  await page.getByRole("button", { name: "Sign and send" }).waitFor();
  await looked(page, "source-test");
  assert.match(page.url(), /tab=test/);
  await page.done();
});

test("rules that are saved are in force: a rate limit, a required field, a schema", async () => {
  const source = await made("With rules");
  const page = await signedIn(chrome, gate, { at: `/sources/${source.id}?tab=rules` });
  await page.getByRole("combobox", { name: "Fields that must be there" }).fill("data.id");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Save the rules" }).click();
  await page.getByText("The rules are in force.").waitFor();
  const lacking = await gate.send(where(source), github("the secret of this source", { data: {} }));
  assert.equal(lacking.status, 422, lacking.text);
  assert.equal((await gate.send(where(source), github("the secret of this source", { data: { id: 1 } }))).status, 200);
  const editor = page.getByRole("textbox", { name: /JSON Schema/ });
  await editor.click();
  await editor.fill('{"type": "object", "properties": {"total": {"type": "number"}}}');
  await page.getByText("1 rule is changed.").waitFor();
  await page.getByRole("button", { name: "Save the rules" }).click();
  await until("the schema", async () => (await gate.api("GET", `/api/v1/becket/source/${source.id}`)).settings.schema !== null);
  assert.equal((await gate.send(where(source), github("the secret of this source", { data: { id: 2 }, total: "many" }))).status, 422);
  await page.reload();
  await page.getByLabel("Genuine requests accepted").fill("1");
  await page.getByRole("combobox", { name: "In what time" }).click();
  await page.getByRole("option", { name: "an hour" }).click();
  await page.getByRole("button", { name: "Save the rules" }).click();
  await until("the limit", async () => (await gate.api("GET", `/api/v1/becket/source/${source.id}`)).settings.rateLimit?.count === 1);
  const statuses = [];
  for (let n = 0; n < 3; n += 1) statuses.push((await gate.send(where(source), github("the secret of this source", { data: { id: 10 + n } }))).status);
  assert.ok(statuses.includes(429), `a flood is held back: ${statuses}`);
  await page.done();
});

test("rules that are wrong are refused with the words for it, and nothing changes", async () => {
  const source = await made("Wrong rules");
  const page = await signedIn(chrome, gate, { at: `/sources/${source.id}?tab=rules` });
  await page.getByRole("combobox", { name: "Networks that may send" }).fill("not a network");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Save the rules" }).click();
  await page.getByRole("alert").first().waitFor();
  assert.deepEqual((await gate.api("GET", `/api/v1/becket/source/${source.id}`)).settings.allowIps, []);
  await page.done();
});

test("test events: a sample, an edited body, and one that breaks a rule", async () => {
  const source = await made("Tested");
  const page = await signedIn(chrome, gate, { at: `/sources/${source.id}?tab=test` });
  await page.getByRole("button", { name: "Sign and send" }).click();
  const result = page.getByRole("region", { name: "What became of it" });
  await result.getByText(/It is an event now/).waitFor();
  await looked(page, "source-test-sent");
  await page.getByRole("combobox", { name: "Like" }).click();
  await page.getByRole("option", { name: "issues" }).click();
  await page.getByText("A body of your own").click();
  const editor = page.getByRole("textbox", { name: /Body/ });
  await editor.click();
  await editor.fill('{"action": "edited by hand"}');
  await page.getByRole("button", { name: "Sign and send" }).click();
  await result.getByText(/It is an event now/).waitFor();
  await result.getByRole("link", { name: "See the event" }).click();
  await page.waitForURL(/\/events\/msg_/);
  const explained = await gate.api("GET", `/api/v1/becket/event/${page.url().split("/").at(-1)}/explain`);
  assert.match(JSON.stringify(explained), /edited by hand/);
  await gate.api("PATCH", `/api/v1/becket/source/${source.id}`, { required: ["not.there"] });
  await page.goto(`${gate.url}/sources/${source.id}?tab=test`);
  await page.getByRole("button", { name: "Sign and send" }).click();
  await result.getByText(/answered 422/).waitFor();
  await gate.api("PATCH", `/api/v1/becket/source/${source.id}`, { required: ["mended"] });
  await result.getByRole("button", { name: "Edit its body and send again" }).click();
  await page.getByRole("textbox", { name: /Body/ }).fill('{"mended": true}');
  await page.getByRole("button", { name: "Sign and send" }).click();
  await result.getByText(/It is an event now/).waitFor();
  await page.done();
});

test("a provider whose signature cannot be made here says why", async () => {
  const source = await gate.api("POST", "/api/v1/becket/source", { provider: "discord", name: "Discord" });
  const page = await signedIn(chrome, gate, { at: `/sources/${source.id}?tab=test` });
  await page.getByRole("button", { name: "Sign and send" }).click();
  await page.getByRole("alert").filter({ hasText: /signature cannot be made here/ }).waitFor();
  await page.done();
});

test("a secret is rotated with overlap, and the URL gets a new token", async () => {
  const source = await made("Rotated", "github", "the old secret");
  const page = await signedIn(chrome, gate, { at: `/sources/${source.id}?tab=verification` });
  await page.getByLabel("The webhook's Secret", { exact: true }).fill("the new secret");
  await page.getByRole("button", { name: "Set the new secret" }).click();
  await page.getByText("The new secret verifies from now on.").waitFor();
  assert.equal((await gate.send(where(source), github("the old secret", { n: 1 }))).status, 200, "the old one verifies meanwhile");
  assert.equal((await gate.send(where(source), github("the new secret", { n: 2 }))).status, 200);
  await page.getByRole("button", { name: "Make a new URL" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Make a new URL" }).click();
  await page.getByText("This is the new one.").waitFor();
  const now = await until("the new URL", async () => {
    const shown = await gate.api("GET", `/api/v1/becket/source/${source.id}`);
    return shown.receivingUrl !== source.receivingUrl && shown;
  });
  await until("the new URL on the page", async () => (await shownPath(page)) === where(now));
  assert.equal((await gate.send(where(now), github("the new secret", { n: 3 }))).status, 200);
  assert.equal((await gate.send(where(source), github("the new secret", { n: 4 }))).status, 200, "the old URL receives meanwhile");
  await page.done();
});

test("observing is warned of before and as long as it lasts", async () => {
  const source = await made("Observed");
  const page = await signedIn(chrome, gate, { at: `/sources/${source.id}?tab=verification` });
  await page.getByRole("radio", { name: /Accept it/ }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(/Anybody who knows the URL/).waitFor();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  assert.equal((await named("Observed")).verification, "enforce");
  await page.getByRole("radio", { name: /Accept it/ }).click();
  await dialog.getByRole("button", { name: "Observe only" }).click();
  await page.getByText("This source proves nothing about who sends").waitFor();
  await axe(page, { where: "an observing source" });
  await page.getByRole("radio", { name: /Refuse it/ }).click();
  await until("enforcement", async () => (await named("Observed")).verification === "enforce");
  await page.done();
});

test("an endpoint is added, and a source is deleted after a question", async () => {
  const source = await made("Deleted soon", "standardwebhooks", "whsec_c3RhbmRhcmQtd2ViaG9va3MtYnJvd3Nlci10ZXN0cw==");
  const page = await signedIn(chrome, gate, { at: `/sources/${source.id}` });
  await page.getByLabel("Add an endpoint").fill(`${gate.sink.url}/added`);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("table", { name: "Endpoints" }).getByText("/added").waitFor();
  await gate.send(where(source), standard("whsec_c3RhbmRhcmQtd2ViaG9va3MtYnJvd3Nlci10ZXN0cw==", { type: "order.created" }));
  await until("the delivery", async () => gate.sink.at("/added").length > 0);
  await page.getByRole("button", { name: "Delete" }).click();
  await axe(page, { where: "the question before deleting" });
  await page.getByRole("dialog").getByRole("button", { name: "Delete the source" }).click();
  await page.waitForURL(/\/sources$/);
  await until("the source is gone", async () => (await named("Deleted soon")) === undefined);
  await page.getByRole("checkbox", { name: /Show removed ones/ }).check();
  await page.getByRole("link", { name: /Deleted soon|Standard Webhooks/ }).first().waitFor();
  assert.equal((await gate.send(where(source), { body: "{}", headers: {} })).status, 404);
  await page.done();
});

test("a source gets another name, and keeps its URL", async () => {
  const source = await made("Misnamed");
  const page = await signedIn(chrome, gate, { at: `/sources/${source.id}` });
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("Well named");
  await axe(page, { where: "the dialog of the name" });
  await page.getByRole("dialog").getByRole("button", { name: "Save the name" }).click();
  await page.getByRole("heading", { level: 1, name: "Well named" }).waitFor();
  assert.equal((await named("Well named")).receivingUrl, source.receivingUrl);
  await page.done();
});

test("a source of the file is read, with the words why", async () => {
  const source = (await every()).find((one) => one.uid === "github");
  const page = await signedIn(chrome, gate, { at: `/sources/${source.id}?tab=rules` });
  await page.getByText("This source is in the operator's file").waitFor();
  assert.equal(await page.getByLabel("Genuine requests accepted").isDisabled(), true);
  assert.equal(await page.getByRole("button", { name: "Save the rules" }).count(), 0);
  await axe(page, { where: "a source of the file" });
  await page.done();
});

test("a viewer sees sources and changes none", async () => {
  const { token } = await gate.api("POST", "/api/v1/becket/token", { name: "looks only", role: "viewer" });
  const source = await made("Viewed");
  const page = await signedIn(chrome, gate, { token, at: `/sources/${source.id}?tab=verification` });
  await page.getByText("You can look, not change").waitFor();
  assert.equal(await page.getByRole("button", { name: "Set the new secret" }).count(), 0);
  assert.equal(await page.getByRole("button", { name: "Delete" }).count(), 0);
  await page.goto(`${gate.url}/sources/new`);
  await page.getByText("A viewer cannot make sources").waitFor();
  await shot(page, "sources-viewer");
  await page.done();
});

test("nothing is there yet: the list teaches", async () => {
  // A gateway that was never configured brings an example along, so the file first has something else.
  const empty = await gateway({ config: '[[source]]\nid = "gone"\nprovider = "github"\nsecrets = ["it is going"]' });
  try {
    empty.configure("");
    await until("the source of the file is gone", async () => (await empty.api("GET", "/api/v1/becket/source")).data.every((source) => source.removed), 20_000);
    const page = await signedIn(chrome, empty, { at: "/sources" });
    await page.getByRole("heading", { name: "No source yet" }).waitFor();
    await page.getByRole("link", { name: "New source" }).first().waitFor();
    await looked(page, "sources-empty");
    await page.done();
  } finally {
    await empty.stop();
  }
});
