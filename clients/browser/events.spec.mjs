// The events page and the page of one event, with real webhooks coming in.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { PHONE, axe, browser, fits, looked, signedIn } from "./lib/browser.mjs";
import { freePort } from "./lib/gateway.mjs";
import { house, SECRETS, until } from "./lib/house.mjs";
import { github } from "./lib/senders.mjs";

let gate;
let chrome;
before(async () => {
  gate = await house({ full: true });
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await gate?.stop();
});

const rows = (page) => page.getByRole("grid", { name: "Events" }).locator('[role="row"][id]');
const shown = async (page) => (await rows(page).allInnerTexts()).map((text) => text.replaceAll("\n", " "));
const list = (query) => gate.api("GET", `/api/v1/becket/event?${query}`).then((page) => page.data);
const settled = (page) => page.waitForFunction(() => document.querySelector('[role="grid"]')?.getAttribute("aria-busy") === "false");

describe("the list", () => {
  test("shows what came, fits, and passes axe in both colours and widths", async () => {
    const page = await signedIn(chrome, gate, { at: "/events" });
    await rows(page).first().waitFor();
    const texts = (await shown(page)).join("\n");
    for (const word of ["github", "push", "delivered", "genuine"]) assert.match(texts, new RegExp(word));
    await looked(page, "events");
    await page.done();
  });

  test("filters are in the URL, and a URL is a view", async () => {
    const page = await signedIn(chrome, gate, { at: "/events" });
    await page.getByRole("combobox", { name: "Source" }).or(page.getByLabel("Source", { exact: true })).first().fill("stripe");
    await page.keyboard.press("Enter");
    await page.waitForURL(/source=stripe/);
    await page.getByLabel("Event type", { exact: true }).first().fill("invoice.payment_failed");
    await page.keyboard.press("Enter");
    await page.waitForURL(/type=invoice\.payment_failed/);
    await until("only failed payments", async () => {
      const texts = await shown(page);
      return texts.length > 0 && texts.every((text) => /stripe/.test(text) && /invoice\.payment_failed/.test(text));
    });
    const wanted = (await list("source=stripe&event_type=invoice.payment_failed&limit=100")).length;
    assert.equal((await shown(page)).length, wanted);

    const again = await signedIn(chrome, gate, { at: new URL(page.url()).pathname + new URL(page.url()).search });
    await until("the same view in another window", async () => (await shown(again)).length === wanted);
    await again.done();
    await page.getByRole("button", { name: "Clear filters" }).click();
    await until("everything again", async () => (await shown(page)).length > wanted);
    await page.done();
  });

  test("state, time, application and id narrow the list", async () => {
    const page = await signedIn(chrome, gate, { at: "/events?status=delivered&range=1h" });
    await until("delivered ones", async () => (await shown(page)).length > 3);
    assert.ok((await shown(page)).every((text) => /delivered/.test(text)));
    await page.getByRole("button", { name: /^Time: Last hour/ }).click();
    await page.getByRole("button", { name: "Any time" }).click();
    await page.waitForURL((url) => !url.search.includes("range"));
    await page.goto(`${gate.url}/events?application=globex`);
    await until("those of the customer", async () => {
      const texts = await shown(page);
      return texts.length >= 12 && texts.every((text) => /globex/.test(text));
    });
    const [one] = await list("source=github&limit=1");
    await page.getByLabel("Event id, or text in the payload").fill(one.id);
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(`id=${one.id}`));
    await page.goto(`${gate.url}/events?id=${one.id}`);
    await until("the one event", async () => (await shown(page)).length === 1);
    await page.done();
  });

  test("finds text and fields in payloads, and says how far it looked", async () => {
    await gate.github({ ref: "refs/heads/needle-in-the-haystack", commits: [] });
    const page = await signedIn(chrome, gate, { at: "/events" });
    await page.getByLabel("Event id, or text in the payload").fill("NEEDLE-in-the-hay");
    await page.keyboard.press("Enter");
    await page.waitForURL(/text=/);
    await until("the needle", async () => (await shown(page)).length === 1);
    await page.getByText("everything was searched").waitFor();
    await page.goto(`${gate.url}/events`);
    await page.getByRole("button", { name: "Payload field" }).click();
    await page.getByLabel("A field of the payload").fill("data.object.customer = cus_3");
    await page.keyboard.press("Enter");
    await page.waitForURL(/where=/);
    const wanted = (await list(`filter=${encodeURIComponent('{"body":{"data":{"object":{"customer":"cus_3"}}}}')}&limit=100`)).length;
    assert.ok(wanted > 0);
    await until("those of the customer", async () => (await shown(page)).length === wanted);
    await page.getByRole("button", { name: /^Payload field/ }).click();
    await page.getByLabel("Or a whole filter").fill("{ not json");
    await page.getByRole("dialog").getByRole("button", { name: "Search" }).click();
    await page.getByText(/The filter is no JSON/).waitFor();
    await page.done();
  });

  test("a view gets a name, is found again by it, and is forgotten", async () => {
    const page = await signedIn(chrome, gate, { at: "/events?source=github&status=delivered" });
    await page.getByRole("button", { name: "Views" }).click();
    await page.getByRole("menuitem", { name: "Save this view" }).click();
    await page.getByLabel("Name").fill("Pushes that arrived");
    await page.keyboard.press("Enter");
    await page.goto(`${gate.url}/events`);
    await page.getByRole("button", { name: "Views" }).click();
    await page.getByRole("menuitem", { name: "Pushes that arrived", exact: true }).click();
    await page.waitForURL(/source=github.*status=delivered|status=delivered.*source=github/);
    await page.getByRole("button", { name: "Views" }).click();
    await page.getByRole("menuitem", { name: "Forget the view Pushes that arrived" }).click();
    assert.equal(await page.getByRole("menuitem", { name: "Pushes that arrived", exact: true }).count(), 0);
    await page.done();
  });

  test("new events appear by themselves; paused they are counted and wait", async () => {
    const page = await signedIn(chrome, gate, { at: "/events?source=slack" });
    await page.getByRole("button", { name: "Live" }).waitFor();
    await until("the first rows", async () => (await shown(page)).length > 0);
    const begun = (await shown(page)).length;
    await page.locator('.live-dot[data-state="open"]').waitFor();
    await gate.slack({ type: "event_callback", event: { type: "app_mention" } });
    await until("the new one", async () => (await shown(page)).length === begun + 1);
    await page.getByRole("button", { name: "Live" }).click();
    for (let n = 0; n < 3; n += 1) await gate.slack({ type: "event_callback", event: { type: "app_mention", n } });
    await page.getByRole("button", { name: "Paused, 3 new" }).waitFor();
    assert.equal((await shown(page)).length, begun + 1, "nothing moves while it is paused");
    await page.getByRole("button", { name: "Paused, 3 new" }).click();
    await until("all of them", async () => (await shown(page)).length === begun + 4);
    await page.done();
  });

  test("the state of a row changes when its delivery ends", async () => {
    gate.sink.flip("/slow/1500", 200);
    await gate.customer("slowly", "Slowly", [{ uid: "slowly-main", url: `${gate.sink.url}/slow/1500` }]);
    const page = await signedIn(chrome, gate, { at: "/events?application=slowly" });
    await page.locator('.live-dot[data-state="open"]').waitFor();
    await gate.post("slowly", "thing.done", { n: 1 });
    await until("pending", async () => /pending/.test((await shown(page)).join()));
    await until("delivered", async () => /delivered/.test((await shown(page)).join()));
    await page.done();
  });

  test("pages come while one scrolls, and those far away leave", async () => {
    await gate.customer("many", "Many");
    for (let n = 0; n < 260; n += 20) await Promise.all(Array.from({ length: 20 }, (_, m) => gate.post("many", "row.made", { n: n + m })));
    const page = await signedIn(chrome, gate, { at: "/events?application=many" });
    const grid = page.getByRole("grid", { name: "Events" });
    await rows(page).first().waitFor();
    await until("the end", async () => {
      await grid.evaluate((element) => { element.scrollTop = element.scrollHeight; });
      return await page.getByText("260 events", { exact: true }).count() === 1;
    });
    assert.ok((await rows(page).count()) < 80, "only the rows in sight are in the page");
    assert.equal(await grid.getAttribute("aria-rowcount"), "261");
    await page.done();
  });

  test("selected events are replayed with progress, and exported", async () => {
    const page = await signedIn(chrome, gate, { at: "/events?source=github&type=push" });
    await rows(page).first().waitFor();
    const begun = gate.sink.at("/github").length;
    const boxes = page.getByRole("checkbox", { name: /^Select push/ });
    for (let n = 0; n < 3; n += 1) await boxes.nth(n).click();
    await page.getByText("3 events selected").waitFor();
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("region", { name: "Selected events" }).getByRole("button", { name: "Export" }).click()]);
    const lines = readFileSync(await file.path(), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.map((line) => line.eventType), ["push", "push", "push"]);
    await page.getByRole("button", { name: "Replay…" }).click();
    await page.getByLabel("To", { exact: true }).first().click();
    await page.getByRole("option", { name: "github/app" }).click();
    await axe(page, { where: "the replay dialog" });
    await page.getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByText("Done: 3 events.").waitFor();
    await page.getByText("3 deliveries started again").waitFor();
    await until("three more at the receiver", () => gate.sink.at("/github").length === begun + 3);
    await page.getByRole("button", { name: "Close" }).last().click();
    await page.done();
  });

  test("a replay of everything that matches counts, goes in steps and stops in the middle", async () => {
    const page = await signedIn(chrome, gate, { at: "/events?source=github&range=24h" });
    await rows(page).first().waitFor();
    let steps = 0;
    await page.route("**/api/v1/becket/replay", async (route) => {
      if (!route.request().postDataJSON().dryRun) { steps += 1; await new Promise((resolve) => setTimeout(resolve, 700)); }
      await route.continue({ postData: { ...route.request().postDataJSON(), ...(!route.request().postDataJSON().dryRun && { limit: 2 }) } });
    });
    await page.getByRole("button", { name: "More" }).click();
    await page.getByRole("menuitem", { name: "Replay all that match…" }).click();
    await page.getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByText(/^[1-9]\d* of \d+ events$/).waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText(/^Stopped after \d+ of \d+ events/).waitFor();
    const stopped = steps;
    await page.waitForTimeout(1_500);
    assert.equal(steps, stopped, "nothing is started behind the stop");
    await page.done();
  });

  test("works with the keyboard alone", async () => {
    const page = await signedIn(chrome, gate, { at: "/events?source=github" });
    await rows(page).first().waitFor();
    await page.getByRole("grid", { name: "Events" }).focus();
    const active = () => page.getByRole("grid", { name: "Events" }).getAttribute("aria-activedescendant");
    const first = await active();
    await page.keyboard.press("j");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("k");
    assert.notEqual(await active(), first);
    await page.keyboard.press("x");
    await page.getByText("1 event selected").waitFor();
    await page.keyboard.press("Shift+ArrowDown");
    await page.getByText("2 events selected").waitFor();
    await page.keyboard.press("Escape");
    const chosen = (await active()).replace("row-", "");
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(`/events/${chosen}`));
    await page.getByText(chosen).first().waitFor();
    await page.goBack();
    await rows(page).first().waitFor();
    assert.equal(await active(), `row-${chosen}`, "the place is kept");
    await page.done();
  });

  test("says what to do when there is nothing", async () => {
    const page = await signedIn(chrome, gate, { at: "/events?type=no.such.type" });
    await page.getByText("No event fits these filters").waitFor();
    await page.getByRole("link", { name: "Show all events" }).click();
    await rows(page).first().waitFor();
    await page.done();
  });
});

