// A handler for every provider whose official SDK is installed in ../node: POST /PROVIDER is verified by that
// SDK and answered with 200, or with 400 when the SDK refuses it. Challenges are answered as the SDK or the
// provider's document says. SECRETS holds the secrets by provider as JSON, PUBLIC_URL the base of signed URLs.

import { createRequire } from "node:module";
import http from "node:http";
import { load } from "../node/lib/load.mjs";

const require = createRequire(new URL("../node/package.json", import.meta.url));
const secrets = JSON.parse(process.env.SECRETS ?? "{}");

/** What a judge throws when the SDK says no without saying why. */
const demand = (genuine) => {
  if (!genuine) throw new Error("the SDK says that it is not genuine");
};
const svixHeaders = (headers) => ({
  id: headers["svix-id"],
  timestamp: headers["svix-timestamp"],
  signature: headers["svix-signature"],
});

/** Finds the published JSON Schema of an event of GitHub's, which its payload has to fit besides. */
function githubSchemas() {
  const Ajv = require("ajv");
  const all = require("@octokit/webhooks-schemas");
  const ajv = new Ajv({ strict: false });
  require("ajv-formats")(ajv);
  ajv.addSchema(all, "github");
  return (event, action) => {
    const names = [`${event}$${action}`, `${event}$event`, `${event}_event`];
    const name = names.find((candidate) => all.definitions[candidate]);
    return ajv.getSchema(`github#/definitions/${name.replace("$", "%24")}`);
  };
}

