// Schemes with a signed time, with keys made from the secret, or with several columns in one header: Revolut, Everee, Exa,
// Twitch, Chatwoot, Pylon, Oura, Worldpay, ConnectWise, Microsoft Teams, Affirm, PostHog. All signatures are Node's.
import { createHash, createHmac } from "node:crypto";
import { SENT } from "../lib.js";
import { suite } from "../suite.js";
import { json, usual } from "./b_text.js";

const after = (url) => `signed with Node's crypto after ${url}`;
const others = "signed with Node's crypto as others describe it";
const KEY = "made-up-webhook-secret";

/** A time in a header of its own, or beside the signature; `message(time, body)` is what is signed. */
function timed({ slug, made, header, time_header, prefix = "", write = (time) => String(time), key, body, facts, headers = {}, max = 300, dig = "sha256", message, wrap, extra = () => [] }) {
  const value = (used, time, text) => prefix + createHmac(dig, used).update(message(write(time), text)).digest("hex");
  const h = (signed, time) => ({ headers: { "content-type": "application/json", ...headers, ...(wrap ? { [header]: wrap(write(time), signed) } : { [header]: signed, [time_header]: write(time) }) } });
  const renew = (given, time) => (wrap ? { ...given, [header]: given[header].replace(/t=[^,]*/, `t=${write(time)}`) } : { ...given, [time_header]: write(time) });
  return suite({
    slug, made, key, body, facts, signature: header, malformed: wrap ? wrap(write(SENT), `${prefix}%`) : `${prefix}%`,
    request: ({ key: used, body: text, time }) => h(value(used, time, text), time),
    time: { max_age: max, max_future: max, renew },
    extra: [
      { name: "re-serialised body", body: body.startsWith("{") ? JSON.stringify(JSON.parse(body), null, 2) : body.split("&").reverse().join("&"), expect: "refused", refusal: "signature_mismatch" },
      ...(wrap ? [] : [{ name: "no time", headers: { "content-type": "application/json", ...headers, [header]: value(key, SENT, body) }, expect: "refused", refusal: "missing_timestamp" }]),
      ...extra({ h, value, key, body }),
    ],
  });
}

function revolut() {
  const url = "https://developer.revolut.com/docs/guides/manage-accounts/webhooks/verify-the-payload-signature";
  const printed = '{"data":{"id":"645a7696-22f3-aa47-9c74-cbae0449cc46","new_state":"completed","old_state":"pending","request_id":"app_charges-9f5d5eb3-1e06-46c5-b1c0-3914763e0bcb"},"event":"TransactionStateChanged","timestamp":"2023-05-09T16:36:38.028960Z"}';
  return timed({
    slug: "revolut", made: after(url), header: "revolut-signature", time_header: "revolut-request-timestamp", prefix: "v1=", write: (time) => String(time * 1000), key: "wsk_made_up",
    message: (time, body) => `v1.${time}.${body}`, body: json({ event: "OrderCompleted", data: { id: "o1" } }), facts: { event_type: "OrderCompleted" },
    extra: ({ h, value, key, body }) => [
      {
        name: "the documented example", secrets: ["wsk_r59a4HfWVAKycbCaNO1RvgCJec02gRd8"], body: printed, verify_at: 1683650203, expect: "genuine", facts: { event_type: "TransactionStateChanged" },
        headers: { "revolut-request-timestamp": "1683650202360", "revolut-signature": "v1=bca326fb378d0da7f7c490ad584a8106bab9723d8d9cdd0d50b4c5b3be3837c0" },
        origin: "secret, time and body printed in Revolut's documentation, with the signature that is quoted from there",
      },
      { name: "one of two signatures", ...h(`${value("older", SENT, body)},${value(key, SENT, body)}`, SENT), expect: "genuine" },
      { name: "another version alone", ...h(value(key, SENT, body).replace("v1=", "v2="), SENT), expect: "refused", refusal: "unsupported_signature" },
    ],
  });
}

function everee() {
  return timed({
    slug: "everee", made: after("https://developer.everee.com/docs/authenticating-events"), header: "x-everee-webhook-signature", time_header: "x-everee-webhook-timestamp", prefix: "v1=", key: KEY,
    message: (time, body) => `${time}.${body}`, body: json({ companyId: 42, data: { object: { id: 1001 } } }),
    extra: ({ h, value, key, body }) => [
      { name: "one of two signatures", ...h(`${value("older", SENT, body)},${value(key, SENT, body)}`, SENT), expect: "genuine" },
      { name: "another version alone", ...h(value(key, SENT, body).replace("v1=", "v0="), SENT), expect: "refused", refusal: "unsupported_signature" },
    ],
  });
}

