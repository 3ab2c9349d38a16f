// Schemes over URLs, chosen fields and re-written bodies that no SDK judges (Mailgun's excepted): signed here after the
// providers' own texts where `after` says so, and otherwise after descriptions by others.
import { createHash, createHmac } from "node:crypto";
import { pythonJudge, pythonVersion, tampered, SENT, NOW } from "../lib.js";
import { suite } from "../suite.js";

const JSON_TYPE = { "content-type": "application/json" };
const FORM_TYPE = { "content-type": "application/x-www-form-urlencoded" };
const URL_SENT = "https://hooks.example.com/in/src";
const KEY = "a made-up secret";
const others = "signed with Node's crypto after descriptions by others";
const after = (address) => `signed with Node's crypto after ${address}`;
const hmac = (digest, key, text, encoding = "hex") => createHmac(digest, key).update(text).digest(encoding);
const hash = (digest, text) => createHash(digest).update(text).digest("hex");
const refused = (name, over, refusal = "signature_mismatch") => ({ name, ...over, expect: "refused", refusal });
const urls = [
  refused("wrong URL", { url: "https://hooks.example.com/in/other" }),
  refused("trailing slash", { url: `${URL_SENT}/` }),
  { name: "behind a proxy", url: "http://127.0.0.1:8080/in/src", public_url: URL_SENT, expect: "genuine" },
];
const head = { name: "HEAD", method: "HEAD", body: "", headers: {}, expect: "refused", refusal: "missing_signature", handshake: { status: 200, body: "" } };

function trello() {
  const body = JSON.stringify({ action: { id: "51f9424b", type: "updateCard", data: { card: { name: "größe" } } } });
  const request = ({ key, body: text }) => ({ headers: { ...JSON_TYPE, "x-trello-webhook": hmac("sha1", key, text + URL_SENT, "base64") } });
  return suite({ slug: "trello", made: others, key: KEY, body, request, signature: "x-trello-webhook", facts: { event_type: "updateCard", delivery_id: "51f9424b" }, extra: [...urls, head] });
}

function favro() {
  const body = JSON.stringify({ payloadId: "AbCdEf012345==", action: "created" });
  const request = ({ key }) => ({ headers: { ...JSON_TYPE, "x-favro-webhook": hmac("sha1", key, `AbCdEf012345==${URL_SENT}`, "base64") } });
  return suite({
    slug: "favro", made: others, key: KEY, body, request, signature: "x-favro-webhook", signs_body: false, facts: { event_type: "created", delivery_id: "AbCdEf012345==" },
    extra: [...urls, refused("another payload id", { body: JSON.stringify({ payloadId: "x", action: "created" }) }), { name: "the body is not signed", body: JSON.stringify({ payloadId: "AbCdEf012345==", action: "deleted" }), expect: "genuine" }],
  });
}

function mandrill() {
  const events = JSON.stringify([{ event: "open", _id: "exampleaaaa", msg: { subject: "Grüße + 50%" } }]);
  const body = new URLSearchParams({ mandrill_events: events }).toString();
  const signed = (key, text) => hmac("sha1", key, URL_SENT + [...new URLSearchParams(text)].sort().map(([name, value]) => name + value).join(""), "base64");
  const request = ({ key, body: text }) => ({ headers: { ...FORM_TYPE, "x-mandrill-signature": signed(key, text) } });
  const twice = `b=2&${body}&a=1`;
  return suite({
    slug: "mandrill", made: others, key: KEY, body, request, signature: "x-mandrill-signature", facts: { event_type: "open", delivery_id: "exampleaaaa" },
    extra: [...urls, head, { name: "further fields, sorted", body: twice, headers: { ...FORM_TYPE, "x-mandrill-signature": signed(KEY, twice) }, expect: "genuine" }, refused("a field more", { body: `${body}&a=1` }), refused("the test button's key", { headers: { ...FORM_TYPE, "x-mandrill-signature": signed("test-webhook", body) } })],
  });
}

