// Providers without an SDK that verifies: vectors from their own documents, and such as their text describes.
import { createHash, createHmac, generateKeyPairSync, constants, privateEncrypt, publicDecrypt } from "node:crypto";
import { before, make, SENT, tampered } from "../lib.js";
import { standard } from "./a_standard.js";
import { timed } from "./a_timed.js";
import { plain } from "./a_body.js";

const after = (url) => `signed with Node's crypto after ${url}`;
const hmac = (key, text, digest = "sha256") => createHmac(digest, key).update(text).digest("hex");
const dotted = (key, time, body) => hmac(key, `${time}.${body}`);
const pairs = (signature, time_name = "t", separator = ",") => (time, signatures) => [`${time_name}=${time}`, ...signatures.map((one) => `${signature}=${one}`)].join(separator);
const text = (secret) => Buffer.from(secret);

const standards = () => [
  { slug: "gitlab_signing", made: after("https://gitlab.com/gitlab-org/gitlab/-/merge_requests/230944"), event_type: "Push Hook", headers: { "x-gitlab-event": "Push Hook" }, body: { object_kind: "push", ref: "refs/heads/main" } },
  { slug: "signatureapi", made: after("https://signatureapi.com/docs/api/guides/how-to/verify-webhooks"), event_type: "envelope.completed", body: { id: "evt_1", type: "envelope.completed", data: { object_id: "env_1" } } },
  { slug: "agentmail", prefix: "svix", made: after("https://github.com/agentmail-to/agentmail-docs"), event_type: "message.received", body: { type: "event", event_type: "message.received", event_id: "evt_1", message: { subject: "Grüße" } } },
  { slug: "render", made: after("https://github.com/render-examples/webhook-github-action"), event_type: "deploy_ended", body: { type: "deploy_ended", timestamp: "2026-01-01T00:00:00.000Z", data: { id: "evt-1", serviceId: "srv-1" } } },
  {
    slug: "recall_ai", made: after("https://github.com/recallai/sample-apps"), event_type: "bot.done", body: { event: "bot.done", data: { data: { code: "done" }, bot: { id: "b1" } } },
  },
  {
    slug: "bigcommerce", made: after("https://github.com/bigcommerce/docs, https-webhook-overview.mdx"), event_type: "store/order/created", bytes: text, key: "made-up-client-secret-0123456789abcdef", other: "made-up-client-secret-fedcba9876543210",
    body: { scope: "store/order/created", store_id: "1025646", data: { type: "order", id: 250 }, producer: "stores/abc123" },
  },
];

const PERSONA = { data: { type: "event", id: "evt_1", attributes: { name: "inquiry.completed" } } };

