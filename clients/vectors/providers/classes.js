// The rest of the format, with entries of its own: what no built-in provider uses yet.
import { createHash, createHmac, createPrivateKey, createPublicKey, constants, sign as signBytes } from "node:crypto";
import { before, make } from "../lib.js";

const body = JSON.stringify({ type: "a", sent: "2026-01-01T00:00:00Z" });
const head = 'slug = "own"\nname = "Own"\n';

// Made with `openssl genrsa 2048` for these vectors.
const RSA = `-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCjsRbfggiTukg+
qw0FR9u6s3R5b8Kdjlb7ee535E1vgWFTruemm454xNjJc2KkpxnPi/tWVYSNdHRk
AdsbzbY7I8gIPAOYl2Th02r30YOjejCTpKjNZeVSmOXfr1gc+O4XrirIlyeDgO+d
RcZqryeVaeELH6DdguGFrfcTTMiJ2bgBwsF+SnUcW0ww1frnAOocPExrfBR6l6u8
MJOZcnHTX2utLM9cS7wHEY+5SDPiwR2wvE8K88xWMLg/blMnEzCBhU6gmtqRmvnP
/r+HdiQ71Fj4DMP8PdXTDomrSPsRX6skw9oU4jW32wHDNoFSITvvoyicJvPUhVV3
mpcuzavbAgMBAAECggEAHmocFuFhWJmHLOW5YJ7Oa+1GGf4zCfVVohowveQUo0BF
5jecYS+MFFJ2+U9QJ8nImPCofY0cOPBHZAGYRZ0+W9S1KRqFjIesvez7dhpevDRK
7FPu7WMebe9s3tgEpjV2f73jwyuasut1GiLJ0C7FSxTGNLvmtuHHp4AAZXyh0kLu
WvT6+g/AErncU9LJpxt81vlLHqXvzKJU0v2XnVIE5j3HQMUW62g/+F8poRGdl//b
rrlOqTE1vyEI0OwjCP1+8ktdd19DWyhULGUYlBLEr2FKJsSKOnY5t1/r1MzPCVyy
EIAUFK9jcL/NXD0Wl9MIFeOAIZ5afPC6N0kVGhRzqQKBgQDjILu7cYaDqrNtGoVu
PFa+6cgkQaoA6fxDcXqqH7HG3WwR2T9tYBPvEJP+Sn8E24PrsXCJbh2wJH/beDAx
YUXxQDENRQtW3Bl+ROfRLWX1J0y3PUuVRT6Rb4qN5BnHs1kt+bXl8d9bDvd28kuW
AI6MP0kJBQXQuKOWPF61sJUn/QKBgQC4f/+FDOW0IVPMYhR538Q3t5y1cNX/lK7N
XWQ5WD/Pzxs+G5E5MI/xcjWgZX0LbEnLfyjYH6VLou04ppg3p7ozjLY/6Z7N2WDI
1J+KZ10XjVRzNDD78ZRRc9u1i5dPqTXIQlMAtrCGRQCYFLVK3wEUypOkfyx8ybKL
6dNdvKtOtwKBgE29xoRCN2iZ5RBTI5i3znlKS9cdIrNtY4syLGpOrusCnxr84Vju
qeQKKJ3Bofhnqp/h/EMODdtcoubcHKLKSMZq0l9YYqk4bQFrVG2kvGFNMlUGBfjx
2pitNR+cE7bnDH9QGZK7V1gzp0Bvbq/JQQGAJ9+OeI8Yo+WohEJsTqGBAoGASp9i
ruK/iXKtXQ4ScBTEXTDDjlNcCqqNZPywC82YyalfwGgP/cyZe7OQ4xYJVHRxCICe
+YMbLRNx1Sb0jBYn5q+0CvenxmR0k+YDvUv/SAZesNXcNhrIvYUZyTzzb0HmQeAp
iDFcBoKkMd62UNkPq+QfgTn6uWIu+A4T8mbb9tMCgYEA0m2Xmv3QuPr5uoU5ZBaS
bIXTYMvUh0NI6/L2HUjEEitSonVuqIW5Fbhsl83IXq5hv3pQ0aGyi/pMwkP4uzN2
qUxsjh5y9U5gnW9E/2dAwMaeR5OJR/FLDB6ccYYrmjLWntmDXv1IhDSzp9T236Zd
6tvKKvVZMKfmFPyo40cFgoo=
-----END PRIVATE KEY-----
`;
const EC = { kty: "EC", crv: "P-256", d: "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI", x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" };

/** Signatures with a random number in them are kept once written; the Rust test judges them either way. */
function kept(name, fresh) {
  return before("classes", name)?.headers["x-sig"] ?? fresh();
}

export default async () => {
  const rsa = createPrivateKey(RSA);
  const ec = createPrivateKey({ format: "jwk", key: EC });
  const spki = (key) => createPublicKey(key).export({ format: "pem", type: "spki" });
  const entry = (scheme) => `${head}[[scheme]]\n${scheme}\n`;
  const base64 = 'signature = { at = "header:x-sig", encoding = "base64" }';
  const pkcs1 = entry(`class = "rsa-pkcs1"\ndigest = "sha256"\n${base64}`);
  const pss = entry(`class = "rsa-pss"\ndigest = "sha256"\n${base64}`);
  const raw = entry('class = "ecdsa-p256"\nsignature = { at = "header:x-sig", encoding = "base64url", form = "raw" }');
  const hash = entry('class = "hash"\ndigest = "sha256"\nmessage = "{secret}{body}"\nsignature = { at = "header:x-sig" }');
  const both = `${head}[[scheme]]\nname = "strong"\nclass = "hmac"\ndigest = "sha256"\nsignature = { at = "header:x-sig-256" }\n[[scheme]]\nname = "weak"\nclass = "hmac"\ndigest = "sha1"\nsignature = { at = "header:x-sig" }\n`;
  const rotating = entry('class = "hmac"\ndigest = "sha256"\nsignature = { at = ["header:x-sig-primary", "header:x-sig-secondary"] }');
  const form = entry('class = "hmac"\ndigest = "sha256"\nmessage = "{form:a}|{form:b}"\nsignature = { at = "form:sig" }');
  const capture = `${head}[[scheme]]\nclass = "hmac"\ndigest = "sha256"\nsignature = { at = "header:x-hook-signature" }\n[[handshake]]\nname = "secret"\nverify_first = false\nwhen = [{ at = "header:x-hook-secret", charset = "token" }]\nrespond = { status = 200, headers = { x-hook-secret = "{header:x-hook-secret}" } }\ncapture = { name = "secret", from = "header:x-hook-secret" }\n`;
  const crc = `${head}[[scheme]]\nclass = "hmac"\ndigest = "sha256"\nwhen = [{ at = "body", starts_with = ["{", "["] }]\nsignature = { at = "header:x-sig", prefix = "sha256=", encoding = "base64" }\n[[handshake]]\nname = "crc"\nverify_first = false\nwhen = [{ at = "query:crc_token", charset = "token" }]\nrespond = { content_type = "application/json", body = '{{"response_token":"sha256={hmac_b64(query:crc_token)}"}}' }\n`;
  const hmac = (algorithm, text) => createHmac(algorithm, "s3cret").update(text).digest("hex");
  const wrong = "0".repeat(64);
  return [
    make({
      slug: "classes", made: "made with Node's crypto", base: { body, secrets: ["s3cret"] },
      vectors: [
        { name: "rsa-pkcs1", entry: pkcs1, public_keys: [spki(rsa)], headers: { "x-sig": signBytes("sha256", Buffer.from(body), rsa).toString("base64") }, expect: "genuine" },
        { name: "rsa-pkcs1 with the key as JWK", entry: pkcs1, public_keys: [JSON.stringify(createPublicKey(rsa).export({ format: "jwk" }))], headers: { "x-sig": signBytes("sha256", Buffer.from(body), rsa).toString("base64") }, expect: "genuine" },
        { name: "rsa-pkcs1 with a PKCS#1 key", entry: pkcs1, public_keys: [createPublicKey(rsa).export({ format: "pem", type: "pkcs1" })], headers: { "x-sig": signBytes("sha256", Buffer.from(body), rsa).toString("base64") }, expect: "genuine" },
        { name: "rsa-pkcs1 over another body", entry: pkcs1, public_keys: [spki(rsa)], headers: { "x-sig": signBytes("sha256", Buffer.from(`${body} `), rsa).toString("base64") }, expect: "refused", refusal: "signature_mismatch" },
        { name: "rsa-pss", entry: pss, public_keys: [spki(rsa)], headers: { "x-sig": kept("rsa-pss", () => signBytes("sha256", Buffer.from(body), { key: rsa, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }).toString("base64")) }, expect: "genuine" },
        { name: "rsa-pss with a PKCS#1 signature", entry: pss, public_keys: [spki(rsa)], headers: { "x-sig": signBytes("sha256", Buffer.from(body), rsa).toString("base64") }, expect: "refused", refusal: "signature_mismatch" },
        { name: "ecdsa raw", entry: raw, public_keys: [spki(ec)], headers: { "x-sig": kept("ecdsa raw", () => signBytes("sha256", Buffer.from(body), { key: ec, dsaEncoding: "ieee-p1363" }).toString("base64url")) }, expect: "genuine" },
        { name: "ecdsa raw over another body", entry: raw, body: `${body} `, public_keys: [spki(ec)], headers: { "x-sig": kept("ecdsa raw", () => "AAAA") }, expect: "refused", refusal: "signature_mismatch" },
        { name: "hash with the secret inside", entry: hash, headers: { "x-sig": createHash("sha256").update(`s3cret${body}`).digest("hex") }, expect: "genuine" },
        { name: "hash with another secret", entry: hash, secrets: ["other"], headers: { "x-sig": createHash("sha256").update(`s3cret${body}`).digest("hex") }, expect: "refused", refusal: "signature_mismatch" },
        { name: "strong and weak present", entry: both, headers: { "x-sig-256": hmac("sha256", body), "x-sig": hmac("sha1", body) }, expect: "genuine" },
        { name: "weak alone", entry: both, headers: { "x-sig": hmac("sha1", body) }, expect: "genuine" },
        { name: "strong wrong, weak right", entry: both, headers: { "x-sig-256": wrong, "x-sig": hmac("sha1", body) }, expect: "refused", refusal: "signature_mismatch" },
        { name: "strong unreadable, weak right", entry: both, headers: { "x-sig-256": "rubbish", "x-sig": hmac("sha1", body) }, expect: "refused", refusal: "malformed_signature" },
        { name: "second place fits", entry: rotating, headers: { "x-sig-primary": wrong, "x-sig-secondary": hmac("sha256", body) }, expect: "genuine" },
        { name: "no place fits", entry: rotating, headers: { "x-sig-primary": wrong, "x-sig-secondary": wrong }, expect: "refused", refusal: "signature_mismatch" },
        { name: "form fields", entry: form, body: `a=1+2&b=%C3%BC&sig=${hmac("sha256", "1 2|ü")}`, headers: { "content-type": "application/x-www-form-urlencoded" }, expect: "genuine" },
        { name: "form field missing", entry: form, body: `a=1+2&sig=${hmac("sha256", "1 2|ü")}`, headers: { "content-type": "application/x-www-form-urlencoded" }, expect: "refused", refusal: "missing_part" },
        { name: "captured secret", entry: capture, secrets: [], headers: { "x-hook-secret": "b537207f20cbfa02357cf448134da559" }, body: "", expect: "refused", refusal: "missing_signature", handshake: { status: 200, body: "", captured: "b537207f20cbfa02357cf448134da559" } },
        { name: "challenge answered with a keyed hash", entry: crc, method: "GET", url: "https://hooks.example.com/in/src?crc_token=abc123", headers: {}, body: "", expect: "refused", refusal: "missing_signature", handshake: { status: 200, body: JSON.stringify({ response_token: `sha256=${createHmac("sha256", "s3cret").update("abc123").digest("base64")}` }) } },
        { name: "challenge that would sign a body", entry: crc, method: "GET", url: "https://hooks.example.com/in/src?crc_token=%7B%22a%22%3A1%7D", headers: {}, body: "", expect: "refused", refusal: "missing_signature", handshake: null },
      ],
    }),
  ];
};
