"""Drives every operation of the API through the official SDK `svix`, against a running gateway.

BECKET_URL is its address, BECKET_ADMIN_TOKEN an admin token, BECKET_OTHER_TOKEN the admin token of
another tenant. The gateway has to allow endpoints made through the API to reach 127.0.0.0/8
(`egress.allow_networks`). Prints a JSON line for each check and, last, the table of operations;
exits with 1 if a check failed or an operation was not driven.
"""

import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

from access import access, integrations
from applications import applications, event_types
from attempts import attempts, retried
from endpoints import endpoints
from harness import Harness
from ingest import ingest
from messages import lists, messages
from operational import operational
from receiver import Receiver
from replays import replays

GROUPS = [applications, event_types, endpoints, messages, lists, attempts, retried, replays, access,
          integrations, ingest, operational]


def main():
    names = ["BECKET_URL", "BECKET_ADMIN_TOKEN", "BECKET_OTHER_TOKEN"]
    settings = [os.environ.get(name) for name in names]
    if not all(settings):
        print(f"sending: set {', '.join(names)}; `make test` does", file=sys.stderr)
        return 2
    # Checks send what the models would not let pass.
    warnings.filterwarnings("ignore", message="Pydantic serializer warnings")
    harness = Harness(*settings, Receiver())
    # A name on the command line runs that group alone; the table is then incomplete.
    only = sys.argv[1:]
    chosen = [group for group in GROUPS if not only or group.__name__ in only]
    with ThreadPoolExecutor(len(GROUPS)) as threads:
        list(threads.map(harness.group, chosen))
    return 0 if harness.finish() else 1


if __name__ == "__main__":
    sys.exit(main())