function tiktokShop() {
  const body = JSON.stringify({ type: 1, tts_notification_id: "7327112393057371910", data: {} });
  const request = ({ key, body: text }) => ({ headers: { ...JSON_TYPE, authorization: hmac("sha256", key, `appkey1${text}`) } });
  return suite({
    slug: "tiktok_shop", made: others, key: KEY, body, request, signature: "authorization", base: { credentials: { app_key: "appkey1" } }, facts: { event_type: "1", delivery_id: "7327112393057371910" },
    extra: [refused("another app", { credentials: { app_key: "appkey2" } }), refused("no app key", { credentials: {} }, "missing_credential")],
  });
}

function linkedin() {
  const body = JSON.stringify({ type: "LEAD_ACTION", leadType: "SPONSORED", note: "größe" });
  const sign = (key, text) => hmac("sha256", key, `hmacsha256=${text}`);
  const request = ({ key, body: text }) => ({ headers: { ...JSON_TYPE, "x-li-signature": sign(key, text) } });
  const challenge = (code) => ({ method: "GET", url: `${URL_SENT}?challengeCode=${code}`, body: "", headers: {} });
  const code = "890e4665-4dfe-4ab1-b689-ed553bceeed0";
  return suite({
    slug: "linkedin", made: after("https://learn.microsoft.com/en-us/linkedin/shared/api-guide/webhook-validation"), key: KEY, body, request, signature: "x-li-signature", facts: { event_type: "LEAD_ACTION" },
    extra: [
      { name: "with a prefix in the header", headers: { ...JSON_TYPE, "x-li-signature": `hmacsha256=${sign(KEY, body)}` }, expect: "genuine" },
      refused("the body without the prefix", { headers: { ...JSON_TYPE, "x-li-signature": hmac("sha256", KEY, body) } }),
      { name: "challenge", ...challenge(code), expect: "refused", refusal: "missing_signature", handshake: { status: 200, body: JSON.stringify({ challengeCode: code, challengeResponse: hmac("sha256", KEY, code) }) } },
      { name: "a challenge that would sign a forgery is not answered", ...challenge(encodeURIComponent('hmacsha256={"a":1}')), expect: "refused", refusal: "missing_signature", handshake: null },
      ...["true", "12345"].flatMap((text) => [
        refused(`the answer to the challenge hmacsha256=${text} as a signature of ${text}`, { body: text, headers: { ...JSON_TYPE, "x-li-signature": sign(KEY, text) } }, "unsupported_body"),
        refused(`the same with a prefix in the header, ${text}`, { body: text, headers: { ...JSON_TYPE, "x-li-signature": `hmacsha256=${sign(KEY, text)}` } }, "unsupported_body"),
      ]),
    ],
  });
}

function tebex() {
  const body = JSON.stringify({ id: "2c116b11", type: "payment.completed", subject: { name: "größe" } });
  const validation = JSON.stringify({ id: "2c116b11-1110-91e0-b266-b792c8da5f11", type: "validation.webhook", subject: {} });
  const headers = (key, text) => ({ ...JSON_TYPE, "x-signature": hmac("sha256", key, hash("sha256", text)) });
  return suite({
    slug: "tebex", made: others, key: KEY, body, request: ({ key, body: text }) => ({ headers: headers(key, text) }), signature: "x-signature", facts: { event_type: "payment.completed", delivery_id: "2c116b11" },
    extra: [
      refused("the body itself signed", { headers: { ...JSON_TYPE, "x-signature": hmac("sha256", KEY, body) } }),
      { name: "validation", body: validation, headers: headers(KEY, validation), expect: "genuine", handshake: { status: 200, body: '{"id":"2c116b11-1110-91e0-b266-b792c8da5f11"}' } },
      { name: "unsigned validation is not answered", body: validation, headers: JSON_TYPE, expect: "refused", refusal: "missing_signature", handshake: null },
    ],
  });
}