// Each judge throws unless the SDK takes the request; what it returns is answered.
const judges = {
  async github() {
    const { verify } = await load("@octokit/webhooks-methods");
    const schemaOf = githubSchemas();
    return async ({ text, headers, secret }) => {
      demand(await verify(secret, text, headers["x-hub-signature-256"]));
      const payload = JSON.parse(text);
      const fits = schemaOf(headers["x-github-event"], payload.action);
      if (!fits(payload)) throw new Error(`not of the schema: ${JSON.stringify(fits.errors.slice(0, 3))}`);
    };
  },
  async stripe() {
    const Stripe = require("stripe");
    const stripe = new Stripe("sk_test_made_up");
    return ({ body, headers, secret }) => {
      const event = stripe.webhooks.constructEvent(body, headers["stripe-signature"], secret);
      demand(event.object === "event" && event.data.object.object !== undefined);
    };
  },
  async twilio() {
    const twilio = require("twilio");
    return ({ text, headers, secret, url }) => {
      const fields = Object.fromEntries(new URLSearchParams(text));
      demand(twilio.validateRequest(secret, headers["x-twilio-signature"], url, fields));
      return { type: "text/xml", body: "<Response/>" };
    };
  },
  async svix() {
    const { Webhook } = require("svix");
    return ({ text, headers, secret }) => void new Webhook(secret).verify(text, headers);
  },
  async standardwebhooks() {
    const { Webhook } = require("standardwebhooks");
    return ({ text, headers, secret }) => void new Webhook(secret).verify(text, headers);
  },
  async resend() {
    const { Resend } = require("resend");
    const resend = new Resend("re_made_up");
    return ({ text, headers, secret }) =>
      void resend.webhooks.verify({ payload: text, headers: svixHeaders(headers), webhookSecret: secret });
  },
  async clerk() {
    const { verifyWebhook } = await load("@clerk/backend/webhooks");
    return async ({ text, headers, secret, url }) => {
      const request = new Request(url, { method: "POST", headers, body: text });
      const event = await verifyWebhook(request, { signingSecret: secret });
      demand(typeof event.type === "string");
    };
  },
  async slack() {
    const { verifySlackRequest } = require("@slack/bolt/dist/receivers/verify-request.js");
    return ({ text, headers, secret }) => {
      const timestamp = Number(headers["x-slack-request-timestamp"]);
      const given = { ...headers, "x-slack-request-timestamp": timestamp };
      verifySlackRequest({ signingSecret: secret, body: text, headers: given });
      if (!text.startsWith("{")) return undefined;
      const event = JSON.parse(text);
      if (event.type === "url_verification") return { type: "text/plain", body: event.challenge };
      return undefined;
    };
  },
  async shopify() {
    await load("@shopify/shopify-api/adapters/node");
    const { shopifyApi, LogSeverity } = await load("@shopify/shopify-api");
    return async ({ text, headers, secret, request }) => {
      const api = shopifyApi({
        apiKey: "k", apiSecretKey: secret, scopes: [], hostName: "hooks.example.com",
        apiVersion: headers["x-shopify-api-version"], isEmbeddedApp: false,
        logger: { level: LogSeverity.Error, log: () => {} },
      });
      const rawRequest = { method: "POST", url: request.url, headers };
      const verdict = await api.webhooks.validate({ rawBody: text, rawRequest });
      demand(verdict.valid);
    };
  },
  async paddle() {
    const { Paddle } = require("@paddle/paddle-node-sdk");
    const paddle = new Paddle("made_up");
    return async ({ text, headers, secret }) => {
      const event = await paddle.webhooks.unmarshal(text, secret, headers["paddle-signature"]);
      demand(event?.eventType !== undefined);
    };
  },
  async linear() {
    const { LinearWebhookClient } = await load("@linear/sdk/webhooks");
    return ({ body, headers, secret }) => {
      const event = new LinearWebhookClient(secret).parseData(body, headers["linear-signature"]);
      demand(event.webhookTimestamp !== undefined);
    };
  },
  async zoom() {
    const { AwsLambdaReceiver } = await load("@zoom/rivet/meetings");
    console.debug = () => {};
    return async ({ text, headers, secret }) => {
      const receiver = new AwsLambdaReceiver({ webhooksSecretToken: secret });
      receiver.init({ eventEmitter: { emit: async () => {} } });
      const handler = await receiver.start();
      const answer = await handler({ headers, body: text, isBase64Encoded: false }, {});
      demand(answer.statusCode === 200);
      return { type: "application/json", body: answer.body };
    };
  },
  async notion() {
    const { verifyWebhookSignature } = await load("@notionhq/client");
    return async ({ text, headers, secret }) =>
      demand(await verifyWebhookSignature({
        body: text, signature: headers["x-notion-signature"], verificationToken: secret,
      }));
  },
  async discord() {
    const { verifyKey } = require("discord-interactions");
    return async ({ body, headers, secret }) => {
      const { "x-signature-ed25519": signature, "x-signature-timestamp": timestamp } = headers;
      demand(await verifyKey(body, signature, timestamp, secret));
      const { type, event } = JSON.parse(body);
      if (type === 0) return { status: 204 };
      return type === 1 && !event ? { type: "application/json", body: '{"type":1}' } : undefined;
    };
  },
  async razorpay() {
    const { validateWebhookSignature } = require("razorpay");
    return ({ text, headers, secret }) =>
      demand(validateWebhookSignature(text, headers["x-razorpay-signature"], secret));
  },
  async sendgrid() {
    const { EventWebhook } = require("@sendgrid/eventwebhook");
    const webhook = new EventWebhook();
    const header = (headers, name) => headers[`x-twilio-email-event-webhook-${name}`];
    return ({ body, headers, secret }) => {
      const key = webhook.convertPublicKeyToECDSA(secret);
      demand(webhook.verifySignature(key, body, header(headers, "signature"), header(headers, "timestamp")));
    };
  },
};

const ready = {};
for (const [provider, make] of Object.entries(judges)) {
  if (secrets[provider] !== undefined) ready[provider] = await make();
}

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", async () => {
    const provider = request.url.split(/[/?]/)[1];
    const judge = ready[provider];
    if (!judge) {
      response.writeHead(404).end(JSON.stringify({ providers: Object.keys(judges) }));
      return;
    }
    const body = Buffer.concat(chunks);
    const { headers } = request;
    const url = `${process.env.PUBLIC_URL ?? `http://${headers.host}`}${request.url}`;
    try {
      const given = { body, text: body.toString(), headers, secret: secrets[provider], url, request };
      const answer = (await judge(given)) ?? {};
      const type = answer.type ?? "application/json";
      response.writeHead(answer.status ?? 200, { "content-type": type });
      response.end(answer.status === 204 ? undefined : (answer.body ?? '{"genuine":true}'));
    } catch (error) {
      response.writeHead(400, { "content-type": "application/json" });
      response.end(JSON.stringify({ genuine: false, error: String(error.message ?? error) }));
    }
  });
});
server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
