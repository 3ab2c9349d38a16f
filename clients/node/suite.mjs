// Runs every suite against a running gateway. What it needs to know comes as JSON in the
// environment variable SUITE (see crates/becket/tests/sdk_clients.rs, which writes it). Prints one
// JSON line for each suite; exits with 1 if any check failed.

import { Receiver } from "./lib/http.mjs";
import { github } from "./github.mjs";
import { standard } from "./standard.mjs";
import { stripe } from "./stripe.mjs";
import { twilioForms } from "./twilio.mjs";

const settings = JSON.parse(process.env.SUITE ?? "null");
if (!settings) {
  console.error("suite: set SUITE; `make test` does");
  process.exit(2);
}
const receiver = new Receiver();
await receiver.listen(settings.receiverPort);
let passed = true;
for (const suite of [github, stripe, twilioForms, standard]) {
  passed = (await suite({ ...settings, receiver })) && passed;
}
receiver.close();
process.exit(passed ? 0 : 1);