const newest = async (query) => (await list(`${query}&limit=1`))[0];
const moment = (page, title) => page.locator(".moment").filter({ has: page.locator("strong", { hasText: title }) });

describe("an event", () => {
  test("delivered to one endpoint and filtered for another: verdict, clause, attempt, and axe", async () => {
    await gate.github({ ref: "refs/heads/feature-x", commits: [{ id: "1" }] });
    const event = await until("the delivery", async () => {
      const found = await newest("source=github");
      return found.state === "delivered" && found;
    });
    const page = await signedIn(chrome, gate, { at: `/events/${event.id}` });
    await moment(page, "Received").getByText(/POST http.*\/in\/github/).waitFor();
    await moment(page, "Verified").getByText("genuine", { exact: true }).waitFor();
    await page.getByText("What was signed, step by step").click();
    await page.getByText("The text that is signed").waitFor();
    await moment(page, "Delivered to github/app").getByText("200", { exact: true }).waitFor();
    const clause = moment(page, "Filtered for github/deploy");
    await clause.getByText("body.ref", { exact: true }).waitFor();
    await clause.getByText('"refs/heads/feature-x"').waitFor();
    await moment(page, "Delivered to github/app").locator("summary").first().click();
    await page.getByRole("list", { name: "Where the time went" }).waitFor();
    await page.getByText('{"received":"/github","status":200}').waitFor();
    await page.getByRole("tree", { name: "Payload" }).getByText('"refs/heads/feature-x"').waitFor();
    await looked(page, "event");
    await page.done();
  });

  test("failing: what the status means, when the next attempt comes, live", async () => {
    gate.sink.flip("/later", 503);
    await gate.standard({ type: "late.one", data: { n: 1 } });
    const event = await until("the event", () => newest("source=orders&event_type=late.one"));
    const page = await signedIn(chrome, gate, { at: `/events/${event.id}` });
    await page.getByText("The receiver failed with 503.").first().waitFor();
    await page.getByText(/^Next attempt/).first().waitFor();
    await looked(page, "event-failing");
    gate.sink.flip("/later", 200);
    await moment(page, "Delivered to orders/patient").waitFor({ timeout: 30_000 });
    await page.getByText(/^Attempt [2-7]$/).first().waitFor();
    await page.done();
  });

  test("a repeat is told, and an unverified event says why", async () => {
    const sent = github(SECRETS.github, { ref: "refs/heads/twice" });
    for (let n = 0; n < 3; n += 1) await gate.send("/in/github", sent);
    const page = await signedIn(chrome, gate, { at: `/events/${(await newest("source=github")).id}` });
    await moment(page, "2 repeats answered with this event").waitFor();
    await page.done();

    const made = await gate.api("POST", "/ingest/api/v1/source", { name: "Lenient", uid: "lenient", type: "github", config: { secret: "another secret" } });
    await gate.api("PATCH", `/api/v1/becket/source/${made.id}`, { verification: "observe" });
    const { receivingUrl } = await gate.api("GET", `/api/v1/becket/source/${made.id}`);
    await gate.send(new URL(receivingUrl).pathname, github("not the right one", { ref: "refs/heads/x" }));
    const event = await until("the event", () => newest(`source=${made.id}`));
    const other = await signedIn(chrome, gate, { at: `/events/${event.id}` });
    const verdict = moment(other, "Accepted without a genuine signature");
    await verdict.getByText("unverified", { exact: true }).waitFor();
    await verdict.getByText(/the signature does not fit/).waitFor();
    await other.getByText("No endpoint", { exact: true }).first().waitFor();
    await looked(other, "event-unverified");
    await other.goto(`${gate.url}/events?verdict=unverified`);
    await until("only it", async () => (await shown(other)).length === 1);
    await other.done();
  });

  test("whoever may not see payloads sees what happened and a polite word", async () => {
    const { token } = await gate.api("POST", "/api/v1/becket/token", { name: "looks", role: "viewer", payloads: false });
    const event = await newest("source=github&status=delivered");
    const page = await signedIn(chrome, gate, { at: `/events/${event.id}`, token });
    await page.getByText("The payload is hidden").waitFor();
    await moment(page, "Delivered to github/app").locator("summary").first().click();
    await moment(page, "Delivered to github/app").getByText("Hidden: your sign-in has not the right to see payloads.").first().waitFor();
    await page.getByText("what was sent is hidden from your sign-in").waitFor();
    assert.equal(await page.getByRole("button", { name: "Replay", exact: true }).getAttribute("aria-disabled"), "true");
    await axe(page, { where: "an event without its payload" });
    await page.done();
  });

  test("a transformed delivery shows what changed", async () => {
    await gate.customer("formed", "Formed", [{ uid: "formed-main", url: `${gate.sink.url}/formed` }]);
    await gate.api("PATCH", "/api/v1/app/formed/endpoint/formed-main/transformation", {
      code: "function handler(webhook) { webhook.payload.added = 'by the code'; delete webhook.payload.secretish; console.log('changed it'); return webhook; }", enabled: true,
    });
    const { id } = await gate.post("formed", "thing.done", { kept: 1, secretish: "away" });
    const page = await signedIn(chrome, gate, { at: `/events/${id}` });
    await moment(page, "Delivered to formed/formed-main").locator("summary").first().click();
    await page.getByText("Nothing to verify").waitFor();
    const diff = page.getByLabel("What the transformation changed");
    await diff.locator('[data-change="added"]', { hasText: "by the code" }).waitFor();
    await diff.locator('[data-change="removed"]', { hasText: "secretish" }).waitFor();
    await page.getByText("What its code wrote").click();
    await page.getByText("changed it").waitFor();
    await page.done();
  });

  test("the tree is searched and walked with the keyboard; a value leads to its events", async () => {
    const event = await newest("source=stripe");
    const page = await signedIn(chrome, gate, { at: `/events/${event.id}` });
    await page.getByLabel("Search in the payload").fill("amount_due");
    await page.getByText("1 of 1", { exact: true }).waitFor();
    await page.getByText("data.object.amount_due", { exact: true }).waitFor();
    const tree = page.getByRole("tree", { name: "Payload" });
    await tree.focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await tree.getByRole("treeitem").count(), 1, "everything is folded");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowDown");
    await page.getByLabel("Path of the chosen value").getByText("id", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Events with this" }).click();
    await page.waitForURL(/where=id/);
    await page.done();
  });

  test("bytes, headers and download are exact", async () => {
    const body = '{"exact": 12345678901234567890,  "spaces":  true}\n';
    await gate.github(body);
    const event = await newest("source=github");
    const page = await signedIn(chrome, gate, { at: `/events/${event.id}` });
    await page.getByRole("tree").getByText("12345678901234567890").waitFor();
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
    assert.equal(readFileSync(await file.path(), "utf8"), body);
    await page.getByRole("radiogroup", { name: "How the payload is shown" }).getByText("Bytes").click();
    await page.getByText("7b 22 65 78 61 63 74 22").waitFor();
    await page.getByText(/^Headers \(/).click();
    await page.getByRole("table", { name: "Request headers" }).getByText("GitHub-Hookshot/0123abc").waitFor();
    await page.done();
  });

  test("is replayed to one endpoint, and the page follows", async () => {
    const event = await until("a delivered one", async () => (await list("source=github&status=delivered&limit=5")).find((one) => one.filteredBy.length === 0));
    const begun = gate.sink.at("/deploy").length;
    const page = await signedIn(chrome, gate, { at: `/events/${event.id}` });
    await page.getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByLabel("To", { exact: true }).first().click();
    await page.getByRole("option", { name: "github/deploy" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByText("Done: 1 event.").waitFor();
    await page.getByRole("button", { name: "Close" }).last().click();
    await until("the receiver has it again", () => gate.sink.at("/deploy").length === begun + 1);
    await page.getByText(/^Attempt 1, replay \d+$/).first().waitFor();
    await page.done();
  });

  test("is usable on a phone", async () => {
    const event = await newest("source=stripe");
    const page = await signedIn(chrome, gate, { at: "/events", size: PHONE });
    await rows(page).first().waitFor();
    await page.getByRole("button", { name: "Filters" }).click();
    await page.getByRole("dialog").getByLabel("Source").fill("stripe");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Show events" }).click();
    await page.waitForURL(/source=stripe/);
    await fits(page);
    await page.goto(`${gate.url}/events/${event.id}`);
    await page.getByRole("tree", { name: "Payload" }).waitFor();
    await fits(page);
    await page.done();
  });
});

// What is on the clipboard, pasted as a person would: pages of the gateway may not read it.
const copied = async (page, button) => {
  await page.getByRole("button", { name: button }).click();
  await page.getByText("Copied", { exact: true }).first().waitFor({ state: "attached" });
  const other = await page.context().newPage();
  await other.setContent("<textarea></textarea>");
  await other.locator("textarea").press("Control+V");
  const text = await other.locator("textarea").inputValue();
  await other.close();
  return text;
};
const run = (command, args, how = {}) => new Promise((resolve) => {
  const child = spawn(command, args, how);
  let said = "";
  child.stdout.on("data", (part) => { said += part; });
  child.stderr.on("data", (part) => { said += part; });
  child.on("close", (code) => resolve({ code, said }));
});

describe("an event in other forms", () => {
  test("curl sends the same request again", async () => {
    const event = await newest("source=github&event_type=push");
    const page = await signedIn(chrome, gate, { at: `/events/${event.id}` });
    await page.getByRole("button", { name: "Copy as" }).click();
    await page.getByRole("menuitem", { name: "curl" }).click();
    const line = await copied(page, "Copy the curl line");
    const { code, said } = await run("sh", ["-c", `${line} --silent --include`]);
    assert.equal(code, 0, said);
    assert.match(said, /HTTP\/1\.1 20\d/, "its signature still fits: it is a repeat");
    await page.done();
  });

  test("a test file passes becket test against a handler from the page", async () => {
    const event = await until("a delivered one", () => newest("source=orders&status=delivered"));
    const page = await signedIn(chrome, gate, { at: `/events/${event.id}` });
    const folder = mkdtempSync(path.join(os.tmpdir(), "becket-forms-"));
    await page.getByRole("button", { name: "Copy as" }).click();
    await page.getByRole("menuitem", { name: "Test file" }).click();
    mkdirSync(path.join(folder, "webhooks"));
    writeFileSync(path.join(folder, "webhooks", "it.toml"), await copied(page, "Copy the test file"));
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Copy as" }).click();
    await page.getByRole("menuitem", { name: "Handler in your language" }).click();
    for (const [language, file, command] of [["Node.js", "handler.mjs", "node"], ["Python", "handler.py", "python3"]]) {
      await page.getByRole("tab", { name: language }).click();
      writeFileSync(path.join(folder, file), await copied(page, `Copy the ${language} handler`));
      const port = await freePort();
      const handler = spawn(command, [path.join(folder, file)], { env: { ...process.env, PORT: String(port), ENDPOINT_SECRET: SECRETS.standard }, stdio: ["ignore", "pipe", "inherit"] });
      let said = "";
      handler.stdout.on("data", (part) => { said += part; });
      const binary = process.env.BECKET_BIN ?? new URL("../../target/debug/becket", import.meta.url).pathname;
      const to = ["--to", `http://127.0.0.1:${port}/`, "--wait", "20s"];
      const tested = await run(binary, ["test", path.join(folder, "webhooks"), ...to, "--secret", SECRETS.standard], { cwd: folder });
      const forged = await run(binary, ["test", path.join(folder, "webhooks"), ...to, "--secret", "whsec_bm90IHRoZSByaWdodCBvbmU="], { cwd: folder });
      handler.kill();
      assert.equal(tested.code, 0, tested.said);
      assert.equal(forged.code, 1, `${language} must refuse what is not genuine: ${forged.said}`);
      assert.equal(said.includes("o_"), false, "becket test does not say the gateway's event type, so nothing is printed");
    }
    await page.done();
  });
});
