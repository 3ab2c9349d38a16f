// Providers whose signature only others describe: vectors that hold their entries to that description, and prove no more.
import { createHash, createHmac } from "node:crypto";
import { suite } from "../suite.js";
import { SENT } from "../lib.js";
import { standard } from "./a_standard.js";
import { timed } from "./a_timed.js";
import { plain } from "./a_body.js";

const made = "signed with Node's crypto as others describe the scheme";
const hmac = (key, text, encoding = "hex", digest = "sha256") => createHmac(digest, key).update(text).digest(encoding);
const dotted = (key, time, body) => hmac(key, `${time}.${body}`);
const pairs = (signature) => (time, signatures) => [`t=${time}`, ...signatures.map((one) => `${signature}=${one}`)].join(",");

const neutral = (slug, event_type, body) => ({ slug, made, event_type, body });

/** Delivered through Svix: the neutral prefix of the headers must do as well. */
function svix(slug, event_type, body) {
  const headers = {};
  const text = JSON.stringify(body);
  const id = "msg_neutral";
  const key = Buffer.from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64");
  for (const [name, value] of [["id", id], ["timestamp", String(SENT)], ["signature", `v1,${hmac(key, `${id}.${SENT}.${text}`, "base64")}`]]) headers[`webhook-${name}`] = value;
  return { slug, prefix: "svix", made, event_type, body, extra: [{ name: "neutral headers", headers, expect: "genuine" }] };
}

const standards = () => [
  neutral("brex", "TRANSFER_PROCESSED", { event_type: "TRANSFER_PROCESSED", transfer_id: "dptx_1" }),
  neutral("sardine", "order.processed", { eventType: "order.processed", data: { orderId: "o1" } }),
  neutral("loops", "email.delivered", { eventName: "email.delivered", eventTime: SENT }),
  neutral("folk", "person.created", { id: "evt_1", type: "person.created" }),
  { ...svix("incident_io", "public_incident.incident_created_v2", { event_type: "public_incident.incident_created_v2" }), made: "signed with Node's crypto as Svix signs, which https://docs.incident.io/integrations/webhooks names" },
  svix("beehiiv", "subscription.confirmed", { type: "subscription.confirmed", data: { id: "sub_1" } }),
  svix("guesty", "reservation.new", { event: "reservation.new", reservation: { _id: "r1" } }),
  svix("nash", "delivery.updated", { type: "delivery.updated", id: "evt_1" }),
  svix("pleo", "v1.export-job.created", { type: "v1.export-job.created", data: { id: "a0b1" } }),
  svix("psi_fi", "order.completed", { type: "order.completed", data: { id: "ord_1" } }),
  svix("safebase", "access_request.created", { type: "access_request.created", data: { id: "req_1" } }),
  { ...svix("stytch", "direct.user.create", { event_id: "e1", action: "CREATE", source: "DIRECT", object_type: "user", id: "user-test-1" }), made: "signed with Node's crypto as Svix signs, which https://stytch.com/docs/b2b/guides/webhooks names" },
];

const timeds = () => [
  { slug: "calendly", header: "calendly-webhook-signature", write: pairs("v1"), age: 180, body: { event: "invitee.created", payload: { uri: "https://api.calendly.com/scheduled_events/EV1/invitees/IN1" } }, facts: { event_type: "invitee.created", delivery_id: "invitee.created:https://api.calendly.com/scheduled_events/EV1/invitees/IN1" } },
  { slug: "recharge", header: "x-recharge-webhook-signature", write: pairs("v1"), age: 172800, headers: { "x-recharge-topic": "charge/paid" }, body: { charge: { id: 1 } }, facts: { event_type: "charge/paid" } },
  { slug: "revenuecat", header: "x-revenuecat-webhook-signature", write: pairs("v1"), body: { api_version: "1.0", event: { type: "INITIAL_PURCHASE", id: "12345678" } }, facts: { event_type: "INITIAL_PURCHASE", delivery_id: "12345678" } },
  { slug: "tiktok", made: "signed with Node's crypto after https://developers.tiktok.com/doc/webhooks-verification", header: "tiktok-signature", write: pairs("s"), body: { event: "authorization.removed", user_openid: "act.1" }, facts: { event_type: "authorization.removed" } },
  { slug: "sightengine", made: "signed with Node's crypto after https://sightengine.com/docs/callback-signature", header: "sightengine-signature", write: pairs("v1"), body: { status: "finished", request: { id: "req_1" } } },
  { slug: "hostedhooks", header: "hostedhooks-signature", write: pairs("v1"), body: { event_type: "order.created", data: { id: "o1" } }, facts: { event_type: "order.created" } },
].map((one) => ({ made, key: "made-up-secret-0123456789", sign: dotted, ...one }));

