"""Messages: what is posted arrives where it should, once, signed, and byte for byte if raw; lists,
repeats, and payloads that are deleted.
"""

import time
from datetime import timedelta

from harness import finished, last_status, nowhere, now, pages, recent, refused, types
from receiver import genuine, verified
from svix.api import (
    MessageCreateOptions,
    MessageGetOptions,
    MessageListOptions,
)
from svix.api.message import message_in_raw
from svix.models import (
    ApplicationIn,
    BulkExpungeContentsIn,
    EndpointIn,
    EndpointPatch,
    EventExampleIn,
    EventTypeIn,
    MessageIn,
    MessagePrecheckIn,
)


def messages(harness):
    svix, run = harness.svix, harness.run
    app = f"messages-{run}"
    types(svix, "m.typed", "p.p")
    svix.application.create(ApplicationIn(name="messages", uid=app))
    for uid, more in [("all", {}), ("typed", {"event_types": ["m.typed"]}),
                      ("blue", {"channels": ["blue"]}), ("off", {"disabled": True})]:
        svix.endpoint.create(app, EndpointIn(url=harness.receiver.url(f"{uid}-{run}"), uid=uid, **more))
    delivering(harness, app)
    making(harness, app)
    raw(harness, app)
    repeating(harness, app)
    prechecking(harness)
    examples(harness, app)


def delivering(harness, app):
    check, svix, receiver, run = harness.check, harness.svix, harness.receiver, harness.run

    @check("message.create", "arrives once, signed, with its id")
    def _():
        payload = {"text": "Grüße \U0001f44b", "number": 1.5, "list": [1, None, True], "big": 2**53}
        message = svix.message.create(
            app, MessageIn(event_type="m.other", payload=payload), MessageCreateOptions(with_content=True))
        assert last_status() == 202
        assert (message.event_type, message.payload) == ("m.other", payload)
        recent(message.timestamp)
        delivery = receiver.delivery(f"all-{run}", message.id)
        assert delivery.headers["content-type"].startswith("application/json")
        assert verified(svix.endpoint.get_secret(app, "all").key, delivery) == payload
        time.sleep(0.2)
        assert sum(kept.id == message.id for kept in receiver.requests(f"all-{run}")) == 1
        hidden = svix.message.create(app, MessageIn(event_type="m.other", payload={"a": "hidden"}))
        assert "hidden" not in str(hidden.payload)

    @check("message.create", "event types, channels and disabled endpoints decide")
    def _():
        def send(event_type, channels=None):
            return svix.message.create(app, MessageIn(
                event_type=event_type, channels=channels, payload={"sent": 1})).id

        typed, blue = send("m.typed"), send("m.other", ["blue", "green"])
        red, both = send("m.other", ["red"]), send("m.typed", ["blue"])
        for message_id in (typed, blue, red, both):
            receiver.delivery(f"all-{run}", message_id)
        time.sleep(0.3)

        def got(name):
            return {kept.id for kept in receiver.requests(f"{name}-{run}")}

        assert got("typed") == {typed, both}
        assert got("blue") == {blue, both}
        assert got("off") == set()


def making(harness, app):
    check, svix, run = harness.check, harness.svix, harness.run

    @check("message.create", "optional fields come back; an event id is taken once")
    def _():
        body = MessageIn(event_type="m.other", payload={}, event_id=f"evt-{run}", channels=["c1"],
                         tags=["t/1"], payload_retention_period=1)
        message = svix.message.create(app, body)
        assert (message.event_id, message.channels, message.tags) == (f"evt-{run}", ["c1"], ["t/1"])
        refused(lambda: svix.message.create(app, body), 409)

    @check("message.create", "deliver_at holds it back; without an offset it is refused")
    def _():
        at = (now() + timedelta(hours=1)).replace(microsecond=0)
        message = svix.message.create(app, MessageIn(
            event_type="m.typed", payload={}, deliver_at=at))
        assert message.deliver_at == at, message
        data = svix.message_attempt.list_attempted_destinations(app, message.id).data
        assert data and all(item.status_text == "pending" for item in data), data
        naive = MessageIn(event_type="m.typed", payload={}, deliver_at=at.replace(tzinfo=None))
        refused(lambda: svix.message.create(app, naive), 422, "body.deliverAt")
        soon = MessageIn(event_type="m.typed", payload={}, deliver_at=now(5))
        refused(lambda: svix.message.create(app, soon), 422, "body.deliverAt")

    @check("message.create", "makes its application on the way")
    def _():
        uid = f"onway-{run}"
        svix.message.create(uid, MessageIn(
            event_type="m.other", payload={}, application=ApplicationIn(name="on the way", uid=uid)))
        assert svix.application.get(uid).name == "on the way"

    @check("message.create", "refusals")
    def _():
        def create(**more):
            body = MessageIn.model_construct(**{"event_type": "m.other", "payload": {}, **more})
            return lambda: svix.message.create(app, body)

        for more, at in [
            ({"event_type": "a b"}, "body.eventType"),
            ({"payload": [1]}, "body.payload"),
            ({"channels": []}, "body.channels"),
            ({"tags": list("abcdef")}, "body.tags"),
            ({"payload_retention_period": 91}, "body.payloadRetentionPeriod"),
            ({"payload_retention_period": 1, "payload_retention_hours": 1}, "body"),
        ]:
            refused(create(**more), 422, at)
        refused(lambda: svix.message.create(app, MessageIn.model_construct(payload={})), 422, "body")
        body = MessageIn(event_type="m.other", payload={})
        refused(lambda: svix.message.create(nowhere("app"), body), 404)
        refused(lambda: harness.other.message.create(app, body), 404)
        refused(lambda: harness.stranger.message.create(app, body), 401)
        refused(create(payload={"text": "x" * 1_100_000}), 413)

    @check("message.get", "by id and by event id, with content when asked for")
    def _():
        message = svix.message.create(app, MessageIn(
            event_type="m.other", payload={"a": 1}, event_id=f"get-{run}"))
        full = svix.message.get(app, message.id, MessageGetOptions(with_content=True))
        assert (full.payload, full.event_id) == ({"a": 1}, f"get-{run}")
        assert svix.message.get(app, f"get-{run}").id == message.id
        assert svix.message.get(app, message.id).payload == {}
        refused(lambda: svix.message.get(app, nowhere("msg")), 404)
        refused(lambda: harness.other.message.get(app, message.id), 404)


