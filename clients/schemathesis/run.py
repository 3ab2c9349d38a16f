"""Fuzzes a running gateway with requests made from its own OpenAPI document, by schemathesis.

BECKET_URL is its address, BECKET_ADMIN_TOKEN an admin token; the gateway should be one that may be
filled with rubbish. Some resources are made first and named in the paths, so that most requests get
past the question whether the thing exists. EXAMPLES is how many requests each operation may get in
the random phase (25), SEED makes a run repeatable (1). Exits as schemathesis does: 0 if every answer
was one that the document allows.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

# Left out, with the reason.
EXCLUDED = {
    "becket.tail": "a stream: it answers when something happens, or never",
    "becket.listener.stream": "a stream: it ends when the listener goes",
    "becket.backup": "writes folders of any name on the gateway's host",
    "becket.reload": "reads the configuration file again, which stops receiving for a moment",
    "becket.keys.rotate": "exchanges the master key, which tests of its own do",
}
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]
# `ignored_auth` is not among them: its wrong tokens meet the brake on guessing, which then answers
# 429 to everybody at this address. The suites of the SDKs and the tests of tenants look at tokens.

NAME = "fuzzed"


def call(url, token, method, path, body=None):
    """Sends JSON and answers the JSON, or None if it is refused or empty."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data, method=method, headers={
        "authorization": f"Bearer {token}", "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        print(f"schemathesis: {method} {path} answered {error.code}: {error.read()[:300]}", file=sys.stderr)
        return None
    return json.loads(text) if text else None


def resources(url, token):
    """Makes one of each, and answers what to put into paths."""
    def make(method, path, body):
        return call(url, token, method, path, body) or {}

    nowhere = "http://127.0.0.1:9/nobody"
    make("PUT", f"/api/v1/app/{NAME}", {"name": NAME, "uid": NAME})
    make("PUT", f"/api/v1/app/{NAME}/endpoint/{NAME}", {"url": nowhere, "uid": NAME})
    make("PUT", f"/api/v1/event-type/{NAME}.made", {"description": NAME})
    message = make("POST", f"/api/v1/app/{NAME}/msg", {"eventType": f"{NAME}.made", "payload": {"a": 1}})
    integration = make("POST", f"/api/v1/app/{NAME}/integration", {"name": NAME})
    task = make("PUT", "/api/v1/stats/usage/event-types", None)
    source = {"type": "generic-webhook", "name": NAME, "uid": NAME, "config": {}}
    make("PUT", f"/ingest/api/v1/source/{NAME}", source)
    endpoint = {"url": nowhere, "uid": NAME}
    make("PUT", f"/ingest/api/v1/source/{NAME}/endpoint/{NAME}", endpoint)
    make("PUT", f"/api/v1/operational-webhook/endpoint/{NAME}", endpoint)
    return {
        "app_id": NAME,
        "endpoint_id": NAME,
        "source_id": NAME,
        "event_type_name": f"{NAME}.made",
        "msg_id": message.get("id"),
        "event_id": message.get("id"),
        "integ_id": integration.get("id"),
        "task_id": task.get("id"),
    }


def configuration(document, known):
    """Names what was made in every path, except in those that would delete it."""
    lines = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = operation.get("operationId") if isinstance(operation, dict) else None
            if not name or name in EXCLUDED or method == "delete":
                continue
            values = {key: value for key, value in known.items() if f"{{{key}}}" in path and value}
            if values:
                lines += ["[[operations]]", f"include-operation-id = {json.dumps(name)}",
                          "[operations.parameters]"]
                lines += [f'"path.{key}" = {json.dumps(value)}' for key, value in values.items()]
    return "\n".join(lines) + "\n"


def main():
    url, token = os.environ.get("BECKET_URL"), os.environ.get("BECKET_ADMIN_TOKEN")
    if not url or not token:
        print("schemathesis: set BECKET_URL and BECKET_ADMIN_TOKEN", file=sys.stderr)
        return 2
    document = call(url, token, "GET", "/api/v1/openapi.json")
    if document is None:
        return 2
    names = {operation.get("operationId") for path in document["paths"].values()
             for operation in path.values() if isinstance(operation, dict)}
    if absent := EXCLUDED.keys() - names:
        print(f"schemathesis: there is nothing called {', '.join(absent)} to leave out", file=sys.stderr)
        return 2
    for name, reason in EXCLUDED.items():
        print(f"schemathesis: without {name}: {reason}")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "schemathesis.toml")
        config.write_text(configuration(document, resources(url, token)))
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config),
            "run", f"{url}/api/v1/openapi.json",
            "--header", f"Authorization: Bearer {token}",
            "--checks", ",".join(CHECKS),
            "--phases", "examples,coverage,fuzzing",
            "--max-examples", os.environ.get("EXAMPLES", "25"),
            "--seed", os.environ.get("SEED", "1"),
            "--workers", "1",
            "--request-timeout", "10",
            "--continue-on-failure",
            "--no-shrink",
            "--suppress-health-check", "all",
            "--warnings", "off",
        ]
        for name in EXCLUDED:
            command += ["--exclude-operation-id", name]
        # In the folder that goes away, for it keeps what it has found where it is run.
        return subprocess.run([*command, *sys.argv[1:]], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
