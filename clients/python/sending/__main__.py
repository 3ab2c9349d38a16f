"""Drives every operation of the API through the official SDK `svix`, against a running gateway.

BECKET_URL is its address, BECKET_ADMIN_TOKEN the operator's admin token, BECKET_OTHER_TOKEN an
admin token of another tenant; one is made if it is absent. The gateway has to allow endpoints made
through the API to reach 127.0.0.0/8 (`egress.allow_networks`). Prints a JSON line for each check
and, last, the table of operations; exits with 1 if a check failed or an operation was not driven.
"""

import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import httpx
from access import access, integrations
from applications import applications, event_types
from attempts import attempts, retried
from endpoints import endpoints
from harness import Harness
from ingest import ingest
from messages import lists, messages
from operational import operational, troubles
from receiver import Receiver
from replays import replays

GROUPS = [applications, event_types, endpoints, messages, lists, attempts, retried, replays, access,
          integrations, ingest, operational, troubles]


def another(url, token):
    """Makes another tenant, and answers its admin token."""
    answer = httpx.post(f"{url}/api/v1/becket/environment", json={"name": "another"},
                        headers={"authorization": f"Bearer {token}"})
    answer.raise_for_status()
    return answer.json()["adminToken"]["token"]


def main():
    url, token = os.environ.get("BECKET_URL"), os.environ.get("BECKET_ADMIN_TOKEN")
    if not url or not token:
        print("sending: set BECKET_URL and BECKET_ADMIN_TOKEN; `make test` does", file=sys.stderr)
        return 2
    other_token = os.environ.get("BECKET_OTHER_TOKEN") or another(url, token)
    # Checks send what the models would not let pass.
    warnings.filterwarnings("ignore", message="Pydantic serializer warnings")
    harness = Harness(url, token, other_token, Receiver())
    # A name on the command line runs that group alone; the table is then incomplete.
    only = sys.argv[1:]
    chosen = [group for group in GROUPS if not only or group.__name__ in only]
    with ThreadPoolExecutor(len(GROUPS)) as threads:
        list(threads.map(harness.group, chosen))
    return 0 if harness.finish() else 1


if __name__ == "__main__":
    sys.exit(main())
