// Debian's Chromium, driven by playwright-core: pages that fail a test when they break the content
// security policy, log an error or reach for another host; axe; screenshots.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { chromium } from "playwright-core";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The widths that every page is looked at in, in CSS pixels. */
export const WIDE = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** Starts the browser; one for a whole file of tests. */
export function browser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
}

/**
 * Opens a page in a session of its own and watches it. `page.troubles` collects what must not happen;
 * `page.expectTrouble(pattern)` says that a message is meant. Close with `page.done()`, which fails on troubles.
 */
export async function open(chrome, { size = WIDE, dark = false, ...context } = {}) {
  const session = await chrome.newContext({
    viewport: size, colorScheme: dark ? "dark" : "light", reducedMotion: "reduce", locale: "en-GB",
    timezoneId: "Europe/Berlin", permissions: ["clipboard-read", "clipboard-write"], ...context,
  });
  const page = await session.newPage();
  page.setDefaultTimeout(15_000);
  const expected = [];
  page.troubles = [];
  page.expectTrouble = (pattern) => expected.push(pattern);
  const trouble = (text) => {
    if (!expected.some((pattern) => pattern.test(text))) page.troubles.push(text);
  };
  page.on("pageerror", (error) => trouble(`error: ${error.message}`));
  page.on("dialog", async (dialog) => { trouble(`dialog: ${dialog.message()}`); await dialog.dismiss(); });
  page.on("console", (message) => {
    const text = message.text();
    // What the API refuses the browser logs by itself; the page's own handling is what is tested.
    if (message.type() === "error" && !text.startsWith("Failed to load resource")) trouble(`console: ${text}`);
    if (/Content Security Policy/i.test(text)) trouble(`policy: ${text}`);
  });
  page.done = async () => {
    await session.close();
    assert.deepEqual(page.troubles, [], "the page stayed free of errors and policy violations");
  };
  return page;
}

/** Opens the dashboard signed in with a token (the operator's if none is given). */
export async function signedIn(chrome, gate, { token = gate.token, at = "/", ...how } = {}) {
  const page = await open(chrome, how);
  const answer = await page.request.post(`${gate.url}/api/v1/becket/session`, { data: { token } });
  assert.equal(answer.status(), 200, await answer.text());
  await page.goto(gate.url + at);
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  return page;
}

/** No serious or critical finding of axe on the page as it stands. */
export async function axe(page, { where = page.url() } = {}) {
  // Run in the page's own world by the protocol, which its content security policy does not concern.
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations
    .filter((one) => one.impact === "serious" || one.impact === "critical")
    .map((one) => `${one.id}: ${one.help}\n${one.nodes.slice(0, 3).map((node) => `  ${node.target.join(" ")} ${node.failureSummary}`).join("\n")}`);
  assert.deepEqual(serious, [], `axe finds nothing serious at ${where}`);
}

/** Nothing is wider than the window. */
export async function fits(page) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(wide <= window, `the page is ${wide} px wide in a window of ${window} px: ${page.url()}`);
}

/** Screenshots into the folder that `SHOTS` names, if it does. */
export async function shot(page, name) {
  const folder = process.env.SHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: false });
}

/**
 * Looks at the page in both colour schemes, wide and narrow: axe finds nothing, nothing sticks out,
 * and a screenshot of each is kept if `SHOTS` is set. The page ends as it began.
 */
export async function looked(page, name) {
  const before = page.viewportSize();
  for (const colorScheme of ["light", "dark"]) {
    for (const [size, word] of [[WIDE, "wide"], [PHONE, "phone"]]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(size);
      await page.waitForTimeout(150);
      await shot(page, `${name}-${colorScheme}-${word}`);
      await fits(page);
      await axe(page, { where: `${name}, ${colorScheme}, ${word}` });
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(before);
}
