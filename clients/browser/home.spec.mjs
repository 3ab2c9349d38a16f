// The overview while webhooks come in, problems, an empty gateway, and what is around every page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { axe, browser, fits, looked, open, PHONE, signedIn } from "./lib/browser.mjs";
import { house, until } from "./lib/house.mjs";

let gate;
let empty;
let chrome;

before(async () => {
  gate = await house({ full: true });
  empty = await house();
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await gate?.stop();
  await empty?.stop();
});

const heading = (page, name) => page.getByRole("heading", { level: 1, name });

/** The number of one of the figures, as it stands. */
const figure = async (page, label) => Number((await page.getByRole("group", { name: /^Totals/ }).getByText(label, { exact: true }).locator("+ *").textContent()).replace(/\D/g, ""));

test("an empty gateway shows the way to the first event, and goes live with it", async () => {
  const page = await signedIn(chrome, empty);
  await page.getByRole("heading", { name: "The way to the first event" }).waitFor();
  await looked(page, "overview-empty");
  assert.ok((await page.locator("pre").allTextContents()).some((text) => text.includes(`${empty.url}/in/`)), "the curl line has the receiving URL");
  await empty.github({ zen: "Keep it logically awesome." }, { event: "ping" });
  await page.getByRole("heading", { name: "Received" }).waitFor();
  await page.done();
});

test("the figures go up while webhooks come in, without loading anew", async () => {
  const page = await signedIn(chrome, gate, { at: "/?stretch=1h" });
  await page.getByRole("group", { name: /^Totals/ }).waitFor();
  const before = await figure(page, "Received");
  assert.ok(before > 50, `the house has traffic: ${before}`);
  for (let n = 0; n < 7; n += 1) await gate.github({ ref: "refs/heads/live", after: String(n) });
  await until("the figures", async () => (await figure(page, "Received")) >= before + 7, 20_000);
  await page.getByText("Live", { exact: true }).waitFor();
  await page.done();
});

test("a page that is hidden asks nothing", async () => {
  const page = await signedIn(chrome, gate, { at: "/?stretch=1h" });
  await page.getByRole("group", { name: /^Totals/ }).waitFor();
  await page.evaluate(() => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "hidden" });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.waitForTimeout(500);
  let asked = 0;
  page.on("request", (request) => { if (request.url().includes("/becket/activity")) asked += 1; });
  await page.waitForTimeout(6_000);
  assert.equal(asked, 0);
  await page.evaluate(() => { delete document.visibilityState; document.dispatchEvent(new Event("visibilitychange")); });
  await until("the next question", () => asked > 0, 20_000);
  await page.done();
});

test("a failing endpoint and refused signatures come first, with a way to each", async () => {
  for (let n = 0; n < 60; n += 1) await gate.send("/in/github", gate.senders.github("the wrong secret", { n }));
  await until("the endpoint's failures to be noticed", async () =>
    (await gate.api("GET", "/api/v1/becket/problem")).data.map((one) => one.kind).join().match(/endpoint_failing.*signatures_refused/), 60_000);
  const page = await signedIn(chrome, gate);
  const problems = page.getByRole("region", { name: "Problems" }).getByRole("listitem");
  const failing = problems.filter({ has: page.getByRole("link", { name: "Endpoint", exact: true }) }).first();
  await failing.waitFor();
  assert.match(await failing.innerText(), /since/);
  await page.getByRole("link", { name: /^Gateway: \d+ problems?/ }).waitFor();
  await looked(page, "overview");
  await problems.filter({ hasText: /github/ }).getByRole("link", { name: "Refused requests" }).first().click();
  await heading(page, "Quarantine").waitFor();
  await page.goBack();
  await failing.getByRole("link", { name: "Endpoint", exact: true }).click();
  await page.waitForURL(/\/endpoints\/ep_/);
  await page.done();
});

test("the stretch of time is in the address, and what is shown follows it", async () => {
  const page = await signedIn(chrome, gate);
  await page.getByRole("heading", { name: "Received" }).waitFor();
  await page.getByText("7d", { exact: true }).click();
  await page.waitForURL(/stretch=7d/);
  await page.reload();
  await page.getByRole("radio", { name: "7d" }).and(page.locator(":checked")).waitFor({ state: "attached" });
  await page.goto(`${gate.url}/?stretch=nonsense`);
  await page.getByRole("radio", { name: "24h" }).and(page.locator(":checked")).waitFor({ state: "attached" });
  const bySource = page.locator("table").filter({ has: page.getByRole("columnheader", { name: "Source" }) });
  await bySource.getByRole("link", { name: "github", exact: true }).click();
  await page.waitForURL(/\/sources\//);
  await page.done();
});

test("a chart is read with the arrow keys and as a table", async () => {
  const page = await signedIn(chrome, gate, { at: "/?stretch=1h" });
  const chart = page.getByRole("group", { name: /^Received: chart/ });
  await chart.locator("canvas").waitFor();
  await chart.focus();
  await page.keyboard.press("End");
  await chart.getByRole("status").getByText(/Accepted \d+, Refused \d+/).waitFor();
  const last = await chart.getByRole("status").innerText();
  await page.keyboard.press("ArrowLeft");
  assert.notEqual(await chart.getByRole("status").innerText(), last);
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/events\?.*since=.*until=/);
  await page.goBack();
  await page.getByRole("button", { name: "Received: show as a table" }).click();
  const table = page.getByRole("region", { name: "Received" }).getByRole("table");
  await table.getByRole("columnheader", { name: "Refused" }).waitFor();
  assert.ok((await table.getByRole("row").count()) > 1);
  await axe(page, { where: "a chart as a table" });
  await page.done();
});

