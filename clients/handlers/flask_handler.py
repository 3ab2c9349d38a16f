"""A handler behind Becket, with Flask: every request is proven to come from the gateway before it is believed.

Start it with the endpoint's secret and a port: ENDPOINT_SECRET=whsec_... PORT=3000 python flask_handler.py
"""

import os

from flask import Flask, jsonify, request
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["ENDPOINT_SECRET"])
seen = set()
app = Flask(__name__)


@app.post("/webhooks")
def receive():
    # The raw bytes are what is signed: a parsed and printed body has other bytes.
    body = request.get_data()
    try:
        webhook.verify(body, {name.lower(): value for name, value in request.headers.items()})
    except WebhookVerificationError as error:
        return jsonify(error=str(error)), 401
    # The id stays the same when a delivery is tried again: work that was done is not done twice.
    event_id = request.headers["webhook-id"]
    repeated = event_id in seen
    seen.add(event_id)
    return jsonify(id=event_id, repeated=repeated), 200 if repeated else 202


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "3000")))
