// Verifying a delivery without any library, in several languages: the same steps in each, so that a
// reader who knows one can check another.

export interface Snippet {
  name: string;
  code: string;
}

const NODE = `import { createHmac, timingSafeEqual } from "node:crypto";

const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");

// \`body\` are the bytes as they came; \`headers\` as node:http gives them.
export function verify(headers, body) {
  const id = headers["webhook-id"];
  const time = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - Number(time)) <= 300)) return false;
  const wanted = createHmac("sha256", key).update(\`\${id}.\${time}.\`).update(body).digest();
  return String(headers["webhook-signature"]).split(" ").some((part) => {
    const [version, signature = ""] = part.split(",");
    const given = Buffer.from(signature, "base64");
    return version === "v1" && given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}
`;

const PYTHON = `import base64, hashlib, hmac, os, time

KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))


# body: the bytes as they came; headers: any mapping, such as Flask's request.headers.
def verify(headers, body: bytes) -> bool:
    sent_at = headers.get("webhook-timestamp", "")
    if not sent_at.isdigit() or abs(time.time() - int(sent_at)) > 300:
        return False
    signed = f"{headers.get('webhook-id', '')}.{sent_at}.".encode() + body
    wanted = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(one.encode(), f"v1,{wanted}".encode()) for one in given)
`;

const GO = `package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Verify says whether a request is genuine; body are the bytes as they came.
func Verify(header http.Header, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_"))
	sentAt := header.Get("webhook-timestamp")
	seconds, wrong := strconv.ParseInt(sentAt, 10, 64)
	if err != nil || wrong != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(header.Get("webhook-id") + "." + sentAt + "."))
	mac.Write(body)
	wanted := mac.Sum(nil)
	for _, part := range strings.Fields(header.Get("webhook-signature")) {
		given, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(part, "v1,"))
		if err == nil && strings.HasPrefix(part, "v1,") && hmac.Equal(given, wanted) {
			return true
		}
	}
	return false
}
`;

const PHP = `<?php

// $body: file_get_contents('php://input'); $headers: names in lower case.
function verify(array $headers, string $body): bool
{
    $key = base64_decode(preg_replace('/^whsec_/', '', getenv('WEBHOOK_SECRET')));
    $time = $headers['webhook-timestamp'] ?? '';
    if (!ctype_digit($time) || abs(time() - (int) $time) > 300) {
        return false;
    }
    $signed = ($headers['webhook-id'] ?? '') . '.' . $time . '.' . $body;
    $wanted = 'v1,' . base64_encode(hash_hmac('sha256', $signed, $key, true));
    foreach (explode(' ', $headers['webhook-signature'] ?? '') as $given) {
        if (hash_equals($wanted, $given)) {
            return true;
        }
    }
    return false;
}
`;

const RUBY = `require "base64"
require "openssl"

KEY = Base64.decode64(ENV.fetch("WEBHOOK_SECRET").delete_prefix("whsec_"))

# body: request.raw_post in Rails, request.body.read in Rack; headers: names in lower case.
def verify(headers, body)
  time = headers["webhook-timestamp"].to_s
  return false unless time.match?(/\\A\\d+\\z/) && (Time.now.to_i - time.to_i).abs <= 300

  signed = "#{headers["webhook-id"]}.#{time}.#{body}"
  wanted = "v1,#{Base64.strict_encode64(OpenSSL::HMAC.digest("SHA256", KEY, signed))}"
  headers["webhook-signature"].to_s.split(" ").any? { |given| OpenSSL.secure_compare(given, wanted) }
end
`;

const JAVA = `import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

final class Webhooks {
    private static final byte[] KEY =
        Base64.getDecoder().decode(System.getenv("WEBHOOK_SECRET").replaceFirst("^whsec_", ""));

    /** The three headers, and the body's bytes as they came. */
    static boolean verify(String id, String time, String signatures, byte[] body) throws Exception {
        if (id == null || signatures == null || time == null || !time.matches("\\\\d{1,15}")) return false;
        if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(time)) > 300) return false;
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(KEY, "HmacSHA256"));
        mac.update((id + "." + time + ".").getBytes(StandardCharsets.UTF_8));
        byte[] wanted = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
        for (String given : signatures.split(" ")) {
            if (MessageDigest.isEqual(wanted, given.getBytes(StandardCharsets.UTF_8))) return true;
        }
        return false;
    }
}
`;

export const SNIPPETS: readonly Snippet[] = [
  { name: "Node.js", code: NODE },
  { name: "Python", code: PYTHON },
  { name: "Go", code: GO },
  { name: "PHP", code: PHP },
  { name: "Ruby", code: RUBY },
  { name: "Java", code: JAVA },
];
