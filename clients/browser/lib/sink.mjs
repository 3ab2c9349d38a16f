// Somebody's server that gets deliveries: it remembers what came, and answers as its path says.

import http from "node:http";

/**
 * Listens on loopback. `/status/503` answers 503, `/hang` never answers, `/slow/500` answers after
 * 500 ms, everything else answers 200. `flip(path, status)` changes what a path answers from now on.
 */
export async function sink() {
  const received = [];
  const answers = new Map();
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const path = new URL(request.url, "http://sink").pathname;
      received.push({ path, headers: request.headers, body: Buffer.concat(parts).toString() });
      const [, word, value] = path.split("/");
      if (word === "hang") return;
      const status = answers.get(path) ?? (word === "status" ? Number(value) : 200);
      const answer = () => {
        response.writeHead(status, { "content-type": "application/json", "x-sink": "yes" });
        response.end(JSON.stringify({ received: path, status }));
      };
      if (word === "slow") setTimeout(answer, Number(value));
      else answer();
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  return {
    url,
    received,
    at: (path) => received.filter((one) => one.path === path),
    flip: (path, status) => answers.set(path, status),
    close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }),
  };
}