test("an id, a name or a key leads everywhere", async () => {
  const [event] = (await gate.api("GET", "/api/v1/becket/event?limit=1")).data;
  const [attempt] = (await gate.api("GET", "/api/v1/becket/attempt?limit=1")).data;
  const page = await signedIn(chrome, gate);
  await page.keyboard.press("/");
  const field = page.getByRole("combobox", { name: "Search, or paste an id" });
  await axe(page, { where: "the finder" });
  await field.fill(`2026-11-22 WARN delivery of ${event.id} failed`);
  await page.keyboard.press("Enter");
  await page.waitForURL(new RegExp(`/events/${event.id}`));
  await field.waitFor({ state: "detached" });
  await page.keyboard.press("Control+k");
  await field.fill(attempt.id);
  await page.keyboard.press("Enter");
  await page.waitForURL(new RegExp(`/events/${attempt.eventId}`));
  await field.waitFor({ state: "detached" });
  await page.keyboard.press("/");
  await field.fill("globex-m");
  await page.getByRole("option").filter({ hasText: "globex-main" }).waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/endpoints\/ep_/);
  await field.waitFor({ state: "detached" });
  await page.keyboard.press("Control+k");
  await field.fill("msg_000000000000000000000000000");
  await page.keyboard.press("Escape");
  await field.waitFor({ state: "detached" });
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  await heading(page, "Events").waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByText("Keyboard shortcuts").waitFor();
  await axe(page, { where: "the list of keys" });
  await page.getByRole("switch", { name: "Single keys act" }).uncheck();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press("/");
  await page.waitForTimeout(200);
  assert.equal(await field.count(), 0, "single keys are off");
  await page.done();
});

test("everything is reached with the keyboard alone", async () => {
  const page = await open(chrome);
  await page.goto(`${gate.url}/settings`);
  await heading(page, "Sign in to Becket").waitFor();
  await page.keyboard.type(gate.token);
  await page.keyboard.press("Enter");
  await heading(page, "Settings").waitFor();
  await page.reload();
  await heading(page, "Settings").waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "New token");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.closest("[role=dialog]") !== null), true, "the focus is in the dialog");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await until("the focus to return", () => page.evaluate(() => document.activeElement.textContent === "New token"), 3_000);
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Quarantine" }).focus();
  await page.keyboard.press("Enter");
  await heading(page, "Quarantine").waitFor();
  await until("the focus on the new page's heading", () => page.evaluate(() => document.activeElement.tagName === "H1"), 3_000);
  await page.done();
});

test("every page has its own title, and what is no page says so", async () => {
  const page = await signedIn(chrome, gate);
  for (const [where, title] of [["/", "Overview"], ["/audit", "Audit log"], ["/settings", "Settings"], ["/no/such/page", "There is no such page"]]) {
    await page.evaluate((to) => { history.pushState(null, "", to); dispatchEvent(new PopStateEvent("popstate")); }, where);
    await heading(page, title).waitFor();
    assert.equal(await page.title(), `${title} · Becket`);
    await axe(page);
  }
  await page.getByRole("main").getByRole("link", { name: "Events" }).click();
  await heading(page, "Events").waitFor();
  await page.done();
});

test("a page whose data cannot be had says so and comes back", async () => {
  const page = await signedIn(chrome, gate);
  await page.getByRole("heading", { name: "Received" }).waitFor();
  await page.route("**/api/v1/becket/**", (route) => route.abort());
  await page.getByText("The gateway cannot be reached").first().waitFor({ timeout: 30_000 });
  await axe(page, { where: "overview, unreachable" });
  await page.unroute("**/api/v1/becket/**");
  await page.getByText("The gateway cannot be reached").first().waitFor({ state: "detached", timeout: 30_000 });
  await page.done();
});

test("a page that fails leaves the rest standing, and says how to go on", async () => {
  const page = await signedIn(chrome, gate);
  page.expectTrouble(/dynamically imported module/);
  await page.route("**/assets/audit-*.js", (route) => route.abort());
  const pages = page.getByRole("navigation", { name: "Pages" });
  await pages.getByRole("link", { name: "Audit log" }).click();
  await heading(page, "The dashboard has been updated").waitFor();
  await axe(page, { where: "a page whose file is gone" });
  await page.unroute("**/assets/audit-*.js");
  await page.getByRole("button", { name: "Load it anew" }).click();
  await heading(page, "Audit log").waitFor();
  await page.done();
});

test("colours follow the system, or the reader", async () => {
  const page = await signedIn(chrome, gate, { dark: true, size: PHONE });
  const scheme = () => page.evaluate(() => document.documentElement.dataset.mantineColorScheme);
  assert.equal(await scheme(), "dark");
  await page.getByRole("button", { name: /^Colours: as the system/ }).click();
  assert.equal(await scheme(), "light");
  await page.reload();
  await heading(page, "Overview").waitFor();
  assert.equal(await scheme(), "light", "it is remembered");
  await fits(page);
  await page.done();
});
