// Puts the cases to simple-json-match and writes its answers, each also with the filter negated.
// `node make.js --check` compares them with what is committed instead.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import simpleJsonMatch from "simple-json-match";

import { cases } from "./cases.js";

const match = simpleJsonMatch.default ?? simpleJsonMatch;
const file = fileURLToPath(new URL("../../crates/filter/tests/oracle.json", import.meta.url));
const version = JSON.parse(
  readFileSync(new URL("node_modules/simple-json-match/package.json", import.meta.url), "utf8"),
).version;

const answer = (input, filter) => {
  try {
    return match(input, filter);
  } catch {
    return "error";
  }
};

const lines = cases.map(({ group, input, filter }) => {
  const [value, schema] = [JSON.parse(input), JSON.parse(filter)];
  const passes = answer(value, schema);
  const negated = answer(value, { $not: schema });
  return "  " + JSON.stringify({ group, input, filter, passes, negated });
});
const made = `{"made_with": "simple-json-match ${version}", "cases": [\n${lines.join(",\n")}\n]}\n`;

if (process.argv.includes("--check")) {
  if (readFileSync(file, "utf8") !== made) {
    console.error("crates/filter/tests/oracle.json differs; run `node make.js` in clients/filters");
    process.exit(1);
  }
  console.log(`${lines.length} cases are as committed`);
} else {
  writeFileSync(file, made);
  console.log(`${lines.length} cases written`);
}
