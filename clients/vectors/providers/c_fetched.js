// Providers whose public keys are fetched: Amazon SNS, PayPal, Circle, eBay, Manus, fal, Fireblocks, Wise.
// The key and the certificates were made for these vectors with Python's cryptography.
import { createHash, createPrivateKey, createPublicKey, createSign, sign as signBytes } from "node:crypto";
import https from "node:https";
import { PassThrough } from "node:stream";
import { at, before, make, require, tampered, pythonJudge, pythonVersion, version, SENT, NOW } from "../lib.js";

const RSA = `-----BEGIN PRIVATE KEY-----
MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQC6WuLEGUA05szb
7jwxcgAWJ90HwPP5gTB1VdcwfupLox/ciDnb7FB+HaqkZe6dJ4vg6s6cI+lY4Des
95gHsn1v2ZY25NayGTfzhhjd1sY5T4ok2UuZdvO8dG3wynDbHX3+D1LzzwM2jZPh
vJ9ZIdXYNTbOu0eGyFDAgAhUe2PrAYjg99n0KKRgU1xKtaDfRtdvmDcACVCX4+ug
Qd80iFy/1og13xu0xX3DU8h2MN4Z9+QW3G/RFAPek1lXCJ6cW4MIQqDJ/27G5CZQ
8Ti5ISokpiECKrIpTNJmCn3WKGpuapeK7ToVFgPIgArwHDPYW2/NQDI0xIH9OYU6
CmoW5QxFAgMBAAECggEAB4GyOUEleDa6K/t1KBkQvlO66v1KMUko2nfLptvclGaS
LxK7YUEWvqHIy32spol0MGpHn3wF12CUIDmgAY1ee/3ZN8Ww4p8yml1oN9rB2jH6
nVXgc6KE78OGizNzEix7tFsfKwwyHlrbyQp3+8Hpvd9qNq/OEjSUUNDHenRhomgi
5dVOoCNzFbffWzBUGWTK4a/rdE+opvGMMmY2Q/dqARci8X81AqTeE++gRCHTlYPD
AVsG3ij+9gi1uudjKQr6JvQtZ7oDXJdfqMKamN77dP5sxg8Nfl/sSsccXYrkZ4TH
MWb2tr2vuo3aQGEbN0MHGDET8f+kMAv0wM3qz9zH4QKBgQDhGrZkh6Jp9gH2TkEt
18eiAEWfM7tSxvyPpYVhXjnV1yjj3reVXZaPAti/sNkiDT8EC39/j19krgZzWy4q
mIlkj7OtQFZ7Fb1+t63NUWt6V5oEuiWqr/moJ63s2KR6LWcKMjeimWFShSBp3fx6
rZ/95ELNlm2yik5wDiXSzQfzZQKBgQDT7qxoUEo2dJnpHqTkQXkOfHD43I+UuE9T
ILOu8dJOxwPdFsIKxXQFNkhg810MDz4ETxRIxD59Oujupt6b1Dnkro5yo08hY2uw
73yt/MgONM2uvGuCFjwgOlSZyKX5Fk3N/mNlZKLP3fj6Zo+B6+DZl9bXVoOoiVhw
W273yBjXYQKBgQDRXODrG2Opnc8xYJMqqhjYydv3OEwvrzdT+yTU7KhqBVXYqlqh
J4xSstkZYMhy7VMA1hjdcWHN6DXDsLh9kaWnzCfXKZHFpPC8HOYfomyOO0/aua8y
070l8tHHCa/gmr3NM+ue5X0pHPyKupaLG1VE9LpVMGYSuqQ9gEsZhuywKQKBgQCL
HtkkXNhqqN5D7q7Ve7lI7h2G79p9CQRhkE0DoZCpz/DUWFUmlvmTVk/q/LZu7S6L
y5GINvLCaEJyLy5gYs9iM8gkrtmKFGakLoHNAOwej0EZ3GxCZ/AuQ7w3e0Sgn6iR
edWrwIU0KQWA8oRwB/SBQjBxCUTCBO7+Srcshrjv4QKBgQCDmCSlgfmWI1IReHzY
bWrZLCctVj10uJl+M9ALvvxzCyKXLCHiemmlsHT67zeT2KR5SRxiAttZXQ06BWio
1ktS6k7WeITyu/Ddp4bzWIiiiQh34VMUBLRlfT61l764freZj1QVbL3I2APQr3OU
HDJF1qyqyAWPmToLA4CijuFMVQ==
-----END PRIVATE KEY-----`;
const SNS = `-----BEGIN CERTIFICATE-----
MIIDGzCCAgOgAwIBAgIBBzANBgkqhkiG9w0BAQsFADA/MSEwHwYDVQQKDBhNYWRl
IHVwIGZvciB0ZXN0IHZlY3RvcnMxGjAYBgNVBAMMEXNucy5hbWF6b25hd3MuY29t
MCAXDTI1MDEwMTAwMDAwMFoYDzIwOTkwMTAxMDAwMDAwWjA/MSEwHwYDVQQKDBhN
YWRlIHVwIGZvciB0ZXN0IHZlY3RvcnMxGjAYBgNVBAMMEXNucy5hbWF6b25hd3Mu
Y29tMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAulrixBlANObM2+48
MXIAFifdB8Dz+YEwdVXXMH7qS6Mf3Ig52+xQfh2qpGXunSeL4OrOnCPpWOA3rPeY
B7J9b9mWNuTWshk384YY3dbGOU+KJNlLmXbzvHRt8Mpw2x19/g9S888DNo2T4byf
WSHV2DU2zrtHhshQwIAIVHtj6wGI4PfZ9CikYFNcSrWg30bXb5g3AAlQl+ProEHf
NIhcv9aINd8btMV9w1PIdjDeGffkFtxv0RQD3pNZVwienFuDCEKgyf9uxuQmUPE4
uSEqJKYhAiqyKUzSZgp91ihqbmqXiu06FRYDyIAK8Bwz2FtvzUAyNMSB/TmFOgpq
FuUMRQIDAQABoyAwHjAcBgNVHREEFTATghFzbnMuYW1hem9uYXdzLmNvbTANBgkq
hkiG9w0BAQsFAAOCAQEAZ6+eKmm8jDdFlWkx5USpcTDuMZk4Z65cV7LbFDBZMPeE
39VyQB+lHTVhxEiX9LNOGlo1oNASL5nVqOrFsDXXOypl0MMEkqfCZAElxHDhk/3S
Hg5vnJL2TLABv5hWP1wpMNh2+511jLZ9ogyVGuRAIZhlFP7mTJLxKbsGAE8vZzo9
pVnlcjPUCtZHpNr3yBpYNWC9SPkIoIFZaO9VYJuTP9bXhCuARGlPGOqHCdBzRGIZ
aocRVEa0uwdGunQM5OBpFU47ojxI3FLr54iL/+WI/xIUNhSg853FENLKI47Tg6Cn
DI9O2A14DxeM5MXRLx2xl4bMklvNwC7b9oIMvJK7rw==
-----END CERTIFICATE-----`;
const OTHER_NAME = `-----BEGIN CERTIFICATE-----
MIIDGzCCAgOgAwIBAgIBBzANBgkqhkiG9w0BAQsFADA/MSEwHwYDVQQKDBhNYWRl
IHVwIGZvciB0ZXN0IHZlY3RvcnMxGjAYBgNVBAMMEWhvb2tzLmV4YW1wbGUuY29t
MCAXDTI1MDEwMTAwMDAwMFoYDzIwOTkwMTAxMDAwMDAwWjA/MSEwHwYDVQQKDBhN
YWRlIHVwIGZvciB0ZXN0IHZlY3RvcnMxGjAYBgNVBAMMEWhvb2tzLmV4YW1wbGUu
Y29tMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAulrixBlANObM2+48
MXIAFifdB8Dz+YEwdVXXMH7qS6Mf3Ig52+xQfh2qpGXunSeL4OrOnCPpWOA3rPeY
B7J9b9mWNuTWshk384YY3dbGOU+KJNlLmXbzvHRt8Mpw2x19/g9S888DNo2T4byf
WSHV2DU2zrtHhshQwIAIVHtj6wGI4PfZ9CikYFNcSrWg30bXb5g3AAlQl+ProEHf
NIhcv9aINd8btMV9w1PIdjDeGffkFtxv0RQD3pNZVwienFuDCEKgyf9uxuQmUPE4
uSEqJKYhAiqyKUzSZgp91ihqbmqXiu06FRYDyIAK8Bwz2FtvzUAyNMSB/TmFOgpq
FuUMRQIDAQABoyAwHjAcBgNVHREEFTATghFob29rcy5leGFtcGxlLmNvbTANBgkq
hkiG9w0BAQsFAAOCAQEAtceV2zHwxaOaSxiqOAY1L3DbCUAVopHrdmy+viJYBQpK
AMVYAgoheQKgC4YUvv10frh0to3PxeSUfG1Dtnd5WbQXCkSfGaEXPFWJpifLk/5K
tzKjxiBGaCbwGmVbgV29gkX/2fyUV4KKGeXGlPOIs4wjUmBtP/g9Lr1D8hkblXx3
i1Qx8Rz0eKMm5nWU/man0KMvNWX179Vfrb1L+7A0Ojjqmom/1n6cO9uE4OMvYeFL
vx32LDBjPmc3ai/zZ8ryCaDxT71dgNQVB73WijP9Z9qdOwTmZOIJ1Lne6xtqorUZ
IQJcE4i9AeTKo65Yjk7k2nYWImDPt5FtqsqMEgLTdA==
-----END CERTIFICATE-----`;
const EXPIRED = `-----BEGIN CERTIFICATE-----
MIIDGTCCAgGgAwIBAgIBBzANBgkqhkiG9w0BAQsFADA/MSEwHwYDVQQKDBhNYWRl
IHVwIGZvciB0ZXN0IHZlY3RvcnMxGjAYBgNVBAMMEXNucy5hbWF6b25hd3MuY29t
MB4XDTI1MDEwMTAwMDAwMFoXDTI1MDYwMTAwMDAwMFowPzEhMB8GA1UECgwYTWFk
ZSB1cCBmb3IgdGVzdCB2ZWN0b3JzMRowGAYDVQQDDBFzbnMuYW1hem9uYXdzLmNv
bTCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBALpa4sQZQDTmzNvuPDFy
ABYn3QfA8/mBMHVV1zB+6kujH9yIOdvsUH4dqqRl7p0ni+Dqzpwj6VjgN6z3mAey
fW/Zljbk1rIZN/OGGN3WxjlPiiTZS5l287x0bfDKcNsdff4PUvPPAzaNk+G8n1kh
1dg1Ns67R4bIUMCACFR7Y+sBiOD32fQopGBTXEq1oN9G12+YNwAJUJfj66BB3zSI
XL/WiDXfG7TFfcNTyHYw3hn35Bbcb9EUA96TWVcInpxbgwhCoMn/bsbkJlDxOLkh
KiSmIQIqsilM0mYKfdYoam5ql4rtOhUWA8iACvAcM9hbb81AMjTEgf05hToKahbl
DEUCAwEAAaMgMB4wHAYDVR0RBBUwE4IRc25zLmFtYXpvbmF3cy5jb20wDQYJKoZI
hvcNAQELBQADggEBAJBZWaDDVUIF2lZJnbW77Neh2gpXaUnTPawp2iTRyvuPiXEb
IyMlAXNFMQfc0OjUmFZzQY3u8l6SxbCiaJecx/BAqAqjv1N8YSeU8MYqpOlNfvmt
7Tb3LQ1IUYR9rOXFCx1Hvg2hij+yEF6o93SIRFmdF9VFtXGnUuDiljb4l3Y4UP+5
38KDIXaxm+lfBdyoAufzynumtogYnTbBeK3FuKnadA6uzCENVlWE8YlSJGzNbCH+
j9/6U8aCtfWZKhtEZLwvQ65F6WWeSJMKJJVCPfosUSZH4PMdbC3q4oBctjHW9PUF
OFoN3P3hQnpccKWz1DcRpdlesJwHYwcmK2LRMZ0=
-----END CERTIFICATE-----`;
const PAYPAL = `-----BEGIN CERTIFICATE-----
MIIDUTCCAjmgAwIBAgIBBzANBgkqhkiG9w0BAQsFADBRMSEwHwYDVQQKDBhNYWRl
IHVwIGZvciB0ZXN0IHZlY3RvcnMxLDAqBgNVBAMMI21lc3NhZ2V2ZXJpZmljYXRp
b25jZXJ0cy5wYXlwYWwuY29tMCAXDTI1MDEwMTAwMDAwMFoYDzIwOTkwMTAxMDAw
MDAwWjBRMSEwHwYDVQQKDBhNYWRlIHVwIGZvciB0ZXN0IHZlY3RvcnMxLDAqBgNV
BAMMI21lc3NhZ2V2ZXJpZmljYXRpb25jZXJ0cy5wYXlwYWwuY29tMIIBIjANBgkq
hkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAulrixBlANObM2+48MXIAFifdB8Dz+YEw
dVXXMH7qS6Mf3Ig52+xQfh2qpGXunSeL4OrOnCPpWOA3rPeYB7J9b9mWNuTWshk3
84YY3dbGOU+KJNlLmXbzvHRt8Mpw2x19/g9S888DNo2T4byfWSHV2DU2zrtHhshQ
wIAIVHtj6wGI4PfZ9CikYFNcSrWg30bXb5g3AAlQl+ProEHfNIhcv9aINd8btMV9
w1PIdjDeGffkFtxv0RQD3pNZVwienFuDCEKgyf9uxuQmUPE4uSEqJKYhAiqyKUzS
Zgp91ihqbmqXiu06FRYDyIAK8Bwz2FtvzUAyNMSB/TmFOgpqFuUMRQIDAQABozIw
MDAuBgNVHREEJzAlgiNtZXNzYWdldmVyaWZpY2F0aW9uY2VydHMucGF5cGFsLmNv
bTANBgkqhkiG9w0BAQsFAAOCAQEAImQyG0e0BBfk++jd/1TF9Vq6fasxCyfac6NN
BL3ypckt2pJt1YOoZ0kLPs/2UEFX5myYYwGfea2lvSdpM5wf3NqBdL8PB8l8WFVT
FkoQQcX4d4bjN9U1bUVV1u1eklsmUpKqXKQ6ofX0bZ+qRJ3AYq3aatSVx565nNzw
zI1JXt8wqZIk1bK4pDcrolKe3Io4VbE1kxKS7otE516rHXAdgvdFoYR29duh5PLr
VPV3hG1d85GzQXjBNJna74nDB29Fd3xn/dd3H2huB19aZqqy+VQMittdg+J1r4AY
8EAlm4gavKfjLJ3CeuEkqoomIT/CFxGppOSwiR896PouihBS/w==
-----END CERTIFICATE-----`;
// The public half of another key.
const STRANGER = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2mQUfogyqpL+QSG9u8+O
44/gsYXFWtAmLcEABpHUI9vp4Kl7g+gb67MhLuRQiABvmTPWgBENEJWCJ7YpywqL
n75DyaczjfTWNGQbO+vOfqyWrD6da0nO499TH0leg83nwK4QzsGBA8c5sg0dvRS0
mwBm6qHc+EF+aUzGa+kedYDqetNReJvFIbFz9u/mK+0kK1tng+CnwxLSoKbd3/LC
QTsaAow6ALDksylDmddLKangxfQsmcfh3gHAUoLauFCsWAWYyeosF35aPTVoL2FK
Nw/zL5TwA921qBdVfb4rP+FOItofC9WOVxKFjXE381trnDlErT1b3DZK68zPBZKW
6wIDAQAB
-----END PUBLIC KEY-----
`;
// The key of RFC 7515, appendix A.3.
const EC = createPrivateKey({ format: "jwk", key: { kty: "EC", crv: "P-256", d: "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI", x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" } });
const rsa = createPrivateKey(RSA);
const JSON_TYPE = { "content-type": "application/json" };
const sha256hex = (text) => createHash("sha256").update(text).digest("hex");

/** Asks the SDK about each vector here, since its keys are fetched and not given; the same rules as in make(). */
async function judged(vectors, base, { made, by, judge }) {
  const out = [];
  for (const given of vectors) {
    const vector = { verify_at: NOW, ...base, ...given };
    vector.body = Buffer.isBuffer(vector.body) ? vector.body : Buffer.from(vector.body ?? "");
    if (vector.unjudged) {
      out.push({ ...given, origin: given.origin ?? made });
      continue;
    }
    const accepted = await at(vector.verify_at, () => Promise.resolve(judge(vector)).catch(() => false));
    const differs = accepted !== (vector.expect === "genuine");
    if (differs !== Boolean(vector.sdk_differs)) throw new Error(`${vector.name}: expected ${vector.expect}, the SDK says ${accepted}`);
    const says = `${accepted ? "accepted" : "refused"} by ${by}`;
    out.push({ ...given, sdk_differs: undefined, origin: differs ? `${made}; ${by} ${accepted ? "accepts" : "refuses"}: ${vector.sdk_differs}` : `${made}; ${says}` });
  }
  return out;
}

/** What the SNS library gets when it asks for a certificate; its clock and network stand still. */
function snsJudge() {
  const MessageValidator = require("sns-validator");
  return (vector) =>
    new Promise((resolve) => {
      const asked = https.get;
      https.get = (url, answer) => {
        const body = new PassThrough();
        body.statusCode = 200;
        answer(body);
        body.end(vector.fetched.keys);
        return { on: () => {} };
      };
      // The library keeps certificates by URL: a name for each vector keeps them apart.
      const message = JSON.parse(vector.body.toString());
      new MessageValidator().validate({ ...message, SigningCertURL: message.SigningCertURL.replace("first.pem", `${sha256hex(vector.fetched.keys).slice(0, 16)}.pem`) }, (error) => {
        https.get = asked;
        resolve(!error);
      });
    });
}

async function sns() {
  const topic = "arn:aws:sns:us-west-2:123456789012:MyTopic";
  const url = "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-first.pem";
  const canonical = (message) =>
    ["Message", "MessageId", "Subject", ...(message.Type === "Notification" ? [] : ["SubscribeURL"]), "Timestamp", ...(message.Type === "Notification" ? [] : ["Token"]), "TopicArn", "Type"]
      .filter((name) => name in message)
      .map((name) => `${name}\n${message[name]}\n`)
      .join("");
  const signed = (over = {}, digest = "RSA-SHA256") => {
    const message = { Type: "Notification", MessageId: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", TopicArn: topic, Subject: "Erste Nachricht ä", Message: "{\"a\": 1}\nsecond line", Timestamp: "2026-01-01T00:00:00.000Z", SignatureVersion: "2", SigningCertURL: url, ...over };
    for (const name of Object.keys(message)) if (message[name] === undefined) delete message[name];
    return JSON.stringify({ ...message, Signature: createSign(digest).update(canonical(message)).sign(rsa, "base64") }, null, 2);
  };
  const confirmation = { Type: "SubscriptionConfirmation", Subject: undefined, Message: "You have chosen to subscribe", Token: "2336412f37", SubscribeURL: "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37" };
  const body = signed();
  const base = { credentials: { topic_arn: topic }, fetched: { keys: SNS }, body, headers: { "content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification" } };
  const other = signed({ SigningCertURL: "https://sns.us-west-2.amazonaws.com.example.com/x.pem" });
  const vectors = [
    { name: "valid", expect: "genuine", facts: { event_type: "Erste Nachricht ä", delivery_id: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324" } },
    { name: "without a subject", body: signed({ Subject: undefined }), expect: "genuine", facts: { event_type: "Notification" } },
    { name: "version 1", body: signed({ SignatureVersion: "1" }, "RSA-SHA1"), expect: "genuine" },
    { name: "version 2 signed with SHA-1", body: signed({}, "RSA-SHA1"), expect: "refused", refusal: "signature_mismatch" },
    { name: "unknown version", body: signed({ SignatureVersion: "3" }), expect: "refused", refusal: "unsupported_body" },
    { name: "subscription", body: signed(confirmation), expect: "genuine", handshake: { status: 200, body: "", visit: confirmation.SubscribeURL } },
    { name: "subscription with another address to visit", body: signed(confirmation).replace("Action=Confirm", "Action=Refuse"), expect: "refused", refusal: "signature_mismatch", handshake: null },
    { name: "subscription for another host", body: signed({ ...confirmation, SubscribeURL: "https://hooks.example.com/" }), expect: "genuine", handshake: null },
    { name: "tampered message", body: body.replace("second", "other"), expect: "refused", refusal: "signature_mismatch" },
    { name: "another topic", credentials: { topic_arn: `${topic}2` }, expect: "refused", refusal: "body_mismatch", sdk_differs: "it leaves the topic to the caller" },
    { name: "no topic configured", credentials: {}, expect: "refused", refusal: "missing_credential", sdk_differs: "it leaves the topic to the caller" },
    { name: "certificate from another host", body: other, expect: "refused", refusal: "untrusted_key_url" },
    { name: "certificate from a bucket called sns", body: signed({ SigningCertURL: "https://sns.s3.amazonaws.com/SimpleNotificationService-first.pem" }), expect: "refused", refusal: "untrusted_key_url" },
    { name: "certificate from a bucket called sns, in a region", body: signed({ SigningCertURL: "https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-first.pem" }), expect: "refused", refusal: "untrusted_key_url", sdk_differs: "it takes the bucket's host for a region's" },
    { name: "certificate with a query", body: signed({ SigningCertURL: `${url}?a=.pem` }), expect: "refused", refusal: "untrusted_key_url", sdk_differs: "it looks only at how the address ends" },
    { name: "certificate from another path", body: signed({ SigningCertURL: "https://sns.us-west-2.amazonaws.com/other/SimpleNotificationService-first.pem" }), expect: "refused", refusal: "untrusted_key_url", sdk_differs: "it takes any path that ends in .pem" },
    { name: "certificate from a path that leads up", body: signed({ SigningCertURL: "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-/../first.pem" }), expect: "refused", refusal: "untrusted_key_url", sdk_differs: "it takes any path that ends in .pem" },
    { name: "subscription to be confirmed at a bucket called sns", body: signed({ ...confirmation, SubscribeURL: "https://sns.s3.amazonaws.com/?Action=ConfirmSubscription" }), expect: "genuine", handshake: null },
    { name: "certificate over http", body: signed({ SigningCertURL: url.replace("https", "http") }), expect: "refused", refusal: "untrusted_key_url" },
    { name: "certificate that is none", body: signed({ SigningCertURL: "https://sns.us-west-2.amazonaws.com/?Action=List" }), expect: "refused", refusal: "untrusted_key_url" },
    { name: "certificate of another name", fetched: { keys: OTHER_NAME }, expect: "refused", refusal: "key_unavailable", sdk_differs: "it does not look at the name" },
    { name: "certificate that has expired", fetched: { keys: EXPIRED }, expect: "refused", refusal: "key_unavailable", sdk_differs: "it does not look at the dates" },
    { name: "certificate not to be had", fetched: undefined, unjudged: true, expect: "refused", refusal: "key_unavailable" },
    { name: "stale", verify_at: SENT + 3601, expect: "refused", refusal: "stale", sdk_differs: "it leaves the age to the caller" },
    { name: "at the edge of the tolerance", verify_at: SENT + 3600, expect: "genuine" },
    { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future", sdk_differs: "it leaves the time to the caller" },
    { name: "key given by the operator", fetched: undefined, public_keys: [createPublicKey(rsa).export({ format: "pem", type: "spki" })], unjudged: true, expect: "genuine" },
    { name: "another key", fetched: undefined, public_keys: [STRANGER], unjudged: true, expect: "refused", refusal: "signature_mismatch" },
    { name: "second key fits", fetched: undefined, public_keys: [STRANGER, createPublicKey(rsa).export({ format: "pem", type: "spki" })], unjudged: true, expect: "genuine", secret_index: 1 },
    { name: "malformed signature", body: JSON.stringify({ ...JSON.parse(body), Signature: "%" }), expect: "refused", refusal: "malformed_signature" },
    { name: "no signature", body: JSON.stringify({ ...JSON.parse(body), Signature: undefined }), unjudged: true, expect: "refused", refusal: "missing_signature" },
  ];
  const made = "signed with Node's crypto";
  return make({ slug: "aws_sns", made, base, vectors: await judged(vectors, base, { made, by: version("sns-validator"), judge: snsJudge() }) });
}

async function paypal() {
  const table = Array.from({ length: 256 }, (_, n) => Array.from({ length: 8 }).reduce((c) => (c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1), n));
  const crc32 = (bytes) => (bytes.reduce((c, byte) => table[(c ^ byte) & 255] ^ (c >>> 8), ~0) ^ ~0) >>> 0;
  const webhook = "0EH40505U7160970P";
  const id = "69cd13f0-d67a-11e5-baa3-778b53f4ae55";
  const body = JSON.stringify({ id: "WH-58D329510W468432D-8HN650336L201105X", event_type: "PAYMENT.CAPTURE.COMPLETED", summary: "30,00 € bezahlt", resource: {} });
  const time = "2026-01-01T00:00:00Z";
  const signed = (over = {}, name = webhook, text = body) => ({
    ...JSON_TYPE, "paypal-transmission-id": id, "paypal-transmission-time": time, "paypal-auth-algo": "SHA256withRSA", "paypal-cert-url": "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270",
    "paypal-transmission-sig": signBytes("sha256", Buffer.from(`${id}|${time}|${name}|${crc32(Buffer.from(text))}`), rsa).toString("base64"), ...over,
  });
  const { "paypal-transmission-sig": signature, ...unsigned } = signed();
  const base = { credentials: { webhook_id: webhook }, fetched: { keys: PAYPAL }, body, headers: signed() };
  const ask = pythonJudge("paypal");
  const judge = (vector) => ask(vector, null);
  const vectors = [
    { name: "valid", expect: "genuine", facts: { event_type: "PAYMENT.CAPTURE.COMPLETED", delivery_id: "WH-58D329510W468432D-8HN650336L201105X" } },
    { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
    { name: "another webhook's id", credentials: { webhook_id: "another" }, expect: "refused", refusal: "signature_mismatch" },
    { name: "the simulator's id", headers: signed({}, "WEBHOOK_ID"), expect: "refused", refusal: "signature_mismatch" },
    { name: "no webhook id", credentials: {}, unjudged: true, expect: "refused", refusal: "missing_credential" },
    { name: "another transmission id", headers: signed({ "paypal-transmission-id": "x" }), expect: "refused", refusal: "signature_mismatch" },
    { name: "time renewed", headers: signed({ "paypal-transmission-time": "2026-01-01T00:00:02Z" }), expect: "refused", refusal: "signature_mismatch" },
    { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale", sdk_differs: "it does not look at the age" },
    { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future", sdk_differs: "it does not look at the age" },
    { name: "SHA-1 named", headers: signed({ "paypal-auth-algo": "SHA1withRSA" }), expect: "refused", refusal: "unsupported_body" },
    { name: "certificate from another host", headers: signed({ "paypal-cert-url": "https://api.paypal.com.example.com/cert.pem" }), expect: "refused", refusal: "untrusted_key_url", unjudged: true },
    { name: "certificate from PayPal's site instead of its API", headers: signed({ "paypal-cert-url": "https://www.paypal.com/cert.pem" }), expect: "refused", refusal: "untrusted_key_url", unjudged: true },
    { name: "certificate from another path of the API", headers: signed({ "paypal-cert-url": "https://api.paypal.com/v1/other/CERT-1" }), expect: "refused", refusal: "untrusted_key_url", unjudged: true },
    { name: "certificate with a query", headers: signed({ "paypal-cert-url": "https://api.paypal.com/v1/notifications/certs/CERT-1?a=b" }), expect: "refused", refusal: "untrusted_key_url", unjudged: true },
    { name: "certificate of the sandbox", headers: signed({ "paypal-cert-url": "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1" }), expect: "genuine" },
    { name: "certificate not to be had", fetched: undefined, unjudged: true, expect: "refused", refusal: "key_unavailable" },
    { name: "no signature", headers: unsigned, unjudged: true, expect: "refused", refusal: "missing_signature" },
    { name: "malformed signature", headers: { ...signed(), "paypal-transmission-sig": "%" }, expect: "refused", refusal: "malformed_signature" },
    { name: "key given by the operator", fetched: undefined, public_keys: [createPublicKey(rsa).export({ format: "pem", type: "spki" })], unjudged: true, expect: "genuine" },
    { name: "another key", fetched: undefined, public_keys: [STRANGER], unjudged: true, expect: "refused", refusal: "signature_mismatch" },
    { name: "second key fits", fetched: undefined, public_keys: [STRANGER, createPublicKey(rsa).export({ format: "pem", type: "spki" })], unjudged: true, expect: "genuine", secret_index: 1 },
    { name: "re-serialised body", body: JSON.stringify(JSON.parse(body), null, 2), expect: "refused", refusal: "signature_mismatch" },
  ];
  const made = "signed with Node's crypto";
  return make({ slug: "paypal", made, base, vectors: await judged(vectors, base, { made, by: `${pythonVersion("paypalrestsdk")} with the certificate handed to it and a stand-in for the verify() that pyOpenSSL dropped`, judge }) });
}

function circle() {
  // Printed in Circle's quickstart on webhook notifications.
  const published = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAESl76SZPBJemW0mJNN4KTvYkLT8bOT4UGhFhzNk3fJqf6iuPlLQLq533FelXwczJbjg2U1PHTvQTK7qOQnDL2Tg==";
  const signature = "MEQCIBlJPX7t0FDOcozsRK6qIQwik5Fq6mhAtCSSgIB/yQO7AiB9U5lVpdufKvPhk3cz4TH2f5MP7ArnmPRBmhPztpsIFQ==";
  const body = '{"subscriptionId":"00000000-0000-0000-0000-000000000000","notificationId":"00000000-0000-0000-0000-000000000000","notificationType":"webhooks.test","notification":{"hello":"world"},"timestamp":"2024-01-26T18:22:19.779834211Z","version":2}';
  const headers = (over = {}) => ({ ...JSON_TYPE, "x-circle-key-id": "879dc113-5ca4-4ff7-a6b7-54652083fcf8", "x-circle-signature": signature, ...over });
  const { "x-circle-signature": left, ...unsigned } = headers();
  const answer = (key) => ({ keys: JSON.stringify({ data: { id: "879dc113-5ca4-4ff7-a6b7-54652083fcf8", algorithm: "ECDSA_SHA_256", publicKey: key, createDate: "2023-06-28T21:47:35.107250Z" } }) });
  const other = createPublicKey(EC).export({ format: "der", type: "spki" }).toString("base64");
  const base = { credentials: { api_key: "TEST_API_KEY:made:up" }, fetched: answer(published), body, headers: headers() };
  return make({
    slug: "circle", made: "from the example in Circle's documentation", base,
    vectors: [
      { name: "the documented example", origin: "printed in Circle's documentation (webhook notifications)", expect: "genuine", facts: { event_type: "webhooks.test", delivery_id: "00000000-0000-0000-0000-000000000000" } },
      { name: "key given by the operator", fetched: undefined, credentials: {}, public_keys: [published], origin: "printed in Circle's documentation (webhook notifications)", expect: "genuine", secret_index: 0 },
      { name: "second key fits", fetched: undefined, public_keys: [other, published], expect: "genuine", secret_index: 1 },
      { name: "our subscription", credentials: { api_key: "TEST_API_KEY:made:up", subscription_id: "00000000-0000-0000-0000-000000000000" }, expect: "genuine" },
      { name: "a notification of another customer's subscription", credentials: { api_key: "TEST_API_KEY:made:up", subscription_id: "7b1c2d3e-0000-4000-8000-000000000000" }, expect: "refused", refusal: "body_mismatch" },
      { name: "another key comes back", fetched: answer(other), expect: "refused", refusal: "signature_mismatch" },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "a line feed more", body: `${body}\n`, expect: "refused", refusal: "signature_mismatch" },
      { name: "no signature", headers: unsigned, expect: "refused", refusal: "missing_signature" },
      { name: "malformed signature", headers: headers({ "x-circle-signature": "%" }), expect: "refused", refusal: "malformed_signature" },
      { name: "key not to be had", fetched: undefined, expect: "refused", refusal: "key_unavailable" },
      { name: "HEAD", method: "HEAD", body: "", headers: {}, fetched: undefined, expect: "refused", refusal: "missing_signature", handshake: { status: 200, body: "" } },
    ],
  });
}

async function ebay() {
  const { validateSignature } = require("event-notification-nodejs-sdk/lib/validator.js");
  const client = require("event-notification-nodejs-sdk/lib/client.js");
  const { generateChallengeResponse } = require("event-notification-nodejs-sdk/lib/validator.js");
  const pem = createPublicKey(EC).export({ format: "pem", type: "spki" });
  const line = pem.replace(/\n/g, "");
  const other = "-----BEGIN PUBLIC KEY-----MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==-----END PUBLIC KEY-----";
  const answer = (key) => ({ keys: JSON.stringify({ key, algorithm: "ECDSA", digest: "SHA1" }) });
  const body = JSON.stringify({ metadata: { topic: "MARKETPLACE_ACCOUNT_DELETION", schemaVersion: "1.0" }, notification: { notificationId: "49feeaeb-4982-42d9-a377-9645b8479411", data: { username: "größe" } } });
  const header = (signature, over = {}) => Buffer.from(JSON.stringify({ alg: "ECDSA", kid: "9936261a-7d7b-4621-a0f1-964f5f2f1e8c", signature, digest: "SHA1", ...over })).toString("base64");
  // ECDSA signatures contain a random number: the written one is kept as long as the SDK accepts it.
  const kept = before("ebay", "valid")?.headers["x-ebay-signature"];
  client.getPublicKey = async () => JSON.parse(answer(line).keys);
  const usable = kept && (await validateSignature(JSON.parse(body), kept, {}).catch(() => false));
  const good = usable ? kept : header(signBytes("sha1", Buffer.from(body), EC).toString("base64"));
  const headers = (value) => ({ ...JSON_TYPE, "x-ebay-signature": value });
  const fields = JSON.parse(Buffer.from(good, "base64").toString());
  const odd = JSON.stringify(JSON.parse(body), null, 1);
  const keptOdd = before("ebay", "odd spacing, signed as it is")?.headers["x-ebay-signature"];
  const signedOdd = keptOdd ?? header(signBytes("sha1", Buffer.from(odd), EC).toString("base64"));
  const credentials = { verification_token: "made_up_token_0123456789_abcdefghijklmnop", endpoint: "https://hooks.example.com/in/src", client_id: "id", client_secret: "made up" };
  const response = generateChallengeResponse ? generateChallengeResponse("a8628072", { endpoint: credentials.endpoint, verificationToken: credentials.verification_token }) : undefined;
  const expected = response ?? sha256hex(`a8628072${credentials.verification_token}${credentials.endpoint}`);
  const base = { credentials, fetched: answer(line), body, headers: headers(good) };
  const judge = async (vector) => {
    client.getPublicKey = async () => JSON.parse(vector.fetched.keys);
    return Boolean(await validateSignature(JSON.parse(vector.body.toString()), vector.headers["x-ebay-signature"], {}));
  };
  const vectors = [
    { name: "valid", expect: "genuine", facts: { event_type: "MARKETPLACE_ACCOUNT_DELETION", delivery_id: "49feeaeb-4982-42d9-a377-9645b8479411" } },
    { name: "key as PEM with line breaks", fetched: answer(pem), expect: "genuine", sdk_differs: "it expects a key without line breaks" },
    { name: "odd spacing, signed as it is", body: odd, headers: headers(signedOdd), expect: "genuine", sdk_differs: "it prints the body anew" },
    { name: "tampered body", body: body.replace("größe", "grösse"), expect: "refused", refusal: "signature_mismatch" },
    { name: "another key comes back", fetched: answer(other), expect: "refused", refusal: "signature_mismatch" },
    { name: "another digest named", headers: headers(header(fields.signature, { digest: "SHA256" })), expect: "refused", refusal: "unsupported_body", sdk_differs: "it does not look at the digest's name" },
    { name: "no signature", headers: JSON_TYPE, unjudged: true, expect: "refused", refusal: "missing_signature" },
    { name: "not base64", headers: headers("%%%"), expect: "refused", refusal: "malformed_signature" },
    { name: "key not to be had", fetched: undefined, unjudged: true, expect: "refused", refusal: "key_unavailable" },
    { name: "key given by the operator", fetched: undefined, public_keys: [pem], unjudged: true, expect: "genuine" },
    { name: "second key fits", fetched: undefined, public_keys: [other, pem], unjudged: true, expect: "genuine", secret_index: 1 },
    { name: "challenge", method: "GET", url: "https://hooks.example.com/in/src?challenge_code=a8628072", body: "", headers: {}, fetched: undefined, unjudged: true, origin: `answered by ${version("event-notification-nodejs-sdk")}`, expect: "refused", refusal: "missing_signature", handshake: { status: 200, body: JSON.stringify({ challengeResponse: expected }) } },
    { name: "challenge with markup", method: "GET", url: "https://hooks.example.com/in/src?challenge_code=%3Cscript%3E", body: "", headers: {}, fetched: undefined, unjudged: true, expect: "refused", refusal: "missing_signature", handshake: null },
  ];
  const made = "signed with Node's crypto";
  return make({ slug: "ebay", made, base, vectors: await judged(vectors, base, { made, by: version("event-notification-nodejs-sdk"), judge }) });
}

function manus() {
  const url = "https://hooks.example.com/in/src?team=1";
  const body = JSON.stringify({ event_id: "evt_1", event_type: "task_stopped", task_detail: { message: "Grüße" } });
  const signed = (time = SENT, address = url, text = body) => ({
    ...JSON_TYPE, "x-webhook-timestamp": String(time), "x-webhook-signature": signBytes("sha256", Buffer.from(`${time}.${address}.${sha256hex(text)}`), rsa).toString("base64"),
  });
  const { "x-webhook-signature": signature, ...unsigned } = signed();
  const answer = (key) => ({ keys: JSON.stringify({ ok: true, public_key: key, algorithm: "RSA-SHA256" }) });
  const spki = createPublicKey(rsa).export({ format: "pem", type: "spki" });
  return make({
    slug: "manus", made: "signed with Node's crypto after https://open.manus.ai/docs/v2/webhooks-security", base: { credentials: { api_key: "made up" }, fetched: answer(spki), url, body, headers: signed() },
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "task_stopped", delivery_id: "evt_1" } },
      { name: "key given by the operator", fetched: undefined, credentials: {}, public_keys: [spki], expect: "genuine" },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "wrong URL", url: url.replace("team=1", "team=2"), expect: "refused", refusal: "signature_mismatch" },
      { name: "behind a proxy", url: "http://127.0.0.1:8080/in/src?team=1", public_url: "https://hooks.example.com/in/src", expect: "genuine" },
      { name: "time renewed", headers: { ...signed(), "x-webhook-timestamp": String(NOW) }, expect: "refused", refusal: "signature_mismatch" },
      { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale" },
      { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future" },
      { name: "no signature", headers: unsigned, expect: "refused", refusal: "missing_signature" },
      { name: "key not to be had", fetched: undefined, expect: "refused", refusal: "key_unavailable" },
    ],
  });
}

function falai() {
  const seed = Buffer.from("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "hex");
  const key = createPrivateKey({ key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]), format: "der", type: "pkcs8" });
  const jwk = createPublicKey(key).export({ format: "jwk" });
  const stranger = { kty: "OKP", crv: "Ed25519", x: "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw" };
  const body = JSON.stringify({ request_id: "123e4567", status: "OK", payload: { seed: 1 } });
  const signed = (over = {}) => {
    const all = { "x-fal-webhook-request-id": "123e4567", "x-fal-webhook-user-id": "user_1", "x-fal-webhook-timestamp": String(SENT), ...over };
    const message = `${all["x-fal-webhook-request-id"]}\n${all["x-fal-webhook-user-id"]}\n${all["x-fal-webhook-timestamp"]}\n${sha256hex(body)}`;
    return { ...JSON_TYPE, ...all, "x-fal-webhook-signature": signBytes(null, Buffer.from(message), key).toString("hex") };
  };
  const keys = (...list) => ({ keys: JSON.stringify({ keys: list }) });
  const { "x-fal-webhook-signature": signature, ...unsigned } = signed();
  return make({
    slug: "falai", made: "signed with Node's crypto after descriptions by others", base: { credentials: { user_id: "user_1" }, fetched: keys(stranger, { ...jwk, kid: "2" }), body, headers: signed() },
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "OK", delivery_id: "123e4567" } },
      { name: "another user's result", headers: signed({ "x-fal-webhook-user-id": "user_2" }), expect: "refused", refusal: "body_mismatch" },
      { name: "keys of somebody else", fetched: keys(stranger), expect: "refused", refusal: "signature_mismatch" },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "another request id", headers: { ...signed(), "x-fal-webhook-request-id": "x" }, expect: "refused", refusal: "signature_mismatch" },
      { name: "time renewed", headers: { ...signed(), "x-fal-webhook-timestamp": String(NOW) }, expect: "refused", refusal: "signature_mismatch" },
      { name: "stale", verify_at: SENT + 301, expect: "refused", refusal: "stale" },
      { name: "from the future", verify_at: SENT - 301, expect: "refused", refusal: "from_future" },
      { name: "no signature", headers: unsigned, expect: "refused", refusal: "missing_signature" },
      { name: "keys not to be had", fetched: undefined, expect: "refused", refusal: "key_unavailable" },
    ],
  });
}

function fireblocks() {
  const body = JSON.stringify({ id: "ad0f4a2e", eventType: "transaction.status.updated", workspaceId: "5c2e9d10", data: { note: "Grüße" } });
  const older = JSON.stringify({ type: "TRANSACTION_STATUS_UPDATED", tenantId: "5c2e9d10", timestamp: SENT * 1000, data: {} });
  const legacyOf = (text) => ({ fetched: undefined, body: text, public_keys: [spki], headers: headers({ "fireblocks-signature": signBytes("sha512", Buffer.from(text), rsa).toString("base64") }) });
  const protectedPart = (header) => Buffer.from(JSON.stringify(header)).toString("base64url");
  const jws = (text = body, header = { alg: "RS512", kid: "key-1" }) => {
    const first = protectedPart(header);
    return `${first}..${signBytes("sha512", Buffer.from(`${first}.${Buffer.from(text).toString("base64url")}`), rsa).toString("base64url")}`;
  };
  const jwk = { ...createPublicKey(rsa).export({ format: "jwk" }), kid: "key-1", alg: "RS512", use: "sig" };
  const legacy = signBytes("sha512", Buffer.from(body), rsa).toString("base64");
  const spki = createPublicKey(rsa).export({ format: "pem", type: "spki" });
  const fetched = { keys: JSON.stringify({ keys: [jwk] }) };
  const headers = (over) => ({ ...JSON_TYPE, ...over });
  const parts = jws().split("..");
  return make({
    slug: "fireblocks", made: "signed with Node's crypto after https://developers.fireblocks.com/reference/validating-webhooks", base: { fetched, body, headers: headers({ "fireblocks-webhook-signature": jws(), "fireblocks-signature": legacy }) },
    vectors: [
      { name: "valid", expect: "genuine", facts: { event_type: "transaction.status.updated", delivery_id: "ad0f4a2e" } },
      { name: "tampered body", body: tampered(Buffer.from(body)), expect: "refused", refusal: "signature_mismatch" },
      { name: "another protected header", headers: headers({ "fireblocks-webhook-signature": `${protectedPart({ alg: "RS512", kid: "key-1", typ: "JWT" })}..${parts[1]}` }), expect: "refused", refusal: "signature_mismatch" },
      { name: "algorithm none", headers: headers({ "fireblocks-webhook-signature": `${protectedPart({ alg: "none", kid: "key-1" })}..${parts[1]}` }), expect: "refused", refusal: "unsupported_signature" },
      { name: "an unknown key", headers: headers({ "fireblocks-webhook-signature": jws(body, { alg: "RS512", kid: "key-2" }) }), expect: "refused", refusal: "unknown_key" },
      { name: "our workspace", credentials: { workspace_id: "5c2e9d10" }, expect: "genuine" },
      { name: "an event of another customer's workspace", credentials: { workspace_id: "0aa1b2c3" }, expect: "refused", refusal: "body_mismatch" },
      { name: "version 1, our workspace", ...legacyOf(older), credentials: { workspace_id: "5c2e9d10" }, expect: "genuine" },
      { name: "version 1, another customer's workspace", ...legacyOf(older), credentials: { workspace_id: "0aa1b2c3" }, expect: "refused", refusal: "body_mismatch" },
      { name: "version 1 without a workspace", ...legacyOf("{}"), credentials: { workspace_id: "5c2e9d10" }, expect: "refused", refusal: "missing_part" },
      { name: "JWS wrong, legacy right", public_keys: [spki], headers: headers({ "fireblocks-webhook-signature": jws(`${body} `), "fireblocks-signature": legacy }), expect: "refused", refusal: "signature_mismatch" },
      { name: "legacy alone", fetched: undefined, public_keys: [spki], headers: headers({ "fireblocks-signature": legacy }), expect: "genuine" },
      { name: "legacy with the built-in keys only", fetched: undefined, headers: headers({ "fireblocks-signature": legacy }), expect: "refused", refusal: "signature_mismatch" },
      { name: "key given by the operator", fetched: undefined, public_keys: [spki], expect: "genuine" },
      { name: "no signature", headers: headers({}), expect: "refused", refusal: "missing_signature" },
      { name: "keys not to be had", fetched: undefined, expect: "refused", refusal: "key_unavailable" },
    ],
  });
}

// One after the other: clock, network and written files are global.
export default async () => {
  const made = [];
  for (const one of [sns, paypal, circle, ebay, manus, falai, fireblocks]) made.push(await one());
  return made;
};
