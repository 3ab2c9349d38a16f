"""Standard Webhooks in Python: the reference library signs, and verifies what the gateway delivers.

What it needs to know comes as JSON in the environment variable SUITE (see
crates/becket/tests/sdk_clients.rs, which writes it). Prints one JSON line with the counts; exits
with 1 if any check failed.
"""

import http.client
import json
import os
import sys
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

COUNT = 60


class Report:
    """Counts checks; a failed one is printed at once."""

    def __init__(self):
        self.checks = {}
        self.failed = 0

    def check(self, name, holds, detail=""):
        count = self.checks.setdefault(name, {"passed": 0, "failed": 0})
        count["passed" if holds else "failed"] += 1
        if not holds:
            self.failed += 1
            print(f"python: {name}: FAILED {detail}", file=sys.stderr)

    def finish(self):
        print(json.dumps({"suite": "python", "failed": self.failed, "checks": self.checks}))
        return self.failed == 0


class Receiver:
    """Keeps every request and answers 200."""

    def __init__(self, port):
        self.requests = []
        kept = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                kept.append((headers, body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Says nothing: standard error is for failed checks."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count, timeout_s=60):
        until = time.monotonic() + timeout_s
        while len(self.requests) < count and time.monotonic() < until:
            time.sleep(0.02)
        return list(self.requests)


def sign(secret, body, message_id=None, at=None):
    """The headers that the reference library's signature needs."""
    message_id = message_id or f"msg_{uuid.uuid4().hex}"
    at = at or datetime.now(timezone.utc)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, body),
    }


def event_id(headers, body):
    """The id in the answer to an accepted request."""
    return headers.get("becket-event-id") or json.loads(body)["id"]


def main():
    settings = json.loads(os.environ["SUITE"])
    own = settings["python"]
    report = Report()
    receiver = Receiver(own["receiverPort"])
    connection = http.client.HTTPConnection("127.0.0.1", settings["port"], timeout=30)

    def send(headers, body):
        connection.request("POST", own["path"], body=body.encode(), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    sent = {}
    for number in range(COUNT):
        body = json.dumps({"type": "order.paid", "number": number, "text": "Grüße"},
                          ensure_ascii=number % 2 == 0)
        status, headers, text = send(sign(own["secret"], body), body)
        report.check("genuine requests are accepted", 200 <= status < 300, f"{status} {text}")
        sent[event_id(headers, text)] = body.encode()

    body = json.dumps({"type": "order.paid", "number": COUNT})
    ago = datetime.now(timezone.utc) - timedelta(hours=1)
    for name, headers, sent_body in [
        ("a tampered body is refused", sign(own["secret"], body), body + " "),
        ("a stale timestamp is refused", sign(own["secret"], body, at=ago), body),
        ("a wrong secret is refused", sign(own["otherSecret"], body), body),
    ]:
        status, _, text = send(headers, sent_body)
        report.check(name, status == 401, f"{status} {text}")

    webhook = Webhook(own["delivery"]["secret"])
    deliveries = receiver.wait(len(sent))
    report.check("every accepted request was delivered", len(deliveries) == len(sent),
                 f"{len(deliveries)} of {len(sent)}")
    for headers, received in deliveries:
        expected = sent.get(headers.get("webhook-id"))
        report.check("delivered byte for byte", expected == received, headers.get("webhook-id"))
        try:
            webhook.verify(received, headers, json_parse=False)
            report.check("standardwebhooks verifies the delivery", True)
        except WebhookVerificationError as error:
            report.check("standardwebhooks verifies the delivery", False, str(error))
    return 0 if report.finish() else 1


if __name__ == "__main__":
    sys.exit(main())
