// The quarantine in the browser: what was refused is explained, and let out once the cause is repaired.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { PHONE, axe, browser, fits, looked, shot, signedIn } from "./lib/browser.mjs";
import { SECRETS, house, until } from "./lib/house.mjs";
import { github, stripe } from "./lib/senders.mjs";

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

const where = (source) => new URL(source.receivingUrl).pathname;
const waiting = (source) => gate.api("GET", `/api/v1/becket/quarantine?limit=250&source=${source.id}`).then((page) => page.data);

/** Makes a GitHub source through the API. */
const made = (name, secret) => gate.api("POST", "/api/v1/becket/source", { provider: "github", name, secrets: [secret] });

test("a list that teaches when nothing was refused", async () => {
  const page = await signedIn(chrome, gate, { at: "/quarantine" });
  await page.getByRole("heading", { name: "Nothing was refused" }).waitFor();
  await looked(page, "quarantine-empty");
  await page.done();
});

test("filters stand in the URL, and a reload keeps them", async () => {
  const source = await made("Filtered", "the right secret of this source");
  await gate.send(where(source), github("another secret", { n: 1 }));
  await gate.send(where(source), { body: "{}", headers: { "content-type": "application/json" } });
  await gate.send("/in/stripe", stripe(SECRETS.stripe, { id: "evt_old", type: "invoice.paid" }, { at: Math.floor(Date.now() / 1000) - 3600 }));
  const page = await signedIn(chrome, gate, { at: "/quarantine" });
  const rows = page.getByRole("list", { name: "Refused requests" }).getByRole("listitem");
  await until("three rows", async () => (await rows.count()) === 3);
  await looked(page, "quarantine-list");
  await page.getByRole("combobox", { name: "Source" }).click();
  await page.getByRole("option", { name: "Filtered" }).click();
  await until("two rows", async () => (await rows.count()) === 2);
  await page.getByRole("combobox", { name: "Reason" }).click();
  await page.getByRole("option", { name: "Not signed" }).click();
  await until("one row", async () => (await rows.count()) === 1);
  assert.match(page.url(), new RegExp(`source=${source.id}`));
  assert.match(page.url(), /code=missing_signature/);
  await page.reload();
  await until("one row again", async () => (await rows.count()) === 1);
  await rows.first().getByRole("link").click();
  await page.getByRole("heading", { level: 1, name: /Refused request/ }).waitFor();
  await page.done();
});

test("a stale request is explained step by step, with what was signed", async () => {
  await gate.send("/in/stripe", stripe(SECRETS.stripe, { id: "evt_stale", type: "invoice.paid" }, { at: Math.floor(Date.now() / 1000) - 4000 }));
  const [refused] = (await gate.api("GET", "/api/v1/becket/quarantine?source=stripe&code=stale")).data;
  const page = await signedIn(chrome, gate, { at: `/quarantine/${refused.number}` });
  await page.getByText("The request is too old", { exact: true }).waitFor();
  const checked = page.getByRole("region", { name: "What was checked" });
  await checked.getByText("at most 300 s old").waitFor();
  await checked.getByText(/evt_stale/).first().waitFor();
  assert.equal(await checked.getByText("failed").count() + await checked.getByLabel("failed").count() > 0, true, "a step is marked as failed in words too");
  await page.getByRole("region", { name: "The request as it came" }).getByText("stripe-signature").waitFor();
  assert.doesNotMatch(await page.locator("main").innerText(), /whsec_/, "no secret on the page");
  await looked(page, "quarantine-refused");
  await page.done();
});

test("the secret is repaired on the page, and the request becomes an event", async () => {
  const source = await made("Mistyped", "a secret with a typng mistake");
  await gate.send(where(source), github("the secret that GitHub has", { ref: "refs/heads/repair" }));
  const [refused] = await waiting(source);
  const page = await signedIn(chrome, gate, { at: `/quarantine/${refused.number}`, size: PHONE });
  await page.getByText("The secret does not fit", { exact: true }).waitFor();
  await page.getByLabel("The webhook's Secret").first().fill("still not the right one");
  await page.getByRole("button", { name: "Save the secret and verify again" }).click();
  await page.getByText(/still does not pass/).first().waitFor();
  await page.getByLabel("The webhook's Secret").first().fill("the secret that GitHub has");
  await page.getByRole("button", { name: "Save the secret and verify again" }).click();
  await page.getByText("It has left the quarantine").waitFor();
  await fits(page);
  await axe(page);
  await page.getByRole("link", { name: "See the event" }).click();
  await page.waitForURL(/\/events\/msg_/);
  const event = await gate.api("GET", `/api/v1/becket/event/${page.url().split("/").at(-1)}`);
  assert.equal(event.unverified, null, "it was verified, not waved through");
  assert.equal((await waiting(source)).length, 0);
  await page.done();
});

