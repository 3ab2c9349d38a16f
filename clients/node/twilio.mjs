// Twilio: form parameters and JSON with bodySHA256, signed over the public URL, which is not the
// address that the requests are sent to.

import twilio from "twilio";
import { accepted, checkDeliveries, eventIdOf, refused } from "./lib/deliveries.mjs";
import { eachOf, send } from "./lib/http.mjs";
import { Report } from "./lib/report.mjs";

const { getExpectedBodyHash, getExpectedTwilioSignature, validateRequest, validateRequestWithBody } =
  twilio;
const COUNT = 40;

export async function twilioForms({ url, receiver, publicUrl, twilio: settings }) {
  const report = new Report("twilio");
  const { secret, otherSecret, path, otherPath, delivery } = settings;
  const publicAt = (suffix) => `${publicUrl}${path}${suffix}`;
  const form = (number) => ({
    MessageSid: `SM${String(Date.now()).padStart(16, "0")}${String(number).padStart(16, "0")}`,
    AccountSid: `AC${"0".repeat(32)}`,
    From: "+14158675310",
    To: "+18005551212",
    Body: number % 2 ? "Olá, & = + % €" : "",
    NumMedia: "0",
  });
  const headers = (signature, type = "application/x-www-form-urlencoded") => ({
    "content-type": type,
    "user-agent": "TwilioProxy/1.1",
    "x-twilio-signature": signature,
  });
  const encode = (parameters) => new URLSearchParams(parameters).toString();
  const postForm = (parameters, { key = secret, at = publicAt(""), to = path, body } = {}) =>
    send(url, to, headers(getExpectedTwilioSignature(key, at, parameters)),
      body ?? encode(parameters));

  const sent = new Map();
  const accept = async (name, answer, body) => {
    report.check(name, accepted(answer), `${answer.status} ${answer.body}`);
    if (accepted(answer)) sent.set(eventIdOf(answer), { body, eventId: eventIdOf(answer) });
  };

  await eachOf(Array.from({ length: COUNT }, (_, number) => number), 8, async (number) => {
    const parameters = form(number);
    await accept("genuine forms are accepted", await postForm(parameters), encode(parameters));
  });

  // Which of the two a console signs depends on the product: with and without the default port.
  const withPort = form(COUNT);
  const port = new URL(publicUrl);
  await accept("a form signed with the default port is accepted",
    await postForm(withPort, { at: `${port.protocol}//${port.hostname}:443${path}` }),
    encode(withPort));

  // JSON bodies are signed through their hash in the query; the form parameters are then empty.
  const jsonRequest = (value) => {
    const body = JSON.stringify(value);
    const query = `?bodySHA256=${getExpectedBodyHash(body)}`;
    return { body, query, signature: getExpectedTwilioSignature(secret, publicAt(query), {}) };
  };
  for (let number = 0; number < COUNT / 2; number += 1) {
    const { body, query, signature } = jsonRequest({ number, at: Date.now(), text: "naïve" });
    await accept("genuine JSON is accepted",
      await send(url, path + query, headers(signature, "application/json"), body), body);
  }

  const parameters = form(1000);
  await refused(report, "a tampered form is refused", 401,
    postForm(parameters, { body: encode({ ...parameters, From: "+15005550006" }) }));
  await refused(report, "an added parameter is refused", 401,
    postForm(parameters, { body: encode({ ...parameters, Extra: "1" }) }));
  await refused(report, "a wrong secret is refused", 401,
    postForm(parameters, { key: otherSecret }));
  await refused(report, "a wrong URL is refused", 401,
    postForm(parameters, { at: publicAt("/elsewhere") }));
  await refused(report, "the address it was sent to is not the URL that counts", 401,
    postForm(parameters, { at: `${url}${path}` }));
  await refused(report, "a changed query is refused", 401,
    postForm(parameters, { to: `${path}?added=1` }));
  await refused(report, "a source with another secret refuses it", 401,
    postForm(parameters, { at: `${publicUrl}${otherPath}`, key: secret, to: otherPath }));
  const { body, query, signature } = jsonRequest({ amount: 1 });
  await refused(report, "a tampered JSON body is refused", 401,
    send(url, path + query, headers(signature, "application/json"), body.replace("1", "2")));

  await checkDeliveries({
    report, receiver, path: delivery.path, secret: delivery.secret, sent,
    keyOf: (request) => request.headers["webhook-id"],
    original: (request) => {
      const signed = request.headers["x-twilio-signature"];
      const text = request.body.toString();
      const genuine = request.headers["content-type"] === "application/json"
        ? validateRequestWithBody(secret, signed,
            publicAt(`?bodySHA256=${getExpectedBodyHash(text)}`), text)
        : validateRequest(secret, signed, publicAt(""),
            Object.fromEntries(new URLSearchParams(text)));
      if (!genuine) throw new Error("refused");
    },
  });
  return report.finish();
}
