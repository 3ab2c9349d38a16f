//! What receivers need to know: what to answer, and how to tell a genuine webhook. The numbers of
//! the worked example are checked in the tests.

use super::documents::HEADERS;
use super::markdown::escape;

/// A secret, a message and its signature, to try an implementation with.
pub(super) const SECRET: &str = "whsec_YW4gZXhhbXBsZSwgbm90IGEgcmVhbCBzZWNyZXQ=";
pub(super) const BODY: &str = r#"{"type":"invoice.paid","amount":4200}"#;

const PYTHON: &str = r#"import base64, hashlib, hmac, time

def is_genuine(secret, headers, body):
    """headers: names in lower case; body: the bytes exactly as received"""
    timestamp = headers["webhook-timestamp"]
    if abs(time.time() - int(timestamp)) > 300:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f'{headers["webhook-id"]}.{timestamp}.'.encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    candidates = [one.split(",", 1) for one in headers["webhook-signature"].split()]
    return any(
        one[0] == "v1" and hmac.compare_digest(one[-1].encode(), expected)
        for one in candidates
    )
"#;

const JAVASCRIPT: &str = r#"import { createHmac, timingSafeEqual } from "node:crypto";

// headers: names in lower case; body: a Buffer, exactly as received
export function isGenuine(secret, headers, body) {
  const timestamp = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300)) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key)
    .update(`${headers["webhook-id"]}.${timestamp}.`)
    .update(body)
    .digest();
  return headers["webhook-signature"].split(" ").some((one) => {
    const [version, text = ""] = one.split(",");
    const given = Buffer.from(text, "base64");
    return version === "v1" && given.length === expected.length
      && timingSafeEqual(given, expected);
  });
}
"#;

/// The sections on receiving and verifying.
pub(super) fn sections() -> String {
    let rows: String = HEADERS
        .iter()
        .map(|(name, example, words)| {
            format!(
                "<tr><th scope=\"row\"><code>{name}</code></th><td><code>{}</code></td>\
                 <td>{}</td></tr>\n",
                escape(example),
                escape(words)
            )
        })
        .collect();
    let [(_, id, _), (_, timestamp, _), (_, signature, _)] = HEADERS;
    format!(
        r#"<section id="receiving" aria-labelledby="receiving-title">
<h2 id="receiving-title">Receive webhooks</h2>
<p>Each event is sent to your URL as an HTTP <code>POST</code> request with a JSON body and these headers:</p>
<table class="fields">
<thead><tr><th scope="col">Header</th><th scope="col">Example</th><th scope="col">Meaning</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
<ul>
<li>Answer with a status from 200 to 299 as soon as you have stored the message, and do the work afterwards. Any other answer, or none within a few seconds, counts as a failure, and delivery is tried again with growing pauses.</li>
<li>The same message can arrive more than once. Keep the <code>webhook-id</code> of what you have handled, and ignore repeats.</li>
<li>Messages can arrive in another order than the events happened.</li>
<li>New fields may be added to a payload. Ignore those that you do not know.</li>
</ul>
</section>
<section id="verifying" aria-labelledby="verifying-title">
<h2 id="verifying-title">Verify signatures</h2>
<p>Your URL can be called by anybody. Check the signature before you trust a message. The signatures follow <a href="https://www.standardwebhooks.com/" rel="noopener noreferrer">Standard Webhooks</a>, which has libraries for many languages. Without one:</p>
<ol>
<li>Take the body as bytes, exactly as received, before any JSON parser touches it.</li>
<li>Join <code>webhook-id</code>, <code>webhook-timestamp</code> and the body with full stops: <code>id.timestamp.body</code></li>
<li>Decode your endpoint’s secret, without the prefix <code>whsec_</code>, from base64, and compute the HMAC with SHA-256 of the joined text with it.</li>
<li>Encode the result as base64 and compare it, in constant time, with each entry of <code>webhook-signature</code> that begins with <code>v1,</code>. One has to be equal.</li>
<li>Refuse a <code>webhook-timestamp</code> that is more than five minutes off, so that nobody can send you an old message again.</li>
</ol>
<details>
<summary>Python</summary>
<pre tabindex="0"><code>{python}</code></pre>
</details>
<details>
<summary>JavaScript (Node.js)</summary>
<pre tabindex="0"><code>{javascript}</code></pre>
</details>
<details>
<summary>Numbers to test with</summary>
<dl class="facts">
<dt>Secret</dt><dd><code>{secret}</code></dd>
<dt><code>webhook-id</code></dt><dd><code>{id}</code></dd>
<dt><code>webhook-timestamp</code></dt><dd><code>{timestamp}</code></dd>
<dt>Body</dt><dd><code>{body}</code></dd>
<dt><code>webhook-signature</code></dt><dd><code>{signature}</code></dd>
</dl>
<p>Leave out the check of the time for this one: the message is old.</p>
</details>
</section>
"#,
        python = escape(PYTHON),
        javascript = escape(JAVASCRIPT),
        secret = SECRET,
        body = escape(BODY),
    )
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use ring::hmac;

    use super::*;

    #[test]
    fn the_worked_example_is_right() {
        let [(_, id, _), (_, timestamp, _), (_, signature, _)] = HEADERS;
        let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let tag = hmac::sign(&key, format!("{id}.{timestamp}.{BODY}").as_bytes());
        assert_eq!(signature, format!("v1,{}", STANDARD.encode(tag)));
    }
}
