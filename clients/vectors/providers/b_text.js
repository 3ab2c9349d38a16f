// Providers whose own text describes an HMAC over the body (or over time and body), and those that only others describe.
// Nothing here runs our code: the signatures are Node's, made as the text named in `origin` says.
import { createHmac } from "node:crypto";
import { SENT } from "../lib.js";
import { suite } from "../suite.js";

export const json = (value) => JSON.stringify(value);

/**
 * The suite for a keyed hash of the body, with what goes wrong most: another spacing, a line feed more, digits cut
 * short, the other encoding. `upper`, `padding`, `odd`, `reserialised` and `line_feed` say why an SDK differs there.
 * `extra` is a list, or a function of the good signature that makes one.
 */
export function usual({
  slug, made, judged, judge, header, prefix = "", dig = "sha256", enc = "hex", key, body, headers = {}, facts, content_type = "application/json",
  sign = (used, text) => createHmac(dig, used).update(text).digest(enc), upper, padding, odd, reserialised, line_feed, extra = [], also = [], ...rest
}) {
  const h = (value) => ({ headers: { "content-type": content_type, ...headers, ...(value == null ? {} : { [header]: value }) } });
  const signed = prefix + sign(key, body);
  const vectors = [...also];
  const differs = (why) => (judge && why ? { sdk_differs: why } : {});
  vectors.push({ name: "a line feed more", body: `${body}\n`, expect: "refused", refusal: "signature_mismatch", ...differs(line_feed) });
  if (content_type === "application/json") {
    const spaced = JSON.stringify(JSON.parse(body), null, 2);
    vectors.push({ name: "re-serialised body", body: spaced, expect: "refused", refusal: "signature_mismatch", ...differs(reserialised) });
    vectors.push({ name: "odd spacing, signed as it is", body: spaced, ...h(prefix + sign(key, spaced)), expect: "genuine", ...differs(odd) });
  }
  if (enc === "hex") {
    vectors.push({ name: "upper-case hexadecimal", ...h(prefix + sign(key, body).toUpperCase()), expect: "genuine", ...differs(upper) });
    vectors.push({ name: "signature cut short", ...h(signed.slice(0, prefix.length + 21)), expect: "refused", refusal: "malformed_signature" });
  } else {
    vectors.push({ name: "without padding", ...h(signed.replace(/=+$/, "")), expect: "genuine", ...differs(padding) });
    vectors.push({ name: "hexadecimal instead of base64", ...h(prefix + createHmac(dig, key).update(body).digest("hex")), expect: "refused", refusal: "signature_mismatch" });
  }
  return suite({
    slug, made, judged, judge, key, body, facts, signature: header, malformed: `${prefix}%`,
    request: ({ key: used, body: text }) => ({ ...h(prefix + sign(used, text)) }),
    extra: [...vectors, ...(typeof extra === "function" ? extra(signed) : extra)], ...rest,
  });
}

const after = (url) => `signed with Node's crypto after ${url}`;
const others = "signed with Node's crypto as others describe it";
const hmac = (dig, enc) => (key, text) => createHmac(dig, key).update(text).digest(enc);
const get = (query) => ({ method: "GET", body: "", headers: {}, url: `https://hooks.example.com/in/src?${query}`, expect: "refused", refusal: "missing_signature" });

/** Vapi's usual signature: over time and body. */
const vapi = json({ message: { type: "end-of-call-report", call: { id: "7420" } } });
const stamped = (time) => ({ headers: { "x-timestamp": String(time), "x-signature": hmac("sha256", "hex")("made-up-webhook-secret", `${time}.${vapi}`) } });

const helpscout = {
  secrets: ["a made-up help scout secret"], body: '{"id":123456,"number":1,"type":"email","status":"active","subject":"Grüße"}',
  headers: { "content-type": "application/json", "x-helpscout-event": "convo.created", "x-helpscout-signature": "zpQUjVgNjYHttzlUYyLBANlm4ZM=" },
};