function exa() {
  return timed({
    slug: "exa", made: after("https://exa.ai/docs/websets/api/webhooks/verifying-signatures"), header: "exa-signature", prefix: "v1=", wrap: (time, value) => `t=${time},${value}`, key: KEY,
    message: (time, body) => `${time}.${body}`, body: json({ id: "event_clx", type: "webset.created" }), facts: { event_type: "webset.created", delivery_id: "event_clx" },
    extra: ({ h, value, key, body }) => [
      { name: "one of two signatures", ...h(`${value("older", SENT, body)},${value(key, SENT, body)}`, SENT), expect: "genuine" },
      { name: "the bare hash that others describe", headers: { "x-exa-signature": createHmac("sha256", key).update(body).digest("hex") }, expect: "refused", refusal: "missing_signature" },
    ],
  });
}

function twitch() {
  const id = "e76c6bd4-55c9-4987-8304-da1588d8988b";
  const write = (time) => `${new Date(time * 1000).toISOString().slice(0, 19)}.123456789Z`;
  // Twitch's tool for test events is written in Go. Its signing was run once against a local listener; what it sent stands here.
  const by = "signed by twitch-cli 1.1.25 (run once)";
  const sent = json({ subscription: { id: "f1c2a387", type: "channel.follow", version: "2" }, event: { user_login: "cooler_user", user_name: "Zoë" } });
  const cli = (signature, type, body) => ({
    body,
    headers: {
      "content-type": "application/json", "twitch-eventsub-message-id": id, "twitch-eventsub-message-retry": "0", "twitch-eventsub-message-type": type, "twitch-eventsub-subscription-type": "channel.follow",
      "twitch-eventsub-subscription-version": "2", "twitch-eventsub-message-timestamp": "2026-01-01T00:00:00.123456789Z", "twitch-eventsub-message-signature": `sha256=${signature}`,
    },
  });
  const headers = { "twitch-eventsub-message-id": id, "twitch-eventsub-message-type": "notification", "twitch-eventsub-subscription-type": "channel.follow" };
  return timed({
    slug: "twitch", made: after("https://dev.twitch.tv/docs/eventsub/handling-webhook-events"), header: "twitch-eventsub-message-signature", time_header: "twitch-eventsub-message-timestamp",
    prefix: "sha256=", write, max: 600, key: "s3cRe7-made-up", headers, message: (time, body) => `${id}${time}${body}`, body: json({ subscription: { type: "channel.follow" }, event: { user_login: "cooler_user" } }),
    facts: { event_type: "channel.follow", delivery_id: id },
    extra: ({ h, value, key }) => {
      const challenge = json({ challenge: "pogchamp-kappa-360noscope-vohiyo", subscription: { type: "channel.follow" } });
      const verification = { "twitch-eventsub-message-type": "webhook_callback_verification" };
      const asked = (signed) => { const given = h(signed, SENT).headers; return { body: challenge, headers: { ...given, ...verification } }; };
      return [
        { name: "as Twitch's tool signs", ...cli("cbbb0d2ad25821011b8fa163057e274786d0476b7f6fa440e34d2adbb10f5b8e", "notification", sent), expect: "genuine", origin: by },
        {
          name: "a challenge as Twitch's tool signs", ...cli("dafa2e08d326a4f57da4432796fba4f307d03ce683cb4f6db19ba0547b1eb47a", "webhook_callback_verification", challenge), expect: "genuine", origin: by,
          handshake: { status: 200, body: "pogchamp-kappa-360noscope-vohiyo" },
        },
        { name: "another text than Twitch's tool signed", ...cli("cbbb0d2ad25821011b8fa163057e274786d0476b7f6fa440e34d2adbb10f5b8e", "notification", json({})), expect: "refused", refusal: "signature_mismatch", origin: by },
        { name: "challenge", ...asked(value(key, SENT, challenge)), expect: "genuine", handshake: { status: 200, body: "pogchamp-kappa-360noscope-vohiyo" } },
        { name: "a challenge with a wrong signature is not answered", ...asked(value("guess", SENT, challenge)), expect: "refused", refusal: "signature_mismatch", handshake: null },
        { name: "another message id", headers: { ...h(value(key, SENT, json({})), SENT).headers, "twitch-eventsub-message-id": "0" }, body: json({}), expect: "refused", refusal: "signature_mismatch" },
      ];
    },
  });
}

