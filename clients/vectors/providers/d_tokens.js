// Shared tokens and passwords, and what those providers ask for when they are set up.
import { make, tampered, SENT } from "../lib.js";
import { suite } from "../suite.js";

const url = "https://hooks.example.com/in/src";
const json = { "content-type": "application/json" };
const form = { "content-type": "application/x-www-form-urlencoded" };
const after = (text) => `made by hand after ${text}`;
const unsigned = { expect: "refused", refusal: "missing_signature" };

/** A token somewhere: `put(token)` answers with what it changes in the request. */
function token({ slug, text, put, body, facts, headers = json, key = `made-up-token-of-${slug}`, without, extra = [], ...more }) {
  const request = (value) => { const made = put(value); return { body, ...made, headers: { ...headers, ...made.headers } }; };
  return suite({
    slug, made: after(text), key, other: "another-token", body, signs_body: false, facts, request: ({ key }) => request(key),
    extra: [
      { name: "no token", ...(without ?? { body, headers, url }), expect: "refused", refusal: "missing_signature" },
      { name: "the beginning of the token", ...request(key.slice(0, -1)), expect: "refused", refusal: "signature_mismatch" },
      { name: "more than the token", ...request(`${key}x`), expect: "refused", refusal: "signature_mismatch" },
      ...extra,
    ],
    ...more,
  });
}

const inHeader = (name, prefix = "") => (value) => ({ headers: { [name]: prefix + value } });
const inQuery = (name) => (value) => ({ url: `${url}?${name}=${encodeURIComponent(value)}` });
const inBody = (name, rest) => ({ put: (value) => ({ body: JSON.stringify({ ...rest, [name]: value }) }), without: { body: JSON.stringify(rest), headers: json } });

/** The header is chosen by a parameter. */
const otherHeader = (key, body) => ({ name: "another header by parameter", credentials: { header: "X-Own" }, body, headers: { ...json, "x-own": key }, expect: "genuine" });

function headers() {
  const simple = (slug, text, header, value, facts, others = {}, more = {}) => token({ slug, text, put: inHeader(header), body: JSON.stringify(value), facts, headers: { ...json, ...others }, extra: [{ name: "the body is not signed", body: tampered(Buffer.from(JSON.stringify(value))), expect: "genuine" }], ...more });
  return [
    simple("telegram", "https://github.com/tdlib/telegram-bot-api (WebhookActor.cpp)", "x-telegram-bot-api-secret-token", { update_id: 10000, message: { message_id: 1365, text: "/start" } }, { event_type: "message", delivery_id: "10000" }),
    simple("auth0", "https://auth0.com/docs/customize/log-streams/custom-log-streams", "authorization", [{ log_id: "900200", data: { type: "s", ip: "203.0.113.7" } }], { event_type: "s", delivery_id: "900200" }),
    simple("cloudflare", "https://developers.cloudflare.com/notifications/get-started/configure-webhooks/", "cf-webhook-auth", { text: "Hello", alert_type: "workers_alert" }, { event_type: "workers_alert" }),
    simple("huggingface", "https://huggingface.co/docs/hub/webhooks", "x-webhook-secret", { event: { action: "update", scope: "repo.content" } }, { event_type: "repo.content.update" }),
    simple("deepgram", "https://developers.deepgram.com/docs/callback", "dg-token", { metadata: { request_id: "d0b3f4e2" } }, { delivery_id: "d0b3f4e2" }),
    simple("xendit", "https://docs.xendit.co/api-integration/callback/setup", "x-callback-token", { event: "payment.succeeded", data: { id: "py-1" } }, { event_type: "payment.succeeded", delivery_id: "6592c0b7" }, { "webhook-id": "6592c0b7" }),
    simple("streak", "descriptions by others", "x-streak-webhook-token", { event: "BOX_CHANGE_STAGE" }, { event_type: "BOX_CHANGE_STAGE" }),
    ...["google_calendar", "google_drive"].map((slug) => token({
      slug, text: "https://github.com/googleapis/google-api-java-client (WebhookHeaders.java)", put: inHeader("x-goog-channel-token"), body: "", headers: { "x-goog-channel-id": "4ba78bf0", "x-goog-message-number": "10", "x-goog-resource-state": "exists" }, facts: { event_type: "exists", delivery_id: "4ba78bf0:10" },
      extra: [{ name: "sync", headers: { "x-goog-channel-id": "4ba78bf0", "x-goog-message-number": "1", "x-goog-resource-state": "sync", "x-goog-channel-token": `made-up-token-of-${slug}` }, expect: "genuine", facts: { event_type: "sync", delivery_id: "4ba78bf0:1" } }],
    })),
    ...own(),
    token({ slug: "braze", text: "https://www.braze.com/docs (custom HTTP connector)", put: inHeader("authorization", "Bearer "), body: JSON.stringify({ events: [{ event_type: "users.messages.email.Open", id: "a1234567" }] }), facts: { event_type: "users.messages.email.Open", delivery_id: "a1234567" } }),
    token({ slug: "openclaw", text: "https://docs.openclaw.ai/automation/webhook", put: inHeader("authorization", "Bearer "), body: JSON.stringify({ message: "Run this" }) }),
  ];
}

