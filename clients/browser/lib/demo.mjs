// Starts a full house and keeps it running, for looking around by hand:
//   node clients/browser/lib/demo.mjs [--port 8080] [--bin target/debug/becket] [--trickle 500]
// `--trickle` sends a genuine webhook every so many milliseconds.

import { parseArgs } from "node:util";

import { house } from "./house.mjs";

const { values } = parseArgs({ options: { port: { type: "string" }, bin: { type: "string" }, trickle: { type: "string" }, empty: { type: "boolean" } } });
const gate = await house({
  full: !values.empty,
  ...(values.port && { port: Number(values.port) }),
  ...(values.bin && { binary: values.bin }),
});
console.log(JSON.stringify({ url: gate.url, token: gate.token, sink: gate.sink.url, folder: gate.folder }));
let n = 0;
const timer = values.trickle && setInterval(() => {
  n += 1;
  void gate.github({ ref: "refs/heads/main", after: String(n) });
  if (n % 3 === 0) void gate.post("globex", "order.created", { id: `live_${n}`, total: n });
}, Number(values.trickle));
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    clearInterval(timer);
    await gate.stop();
    process.exit(0);
  });
}
