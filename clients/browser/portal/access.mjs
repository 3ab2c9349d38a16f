// Who gets in, what they may do, and what is the end of it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { open } from "../lib/browser.mjs";
import { until } from "../lib/house.mjs";
import { chrome, gate, link, looked, portal } from "./shared.mjs";

describe("a link", () => {
  test("opens once, leaves no trace of its token, and survives a reload of its tab only", async () => {
    const { url, token } = await link("acme");
    const code = new URL(url).hash.slice("#token=".length);
    assert.match(code, /^otc_/);
    const page = await open(chrome);
    const seen = [];
    page.on("request", (request) => seen.push(request.url(), request.headers().referer ?? "", request.headers().cookie ?? ""));
    await page.goto("about:blank");
    await page.goto(url);
    await page.getByRole("heading", { name: "Endpoints", level: 1 }).waitFor();
    assert.equal(new URL(page.url()).hash, "#/endpoints", "the address bar has no token");
    assert.ok(!seen.some((text) => text.includes(code) || text.includes(token)), "no URL, Referer or cookie has it");
    assert.ok(!seen.some((text) => text.startsWith("http") && !text.startsWith(gate.url)), "nothing is asked elsewhere");
    assert.deepEqual(await page.context().cookies(), [], "no cookie at all");
    assert.equal(await page.evaluate(() => localStorage.length), 0, "nothing that lasts");
    await page.reload();
    await page.getByRole("heading", { name: "Endpoints", level: 1 }).waitFor();
    await page.getByText("Acme Corporation").waitFor();
    // Going back leads to before the portal, not to the token.
    await page.goBack();
    assert.equal(page.url(), "about:blank");
    await page.done();

    const second = await open(chrome);
    await second.goto(url);
    await second.getByRole("heading", { name: "This link no longer works" }).waitFor();
    await second.getByText("open a new one").waitFor();
    assert.ok(!second.url().includes(code));
    await looked(second, "link-used");
    await second.goto(`${gate.url}/portal/`);
    await second.reload();
    await second.getByRole("heading", { name: "This page opens with a link" }).waitFor();
    await second.done();
  });

  test("a token of the operator is not taken", async () => {
    const page = await open(chrome);
    await page.goto(`${gate.url}/portal/#token=${gate.token}`);
    await page.getByRole("heading", { name: "This link does not belong here" }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.getItem("becket.portal.token")), null);
    await page.done();
  });

  test("signing out ends the token at the gateway", async () => {
    const page = await portal("acme");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "You have signed out" }).waitFor();
    const self = () => fetch(`${gate.url}/api/v1/becket/self`, { headers: { authorization: `Bearer ${page.token}` } });
    await until("the end of the token", async () => (await self()).status === 401);
    await page.reload();
    await page.getByRole("heading", { name: "This page opens with a link" }).waitFor();
    await page.done();
  });
});

/** Nothing on the page changes anything. */
async function noWriting(page) {
  const names = /Add|Save|Delete|Disable|Enable|Pause|Resume|Rotate|Send|Recover|Show the signing/;
  assert.equal(await page.getByRole("button", { name: names }).count(), 0, "no button that writes");
  assert.equal(await page.getByRole("link", { name: /^Add|^Test$|^Recover$|^Transformation$/ }).count(), 0, "no link to writing");
}