function chatwoot() {
  return timed({
    slug: "chatwoot", made: after("lib/webhooks/trigger.rb in github.com/chatwoot/chatwoot"), header: "x-chatwoot-signature", time_header: "x-chatwoot-timestamp", prefix: "sha256=", key: KEY, headers: { "x-chatwoot-delivery": "d1" },
    message: (time, body) => `${time}.${body}`, body: json({ event: "message_created", id: 18 }), facts: { event_type: "message_created", delivery_id: "d1" },
  });
}

function pylon() {
  const bare = (key, body) => createHmac("sha256", key).update(body).digest("hex");
  return timed({
    slug: "pylon", made: others, header: "pylon-webhook-signature", time_header: "pylon-webhook-timestamp", prefix: "hs256=", key: KEY, message: (time, body) => `${time}.${body}`, body: json({ data: { number: 42 } }),
    extra: ({ key, body }) => [
      { name: "a timed signature over time and body as the body's", body: `${SENT}.${body}`, headers: { "x-pylon-signature": bare(key, `${SENT}.${body}`) }, expect: "refused", refusal: "missing_signature" },
      { name: "the body's signature alone", headers: { "x-pylon-signature": bare(key, body) }, expect: "genuine", origin: after("https://kb.help.usepylon.com/articles/6080966819-how-do-i-verify-the-webhook-signatures") },
      {
        name: "a right body's signature beside a wrong timed one", expect: "refused", refusal: "signature_mismatch",
        headers: { "pylon-webhook-signature": `hs256=${"0".repeat(64)}`, "pylon-webhook-timestamp": String(SENT), "x-pylon-signature": bare(key, body) },
      },
    ],
  });
}

function oura() {
  const sign = (key, body) => createHmac("sha256", key).update(`${SENT}${body}`).digest("hex").toUpperCase();
  const get = (query) => ({ method: "GET", body: "", headers: {}, credentials: { verification_token: "made-up" }, url: `https://hooks.example.com/in/src?${query}`, expect: "refused", refusal: "missing_signature" });
  return usual({
    slug: "oura", made: others, header: "x-oura-signature", key: KEY, headers: { "x-oura-timestamp": String(SENT) }, sign,
    body: json({ event_type: "update", data_type: "daily_sleep", object_id: "d8a1", event_time: "t" }), facts: { event_type: "update.daily_sleep", delivery_id: "update.daily_sleep.d8a1.t" },
    extra: (signed) => [
      { name: "another time", headers: { "x-oura-signature": signed, "x-oura-timestamp": "1" }, expect: "refused", refusal: "signature_mismatch" },
      { name: "verification", ...get("verification_token=made-up&challenge=abc123"), handshake: { status: 200, body: '{"challenge":"abc123"}' } },
      { name: "a wrong verification token", ...get("verification_token=guess&challenge=abc123"), handshake: null },
    ],
  });
}