function vipps() {
  const url = `${URL_SENT}?team=1`;
  const body = JSON.stringify({ reference: "24ab7cd6", pspReference: "1234567891", name: "CREATED", note: "størrelse" });
  const date = (time) => new Date(time * 1000).toUTCString();
  const digest = (text) => createHash("sha256").update(text).digest("base64");
  const sign = (key, text, time, host = "hooks.example.com") =>
    `HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=${hmac("sha256", key, `POST\n/in/src?team=1\n${date(time)};${host};${digest(text)}`, "base64")}`;
  const request = ({ key, body: text, time }) => ({ url, headers: { ...JSON_TYPE, "x-ms-date": date(time), "x-ms-content-sha256": digest(text), host: "hooks.example.com", authorization: sign(key, text, time) } });
  const good = request({ key: KEY, body, time: SENT }).headers;
  return suite({
    slug: "vipps", made: others, key: KEY, body, request, signature: "authorization", malformed: "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=%", mismatch: "signature_mismatch", signs_body: false,
    facts: { event_type: "CREATED", delivery_id: "1234567891:CREATED" },
    time: { max_age: 300, max_future: 300, renew: (headers, time) => ({ ...headers, "x-ms-date": date(time) }) },
    extra: [
      refused("tampered body", { body: tampered(Buffer.from(body)) }, "body_mismatch"),
      refused("tampered body and hash", { body: "{}", headers: { ...good, "x-ms-content-sha256": digest("{}") } }),
      refused("wrong query", { url: `${URL_SENT}?team=2` }),
      refused("signed for another host", { headers: { ...good, authorization: sign(KEY, body, SENT, "other.example.com") } }),
      { name: "behind a proxy", url: "http://127.0.0.1:8080/in/src?team=1", public_url: URL_SENT, headers: { ...good, host: "127.0.0.1:8080" }, expect: "genuine" },
      refused("other headers signed", { headers: { ...good, authorization: good.authorization.replace("SignedHeaders=x-ms-date;", "SignedHeaders=") } }, "unsupported_body"),
    ],
  });
}

function mailgun() {
  const token = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0";
  const body = (key, over = {}, time = SENT) => JSON.stringify({ signature: { token, timestamp: String(time), signature: hmac("sha256", key, `${time}${token}`), ...over }, "event-data": { event: "delivered", id: "CPgfbmQMTCKtHW6uIWtuVe" } });
  const form = new URLSearchParams({ event: "opened", timestamp: String(SENT), token, signature: hmac("sha256", KEY, `${SENT}${token}`) }).toString();
  return suite({
    slug: "mailgun", judged: pythonVersion("mailgun"), judge: pythonJudge("mailgun"), key: KEY, body: body(KEY), request: ({ key }) => ({ body: body(key), headers: JSON_TYPE }), signs_body: false, facts: { event_type: "delivered", delivery_id: token },
    time: { max_age: 900, max_future: 900 },
    extra: [
      refused("time renewed", { body: body(KEY, { timestamp: String(NOW) }) }),
      refused("another token", { body: body(KEY, { token: "other" }) }),
      { name: "the event is not signed", body: body(KEY).replace("delivered", "bounced"), expect: "genuine" },
      { name: "as a form", body: form, headers: FORM_TYPE, expect: "genuine", facts: { event_type: "opened", delivery_id: token } },
      refused("no signature", { body: body(KEY, { signature: undefined }) }, "missing_signature"),
      refused("malformed signature", { body: body(KEY, { signature: "zz" }) }, "malformed_signature"),
    ],
  });
}

function pandadoc() {
  const body = JSON.stringify([{ event: "document_state_changed", data: { id: "vwPx", date_modified: "2026-01-01T00:00:00Z" } }]);
  const request = ({ key, body: text }) => ({ url: `${URL_SENT}?signature=${hmac("sha256", key, text)}`, headers: JSON_TYPE });
  return suite({
    slug: "pandadoc", made: others, key: KEY, body, request, facts: { event_type: "document_state_changed", delivery_id: "document_state_changed:vwPx:2026-01-01T00:00:00Z" },
    extra: [refused("no signature", { url: URL_SENT }, "missing_signature"), refused("malformed signature", { url: `${URL_SENT}?signature=zz` }, "malformed_signature")],
  });
}

