// Drives every operation of the API through the official SDK `svix`, against a running gateway.
//
// BECKET_URL is its address, BECKET_ADMIN_TOKEN an admin token, BECKET_OTHER_TOKEN the admin token of
// another tenant. The gateway has to allow endpoints made through the API to reach 127.0.0.0/8
// (`egress.allow_networks`). Prints a JSON line for each check and, last, the table of operations;
// exits with 1 if a check failed or an operation was not driven.

import { access } from "./sending/access.mjs";
import { applications } from "./sending/applications.mjs";
import { attempts } from "./sending/attempts.mjs";
import { endpoints } from "./sending/endpoints.mjs";
import { eventTypes } from "./sending/event_types.mjs";
import { Harness } from "./sending/harness.mjs";
import { ingest } from "./sending/ingest.mjs";
import { messages } from "./sending/messages.mjs";
import { integrations, operational } from "./sending/operational.mjs";
import { Receiver } from "./sending/receiver.mjs";
import { replays } from "./sending/replays.mjs";

const { BECKET_URL: url, BECKET_ADMIN_TOKEN: token, BECKET_OTHER_TOKEN: otherToken } = process.env;
if (!url || !token || !otherToken) {
  console.error("sending: set BECKET_URL, BECKET_ADMIN_TOKEN and BECKET_OTHER_TOKEN; `make test` does");
  process.exit(2);
}
const harness = new Harness({ url, token, otherToken });
harness.receiver = new Receiver();
await harness.receiver.listen();
const groups = {
  applications, eventTypes, endpoints, messages, attempts, replays, access, ingest, operational, integrations,
};
// A name on the command line runs that group alone; the table is then incomplete.
const only = process.argv.slice(2);
await Promise.all(Object.entries(groups)
  .filter(([name]) => only.length === 0 || only.includes(name))
  .map(([name, group]) => harness.group(name, group)));
harness.receiver.close();
process.exit((await harness.finish()) ? 0 : 1);
