// A gateway with a full house: sources of several providers, customers with endpoints that work, fail
// and hang, event types with schemas, refused requests, and a receiver for all of it.

import { gateway, until } from "./gateway.mjs";
import * as senders from "./senders.mjs";
import { sink } from "./sink.mjs";

export { until } from "./gateway.mjs";

/** The secrets of the sources of every house. */
export const SECRETS = {
  github: "It's a secret for the browser tests",
  stripe: "whsec_browserTestsOnlyAbcdefghijklmnop",
  slack: "8f742231b10e8888abcd99yyyzzz85a5",
  standard: "whsec_c3RhbmRhcmQtd2ViaG9va3MtYnJvd3Nlci10ZXN0cw==",
};

const source = (id, provider, secret, endpoints) => [
  "[[source]]", `id = "${id}"`, `provider = "${provider}"`, `secrets = ["${secret}"]`,
  ...endpoints.flatMap((endpoint) => ["[[source.endpoint]]", ...endpoint]),
].join("\n");

/** The sources of the file, all delivering to a receiver at `at`. */
function configuration(at, further) {
  return [
    further,
    source("github", "github", SECRETS.github, [
      ['id = "app"', `url = "${at}/github"`],
      ['id = "deploy"', `url = "${at}/deploy"`, 'filter = { body = { ref = "refs/heads/main" } }'],
    ]),
    source("stripe", "stripe", SECRETS.stripe, [
      ['id = "billing"', `url = "${at}/billing"`],
      ['id = "ledger"', `url = "${at}/status/503"`, 'retry = "standard"'],
    ]),
    source("slack", "slack", SECRETS.slack, [['id = "bot"', `url = "${at}/slack"`]]),
    source("orders", "standardwebhooks", SECRETS.standard, [
      ['id = "shop"', `url = "${at}/orders"`, 'event_types = ["order.*"]'],
      // The waits are long enough to be looked at, and all alike: who looks too late sees the next one.
      ['id = "patient"', `url = "${at}/later"`, 'event_types = ["late.*"]', 'retry = ["12s", "12s", "12s", "12s", "12s", "12s"]'],
    ]),
  ].join("\n");
}

/**
 * Starts a gateway, a receiver and what a test asks for. `full` also brings customers, event types and
 * traffic; `config` are further lines at the top of the configuration's tables.
 */
export async function house({ full = false, config = "", ...rest } = {}) {
  const receiver = await sink();
  const gate = await gateway({ config: configuration(receiver.url, config), ...rest });
  const made = {
    ...gate,
    sink: receiver,
    senders,
    secrets: SECRETS,
    /** Sends a genuine event of one of the file's sources. */
    github: (payload, how) => gate.send("/in/github", senders.github(SECRETS.github, payload, how)),
    stripe: (payload, how) => gate.send("/in/stripe", senders.stripe(SECRETS.stripe, payload, how)),
    slack: (payload, how) => gate.send("/in/slack", senders.slack(SECRETS.slack, payload, how)),
    standard: (payload, how) => gate.send("/in/orders", senders.standard(SECRETS.standard, payload, how)),
    /** Makes a customer with endpoints at the receiver; answers with the application. */
    customer: async (uid, name, endpoints = []) => {
      const app = await gate.api("POST", "/api/v1/app?get_if_exists=true", { uid, name });
      const list = [];
      for (const endpoint of endpoints) {
        list.push(await gate.api("POST", `/api/v1/app/${uid}/endpoint`, endpoint));
      }
      return { ...app, endpoints: list };
    },
    /** Posts an event for a customer. */
    post: (uid, eventType, payload) => gate.api("POST", `/api/v1/app/${uid}/msg`, { eventType, payload }),
    /** Waits until no delivery waits any more that can succeed. */
    settled: (events) => until("deliveries", async () => receiver.received.length >= events, 30_000),
    stop: async () => {
      await gate.stop();
      await receiver.close();
    },
  };
  if (full) await fill(made);
  return made;
}