function treezor() {
  const payload = { users: [{ userId: "100000", firstname: "Zoë", url: "https://example.com/a", emoji: "🐙", amount: 1.5, empty: {}, list: [] }] };
  // What PHP's json_encode writes: slashes and everything beyond ASCII escaped.
  const php = (value) => JSON.stringify(value).replace(/\//g, "\\/").replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const body = (key, over = {}) => JSON.stringify({ webhook: "user.create", webhook_id: "b5d5c9a1", object_payload: payload, object_payload_signature: hmac("sha256", key, php(payload), "base64"), ...over });
  return suite({
    slug: "treezor", made: others, key: KEY, body: body(KEY), request: ({ key }) => ({ body: body(key), headers: { "content-type": "text/plain" } }), signs_body: false, facts: { event_type: "user.create", delivery_id: "b5d5c9a1" },
    extra: [
      refused("another payload", { body: body(KEY, { object_payload: { users: [] } }) }),
      { name: "re-serialised body", body: JSON.stringify(JSON.parse(body(KEY)), null, 2), expect: "genuine" },
      { name: "the event's name is not signed", body: body(KEY, { webhook: "user.update" }), expect: "genuine" },
      refused("no signature", { body: body(KEY, { object_payload_signature: undefined }) }, "missing_signature"),
    ],
  });
}

function exact() {
  const content = '{"Topic":"Accounts", "Action":"Update","Division":1,"Key":"a1b2c3d4", "Amount": 1.00}';
  const body = (key, inside = content) => `{"Content":${inside},"HashCode":"${hmac("sha256", key, content).toUpperCase()}"}`;
  return suite({
    slug: "exact_online", made: others, key: KEY, body: body(KEY), request: ({ key }) => ({ body: body(key), headers: JSON_TYPE }), signs_body: false, facts: { event_type: "Accounts.Update" },
    extra: [
      refused("another action", { body: body(KEY, content.replace("Update", "Delete")) }),
      refused("re-serialised body", { body: JSON.stringify(JSON.parse(body(KEY))) }),
      refused("no signature", { body: `{"Content":${content}}` }, "missing_signature"),
    ],
  });
}

function usps() {
  const payload = '{"trackingNumber":"9400","statusCategory":"Delivered"}';
  const time = "2026-01-01T00:00:00Z";
  const body = (over = {}) => JSON.stringify({ subscriptionId: "3f1e", subscriptionType: "TRACKING", timestamp: time, payload, ...over });
  const sign = (key) => hmac("sha256", key, time + payload, "base64");
  return suite({
    slug: "usps", made: others, key: KEY, body: body(), request: ({ key }) => ({ headers: { ...JSON_TYPE, "x-hmac": sign(key) } }), signature: "x-hmac", signs_body: false, facts: { event_type: "TRACKING" },
    extra: [
      refused("another payload", { body: body({ payload: "{}" }) }),
      refused("another time", { body: body({ timestamp: "2026-01-01T00:00:01Z" }) }),
      { name: "the older header", headers: { ...JSON_TYPE, "hmac-header": sign(KEY) }, expect: "genuine" },
      { name: "re-serialised body", body: JSON.stringify(JSON.parse(body()), null, 2), expect: "genuine" },
    ],
  });
}

function paymob() {
  const obj = { id: 192036465, pending: false, amount_cents: 100000, success: true, is_auth: false, is_capture: false, is_standalone_payment: true, is_voided: false, is_refunded: false, is_3d_secure: true, integration_id: 4097558, has_parent_transaction: false, order: { id: 217503754 }, created_at: "2024-06-13T11:33:44.592345", currency: "EGP", source_data: { pan: "2346", type: "card", sub_type: "MasterCard" }, error_occured: false, owner: 302852 };
  // The joined text is printed in Paymob's document for just this transaction.
  const joined = "1000002024-06-13T11:33:44.592345EGPfalsefalse1920364654097558truefalsefalsefalsetruefalse217503754302852false2346MasterCardcardtrue";
  const body = (over = {}) => JSON.stringify({ type: "TRANSACTION", obj: { ...obj, ...over } });
  const url = (key) => `${URL_SENT}?hmac=${hmac("sha512", key, joined)}`;
  return suite({
    slug: "paymob", made: after("https://developers.paymob.com/paymob-docs/developers/webhook-callbacks-and-hmac/hmac/hmac-transaction-callback (the joined text is printed there)"), key: KEY, body: body(),
    request: ({ key }) => ({ url: url(key), headers: JSON_TYPE }), signs_body: false, facts: { event_type: "TRANSACTION", delivery_id: "192036465:false:true:false:false" },
    extra: [
      refused("another amount", { body: body({ amount_cents: 1 }) }),
      refused("another outcome", { body: body({ success: false }) }),
      { name: "an unsigned member changed", body: body({ terminal_id: 1 }), expect: "genuine" },
      refused("a card token", { body: JSON.stringify({ type: "TOKEN", obj: { id: 1 } }) }, "unsupported_body"),
      refused("no signature", { url: URL_SENT }, "missing_signature"),
      refused("malformed signature", { url: `${URL_SENT}?hmac=zz` }, "malformed_signature"),
    ],
  });
}

function myfatoorah() {
  const data = { InvoiceId: 1042, CustomerEmail: null, CreatedDate: "01012026000000", CustomerMobile: "+96512345678", TransactionStatus: "SUCCESS", PaymentId: "07071042" };
  const text = (object) => Object.keys(object).sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)).map((name) => `${name}=${object[name] ?? ""}`).join(",");
  const body = (over = {}) => JSON.stringify({ EventType: 1, Event: "TransactionsStatusChanged", Data: { ...data, ...over } });
  return suite({
    slug: "myfatoorah", made: after("https://docs.myfatoorah.com/docs/webhook-signature"), key: KEY, body: body(), request: ({ key }) => ({ headers: { ...JSON_TYPE, "myfatoorah-signature": hmac("sha256", key, text(data), "base64") } }), signature: "myfatoorah-signature", signs_body: false,
    facts: { event_type: "TransactionsStatusChanged", delivery_id: "1042:TransactionsStatusChanged:07071042" },
    extra: [
      refused("another status", { body: body({ TransactionStatus: "FAILED" }) }),
      refused("a member more", { body: body({ Extra: "1" }) }),
      { name: "re-serialised body", body: JSON.stringify(JSON.parse(body()), null, 2), expect: "genuine" },
    ],
  });
}

