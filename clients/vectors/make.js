// Makes (or with --check compares) catalogue/vectors/*.json.
import { finish } from "./lib.js";
import timed from "./providers/timed.js";
import plain from "./providers/plain.js";
import urls from "./providers/urls.js";
import asymmetric from "./providers/asymmetric.js";
import generic from "./providers/generic.js";
import classes from "./providers/classes.js";

const groups = await Promise.all([timed(), plain(), urls(), asymmetric(), generic(), classes()].map((group) => group));
const results = [];
for (const group of groups) for (const one of group) results.push(await one);
finish(results, process.argv.includes("--check"));