const timeds = () => [
  {
    slug: "persona", header: "persona-signature", made: after("https://docs.withpersona.com/v2022-09-01/docs/best-practices"), key: "wbhsec_made_up_0123456789", write: pairs("v1"), sign: dotted,
    body: PERSONA, facts: { event_type: "inquiry.completed", delivery_id: "evt_1" },
    extra: [["first", 0], ["second", 1]].map(([name, place]) => {
      const sets = ["0".repeat(64), "0".repeat(64)];
      sets[place] = dotted("wbhsec_made_up_0123456789", SENT, JSON.stringify(PERSONA));
      return { name: `two sets while the secret is rotated, the ${name} fits`, headers: { "persona-signature": sets.map((one) => `t=${SENT},v1=${one}`).join(" ") }, expect: "genuine", origin: "made with Node's crypto as others describe the rotation" };
    }),
  },
  {
    slug: "billit", header: "billit-signature", made: after("https://docs.billit.be/reference/webhook"), key: "made-up-billit-secret", write: pairs("s"), sign: dotted,
    body: { UpdatedEntityID: 556654, UpdatedEntityType: "Order" },
  },
  {
    slug: "whereby", header: "whereby-signature", made: after("https://docs.whereby.com (webhooks, validating events)"), key: "made-up-whereby-secret", write: pairs("v1"), sign: dotted,
    body: { id: "e1", type: "room.client.joined", data: { roomName: "/demo" } }, facts: { event_type: "room.client.joined", delivery_id: "e1" },
  },
  {
    slug: "mercury", header: "mercury-signature", made: after("https://github.com/MercuryTechnologies/n8n-nodes-mercury"), key: "made-up-mercury-secret", write: pairs("v1"), sign: dotted,
    body: { id: "e1", resourceType: "transaction", resourceId: "t1", operationType: "create", mergePatch: { amount: -12.5 } }, facts: { event_type: "transaction.create", delivery_id: "e1" },
  },
  {
    slug: "courier", header: "courier-signature", made: after("https://github.com/trycourier/docs, outbound-webhooks.mdx"), key: "made-up-courier-secret", write: pairs("signature"), sign: dotted, unit: 1000,
    body: { type: "message:updated", data: { id: "1-6143cf63-4f27670f6304f465462695f2", status: "ENQUEUED" } }, facts: { event_type: "message:updated" },
  },
  {
    slug: "buildkite", header: "x-buildkite-signature", made: after("https://github.com/buildkite/go-buildkite, webhook.go"), key: "309c9c842g8565adecpd7469x6005989", write: pairs("signature", "timestamp"), sign: dotted,
    headers: { "x-buildkite-event": "build.finished" }, body: { event: "build.finished", build: { id: "b1", number: 12, state: "passed" } }, facts: { event_type: "build.finished" },
    extra: [{ name: "the token in plain is no signature", headers: { "x-buildkite-event": "ping", "x-buildkite-token": "309c9c842g8565adecpd7469x6005989" }, expect: "refused", refusal: "missing_signature" }],
  },
  {
    slug: "recurly", header: "recurly-signature", made: after("https://docs.recurly.com/recurly-subscriptions/docs/signature-verification"), key: "354fab5bd35f5a0d50845ee7e30165244468b13c2c343f104e4e730a59326d9d", unit: 1000, versions: false,
    write: (time, signatures) => [time, ...signatures].join(","), sign: dotted, malformed: `${SENT * 1000},zz`, positional: true,
    body: { id: "rjxwmwedwqug", object_type: "account", event_type: "created", uuid: "4d7a3a9d0d3c4b9fb4c0a5a0e5d1c1a1" }, facts: { event_type: "created", delivery_id: "4d7a3a9d0d3c4b9fb4c0a5a0e5d1c1a1" },
  },
];

const plains = () => [
  {
    slug: "snyk", header: "x-hub-signature", write: (one) => `sha256=${one}`, made: after("https://github.com/snyk/user-docs, validation-and-versioning-of-payloads.md"),
    headers: { "x-snyk-event": "project_snapshot/v0" }, body: { project: { id: "p1" }, newIssues: [] }, facts: { event_type: "project_snapshot/v0" },
  },
  {
    slug: "firecrawl", header: "x-firecrawl-signature", write: (one) => `sha256=${one}`, made: after("https://docs.firecrawl.dev/webhooks/security"),
    body: { success: true, type: "crawl.completed", id: "c1", data: [] }, facts: { event_type: "crawl.completed" },
  },
  {
    slug: "clearbit", header: "x-request-signature", write: (one) => `sha1=${one}`, digest: "sha1", made: after("https://github.com/clearbit/clearbit-ruby, lib/clearbit/webhook.rb"),
    key: "sk_made_up_0123456789", other: "sk_another_9876543210", bytes: (secret) => secret.replace(/^(pk|sk)_/, ""),
    body: { id: "d1", type: "person", status: 200, body: { id: "p1" } }, facts: { event_type: "person", delivery_id: "d1" },
    extra: [{ name: "the key without its prefix", secrets: ["made_up_0123456789"], expect: "genuine" }],
  },
  {
    slug: "circleci", header: "circleci-signature", write: (one) => `v1=${one}`, made: after("https://circleci.com/docs/guides/integration/outbound-webhooks/"),
    body: { type: "workflow-completed", id: "3888f21b-eaa7-38e3-8f3d-75a63bba8895", workflow: { status: "success" } }, facts: { event_type: "workflow-completed", delivery_id: "3888f21b-eaa7-38e3-8f3d-75a63bba8895" },
    extra: [
      ["hello world", "secret", "734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a"],
      ["lalala", "another-secret", "daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00"],
      ["an-important-request-payload", "hunter123", "9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa"],
    ].map(([body, secret, signature]) => ({
      name: `the documented example: ${body}`, body, secrets: [secret], headers: { "circleci-signature": `v1=${signature}` }, expect: "genuine", origin: "printed in CircleCI's documentation",
    })).concat([
      { name: "later versions beside", body: "foo", secrets: ["secret"], headers: { "circleci-signature": "v1=773ba44693c7553d6ee20f61ea5d2757a9a4f4a44d2841ae4e95b52e4cd62db4,v2=aa,v3=bb" }, expect: "genuine", origin: "signature printed in CircleCI's documentation" },
      { name: "an unknown version alone", headers: { "circleci-signature": "v2=773ba44693c7553d6ee20f61ea5d2757a9a4f4a44d2841ae4e95b52e4cd62db4" }, expect: "refused", refusal: "unsupported_signature" },
    ]),
  },
];