function kie() {
  const body = (data = { taskId: "281e5b0e19f6", state: "success" }) => JSON.stringify({ code: 200, msg: "ok", data });
  const headers = (key, time, id = "281e5b0e19f6") => ({ ...JSON_TYPE, "x-webhook-timestamp": String(time), "x-webhook-signature": hmac("sha256", key, `${id}.${time}`, "base64") });
  return suite({
    slug: "kie_ai", made: after("Kie's page on webhook verification"), key: KEY, body: body(), request: ({ key, time }) => ({ headers: headers(key, time) }), signature: "x-webhook-signature", signs_body: false, facts: { event_type: "success", delivery_id: "281e5b0e19f6:success" },
    time: { max_age: 300, max_future: 300, renew: (all, time) => ({ ...all, "x-webhook-timestamp": String(time) }) },
    extra: [
      { name: "task_id", body: body({ task_id: "t1", callbackType: "complete" }), headers: headers(KEY, SENT, "t1"), expect: "genuine", facts: { event_type: "complete", delivery_id: "t1:complete" } },
      { name: "taskId at the top", body: JSON.stringify({ taskId: "t2", msg: "ok" }), headers: headers(KEY, SENT, "t2"), expect: "genuine" },
      refused("another task", { body: body({ taskId: "other", state: "success" }) }),
    ],
  });
}