const PUSH = (n) => ({
  ref: n % 3 === 0 ? "refs/heads/main" : `refs/heads/feature-${n}`, before: "0".repeat(40), after: `${n}`.padStart(40, "a"),
  repository: { id: 1, full_name: "acme/shop", private: true, owner: { login: "acme" } },
  pusher: { name: "ada", email: "ada@example.com" },
  commits: [{ id: "c0ffee", message: `Change number ${n}`, added: ["README.md"], removed: [], modified: ["src/main.rs"] }],
});
const INVOICE = (n) => ({
  id: `evt_${n}`, object: "event", api_version: "2026-08-01", type: n % 4 === 0 ? "invoice.payment_failed" : "invoice.paid",
  data: { object: { id: `in_${n}`, object: "invoice", amount_due: 1000 + n, currency: "eur", customer: `cus_${n % 7}`, lines: { data: [{ amount: 1000 + n, description: "Subscription" }] } } },
});

async function fill(gate) {
  const types = [
    ["order.created", "An order was placed", { type: "object", required: ["id", "total"], properties: { id: { type: "string" }, total: { type: "number" } } }],
    ["order.shipped", "An order left the warehouse", { type: "object", required: ["id"], properties: { id: { type: "string" }, carrier: { type: "string" } } }],
    ["user.deleted", "A user is gone for good", null],
  ];
  for (const [name, description, schema] of types) {
    await gate.api("POST", "/api/v1/event-type", { name, description, ...(schema && { schemas: { 1: schema } }) });
  }
  const at = gate.sink.url;
  await gate.customer("globex", "Globex Corporation", [
    { uid: "globex-main", url: `${at}/globex`, description: "Order system", eventTypes: ["order.created", "order.shipped"] },
    { uid: "globex-audit", url: `${at}/status/500`, description: "Audit trail" },
  ]);
  await gate.customer("initech", "Initech", [
    { uid: "initech-main", url: `${at}/initech`, description: "TPS reports" },
    { uid: "initech-old", url: `${at}/hang`, description: "Old system", disabled: true },
  ]);
  await gate.customer("hooli", "Hooli");
  for (let n = 0; n < 24; n += 1) await gate.github(PUSH(n), { event: n % 5 === 4 ? "pull_request" : "push" });
  for (let n = 0; n < 18; n += 1) await gate.stripe(INVOICE(n));
  for (let n = 0; n < 6; n += 1) await gate.slack({ type: "event_callback", event_id: `Ev${n}`, event: { type: "message", channel: "C1", text: `Hello ${n}` } });
  for (let n = 0; n < 8; n += 1) await gate.standard({ type: n % 4 === 3 ? "customer.updated" : "order.created", data: { id: `o_${n}`, total: 10 * n } });
  for (let n = 0; n < 12; n += 1) await gate.post("globex", n % 3 === 0 ? "order.shipped" : "order.created", { id: `ord_${n}`, total: 19.99 * n, carrier: "Hermes" });
  for (let n = 0; n < 5; n += 1) await gate.post("initech", "user.deleted", { id: `usr_${n}` });
  // A repeat, and requests that are not genuine: a wrong secret, an old signature, none at all.
  const again = senders.github(SECRETS.github, PUSH(99), { delivery: "11111111-2222-4333-8444-555555555555" });
  await gate.send("/in/github", again);
  await gate.send("/in/github", again);
  for (let n = 0; n < 4; n += 1) await gate.send("/in/github", senders.github("the wrong secret", PUSH(n)));
  await gate.send("/in/stripe", senders.stripe(SECRETS.stripe, INVOICE(100), { at: Math.floor(Date.now() / 1000) - 3600 }));
  await gate.send("/in/stripe", { body: JSON.stringify(INVOICE(101)), headers: { "content-type": "application/json" } });
}