const texts = [
  ["signal_sciences", "https://docs.fastly.com/signalsciences/integrations/generic-webhooks", "x-sigsci-signature", {
    body: json({ created: "2026-01-01T00:00:00Z", type: "flag", payload: { ID: "abc" } }), facts: { event_type: "flag", delivery_id: "flag:abc:2026-01-01T00:00:00Z" },
  }],
  ["lemonsqueezy", "https://docs.lemonsqueezy.com/help/webhooks/signing-requests", "x-signature", {
    body: json({ meta: { event_name: "order_created" }, data: { id: "1", type: "orders" } }), headers: { "x-event-name": "order_created" }, facts: { event_type: "order_created" },
  }],
  ["alchemy", "https://www.alchemy.com/docs/reference/notify-api-quickstart", "x-alchemy-signature", {
    body: json({ webhookId: "wh_1", id: "whevt_1", type: "ADDRESS_ACTIVITY" }), facts: { event_type: "ADDRESS_ACTIVITY", delivery_id: "whevt_1" },
  }],
  ["dropbox", "https://www.dropbox.com/developers/reference/webhooks", "x-dropbox-signature", {
    body: json({ list_folder: { accounts: ["dbid:AAH4"] } }),
    extra: [
      { name: "challenge", ...get("challenge=abc123"), handshake: { status: 200, body: "abc123" } },
      { name: "markup in the challenge is not echoed", ...get("challenge=%3Cscript%3E"), handshake: null },
    ],
  }],
  ["vercel", "github.com/vercel/example-marketplace-integration", "x-vercel-signature", {
    dig: "sha1", body: json({ id: "uev_1", type: "deployment.created", payload: { deployment: { id: "dpl_9" } } }), facts: { event_type: "deployment.created", delivery_id: "uev_1" },
    extra: [(() => {
      const body = json({ id: "uev_1", type: "deployment.created" });
      return { name: "SHA-256 as others declare it", body, headers: { "x-vercel-signature": hmac("sha256", "hex")("made-up-webhook-secret", body) }, expect: "refused", refusal: "signature_mismatch" };
    })()],
  }],
  ["vercel_log_drains", "https://vercel.com/docs/drains/security", "x-vercel-signature", {
    dig: "sha1", body: json([{ id: "1", message: "GET /api 200", source: "lambda" }]),
    extra: [
      {
        name: "verification", method: "POST", body: "", headers: {}, credentials: { verify: "8a1fbd0c" }, expect: "refused", refusal: "missing_signature",
        handshake: { status: 200, body: "" },
      },
      { name: "no code configured", body: "", headers: {}, expect: "refused", refusal: "missing_signature", handshake: null },
    ],
  }],
  ["webex", "https://developer.webex.com/blog/using-a-webhook-secret", "x-spark-signature", {
    dig: "sha1", key: "somesupersecretphrase", body: json({ id: "Y2lz", resource: "messages", event: "created", data: { id: "TUVT" } }),
    facts: { event_type: "messages.created", delivery_id: "messages.created.TUVT" },
  }],
  ["sonatype", "https://help.sonatype.com/en/enabling-a-repository-webhook-capability.html", "x-nexus-webhook-signature", {
    dig: "sha1", body: json({ nodeId: "52905B51", initiator: "admin/127.0.0.1", repositoryName: "npm-proxy", action: "CREATED" }),
    headers: { "x-nexus-webhook-id": "rm:repository:asset", "x-nexus-webhook-delivery": "7f4a6dde" }, facts: { event_type: "rm:repository:asset", delivery_id: "7f4a6dde" },
  }],
  ["mongodb_realm", "https://www.mongodb.com/docs/realm/endpoints/requests-and-responses/", "endpoint-signature", {
    prefix: "sha256=", body: json({ message: "something else" }),
    extra: [{
      name: "the documented example", secrets: ["12345"], body: '{"message":"MESSAGE"}', expect: "genuine", origin: "printed in MongoDB's documentation",
      headers: { "endpoint-signature": "sha256=828ee180512eaf8a6229eda7eea72323f68e9c0f0093b11a578b0544c5777862" },
    }],
  }],
  ["coinify", "https://coinify.readme.io/docs/webhook-signature", "x-coinify-webhook-signature", {
    body: json({ id: "5f1c", event: "payment-intent.completed", context: { orderId: "order-1" } }), facts: { event_type: "payment-intent.completed", delivery_id: "5f1c" },
    extra: [{
      name: "the documented example", secrets: ["my-shared-secret"], body: '{"examplePayload":true}', expect: "genuine", origin: "printed in Coinify's documentation",
      headers: { "x-coinify-webhook-signature": "bcdbb89e3031905f3cc1a20d16b5f969a17a7d8fa0c26e4a807c2193402d66f4" },
    }],
  }],
  ["aiprise", "https://docs.aiprise.com/docs/callbacks-authentication", "x-hmac-signature", {
    body: json({ verification_session_id: "s1", aiprise_summary: { verification_result: "DECLINED" }, created_at: 1767225600123 }), facts: { delivery_id: "s1:DECLINED:1767225600123" },
    extra: [{
      name: "the documented example", secrets: ["abcdef12-pqrs-abcd-pqrs-abcde0123456"], expect: "genuine", origin: "printed in AiPrise's documentation",
      body: '{"verification_session_id": "123408f2-2bbb-415f-aafc-92212341234", "template_id": "123456-3434-2342-3453-b4218a4fb333", "client_reference_id": null, "aiprise_summary": {"tags": [], "reasons": [], "notes": [], "verification_result": "APPROVED"}, "created_at": 1668974142818}',
      headers: { "x-hmac-signature": "f8bf141ba610974d65f5dd603f7388474c366d1b95a13799748f92261610ba86" },
    }],
  }],
  ["commercelayer", "https://docs.commercelayer.io/core/callbacks-security", "x-commercelayer-signature", {
    enc: "base64", body: json({ data: { id: "wBXVhKzrnq", type: "orders" } }), headers: { "x-commercelayer-topic": "orders.place" }, facts: { event_type: "orders.place" },
  }],
  ["fastspring", "https://developer.fastspring.com/reference/message-security", "x-fs-signature", {
    enc: "base64", body: json({ events: [{ id: "h8mM", type: "order.completed", data: { total: 10 } }] }), facts: { event_type: "order.completed", delivery_id: "h8mM" },
  }],
  ["bolt", "https://help.bolt.com/developers/webhooks/hook-verification", "x-bolt-hmac-sha256", {
    enc: "base64", body: json({ type: "payment", data: { name: "Zoë", reference: "LBLJ" } }), facts: { event_type: "payment" },
  }],
  ["aftership", "https://www.aftership.com/docs/tracking/webhook/webhook-signature", "aftership-hmac-sha256", {
    enc: "base64", body: json({ event: "tracking_update", event_id: "96bc", msg: { tag: "Delivered" } }), facts: { event_type: "tracking_update", delivery_id: "96bc" },
  }],
  ["xero", "https://developer.xero.com/documentation/webhooks/configuring-your-server", "x-xero-signature", {
    enc: "base64", body: json({ events: [{ eventCategory: "INVOICE", eventType: "UPDATE" }], lastEventSequence: 1, firstEventSequence: 1, entropy: "S0m3" }),
    facts: { event_type: "INVOICE.UPDATE", delivery_id: "1-1:S0m3" },
    extra: [(() => {
      const body = json({ events: [], lastEventSequence: 0, firstEventSequence: 0, entropy: "S0m3r4Nd0mt3xt" });
      return { name: "intent to receive", body, headers: { "x-xero-signature": hmac("sha256", "base64")("made-up-webhook-secret", body) }, expect: "genuine" };
    })()],
  }],
  ["docusign", "https://www.docusign.com/blog/developers/manually-authenticating-hmac-signatures-docusign-connect-webhook-configurations", "x-docusign-signature-1", {
    enc: "base64", body: json({ event: "envelope-completed", generatedDateTime: "2026-01-01T00:00:00Z", data: { envelopeId: "c0c3" } }),
    facts: { event_type: "envelope-completed", delivery_id: "envelope-completed:c0c3::2026-01-01T00:00:00Z" },
    extra: (signed) => [
      { name: "the second key's signature fits", headers: { "x-docusign-signature-1": hmac("sha256", "base64")("older", "x"), "x-docusign-signature-2": signed }, expect: "genuine" },
      { name: "no key's signature fits", headers: { "x-docusign-signature-1": hmac("sha256", "base64")("older", "x"), "x-docusign-signature-2": hmac("sha256", "base64")("oldest", "x") }, expect: "refused", refusal: "signature_mismatch" },
    ],
  }],
  ["signable", "https://developers.signable.app/early-access/ea-signed-webhooks", "signature", {
    enc: "base64", body: json({ action: "signed-envelope-complete", envelope_title: "Contract" }), headers: { "x-signable-webhook": "1767225600" }, facts: { event_type: "signed-envelope-complete" },
  }],
  ["helpscout", "https://developer.helpscout.com/webhooks", "x-helpscout-signature", {
    dig: "sha1", enc: "base64", body: json({ id: 123456, subject: "Hello" }), headers: { "x-helpscout-event": "convo.created" }, facts: { event_type: "convo.created" },
    // Help Scout's library is PHP. It was run once; what it made for this body and secret stands here.
    extra: [
      { name: "as Help Scout's library signs", ...helpscout, expect: "genuine", origin: "signed and accepted by Composer helpscout/api 3.9.0 (run once)" },
      { name: "another text than Help Scout's library signed", ...helpscout, body: json({ id: 123456 }), expect: "refused", refusal: "signature_mismatch", origin: "signed by Composer helpscout/api 3.9.0 (run once)" },
    ],
  }],
  ["autotask", "https://www.autotask.net/help/developerhelp/Content/APIs/Webhooks/SecretKeyPayloadVerification.htm", "x-hook-signature", {
    dig: "sha1", enc: "base64", prefix: "sha1=", body: json({ Action: "Update", Guid: "8a4c", EntityType: "Ticket", Id: 7684, SequenceNumber: 10 }), facts: { event_type: "Ticket.Update", delivery_id: "8a4c:10" },
  }],
  ["oracle_cc", "https://docs.oracle.com/en/cloud/saas/cx-commerce/ccdev/secure-webhooks.html", "x-oracle-cc-webhook-signature", {
    dig: "sha512", enc: "base64", body: json({ order: { id: "o30446", state: "SUBMITTED" } }), facts: { delivery_id: "o30446" },
  }],
  ["launchdarkly", "https://docs.launchdarkly.com/home/connecting/webhooks/", "x-ld-signature", {
    body: json({ _id: "57c0", kind: "flag", name: "Example flag" }), facts: { event_type: "flag", delivery_id: "57c0" },
  }],
  ["checkout", "https://www.checkout.com/docs/workflows", "cko-signature", { body: json({ id: "evt_1", type: "payment_approved", data: { amount: 1000 } }), facts: { event_type: "payment_approved", delivery_id: "evt_1" } }],
  ["heroku", "github.com/heroku/webhooks-demo", "heroku-webhook-hmac-sha256", {
    enc: "base64", body: json({ id: "n1", action: "create", resource: "release", webhook_metadata: { event: { id: "e1" } } }), facts: { event_type: "release.create", delivery_id: "e1" },
  }],
  ["attio", "https://docs.attio.com/rest-api/how-to/webhooks", "attio-signature", {
    body: json({ webhook_id: "7f2a", events: [{ event_type: "record.created" }] }), headers: { "idempotency-key": "0dbf" }, facts: { event_type: "record.created", delivery_id: "0dbf" },
    extra: (signed) => [{ name: "the older header alone", headers: { "x-attio-signature": signed }, expect: "genuine" }],
  }],
  ["sentry", "github.com/getsentry/integration-platform-example", "sentry-hook-signature", {
    body: json({ action: "created", data: { issue: { id: "1170820242" } } }), headers: { "sentry-hook-resource": "issue", "request-id": "8f1c" }, facts: { event_type: "issue.created", delivery_id: "8f1c" },
  }],
  ["smartsheet", "https://developers.smartsheet.com/api/smartsheet/guides/webhooks/webhook-callbacks", "smartsheet-hmac-sha256", {
    body: json({ nonce: "4b2e", webhookId: 1, events: [{ objectType: "row", eventType: "updated", id: 1 }] }), facts: { event_type: "row.updated", delivery_id: "4b2e" },
    extra: [{
      name: "challenge", body: json({ challenge: "d78dd1d3-01ce-4481-81de-92b4f3aa5ab1", webhookId: 1 }), headers: { "smartsheet-hook-challenge": "d78dd1d3-01ce-4481-81de-92b4f3aa5ab1" },
      expect: "refused", refusal: "missing_signature",
      handshake: { status: 200, body: '{"smartsheetHookResponse":"d78dd1d3-01ce-4481-81de-92b4f3aa5ab1"}' },
    }],
  }],
  ["shopline", "github.com/shoplineos/shopline-sdk-go", "x-shopline-hmac-sha256", {
    body: json({ id: "21057", status: "open" }), headers: { "x-shopline-topic": "orders/edited", "x-shopline-webhook-id": "b545" }, facts: { event_type: "orders/edited", delivery_id: "b545" },
    extra: [{
      name: "SHOPLINE's own test", secrets: ["LDLLJJLflja2039203flaflaLLFLE"], body: '"my secret message"', expect: "genuine", origin: "printed in the tests of SHOPLINE's library shopline-sdk-go",
      headers: { "x-shopline-hmac-sha256": "7d8b4cbec432e0c7e901881cc0f2490a910d56eaa73fc94bcc4276d14a61fe88" },
    }],
  }],
  ["veriff", "github.com/Veriff/js-integration-demo", "x-hmac-signature", {
    body: json({ id: "f04b", attemptId: "e587", action: "submitted", code: 7002 }), facts: { event_type: "submitted", delivery_id: "e587:submitted" },
  }],
  ["klarna", "https://docs.klarna.com/acquirer/klarna-network/setup-your-integration/connection-configuration/setup-your-webhooks/", "klarna-signature", {
    body: json({ metadata: { event_type: "payment.request.state-change.completed", event_id: "d9f9" }, payload: {} }), facts: { event_type: "payment.request.state-change.completed", delivery_id: "d9f9" },
  }],
  ["terraform", "https://developer.hashicorp.com/terraform/cloud-docs/workspaces/settings/notifications", "x-tfe-notification-signature", {
    dig: "sha512", body: json({ run_id: "run-1", notifications: [{ trigger: "run:completed", run_updated_at: "t" }] }), facts: { event_type: "run:completed", delivery_id: "run-1:run:completed:t" },
  }],
  ["jobber", "github.com/GetJobber/Jobber-AppTemplate-RailsAPI", "x-jobber-hmac-sha256", {
    enc: "base64", body: json({ data: { webHookEvent: { topic: "CLIENT_CREATE", itemId: "MQ==", occuredAt: "t" } } }), facts: { event_type: "CLIENT_CREATE", delivery_id: "CLIENT_CREATE:MQ==:t" },
  }],
  ["checkr", "github.com/checkr/webhook-verification-examples", "x-checkr-signature", {
    body: json({ id: "1002", object: "event", type: "report.completed" }), facts: { event_type: "report.completed", delivery_id: "1002" },
    extra: [{
      name: "the documented example", secrets: ["test-secret"], body: '{"monday":"75F","tuesday":"80F"}', expect: "genuine", origin: "printed in Checkr's own examples",
      headers: { "x-checkr-signature": "b7412f05e981a473b5ecbdb5393afaea02a679db6d7c8e56803512ec4ba98151" },
    }],
  }],
  ["chargify", "github.com/chargify/docs.chargify.com at commit 1f83cfa", "x-chargify-webhook-signature-hmac-sha-256", {
    body: "id=12345&event=test", content_type: "application/x-www-form-urlencoded", headers: { "x-chargify-webhook-id": "12345" }, facts: { event_type: "test", delivery_id: "12345" },
    extra: [
      {
        name: "the documented example", secrets: ["123"], body: "payload[chargify]=testing&event=test", expect: "genuine", origin: "printed in Chargify's own documents", facts: { event_type: "test" },
        headers: { "content-type": "application/x-www-form-urlencoded", "x-chargify-webhook-signature-hmac-sha-256": "19826d51b9f866b26eda1f154de192593360f8d0bcb63df8a28540a5dcf733f1" },
      },
      {
        name: "the older MD5 signature alone", secrets: ["123"], body: "payload[chargify]=testing&event=test", expect: "refused", refusal: "missing_signature", origin: "printed in Chargify's own documents",
        headers: { "content-type": "application/x-www-form-urlencoded", "x-chargify-webhook-signature": "3df5f2c8d2bfd40d8a8d72cb9e7fe56c" },
      },
    ],
  }],
  ["smile", "github.com/SmileAPI/smile-openapi", "smile-signature", { dig: "sha512", body: json({ id: "et-1", version: 1, type: "ACCOUNT_CONNECTED" }), facts: { event_type: "ACCOUNT_CONNECTED", delivery_id: "et-1" } }],
  ["picqer", "github.com/picqer/picqer-php", "x-picqer-signature", { enc: "base64", body: json({ idhook: 310, event: "picklists.closed", event_triggered_at: "t" }), facts: { event_type: "picklists.closed" } }],
  ["vapi", "https://docs.vapi.ai/server-url/server-authentication", "x-vapi-signature", {
    body: vapi, facts: { event_type: "end-of-call-report" },
    extra: [
      { name: "with the time", ...stamped(SENT), expect: "genuine" },
      { name: "with the time in milliseconds", ...stamped(SENT * 1000), expect: "genuine" },
      { name: "with an old time", ...stamped(SENT - 299), expect: "refused", refusal: "stale" },
      { name: "a timed signature over time and body as the body's", body: `${SENT}.${vapi}`, headers: { "x-vapi-signature": stamped(SENT).headers["x-signature"] }, expect: "refused", refusal: "missing_signature" },
      { name: "wrong timed signature beside the right one of the body", headers: { "x-timestamp": String(SENT), "x-signature": "0".repeat(64), "x-vapi-signature": hmac("sha256", "hex")("made-up-webhook-secret", vapi) }, expect: "refused", refusal: "signature_mismatch" },
      { name: "the secret's header", headers: { "x-vapi-secret": "made-up-webhook-secret" }, expect: "genuine" },
      { name: "a wrong secret's header", headers: { "x-vapi-secret": "guess" }, expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong signature beside the right secret", headers: { "x-vapi-signature": "0".repeat(64), "x-vapi-secret": "made-up-webhook-secret" }, expect: "refused", refusal: "signature_mismatch" },
    ],
  }],
  ["cal_com", "github.com/calcom/cal.com", "x-cal-signature-256", { body: json({ triggerEvent: "BOOKING_CREATED", createdAt: "t", payload: { uid: "u" } }), facts: { event_type: "BOOKING_CREATED", delivery_id: "BOOKING_CREATED:u:t" } }],
  ["dwolla", "https://developers.dwolla.com/docs/balance/webhooks/process-validate", "x-request-signature-sha-256", { body: json({ id: "80d8", topic: "customer_created" }), facts: { event_type: "customer_created", delivery_id: "80d8" } }],
  ["nuvemshop", "github.com/TiendaNube/api-docs", "x-linkedstore-hmac-sha256", { body: json({ store_id: 123, event: "order/created", id: 871254203 }), facts: { event_type: "order/created" } }],
  ["woocommerce", "https://woocommerce.github.io/woocommerce-rest-api-docs/#webhooks", "x-wc-webhook-signature", {
    enc: "base64", body: json({ id: 727, status: "processing" }), headers: { "x-wc-webhook-topic": "order.updated", "x-wc-webhook-delivery-id": "0d2f" }, facts: { event_type: "order.updated", delivery_id: "0d2f" },
  }],
  ["mews_pos", "https://docs.mews.com/pos-api/events/wh-security", "x-signature", { enc: "base64", body: json({ data: { type: "bookings", id: "1", attributes: { updatedAt: "t" } }, meta: { eventType: "booking.status.updated" } }), facts: { event_type: "booking.status.updated", delivery_id: "booking.status.updated:1:t" } }],
  ["paystack", "github.com/PaystackOSS/doc-code-snippets", "x-paystack-signature", { dig: "sha512", body: json({ event: "charge.success", data: { id: 302961 } }), facts: { event_type: "charge.success", delivery_id: "charge.success:302961" } }],
];

// The texts of these were not to be had.
const hearsay = [
  ["authorize_net", "x-anet-signature", { dig: "sha512", prefix: "sha512=", body: json({ notificationId: "d0e8", eventType: "net.authorize.payment.authcapture.created" }), facts: { event_type: "net.authorize.payment.authcapture.created", delivery_id: "d0e8" } }],
  ["ramp", "x-ramp-signature", { body: json({ id: "b0e5", type: "transactions.cleared" }), facts: { event_type: "transactions.cleared", delivery_id: "b0e5" } }],
  ["orbit", "x-orbit-signature", { body: json({ data: { id: "1" } }), headers: { "x-orbit-event": "activity:created", "x-orbit-event-id": "e1" }, facts: { event_type: "activity:created", delivery_id: "e1" } }],
  ["jobdiva", "x-hub-signature", { dig: "sha1", prefix: "sha1=", body: json({ type: "candidate" }), extra: (signed) => [{ name: "without the prefix", headers: { "x-hub-signature": signed.slice(5) }, expect: "genuine" }] }],
  ["sellsy", "x-webhook-signature", { dig: "sha1", body: json({ notif: { event: "updated" } }) }],
  ["tally", "tally-signature", { enc: "base64", body: json({ eventId: "a4cb", eventType: "FORM_RESPONSE" }), facts: { event_type: "FORM_RESPONSE", delivery_id: "a4cb" } }],
  ["zohomail", "x-hook-signature", { enc: "base64", body: json({ messageId: "1767", subject: "Hello" }), facts: { delivery_id: "1767" } }],
  ["fireflies", "x-hub-signature", {
    prefix: "sha256=", body: json({ event: "meeting.transcribed", timestamp: 1767225600123, meeting_id: "AS" }), facts: { event_type: "meeting.transcribed", delivery_id: "meeting.transcribed:AS:1767225600123" },
    extra: (signed) => [{ name: "without the prefix", headers: { "x-hub-signature": signed.slice(7) }, expect: "genuine" }],
  }],
];

const plain = ([slug, url, header, options]) => usual({ slug, made: after(url), header, key: "made-up-webhook-secret", ...options });

export default async () => [...texts.map(plain), ...hearsay.map(([slug, header, options]) => usual({ slug, made: others, header, key: "made-up-webhook-secret", ...options }))];
