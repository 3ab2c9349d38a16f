"""Castle's own library judges its webhooks: a request is whatever has `headers` and `data`."""

import base64
from types import SimpleNamespace

from castle.configuration import configuration
from castle.webhooks.verify import WebhooksVerify


class Headers(dict):
    """Names of headers without regard to case, as web frameworks offer them."""

    def get(self, name, default=None):
        return super().get(name.lower(), default)


def castle(vector, key):
    configuration.api_secret = key
    webhook = SimpleNamespace(headers=Headers(vector["headers"]), data=base64.b64decode(vector["body_base64"]))
    WebhooksVerify.call(webhook)
    return True


JUDGES = {"castle": castle}
