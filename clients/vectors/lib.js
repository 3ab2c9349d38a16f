// The frame for making vectors: a fixed clock, a judge per provider, and files that stay the same when nothing changed.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync, existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export const require = createRequire(import.meta.url);

/** The time of sending in all vectors (2026-01-01T00:00:00Z) and the usual time of checking. */
export const SENT = 1767225600;
export const NOW = SENT + 2;

/** The version of an installed package, for `origin`. */
export function version(name) {
  const file = new URL(`./node_modules/${name}/package.json`, import.meta.url);
  return `npm ${name} ${JSON.parse(readFileSync(file, "utf8")).version}`;
}

/** Runs `call` with Date standing still at this time (unix seconds). */
export async function at(seconds, call) {
  const Real = globalThis.Date;
  class Fixed extends Real {
    constructor(...given) {
      if (given.length === 0) super(seconds * 1000);
      else super(...given);
    }
    static now() {
      return seconds * 1000;
    }
  }
  globalThis.Date = Fixed;
  try {
    return await call();
  } finally {
    globalThis.Date = Real;
  }
}

const fileOf = (slug) => fileURLToPath(new URL(`../../catalogue/vectors/${slug}.json`, import.meta.url));

/** What was written before; for signatures that contain a random number. */
export function before(slug, name) {
  if (!existsSync(fileOf(slug))) return undefined;
  return JSON.parse(readFileSync(fileOf(slug), "utf8")).find((vector) => vector.name === name);
}

/**
 * Makes the vectors of one provider. `judge(vector)` runs the SDK and says whether it accepts; each vector has
 * `name`, `expect`, and what it differs in from `base`. `sdk_differs` says why the SDK's verdict is another.
 */
export async function make({ slug, made, judged, base, judge, vectors }) {
  const out = [];
  for (const given of vectors) {
    const vector = { method: "POST", url: "https://hooks.example.com/in/src", headers: {}, verify_at: NOW, ...base, ...given };
    vector.body = Buffer.isBuffer(vector.body) ? vector.body : Buffer.from(vector.body ?? "", "utf8");
    let origin = given.origin ?? made ?? "made with Node's crypto";
    if (judge && !vector.unjudged) {
      const accepted = await at(vector.verify_at, async () => {
        const keys = [...(vector.secrets ?? []), ...(vector.public_keys ?? [])];
        for (const key of keys) {
          try {
            if (await judge(vector, key)) return true;
          } catch {
            // The SDKs throw to refuse.
          }
        }
        return false;
      });
      if (accepted !== (vector.expect === "genuine")) {
        if (!vector.sdk_differs) {
          throw new Error(`${slug} / ${vector.name}: expected ${vector.expect}, the SDK says ${accepted}`);
        }
        origin += `; ${judged} ${accepted ? "accepts" : "refuses"}: ${vector.sdk_differs}`;
      } else {
        if (vector.sdk_differs) throw new Error(`${slug} / ${vector.name}: the SDK does not differ`);
        origin += `; ${accepted ? "accepted" : "refused"} by ${judged}`;
      }
    }
    const { name, entry, secrets, public_keys, credentials, method, url, public_url, headers, verify_at } = vector;
    const { expect, refusal, secret_index, handshake, facts, fetched } = vector;
    out.push({
      name, entry, secrets, public_keys, credentials, method, url, public_url, headers,
      body_base64: vector.body.toString("base64"), verify_at, fetched, expect, refusal, secret_index, facts, handshake, origin,
    });
  }
  return { slug, text: JSON.stringify(out, null, 1) + "\n" };
}

/** Writes the files, or compares them. */
export function finish(results, check) {
  let wrong = 0;
  for (const { slug, text } of results) {
    const file = fileOf(slug);
    const old = existsSync(file) ? readFileSync(file, "utf8") : "";
    if (check && old !== text) {
      console.error(`${slug}.json differs from what would be made`);
      wrong += 1;
    }
    if (!check) writeFileSync(file, text);
    const vectors = JSON.parse(text);
    const genuine = vectors.filter((vector) => vector.expect === "genuine").length;
    console.log(`${slug}: ${genuine} genuine, ${vectors.length - genuine} refused`);
  }
  if (wrong > 0) process.exit(1);
}

/** A copy of the body with one byte changed in the middle. */
export function tampered(body) {
  const copy = Buffer.from(body);
  copy[copy.length >> 1] ^= 1;
  return copy;
}

let judges;

/**
 * Asks a Python SDK: `python/providers/*.py` register functions by name, and each gets the vector (its body in
 * `body_base64`), the key and the time, and answers with whether its SDK accepts.
 */
export function pythonJudge(name) {
  return (vector, key) =>
    new Promise((resolve, reject) => {
      judges ??= startJudges();
      judges.waiting.push({ resolve, reject });
      const { body, ...rest } = vector;
      judges.process.stdin.write(JSON.stringify({ name, vector: { ...rest, body_base64: body.toString("base64") }, key }) + "\n");
    });
}

function startJudges() {
  const python = fileURLToPath(new URL("./.venv/bin/python", import.meta.url));
  const process = spawn(python, [fileURLToPath(new URL("./python/judge.py", import.meta.url))], { stdio: ["pipe", "pipe", "inherit"] });
  const started = { process, waiting: [] };
  createInterface({ input: process.stdout }).on("line", (line) => {
    const { accepted, failure } = JSON.parse(line);
    const { resolve, reject } = started.waiting.shift();
    if (failure) reject(new Error(failure));
    else resolve(accepted);
  });
  return started;
}

/** Ends the Python process, if one was started. */
export function endJudges() {
  judges?.process.stdin.end();
}

/** The version of an installed Python package, for `origin`. */
export function pythonVersion(name) {
  const lock = readFileSync(new URL("./python/requirements.txt", import.meta.url), "utf8");
  const line = lock.split("\n").find((text) => text.toLowerCase().startsWith(`${name.toLowerCase()}==`));
  if (!line) throw new Error(`${name} is not in python/requirements.txt`);
  return `PyPI ${name} ${line.split("==")[1].split(/[ ;\\]/)[0]}`;
}
