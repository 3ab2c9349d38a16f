// Schemes that sign the public URL: Twilio and Square.
import { createHmac } from "node:crypto";
import { make, version, require, tampered } from "../lib.js";

async function twilioVectors() {
  const twilio = require("twilio");
  const { getExpectedTwilioSignature, getExpectedBodyHash, validateRequest, validateRequestWithBody } = twilio;
  const secret = "12345abcdef67890made0up";
  const url = "https://hooks.example.com/in/src?foo=1&bar=2";
  const params = { To: "+18005551212", From: "+14158675309", Digits: "1234", MessageSid: "SM1", MessageStatus: "delivered", Body: "Grüße + 50% ä" };
  const body = new URLSearchParams(params).toString();
  const form = (signature) => ({ headers: { "content-type": "application/x-www-form-urlencoded; charset=UTF-8", ...(signature ? { "x-twilio-signature": signature } : {}) } });
  const sign = (address = url, given = params, key = secret) => getExpectedTwilioSignature(key, address, given);
  const json = JSON.stringify({ type: "call.completed", id: "CA1" });
  const jsonUrl = `https://hooks.example.com/in/src?bodySHA256=${getExpectedBodyHash(json)}`;
  const jsonHeaders = { "content-type": "application/json", "x-twilio-signature": sign(jsonUrl, {}) };
  const withPort = "https://hooks.example.com:443/in/src?foo=1&bar=2";
  const doubled = "b=2&a=1&b=1&b=2";
  const bare = "https://hooks.example.com/in/src?CallSid=CA1";
  const parse = (text) => {
    const all = {};
    for (const [name, value] of new URLSearchParams(text)) {
      all[name] = name in all ? [].concat(all[name], value) : value;
    }
    return all;
  };
  return make({
    slug: "twilio", made: `signed by ${version("twilio")}`, judged: version("twilio"), base: { secrets: [secret], url, body, ...form(sign()) },
    judge: (v, key) => {
      const address = v.public_url ? v.public_url + (v.url.includes("?") ? `?${v.url.split("?")[1]}` : "") : v.url;
      const given = v.headers["x-twilio-signature"];
      if (address.includes("bodySHA256")) return validateRequestWithBody(key, given, address, v.body.toString());
      return validateRequest(key, given, address, (v.headers["content-type"] ?? "").includes("form") ? parse(v.body.toString()) : {});
    },
    vectors: [
      { name: "form", expect: "genuine", facts: { event_type: "delivered", delivery_id: "SM1:delivered" } },
      { name: "tampered form", body: body.replace("1234", "1235"), expect: "refused", refusal: "signature_mismatch" },
      { name: "a field more", body: `${body}&Extra=1`, expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "second secret fits", secrets: ["another", secret], expect: "genuine", secret_index: 1 },
      { name: "no header", ...form(), expect: "refused", refusal: "missing_signature" },
      { name: "signed with the default port", ...form(sign(withPort)), expect: "genuine" },
      { name: "received with the default port, signed without", url: withPort, ...form(sign()), expect: "genuine" },
      { name: "signed with another port", ...form(sign("https://hooks.example.com:8443/in/src?foo=1&bar=2")), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong scheme", url: url.replace("https", "http"), expect: "refused", refusal: "signature_mismatch" },
      { name: "trailing slash", url: url.replace("/src?", "/src/?"), expect: "refused", refusal: "signature_mismatch" },
      { name: "the public URL counts, not the received one", url: "http://10.0.0.7:8080/in/src?foo=1&bar=2", public_url: "https://hooks.example.com/in/src", expect: "genuine" },
      { name: "wrong public URL", public_url: "https://other.example.com/in/src", expect: "refused", refusal: "signature_mismatch" },
      { name: "a name that comes twice", body: doubled, ...form(sign(url, parse(doubled))), expect: "genuine" },
      { name: "JSON with a body hash", url: jsonUrl, body: json, headers: jsonHeaders, expect: "genuine", facts: { event_type: "call.completed", delivery_id: "CA1" } },
      { name: "JSON with the default port", url: jsonUrl, body: json, headers: { ...jsonHeaders, "x-twilio-signature": sign(jsonUrl.replace(".com/", ".com:443/"), {}) }, expect: "genuine" },
      { name: "JSON with a tampered body", url: jsonUrl, body: json + " ", headers: jsonHeaders, expect: "refused", refusal: "body_mismatch" },
      { name: "JSON with a tampered hash", url: jsonUrl.replace(/.$/, (last) => (last === "0" ? "1" : "0")), body: json, headers: jsonHeaders, expect: "refused", refusal: "signature_mismatch" },
      { name: "a signed JSON request with its body emptied and called a form", url: jsonUrl, body: "", headers: { ...jsonHeaders, "content-type": "application/x-www-form-urlencoded" }, expect: "refused", refusal: "body_mismatch" },
      { name: "JSON without a body hash", url: bare, body: json, headers: { "content-type": "application/json", "x-twilio-signature": sign(bare, {}) }, expect: "refused", refusal: "unsupported_body", sdk_differs: "it would not look at the body" },
      { name: "GET", method: "GET", url: bare, body: "", headers: { "x-twilio-signature": sign(bare, {}) }, expect: "genuine" },
    ],
  });
}

async function square() {
  const { WebhooksHelper } = require("square");
  const secret = "asdf1234made-up-signature-key";
  const url = "https://hooks.example.com/in/src";
  const body = JSON.stringify({ merchant_id: "M", type: "payment.created", event_id: "6a8f5f28-54a1-4eb0-a98a-3111513fd4fc", data: {} });
  const sign = (address, text = body, key = secret) => createHmac("sha256", key).update(address + text).digest("base64");
  const headers = (value) => ({ "content-type": "application/json", ...(value ? { "x-square-hmacsha256-signature": value } : {}) });
  return make({
    slug: "square", made: "signed with Node's crypto", judged: version("square"), base: { secrets: [secret], url, body, headers: headers(sign(url)) },
    judge: (v, key) => WebhooksHelper.verifySignature({ requestBody: v.body.toString(), signatureHeader: v.headers["x-square-hmacsha256-signature"], signatureKey: key, notificationUrl: v.public_url ?? v.url }),
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "payment.created", delivery_id: "6a8f5f28-54a1-4eb0-a98a-3111513fd4fc" } },
      { name: "behind a proxy", url: "http://127.0.0.1:8080/in/src", public_url: url, expect: "genuine" },
      { name: "wrong URL", url: "https://hooks.example.com/in/other", expect: "refused", refusal: "signature_mismatch" },
      { name: "trailing slash", url: `${url}/`, expect: "refused", refusal: "signature_mismatch" },
      { name: "default port written out", url: "https://hooks.example.com:443/in/src", expect: "refused", refusal: "signature_mismatch" },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong secret", secrets: ["another"], expect: "refused", refusal: "signature_mismatch" },
      { name: "second secret fits", secrets: ["another", secret], expect: "genuine", secret_index: 1 },
      { name: "no header", headers: headers(), expect: "refused", refusal: "missing_signature" },
    ],
  });
}

export default async () => [twilioVectors(), square()];