test("the operator releases what nothing proves, with a reason that stays", async () => {
  await gate.send("/in/github", github("nobody's secret", { ref: "refs/heads/release" }, { delivery: "release-me" }));
  const [refused] = (await gate.api("GET", "/api/v1/becket/quarantine?source=github")).data;
  const page = await signedIn(chrome, gate, { at: `/quarantine/${refused.number}` });
  await page.getByText(/in the operator's file/).waitFor();
  await page.getByRole("button", { name: "Release without proof" }).click();
  const dialog = page.getByRole("dialog");
  assert.equal(await dialog.getByRole("button", { name: "Release it" }).isDisabled(), true, "a reason is needed");
  await axe(page, { where: "the release dialog" });
  await dialog.getByLabel("Reason").fill("confirmed by telephone");
  await dialog.getByRole("button", { name: "Release it" }).click();
  await page.getByText("It has left the quarantine").waitFor();
  await page.getByRole("link", { name: "See the event" }).click();
  await page.waitForURL(/\/events\/msg_/);
  const event = await gate.api("GET", `/api/v1/becket/event/${page.url().split("/").at(-1)}`);
  assert.equal(event.unverified, "signature_mismatch");
  assert.equal(event.released.reason, "confirmed by telephone");
  await page.done();
});

test("many are verified again after a repair, with progress, and what does not pass stays", async () => {
  const source = await made("Many", "before the repair");
  for (let n = 0; n < 120; n += 1) await gate.send(where(source), github("after the repair", { n }));
  for (let n = 0; n < 3; n += 1) await gate.send(where(source), github("somebody else's", { n }));
  await gate.api("PUT", `/api/v1/becket/source/${source.id}/credentials`, { secrets: ["after the repair"] });
  const page = await signedIn(chrome, gate, { at: `/quarantine?source=${source.id}` });
  await page.getByRole("button", { name: "Verify all of them again" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Verify them again" }).click();
  await page.getByText("Done: 123 verified again.").waitFor({ timeout: 60_000 });
  await page.getByText("120 became events, 0 were repeats, 3 stay.").waitFor();
  await shot(page, "quarantine-many");
  await axe(page, { where: "the dialog of many" });
  await page.getByRole("dialog").getByRole("button", { name: "Done", exact: true }).click();
  const rows = page.getByRole("list", { name: "Refused requests" }).getByRole("listitem");
  await until("the three that stay", async () => (await rows.count()) === 3);
  await page.done();
});

test("a request that names hostile headers is shown as text", async () => {
  const body = JSON.stringify({ note: "<img src=x onerror=alert(1)>\u202Egnp.exe" });
  await gate.send("/in/github", { body, headers: { "content-type": "application/json", "x-github-event": "<script>alert(2)</script>", "x-hub-signature-256": "sha256=00" } });
  const [refused] = (await gate.api("GET", "/api/v1/becket/quarantine?source=github")).data;
  const page = await signedIn(chrome, gate, { at: `/quarantine/${refused.number}` });
  const request = page.getByRole("region", { name: "The request as it came" });
  await request.getByText("<script>alert(2)</script>").waitFor();
  await request.getByText("⟨U+202E⟩", { exact: false }).waitFor();
  assert.equal(await page.locator("main img, main script").count(), 0);
  await page.done();
});

test("a viewer looks and cannot let anything out", async () => {
  const { token } = await gate.api("POST", "/api/v1/becket/token", { name: "on call", role: "viewer" });
  await gate.send("/in/github", github("nobody's secret", { ref: "refs/heads/viewed" }));
  const [refused] = (await gate.api("GET", "/api/v1/becket/quarantine")).data;
  const page = await signedIn(chrome, gate, { token, at: `/quarantine/${refused.number}` });
  await page.getByRole("region", { name: "What was checked" }).or(page.getByRole("alert")).first().waitFor();
  assert.equal(await page.getByRole("button", { name: "Verify again" }).count(), 0);
  assert.equal(await page.getByRole("button", { name: "Release without proof" }).count(), 0);
  await axe(page);
  await page.done();
});

test("a number that is not there is said so", async () => {
  const page = await signedIn(chrome, gate, { at: "/quarantine/999999" });
  await page.getByRole("alert").waitFor();
  await axe(page);
  await page.done();
});
