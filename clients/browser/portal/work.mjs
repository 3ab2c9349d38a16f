// What a customer does in the portal, by hand.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";

import { fits } from "../lib/browser.mjs";
import { until } from "../lib/house.mjs";
import { folderOf, gate, looked, portal } from "./shared.mjs";

/** What the page's snippet says of a request, run as somebody would run it. */
function snippetSays(language, code, secret, request) {
  const env = { ...process.env, WEBHOOK_SECRET: secret };
  const node = language === "Node.js";
  const folder = folderOf({
    "request.json": JSON.stringify(request),
    [node ? "verify.mjs" : "verify.py"]: code,
    "main.mjs": 'import { readFileSync } from "node:fs"; import { verify } from "./verify.mjs"; const { headers, body } = JSON.parse(readFileSync("request.json", "utf8")); console.log(verify(headers, Buffer.from(body)));',
    "main.py": "import json\nfrom verify import verify\nr = json.load(open('request.json'))\nprint(str(verify(r['headers'], r['body'].encode())).lower())\n",
  });
  const [program, main] = node ? [process.execPath, "main.mjs"] : ["python3", "main.py"];
  return execFileSync(program, [main], { cwd: folder, env }).toString().trim();
}

async function snippetOf(page, language) {
  await page.getByLabel("Language").selectOption(language);
  return page.getByRole("group", { name: `${language} code` }).textContent();
}

