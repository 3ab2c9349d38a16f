// Sending and receiving without anything in between: exact bytes out, exact bytes in.

import http from "node:http";

const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });

/** Posts bytes and answers `{ status, headers, body }`. */
export function send(base, path, headers, body, method = "POST") {
  return new Promise((resolve, reject) => {
    const bytes = Buffer.from(body);
    const url = new URL(path, base);
    const request = http.request(
      url,
      { method, agent, headers: { "content-length": bytes.length, ...headers } },
      (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    request.setTimeout(30_000, () => request.destroy(new Error("no answer within 30 s")));
    request.on("error", reject);
    request.end(bytes);
  });
}

/** A receiver that keeps every request by the last part of its path, and answers 200. */
export class Receiver {
  #server;
  #requests = [];

  async listen(port) {
    this.#server = http.createServer((request, response) => {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        this.#requests.push({
          method: request.method,
          path: request.url,
          headers: request.headers,
          body: Buffer.concat(chunks),
        });
        response.end("received");
      });
    });
    await new Promise((resolve, reject) => {
      this.#server.on("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
  }

  /** What came to this path so far. */
  at(path) {
    return this.#requests.filter((request) => request.path === path);
  }

  /** Waits until so many requests have come to the path, and answers with all of them. */
  async wait(path, count, timeoutMs = 60_000) {
    const until = Date.now() + timeoutMs;
    while (this.at(path).length < count && Date.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return this.at(path);
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** Runs `task` over all items, at most `width` at a time. */
export async function eachOf(items, width, task) {
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) await task(item, index);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
