// How much JavaScript a browser loads, compressed, before the first page is there: what index.html names,
// the overview, and everything that these import at once. Fails above the limit, so that a library that
// belongs into a page of its own does not creep into all of them.
//   node scripts/budget.mjs [FOLDER]

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";

const LIMIT_BYTES = 250_000;
const folder = process.argv[2] ?? "dist";
const assets = path.join(folder, "assets");

const html = readFileSync(path.join(folder, "index.html"), "utf8");
const named = [...html.matchAll(/(?:src|href)="\/assets\/([^"]+\.js)"/g)].map(([, file]) => file);
const first = readdirSync(assets).filter((file) => /^overview-[\w-]+\.js$/.test(file));
if (named.length === 0 || first.length !== 1) {
  console.error(`${folder} does not look like a built dashboard: ${named.length} scripts, ${first.length} overview pages.`);
  process.exit(2);
}

const sizes = new Map();
const waiting = [...named, ...first];
while (waiting.length > 0) {
  const file = waiting.pop();
  if (sizes.has(file)) continue;
  const text = readFileSync(path.join(assets, file));
  sizes.set(file, gzipSync(text, { level: 9 }).length);
  // Imports at the head of a file, not those that wait for a page (`import("…")`).
  for (const [, next] of text.toString("utf8").matchAll(/(?:\bfrom|\bimport)\s*"\.\/([^"]+\.js)"/g)) waiting.push(next);
}

const all = [...sizes].sort(([, a], [, b]) => b - a);
const sum = all.reduce((total, [, size]) => total + size, 0);
const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
console.log(`Initial JavaScript: ${kb(sum)} in ${all.length} files, compressed (at most ${kb(LIMIT_BYTES)}).`);
if (process.argv.includes("--list") || sum > LIMIT_BYTES) for (const [file, size] of all) console.log(`  ${kb(size).padStart(9)}  ${file}`);
if (sum > LIMIT_BYTES) {
  console.error("Too much. Load what only some pages need with import() or lazyRouteComponent.");
  process.exit(1);
}
