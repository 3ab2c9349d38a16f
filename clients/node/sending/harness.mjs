// Runs named checks against a gateway through the official SDK, prints a JSON line for each, and
// keeps the table of what was really sent: every request of every client is matched with the
// operations that the API claims, by method and path.
//
// Retries of the SDK are off: an answer that only the second try got right is a failure here.

import { AsyncLocalStorage } from "node:async_hooks";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ApiException, Svix } from "svix";

const current = new AsyncLocalStorage();

/** What the gateway may claim beyond the table because another SDK has it; this one has not. */
const ELSEWHERE = new Map([["v1.endpoint.get-attempt-stats", (svix) => svix.endpoint.getAttemptStats]]);

/** The operations claimed: what each answers on success, and how its path looks. */
function claimed() {
  const file = new URL("../../sending/operations.tsv", import.meta.url);
  const [, ...lines] = readFileSync(file, "utf8").trim().split("\n");
  return lines.map((line) => {
    const [operation, method, path, success] = line.split("\t");
    const pattern = path.replaceAll(".", "\\.").replaceAll(/\{[^}]*\}/g, "[^/]+");
    return {
      operation,
      method,
      path,
      success: success.split(",").map(Number),
      pattern: new RegExp(`^${pattern}$`),
      parameters: path.split("{").length - 1,
      calls: 0,
      answers: {},
    };
  });
}

export class Harness {
  constructor({ url, token, otherToken, receiver }) {
    this.url = url;
    this.token = token;
    this.receiver = receiver;
    this.run = Math.random().toString(36).slice(2, 8);
    this.operations = claimed();
    this.failed = 0;
    this.passed = 0;
    this.surprises = [];
    this.svix = this.client(token);
    this.other = this.client(otherToken);
    this.stranger = this.client("not-a-token-0123456789abcdefghijklmnop");
  }

  /** An SDK client with another token. */
  client(token) {
    return new Svix(token, {
      serverUrl: this.url,
      retryScheduleInMs: [],
      requestTimeout: 15_000,
      fetch: (url, init) => this.send(url, init),
    });
  }

  /** Sends what the SDK wants sent, and writes it down. */
  async send(url, init) {
    const path = new URL(url).pathname;
    const found = this.operations
      .filter(({ method, pattern }) => method === init.method && pattern.test(path))
      .sort((one, two) => one.parameters - two.parameters)[0];
    const answer = await fetch(url, init);
    current.getStore()?.push({ operation: found?.operation, status: answer.status });
    if (!found) {
      this.surprises.push(`${init.method} ${path} is no operation that is claimed`);
      return answer;
    }
    found.calls += 1;
    found.answers[answer.status] = (found.answers[answer.status] ?? 0) + 1;
    return answer;
  }

  /** Runs a check and prints how it went; `operation` is without its `v1.`. */
  check = async (operation, name, body) => {
    const calls = [];
    const line = { operation: `v1.${operation}`, name, ok: true };
    try {
      if (!this.operations.some((known) => known.operation === line.operation)) {
        throw new Error(`${line.operation} is not claimed`);
      }
      await current.run(calls, () => body());
      if (!calls.some((call) => call.operation === line.operation)) {
        throw new Error("the check never called its operation");
      }
    } catch (error) {
      line.ok = false;
      line.detail = describe(error);
    }
    this[line.ok ? "passed" : "failed"] += 1;
    console.log(JSON.stringify(line));
    return line.ok;
  };

  /** Runs a group of checks; what breaks outside of a check counts as a failed one. */
  async group(name, body) {
    try {
      await body(this);
    } catch (error) {
      this.failed += 1;
      console.log(JSON.stringify({ operation: name, name: "set up", ok: false, detail: describe(error) }));
    }
  }

  /** Sets what the gateway has beyond the SDK, such as the waits between an event type's attempts. */
  async ours(method, path, body) {
    const answer = await fetch(`${this.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    assert.ok(answer.ok, `${method} ${path} answered ${answer.status}`);
  }

  /** Compares the table with the document that the gateway serves. */
  async #served() {
    const answer = await fetch(`${this.url}/api/v1/openapi.json`,
      { headers: { authorization: `Bearer ${this.token}` } });
    if (!answer.ok) return [`the gateway's document is answered with ${answer.status}`];
    const bare = (path) => path.replaceAll(/\{[^}]*\}/g, "{}");
    const served = new Map();
    for (const [path, methods] of Object.entries((await answer.json()).paths)) {
      for (const [method, { operationId }] of Object.entries(methods)) {
        if (operationId?.startsWith("v1.")) served.set(operationId, `${method.toUpperCase()} ${bare(path)}`);
      }
    }
    const complaints = [];
    for (const { operation, method, path } of this.operations) {
      if (served.get(operation) !== `${method} ${bare(path)}`) {
        complaints.push(`${operation} is not in the gateway's document as ${method} ${path}`);
      }
      served.delete(operation);
    }
    for (const operation of served.keys()) {
      if (!ELSEWHERE.has(operation)) complaints.push(`${operation} is served and not in the table`);
      else if (ELSEWHERE.get(operation)(this.svix)) complaints.push(`${operation} is offered by this SDK now`);
    }
    return complaints;
  }

