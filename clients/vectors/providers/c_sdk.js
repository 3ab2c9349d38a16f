// Schemes that sign a URL, chosen fields or the body, judged by the providers' SDKs.
import { createHash, createHmac, createPrivateKey, createPublicKey, sign as signBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { make, require, tampered, pythonJudge, pythonVersion, version, SENT, NOW } from "../lib.js";
import { suite } from "../suite.js";

/** A module of a package that does not export it. */
const inside = (path) => require(fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url)));
const JSON_TYPE = { "content-type": "application/json" };
const URL_SENT = "https://hooks.example.com/in/src";
const spaced = (body) => JSON.stringify(JSON.parse(body), null, 2);
const otherUrl = [
  { name: "wrong URL", url: "https://hooks.example.com/in/other", expect: "refused", refusal: "signature_mismatch" },
  { name: "trailing slash", url: `${URL_SENT}/`, expect: "refused", refusal: "signature_mismatch" },
  { name: "behind a proxy", url: "http://127.0.0.1:8080/in/src", public_url: URL_SENT, expect: "genuine" },
];
const address = (v) => (v.public_url ? v.public_url + (v.url.includes("?") ? `?${v.url.split("?")[1]}` : "") : v.url ?? URL_SENT);

function hubspot() {
  const { Signature } = require("@hubspot/api-client");
  const key = "1a2b3c4d-made-up-client-secret";
  const body = JSON.stringify([{ eventId: 100, subscriptionType: "contact.creation", name: "Änne" }, { eventId: 101, subscriptionType: "deal.creation" }]);
  const request = ({ key: given, body: text, time }) => ({
    headers: {
      ...JSON_TYPE, "x-hubspot-request-timestamp": String(time * 1000),
      "x-hubspot-signature-v3": Signature.getSignature("POST", "v3", { clientSecret: given, url: URL_SENT, requestBody: text, timestamp: time * 1000 }),
    },
  });
  const query = `${URL_SENT}?a=1&b=%C3%A4`;
  const signed = { ...JSON_TYPE, "x-hubspot-request-timestamp": String(SENT * 1000), "x-hubspot-signature-v3": Signature.getSignature("POST", "v3", { clientSecret: key, url: query, requestBody: body, timestamp: SENT * 1000 }) };
  return suite({
    slug: "hubspot", made: `signed by ${version("@hubspot/api-client")}`, judged: version("@hubspot/api-client"), key, body, request, signature: "x-hubspot-signature-v3",
    judge: (v, given) =>
      Signature.isValid({ method: "POST", signatureVersion: "v3", clientSecret: given, url: address(v), requestBody: v.body.toString(), timestamp: Number(v.headers["x-hubspot-request-timestamp"]), signature: v.headers["x-hubspot-signature-v3"] }),
    facts: { event_type: "contact.creation", delivery_id: "100" },
    time: { max_age: 300, renew: (headers, time) => ({ ...headers, "x-hubspot-request-timestamp": String(time * 1000) }) },
    extra: [
      ...otherUrl,
      { name: "with a query", url: query, headers: signed, expect: "genuine" },
      { name: "with another query", url: `${URL_SENT}?a=1`, headers: signed, expect: "refused", refusal: "signature_mismatch" },
      { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future", sdk_differs: "it looks at the past only" },
      { name: "version 2 alone", headers: { ...JSON_TYPE, "x-hubspot-signature-version": "v2", "x-hubspot-signature": createHash("sha256").update(`${key}POST${URL_SENT}${body}`).digest("hex") }, expect: "refused", refusal: "missing_signature" },
    ],
  });
}

function hubspotOld() {
  const { Signature } = require("@hubspot/api-client");
  const key = "1a2b3c4d-made-up-client-secret";
  const body = JSON.stringify([{ eventId: 100, subscriptionType: "contact.creation", name: "Änne" }]);
  const headers = (signatureVersion, given = key, text = body) => ({
    ...JSON_TYPE, "x-hubspot-signature-version": signatureVersion, "x-hubspot-signature": Signature.getSignature("POST", signatureVersion, { clientSecret: given, url: URL_SENT, requestBody: text }),
  });
  const request = ({ key: given, body: text }) => ({ headers: headers("v1", given, text) });
  return suite({
    slug: "hubspot_v1v2", made: `signed by ${version("@hubspot/api-client")}`, judged: version("@hubspot/api-client"), key, body, request, signature: "x-hubspot-signature",
    judge: (v, given) => Signature.isValid({ method: "POST", signatureVersion: v.headers["x-hubspot-signature-version"], clientSecret: given, url: address(v), requestBody: v.body.toString(), signature: v.headers["x-hubspot-signature"] }),
    facts: { event_type: "contact.creation", delivery_id: "100" },
    extra: [
      { name: "version 2", headers: headers("v2"), expect: "genuine" },
      { name: "version 2, wrong URL", url: `${URL_SENT}/`, headers: headers("v2"), expect: "refused", refusal: "signature_mismatch" },
      { name: "version 2, tampered body", headers: headers("v2"), body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "version 1 called version 2", headers: { ...headers("v1"), "x-hubspot-signature-version": "v2" }, expect: "refused", refusal: "signature_mismatch" },
      { name: "version 2 called version 1, with method and URL in the body", body: `POST${URL_SENT}${body}`, headers: { ...headers("v2"), "x-hubspot-signature-version": "v1" }, expect: "refused", refusal: "unsupported_body", sdk_differs: "it does not look at how the body begins" },
      { name: "unknown version", headers: { ...headers("v1"), "x-hubspot-signature-version": "v9" }, expect: "refused", refusal: "unsupported_body" },
    ],
  });
}

function cloudinary() {
  const { v2 } = require("cloudinary");
  const key = "made-up-api-secret";
  const body = JSON.stringify({ notification_type: "upload", public_id: "größe", bytes: 120253 });
  const request = ({ key: given, body: text, time }) => ({
    headers: { ...JSON_TYPE, "x-cld-timestamp": String(time), "x-cld-signature": createHash("sha1").update(`${text}${time}${given}`).digest("hex") },
  });
  const good = request({ key, body, time: SENT }).headers;
  return suite({
    slug: "cloudinary", judged: version("cloudinary"), key, body, request, signature: "x-cld-signature",
    judge: (v, given) => {
      v2.config({ cloud_name: "c", api_key: "k", api_secret: given });
      return v2.utils.verifyNotificationSignature(v.body.toString(), Number(v.headers["x-cld-timestamp"]), v.headers["x-cld-signature"]);
    },
    facts: { event_type: "upload" },
    time: { max_age: 7200, renew: (headers, time) => ({ ...headers, "x-cld-timestamp": String(time) }) },
    extra: [
      { name: "from the future is not checked", verify_at: SENT - 4000, expect: "genuine" },
      { name: "a keyed hash instead", headers: { ...good, "x-cld-signature": createHmac("sha1", key).update(`${body}${SENT}`).digest("hex") }, expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

function plivo() {
  const { validateV3Signature } = inside("plivo/dist/utils/v3Security.js");
  const key = "made-up-auth-token";
  const nonce = "12345678901234567890";
  const params = { From: "14156667777", To: "14156667778", MessageUUID: "db3ce55a", Status: "delivered", Text: "Grüße + 50%" };
  const body = new URLSearchParams(params).toString();
  const sign = (given, text) => createHmac("sha256", given).update(`${text}.${nonce}`).digest("base64");
  const sorted = (text) => [...new URLSearchParams(text)].map(([name, value]) => name + value).sort().join("");
  const form = (value, name = "x-plivo-signature-v3") => ({ "content-type": "application/x-www-form-urlencoded; charset=utf-8", "x-plivo-signature-v3-nonce": nonce, [name]: value });
  const request = ({ key: given, body: text }) => ({ headers: form(sign(given, `${URL_SENT}?${sorted(text)}`)) });
  const parse = (text) => {
    const all = {};
    for (const [name, value] of new URLSearchParams(text)) all[name] = name in all ? [].concat(all[name], value) : value;
    return all;
  };
  const good = request({ key, body }).headers["x-plivo-signature-v3"];
  const doubled = "b=2&a=1&b=1&b=2";
  const got = `${URL_SENT}?CallUUID=c1&Event=Hangup`;
  const { "x-plivo-signature-v3-nonce": left, ...unasked } = form(good);
  const queried = `${URL_SENT}?b=2&a=1&b=1`;
  return suite({
    slug: "plivo", judged: version("plivo"), key, body, request, signature: "x-plivo-signature-v3",
    judge: (v, given) => validateV3Signature(v.method ?? "POST", address(v), v.headers["x-plivo-signature-v3-nonce"], given, v.headers["x-plivo-signature-v3"] ?? v.headers["x-plivo-signature-ma-v3"], v.method === "GET" ? {} : parse(v.body.toString())),
    facts: { event_type: "delivered", delivery_id: "db3ce55a:delivered" },
    extra: [
      ...otherUrl,
      { name: "two signatures", headers: form(`${sign("another", "x")},${good}`), expect: "genuine" },
      { name: "the main account's signature", headers: form(good, "x-plivo-signature-ma-v3"), expect: "genuine" },
      { name: "another nonce", headers: { ...form(good), "x-plivo-signature-v3-nonce": "1" }, expect: "refused", refusal: "signature_mismatch" },
      { name: "no nonce", headers: unasked, expect: "refused", refusal: "missing_part" },
      { name: "a name that comes twice", body: doubled, headers: form(sign(key, `${URL_SENT}?a1b1b2b2`)), expect: "genuine" },
      { name: "a field more", body: `${body}&Extra=1`, expect: "refused", refusal: "signature_mismatch" },
      { name: "form with a query", url: queried, headers: form(sign(key, `${URL_SENT}?a=1&b=1&b=2.${sorted(body)}`)), expect: "genuine" },
      { name: "form with another query", url: `${URL_SENT}?a=1`, headers: form(sign(key, `${URL_SENT}?a=1&b=1&b=2.${sorted(body)}`)), expect: "refused", refusal: "signature_mismatch" },
      { name: "GET", method: "GET", url: got, body: "", headers: { "x-plivo-signature-v3-nonce": nonce, "x-plivo-signature-v3": sign(key, got) }, expect: "genuine", facts: { event_type: "Hangup" } },
      { name: "JSON instead of a form", headers: { ...form(good), "content-type": "application/json" }, unjudged: true, expect: "refused", refusal: "unsupported_body" },
    ],
  });
}

function solidgate() {
  const { Api } = require("@solidgate/node-sdk");
  const key = "wh_sk_made_up_0123456789";
  const merchant = "wh_pk_made_up";
  const body = JSON.stringify({ order: { order_id: "777", status: "approved", name: "Änne" } });
  const sign = (given, text, name = merchant) => new Api(name, given)._generateSignature(text);
  const fixed = { ...JSON_TYPE, merchant, "solidgate-event-type": "card_gate.order.updated", "solidgate-event-id": "9d2f1c34" };
  const request = ({ key: given, body: text }) => ({ headers: { ...fixed, signature: sign(given, text) } });
  return suite({
    slug: "solidgate", made: `signed by ${version("@solidgate/node-sdk")}`, judged: `a comparison with what ${version("@solidgate/node-sdk")} signs`, key, body, request, signature: "signature", base: { credentials: { merchant } },
    judge: (v, given) => sign(given, v.body.toString(), v.credentials.merchant) === v.headers.signature,
    facts: { event_type: "card_gate.order.updated", delivery_id: "9d2f1c34" },
    extra: [
      { name: "another public key", credentials: { merchant: "wh_pk_other" }, expect: "refused", refusal: "signature_mismatch" },
      { name: "no public key", credentials: {}, unjudged: true, expect: "refused", refusal: "missing_credential" },
      { name: "hexadecimal without base64", headers: { ...fixed, signature: Buffer.from(sign(key, body), "base64").toString() }, expect: "refused", refusal: "malformed_signature" },
      { name: "re-serialised body", body: spaced(body), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

async function contentful() {
  const { signRequest, verifyRequest } = await import("@contentful/node-apps-toolkit");
  const key = "w8Nb5oR3mQvXz1pLkTjYcGhFdSaZxEuI7r2KqVtWyBnMlOpHgJsDfUeAiC4x6905";
  const path = "/in/src";
  const queried = "/in/src?env=master";
  const body = JSON.stringify({ sys: { type: "Entry", id: "7yUX" }, fields: { name: { "en-US": "Nyän" } } });
  const plain = { "content-type": "application/vnd.contentful.management.v1+json", "x-contentful-topic": "ContentManagement.Entry.publish" };
  const request = ({ key: given, body: text, time }) => ({ headers: { ...plain, ...signRequest(given, { method: "POST", path, headers: { ...plain }, body: text }, time * 1000) } });
  const good = request({ key, body, time: SENT }).headers;
  return suite({
    slug: "contentful", made: `signed by ${version("@contentful/node-apps-toolkit")}`, judged: version("@contentful/node-apps-toolkit"), key, body, request, signature: "x-contentful-signature",
    other: key.replace("w", "v"),
    judge: (v, given) => verifyRequest(given, { method: v.method ?? "POST", path: address(v).replace(/^https?:\/\/[^/]+/, ""), headers: { ...v.headers }, body: v.body.toString() }, 30),
    facts: { event_type: "ContentManagement.Entry.publish" },
    time: { renew: (headers, time) => ({ ...headers, "x-contentful-timestamp": String(time * 1000) }) },
    extra: [
      { name: "within the tolerance", verify_at: SENT + 29, expect: "genuine" },
      { name: "stale", verify_at: SENT + 31, expect: "refused", refusal: "stale" },
      { name: "wrong path", url: "https://hooks.example.com/in/other", expect: "refused", refusal: "signature_mismatch" },
      { name: "a query added", url: "https://hooks.example.com/in/src?env=test", expect: "refused", refusal: "signature_mismatch" },
      {
        name: "with a query", url: `https://hooks.example.com${queried}`, expect: "refused", refusal: "signature_mismatch", sdk_differs: "it escapes the query twice, which this entry does not follow",
        headers: { ...plain, ...signRequest(key, { method: "POST", path: queried, headers: { ...plain }, body }, SENT * 1000) },
      },
      { name: "the time taken off the list", headers: { ...good, "x-contentful-signed-headers": good["x-contentful-signed-headers"].replace("x-contentful-timestamp,", "") }, expect: "refused", refusal: "missing_part", sdk_differs: "it adds the time to every list" },
      { name: "another method", method: "PUT", expect: "refused", refusal: "signature_mismatch" },
      { name: "a signed header changed", headers: { ...good, "x-contentful-topic": "ContentManagement.Entry.delete" }, expect: "refused", refusal: "signature_mismatch" },
      { name: "an unsigned header added", headers: { ...good, "x-forwarded-for": "192.0.2.1" }, expect: "genuine" },
      { name: "a header taken off the list", headers: { ...good, "x-contentful-signed-headers": good["x-contentful-signed-headers"].replace("content-type,", "") }, expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

function adyen() {
  const { HmacValidator } = inside("@adyen/api-library/lib/src/utils/hmacValidator.js").default ? { HmacValidator: inside("@adyen/api-library/lib/src/utils/hmacValidator.js").default } : inside("@adyen/api-library/lib/src/utils/hmacValidator.js");
  const validator = new HmacValidator();
  const key = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
  const item = { amount: { currency: "EUR", value: 1130 }, eventCode: "AUTHORISATION", eventDate: "2026-01-01T00:00:00+01:00", merchantAccountCode: "TestMerchant", merchantReference: "Bestellung: 1 ä", pspReference: "7914073381342284", success: "true" };
  const body = (given, over = {}, signed = over) =>
    JSON.stringify({ live: "false", notificationItems: [{ NotificationRequestItem: { ...item, ...over, additionalData: { hmacSignature: validator.calculateHmac({ ...item, ...signed }, given) } } }] });
  const good = JSON.parse(body(key));
  const unsigned = structuredClone(good);
  delete unsigned.notificationItems[0].NotificationRequestItem.additionalData.hmacSignature;
  const broken = structuredClone(good);
  broken.notificationItems[0].NotificationRequestItem.additionalData.hmacSignature = "%";
  const request = ({ key: given }) => ({ body: body(given), headers: JSON_TYPE });
  return suite({
    slug: "adyen", made: `signed by ${version("@adyen/api-library")}`, judged: version("@adyen/api-library"), key, other: `A${key.slice(1)}`, body: body(key), request, signs_body: false,
    judge: (v, given) => validator.validateHMAC(JSON.parse(v.body.toString()).notificationItems[0].NotificationRequestItem, given),
    facts: { event_type: "AUTHORISATION", delivery_id: "7914073381342284:AUTHORISATION:true" },
    extra: [
      { name: "refund with the original reference", body: body(key, { eventCode: "REFUND", originalReference: "7914073381342000" }), expect: "genuine" },
      { name: "another amount", body: body(key, { amount: { currency: "EUR", value: 1 } }, {}), expect: "refused", refusal: "signature_mismatch" },
      { name: "another outcome", body: body(key, { success: "false" }, {}), expect: "refused", refusal: "signature_mismatch" },
      { name: "an unsigned member changed", body: body(key, { reason: "other" }, {}), expect: "genuine" },
      { name: "re-serialised body", body: spaced(body(key)), expect: "genuine" },
      { name: "two items", body: JSON.stringify({ ...good, notificationItems: [good.notificationItems[0], good.notificationItems[0]] }), expect: "refused", refusal: "unsupported_body", sdk_differs: "it is given one item at a time" },
      { name: "no signature", body: JSON.stringify(unsigned), expect: "refused", refusal: "missing_signature" },
      { name: "malformed signature", body: JSON.stringify(broken), expect: "refused", refusal: "malformed_signature" },
    ],
  });
}

function adyenPlatform() {
  const module = inside("@adyen/api-library/lib/src/utils/hmacValidator.js");
  const validator = new (module.default ?? module)();
  const key = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
  const body = JSON.stringify({ type: "balancePlatform.balanceAccount.updated", environment: "test", data: { description: "Änderung" } });
  const request = ({ key: given, body: text }) => ({ headers: { ...JSON_TYPE, protocol: "HmacSHA256", hmacsignature: createHmac("sha256", Buffer.from(given, "hex")).update(text).digest("base64") } });
  return suite({
    slug: "adyen_platform", judged: version("@adyen/api-library"), key, other: `A${key.slice(1)}`, body, request, signature: "hmacsignature",
    judge: (v, given) => validator.validateHMACSignature(given, v.headers.hmacsignature, v.body.toString()),
    facts: { event_type: "balancePlatform.balanceAccount.updated" },
    extra: [{ name: "re-serialised body", body: spaced(body), expect: "refused", refusal: "signature_mismatch" }],
  });
}

function dropboxSign() {
  const { EventCallbackHelper, EventCallbackRequest } = require("@dropbox/sign");
  const key = "made-up-api-key";
  const payload = (given, over = {}) => ({
    event: { event_time: "1767225600", event_type: "signature_request_sent", event_hash: createHmac("sha256", given).update("1767225600signature_request_sent").digest("hex"), ...over },
    signature_request: { signature_request_id: "fa5c8a0b", title: "Vertrag ä" },
  });
  const multipart = (object) => `--d6fe4a2b\r\nContent-Disposition: form-data; name="json"\r\n\r\n${JSON.stringify(object)}\r\n--d6fe4a2b--\r\n`;
  const type = { "content-type": "multipart/form-data; boundary=d6fe4a2b" };
  const request = ({ key: given }) => ({ body: multipart(payload(given)), headers: type });
  const form = `json=${encodeURIComponent(JSON.stringify(payload(key)))}`;
  const read = (v) => {
    const text = v.body.toString();
    if (text.startsWith("--")) return JSON.parse(text.split("\r\n\r\n")[1].split("\r\n--")[0]);
    return JSON.parse(text.startsWith("json=") ? decodeURIComponent(text.slice(5)) : text);
  };
  return suite({
    slug: "dropbox_sign", judged: version("@dropbox/sign"), key, body: multipart(payload(key)), request, signs_body: false,
    judge: (v, given) => EventCallbackHelper.isValid(given, EventCallbackRequest.init(read(v))),
    facts: { event_type: "signature_request_sent", delivery_id: `${payload(key).event.event_hash}:fa5c8a0b` },
    extra: [
      { name: "as a form", headers: { "content-type": "application/x-www-form-urlencoded" }, body: form, expect: "genuine", facts: { event_type: "signature_request_sent" } },
      { name: "as JSON", headers: JSON_TYPE, body: JSON.stringify(payload(key)), expect: "genuine" },
      { name: "another type", body: multipart(payload(key, { event_type: "signature_request_signed" })), expect: "refused", refusal: "signature_mismatch" },
      { name: "another time", body: multipart(payload(key, { event_time: "1767225601" })), expect: "refused", refusal: "signature_mismatch" },
      { name: "the data is not signed", body: multipart({ ...payload(key), signature_request: { title: "other" } }), expect: "genuine" },
      { name: "no signature", body: multipart(payload(key, { event_hash: "" })), expect: "refused", refusal: "missing_signature" },
      { name: "malformed signature", body: multipart(payload(key, { event_hash: "zz" })), expect: "refused", refusal: "malformed_signature" },
    ],
  });
}

function payos() {
  const { PayOS } = require("@payos/node");
  const key = "1a54716c8f0efb2744fb28b6e38b25da7f67a925d98bc1c18bd8faaecadd7675";
  const data = { orderCode: 123, amount: 3000, description: "VQRIO123 đơn", reference: "TF230204212323", currency: "VND", code: "00", desc: "success", counterAccountName: null, Zeta: "1", items: [{ name: "a", price: 1 }] };
  const text = (object) =>
    Object.keys(object).sort().map((name) => `${name}=${Array.isArray(object[name]) ? JSON.stringify(object[name]) : object[name] ?? ""}`).join("&");
  const body = (given, over = {}, signed = over) => JSON.stringify({ code: "00", desc: "success", success: true, data: { ...data, ...over }, signature: createHmac("sha256", given).update(text({ ...data, ...signed })).digest("hex") });
  const request = ({ key: given }) => ({ body: body(given), headers: JSON_TYPE });
  return suite({
    slug: "payos", judged: version("@payos/node"), key, body: body(key), request, signs_body: false,
    judge: async (v, given) => Boolean(await new PayOS({ clientId: "c", apiKey: "a", checksumKey: given }).webhooks.verify(JSON.parse(v.body.toString()))),
    facts: { event_type: "00", delivery_id: "TF230204212323" },
    extra: [
      { name: "another amount", body: body(key, { amount: 1 }, {}), expect: "refused", refusal: "signature_mismatch" },
      { name: "a member more", body: body(key, { extra: "1" }, {}), expect: "refused", refusal: "signature_mismatch" },
      { name: "a member of the data that is null and one that is empty", body: body(key, { counterAccountName: "" }, {}), expect: "genuine" },
      { name: "re-serialised body", body: spaced(body(key)), expect: "genuine" },
      { name: "members around the data are not signed", body: JSON.stringify({ ...JSON.parse(body(key)), desc: "other" }), expect: "genuine" },
      { name: "no signature", body: JSON.stringify({ ...JSON.parse(body(key)), signature: undefined }), expect: "refused", refusal: "missing_signature" },
      { name: "malformed signature", body: JSON.stringify({ ...JSON.parse(body(key)), signature: "zz" }), expect: "refused", refusal: "malformed_signature" },
    ],
  });
}

function phonepe() {
  const { CommonUtils } = inside("pg-sdk-node/dist/common/CommonUtils.js");
  const credentials = { username: "merchant", password: "made up 1" };
  const body = JSON.stringify({ event: "checkout.order.completed", payload: { orderId: "OMO1", state: "COMPLETED" } });
  const hash = (user, word) => createHash("sha256").update(`${user}:${word}`).digest("hex");
  const headers = (value) => ({ ...JSON_TYPE, ...(value === undefined ? {} : { authorization: value }) });
  const vectors = [
    { name: "valid", expect: "genuine", facts: { event_type: "checkout.order.completed", delivery_id: "OMO1:COMPLETED" } },
    { name: "the body is not signed", body: "{}", expect: "genuine" },
    { name: "another password", credentials: { ...credentials, password: "other" }, expect: "refused", refusal: "signature_mismatch" },
    { name: "another user name", credentials: { ...credentials, username: "other" }, expect: "refused", refusal: "signature_mismatch" },
    { name: "wrong hash", headers: headers(hash("merchant", "guess")), expect: "refused", refusal: "signature_mismatch" },
    { name: "the password itself", headers: headers("merchant:made up 1"), expect: "refused", refusal: "malformed_signature" },
    { name: "no signature", headers: headers(), expect: "refused", refusal: "missing_signature" },
    { name: "nothing configured", credentials: {}, expect: "refused", refusal: "missing_credential" },
  ];
  const base = { credentials, body, headers: headers(hash("merchant", "made up 1")) };
  for (const vector of vectors) {
    const { credentials: given, headers: sent } = { ...base, ...vector };
    const accepted = CommonUtils.isCallbackValid(given.username, given.password, sent.authorization);
    if (accepted !== (vector.expect === "genuine")) throw new Error(`phonepe / ${vector.name}: the SDK says ${accepted}`);
    vector.origin = `made with Node's crypto; ${accepted ? "accepted" : "refused"} by ${version("pg-sdk-node")}`;
  }
  return make({ slug: "phonepe", base, vectors });
}

function signwell() {
  const key = "5f8d0a1c-made-up-webhook-id";
  const body = (given, over = {}) =>
    JSON.stringify({ event: { type: "document_completed", time: SENT, hash: createHmac("sha256", given).update(`document_completed@${SENT}`).digest("hex"), ...over }, data: { object: { id: "9b1c6d2e", name: "Vertrag ä" } } });
  const request = ({ key: given }) => ({ body: body(given), headers: JSON_TYPE });
  return suite({
    slug: "signwell", judged: pythonVersion("signwell-sdk-python"), judge: pythonJudge("signwell"), key, body: body(key), request, signs_body: false,
    facts: { event_type: "document_completed", delivery_id: `${JSON.parse(body(key)).event.hash}:9b1c6d2e` },
    extra: [
      { name: "another type", body: body(key, { type: "document_declined" }), expect: "refused", refusal: "signature_mismatch" },
      { name: "another time", body: body(key, { time: NOW }), expect: "refused", refusal: "signature_mismatch" },
      { name: "the data is not signed", body: JSON.stringify({ ...JSON.parse(body(key)), data: {} }), expect: "genuine" },
      { name: "no signature", body: body(key, { hash: undefined }), expect: "refused", refusal: "missing_signature" },
      { name: "malformed signature", body: body(key, { hash: "zz" }), expect: "refused", refusal: "malformed_signature" },
    ],
  });
}

/** Ed25519 keys from seeds; the public one raw in base64. */
function ed25519(seed) {
  const key = createPrivateKey({ key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.from(seed, "hex")]), format: "der", type: "pkcs8" });
  return { key, raw: createPublicKey(key).export({ format: "der", type: "spki" }).subarray(12).toString("base64"), spki: createPublicKey(key).export({ format: "der", type: "spki" }).toString("base64") };
}
const FIRST = ed25519("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
const SECOND = ed25519("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7");
const publicKeys = (...given) => ({ public_keys: given.map((one) => one.raw) });

async function telnyx() {
  const { default: Telnyx } = await import("telnyx");
  const body = JSON.stringify({ data: { event_type: "message.received", id: "7ba7a8a2", payload: { text: "Grüße" } } });
  const request = ({ key: given, body: text, time }) => ({ headers: { ...JSON_TYPE, "telnyx-timestamp": String(time), "telnyx-signature-ed25519": signBytes(null, Buffer.from(`${time}|${text}`), given.key).toString("base64") } });
  return suite({
    slug: "telnyx", judged: version("telnyx"), key: FIRST, other: SECOND, keys: publicKeys, body, request, signature: "telnyx-signature-ed25519",
    judge: async (v, given) => Boolean(await new Telnyx({ apiKey: "k", publicKey: given }).webhooks.unwrap(v.body.toString(), { headers: v.headers })),
    facts: { event_type: "message.received", delivery_id: "7ba7a8a2" },
    time: { max_age: 300, max_future: 300, renew: (headers, time) => ({ ...headers, "telnyx-timestamp": String(time) }) },
    extra: [{ name: "re-serialised body", body: spaced(body), expect: "refused", refusal: "signature_mismatch" }],
  });
}

function highlevel() {
  const { WebhookManager } = inside("@gohighlevel/api-client/dist/lib/webhook/webhook-manager.js");
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  const body = JSON.stringify({ type: "ContactCreate", appId: "645b", webhookId: "a1b2c3d4", email: "änne@example.com" });
  const request = ({ key: given, body: text }) => ({ headers: { ...JSON_TYPE, "x-ghl-signature": signBytes(null, Buffer.from(text), given.key).toString("base64") } });
  return suite({
    slug: "highlevel", judged: version("@gohighlevel/api-client"), key: FIRST, other: SECOND, keys: publicKeys, body, request, signature: "x-ghl-signature",
    judge: async (v, given) => {
      const asked = { method: "POST", url: "/", headers: v.headers, rawBody: v.body };
      asked.body = (() => { try { return JSON.parse(v.body.toString()); } catch { return {}; } })();
      await new WebhookManager(silent, {}, {}, { clientId: "645b-x", publicKey: given }).subscribe()(asked, {}, () => {});
      return asked.isSignatureValid === true;
    },
    facts: { event_type: "ContactCreate", delivery_id: "a1b2c3d4" },
    extra: [
      { name: "our app's id", credentials: { app_id: "645b" }, expect: "genuine" },
      { name: "an event of another app", credentials: { app_id: "99ff" }, expect: "refused", refusal: "body_mismatch", sdk_differs: "it leaves the app to the caller" },
      { name: "the built-in key alone", public_keys: [], expect: "refused", refusal: "signature_mismatch", unjudged: true },
      { name: "the older header alone", headers: { ...JSON_TYPE, "x-wh-signature": request({ key: FIRST, body }).headers["x-ghl-signature"] }, expect: "refused", refusal: "missing_signature" },
      { name: "re-serialised body", body: spaced(body), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

// One after the other: the clock is global, and some judges wait.
export default async () => {
  const made = [];
  for (const one of [hubspot, hubspotOld, cloudinary, plivo, solidgate, contentful, adyen, adyenPlatform, dropboxSign, payos, phonepe, signwell, telnyx, highlevel]) {
    try {
      made.push(await one());
    } catch (error) {
      error.message = `${one.name}: ${error.message}`;
      throw error;
    }
  }
  return made;
};
