// A handler behind Becket, with Express: every request is proven to come from the gateway before it is believed.
// Start it with the endpoint's secret and a port: ENDPOINT_SECRET=whsec_… PORT=3000 node express.mjs
import { createRequire } from "node:module";

// The packages are those of ../node; in a project of your own these are plain imports.
const require = createRequire(new URL("../node/package.json", import.meta.url));
const express = require("express");
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

const webhook = new Webhook(process.env.ENDPOINT_SECRET);
const seen = new Set();
const app = express();

// The raw bytes are what is signed: a parsed and printed body has other bytes.
app.post("/webhooks", express.raw({ type: "*/*", limit: "10mb" }), (request, response) => {
  try {
    webhook.verify(request.body, request.headers);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    return response.status(401).json({ error: error.message });
  }
  // The id stays the same when a delivery is tried again: work that was done is not done twice.
  const id = request.headers["webhook-id"];
  const repeated = seen.has(id);
  seen.add(id);
  response.status(repeated ? 200 : 202).json({ id, repeated });
});

const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
