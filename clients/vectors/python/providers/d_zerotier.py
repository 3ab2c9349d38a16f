"""ZeroTier's own package for its hooks."""

import base64
import contextlib
import io
from datetime import timedelta

from ztchooks.hook import verify_hook_signature


def zerotier(vector, key):
    body = base64.b64decode(vector["body_base64"])
    header = vector["headers"]["x-ztc-signature"]
    # The package prints why it refuses, and standard output is ours.
    with contextlib.redirect_stdout(io.StringIO()):
        return verify_hook_signature(bytes.fromhex(key), header, body, timedelta(seconds=300))


JUDGES = {"zerotier": zerotier}