function worldpay() {
  const sign = (key, body) => createHmac("sha256", key).update(body).digest("hex");
  return usual({
    slug: "worldpay", made: after("https://developer.worldpay.com/products/access/events/signature"), header: "event-signature", prefix: "1/SHA256/", key: KEY,
    body: json({ eventId: "6b8f", eventDetails: { type: "authorized" } }), facts: { event_type: "authorized", delivery_id: "6b8f" },
    extra: (signed) => [
      { name: "one of two signatures", headers: { "event-signature": `2/SHA256/${sign("newer", "x")},${signed}` }, expect: "genuine" },
      { name: "neither of two signatures", headers: { "event-signature": `2/SHA256/${sign("newer", "x")},1/SHA256/${sign("older", "x")}` }, expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

function connectwise() {
  const sign = (key, body) => createHmac("sha256", createHash("sha256").update(key).digest()).update(body).digest("base64");
  const body = json({ MessageId: "25bf", Type: "ticket", Action: "updated" });
  return usual({
    slug: "connectwise", made: others, header: "x-content-signature", enc: "base64", key: KEY, sign, body, facts: { event_type: "ticket.updated", delivery_id: "25bf" },
    extra: [{ name: "signed with the secret itself", headers: { "x-content-signature": createHmac("sha256", KEY).update(body).digest("base64") }, expect: "refused", refusal: "signature_mismatch" }],
  });
}

function teams() {
  const key = Buffer.from("made-up-security-token-of-teams!").toString("base64");
  const sign = (used, body) => createHmac("sha256", Buffer.from(used, "base64")).update(body).digest("base64");
  const body = json({ type: "message", id: "1767225600123", text: "<at>Hook</at> Grüße" });
  return usual({
    slug: "microsoft_teams", made: after("https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-outgoing-webhook"), header: "authorization", prefix: "HMAC ", enc: "base64", key,
    other: Buffer.from("another token").toString("base64"), sign, body, facts: { event_type: "message", delivery_id: "1767225600123" },
    extra: [
      { name: "signed with the undecoded token", headers: { authorization: `HMAC ${createHmac("sha256", key).update(body).digest("base64")}` }, expect: "refused", refusal: "signature_mismatch" },
      { name: "another kind of authorization", headers: { authorization: "Bearer abc" }, expect: "refused", refusal: "unsupported_signature" },
    ],
  });
}

function affirm() {
  const body = "event=confirmed&checkout_token=5I97HK0E&order_id=order-1";
  return timed({
    slug: "affirm", made: after("https://docs.affirm.com/developers/docs/checking-webhook-signatures"), header: "x-affirm-signature", prefix: "v0=", dig: "sha512", wrap: (time, value) => `t=${time},${value}`, key: KEY,
    headers: { "content-type": "application/x-www-form-urlencoded" }, message: (time, text) => `${time}.${text}`, body, facts: { event_type: "confirmed" },
    extra: ({ h, value, key }) => [
      { name: "one of two signatures", ...h(`${value("older", SENT, body)},${value(key, SENT, body)}`, SENT), expect: "genuine" },
      { name: "another version alone", ...h(value(key, SENT, body).replace("v0=", "v1="), SENT), expect: "refused", refusal: "unsupported_signature" },
      { name: "SHA-256 instead of SHA-512", ...h(`v0=${createHmac("sha256", key).update(`${SENT}.${body}`).digest("hex")}`, SENT), expect: "refused", refusal: "signature_mismatch" },
      { name: "the body alone, as others declare it", ...h(`v0=${createHmac("sha512", key).update(body).digest("hex")}`, SENT), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

function posthog() {
  const key = `whsec_${Buffer.from("a made-up secret for posthog").toString("base64")}`, other = `whsec_${Buffer.from("another made-up secret").toString("base64")}`;
  const body = json({ event: { event: "$pageview" }, person: { id: "018f" } });
  const value = (used, id, time, text) => `v1,${createHmac("sha256", Buffer.from(used.replace("whsec_", ""), "base64")).update(`${id}.${time}.${text}`).digest("base64")}`;
  const h = (signature, time = SENT, id = "d1") => ({ headers: { "content-type": "application/json", "webhook-id": id, "webhook-timestamp": String(time), "webhook-signature": signature } });
  const good = value(key, "d1", SENT, body);
  return suite({
    slug: "posthog", made: after("https://github.com/PostHog/posthog/pull/90307"), key, other, body, facts: { delivery_id: "d1" }, signature: "webhook-signature", malformed: "v1,%",
    request: ({ key: used, body: text, time }) => h(value(used, "d1", time, text), time),
    time: { max_age: 300, max_future: 300, renew: (given, time) => ({ ...given, "webhook-timestamp": String(time) }) },
    extra: [
      { name: "another id", ...h(good, SENT, "d2"), expect: "refused", refusal: "signature_mismatch" },
      { name: "the secret without its prefix", secrets: [key.slice(6)], expect: "genuine" },
      { name: "one of two signatures", ...h(`${value(other, "d1", SENT, body)} ${good}`), expect: "genuine" },
      { name: "another version alone", ...h(good.replace("v1,", "v1a,")), expect: "refused", refusal: "unsupported_signature" },
      { name: "no time", headers: { "webhook-id": "d1", "webhook-signature": good }, expect: "refused", refusal: "missing_timestamp" },
      {
        name: "the header that others name", expect: "refused", refusal: "missing_signature",
        headers: { "content-type": "application/json", "x-posthog-signature": createHmac("sha256", key).update(body).digest("hex") },
      },
    ],
  });
}

export default async () => [revolut(), everee(), exa(), twitch(), chatwoot(), pylon(), oura(), worldpay(), connectwise(), teams(), affirm(), posthog()];
