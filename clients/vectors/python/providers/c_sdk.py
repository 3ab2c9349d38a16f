"""Judges for providers whose official SDK is a Python package: PayPal, SignWell, Alipay+ / Antom, Emailit, Mailgun."""

import base64
import contextlib
import io
import json
from urllib.parse import parse_qsl

from com.alipay.ams.api.tools.webhook_tool import check_signature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from emailit import WebhookSignature
from mailgun.security import SecurityGuard
from OpenSSL import crypto
from paypalrestsdk.notifications import WebhookEvent
from signwell_sdk.webhook import verify_event


def body(vector):
    return base64.b64decode(vector["body_base64"])


def stand_in_for_verify(certificate, signature, data, digest):
    """What pyOpenSSL's `verify` did, which PayPal's SDK calls and newer pyOpenSSL lacks."""
    if digest != "sha256":
        raise ValueError(digest)
    certificate.to_cryptography().public_key().verify(signature, data, padding.PKCS1v15(), hashes.SHA256())


def paypal(vector, _key):
    """The certificate is handed over instead of fetched, and its chain is not looked at: it is made up."""
    headers = vector["headers"]
    crypto.verify = stand_in_for_verify
    certificate = crypto.load_certificate(crypto.FILETYPE_PEM, vector["fetched"]["keys"].encode())
    WebhookEvent._get_cert = staticmethod(lambda _url: certificate)
    WebhookEvent._verify_certificate_chain = classmethod(lambda _cls, _certificate: True)
    if headers["paypal-auth-algo"] != "SHA256withRSA":
        return False
    # The SDK prints why it refuses, to where the answers go.
    with contextlib.redirect_stdout(io.StringIO()):
        return WebhookEvent.verify(
            headers["paypal-transmission-id"],
            headers["paypal-transmission-time"],
            vector["credentials"]["webhook_id"],
            body(vector).decode(),
            headers["paypal-cert-url"],
            headers["paypal-transmission-sig"],
            "sha256",
        )


def signwell(vector, key):
    return verify_event(event=json.loads(body(vector))["event"], webhook_id=key)


def alipay(vector, key):
    headers = vector["headers"]
    url = vector.get("public_url") or vector["url"]
    path = "/" + url.split("/", 3)[3].split("?")[0]
    return check_signature(
        vector["method"], path, headers["client-id"], headers["request-time"], body(vector).decode(), headers["signature"], key
    )


def emailit(vector, key):
    headers = vector["headers"]
    WebhookSignature.verify(body(vector).decode(), headers["x-emailit-signature"], headers["x-emailit-timestamp"], key)
    return True


def mailgun(vector, key):
    text = body(vector).decode()
    if text.startswith("{"):
        given = json.loads(text)["signature"]
    else:
        given = dict(parse_qsl(text))
    return SecurityGuard.verify_webhook(key, given["token"], given["timestamp"], given["signature"])


JUDGES = {"paypal": paypal, "signwell": signwell, "alipay": alipay, "emailit": emailit, "mailgun": mailgun}