/** A header that the operator adds. */
function own() {
  const one = (slug, text, value, facts) => { const body = JSON.stringify(value); return token({ slug, text, put: inHeader("x-webhook-token"), body, facts, extra: [otherHeader(`made-up-token-of-${slug}`, body)] }); };
  return [
    one("supabase", "https://supabase.com/docs/guides/database/webhooks", { type: "INSERT", table: "todos", record: { id: 7 } }, { event_type: "INSERT" }),
    one("assemblyai", "https://github.com/AssemblyAI/assemblyai-api-spec", { transcript_id: "5552493", status: "completed" }, { event_type: "completed", delivery_id: "5552493:completed" }),
    one("datadog", "https://docs.datadoghq.com/integrations/webhooks/", { id: "7417432041929640441", event_type: "query_alert_monitor" }, { event_type: "query_alert_monitor", delivery_id: "7417432041929640441" }),
    one("freshdesk", "descriptions by others", { freshdesk_webhook: { ticket_id: 42 } }),
    one("gorgias", "descriptions by others", { event: "ticket-created", ticket: { id: 1048 } }),
  ];
}

function bodies() {
  const mattermost = { channel_id: "hawos4dq", post_id: "axdygg1957", text: "deploy now", trigger_word: "deploy" };
  return [
    token({ slug: "meraki", text: "https://developer.cisco.com/meraki/webhooks/", ...inBody("sharedSecret", { alertId: "0001", alertTypeId: "motion_alert" }), facts: { event_type: "motion_alert", delivery_id: "0001" } }),
    token({ slug: "cloudsignal", text: "descriptions by others", ...inBody("apikey", { type: "CloudprinterOrderValidated", order: "1001" }), facts: { event_type: "CloudprinterOrderValidated", delivery_id: "1001:CloudprinterOrderValidated" } }),
    token({ slug: "livechat", text: "https://github.com/livechat/livechat-public-docs", ...inBody("secret_key", { action: "incoming_event", payload: { chat_id: "PS0X" } }), facts: { event_type: "incoming_event" } }),
    token({ slug: "aircall", text: "descriptions by others", ...inBody("token", { event: "call.created", timestamp: 1767225600, data: { id: 812 } }), facts: { event_type: "call.created", delivery_id: "call.created:812:1767225600" } }),
    token({
      slug: "figma", text: "https://developers.figma.com/docs/rest-api/webhooks-security", ...inBody("passcode", { event_type: "FILE_UPDATE", webhook_id: "22", timestamp: "2026-01-01T00:00:00Z" }), facts: { event_type: "FILE_UPDATE", delivery_id: "22:FILE_UPDATE:2026-01-01T00:00:00Z" },
      extra: [{ name: "PING", body: JSON.stringify({ event_type: "PING", passcode: "made-up-token-of-figma", webhook_id: "22", timestamp: "2026-01-01T00:00:00Z" }), expect: "genuine", facts: { event_type: "PING", delivery_id: "22:PING:2026-01-01T00:00:00Z" } }],
    }),
    token({
      slug: "mattermost", text: "https://developers.mattermost.com/integrate/webhooks/outgoing/", headers: form, put: (value) => ({ body: new URLSearchParams({ ...mattermost, token: value }).toString() }),
      without: { body: new URLSearchParams(mattermost).toString(), headers: form }, facts: { event_type: "deploy", delivery_id: "axdygg1957" },
      extra: [{ name: "as JSON", body: JSON.stringify({ ...mattermost, token: "made-up-token-of-mattermost" }), headers: json, expect: "genuine" }],
    }),
  ];
}

