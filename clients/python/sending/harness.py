"""Runs named checks against a gateway through the official SDK, prints a JSON line for each, and
keeps the table of what was really sent: every request of every client is matched with the
operations that the API claims, by method and path.

Retries of the SDK are off: an answer that only the second try got right is a failure here.
"""

import json
import random
import re
import string
import threading
import time
import traceback
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
from svix.api import Svix, SvixAsync, SvixOptions
from svix.exceptions import HttpError, HTTPValidationError
from svix.models import EventTypeUpsertIn

# What this SDK offers and the table of the document has not; driven if the gateway claims it.
BEYOND = [("v1.endpoint.get-attempt-stats", "GET",
           "/api/v1/app/{app_id}/endpoint/{endpoint_id}/attempt-stats", "200")]
_running = threading.local()
_printing = threading.Lock()


class Operation:
    """An operation that is claimed, and what became of the calls."""

    def __init__(self, name, method, path, success):
        self.name, self.method, self.path = name, method, path
        self.success = [int(status) for status in success.split(",")]
        self.pattern = re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path)) + "$")
        self.parameters = path.count("{")
        self.calls, self.answers = 0, {}


def claimed(url):
    """The operations of the table, and those beyond it that the gateway's document has."""
    table = Path(__file__).parents[2] / "sending" / "operations.tsv"
    rows = [line.split("\t") for line in table.read_text().strip().split("\n")[1:]]
    document = httpx.get(f"{url}/api/v1/openapi.json")
    served = document.json()["paths"] if document.status_code == 200 else {}
    rows += [row for row in BEYOND if row[1].lower() in served.get(row[2], {})]
    return [Operation(*row) for row in rows]


class Harness:
    """The clients, the checks and the table."""

    def __init__(self, url, token, other_token, receiver):
        self.url, self.receiver, self.token = url, receiver, token
        self.run = "".join(random.choices(string.ascii_lowercase + string.digits, k=6))
        self.operations = claimed(url)
        self.passed, self.failed, self.surprises = 0, 0, []
        self.svix, self.other = self.client(token), self.client(other_token)
        self.stranger = self.client("not-a-token-0123456789abcdefghijklmnop")

    def client(self, token):
        """An SDK client with another token."""
        client = Svix(token, SvixOptions(server_url=self.url, retry_schedule=[]))
        client._httpx_client.event_hooks = {"response": [self._note]}
        return client

    def asynchronous(self, token):
        """The SDK's asynchronous client."""
        client = SvixAsync(token, SvixOptions(server_url=self.url, retry_schedule=[]))

        async def note(response):
            self._note(response)

        client._httpx_client.event_hooks = {"response": [note]}
        return client

    def ours(self, method, path, body):
        """Sets what the gateway has beyond the SDK, such as the waits between attempts."""
        headers = {"authorization": f"Bearer {self.token}"}
        httpx.request(method, f"{self.url}{path}", json=body, headers=headers).raise_for_status()

    def knows(self, operation):
        """Whether an operation is claimed; `operation` is without its `v1.`."""
        return any(known.name == f"v1.{operation}" for known in self.operations)

    def _note(self, response):
        method, path = response.request.method, response.request.url.path
        fitting = [operation for operation in self.operations
                   if operation.method == method and operation.pattern.match(path)]
        with _printing:
            if not fitting:
                self.surprises.append(f"{method} {path} is no operation that is claimed")
                return
            found = min(fitting, key=lambda operation: operation.parameters)
            found.calls += 1
            status = response.status_code
            found.answers[status] = found.answers.get(status, 0) + 1
        if getattr(_running, "calls", None) is not None:
            _running.calls.append((found.name, status))

    def check(self, operation, name):
        """Decorates a check, which runs at once and prints how it went."""

        def run(body):
            line = {"operation": f"v1.{operation}", "name": name, "ok": True}
            _running.calls = []
            try:
                if not self.knows(operation):
                    raise AssertionError(f"v1.{operation} is not claimed")
                body()
                if not any(called == line["operation"] for called, _ in _running.calls):
                    raise AssertionError("the check never called its operation")
            except Exception as error:  # Whatever breaks is the check's result.
                line["ok"], line["detail"] = False, describe(error)
            self._print(line)
            return body

        return run

    def group(self, body):
        """Runs a group of checks; what breaks outside of a check counts as a failed one."""
        _running.calls = None
        try:
            body(self)
        except Exception as error:  # Likewise.
            self._print({"operation": body.__name__, "name": "set up", "ok": False,
                         "detail": describe(error)})

    def _print(self, line):
        with _printing:
            if line["ok"]:
                self.passed += 1
            else:
                self.failed += 1
            print(json.dumps(line), flush=True)

    def finish(self):
        """Compares what was driven with what is claimed, and prints the table."""
        complaints = list(self.surprises)
        for operation in self.operations:
            statuses = operation.answers
            complaints += [f"{operation.name} never answered {status}"
                           for status in operation.success if status not in statuses]
            complaints += [f"{operation.name} answered {status}, which is not its success"
                           for status in statuses
                           if status < 400 and status not in operation.success]
            complaints += [f"{operation.name} answered {status}"
                           for status in statuses if status >= 500]
            # Nothing can be wrong with the question whether the server is up.
            refusable = operation.name != "v1.health.get"
            if refusable and not any(400 <= status < 500 for status in statuses):
                complaints.append(f"{operation.name} was never refused")
        operations = [{"operation": operation.name, "method": operation.method,
                       "path": operation.path, "calls": operation.calls,
                       "answers": operation.answers} for operation in self.operations]
        print(json.dumps({
            "suite": "python-sending",
            "passed": self.passed,
            "failed": self.failed + len(complaints),
            "claimed": len(operations),
            "driven": sum(operation["calls"] > 0 for operation in operations),
            "complaints": complaints,
            "operations": operations,
        }))
        return self.failed == 0 and not complaints