describe("a token", () => {
  test("for looking has no control that changes anything, and the gateway refuses", async () => {
    const page = await portal("acme", { access: { readOnly: true } });
    await page.getByRole("link", { name: /Order system/ }).waitFor();
    await noWriting(page);
    await page.getByRole("link", { name: /Order system/ }).click();
    await page.getByRole("heading", { name: "Order system" }).waitFor();
    await noWriting(page);
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByText("Added", { exact: true }).waitFor();
    await noWriting(page);
    await looked(page, "read-only");
    await page.getByRole("navigation", { name: "This endpoint" }).getByRole("link", { name: "Verify" }).click();
    await page.getByText("Your access does not show secrets").waitFor();
    await page.goto(`${gate.url}/portal/#/endpoints/new`);
    await page.getByRole("heading", { name: "Endpoints", level: 1 }).waitFor();
    const refused = await page.evaluate(async (token) => {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const self = await (await fetch("/api/v1/becket/self", { headers })).json();
      const base = `/api/v1/app/${self.applicationId}/endpoint`;
      const { data: [endpoint] } = await (await fetch(base, { headers })).json();
      const asked = [
        [base, "POST", { url: "https://example.com" }], [`${base}/${endpoint.id}`, "PATCH", { description: "x" }],
        [`${base}/${endpoint.id}`, "DELETE"], [`${base}/${endpoint.id}/secret`, "GET"],
        [`${base}/${endpoint.id}/secret/rotate`, "POST", {}], [`${base}/${endpoint.id}/send-example`, "POST", { eventType: "invoice.paid" }],
        [`${base}/${endpoint.id}/recover`, "POST", { since: "2026-01-01T00:00:00Z" }], [`${base}/${endpoint.id}/transformation`, "GET"],
      ];
      return Promise.all(asked.map(async ([where, method, body]) =>
        (await fetch(where, { method, headers, ...(body && { body: JSON.stringify(body) }) })).status));
    }, page.token);
    assert.deepEqual([...new Set(refused)], [403]);
    await page.done();
  });

  test("with some capabilities has just their controls", async () => {
    const page = await portal("acme", { access: { capabilities: ["ViewBase", "CreateAttempts"] } });
    await page.getByRole("link", { name: /Order system/ }).click();
    await page.getByRole("link", { name: "Test", exact: true }).waitFor();
    for (const name of ["Signing secret", "Transformation"]) assert.equal(await page.getByRole("link", { name }).count(), 0, name);
    for (const name of ["Pause", "Disable", "Delete"]) assert.equal(await page.getByRole("button", { name }).count(), 0, name);
    await page.done();
  });

  test("of one customer sees nothing of another, by address or by fetch", async () => {
    const rival = await gate.api("GET", "/api/v1/app/rival/endpoint");
    const message = await gate.post("rival", "user.created", { secret: "of the rival" });
    const other = rival.data[0].id;
    const page = await portal("acme", { at: `endpoints/${other}` });
    await page.getByRole("alert").waitFor();
    assert.equal(await page.getByText("Rival secrets").count(), 0);
    await page.goto(`${gate.url}/portal/#/deliveries/${message.id}`);
    await page.getByRole("alert").waitFor();
    assert.equal(await page.getByText("of the rival").count(), 0);
    const answers = await page.evaluate(async ({ token, other, message }) => {
      const headers = { authorization: `Bearer ${token}` };
      const self = await (await fetch("/api/v1/becket/self", { headers })).json();
      const own = self.applicationId;
      const asked = [
        "/api/v1/app/rival", "/api/v1/app/rival/endpoint", "/api/v1/app/rival/msg", `/api/v1/app/rival/endpoint/${other}/secret`,
        `/api/v1/app/${own}/endpoint/${other}`, `/api/v1/app/${own}/endpoint/${other}/secret`, `/api/v1/app/${own}/endpoint/${other}/msg`,
        `/api/v1/app/${own}/msg/${message}`, `/api/v1/app/${own}/attempt/msg/${message}`, `/api/v1/becket/endpoint/${other}`,
        `/api/v1/becket/endpoint/${other}/filter`, "/api/v1/app", "/api/v1/becket/event", "/api/v1/becket/token", `/api/v1/becket/event/${message}/body`,
      ];
      return Promise.all(asked.map(async (where) => [where, (await fetch(where, { headers })).status]));
    }, { token: page.token, other, message: message.id });
    for (const [where, status] of answers) assert.ok(status === 403 || status === 404, `${where} answers ${status}`);
    await page.done();
  });
});

describe("a session", () => {
  test("that ends in the middle of work keeps what was typed, and a new link goes on", async () => {
    const page = await portal("acme", { at: "endpoints/new" });
    await page.getByLabel("Description").fill("Half done");
    await gate.api("POST", "/api/v1/auth/app/acme/expire-all", {});
    await page.getByLabel("URL").fill(`${gate.sink.url}/late`);
    await page.getByRole("button", { name: "Add the endpoint" }).click();
    await page.getByRole("dialog", { name: "Your session has ended" }).waitFor();
    await looked(page, "ended");
    assert.equal(await page.evaluate(() => sessionStorage.getItem("becket.portal.token")), null);
    // The link is opened in this tab: only the fragment differs, so the page stays.
    const { url } = await link("acme");
    await page.evaluate((fresh) => { window.location.href = fresh; }, url);
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    assert.equal(await page.getByLabel("Description").inputValue(), "Half done");
    assert.ok(!page.url().includes("otc_"));
    await page.getByRole("button", { name: "Add the endpoint" }).click();
    await page.getByRole("heading", { name: "Half done" }).waitFor();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "Endpoints", level: 1 }).waitFor();
    await page.done();
  });
});
