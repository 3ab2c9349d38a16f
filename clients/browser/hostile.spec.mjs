// Payloads that want to run, to lie or to freeze the page: they are shown as text, and nothing happens.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { axe, browser, fits, shot, signedIn } from "./lib/browser.mjs";
import { house, SECRETS, until } from "./lib/house.mjs";
import { github } from "./lib/senders.mjs";

// Other suites have the processors too. A page that holds all 125,000 items takes far longer; how many
// are in it is counted as well.
const ANSWERS_WITHIN_MS = 10_000;
const RUNS = "window.hacked = true";

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

/** Sends a payload as GitHub would and answers with its event. */
async function sent(body, headers = {}) {
  const request = github(SECRETS.github, body);
  const { status, text } = await gate.send("/in/github", { body: request.body, headers: { ...request.headers, ...headers } });
  assert.ok(status < 300, `${status} ${text}`);
  return until("the event", async () => {
    const [event] = (await gate.api("GET", "/api/v1/becket/event?source=github&limit=1")).data;
    return event;
  });
}

/** Opens its page and watches that nothing ran and the page is quick. */
async function opened(event) {
  const page = await signedIn(chrome, gate, { at: `/events/${event.id}` });
  await page.getByRole("radiogroup", { name: "How the payload is shown" }).waitFor({ timeout: 20_000 });
  return page;
}

async function calm(page) {
  const begun = Date.now();
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0))));
  const took = Date.now() - begun;
  assert.ok(took < ANSWERS_WITHIN_MS, `the page answers after ${took} ms`);
  assert.equal(await page.evaluate(() => window.hacked), undefined, "nothing of the payload has run");
  const strange = await page.evaluate(() => [...document.querySelectorAll("main script, main iframe, main object, main embed, main img, main svg[onload], main [onerror], main [onclick]")].map((one) => one.outerHTML));
  assert.deepEqual(strange, [], "nothing of the payload became an element");
}

const show = (page, what) => page.getByRole("radiogroup", { name: "How the payload is shown" }).getByText(what).click();

const MARKUP = [
  `<script>${RUNS}</script>`, `</script><script>${RUNS}</script>`, `<img src=x onerror="${RUNS}">`, `<svg onload="${RUNS}">`,
  `javascript:${RUNS}`, "{{constructor.constructor('" + RUNS + "')()}}", "\"><iframe srcdoc='<script>parent.hacked=1</script>'>", "<!--", "]]>", "${" + RUNS + "}",
];