def describe(error):
    """What went wrong, and where in the suite."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if "/sending/" in frame.filename and not frame.filename.endswith("harness.py")]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    source = f" `{frames[-1].line}`" if frames and not str(error) else ""
    return f"{type(error).__name__}: {error}{source} ({place})"[:900]


def last_status():
    """The status of the last request of the running check."""
    return _running.calls[-1][1]


def refused(call, statuses, at=None):
    """Fails unless the call is refused in the way that every refusal has."""
    statuses = [statuses] if isinstance(statuses, int) else statuses
    try:
        answer = call()
    except HTTPValidationError as error:
        more = error.additional_properties
        assert error.status_code in statuses, f"should be refused with {statuses}, was with 422: {error} {more}"
        assert more["status"] == 422 and more["code"] and more["title"], more
        assert error.detail, "the problem lists what is wrong"
        for item in error.detail:
            assert isinstance(item.loc, list) and all(isinstance(part, str) for part in item.loc), item
            assert item.msg and item.type, item
        places = [".".join(item.loc) for item in error.detail]
        assert at is None or any(place == at or place.startswith(f"{at}.") for place in places), \
            f"{at} should be named, not {places}"
        return error
    except HttpError as error:
        assert error.status_code in statuses, \
            f"should be refused with {statuses}, was with {error.status_code}: {error}"
        more = error.additional_properties
        assert isinstance(error.detail, str) and error.detail, error
        assert re.fullmatch("[a-z_]+", error.code), error
        assert more["status"] == error.status_code and more["title"], more
        return error
    raise AssertionError(f"should be refused with {statuses}, was answered {answer!r}")


def pages(ask, limit=None):
    """Every item of a list, page by page, and how many pages there were.

    `ask` makes a page from an iterator and a limit.
    """
    items, count, iterator = [], 0, None
    while True:
        page = ask(iterator=iterator, limit=limit)
        count += 1
        assert count < 1_000, "the pages never end"
        assert limit is None or len(page.data) <= limit, "a page keeps its limit"
        items += page.data
        if page.done:
            return items, count
        assert page.data, "only the last page may be empty"
        assert page.iterator != iterator, "the iterator moves"
        iterator = page.iterator


def until(what, ask, seconds=15):
    """Asks again until the answer is true."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.06)


def now(seconds=0):
    """This moment, or one so many seconds away from it."""
    return datetime.now(timezone.utc) + timedelta(seconds=seconds)


def recent(moment):
    """Fails unless a moment has an offset and is not far from now."""
    assert moment.tzinfo is not None, f"{moment} has no offset"
    assert abs((now() - moment).total_seconds()) < 90, f"{moment} is not recent"


def types(svix, *names):
    """Makes event types, for endpoints can only ask for those that there are."""
    for name in names:
        svix.event_type.upsert(name, EventTypeUpsertIn(description=name))


def nowhere(prefix):
    """An id that is well formed and belongs to nothing."""
    return f"{prefix}_{('0Absent9' * 4)[:27]}"


def finished(svix, task_id):
    """Waits until a task is finished, and answers its data."""

    def ask():
        task = svix.background_task.get(task_id)
        assert task.status != "failed", task
        return task if task.status == "finished" else None

    return until(f"task {task_id} is finished", ask).data