def raw(harness, app):
    check, svix, receiver = harness.check, harness.svix, harness.receiver

    @check("message.create", "a raw payload arrives byte for byte")
    def _():
        key, name = svix.endpoint.get_secret(app, "all").key, f"all-{harness.run}"
        text = "  <a>\tnot JSON, ünd not trimmed </a>\n"
        message = svix.message.create(app, message_in_raw("m.other", text, "text/plain"))
        delivery = receiver.delivery(name, message.id)
        assert delivery.body == text.encode() and genuine(key, delivery)
        assert delivery.headers["content-type"].startswith("text/plain")
        spaced = '{ "b" : 1,  "a":"\\u00fc" }'
        message = svix.message.create(app, message_in_raw("m.other", spaced))
        delivery = receiver.delivery(name, message.id)
        assert delivery.body == spaced.encode() and verified(key, delivery) == {"b": 1, "a": "ü"}


def repeating(harness, app):
    check, svix, receiver = harness.check, harness.svix, harness.receiver

    @check("message.create", "a repeat with its key is delivered once")
    def _():
        body = MessageIn(event_type="m.other", payload={"repeat": 1})
        key = MessageCreateOptions(idempotency_key=f"msg-{harness.run}")
        first = svix.message.create(app, body, key)
        assert svix.message.create(app, body, key) == first and last_status() == 202
        changed = MessageIn(event_type="m.other", payload={"repeat": 2})
        refused(lambda: svix.message.create(app, changed, key), 422)
        receiver.delivery(f"all-{harness.run}", first.id)
        time.sleep(0.3)
        assert sum(b'"repeat"' in kept.body for kept in receiver.requests(f"all-{harness.run}")) == 1


def lists(harness):
    """Messages listed, and payloads deleted."""
    svix, run = harness.svix, harness.run
    app = f"listed-{run}"
    svix.application.create(ApplicationIn(name="listed", uid=app))
    own = []
    for number in range(6):
        own.insert(0, svix.message.create(app, MessageIn(
            event_type="l.even" if number < 4 else "l.odd", payload={"number": number},
            channels=["one"] if number == 1 else None, tags=["two"] if number == 2 else None)).id)
        time.sleep(0.01)

    def ask(**more):
        return lambda **page: svix.message.list(app, MessageListOptions(**page, **more))

    def ids(limit=None, **more):
        return [item.id for item in pages(ask(**more), limit)[0]]

    @harness.check("message.list", "page by page, newest first, and filters; refusals")
    def _():
        items, count = pages(ask(), 2)
        assert [item.id for item in items] == own and count >= 3
        assert items[0].payload == {}
        assert ids(event_types=["l.odd"]) == own[:2]
        assert ids(4, event_types=["l.odd", "l.even"]) == own
        assert ids(channel="one") == [own[4]]
        assert ids(tag="two") == [own[3]]
        data = ask(with_content=True)().data
        assert [item.payload["number"] for item in data] == [5, 4, 3, 2, 1, 0]
        middle = data[2].timestamp
        assert own[5] in ids(before=middle) and own[0] not in ids(before=middle)
        after = middle - timedelta(milliseconds=1)
        assert own[0] in ids(after=after) and own[5] not in ids(after=after)
        naive = after.replace(tzinfo=None)
        refused(lambda: ask(after=naive)(), 422, "query.after")
        refused(lambda: ask()(limit=300), 422, "query.limit")
        refused(lambda: ask()(iterator="nonsense"), 422, "query.iterator")
        refused(lambda: harness.other.message.list(app), 404)

    expunging(harness)


