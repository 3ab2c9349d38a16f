// Signing in and out, sessions that end, and what each role sees.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { axe, browser, looked, open, PHONE, signedIn } from "./lib/browser.mjs";
import { house } from "./lib/house.mjs";

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

const heading = (page, name) => page.getByRole("heading", { level: 1, name });
const token = (role, payloads) => gate.api("POST", "/api/v1/becket/token", { name: `a ${role}`, role, ...(payloads !== undefined && { payloads }) });
const as = async (role, how = {}) => signedIn(chrome, gate, { token: (await token(role, how.payloads)).token, ...how });

async function signIn(page, text) {
  await page.getByLabel("Token", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

test("a wrong token is refused, the right one leads to the page that was asked for", async () => {
  const page = await open(chrome);
  await page.goto(`${gate.url}/quarantine`);
  await heading(page, "Sign in to Becket").waitFor();
  await looked(page, "sign-in");
  await signIn(page, "not a token of this gateway at all");
  await page.getByText("This token is not valid here").waitFor();
  await axe(page, { where: "sign-in, refused" });
  await signIn(page, `  ${gate.token}\n`);
  await heading(page, "Quarantine").waitFor();
  assert.equal(new URL(page.url()).pathname, "/quarantine");
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.ok(!kept.includes(gate.token), "the token stays nowhere in the browser");
  const [cookie] = await page.context().cookies();
  assert.ok(cookie.httpOnly && cookie.sameSite === "Strict", "scripts cannot read the session, other sites cannot send it");
  await page.done();
});

test("signing out ends the session on the gateway, too", async () => {
  const page = await signedIn(chrome, gate);
  const [cookie] = await page.context().cookies();
  await page.getByRole("button", { name: /^Account/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await heading(page, "Sign in to Becket").waitFor();
  const answer = await fetch(`${gate.url}/api/v1/becket/self`, { headers: { cookie: `${cookie.name}=${cookie.value}` } });
  assert.equal(answer.status, 401, "the cookie is worth nothing any more");
  await page.done();
});

test("a session that has ended leads to the sign-in and back to the same page", async () => {
  const page = await signedIn(chrome, gate, { at: "/?stretch=7d" });
  await heading(page, "Overview").waitFor();
  const [cookie] = await page.context().cookies();
  const ended = await fetch(`${gate.url}/api/v1/becket/session`, {
    method: "DELETE", headers: { cookie: `${cookie.name}=${cookie.value}`, "x-becket-session": "1", origin: gate.url },
  });
  assert.equal(ended.status, 204, await ended.text());
  // The overview asks by itself every few seconds.
  await page.getByText("Your session has ended").waitFor();
  await axe(page, { where: "sign-in after the end of a session" });
  await signIn(page, gate.token);
  await heading(page, "Overview").waitFor();
  assert.equal(new URL(page.url()).search, "?stretch=7d");
  await page.done();
});

test("what went wrong at an identity provider is explained, and nothing of the address is believed", async () => {
  const page = await open(chrome);
  await page.goto(`${gate.url}/?problem=sign_in_cancelled`);
  await page.getByRole("alert").getByText(/cancelled|may not/).waitFor();
  await page.goto(`${gate.url}/?problem=${encodeURIComponent("<img src=x onerror=alert(1)>")}`);
  await page.getByRole("alert").getByText(/did not work/).waitFor();
  assert.equal(await page.locator("img").count(), 0);
  await signIn(page, gate.token);
  await heading(page, "Overview").waitFor();
  await page.waitForURL(`${gate.url}/`);
  await page.done();
});

test("who may sign in elsewhere is sent there with the way back", async () => {
  const page = await open(chrome);
  await page.route("**/api/v1/becket/sign-in", (route) => route.fulfill({ json: { token: true, oidc: { name: "Example ID", startUrl: "/api/v1/becket/oidc/start" }, version: "1" } }));
  await page.goto(`${gate.url}/events?source=github&problem=sign_in_lost`);
  const button = page.getByRole("link", { name: "Sign in with Example ID" });
  assert.equal(await button.getAttribute("href"), "/api/v1/becket/oidc/start?return=%2Fevents%3Fsource%3Dgithub");
  await page.getByText("took too long").waitFor();
  await looked(page, "sign-in-elsewhere");
  await page.done();
});

test("a viewer sees no audit log, no tokens and nothing to change", async () => {
  const page = await as("viewer", { payloads: false });
  const pages = page.getByRole("navigation", { name: "Pages" });
  await pages.getByRole("link", { name: "Events" }).waitFor();
  assert.equal(await pages.getByRole("link", { name: "Audit log" }).count(), 0);
  await page.goto(`${gate.url}/audit`);
  await page.getByText("Only admins see the audit log").waitFor();
  await pages.getByRole("link", { name: "Settings" }).click();
  await heading(page, "Settings").waitFor();
  await page.getByText("payloads hidden").waitFor();
  for (const name of ["Tokens", "Environments", "Operation"]) assert.equal(await page.getByRole("heading", { name, exact: true }).count(), 0, name);
  await axe(page);
  await page.done();
});

test("a developer has no tokens and no audit log either", async () => {
  const page = await as("developer", { at: "/settings" });
  await page.getByRole("heading", { name: "About" }).waitFor();
  assert.equal(await page.getByRole("heading", { name: "Tokens" }).count(), 0);
  assert.equal(await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Audit log" }).count(), 0);
  await page.done();
});

test("an admin makes a token, which is shown once, and revokes it", async () => {
  const page = await signedIn(chrome, gate, { at: "/settings" });
  await page.getByRole("button", { name: "New token" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Make the token" }).click();
  await dialog.getByText("Say whose token it is").waitFor();
  await dialog.getByLabel("Name").fill("Ada <script>");
  await dialog.getByRole("radio", { name: /^Viewer/ }).check();
  await axe(page, { where: "new token" });
  await dialog.getByRole("button", { name: "Make the token" }).click();
  const text = (await dialog.locator("pre").textContent()).trim();
  const self = await gate.api("GET", "/api/v1/becket/self", undefined, { token: text });
  assert.deepEqual([self.role, self.name, self.payloads], ["viewer", "Ada <script>", false]);
  await dialog.getByRole("button", { name: "I have kept it" }).click();
  assert.equal(await page.getByText(text).count(), 0, "the text is gone from the page");

  await page.getByRole("button", { name: "Revoke Ada <script>" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await gate.api("GET", "/api/v1/becket/self", undefined, { token: text });
  await page.getByRole("button", { name: "Revoke Ada <script>" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke the token" }).click();
  await page.getByText("The token Ada <script> is revoked").waitFor();
  await assert.rejects(gate.api("GET", "/api/v1/becket/self", undefined, { token: text }), /401/);
  await page.done();
});

test("the operator makes an environment and signs in to it", async () => {
  const page = await signedIn(chrome, gate, { at: "/settings" });
  await page.getByLabel("New environment").fill("staging");
  await page.getByRole("button", { name: "Make it" }).click();
  await page.getByText("The environment staging is made").waitFor();
  const text = (await page.locator("pre").first().textContent()).trim();
  await page.done();
  const inside = await signedIn(chrome, gate, { token: text, at: "/settings" });
  await inside.getByRole("heading", { name: "Tokens" }).waitFor();
  assert.equal(await inside.getByRole("heading", { name: "Operation" }).count(), 0, "an environment's admin does not rule the installation");
  await inside.goto(`${gate.url}/`);
  await inside.getByRole("heading", { name: "The way to the first event" }).waitFor();
  await inside.done();
});

test("the operator backs up and reads the configuration again", async () => {
  const page = await signedIn(chrome, gate, { at: "/settings" });
  await page.getByLabel("Folder").fill("not/absolute");
  await page.getByRole("button", { name: "Back up" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Folder").fill(`${gate.folder}/backup`);
  await page.getByRole("button", { name: "Back up" }).click();
  await page.getByText("Keep the master key elsewhere").waitFor();
  await page.getByRole("button", { name: "Read again" }).click();
  await page.getByRole("button", { name: "Read it again" }).click();
  await page.getByText("The configuration is read and applied").waitFor();
  await page.done();
});

test("the audit log shows that a secret was shown, and by whom", async () => {
  const { token: text } = await gate.api("POST", "/api/v1/becket/token", { name: "Grace", role: "developer" });
  await gate.api("GET", "/api/v1/app/globex/endpoint/globex-main/secret", undefined, { token: text });
  const page = await signedIn(chrome, gate, { at: "/audit" });
  const row = page.getByRole("row").filter({ hasText: "Secret shown" }).filter({ hasText: "Grace" });
  await row.first().waitFor();
  await looked(page, "audit");
  await page.getByLabel("Who", { exact: true }).fill("nobody of this name");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing fits").waitFor();
  await page.waitForURL(/by=/);
  await page.getByRole("button", { name: "Show everything" }).click();
  await row.first().waitFor();
  await page.done();
});

test("on a phone one signs in, finds the pages and signs out", async () => {
  const page = await open(chrome, { size: PHONE });
  await page.goto(gate.url);
  await signIn(page, gate.token);
  await heading(page, "Overview").waitFor();
  await page.getByRole("button", { name: "Pages", exact: true }).click();
  await page.getByRole("link", { name: "Settings" }).click();
  await heading(page, "Settings").waitFor();
  await looked(page, "settings");
  await page.getByRole("button", { name: /^Account/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await heading(page, "Sign in to Becket").waitFor();
  await page.done();
});
