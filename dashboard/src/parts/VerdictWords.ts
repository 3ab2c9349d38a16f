// The closed sets of reasons and causes in words, and which setting each one points at.

/** Where a refusal can be repaired. */
export type Repair = "secret" | "parameters" | "provider" | "url" | "age" | "sender" | "proxy" | "rules" | "later";

const REASONS: Record<string, string> = {
  missing_signature: "Not signed",
  malformed_signature: "Signature cannot be decoded",
  unsupported_signature: "Signature of an unknown version",
  signature_mismatch: "Signature does not fit",
  stale: "Too old",
  from_future: "Time lies ahead",
  missing_timestamp: "Time is missing",
  malformed_timestamp: "Time cannot be read",
  missing_credential: "No secret is set here",
  missing_part: "A signed part is missing",
  body_mismatch: "Body is not the one that was signed",
  repeated_header: "A header came twice",
  unsupported_body: "Kind of body that is never signed",
  key_unavailable: "Provider's key could not be fetched",
  unknown_key: "Provider does not know the key",
  untrusted_key_url: "Key is not the provider's",
  claim_mismatch: "Token is for something else",
  not_json: "Body is not JSON",
  required: "A required field is missing",
  schema: "Body breaks the schema",
  json_too_deep: "JSON is nested too deeply",
  too_large: "Body is too large",
};

/** Every reason, for choosing one. */
export const reasons = Object.entries(REASONS).map(([value, label]) => ({ value, label }));

/** A reason in words. */
export const reasonWord = (code: string): string => REASONS[code] ?? code;

/** Whether the request was genuine and broke a rule of the source. */
export const brokeRule = (code: string): boolean =>
  ["not_json", "required", "schema", "json_too_deep", "too_large"].includes(code);

const CAUSES: Record<string, [string, Repair]> = {
  missing_header: ["The signature is not there", "sender"],
  wrong_header: ["The signature is in another place", "provider"],
  wrong_secret: ["The secret does not fit", "secret"],
  stale: ["The request is too old", "age"],
  future: ["The clocks disagree", "age"],
  body_changed: ["Something changed the body on its way", "proxy"],
  wrong_url: ["The provider signed another URL", "url"],
  wrong_encoding: ["The signature is written differently", "provider"],
  wrong_algorithm: ["Another hash function was used", "sender"],
  secret_prefix: ["The secret's prefix is too much or too little", "secret"],
  secret_whitespace: ["The secret has spaces around it", "secret"],
  missing_credential: ["No secret is set here yet", "secret"],
  missing_part: ["A part that is signed did not arrive", "proxy"],
  bad_timestamp: ["The time cannot be read", "provider"],
  repeated_header: ["A header came twice", "proxy"],
  unsupported_body: ["The provider does not sign this kind of request", "sender"],
  unsupported_version: ["The signature is of another version", "sender"],
  other_source: ["This belongs to another source", "secret"],
  former_secret: ["It is signed with the secret from before", "secret"],
  test_or_live: ["Test mode has a secret of its own", "secret"],
  other_provider: ["Another provider signs like this", "provider"],
  dropped_header: ["The signature's header was dropped, or no secret is set at the sender", "sender"],
  timestamp_unit: ["The time is in another unit", "provider"],
  compressed: ["The body was packed or unpacked on its way", "proxy"],
  key_unavailable: ["The provider's key could not be had", "later"],
  wrong_key: ["The key is not the provider's", "secret"],
};

/** A cause as a headline. */
export const causeWord = (cause: string | null, code: string): string =>
  (cause && CAUSES[cause]?.[0]) || reasonWord(code);

// Entries that are told by the source how its sender signs.
const GENERAL = new Set(["hmac", "token", "basic"]);

/** Where to repair it; `provider` is the slug of the source's provider. */
export function repairOf(cause: string | null, code: string, provider?: string | null): Repair {
  if (brokeRule(code)) return "rules";
  const repair = (cause && CAUSES[cause]?.[1]) || (code === "missing_credential" || code === "signature_mismatch" ? "secret" : "sender");
  return (repair === "sender" || repair === "provider") && GENERAL.has(provider ?? "") ? "parameters" : repair;
}

/** Whether the source's own credentials and settings are what to change. */
export const repairedHere = (repair: Repair): boolean => repair === "secret" || repair === "parameters";

/** Which setting to change, and where. */
export const REPAIRS: Record<Repair, string> = {
  secret: "Repair it here: paste the secret of this very webhook as the provider shows it. What was refused can then be verified again.",
  parameters: "Repair it here: “How this sender signs” says in which header the signature stands and how it is written. Compare it with the headers that came.",
  provider: "Repair it here: this source may have been made for the wrong provider. Make one for the provider that really sends, and delete this one.",
  url: "Repair it at the provider: register exactly the receiving URL shown here, or let the operator set public_url to what is registered.",
  age: "Check the clock of this machine (date -u) first. If late requests are meant to pass, allow more under Rules, Age.",
  sender: "Repair it at the provider: its webhook settings decide whether and how it signs.",
  proxy: "Repair it in front of the gateway: whatever stands there has to pass headers and body on unchanged.",
  rules: "The request is genuine; a rule of the source refused it. Change the rule under Rules, or let the sender send what it wants.",
  later: "Nothing to repair: the sender was asked to come again. Verify it again when the provider's keys can be reached.",
};

/** The same where this page cannot change it. */
export const ELSEWHERE = {
  file: "Repair it in the operator's file, which owns this source; the gateway applies it without a restart. Then verify this request again.",
  others: "Somebody who may change this source can repair it, and then verify this request again.",
};

const STEPS: Record<string, string> = {
  scheme: "Which signature decides",
  signature: "Does a key fit the signature",
  timestamp: "Is it of this moment",
};

/** A step of verification as a question. */
export const stepWord = (name: string): string => STEPS[name] ?? name.replaceAll("_", " ");