const sha256 = (one) => `sha256=${one}`;
const sha1 = (one) => `sha1=${one}`;
const older = (key, text) => ({ "x-hub-signature": `sha1=${hmac(key, text, "hex", "sha1")}` });
const atlassian = {
  name: "Atlassian's example", body: "Hello World!", secrets: ["It's a Secret to Everybody"], expect: "genuine",
  headers: { "x-hub-signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9" }, origin: "printed in Atlassian's documentation, as several projects quote it",
};
const challenge = (token) => ({ method: "GET", url: `https://hooks.example.com/in/src?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=${token}`, headers: {}, body: "", credentials: { verify_token: "meatyhamhock" }, expect: "refused", refusal: "missing_signature" });
const meta = [
  { name: "hub.challenge", ...challenge("meatyhamhock"), handshake: { status: 200, body: "1158201444" } },
  { name: "wrong verify token", ...challenge("guess"), handshake: null },
];

const plains = () => [
  { slug: "facebook_messenger", header: "x-hub-signature-256", write: sha256, weaker: older, made: "signed with Node's crypto after https://github.com/fbsamples/messenger-platform-samples", body: { object: "page", entry: [{ id: "1", messaging: [{ message: { mid: "m_1", text: "Grüße" } }] }] }, facts: { event_type: "page" }, extra: meta },
  { slug: "instagram", header: "x-hub-signature-256", write: sha256, weaker: older, body: { object: "instagram", entry: [{ id: "1", changes: [{ field: "comments", value: {} }] }] }, facts: { event_type: "comments" }, extra: meta },
  { slug: "jira", header: "x-hub-signature", write: sha256, headers: { "x-atlassian-webhook-identifier": "ident-1" }, body: { webhookEvent: "jira:issue_updated", issue: { key: "JRA-20002" } }, facts: { event_type: "jira:issue_updated", delivery_id: "ident-1" }, extra: [atlassian] },
  { slug: "bitbucket", header: "x-hub-signature", write: sha256, headers: { "x-event-key": "repo:push", "x-request-uuid": "uuid-1" }, body: { push: { changes: [] } }, facts: { event_type: "repo:push", delivery_id: "uuid-1" }, extra: [atlassian] },
  {
    slug: "intercom", made: "signed with Node's crypto after https://developers.intercom.com/intercom-api-reference/v1.0/reference/signed-notifications", header: "x-hub-signature", write: sha1, digest: "sha1", body: { type: "notification_event", id: "notif_1", topic: "conversation.user.created" }, facts: { event_type: "conversation.user.created", delivery_id: "notif_1" },
    extra: [{ name: "HEAD", method: "HEAD", body: "", headers: {}, expect: "refused", refusal: "missing_signature", handshake: { status: 200, body: "" } }],
  },
  { slug: "flexport", header: "x-hub-signature-256", write: sha256, weaker: older, body: { id: 1, type: "/shipment#updated" }, facts: { event_type: "/shipment#updated", delivery_id: "1" } },
  { slug: "doppler", header: "x-doppler-signature", write: sha256, body: { type: "config.secrets.update", config: { name: "prd" } }, facts: { event_type: "config.secrets.update" } },
  { slug: "savvycal", header: "x-savvycal-signature", write: (one) => sha256(one.toUpperCase()), made: "signed with Node's crypto after https://developers.savvycal.app/webhooks", body: { id: "wev_1", type: "event.created" }, facts: { event_type: "event.created", delivery_id: "wev_1" } },
  { slug: "typeform", made: "signed with Node's crypto after https://www.typeform.com/developers/webhooks/secure-your-webhooks/", header: "typeform-signature", write: sha256, encoding: "base64", body: { event_id: "LtWXD3crgy", event_type: "form_response" }, facts: { event_type: "form_response", delivery_id: "LtWXD3crgy" } },
  { slug: "cursor", made: "signed with Node's crypto after https://cursor.com/docs/cloud-agent/api/webhooks.md", header: "x-webhook-signature", write: sha256, headers: { "x-webhook-event": "statusChange", "x-webhook-id": "wh_1" }, body: { event: "statusChange", status: "FINISHED" }, facts: { event_type: "statusChange", delivery_id: "wh_1" } },
  { slug: "airtable", header: "x-airtable-content-mac", write: (one) => `hmac-sha256=${one}`, key: "bWFkZS11cC1haXJ0YWJsZS1tYWMtc2VjcmV0LTAx", other: "YW5vdGhlci1tYWRlLXVwLW1hYy1zZWNyZXQtMDI=", bytes: (secret) => Buffer.from(secret, "base64"), body: { base: { id: "app1" }, webhook: { id: "ach1" } } },
  { slug: "enode", header: "x-enode-signature", write: sha1, digest: "sha1", headers: { "x-enode-delivery": "d1" }, body: [{ event: "user:vehicle:updated" }, { event: "user:charger:updated" }], facts: { event_type: "user:vehicle:updated", delivery_id: "d1" } },
  { slug: "autodesk", made: "signed with Node's crypto after https://aps.autodesk.com/blog/practice-payload-signature-webhook", header: "x-adsk-signature", write: (one) => `sha1hash=${one}`, digest: "sha1", headers: { "x-adsk-delivery-id": "d1" }, body: { hook: { event: "dm.version.added" } }, facts: { event_type: "dm.version.added", delivery_id: "d1" } },
  { slug: "bridge_api", header: "bridgeapi-signature", write: (one) => `v1=${one}`, body: { type: "item.refreshed", content: { item_id: 1 } }, facts: { event_type: "item.refreshed" } },
].map((one) => ({ made, ...one }));