function quoter() {
  const data = '{"id":"42","name":"Größe + 1"}';
  const form = (key, over = {}, time = SENT) => new URLSearchParams({ hash: hash("md5", key + time + data), timestamp: String(time), data, ...over }).toString();
  const url = `${URL_SENT}?object=quote`;
  return suite({
    slug: "quoter", made: others, key: KEY, body: form(KEY), request: ({ key }) => ({ url, body: form(key), headers: FORM_TYPE }), signs_body: false, facts: { event_type: "quote" }, time: { max_age: 300, max_future: 300 },
    extra: [
      refused("other data", { body: form(KEY, { data: "{}" }) }),
      refused("time renewed", { body: form(KEY, { timestamp: String(NOW) }) }),
      refused("no signature", { body: form(KEY, { hash: "" }) }, "missing_signature"),
      refused("malformed signature", { body: form(KEY, { hash: "zz" }) }, "malformed_signature"),
    ],
  });
}

function praxis() {
  const payment = { merchant_id: "Test", application_key: "Sandbox", timestamp: SENT, customer: { customer_token: "13d3" }, session: { order_id: "test-1" }, transaction: { tid: 756850, transaction_status: "approved", currency: "USD", amount: 100, conversion_rate: 1.5, processed_currency: "EUR", processed_amount: 150 } };
  const text = (key, p = payment) => `${p.merchant_id}${p.application_key}${p.timestamp}${p.customer.customer_token ?? ""}${p.session.order_id}${p.transaction.tid}${p.transaction.currency}${p.transaction.amount}${p.transaction.conversion_rate ?? ""}${p.transaction.processed_currency ?? ""}${p.transaction.processed_amount ?? ""}${key}`;
  const sub = { event: "renewed", merchant_id: "Test", application_key: "Sandbox", cid: "c1", plan_id: 7, subscription_id: 9, subscription_status: "active", timestamp: SENT };
  const signature = (value) => ({ ...JSON_TYPE, "gt-authentication": hash("sha384", value) });
  const body = JSON.stringify(payment);
  const bare = structuredClone(payment);
  delete bare.transaction.conversion_rate;
  bare.transaction.processed_currency = null;
  const bareText = text(KEY, bare);
  return suite({
    slug: "praxis", made: others, key: KEY, body, request: ({ key }) => ({ headers: signature(text(key)) }), signature: "gt-authentication", signs_body: false, facts: { event_type: "approved", delivery_id: "756850:approved" }, time: { max_age: 86400, max_future: 300 },
    extra: [
      refused("another amount", { body: JSON.stringify({ ...payment, transaction: { ...payment.transaction, amount: 1 } }) }),
      refused("time renewed", { body: JSON.stringify({ ...payment, timestamp: NOW }) }),
      { name: "members absent", body: JSON.stringify({ ...bare, transaction: { ...bare.transaction, processed_currency: undefined } }), headers: signature(bareText), expect: "genuine" },
      { name: "subscription", body: JSON.stringify(sub), headers: signature(`${sub.event}TestSandboxc179active${SENT}${KEY}`), expect: "genuine", facts: { event_type: "renewed" } },
    ],
  });
}

function paypro() {
  const fields = { IPN_TYPE_NAME: "OrderCharged", ORDER_ID: "2342343", ORDER_STATUS: "Processed", ORDER_TOTAL_AMOUNT: "29.95", CUSTOMER_EMAIL: "änne@example.com", TEST_MODE: "1" };
  const form = (key, over = {}) => new URLSearchParams({ ...fields, SIGNATURE: hash("sha256", `2342343Processed29.95änne@example.com${key}1OrderCharged`), ...over }).toString();
  return suite({
    slug: "paypro_global", made: others, key: KEY, body: form(KEY), request: ({ key }) => ({ body: form(key), headers: FORM_TYPE }), signs_body: false, facts: { event_type: "OrderCharged", delivery_id: "2342343:OrderCharged:Processed" },
    extra: [
      refused("another amount", { body: form(KEY, { ORDER_TOTAL_AMOUNT: "1.00" }) }),
      { name: "an unsigned field", body: form(KEY, { CUSTOMER_NAME: "x" }), expect: "genuine" },
      refused("no signature", { body: form(KEY, { SIGNATURE: "" }) }, "missing_signature"),
      refused("malformed signature", { body: form(KEY, { SIGNATURE: "zz" }) }, "malformed_signature"),
    ],
  });
}

