// Makes (or with --check compares) catalogue/vectors/*.json. Names of files under providers/ (without .js) or of
// slugs limit the work to them.
import { readdirSync } from "node:fs";
import { finish, endJudges } from "./lib.js";

const wanted = process.argv.slice(2).filter((given) => !given.startsWith("--"));
const folder = new URL("./providers/", import.meta.url);
const files = readdirSync(folder).filter((file) => file.endsWith(".js")).sort();
const named = files.filter((file) => wanted.includes(file.slice(0, -3)));

const results = [];
for (const file of named.length > 0 ? named : files) {
  const group = (await import(new URL(file, folder))).default;
  for (const one of await group()) results.push(await one);
}
const slugs = wanted.filter((given) => !files.includes(`${given}.js`));
finish(slugs.length > 0 ? results.filter((result) => slugs.includes(result.slug)) : results, process.argv.includes("--check"));
endJudges();