def prechecking(harness):
    check, svix, run = harness.check, harness.svix, harness.run

    @check("message.precheck", "tells whether anybody listens")
    def _():
        uid = f"precheck-{run}"
        svix.application.create(ApplicationIn(name="precheck", uid=uid))

        def active(**body):
            return svix.message.precheck(uid, MessagePrecheckIn(event_type="p.p", **body)).active

        assert not active()
        svix.endpoint.create(uid, EndpointIn(
            url=harness.receiver.url(uid), event_types=["p.p"], channels=["c"], uid="e"))
        assert active(channels=["c"]) and not active()
        svix.endpoint.patch(uid, "e", EndpointPatch(disabled=True))
        assert not active(channels=["c"])
        bad = MessagePrecheckIn(event_type="a b")
        refused(lambda: svix.message.precheck(uid, bad), 422, "body.eventType")
        refused(lambda: svix.message.precheck(nowhere("app"), MessagePrecheckIn(event_type="p.p")), 404)


def examples(harness, app):
    check, svix, receiver, run = harness.check, harness.svix, harness.receiver, harness.run

    @check("endpoint.send-example", "the schema's example, one's own, or a made one")
    def _():
        name, event_type = f"example-{run}", f"example.{run}"
        schema = {"type": "object", "properties": {"id": {"type": "string"}},
                  "examples": [{"id": "e1"}, {"id": "e2"}]}
        svix.event_type.create(EventTypeIn(name=event_type, description="x", schemas={"1": schema}))
        svix.endpoint.create(app, EndpointIn(url=receiver.url(name), uid=name, channels=["nobody"]))
        key = svix.endpoint.get_secret(app, name).key

        def example(**more):
            message = svix.endpoint.send_example(app, name, EventExampleIn(event_type=event_type, **more))
            assert last_status() == 202 and message.event_type == event_type
            return verified(key, receiver.delivery(name, message.id))

        assert example() == {"id": "e1"}
        assert example(example_index=1) == {"id": "e2"}
        assert example(payload={"id": "own"}) == {"id": "own"}
        time.sleep(0.2)
        seen = {kept.id for kept in receiver.requests(f"all-{run}")}
        assert not seen & {kept.id for kept in receiver.requests(name)}
        absent = EventExampleIn(event_type=f"no.such-{run}")
        refused(lambda: svix.endpoint.send_example(app, name, absent), [404, 422])
        known = EventExampleIn(event_type=event_type)
        refused(lambda: svix.endpoint.send_example(app, nowhere("ep"), known), 404)


def expunging(harness):
    check, svix, receiver, run = harness.check, harness.svix, harness.receiver, harness.run
    app = f"expunged-{run}"
    svix.application.create(ApplicationIn(name="expunged", uid=app))
    svix.endpoint.create(app, EndpointIn(url=receiver.url(app), uid="e"))

    def send(event_id=None):
        return svix.message.create(app, MessageIn(
            event_type="x.x", payload={"mark": "confidential"}, event_id=event_id)).id

    def gone(message_id):
        found = svix.message.get(app, message_id, MessageGetOptions(with_content=True))
        return "confidential" not in str(found.payload)

    @check("message.expunge-content", "the payload is gone for good")
    def _():
        message, kept = send(), send()
        receiver.delivery(app, message)
        receiver.delivery(app, kept)
        assert not gone(message)
        svix.message.expunge_content(app, message)
        assert last_status() == 204
        assert gone(message) and not gone(kept)
        refused(lambda: svix.message_attempt.resend(app, message, "e"), [400, 404, 409, 410, 422])
        refused(lambda: svix.message.expunge_content(app, nowhere("msg")), 404)
        refused(lambda: harness.other.message.expunge_content(app, kept), 404)

    @check("message.bulk-expunge-content", "tells of each")
    def _():
        by_id, by_uid, absent = send(), send(f"bulk-{run}"), nowhere("msg")
        ids = [by_id, f"bulk-{run}", absent]
        results = svix.message.bulk_expunge_content(app, BulkExpungeContentsIn(ids=ids)).results
        assert [results[name] for name in ids] == ["expunged", "expunged", "not-found"], results
        assert gone(by_id) and gone(by_uid)
        bad = BulkExpungeContentsIn(ids=["a b"])
        refused(lambda: svix.message.bulk_expunge_content(app, bad), 422, "body.ids")

    @check("message.expunge-all-contents", "a task deletes every payload")
    def _():
        ids = [send(), send()]
        task = svix.message.expunge_all_contents(app)
        assert last_status() == 202 and task.task == "application.purge_content"
        assert finished(svix, task.id)["messagesPurged"] >= 2
        assert all(gone(message_id) for message_id in ids)
        refused(lambda: svix.message.expunge_all_contents(nowhere("app")), 404)