function pagerduty() {
  const secret = "lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK";
  const reference = (type, id, name, path) => ({ html_url: `https://acme.pagerduty.com/${path}${id}`, id, self: `https://api.pagerduty.com/${path}${id}`, summary: name, type: `${type}_reference` });
  const body = JSON.stringify({
    event: {
      id: "01BWDWL3NYY7LUFPZCC28QUCMK", event_type: "incident.priority_updated", resource_type: "incident", occurred_at: "2021-04-26T17:36:27.458Z",
      agent: reference("user", "PLH1HKV", "Tenex Engineer", "users/"), client: null,
      data: {
        id: "PGR0VU2", type: "incident", self: "https://api.pagerduty.com/incidents/PGR0VU2", html_url: "https://acme.pagerduty.com/incidents/PGR0VU2", number: 2, status: "triggered", title: "A little bump in the road",
        service: reference("service", "PF9KMXH", "API Service", "services/"), assignees: [reference("user", "PTUXL6G", "User 123", "users/")],
        escalation_policy: reference("escalation_policy", "PUS0KTE", "Default", "escalation_policies/"), teams: [reference("team", "PFCVPS0", "Engineering", "teams/")],
        priority: { ...reference("priority", "PSO75BM", "P1", "priorities/"), html_url: "https://acme.pagerduty.com/account/incident_priorities" },
        urgency: "high", conference_bridge: { conference_number: 1000, conference_url: "https://example.com" }, resolve_reason: null,
      },
    },
  });
  const printed = "v1=0c0b9495b893a39e70d1fea2fe11fbe0a825f88b9f67846f6cc07dd2bc5476cd";
  const own = JSON.stringify({ event: { id: "01DEP7OJ3F0VYEJDEOULPKRJB2", event_type: "incident.triggered", data: { title: "Grüße" } } });
  const wrong = `v1=${"0".repeat(64)}`;
  return plain({
    slug: "pagerduty", header: "x-pagerduty-signature", write: (one) => `v1=${one}`, made: after("https://github.com/PagerDuty/go-pagerduty"), key: secret, other: "another-made-up-secret", body: own,
    facts: { event_type: "incident.triggered", delivery_id: "01DEP7OJ3F0VYEJDEOULPKRJB2" },
    extra: [
      { name: "PagerDuty's own example", body, headers: { "x-pagerduty-signature": printed }, expect: "genuine", origin: "printed in PagerDuty's go-pagerduty, webhookv3/webhookv3_test.go" },
      { name: "PagerDuty's own example of a mismatch", body, headers: { "x-pagerduty-signature": "v1=7020c8a7ec668a9b7012bc3dd82e483394b038f4230acc6785efbf2a7d8bcaf5" }, expect: "refused", refusal: "signature_mismatch", origin: "printed in PagerDuty's go-pagerduty, webhookv3/webhookv3_test.go" },
      { name: "several signatures", headers: { "x-pagerduty-signature": `${wrong},v1=${hmac(secret, own)}` }, expect: "genuine" },
      { name: "an unknown version alone", headers: { "x-pagerduty-signature": `v2=${hmac(secret, own)}` }, expect: "refused", refusal: "unsupported_signature" },
    ],
  });
}

