// The snippets in languages that run from their source.
import { doubled, single } from "./quoting";

export const node = (eventType: string): string => `// ENDPOINT_SECRET=whsec_... node handler.mjs
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from(process.env.ENDPOINT_SECRET.replace(/^whsec_/, ""), "base64");

// The raw bytes are what is signed: a parsed and printed body has other bytes.
function isGenuine(headers, body) {
  const id = headers["webhook-id"], at = headers["webhook-timestamp"], given = headers["webhook-signature"];
  if (!id || !at || !given || !(Math.abs(Date.now() / 1000 - Number(at)) < 300)) return false;
  const wanted = createHmac("sha256", key).update(\`\${id}.\${at}.\`).update(body).digest();
  return given.split(" ").some((one) => {
    const [version, text] = one.split(",");
    const came = Buffer.from(text ?? "", "base64");
    return version === "v1" && came.length === wanted.length && timingSafeEqual(came, wanted);
  });
}

createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  if (!isGenuine(request.headers, body)) return response.writeHead(401).end();
  if (request.headers["becket-event-type"] === ${doubled(eventType)}) {
    const event = JSON.parse(body);
    // The id is the same when a delivery is repeated: do the work once per id.
    console.log(request.headers["webhook-id"], event);
  }
  response.writeHead(204).end();
}).listen(Number(process.env.PORT ?? 3000), "127.0.0.1");
`;

export const python = (eventType: string): string => `# ENDPOINT_SECRET=whsec_... python3 handler.py
import base64, hashlib, hmac, json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

key = base64.b64decode(os.environ["ENDPOINT_SECRET"].removeprefix("whsec_"))


# The raw bytes are what is signed: a parsed and printed body has other bytes.
def is_genuine(headers, body):
    id, at, given = (headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature"))
    if not at.isdigit() or abs(time.time() - int(at)) > 300:
        return False
    wanted = base64.b64encode(hmac.new(key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest())
    return any(hmac.compare_digest(one.encode(), b"v1," + wanted) for one in given.split(" "))


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not is_genuine(self.headers, body):
            return self.answer(401)
        if self.headers.get("becket-event-type") == ${doubled(eventType)}:
            event = json.loads(body)
            # The id is the same when a delivery is repeated: do the work once per id.
            print(self.headers["webhook-id"], event, flush=True)
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Handler).serve_forever()
`;

export const ruby = (eventType: string): string => `# gem install rack rackup webrick; ENDPOINT_SECRET=whsec_... rackup -p 3000
require "base64"
require "json"
require "openssl"

KEY = Base64.decode64(ENV.fetch("ENDPOINT_SECRET").delete_prefix("whsec_"))

# The raw bytes are what is signed: a parsed and printed body has other bytes.
def genuine?(env, body)
  id, at, given = env.values_at("HTTP_WEBHOOK_ID", "HTTP_WEBHOOK_TIMESTAMP", "HTTP_WEBHOOK_SIGNATURE").map(&:to_s)
  return false if (Time.now.to_i - at.to_i).abs > 300
  wanted = "v1," + Base64.strict_encode64(OpenSSL::HMAC.digest("SHA256", KEY, "#{id}.#{at}.".b + body))
  given.split(" ").any? { |one| OpenSSL.secure_compare(one, wanted) }
end

run(lambda do |env|
  body = (env["rack.input"]&.read || "").b
  return [401, {}, []] unless genuine?(env, body)
  if env["HTTP_BECKET_EVENT_TYPE"] == ${single(eventType)}
    event = JSON.parse(body)
    # The id is the same when a delivery is repeated: do the work once per id.
    puts "#{env["HTTP_WEBHOOK_ID"]} #{event}"
  end
  [204, {}, []]
end)
`;

export const php = (eventType: string): string => `<?php
// ENDPOINT_SECRET=whsec_... php -S 127.0.0.1:3000 handler.php
$key = base64_decode(preg_replace('/^whsec_/', '', getenv('ENDPOINT_SECRET')));

// The raw bytes are what is signed: a parsed and printed body has other bytes.
$body = file_get_contents('php://input');
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$at = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
$wanted = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$body", $key, true));
$genuine = false;
foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $one) {
    $genuine = hash_equals($wanted, $one) || $genuine;
}
if (!$genuine || abs(time() - (int) $at) > 300) {
    http_response_code(401);
    return;
}
if (($_SERVER['HTTP_BECKET_EVENT_TYPE'] ?? '') === ${single(eventType)}) {
    $event = json_decode($body, true);
    // The id is the same when a delivery is repeated: do the work once per id.
    error_log($id . ' ' . json_encode($event));
}
http_response_code(204);
`;
