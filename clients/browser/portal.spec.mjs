// The customer portal in a real browser: links, the whole work of a customer by hand, what a token may
// not do, frames, brand, the end of a session, the guide's own examples; with axe in both schemes and
// pictures in three widths. The tests are in `portal/`, by what they are about.

import { after, before } from "node:test";

import { begin, end } from "./portal/shared.mjs";

before(begin);
after(end);

await import("./portal/access.mjs");
await import("./portal/work.mjs");
await import("./portal/place.mjs");
await import("./portal/guide.mjs");
