// Where the portal is shown and how: in frames, in a brand's colours, for a source, and how large it is.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";

import { axe, open, shot } from "../lib/browser.mjs";
import { until } from "../lib/house.mjs";
import { chrome, gate, host, link, looked, portal, stranger } from "./shared.mjs";

describe("a frame", () => {
  test("of an allowed origin shows the portal, grows with it, and renews its session", async () => {
    const page = await open(chrome);
    await page.goto(`${host.url}/`);
    const frame = page.frameLocator("#portal");
    await frame.getByRole("heading", { name: "Endpoints", level: 1 }).waitFor();
    await frame.getByText("Order system").waitFor();
    await frame.getByRole("link", { name: "Deliveries" }).click();
    const height = () => page.locator("#portal").evaluate((element) => element.getBoundingClientRect().height);
    for (let n = 0; n < 12; n += 1) await gate.post("acme", "invoice.paid", { id: `in_${n}`, amount: n });
    await until("the frame to grow", async () => (await height()) > 600);
    const room = await page.frames()[1].evaluate(() => [document.documentElement.scrollHeight, window.innerHeight]);
    assert.ok(room[0] <= room[1] + 2, `the frame has no scroll bar of its own: ${room}`);
    assert.equal(await frame.getByRole("button", { name: "Sign out" }).count(), 0);
    assert.deepEqual(await page.context().cookies(), []);
    await shot(page, "portal-framed");
    // The session ends; the embedding page gets a new link by itself.
    await page.waitForTimeout(5_200);
    await frame.getByRole("link", { name: "Endpoints" }).click();
    await frame.getByRole("link", { name: "Add an endpoint" }).click();
    await frame.getByLabel("Description").fill("In the frame");
    await gate.api("POST", "/api/v1/auth/app/acme/expire-all", {});
    await frame.getByLabel("URL").fill("https://example.com/hook");
    await frame.getByRole("button", { name: "Add the endpoint" }).click();
    await until("the new session", async () => (await frame.getByRole("dialog").count()) === 0 && (await frame.getByLabel("Description").count()) === 1);
    assert.equal(await frame.getByLabel("Description").inputValue(), "In the frame");
    await page.done();
  });

  test("of another origin shows nothing", async () => {
    const page = await open(chrome);
    page.expectTrouble(/frame-ancestors|refused to|violates/i);
    await page.goto(`${stranger.url}/`);
    await page.waitForTimeout(1_500);
    assert.equal(await page.frameLocator("#portal").getByRole("heading", { name: "Endpoints" }).count(), 0);
    assert.equal(await page.locator("#portal").evaluate((element) => element.style.height), "", "nothing was told");
    await page.done();
  });

  test("tells its height only to the origin that was named and is above", async () => {
    const page = await open(chrome);
    for (const [origin, hears] of [["", false], ["&origin=https://elsewhere.example", false], [`&origin=${encodeURIComponent(host.url)}`, true]]) {
      await page.goto(`${host.url}/bare`);
      const { url } = await link("acme");
      await page.evaluate((src) => { document.getElementById("f").src = src; }, url + origin);
      await page.frameLocator("#f").getByRole("heading", { name: "Endpoints" }).waitFor();
      const height = () => page.evaluate(() => window.told.some((one) => one.type === "becket.portal.resize" && one.height > 100));
      if (hears) await until("the height", height);
      await page.waitForTimeout(300);
      const told = await page.evaluate(() => window.told);
      assert.equal(await height(), hears, origin);
      assert.ok(!JSON.stringify(told).includes("bk_"), "never the token");
    }
    await page.done();
  });

  test("without storage still opens, in memory", async () => {
    const page = await open(chrome);
    await page.addInitScript(() => {
      Object.defineProperty(window, "sessionStorage", { get() { throw new DOMException("blocked", "SecurityError"); } });
    });
    const { url } = await link("acme");
    await page.goto(url);
    await page.getByRole("heading", { name: "Endpoints", level: 1 }).waitFor();
    await page.getByRole("link", { name: "Deliveries" }).click();
    await page.getByRole("heading", { name: "Deliveries", level: 1 }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "This page opens with a link" }).waitFor();
    await page.done();
  });
});