describe("a customer at work", () => {
  test("adds an endpoint, tries it, sees what came, sends it again, verifies, rotates the secret, leaves nothing", async () => {
    const page = await portal("empty");
    await page.getByRole("heading", { name: "No endpoint yet" }).waitFor();
    await looked(page, "none-yet");
    await page.getByRole("link", { name: "Add an endpoint" }).click();
    await page.getByRole("heading", { name: "Add an endpoint" }).waitFor();
    await page.getByRole("button", { name: "Add the endpoint" }).click();
    await page.getByText("Write the whole URL").waitFor();
    await page.getByLabel("URL").fill(`${gate.sink.url}/mine`);
    await page.getByLabel("Description").fill("My shop");
    await page.getByLabel("Only the types that I choose").check();
    await page.getByLabel("invoice.paid").check();
    await page.getByRole("button", { name: "Look inside invoice.paid" }).click();
    await page.getByText('"amount": 4200').waitFor();
    await looked(page, "new-endpoint");
    await page.getByRole("button", { name: "Add the endpoint" }).click();
    await page.getByRole("heading", { name: "My shop" }).waitFor();

    // The secret is shown when it is asked for.
    await page.getByRole("button", { name: "Show the signing secret" }).click();
    await page.getByText(/^whsec_/).waitFor();
    const secret = (await page.getByText(/^whsec_/).textContent()).trim();
    const python = await snippetOf(page, "Python");
    const node = await snippetOf(page, "Node.js");
    await looked(page, "secret");

    // A test event arrives, signed so that the page's own code finds it genuine.
    await page.getByRole("link", { name: "Test", exact: true }).click();
    await page.getByRole("button", { name: "Send the test event" }).click();
    await page.getByRole("heading", { name: "What came back" }).waitFor();
    await page.getByText("HTTP 200").waitFor();
    const [came] = await until("the test event", () => gate.sink.at("/mine").length === 1 && gate.sink.at("/mine"));
    assert.deepEqual(JSON.parse(came.body), { id: "in_1", amount: 4200 });
    assert.equal(snippetSays("Node.js", node, secret, came), "true");
    assert.equal(snippetSays("Python", python, secret, came), "true");
    for (const language of ["Node.js", "Python"]) {
      const code = language === "Python" ? python : node;
      assert.equal(snippetSays(language, code, secret, { ...came, body: `${came.body} ` }), "false", `${language} refuses a changed body`);
      const old = { ...came.headers, "webhook-timestamp": String(Number(came.headers["webhook-timestamp"]) - 600) };
      assert.equal(snippetSays(language, code, secret, { ...came, headers: old }), "false", `${language} refuses an old time`);
    }
    await looked(page, "test");

    // The delivery is listed with what was answered, and goes out again by hand.
    await page.getByRole("link", { name: "Deliveries", exact: true }).last().click();
    await page.getByRole("link", { name: /invoice\.paid/ }).first().click();
    await page.getByRole("heading", { name: "invoice.paid", level: 1 }).waitFor();
    await page.getByText('"amount": 4200').waitFor();
    await page.locator("summary", { hasText: "HTTP 200" }).first().click();
    await page.getByText('"received": "/mine"').waitFor();
    await looked(page, "message");
    await page.getByRole("button", { name: "Send again to My shop" }).click();
    await until("the repetition", () => gate.sink.at("/mine").length === 2);
    await page.getByText("sent again by hand").waitFor();
    assert.equal(gate.sink.at("/mine")[1].headers["webhook-id"], came.headers["webhook-id"], "it keeps its id");

    // The new secret and the old one sign together for a while.
    await page.getByRole("link", { name: "My shop" }).click();
    await page.getByRole("link", { name: "Signing secret" }).click();
    await page.getByRole("button", { name: "Rotate" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
    await page.getByText(/^whsec_/).waitFor();
    const fresh = (await page.getByText(/^whsec_/).textContent()).trim();
    assert.notEqual(fresh, secret);
    await page.getByRole("link", { name: "Test", exact: true }).click();
    await page.getByRole("button", { name: "Send the test event" }).click();
    const both = await until("the third", () => gate.sink.at("/mine")[2]);
    assert.equal(snippetSays("Node.js", node, secret, both), "true");
    assert.equal(snippetSays("Node.js", node, fresh, both), "true");

    // Disabled, enabled, changed, deleted.
    await page.getByRole("button", { name: "Disable" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
    await page.getByText("Disabled: nothing is delivered here").waitFor();
    await page.getByRole("button", { name: "Enable" }).click();
    await page.getByText("Disabled: nothing is delivered here").waitFor({ state: "hidden" });
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByLabel("Description").fill("My other shop");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("heading", { name: "My other shop" }).waitFor();
    await page.getByRole("textbox", { name: "Header" }).fill("x-team");
    await page.getByRole("textbox", { name: "Value" }).fill("payments");
    await page.getByRole("button", { name: "Add the header" }).click();
    await page.getByRole("cell", { name: "x-team", exact: true }).waitFor();
    await looked(page, "settings");
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "No endpoint yet" }).waitFor();
    await page.done();
  });

  test("an address inside the gateway's own network is refused at its field", async () => {
    const page = await portal("empty", { at: "endpoints/new" });
    await page.getByLabel("URL").fill("http://10.1.2.3/hook");
    await page.getByRole("button", { name: "Add the endpoint" }).click();
    await page.getByText("Something above is not right yet.").waitFor();
    assert.match(await page.getByLabel("URL").getAttribute("aria-invalid"), /true/);
    await page.done();
  });

  test("recovers what failed, with its progress", async () => {
    const { endpoints: [failing] } = await gate.customer("wobbly", "Wobbly", [{ uid: "wobbly-main", url: `${gate.sink.url}/wobbly`, description: "Wobbly" }]);
    gate.sink.flip("/wobbly", 410);
    await gate.post("wobbly", "user.created", { n: 1 });
    const state = () => gate.api("GET", `/api/v1/app/wobbly/endpoint/${failing.id}/stats`);
    await until("the failure", async () => (await state()).fail === 1);
    const put = (disabled) => gate.api("PATCH", `/api/v1/app/wobbly/endpoint/${failing.id}`, { disabled });
    await until("the end of the endpoint", async () => (await gate.api("GET", `/api/v1/app/wobbly/endpoint/${failing.id}`)).disabled);
    const page = await portal("wobbly", { at: `endpoints/${failing.id}` });
    await page.getByText("Reason: the endpoint answered 410 Gone").waitFor();
    await looked(page, "disabled");
    // What is posted while it is disabled by hand is missing; what was refused has failed.
    await put(false);
    await put(true);
    await gate.post("wobbly", "user.created", { n: 2 });
    await gate.post("wobbly", "user.created", { n: 3 });
    gate.sink.flip("/wobbly", 200);
    await page.getByText("Disabled: nothing is delivered here").waitFor();
    await page.getByRole("button", { name: "Enable" }).click();
    await page.getByRole("link", { name: "Recover" }).click();
    await page.getByRole("button", { name: "Recover what failed" }).click();
    await page.getByText("Recovering failed deliveries: done").waitFor();
    await page.getByText("1 event sent again").waitFor();
    await until("the recovered delivery", async () => (await state()).success === 1);
    await page.getByLabel("Send what is missing").check();
    await page.getByRole("button", { name: "Send what is missing" }).click();
    await page.getByText("Sending missing events: done").waitFor();
    await page.getByText("2 events sent again").waitFor();
    await until("the missing deliveries", async () => (await state()).success === 3);
    await looked(page, "recover");
    await page.done();
  });

  test("pauses and resumes", async () => {
    await gate.customer("calm", "Calm", [{ uid: "calm-main", url: `${gate.sink.url}/calm`, description: "Calm" }]);
    const page = await portal("calm");
    await page.getByRole("link", { name: /Calm/ }).click();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("Paused: deliveries wait").waitFor();
    await gate.post("calm", "user.created", { n: 1 });
    await page.getByRole("link", { name: /user\.created/ }).waitFor();
    assert.equal(gate.sink.at("/calm").length, 0);
    await page.getByRole("button", { name: "Resume" }).click();
    await until("the delivery after the pause", () => gate.sink.at("/calm").length === 1);
    await page.done();
  });

  test("filters and changes what is delivered", async () => {
    await gate.customer("picky", "Picky", [{ uid: "picky-main", url: `${gate.sink.url}/picky`, description: "Picky" }]);
    const page = await portal("picky");
    await page.getByRole("link", { name: /Picky/ }).click();
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByRole("heading", { name: "Filter by content" }).waitFor();
    const write = async (text) => {
      await page.locator(".cm-content").click();
      await page.keyboard.press("Control+A");
      await page.keyboard.insertText(text);
    };
    await write('{"body": {"amount": {"$gte": 100}}}');
    await page.getByRole("button", { name: "Save the filter" }).click();
    await page.getByText("The filter is saved").waitFor();
    await looked(page, "filter");
    await page.getByRole("link", { name: "Transformation" }).click();
    await page.locator(".cm-content").waitFor();
    await write("function handler(webhook) { webhook.payload = { doubled: webhook.payload.amount * 2 }; return webhook; }");
    await page.getByLabel("Apply it to deliveries").check();
    await page.getByRole("button", { name: "Save the transformation" }).click();
    await page.getByText("It holds for attempts from now on").waitFor();
    await gate.post("picky", "user.created", { amount: 1 });
    await gate.post("picky", "user.created", { amount: 100 });
    const [came] = await until("the delivery", () => gate.sink.at("/picky").length > 0 && gate.sink.at("/picky"));
    assert.deepEqual(JSON.parse(came.body), { doubled: 200 });
    await looked(page, "transformation");
    await page.done();
  });

  test("finds deliveries by endpoint, status and type, and keeps the choice in the address", async () => {
    await gate.customer("finder", "Finder", [
      { uid: "finder-good", url: `${gate.sink.url}/finder`, description: "Good" },
      { uid: "finder-bad", url: `${gate.sink.url}/status/500`, description: "Bad" },
    ]);
    await gate.post("finder", "user.created", { n: 1 });
    await gate.post("finder", "invoice.paid", { id: "in_9", amount: 1 });
    const page = await portal("finder", { at: "deliveries" });
    const rows = page.getByRole("list", { name: "Events" }).getByRole("listitem");
    await until("both events", async () => (await rows.count()) === 2);
    await page.getByLabel("Event type").selectOption("invoice.paid");
    await until("one event", async () => (await rows.count()) === 1);
    await page.getByLabel("Endpoint").selectOption({ label: "Good" });
    await page.getByLabel("Status").selectOption({ label: "Failed" });
    await page.getByRole("heading", { name: "Nothing fits" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Nothing fits" }).waitFor();
    await page.getByLabel("Status").selectOption({ label: "Delivered" });
    await until("the delivered one", async () => (await rows.count()) === 1);
    await looked(page, "deliveries");
    await page.done();
  });

  test("reads what can happen, by keyboard alone", async () => {
    const page = await portal("acme");
    const pressUntil = async (name) => {
      for (let steps = 0; steps < 40; steps += 1) {
        await page.keyboard.press("Tab");
        const text = await page.evaluate(() => document.activeElement?.textContent ?? "");
        if (text.includes(name)) return;
      }
      assert.fail(`the Tab key does not reach ${name}`);
    };
    await pressUntil("Events");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Events", level: 1 }).waitFor();
    await pressUntil("invoice.failed");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "invoice.failed" }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement?.tagName), "H1", "the heading has the focus");
    await page.getByText('"amount": 4200').waitFor();
    await page.getByText("Fields", { exact: true }).click();
    await page.getByText("In cents").waitFor();
    await looked(page, "event-type");
    await page.goBack();
    await page.getByRole("heading", { name: "Events", level: 1 }).waitFor();
    await looked(page, "events");
    await page.getByRole("link", { name: "Verify" }).click();
    await page.getByRole("heading", { name: "Verify", level: 1 }).waitFor();
    await looked(page, "verify");
    await page.done();
  });

  test("a hostile payload, name and answer are text", async () => {
    const nasty = "<img src=x onerror=alert(1)>\u202Egnp.exe";
    await gate.customer("nasty", nasty, [{ uid: "nasty-main", url: `${gate.sink.url}/nasty`, description: nasty }]);
    const message = await gate.post("nasty", "user.created", { text: nasty, deep: JSON.parse(`${"[".repeat(200)}${"]".repeat(200)}`) });
    const page = await portal("nasty", { at: `deliveries/${message.id}` });
    await page.getByText("onerror=alert(1)").first().waitFor();
    await page.getByText("⟨U+202E⟩").first().waitFor();
    assert.equal(await page.locator("img[src=x]").count(), 0);
    await fits(page);
    await page.done();
  });
});
