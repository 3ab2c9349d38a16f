// The real binary as a child process, in a folder of its own.

import { spawn } from "node:child_process";
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** The admin token of every gateway that is started here. */
export const ADMIN_TOKEN = "browser-tests-only-admin-token-0123456789";

/** A port of loopback that nobody listens on just now, below those that the system gives to connections. */
export function freePort() {
  return new Promise((resolve) => {
    const attempt = () => {
      const server = net.createServer();
      server.on("error", attempt);
      server.listen(12_000 + Math.floor(Math.random() * 3_000), "127.0.0.1", () => {
        const { port } = server.address();
        server.close(() => resolve(port));
      });
    };
    attempt();
  });
}

/**
 * Starts a gateway with the given further lines of its configuration and waits until it is ready.
 * `BECKET_BIN` names the binary, `BECKET_DASHBOARD_DIR` a bundle to serve instead of the built-in one.
 */
export async function gateway({ config = "", port, binary = process.env.BECKET_BIN, env = {} } = {}) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "becket-browser-"));
  const at = port ?? (await freePort());
  const url = `http://127.0.0.1:${at}`;
  const file = path.join(folder, "becket.toml");
  const write = (further) => writeFileSync(file, [
    "[server]", `listen = "127.0.0.1:${at}"`,
    "[store]", `url = "sqlite:${path.join(folder, "data")}"`,
    "[egress]", 'allow_networks = ["127.0.0.0/8"]', further, "",
  ].join("\n"));
  write(config);
  const log = path.join(folder, "gateway.log");
  let child;
  const begin = async () => {
    child = spawn(binary ?? path.join(root, "target/debug/becket"), ["serve", "--config", file], {
      env: { ...process.env, BECKET_ADMIN_TOKEN: ADMIN_TOKEN, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const lines = createWriteStream(log, { flags: "a" });
    child.stdout.pipe(lines, { end: false });
    child.stderr.pipe(lines, { end: false });
    for (let tries = 0; tries < 300; tries += 1) {
      if (child.exitCode !== null) break;
      if (await fetch(`${url}/readyz`).then((answer) => answer.ok, () => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    child.kill("SIGKILL");
    throw new Error(`the gateway did not start:\n${readFileSync(log, "utf8")}`);
  };
  const end = (signal) => new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", resolve);
    child.kill(signal);
  });
  await begin();
  return {
    url,
    folder,
    token: ADMIN_TOKEN,
    log: () => readFileSync(log, "utf8"),
    /** Writes the configuration anew; the gateway notices by itself. */
    configure: write,
    restart: async () => { await end("SIGTERM"); await begin(); },
    kill: async () => { await end("SIGKILL"); await begin(); },
    stop: async () => { await end("SIGTERM"); rmSync(folder, { recursive: true, force: true }); },
    /** Calls the API with a token; throws with what the gateway said unless it succeeded. */
    api: async (method, where, body, { token = ADMIN_TOKEN, headers = {} } = {}) => {
      const answer = await fetch(url + where, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { "content-type": "application/json" }), ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const told = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${told}`);
      return told === "" ? null : JSON.parse(told);
    },
    /** Sends a request to a receiving URL; answers with status and text. */
    send: async (where, { body, headers }) => {
      const answer = await fetch(url + where, { method: "POST", headers, body });
      return { status: answer.status, text: await answer.text(), headers: answer.headers };
    },
  };
}

/** Waits until `holds` answers something true and gives that back. */
export async function until(what, holds, limitMs = 15_000) {
  const end = Date.now() + limitMs;
  for (;;) {
    const found = await holds();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${limitMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