describe("a brand", () => {
  test("gives name, logo, colour and help, readable whatever the colour is", async () => {
    const page = await portal("acme");
    assert.equal(await page.title(), "Endpoints · Acme Billing");
    await page.getByText("Acme Billing").waitFor();
    assert.ok(await page.locator(".logo img").evaluate((image) => image.complete && image.naturalWidth > 0), "the logo is there");
    assert.equal(await page.getByRole("link", { name: "Get help" }).getAttribute("href"), "https://help.example.com/webhooks");
    const add = page.getByRole("link", { name: "Add an endpoint" });
    assert.equal(await add.evaluate((element) => getComputedStyle(element).backgroundColor), "rgb(255, 212, 0)");
    await looked(page, "brand");
    await page.done();
  });

  test("bends to what the link asks for, within what can be read", async () => {
    for (const color of ["%23e0e0e0", "7b2ff7", "000000", "ffffff", "0a7"]) {
      const page = await portal("acme", { look: `&color=${color}&theme=dark` });
      assert.equal(await page.locator("html").getAttribute("data-mantine-color-scheme"), "dark");
      await axe(page, { where: `colour ${color}, dark` });
      await page.reload();
      await page.getByRole("heading", { level: 1 }).waitFor();
      assert.equal(await page.locator("html").getAttribute("data-mantine-color-scheme"), "dark", "a reload looks the same");
      await page.done();
      const light = await portal("acme", { at: "verify", look: `&color=${color}&theme=light`, dark: true });
      assert.equal(await light.locator("html").getAttribute("data-mantine-color-scheme"), "light");
      await axe(light, { where: `colour ${color}, light` });
      await light.done();
    }
  });
});

describe("a source", () => {
  test("has a portal too: its receiving URL, endpoints, deliveries and tests", async () => {
    const source = await gate.api("POST", "/ingest/api/v1/source", { name: "Partner", uid: "partner", type: "generic-webhook" });
    await gate.api("POST", `/ingest/api/v1/source/${source.id}/endpoint`, { url: `${gate.sink.url}/partner`, description: "Partner desk" });
    const { url } = await gate.api("POST", `/ingest/api/v1/source/${source.id}/dashboard`, {});
    const page = await open(chrome);
    await page.goto(url);
    await page.getByText("Partner desk").waitFor();
    await page.getByText(new URL(source.ingestUrl).pathname).waitFor();
    assert.equal(await page.getByRole("link", { name: "Events", exact: true }).count(), 0, "event types are those of customers");
    await gate.send(new URL(source.ingestUrl).pathname, { body: '{"hello":"partner"}', headers: { "content-type": "application/json" } });
    await until("the delivery", () => gate.sink.at("/partner").length === 1);
    await page.getByRole("link", { name: "Deliveries" }).click();
    await page.getByRole("list", { name: "Events" }).getByRole("link").first().click();
    await page.getByText('"hello": "partner"').waitFor();
    await page.getByText("HTTP 200").waitFor();
    await page.getByRole("link", { name: "Partner desk" }).click();
    await page.getByRole("link", { name: "Test", exact: true }).click();
    await page.getByRole("button", { name: "Send the test event" }).click();
    await until("the test event", () => gate.sink.at("/partner").length === 2);
    await page.getByText("HTTP 200").waitFor();
    await looked(page, "source-test");
    await page.goto(`${gate.url}/portal/#/endpoints`);
    await page.getByText("Webhooks are received at this URL").waitFor();
    await looked(page, "source");
    await page.done();
  });
});

test("the first page is small", async () => {
  const page = await open(chrome);
  let bytes = 0;
  const names = [];
  const counted = [];
  page.on("response", (response) => {
    const { pathname } = new URL(response.url());
    if (!pathname.endsWith(".js")) return;
    names.push(pathname);
    counted.push(response.body().then((body) => { bytes += gzipSync(body, { level: 9 }).length; }));
  });
  const { url } = await link("acme");
  await page.goto(url);
  await page.getByText("Order system").waitFor();
  await page.waitForTimeout(300);
  await Promise.all(counted);
  assert.ok(bytes > 0 && bytes <= 180_000, `the first page needs ${bytes} bytes of compressed JavaScript`);
  assert.ok(!names.some((name) => /dashboard|CodeEditor|Markdown|Chart|useMatch/.test(name)), `nothing of the dashboard: ${names.join(" ")}`);
  console.log(`portal: ${bytes} bytes of compressed JavaScript at first`);
  await page.done();
});
