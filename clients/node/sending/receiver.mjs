// The customers' side: receives deliveries on loopback, keeps them, and answers as it is told.

import assert from "node:assert/strict";
import http from "node:http";
import { Webhook, WebhookVerificationError } from "svix";
import { until } from "./harness.mjs";

export class Receiver {
  #requests = new Map();
  #answers = new Map();
  #server;

  async listen() {
    this.#server = http.createServer((request, response) => {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => this.#answer(request, Buffer.concat(chunks), response));
    });
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  #answer(request, body, response) {
    const name = request.url.slice(1);
    const kept = this.requests(name);
    kept.push({ method: request.method, headers: request.headers, body, at: Date.now() });
    const { status = 200, text = "received", headers = {} } =
      this.#answers.get(name)?.(kept.length) ?? {};
    response.writeHead(status, headers);
    response.end(text);
  }

  /** Where deliveries of a name go. */
  url(name) {
    return `http://127.0.0.1:${this.#server.address().port}/${name}`;
  }

  /** Answers requests of a name with what `answer` makes of their number, which begins at 1. */
  on(name, answer) {
    this.#answers.set(name, answer);
  }

  /** Everything that has come under a name. */
  requests(name) {
    if (!this.#requests.has(name)) this.#requests.set(name, []);
    return this.#requests.get(name);
  }

  /** Waits for so many requests, and answers all there are. */
  async wait(name, count, seconds = 15) {
    const requests = this.requests(name);
    await until(`${count} deliveries at ${name}, there are ${requests.length}`,
      () => requests.length >= count, seconds).catch((error) => {
      throw new Error(`${error.message}; now ${requests.length}`);
    });
    return [...requests];
  }

  /** Waits for a request whose JSON body fits. */
  async find(name, fits, seconds = 15) {
    return until(`a fitting delivery at ${name}`, () =>
      this.requests(name).find(({ body }) => fits(JSON.parse(body.toString()))), seconds);
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** Fails unless the SDK takes the delivery for genuine, and not when its body is changed. */
export function verified(secret, { headers, body }) {
  const webhook = new Webhook(secret);
  webhook.verify(body.toString(), headers);
  assert.throws(() => webhook.verify(`${body} `, headers), WebhookVerificationError);
  return JSON.parse(body.toString());
}

/** Fails if the SDK takes the delivery for genuine. */
export function unverified(secret, { headers, body }) {
  assert.throws(() => new Webhook(secret).verify(body.toString(), headers), WebhookVerificationError);
}

/** A fresh symmetric secret. */
export const secret = () =>
  `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64")}`;
