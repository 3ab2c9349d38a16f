// Schemes with public keys that the operator pastes or that are built in: Alipay+ / Antom with its SDK, the others
// after documents and descriptions.
import { constants, createHash, createPrivateKey, createPublicKey, createSign, createVerify, sign as signBytes, verify as verifyBytes } from "node:crypto";
import { before, pythonJudge, pythonVersion, SENT } from "../lib.js";
import { suite } from "../suite.js";

// Made for these vectors with Python's cryptography.
const RSA = createPrivateKey(`-----BEGIN PRIVATE KEY-----
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
-----END PRIVATE KEY-----`);
const OTHER = createPrivateKey(`-----BEGIN PRIVATE KEY-----
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDaZBR+iDKqkv5B
Ib27z47jj+CxhcVa0CYtwQAGkdQj2+ngqXuD6BvrsyEu5FCIAG+ZM9aAEQ0QlYIn
tinLCoufvkPJpzON9NY0ZBs7685+rJasPp1rSc7j31MfSV6DzefArhDOwYEDxzmy
DR29FLSbAGbqodz4QX5pTMZr6R51gOp601F4m8UhsXP27+Yr7SQrW2eD4KfDEtKg
pt3f8sJBOxoCjDoAsOSzKUOZ10spqeDF9CyZx+HeAcBSgtq4UKxYBZjJ6iwXflo9
NWgvYUo3D/MvlPAD3bWoF1V9vis/4U4i2h8L1Y5XEoWNcTfzW2ucOUStPVvcNkrr
zM8FkpbrAgMBAAECggEAVlxVLmQ1hPZzzNXG7cn6O0reE9VOYccGEfnMRMzOExAX
wFvFGDhlMiO3748huWZSu0aggCw9+lzlB0cl58DXzeezbr7LyEsVmcosatmo4rbl
Ll/kaFTbl4jsmeatlXmLN8qdouUqW5Ag5KQDKo5RjSnviMFRXGqpzoIpxOp+vP/u
RtHA/4pWOynJC7Kqd4KRoRq6fKgJlVjKyyTnt9xRjy1JnpYY7Q2RPHl0n/6NhP5P
RiQBq6+Gbf5EAMxI1VgPyX1JYLQVBx3n783OOwEO8Kuz8dP0+oF/rk8jdfbyAL4W
c45+333s66f1dmrXnytWD5sBFF4McdYpqs9qNlsmgQKBgQD9RjKauWnyqiWh2mtQ
d9X3Xq9sMOEMp2F7vCs4qEsw7R70w4tBB5I8T+yWBj2tQIXF6fTZcD5zcedzn/6g
JWAPrc79x+Ci/zKL+hIzBSEDBmxViFdu3Bb+KS/JhiQDpMbOqYxHmOd0J2Fnfelr
U5eM66z/dWv2U5D7bD9l4SMy8QKBgQDcvcZKtSAkhOayaGyAG7iSRS5B+m0w2JPS
huvAv/i2PO15QBzpnHp2L9gv/gPFd4uBgf7aQfuuD8F0z8C0utakKCr15/HZv1M0
L+C6Wlg0DInO6PM7tT7F4U073WvYvhIrN6oygU3+l1LovDIyElxqI47AvVap2gPo
ZrBAHHCvmwKBgQC49qv8LM4/5pxHAFEA2hNLbT2lQGkKKa7ag0f5P4Zx+6lwzOGE
ozfbje7UfUhLn2RSbhJfPUaOXq/N1BlK8SCfMqqI0ZCu2LocWYsy8Vrzb5xsNn7L
ujWcdY2tmaXxd0OtJ0sH+pWFUUEkKGLv+4Mg6fhUM3ed09d8lcgS6gEfsQKBgQCS
hDRV6htHoh8uVDmQXtYH4Htvt7U6MscLehqJeeKvs4k8bd3DAeYXBHLOiCAgtdSX
RZ3PaPSQ+ExEKJGUZF+L3k2Fo0rYaTHk9dKIXuckxR3DhMPN4eOknIMTNUkcOCz/
GpeRploKno6dhC0dJyrIGInsTMB1RQxK+b4LD9WL+QKBgHwRU8RiLTDFnX5Coxvc
/Ob9IE9lUdrExjVp57eGgycEa7UnCCNCh3KYeLST9OnX9uQlbNSuay2oF3j+1Tv6
mr25NPx637lPBz8/oK2nUB0wNjzYkSgRMcLKTz1E8RIy+sZA54U+X0Q9yMtvY8Pe
mn6whvBPvzCZoqIw0Pfr0prq
-----END PRIVATE KEY-----`);
const JSON_TYPE = { "content-type": "application/json" };
const pem = (key) => createPublicKey(key).export({ format: "pem", type: "spki" });
const der = (key) => createPublicKey(key).export({ format: "der", type: "spki" }).toString("base64");
const asPem = (...given) => ({ public_keys: given.map(pem) });
const others = "signed with Node's crypto after descriptions by others";
const ed = (seed) => createPrivateKey({ key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.from(seed, "hex")]), format: "der", type: "pkcs8" });
const FIRST = ed("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
const SECOND = ed("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7");
const raw = (key) => createPublicKey(key).export({ format: "der", type: "spki" }).subarray(12);
const asRaw = (...given) => ({ public_keys: given.map((key) => raw(key).toString("base64url")) });

function alipay() {
  const body = JSON.stringify({ notifyType: "PAYMENT_RESULT", result: { resultStatus: "S" }, paymentId: "2026010119", note: "größe" });
  const fixed = { ...JSON_TYPE, "client-id": "SANDBOX_5Y3A2N2YEB3002022", "request-time": "2026-01-01T00:00:00Z" };
  const sign = (key, text, path = "/in/src", all = fixed) => signBytes("sha256", Buffer.from(`POST ${path}\n${all["client-id"]}.${all["request-time"]}.${text}`), key).toString("base64");
  const header = (value) => `algorithm=RSA256,keyVersion=1,signature=${encodeURIComponent(value)}`;
  const request = ({ key, body: text }) => ({ url: "https://hooks.example.com/in/src?x=1", headers: { ...fixed, signature: header(sign(key, text)) } });
  const good = request({ key: RSA, body }).headers;
  return suite({
    slug: "alipay", judged: pythonVersion("global-open-sdk-python"), judge: pythonJudge("alipay"), key: RSA, other: OTHER, keys: (...given) => ({ public_keys: given.map(der) }), body, request, signature: "signature",
    malformed: "algorithm=RSA256,keyVersion=1,signature=%25",
    facts: { event_type: "PAYMENT_RESULT", delivery_id: "PAYMENT_RESULT:2026010119" },
    extra: [
      { name: "wrong path", url: "https://hooks.example.com/in/other?x=1", expect: "refused", refusal: "signature_mismatch" },
      { name: "another client", headers: { ...good, "client-id": "x" }, expect: "refused", refusal: "signature_mismatch" },
      { name: "time renewed", headers: { ...good, "request-time": "2026-01-01T00:00:02Z" }, expect: "refused", refusal: "signature_mismatch" },
      { name: "signature not escaped", headers: { ...good, signature: `algorithm=RSA256,keyVersion=1,signature=${sign(RSA, body)}` }, expect: "genuine", unjudged: true, origin: "signed with Node's crypto; the base64 is not escaped" },
      { name: "re-serialised body", body: JSON.stringify(JSON.parse(body), null, 2), expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

function kiwify() {
  const body = JSON.stringify({ id: "550e8400", type: "CASHIN.DEPOSITS.RECEIVED", data: { transaction_id: "7d2f", note: "ação" } });
  const request = ({ key, body: text, time }) => ({ headers: { ...JSON_TYPE, "x-kiwify-timestamp": String(time * 1000), "x-kiwify-digital-signature": signBytes(null, Buffer.from(`/in/src:POST:${text}:${time * 1000}`), key).toString("base64url") } });
  return suite({
    slug: "kiwify", made: "signed with Node's crypto after https://docs.kiwify.com.br/en/api-reference/banking/webhook-headers", key: FIRST, other: SECOND, keys: asRaw, body, request, signature: "x-kiwify-digital-signature",
    facts: { event_type: "CASHIN.DEPOSITS.RECEIVED", delivery_id: "7d2f:CASHIN.DEPOSITS.RECEIVED" },
    time: { max_age: 300, max_future: 300, renew: (headers, time) => ({ ...headers, "x-kiwify-timestamp": String(time * 1000) }) },
    extra: [
      { name: "wrong path", url: "https://hooks.example.com/in/other", expect: "refused", refusal: "signature_mismatch" },
      { name: "a query is not signed", url: "https://hooks.example.com/in/src?a=1", expect: "genuine" },
      { name: "behind a proxy", url: "http://127.0.0.1:8080/in/src", public_url: "https://hooks.example.com/in/src", expect: "genuine" },
    ],
  });
}

function tokenio() {
  const body = JSON.stringify({ payment: { id: "pm2:1", status: "INITIATION_COMPLETED" } });
  const fixed = { ...JSON_TYPE, "token-event": "PAYMENT_STATUS_CHANGED" };
  const request = ({ key, body: text }) => ({ headers: { ...fixed, "token-signature": signBytes(null, Buffer.from(text), key).toString("base64url") } });
  return suite({ slug: "tokenio", made: others, key: FIRST, other: SECOND, keys: asRaw, body, request, signature: "token-signature", facts: { event_type: "PAYMENT_STATUS_CHANGED" } });
}

function integratedFinance() {
  const body = JSON.stringify({ type: "TRANSACTION_STATUS_CHANGED", data: { note: "größe" } });
  const iso = (time) => new Date(time * 1000).toISOString();
  const digest = (text) => createHash("sha512").update(text).digest("base64");
  const fixed = (time, text) => ({ ...JSON_TYPE, "x-webhook-content-digest": digest(text), "x-webhook-event-id": "1c8e2d34", "x-webhook-event-timestamp": "2025-12-31T23:59:59Z", "x-webhook-request-id": "r-1", "x-webhook-request-timestamp": iso(time), "x-webhook-key-version": "1" });
  const request = ({ key, body: text, time }) => ({ headers: { ...fixed(time, text), "x-webhook-signature": signBytes(null, Buffer.from(`${digest(text)}|1c8e2d34|2025-12-31T23:59:59Z|r-1|${iso(time)}|1`), key).toString("base64") } });
  const good = request({ key: FIRST, body, time: SENT }).headers;
  return suite({
    slug: "integrated_finance", made: "signed with Node's crypto after https://developer.integrated.finance/docs/webhook-authentication", key: FIRST, other: SECOND, keys: asRaw, body, request, signature: "x-webhook-signature",
    facts: { event_type: "TRANSACTION_STATUS_CHANGED", delivery_id: "1c8e2d34" },
    time: { max_age: 300, max_future: 300, renew: (headers, time) => ({ ...headers, "x-webhook-request-timestamp": iso(time) }) },
    extra: [{ name: "another event id", headers: { ...good, "x-webhook-event-id": "x" }, expect: "refused", refusal: "signature_mismatch" }],
  });
}

function utila() {
  const body = JSON.stringify({ id: "evt_1", vault: "vaults/a1b2c3", type: "TRANSACTION_STATE_UPDATED" });
  const padded = (key) => ({ key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
  // PSS signatures contain a random number: a written one is kept as long as it fits.
  const signed = (name, key, text) => {
    const kept = before("utila", name)?.headers["x-utila-signature"];
    if (kept && verifyBytes("sha512", Buffer.from(text), padded(createPublicKey(key)), Buffer.from(kept, "base64"))) return kept;
    return signBytes("sha512", Buffer.from(text), padded(key)).toString("base64");
  };
  const request = ({ key, body: text }) => ({ headers: { ...JSON_TYPE, "x-utila-signature": signed(key === RSA ? "valid" : "signed with another secret", key, text) } });
  return suite({
    slug: "utila", made: others, key: RSA, other: OTHER, keys: asPem, body, request, signature: "x-utila-signature", facts: { event_type: "TRANSACTION_STATE_UPDATED", delivery_id: "evt_1" },
    extra: [
      { name: "our vault", credentials: { vault: "vaults/a1b2c3" }, expect: "genuine" },
      { name: "an event of another customer's vault", credentials: { vault: "vaults/d4e5f6" }, expect: "refused", refusal: "body_mismatch" },
      { name: "PKCS#1 instead of PSS", headers: { ...JSON_TYPE, "x-utila-signature": signBytes("sha512", Buffer.from(body), RSA).toString("base64") }, expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

function plain(slug, header, after, given, facts, customer = []) {
  const body = JSON.stringify(given);
  const request = ({ key, body: text }) => ({ headers: { ...JSON_TYPE, ...(slug === "wise" ? { "x-delivery-id": "7f5dc3bb" } : {}), [header]: signBytes("sha256", Buffer.from(text), key).toString("base64") } });
  return suite({
    slug, made: `signed with Node's crypto after ${after}`, key: RSA, other: OTHER, keys: asPem, body, request, signature: header, facts,
    extra: [
      ...customer,
      { name: "re-serialised body", body: JSON.stringify(given, null, 2), expect: "refused", refusal: "signature_mismatch" },
      { name: "SHA-1 instead of SHA-256", headers: { ...JSON_TYPE, [header]: createSign("RSA-SHA1").update(body).sign(RSA, "base64") }, expect: "refused", refusal: "signature_mismatch" },
    ],
  });
}

function paddleClassic() {
  const serialize = (fields) => {
    const names = Object.keys(fields).filter((name) => name !== "p_signature").sort();
    const text = (value) => `s:${Buffer.byteLength(value)}:"${value}";`;
    return `a:${names.length}:{${names.map((name) => text(name) + text(fields[name])).join("")}}`;
  };
  const fields = { alert_id: "1234567", alert_name: "payment_succeeded", currency: "EUR", customer_name: "Änne O'Hara", email: "anne@example.com", order_id: "7", sale_gross: "10.00", passthrough: "" };
  const form = (key, over = {}) => new URLSearchParams({ p_signature: createSign("RSA-SHA1").update(serialize(fields)).sign(key, "base64"), ...fields, ...over }).toString();
  const type = { "content-type": "application/x-www-form-urlencoded" };
  const request = ({ key }) => ({ body: form(key), headers: type });
  const unsigned = new URLSearchParams(form(RSA));
  unsigned.delete("p_signature");
  // The check itself, written the other way round, so that a slip in one does not pass.
  if (!createVerify("RSA-SHA1").update(serialize(fields)).verify(pem(RSA), new URLSearchParams(form(RSA)).get("p_signature"), "base64")) throw new Error("paddleclassic: the signature does not fit");
  return suite({
    slug: "paddleclassic", made: others, key: RSA, other: OTHER, keys: asPem, body: form(RSA), request, signs_body: false, facts: { event_type: "payment_succeeded", delivery_id: "1234567" },
    extra: [
      { name: "another amount", body: form(RSA, { sale_gross: "1.00" }), expect: "refused", refusal: "signature_mismatch" },
      { name: "a field more", body: `${form(RSA)}&extra=1`, expect: "refused", refusal: "signature_mismatch" },
      { name: "fields in another order", body: form(RSA).split("&").reverse().join("&"), expect: "genuine" },
      { name: "no signature", body: unsigned.toString(), expect: "refused", refusal: "missing_signature" },
      { name: "malformed signature", body: form(RSA, { p_signature: "%" }), expect: "refused", refusal: "malformed_signature" },
    ],
  });
}

export default async () => [
  alipay(), kiwify(), tokenio(), integratedFinance(), utila(),
  plain("wise", "x-signature-sha256", "https://docs.wise.com/guides/developer/webhooks/event-handling", { event_type: "transfers#state-change", subscription_id: "01234567", data: { note: "größe" } }, { event_type: "transfers#state-change", delivery_id: "7f5dc3bb" }, [
    { name: "our subscription", credentials: { subscription_id: "01234567" }, expect: "genuine" },
    { name: "an event of another customer's subscription", credentials: { subscription_id: "89abcdef" }, expect: "refused", refusal: "body_mismatch" },
  ]),
  plain("freshchat", "x-freshchat-signature", "descriptions by others", { action: "message_create", data: { message: { id: "7a45", text: "größe" } } }, { event_type: "message_create", delivery_id: "message_create:7a45" }),
  paddleClassic(),
];
