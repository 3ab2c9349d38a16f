"""The customers' side: receives deliveries on loopback, keeps them, and answers as it is told."""

import base64
import json
import os
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import until
from svix.webhooks import Webhook, WebhookVerificationError


class Delivery:
    """A request as it came."""

    def __init__(self, method, headers, body):
        self.method, self.headers, self.body, self.at = method, headers, body, time.monotonic()
        self.id = headers.get("webhook-id")


class Receiver:
    """Keeps every request under the name in its path."""

    def __init__(self):
        kept, answers, lock = defaultdict(list), {}, threading.Lock()
        self._kept, self._answers = kept, answers

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                name = self.path[1:]
                with lock:
                    kept[name].append(Delivery(self.command, headers, body))
                    number = len(kept[name])
                status, text = answers.get(name, lambda _: (200, "received"))(number)
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                """Says nothing: standard error is for what breaks."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, name):
        """Where deliveries of a name go."""
        return f"http://127.0.0.1:{self.server.server_address[1]}/{name}"

    def on(self, name, answer):
        """Answers requests of a name with the status and text that `answer` makes of their number."""
        self._answers[name] = answer

    def requests(self, name):
        """Everything that has come under a name."""
        return list(self._kept[name])

    def wait(self, name, count, seconds=15):
        """Waits for so many requests, and answers all there are."""
        until(f"{count} deliveries at {name}", lambda: len(self._kept[name]) >= count, seconds)
        return self.requests(name)

    def delivery(self, name, message_id, seconds=15):
        """Waits for the delivery of a message."""
        return until(f"{message_id} at {name}", lambda: next(
            (kept for kept in self.requests(name) if kept.id == message_id), None), seconds)

    def find(self, name, fits, seconds=20):
        """Waits for a delivery whose JSON body fits."""
        return until(f"a fitting delivery at {name}", lambda: next(
            (kept for kept in self.requests(name) if fits(json.loads(kept.body))), None), seconds)


def genuine(secret, delivery):
    """Whether the SDK takes the delivery for genuine."""
    try:
        Webhook(secret).verify(delivery.body, delivery.headers)
    except WebhookVerificationError:
        return False
    return True


def verified(secret, delivery):
    """Fails unless the delivery is genuine, and not when its body is changed; answers its JSON."""
    assert genuine(secret, delivery), f"the signature does not verify: {delivery.headers}"
    changed = Delivery(delivery.method, delivery.headers, delivery.body + b" ")
    assert not genuine(secret, changed), "a changed body verifies"
    return json.loads(delivery.body)


def fresh_secret():
    """A fresh symmetric secret."""
    return f"whsec_{base64.b64encode(os.urandom(32)).decode()}"