function several() {
  const [one] = plains().filter(({ slug }) => slug === "bridge_api");
  const signature = hmac("made-up-secret-0123456789", JSON.stringify(one.body));
  return plain({ ...one, extra: [{ name: "several signatures", headers: { "bridgeapi-signature": `v1=${"0".repeat(64)},v1=${signature}` }, expect: "genuine" }] });
}

function nmi() {
  const body = JSON.stringify({ event_id: "f6c9a1d0", event_type: "transaction.sale.success" });
  const headers = (signature, nonce = "fk39fj-nonce") => ({ "content-type": "application/json", "webhook-signature": `t=${nonce},s=${signature}` });
  return suite({
    slug: "nmi", made, key: "made-up-signing-key", body, facts: { event_type: "transaction.sale.success", delivery_id: "f6c9a1d0" }, signature: "webhook-signature", malformed: "t=1,s=zz",
    request: ({ key, body: sent }) => ({ headers: headers(dotted(key, "fk39fj-nonce", sent)) }),
    extra: [
      { name: "another nonce", headers: headers(dotted("made-up-signing-key", "fk39fj-nonce", body), "another"), expect: "refused", refusal: "signature_mismatch" },
      { name: "a nonce that looks like an old time", headers: headers(dotted("made-up-signing-key", "1000000000", body), "1000000000"), expect: "genuine" },
    ],
  });
}

function recharge_legacy() {
  const body = JSON.stringify({ charge: { id: 1, status: "SUCCESS" } });
  const hash = (key, sent) => createHash("sha256").update(key + sent).digest("hex");
  const headers = (value) => ({ "content-type": "application/json", "x-recharge-topic": "charge/paid", "x-recharge-hmac-sha256": value });
  return suite({
    slug: "recharge_legacy", made, key: "made-up-client-secret", body, facts: { event_type: "charge/paid" }, signature: "x-recharge-hmac-sha256", malformed: "zz",
    request: ({ key, body: sent }) => ({ headers: headers(hash(key, sent)) }),
    extra: [{ name: "an HMAC, as the header's name says", headers: headers(hmac("made-up-client-secret", body)), expect: "refused", refusal: "signature_mismatch" }],
  });
}

function pinwheel() {
  const body = JSON.stringify({ event: "account.added", event_id: "e1" });
  const headers = (signature, time) => ({ "content-type": "application/json", "x-timestamp": String(time), "x-pinwheel-signature": `v2=${signature}` });
  return suite({
    slug: "pinwheel", made, key: "made-up-api-secret", body, facts: { event_type: "account.added", delivery_id: "e1" }, signature: "x-pinwheel-signature", malformed: "v2=zz",
    request: ({ key, body: sent, time }) => ({ headers: headers(hmac(key, `v2:${time}:${sent}`), time) }),
    time: { max_age: 300, max_future: 300, renew: (old, time) => ({ ...old, "x-timestamp": String(time) }) },
  });
}

function frontapp() {
  const key = "made-up-signing-key";
  const body = JSON.stringify({ type: "inbound_received", payload: { id: "evt_1" } });
  const sync = JSON.stringify({ type: "sync", authorization: { id: "cmp_abc" } });
  const sign = (secret, time, sent) => hmac(secret, `${time}:${sent}`, "base64");
  const headers = (signature, time) => ({ "content-type": "application/json", "x-front-request-timestamp": String(time), "x-front-signature": signature });
  const asked = { ...headers(sign(key, SENT * 1000, sync), SENT * 1000), "x-front-challenge": "9f8a7b6c5d4e3f2a1b" };
  return suite({
    slug: "frontapp", made, key, body, facts: { event_type: "inbound_received", delivery_id: "evt_1" }, signature: "x-front-signature",
    request: ({ key: secret, body: sent, time }) => ({ headers: headers(sign(secret, time * 1000, sent), time * 1000) }),
    time: { max_age: 300, max_future: 300, renew: (old, time) => ({ ...old, "x-front-request-timestamp": String(time * 1000) }) },
    extra: [
      { name: "challenge", body: sync, headers: asked, expect: "genuine", handshake: { status: 200, body: "9f8a7b6c5d4e3f2a1b" } },
      { name: "challenge with a wrong signature is not answered", body: sync, headers: { ...asked, "x-front-signature": sign("guess", SENT * 1000, sync) }, expect: "refused", refusal: "signature_mismatch", handshake: null },
    ],
  });
}

// One after the other, as everywhere here.
export default async () => {
  const all = [];
  for (const one of standards()) all.push(await standard(one));
  for (const one of timeds()) all.push(await timed(one));
  for (const one of plains().filter(({ slug }) => slug !== "bridge_api")) all.push(await plain(one));
  for (const one of [several, nmi, recharge_legacy, pinwheel, frontapp]) all.push(await one());
  return all;
};