function midtrans() {
  const body = (key, over = {}) => JSON.stringify({ transaction_status: "settlement", transaction_id: "513f", status_code: "200", order_id: "order-1", gross_amount: "154600.00", signature_key: hash("sha512", `order-1200154600.00${key}`), ...over });
  return suite({
    slug: "midtrans", made: others, key: KEY, body: body(KEY), request: ({ key }) => ({ body: body(key), headers: JSON_TYPE }), signs_body: false, facts: { event_type: "settlement", delivery_id: "513f:settlement" },
    extra: [
      refused("another amount", { body: body(KEY, { gross_amount: "1.00" }) }),
      { name: "the status is not signed", body: body(KEY, { transaction_status: "deny" }), expect: "genuine" },
      refused("no signature", { body: body(KEY, { signature_key: undefined }) }, "missing_signature"),
      refused("malformed signature", { body: body(KEY, { signature_key: "zz" }) }, "malformed_signature"),
    ],
  });
}

function ripple() {
  const key = "bWFkZS11cC1rZXktZm9yLXZlY3RvcnMtb25seQ==";
  const body = JSON.stringify({ id: "5c9a1f6e", status: "completed" });
  const header = (given, text, time) => `t=${time * 1000},v1=${hmac("sha256", Buffer.from(given, "base64"), `${time * 1000}.${text}`)}`;
  const request = ({ key: given, body: text, time }) => ({ headers: { ...JSON_TYPE, "x-webhook-event-type": "collection.completed", "x-webhook-signature": header(given, text, time) } });
  return suite({
    slug: "ripple_collections", made: others, key, other: "b3RoZXI=", body, request, signature: "x-webhook-signature", malformed: `t=${SENT},v1=zz`, facts: { event_type: "collection.completed" },
    time: { max_age: 300, max_future: 300, renew: (all, time) => ({ ...all, "x-webhook-signature": all["x-webhook-signature"].replace(/t=\d+/, `t=${time * 1000}`) }) },
  });
}

function coinbase() {
  const body = JSON.stringify({ eventId: "ad8b2f2e", eventType: "onramp.transaction.updated" });
  const sent = { ...JSON_TYPE, "x-hook0-id": "h-1" };
  const header = (key, text, time, names = "content-type x-hook0-id") =>
    `t=${time},h=${names},v1=${hmac("sha256", key, `${time}.${names}.${names.split(" ").map((name) => sent[name] ?? "").join(".")}.${text}`)}`;
  const request = ({ key, body: text, time }) => ({ headers: { ...sent, "x-hook0-signature": header(key, text, time) } });
  const good = request({ key: KEY, body, time: SENT }).headers;
  return suite({
    slug: "coinbase_cdp", made: others, key: KEY, body, request, signature: "x-hook0-signature", malformed: `t=${SENT},h=content-type,v1=zz`, facts: { event_type: "onramp.transaction.updated", delivery_id: "ad8b2f2e" },
    time: { max_age: 300, max_future: 300, renew: (all, time) => ({ ...all, "x-hook0-signature": all["x-hook0-signature"].replace(/t=\d+/, `t=${time}`) }) },
    extra: [
      refused("a signed header changed", { headers: { ...good, "x-hook0-id": "h-2" } }),
      refused("a header taken off the list", { headers: { ...good, "x-hook0-signature": good["x-hook0-signature"].replace(" x-hook0-id", "") } }),
      { name: "a listed header that is not there", headers: { ...sent, "x-hook0-signature": header(KEY, body, SENT, "content-type x-other") }, expect: "genuine" },
    ],
  });
}

export default async () => [
  trello(), favro(), mandrill(), tiktokShop(), linkedin(), tebex(), vipps(), mailgun(), pandadoc(), treezor(), exact(), usps(), paymob(), myfatoorah(), kie(), quoter(), praxis(), paypro(), midtrans(), ripple(), coinbase(),
];