  /** Compares what was driven with what is claimed, prints the table, and says whether all is well. */
  async finish() {
    const complaints = [...this.surprises, ...await this.#served()];
    for (const { operation, success, answers } of this.operations) {
      const statuses = Object.keys(answers).map(Number);
      for (const status of success.filter((status) => !statuses.includes(status))) {
        complaints.push(`${operation} never answered ${status}`);
      }
      for (const status of statuses.filter((status) => status < 400 && !success.includes(status))) {
        complaints.push(`${operation} answered ${status}, which is not its success`);
      }
      for (const status of statuses.filter((status) => status >= 500)) {
        complaints.push(`${operation} answered ${status}`);
      }
      // Nothing can be wrong with the question whether the server is up.
      if (operation !== "v1.health.get" && !statuses.some((status) => status >= 400 && status < 500)) {
        complaints.push(`${operation} was never refused`);
      }
    }
    const operations = this.operations.map(({ operation, method, path, calls, answers }) =>
      ({ operation, method, path, calls, answers }));
    const driven = operations.filter(({ calls }) => calls > 0).map(({ operation }) => operation);
    console.log(JSON.stringify({
      suite: "node-sending",
      passed: this.passed,
      failed: this.failed + complaints.length,
      claimed: operations.length,
      driven: driven.length,
      complaints,
      operations,
    }));
    return this.failed === 0 && complaints.length === 0;
  }
}

function describe(error) {
  if (error instanceof ApiException) {
    return `answered ${error.code}: ${JSON.stringify(error.body)}`.slice(0, 600);
  }
  const place = /sending\/[a-z_]+\.mjs:\d+/.exec(error.stack?.split("\n    at ").slice(1)
    .filter((line) => !line.includes("harness.mjs")).join("\n") ?? "")?.[0];
  return `${error.message ?? error} (${place ?? "?"})`.slice(0, 900);
}

/** The status of the last request of the running check. */
export const lastStatus = () => current.getStore()?.at(-1)?.status;

/** Fails unless the call is refused in the way that every refusal has. */
export async function refused(call, status, at) {
  const statuses = [status].flat();
  let error;
  try {
    const answer = await call;
    assert.fail(`should be refused with ${statuses.join(" or ")}, was answered ${JSON.stringify(answer)}`);
  } catch (caught) {
    if (!(caught instanceof ApiException)) throw caught;
    error = caught;
  }
  const { body } = error;
  assert.ok(statuses.includes(error.code),
    `should be refused with ${statuses.join(" or ")}, was with ${error.code}: ${JSON.stringify(body)}`);
  assert.match(error.headers["content-type"] ?? "", /^application\/problem\+json/);
  assert.equal(body.status, error.code);
  assert.match(body.code, /^[a-z_]+$/);
  assert.ok(typeof body.title === "string" && body.title !== "", "the problem has a title");
  if (error.code !== 422) {
    assert.ok(typeof body.detail === "string" && body.detail !== "", "the problem says what happened");
    return error;
  }
  assert.ok(Array.isArray(body.detail) && body.detail.length > 0, "the problem lists what is wrong");
  for (const { loc, msg, type } of body.detail) {
    assert.ok(Array.isArray(loc) && loc.every((part) => typeof part === "string"), `loc ${loc}`);
    assert.ok(typeof msg === "string" && msg !== "" && typeof type === "string" && type !== "");
  }
  if (at) {
    const places = body.detail.map(({ loc }) => loc.join("."));
    assert.ok(places.some((place) => place === at || place.startsWith(`${at}.`)),
      `${at} should be named, not ${places.join(", ")}`);
  }
  return error;
}

/** Every item of a list, page by page; the iterator of the last page comes along. */
export async function pages(list, options = {}) {
  const items = [];
  let count = 0;
  let iterator;
  for (;;) {
    const page = await list({ ...options, iterator });
    count += 1;
    assert.ok(count < 1_000, "the pages never end");
    assert.ok(page.iterator !== undefined, "a page has an iterator, if only null");
    if (options.limit) assert.ok(page.data.length <= options.limit, "a page keeps its limit");
    items.push(...page.data);
    if (page.done) return { items, count, iterator: page.iterator ?? iterator };
    assert.ok(page.data.length > 0, "only the last page may be empty");
    assert.notEqual(page.iterator, iterator, "the iterator moves");
    iterator = page.iterator;
  }
}

/** Asks again until the answer is neither undefined, null nor false. */
export async function until(what, ask, seconds = 15) {
  const end = Date.now() + seconds * 1_000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) assert.fail(`${what}: not within ${seconds} s`);
    await pause(60);
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Fails unless a moment is a valid one, not far from now. */
export function recent(moment) {
  assert.ok(moment instanceof Date && !Number.isNaN(moment.getTime()), "a moment is a date");
  assert.ok(Math.abs(Date.now() - moment) < 90_000, `${moment.toISOString()} is not recent`);
}

/** Makes event types, for endpoints can only ask for those that there are. */
export async function types(svix, ...names) {
  for (const name of names) await svix.eventType.upsert(name, { description: name });
}

/** An id that is well formed and belongs to nothing. */
export const nowhere = (prefix) => `${prefix}_${"0Absent9".repeat(4).slice(0, 27)}`;

/** Waits until a task is finished and answers it. */
export const finished = (svix, id) =>
  until(`task ${id} is finished`, async () => {
    const task = await svix.backgroundTask.get(id);
    assert.notEqual(task.status, "failed", JSON.stringify(task));
    return task.status === "finished" && task;
  });
