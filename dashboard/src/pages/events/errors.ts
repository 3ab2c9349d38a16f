// What the codes of failed attempts mean, and what to do about them.
const MEANINGS: Record<string, [string, string]> = {
  url_refused: ["The gateway does not send to this URL.", "Correct the endpoint's URL."],
  address_refused: ["The name leads to an address that this endpoint may not reach.", "Use a public address, or let the operator allow the network."],
  loop_detected: ["The event came back to a gateway that it had passed.", "Look for an endpoint that points at a receiving URL of this gateway."],
  request_invalid: ["The request cannot be written in HTTP.", "Look at the endpoint's own headers and its transformation."],
  dns_not_found: ["The host name does not exist.", "Check the endpoint's URL for a typing mistake, and its DNS record."],
  dns_failed: ["The name servers could not answer.", "Check the domain's name servers; the gateway tries again."],
  dns_timeout: ["The name servers did not answer in time.", "Check the domain's name servers; the gateway tries again."],
  connect_refused: ["Nothing listens there.", "Start the receiver, and check host and port of the URL."],
  connect_timeout: ["The server did not accept a connection in time.", "Look for a firewall between the gateway and the receiver."],
  connect_failed: ["The server cannot be reached.", "Check the network between the gateway and the receiver."],
  tls_expired: ["The server's certificate has expired.", "Renew the certificate."],
  tls_not_yet_valid: ["The server's certificate is not valid yet.", "Check the clocks of both sides."],
  tls_wrong_host: ["The server's certificate belongs to another name.", "Use the name that the certificate is for, or get one for this name."],
  tls_unknown_issuer: ["Nobody who is trusted has signed the server's certificate.", "Send the whole chain, or use a certificate of a public authority."],
  tls_revoked: ["The server's certificate has been revoked.", "Get a new certificate."],
  tls_certificate_invalid: ["The server's certificate is wrong.", "Look at it with openssl s_client -connect HOST:443."],
  tls_client_certificate_required: ["The server asks for a client certificate.", "The gateway proves itself by signatures; switch this off at the receiver."],
  tls_unsupported: ["There is no common TLS version or cipher.", "The receiver has to speak TLS 1.2 or 1.3."],
  tls_handshake_failed: ["The TLS handshake failed.", "Check that the port speaks TLS."],
  tls_timeout: ["The TLS handshake did not finish in time.", "Check that the port speaks TLS, and how busy the receiver is."],
  timeout: ["No complete answer came in time.", "Answer first and work afterwards, or give the endpoint a longer timeout."],
  closed_early: ["The connection ended before an answer.", "Look into the receiver's log for a crash."],
  malformed_response: ["What came back is not HTTP.", "Check that the URL leads to an HTTP server."],
  header_too_large: ["The answer's headers are larger than the gateway reads.", "Send fewer or shorter headers."],
  body_read_failed: ["The answer began and broke off.", "Look into the receiver's log."],
  payload_expunged: ["The payload was removed, so nothing was sent.", "It cannot be delivered any more."],
  program_not_started: ["The program could not be started.", "Check path and rights of the program in the configuration."],
  program_failed: ["The program ended with a failure.", "Its output is below."],
  program_timeout: ["The program took too long and was stopped.", "Give it more time, or less to do."],
  database_unreachable: ["The database could not be reached.", "Check its address and whether it runs."],
  database_refused: ["The database refused the row.", "What it said is below."],
  row_invalid: ["The event does not fit the mapping to columns.", "Change the mapping, or filter such events."],
  mail_failed: ["The mail server could not be reached, or asked to come back later.", "Check the mail server."],
  mail_refused: ["The mail server refused for good.", "What it said is below."],
  queue_unreachable: ["The broker could not be reached.", "Check its address and whether it runs."],
  queue_refused: ["The broker did not take the message.", "What it said is below."],
  transform_failed: ["The endpoint's transformation failed.", "Its messages are below; correct the code, then replay."],
  transform_timeout: ["The endpoint's transformation took too long.", "Make the code do less, then replay."],
  listener_gone: ["The becket listen that had the delivery went away.", "Start it again; the gateway tries again."],
};

export interface Meaning {
  what: string;
  todo: string;
}

/** What a failed attempt means. */
export function meaningOf(errorCode: string | null, status: number | null): Meaning {
  const [what, todo] = MEANINGS[errorCode ?? ""] ?? [];
  if (what && todo) return { what, todo };
  if (errorCode) return { what: `It failed: ${errorCode}.`, todo: "See the details below." };
  if (status === null) return { what: "There was no answer.", todo: "See the details below." };
  if (status === 410) return { what: "The receiver said 410 Gone: it does not want deliveries any more.", todo: "The endpoint was disabled; enable it if that was a mistake." };
  if (status === 401 || status === 403) return { what: `The receiver refused with ${status}.`, todo: "Check that it verifies with this endpoint's secret and the raw body." };
  if (status === 404) return { what: "The receiver knows no such path.", todo: "Check the path of the endpoint's URL." };
  if (status === 413) return { what: "The payload is too large for the receiver.", todo: "Raise its body limit." };
  if (status === 429) return { what: "The receiver asks to slow down.", todo: "Give the endpoint a rate limit." };
  if (status >= 300 && status < 400) return { what: `The receiver redirects (${status}), and redirects are never followed.`, todo: "Put the final URL into the endpoint." };
  if (status >= 500) return { what: `The receiver failed with ${status}.`, todo: "Look into its log; the gateway tries again." };
  return { what: `The receiver answered ${status}.`, todo: "Only 2xx counts as delivered." };
}

export const REFUSALS: Record<string, string> = {
  missing_signature: "there was no signature", signature_mismatch: "the signature does not fit", stale: "it was signed too long ago",
  from_future: "it was signed in the future", malformed_signature: "the signature cannot be read", missing_credential: "no secret is configured",
};
