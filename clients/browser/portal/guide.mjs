// The guide's examples, run as somebody would who copies them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { open } from "../lib/browser.mjs";
import { chrome, folderOf, gate } from "./shared.mjs";

const GUIDE = readFileSync(fileURLToPath(new URL("../../../docs/guides/portal.md", import.meta.url)), "utf8");

/** The guide's blocks of code in a language, in their order. */
const blocks = (language) => [...GUIDE.matchAll(new RegExp(`^\u0060{3}${language}\n([\\s\\S]*?)^\u0060{3}$`, "gm"))].map(([, code]) => code);

/** Runs a program beside the guide's code and gives what it printed. */
async function run(program, args, files = {}) {
  const env = { ...process.env, BECKET_URL: gate.url, BECKET_TOKEN: gate.token };
  return (await promisify(execFile)(program, args, { cwd: folderOf(files), env })).stdout.trim();
}

async function opens(url, name) {
  const page = await open(chrome);
  await page.goto(url);
  await page.getByText(name, { exact: true }).waitFor();
  await page.getByRole("heading", { level: 1 }).waitFor();
  return page;
}

describe("the guide", () => {
  test("its curl line makes a link, and another ends the session", async () => {
    await gate.customer("customer-42", "Customer Forty-Two");
    const [give, end] = blocks("sh");
    const { url } = JSON.parse(await run("bash", ["-ec", give]));
    const page = await opens(url, "Customer Forty-Two");
    await run("bash", ["-ec", end]);
    await page.getByRole("link", { name: "Events" }).click();
    await page.getByRole("dialog", { name: "Your session has ended" }).waitFor();
    await page.done();
  });

  test("its Node code makes the customer on the way, and lets a plain user only look", async () => {
    const [code] = blocks("js");
    const main = 'import { portalLink } from "./link.mjs"; console.log(await portalLink({ id: "new-one", name: "New One" }, { id: "user-8", isAdmin: false }));';
    const page = await opens(await run(process.execPath, ["main.mjs"], { "link.mjs": code, "main.mjs": main }), "New One");
    assert.equal(await page.getByRole("link", { name: "Add an endpoint" }).count(), 0);
    await page.done();
  });

  test("its Python code makes a link", async () => {
    await gate.customer("customer-43", "Customer Forty-Three");
    const [code] = blocks("python");
    const url = await run("python3", ["main.py"], { "link.py": code, "main.py": 'from link import portal_link\nprint(portal_link("customer-43", "user-9"))\n' });
    await (await opens(url, "Customer Forty-Three")).done();
  });
});
