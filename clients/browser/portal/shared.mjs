// What the portal's tests share: one gateway with a brand and three customers, links, embedding pages.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { PHONE, axe, browser, fits, open, shot } from "../lib/browser.mjs";
import { freePort } from "../lib/gateway.mjs";
import { house } from "../lib/house.mjs";

const SMALL = { width: 320, height: 640 };
const EMBED = readFileSync(fileURLToPath(new URL("../../../docs/guides/portal-embed.html", import.meta.url)));
const BARE = '<!doctype html><title>x</title><iframe id="f"></iframe><script>window.told = []; addEventListener("message", (event) => told.push(event.data));</script>';
const LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><circle cx="12" cy="12" r="11" fill="#e8590c"/></svg>';

export let chrome;
export let gate;
/** Pages that embed the portal: one of an allowed origin, one of another. */
export let host;
export let stranger;

/** A page of another origin that embeds the portal as the guide shows it. */
async function embedder() {
  const server = http.createServer(async (request, response) => {
    if (request.url === "/portal-link") {
      const { url } = await link("acme");
      response.setHeader("content-type", "application/json");
      return response.end(JSON.stringify({ url }));
    }
    response.setHeader("content-type", "text/html; charset=utf-8");
    return response.end(request.url === "/bare" ? BARE : EMBED);
  });
  const port = await freePort();
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${port}`, close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }) };
}

const scratch = mkdtempSync(path.join(os.tmpdir(), "becket-portal-"));

/** A folder with these files, which is gone in the end. */
export function folderOf(files) {
  const folder = mkdtempSync(path.join(scratch, "folder-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
  return folder;
}

/** Gives a customer access; `how` are capabilities, expiry and the like. */
export const link = (app, how = {}) => gate.api("POST", `/api/v1/auth/app-portal-access/${app}`, how);

/** Opens the portal of a customer and waits for its first page. */
export async function portal(app, { at = "endpoints", access = {}, look = "", ...how } = {}) {
  const { url, token } = await link(app, access);
  const page = await open(chrome, how);
  page.token = token;
  await page.goto(`${url}&page=${at}${look}`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  return page;
}

/** Looks at a page in both schemes and three widths. */
export async function looked(page, name) {
  const size = page.viewportSize();
  for (const colorScheme of ["light", "dark"]) {
    for (const [viewport, word] of [[{ width: 1280, height: 860 }, "1280"], [PHONE, "390"], [SMALL, "320"]]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      await page.waitForTimeout(120);
      await shot(page, `portal-${name}-${colorScheme}-${word}`);
      await fits(page);
      // 320 and 390 differ in nothing but wrapping.
      if (word !== "320") await axe(page, { where: `${name}, ${colorScheme}, ${word}` });
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(size);
}

/** Starts the gateway, the browser and the embedding pages; once for all of the portal's tests. */
export async function begin() {
  const folder = folderOf({ "logo.svg": LOGO });
  chrome = await browser();
  host = await embedder();
  stranger = await embedder();
  gate = await house({
    config: [
      "[portal]", 'name = "Acme Billing"', `logo = "${path.join(folder, "logo.svg")}"`, 'color = "#ffd400"',
      'support_url = "https://help.example.com/webhooks"', `frame_origins = ["${host.url}"]`,
    ].join("\n"),
  });
  const invoice = {
    type: "object", required: ["id", "amount"],
    properties: { id: { type: "string", description: "The invoice" }, amount: { type: "integer", description: "In cents" } },
    examples: [{ id: "in_1", amount: 4200 }],
  };
  const types = [
    ["invoice.paid", "An invoice was paid", "billing", { 1: invoice }],
    ["invoice.failed", "A payment did not go through", "billing", { 1: invoice }],
    ["user.created", "Somebody signed up", "users", null],
  ];
  for (const [name, description, groupName, schemas] of types) {
    await gate.api("POST", "/api/v1/event-type", { name, description, groupName, ...(schemas && { schemas }) });
  }
  await gate.customer("acme", "Acme Corporation", [
    { uid: "acme-main", url: `${gate.sink.url}/acme`, description: "Order system", eventTypes: ["invoice.paid"] },
  ]);
  await gate.customer("rival", "Rival Limited", [{ uid: "rival-main", url: `${gate.sink.url}/rival`, description: "Rival secrets" }]);
  await gate.customer("empty", "Nothing Yet");
}

export async function end() {
  await chrome?.close();
  await gate?.stop();
  await host?.close();
  await stranger?.close();
  rmSync(scratch, { recursive: true, force: true });
}
