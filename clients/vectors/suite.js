// The vectors that every scheme should have, from a description of how one request is signed.
import { make, SENT, NOW, tampered } from "./lib.js";

/**
 * `request({ key, body, time })` answers with what differs from a plain POST: `headers`, perhaps `url` and `body`.
 * `signature` is the name of the header that carries the signature, when a header does; `malformed` a text that
 * cannot be decoded there (null leaves that vector out). `time` describes a signed time of sending:
 * `{ max_age, max_future, renew(headers, time) }`, with null for a side that is not checked; `renew` writes
 * another time without signing again. `keys(key)` says how a key is given (`{ secrets: [key] }` if absent);
 * `other` is a second key. `extra` holds further vectors; `signs_body: false` says that the body is not signed.
 */
export function suite({
  slug, made = "signed with Node's crypto", judged, judge, key, other = "another-secret", keys = (...given) => ({ secrets: given }), body, facts,
  request, signature, signs_body = true, malformed = "%", time, mismatch = "signature_mismatch", extra = [], rotation = true, base = {},
}) {
  const signed = (options = {}) => request({ key, body, time: SENT, ...options });
  const good = signed();
  const without = (headers) => Object.fromEntries(Object.entries(headers).filter(([name]) => name !== signature));
  const vectors = [{ name: "valid", expect: "genuine", secret_index: 0, facts }];
  if (signs_body) vectors.push({ name: "tampered body", body: tampered(Buffer.from(good.body ?? body)), expect: "refused", refusal: mismatch });
  vectors.push({ name: "wrong secret", ...keys(other), expect: "refused", refusal: mismatch });
  vectors.push({ name: "signed with another secret", ...signed({ key: other }), expect: "refused", refusal: mismatch });
  if (rotation) vectors.push({ name: "second secret fits", ...keys(other, key), expect: "genuine", secret_index: 1 });
  if (signature) {
    vectors.push({ name: "no signature", headers: without(good.headers), expect: "refused", refusal: "missing_signature" });
    if (malformed !== null) {
      vectors.push({ name: "malformed signature", headers: { ...good.headers, [signature]: malformed }, expect: "refused", refusal: "malformed_signature" });
    }
  }
  if (time) {
    const { max_age, max_future, renew } = time;
    if (max_age != null) {
      vectors.push({ name: "at the edge of the tolerance", verify_at: SENT + max_age, expect: "genuine" });
      vectors.push({ name: "stale", verify_at: SENT + max_age + 1, expect: "refused", refusal: "stale" });
    }
    if (max_future != null) vectors.push({ name: "from the future", verify_at: SENT - max_future - 1, expect: "refused", refusal: "from_future" });
    if (renew) vectors.push({ name: "time renewed", headers: renew(good.headers, NOW), expect: "refused", refusal: mismatch });
  }
  const prepared = { body, ...keys(key), ...base, ...good };
  return make({ slug, made, judged, judge, base: prepared, vectors: [...vectors, ...extra] });
}