/** RSA over the digest of the digest; signing has no random part, but the key has, so it is kept from the last run. */
function bridge_xyz() {
  const documented = [
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtqsEE4eI7EmzhcquGJXt", "LX9PMK0UH6Kl1WIR21sv8HtueG8BuvvpP3MiN7ltzmIhS8KaynCjN4l+620PnXeu", "xWG+CSnEdkinL9hCqbEid5vv9zl0j9LWiJx3FkKHqADU7cgm46aa8dKUdIQYF2X+",
    "O7WmyLkC4wUM/mWhBPMsIQBznashRMZxx7XJjsVp27ACUE4eNIjEXbVYN6U8jSbU", "hG++CfL8xXu+GHDqKmFE6Po6HnuURvLFVnCtE3mXXBcVFlPy+octfx8nOMLT3X8O", "9UehIigJ34o2yMm/Fq3HUJzg2BsiAiGgtr0vmeoV9Q7upSNj9TuOumAzZFi4pYA+", "qwIDAQAB",
  ];
  const pem = `-----BEGIN PUBLIC KEY-----\n${documented.join("\n")}\n-----END PUBLIC KEY-----\n`;
  const printed = "jz/0dmHJ63FAzacGutrDTEoq+iSz/PHm/ugdooXDQu5NwuVIT2LmZGjsnCsBHgR9Py6OBP9zurzW4dHgygU4EDqmMPTUOvhvndYb4lWt+TY66LihaFI2whL6DAf/jb1QjYjNU0A6x9SLzC45dgE6X7zTDUM+2Z+scG/WEQf6SxQMt4E2sEipl5PqMK5lYUe3otdJV+X2c9D64bGwCEE7QSia+Vhozg8QNOQEk/rdz2IEONIg6oC43CeiN4E2kF9XLAGuy9uAHx9O9OJH5ZPLJZjyo4VcXYeWQgxaQ1gZ1Qu6hEEzgiPSff/1nou58dm4bIIazgCWli/mO0NyGcpfFw==";
  const sent = 1705854411204;
  const body = "{\"message\":\"Hello World!\"}";
  const digest = (time, sent_body) => createHash("sha256").update(createHash("sha256").update(`${time}.${sent_body}`).digest()).digest();
  const info = Buffer.from("3031300d060960864801650304020105000420", "hex");
  if (!publicDecrypt(pem, Buffer.from(printed, "base64")).equals(Buffer.concat([info, digest(sent, body)]))) throw new Error("Bridge's own signature does not fit");
  const kept = before("bridge_xyz", "valid");
  let key = kept?.public_keys[0];
  let header = kept?.headers["x-webhook-signature"];
  const event = JSON.stringify({ api_version: "v0", event_id: "wh_1", event_type: "transfer.updated.status_transitioned" });
  if (!key) {
    const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
    key = pair.publicKey.export({ type: "spki", format: "pem" });
    const signature = privateEncrypt({ key: pair.privateKey, padding: constants.RSA_PKCS1_PADDING }, Buffer.concat([info, digest(SENT * 1000, event)]));
    header = `t=${SENT * 1000},v0=${signature.toString("base64")}`;
  }
  const given = (value) => ({ headers: { "content-type": "application/json", ...(value === undefined ? {} : { "x-webhook-signature": value }) } });
  const value = header.split("v0=")[1];
  const example = { body, public_keys: [pem], ...given(`t=${sent},v0=${printed}`), verify_at: Math.floor(sent / 1000) + 2, origin: "printed in Bridge's documentation (test data)" };
  return make({
    slug: "bridge_xyz", made: "signed with Node's crypto after https://apidocs.bridge.xyz/v1/docs/webhook-event-signature-verification",
    base: { body: event, public_keys: [key], ...given(header) },
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "transfer.updated.status_transitioned", delivery_id: "wh_1" } },
      { name: "the documented example", ...example, expect: "genuine" },
      { name: "the documented example, tampered", ...example, body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "the documented example, too old", ...example, verify_at: Math.floor(sent / 1000) + 700, expect: "refused", refusal: "stale" },
      { name: "tampered body", body: tampered(Buffer.from(event)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong key", public_keys: [pem], expect: "refused", refusal: "signature_mismatch" },
      { name: "second key fits", public_keys: [pem, key], expect: "genuine" },
      { name: "time renewed", ...given(`t=${SENT * 1000 + 1000},v0=${value}`), expect: "refused", refusal: "signature_mismatch" },
      { name: "from the future", verify_at: SENT - 700, expect: "refused", refusal: "from_future" },
      { name: "stale", verify_at: SENT + 601, expect: "refused", refusal: "stale" },
      { name: "malformed signature", ...given(`t=${SENT * 1000},v0=%`), expect: "refused", refusal: "malformed_signature" },
      { name: "no time", ...given(`v0=${value}`), expect: "refused", refusal: "missing_timestamp" },
      { name: "no signature", ...given(), expect: "refused", refusal: "missing_signature" },
    ],
  });
}

// One after the other: while a judge runs, the clock stands still for all.
export default async () => {
  const made = [];
  for (const one of standards()) made.push(await standard(one));
  for (const one of timeds()) made.push(await timed(one));
  for (const one of plains()) made.push(await plain(one));
  made.push(await pagerduty(), await bridge_xyz());
  return made;
};