describe("hostile payloads", () => {
  test("markup in keys, values, headers and event types is text", async () => {
    const body = JSON.stringify({ values: MARKUP, keys: Object.fromEntries(MARKUP.map((text) => [text, 1])), __proto__: { hacked: 1 }, "": "empty key" });
    const event = await sent(body, { "x-note": MARKUP[0], "x-github-event": "<img src=x onerror=alert(1)>" });
    const page = await opened(event);
    const tree = page.getByRole("tree", { name: "Payload" });
    for (const text of MARKUP.slice(0, 4)) await tree.getByText(`"${text}"`, { exact: true }).first().waitFor();
    await tree.getByText('"empty key"').waitFor();
    await calm(page);
    await show(page, "Text");
    await page.getByRole("group", { name: "Payload as text" }).getByText(MARKUP[0]).first().waitFor();
    await show(page, "Headers");
    await page.getByRole("table", { name: "Request headers" }).getByText(MARKUP[0]).waitFor();
    await calm(page);
    await page.getByRole("button", { name: "Copy as" }).click();
    await page.getByRole("menuitem", { name: "Handler in your language" }).click();
    for (const language of ["Python", "PHP", "Rust"]) {
      await page.getByRole("tab", { name: language }).click();
      await page.getByText("onerror=alert(1)").first().waitFor();
    }
    await calm(page);
    await shot(page, "hostile-markup");
    await page.goto(`${gate.url}/events`);
    await page.getByRole("grid").getByText("<img src=x onerror=alert(1)>").first().waitFor();
    await calm(page);
    await page.done();
  });

  test("what a receiver answers is text too", async () => {
    await gate.customer("evil", "<b>Evil</b>", [{ uid: "evil-main", url: `${gate.sink.url}/${encodeURIComponent("<script>")}?a=<script>window.hacked=true</script>` }]);
    const { id } = await gate.post("evil", "thing.done", { n: 1 });
    await until("the delivery", async () => (await gate.api("GET", `/api/v1/becket/event/${id}`)).state === "delivered");
    const page = await opened({ id });
    await page.locator(".attempt > summary").first().click();
    await page.getByText("Response 200").waitFor();
    await calm(page);
    await axe(page, { where: "an event of a hostile receiver" });
    await page.done();
  });

  test("bidi overrides, zero-width and control characters are visible", async () => {
    const event = await sent(JSON.stringify({ "user\u202Eadmin": "pay\u202Egnp.exe", zero: "a\u200Bb\uFEFFc", control: "\u0007\u001B[2J\u0000", tag: "x\u{E0041}" }));
    const page = await opened(event);
    const tree = page.getByRole("tree", { name: "Payload" });
    for (const text of ["user⟨U+202E⟩admin", "pay⟨U+202E⟩gnp.exe", "a⟨U+200B⟩b⟨U+FEFF⟩c", "x⟨U+E0041⟩"]) await tree.getByText(text).waitFor();
    await tree.getByText("␇␛[2J␀").waitFor();
    await page.getByText(/signs that cannot be seen/).waitFor();
    const raw = await page.evaluate(() => /[\u202E\u200B\u0007]/.test(document.body.innerText));
    assert.equal(raw, false, "none of them is in the page itself");
    await calm(page);
    await axe(page);
    await page.done();
  });

  test("ten megabytes of JSON open, search, scroll and close without freezing", async () => {
    const items = Array.from({ length: 125_000 }, (_, n) => ({ id: n, name: `item ${n}`, tags: ["a", "b"], note: "x".repeat(30) }));
    const body = JSON.stringify({ items, last: "the needle" });
    assert.ok(body.length > 10 * 1024 * 1024, `${body.length}`);
    const page = await opened(await sent(body));
    await page.evaluate(() => { window.longest = 0; let last = performance.now(); setInterval(() => { const now = performance.now(); window.longest = Math.max(window.longest, now - last); last = now; }, 20); });
    await calm(page);
    const tree = page.getByRole("tree", { name: "Payload" });
    await page.getByRole("button", { name: "Open everything" }).click();
    await calm(page);
    for (const share of [0.5, 1, 0.3]) {
      await tree.evaluate((element, at) => { element.scrollTop = element.scrollHeight * at; }, share);
      await calm(page);
    }
    assert.ok(await tree.getByRole("treeitem").count() < 120, "only what is in sight is in the page");
    await page.getByLabel("Search in the payload").fill("the needle");
    await page.getByText("1 of 1", { exact: true }).waitFor();
    await page.getByLabel("Path of the chosen value").getByText("last").waitFor();
    await tree.getByText('"the needle"').waitFor();
    for (const view of ["Text", "Bytes"]) {
      await show(page, view);
      await page.getByRole("group", { name: `Payload as ${view.toLowerCase()}` }).evaluate((element) => { element.scrollTop = element.scrollHeight; });
      await calm(page);
    }
    const longest = await page.evaluate(() => window.longest);
    console.log(`# ten megabytes: the longest pause of the page was ${Math.round(longest)} ms`);
    assert.ok(longest < ANSWERS_WITHIN_MS, `the page stood still for ${longest} ms`);
    await shot(page, "hostile-large");
    await page.done();
  });

  test("ten thousand levels are walked, and one line of five megabytes is shown in pieces", async () => {
    const deep = 10_000;
    const page = await opened(await sent(`${'{"a":'.repeat(deep)}"the bottom"${"}".repeat(deep)}`, { "content-type": "text/plain" }));
    await page.getByText(/10,001 levels deep|10001 levels deep/).waitFor();
    await page.getByLabel("Search in the payload").fill("the bottom");
    await page.getByRole("tree", { name: "Payload" }).getByText('"the bottom"').waitFor();
    await calm(page);
    await fits(page);
    await shot(page, "hostile-deep");
    await page.done();

    const line = await opened(await sent(JSON.stringify({ text: "y".repeat(5 * 1024 * 1024) })));
    await line.getByRole("tree").getByText(/5\.0 MiB/).waitFor();
    await calm(line);
    await show(line, "Text");
    await calm(line);
    await fits(line);
    await line.done();
  });

  test("invalid UTF-8 and binary are bytes; broken JSON and forms and XML are text", async () => {
    const binary = await opened(await sent(Uint8Array.from([0xff, 0xfe, 0x00, 0x22, 0xc3, 0x28, 0x1b, 0x5b]), { "content-type": "application/octet-stream" }));
    await binary.getByText("ff fe 00 22  c3 28 1b 5b").or(binary.getByText(/ff fe 00 22 c3 28 1b 5b/)).first().waitFor();
    await binary.getByText("This is not UTF-8").waitFor();
    await show(binary, "Text");
    await calm(binary);
    await binary.done();

    const broken = await opened(await sent('{"a": 1, "b": <script>window.hacked=true</script>}'));
    await broken.getByText("It says that it is JSON and is not: a value is expected, at character 15.").waitFor();
    await broken.getByRole("group", { name: "Payload as text" }).getByText("window.hacked").waitFor();
    await calm(broken);
    await broken.done();

    const form = await opened(await sent("name=%3Cscript%3E&note=a%00b", { "content-type": "application/x-www-form-urlencoded" }));
    await form.getByRole("table", { name: "Fields of the form" }).getByText("<script>").waitFor();
    await form.getByText("a␀b").waitFor();
    await form.done();

    const xml = await opened(await sent('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a onload="window.hacked=1">&b;</a>', { "content-type": "application/xml" }));
    await xml.getByRole("group", { name: "Payload as text" }).getByText("<!ENTITY b").waitFor();
    await calm(xml);
    await xml.done();
  });
});