function queries() {
  const key = "made-up-token-of-mailchimp";
  const head = (method, address) => ({ method, url: address, headers: {}, body: "" });
  const member = "type=subscribe&fired_at=2026-01-01+00%3A00%3A00&data%5Bid%5D=8a25ff1d98";
  const part = (name, value) => `--xx\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  return [
    token({
      slug: "mailchimp", text: "https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/", put: inQuery("secret"), headers: form, body: member, facts: { event_type: "subscribe", delivery_id: "subscribe:2026-01-01 00:00:00:8a25ff1d98" },
      extra: [
        { name: "GET to see that somebody answers", ...head("GET", `${url}?secret=${key}`), expect: "genuine", handshake: { status: 200, body: "" } },
        { name: "HEAD likewise", ...head("HEAD", `${url}?secret=${key}`), expect: "genuine", handshake: { status: 200, body: "" } },
        { name: "GET with a wrong secret", ...head("GET", `${url}?secret=guess`), expect: "refused", refusal: "signature_mismatch", handshake: null },
        { name: "another name by parameter", ...head("POST", `${url}?k=${key}`), body: member, headers: form, credentials: { query: "k" }, expect: "genuine" },
      ],
    }),
    token({ slug: "gumroad", text: "https://gumroad.com/ping", put: inQuery("secret"), headers: form, body: "seller_id=Hu%3D%3D&sale_id=FO8TXN&resource_name=sale", facts: { event_type: "sale", delivery_id: "sale:FO8TXN" } }),
    token({ slug: "jotform", text: "descriptions by others", put: inQuery("secret"), headers: { "content-type": "multipart/form-data; boundary=xx" }, body: `${part("formID", "253")}${part("submissionID", "6112")}${part("rawRequest", '{"q3_name":{"first":"Jörg"}}')}--xx--\r\n`, facts: { delivery_id: "6112" } }),
  ];
}

function basics() {
  const one = (slug, text, value, facts, extra = []) => {
    const key = "hook:päss:word";
    const body = JSON.stringify(value);
    const given = (text) => ({ ...json, authorization: `Basic ${Buffer.from(text).toString("base64")}` });
    return suite({
      slug, made: after(text), key, other: "hook:another", body, signs_body: false, signature: extra.length ? undefined : "authorization", malformed: "Basic %", facts, request: ({ key }) => ({ headers: given(key) }),
      extra: [
        { name: "the body is not signed", body: tampered(Buffer.from(body)), expect: "genuine" },
        { name: "named credentials", secrets: [], credentials: { username: "hook", password: "päss:word" }, expect: "genuine" },
        { name: "another user", headers: given("root:päss:word"), expect: "refused", refusal: "signature_mismatch" },
        { name: "a bearer token", headers: { authorization: "Bearer x" }, expect: "refused", refusal: "unsupported_signature" },
        ...extra,
      ],
    });
  };
  return [
    one("postmark", "https://postmarkapp.com/developer/webhooks/webhooks-overview", { RecordType: "Delivery", MessageID: "883953f4", Recipient: "jo@example.com" }, { event_type: "Delivery", delivery_id: "Delivery:883953f4:jo@example.com" }),
    one("pipedrive", "https://github.com/pipedrive/client-php", { meta: { action: "change", entity: "deal", id: "6a3c1b9e" } }, { event_type: "deal.change", delivery_id: "6a3c1b9e" }),
    one("vmware", "descriptions by others", { EventType: "Device Compromised Status Change" }, { event_type: "Device Compromised Status Change" }),
    one("bandwidth", "https://dev.bandwidth.com/docs/numbers/webhooks", [{ type: "message-delivered", time: "2026-01-01T00:00:00Z", message: { id: "14762" } }], { event_type: "message-delivered", delivery_id: "message-delivered:14762:2026-01-01T00:00:00Z" }, [
      { name: "the first request is asked for the password", headers: json, ...unsigned, handshake: { status: 401, headers: { "www-authenticate": 'Basic realm="webhooks"' }, body: "" } },
      { name: "not base64", headers: { authorization: "Basic %" }, expect: "refused", refusal: "malformed_signature", handshake: null },
    ]),
  ];
}

/** Those that ask whether somebody is there before they send. */
function handshakes() {
  const okta = { eventType: "com.okta.event_hook", eventId: "b5a188b9", data: { events: [{ uuid: "dc4e2385", eventType: "user.lifecycle.create" }] } };
  const graph = { value: [{ changeType: "updated", clientState: "made-up-token-of-microsoft_graph", resource: "Users/1/Messages/2" }] };
  const grid = [{ id: "831e1650", eventType: "Microsoft.Storage.BlobCreated", data: {} }];
  const code = "512d38b6-c7b8-40c8-89fe-f46f9e9622b6";
  const validation = JSON.stringify([{ id: "2d1781af", topic: "/t", data: { validationCode: code }, eventType: "Microsoft.EventGrid.SubscriptionValidationEvent" }]);
  const validated = { status: 200, body: JSON.stringify({ validationResponse: code }) };
  const options = { method: "OPTIONS", body: "", url: `${url}?code=made-up-token-of-azure_event_grid` };
  const adobe = JSON.stringify({ event: "AGREEMENT_CREATED", webhookNotificationId: "0a3b9f6c" });
  const echoed = "Validation: Testing client application reachability for subscription Request-Id: 522d1a5b";
  return [
    token({
      slug: "okta", text: "https://developer.okta.com/docs/concepts/event-hooks/", put: inHeader("authorization"), body: JSON.stringify(okta), facts: { event_type: "user.lifecycle.create", delivery_id: "dc4e2385" },
      extra: [
        { name: "one-time verification", method: "GET", body: "", headers: { "x-okta-verification-challenge": "jOHTBFRGHYgYRDyB6X9Z" }, ...unsigned, handshake: { status: 200, body: '{"verification":"jOHTBFRGHYgYRDyB6X9Z"}' } },
        { name: "markup in the challenge is not echoed", method: "GET", body: "", headers: { "x-okta-verification-challenge": "<script>" }, ...unsigned, handshake: null },
        { name: "a challenge in a POST is none", headers: { "x-okta-verification-challenge": "abc" }, ...unsigned, handshake: null },
        otherHeader("made-up-token-of-okta", JSON.stringify(okta)),
      ],
    }),
    token({
      slug: "ringcentral", text: "https://developers.ringcentral.com/guide/team-messaging/events/outgoing-webhooks", put: inHeader("verification-token"), body: JSON.stringify({ uuid: "8204687352317465391", event: "/restapi/v1.0/account/1" }), facts: { event_type: "/restapi/v1.0/account/1", delivery_id: "8204687352317465391" },
      extra: [
        { name: "Validation-Token", body: "", headers: { "validation-token": "wtdwi2y88489yr34iwegsekshwekfhsdfh" }, ...unsigned, handshake: { status: 200, headers: { "validation-token": "wtdwi2y88489yr34iwegsekshwekfhsdfh" }, body: "" } },
        { name: "a Validation-Token beside an event is no handshake", headers: { ...json, "validation-token": "hello-world", "verification-token": "made-up-token-of-ringcentral" }, expect: "genuine", handshake: null },
      ],
    }),
    token({
      slug: "microsoft_graph", text: "https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks", body: JSON.stringify(graph), put: (value) => ({ body: JSON.stringify({ value: [{ ...graph.value[0], clientState: value }] }) }),
      without: { body: JSON.stringify({ value: [{ changeType: "updated" }] }), headers: json }, facts: { event_type: "updated" },
      extra: [
        { name: "validationToken", body: "", headers: { "content-type": "text/plain" }, url: `${url}?validationToken=${encodeURIComponent(echoed)}`, ...unsigned, handshake: { status: 200, headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" }, body: echoed } },
        { name: "an empty validationToken", body: "", headers: {}, url: `${url}?validationToken=`, ...unsigned, handshake: null },
      ],
    }),
    token({
      slug: "azure_event_grid", text: "https://learn.microsoft.com/en-us/azure/event-grid/security-authentication", put: inQuery("code"), headers: { ...json, "aeg-event-type": "Notification" }, body: JSON.stringify(grid), facts: { event_type: "Microsoft.Storage.BlobCreated", delivery_id: "831e1650" },
      extra: [
        { name: "subscription validation", headers: { ...json, "aeg-event-type": "SubscriptionValidation" }, body: validation, expect: "genuine", handshake: validated },
        { name: "subscription validation without the code is not answered", url, headers: { ...json, "aeg-event-type": "SubscriptionValidation" }, body: validation, ...unsigned, handshake: null },
        { name: "CloudEvents validation", ...options, headers: { "webhook-request-origin": "eventgrid.azure.net" }, expect: "genuine", handshake: { status: 200, headers: { "webhook-allowed-origin": "eventgrid.azure.net", "webhook-allowed-rate": "*" }, body: "" } },
        { name: "OPTIONS without an origin", ...options, headers: {}, expect: "genuine", handshake: null },
        { name: "CloudEvents in binary form", headers: { ...json, "ce-type": "com.acme.paid", "ce-id": "e1" }, body: "{}", expect: "genuine", facts: { event_type: "com.acme.paid", delivery_id: "e1" } },
      ],
    }),
    token({
      slug: "adobe_sign", text: "https://helpx.adobe.com/sign/developer/webhook/overview.html", put: inHeader("x-adobesign-clientid"), body: adobe, facts: { event_type: "AGREEMENT_CREATED", delivery_id: "0a3b9f6c" },
      extra: [
        { name: "verification of intent", method: "GET", body: "", headers: { "x-adobesign-clientid": "made-up-token-of-adobe_sign" }, expect: "genuine", handshake: { status: 200, headers: { "x-adobesign-clientid": "made-up-token-of-adobe_sign" }, body: "" } },
        { name: "another client id is not repeated", method: "GET", body: "", headers: { "x-adobesign-clientid": "CBJsomebody" }, expect: "refused", refusal: "signature_mismatch", handshake: null },
      ],
    }),
    strava(),
  ];
}

function strava() {
  const ask = (token, challenge = "15f7d1a91c1f40f8a748fd134752feb3") => ({ method: "GET", body: "", headers: {}, url: `${url}?hub.mode=subscribe&hub.verify_token=${token}&hub.challenge=${challenge}` });
  const body = JSON.stringify({ aspect_type: "update", event_time: SENT, object_id: 1360128428, object_type: "activity", subscription_id: 120475 });
  return make({
    slug: "strava", made: after("descriptions by others"), base: { secrets: [], credentials: { verify_token: "STRAVA" }, body, headers: json },
    vectors: [
      { name: "anything", expect: "genuine", facts: { event_type: "activity.update", delivery_id: `120475:1360128428:update:${SENT}` } },
      { name: "subscription", ...ask("STRAVA"), expect: "genuine", handshake: { status: 200, body: '{"hub.challenge":"15f7d1a91c1f40f8a748fd134752feb3"}' } },
      { name: "wrong verify token", ...ask("guess"), expect: "genuine", handshake: null },
      { name: "markup in the challenge is not echoed", ...ask("STRAVA", "%3Cscript%3E"), expect: "genuine", handshake: null },
      { name: "no verify token configured", ...ask("STRAVA"), credentials: {}, expect: "genuine", handshake: null },
    ],
  });
}

/** Those that prove nothing: whatever comes is taken. */
function nothing() {
  const one = (slug, body, headers, facts) => make({ slug, made: "made by hand", base: { secrets: [], body, headers }, vectors: [{ name: "anything", expect: "genuine", facts }, { name: "an empty body", body: "", headers: {}, expect: "genuine", facts: {} }] });
  return [
    one("zift", JSON.stringify({ notificationId: "20260101-0001", notificationType: "transaction" }), json, { event_type: "transaction", delivery_id: "20260101-0001" }),
    one("bitpay", JSON.stringify({ event: { name: "invoice_paidInFull" }, data: { id: "WoE46g" } }), json, { event_type: "invoice_paidInFull", delivery_id: "WoE46g:invoice_paidInFull" }),
    one("mollie_classic", "id=tr_d0b0E3EA3v", form, {}),
    one("salesforce", "<Envelope/>", { "content-type": "text/xml" }, {}),
    one("shipstation", JSON.stringify({ resource_type: "ORDER_NOTIFY", resource_url: "https://ssapi.shipstation.com/orders" }), json, { event_type: "ORDER_NOTIFY" }),
  ];
}

export default async () => [...headers(), ...bodies(), ...queries(), ...basics(), ...handshakes(), ...nothing()];
