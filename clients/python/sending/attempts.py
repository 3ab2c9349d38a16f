"""Attempts: what they tell, how they are listed, and sending again by hand; counts of deliveries."""

from harness import last_status, nowhere, now, pages, recent, refused, until
from receiver import verified
from svix.api import (
    EndpointGetAttemptStatsOptions,
    EndpointGetStatsOptions,
    MessageAttemptListAttemptedDestinationsOptions,
    MessageAttemptListAttemptedMessagesOptions,
    MessageAttemptListByEndpointOptions,
    MessageAttemptListByMsgOptions,
)
from svix.models import (
    ApplicationIn,
    EndpointIn,
    MessageAttemptTriggerType,
    MessageIn,
    MessageStatus,
    StatusCodeClass,
)


def attempts(harness):
    svix, receiver, run = harness.svix, harness.receiver, harness.run
    app, name = f"attempts-{run}", f"ok-{run}"
    svix.application.create(ApplicationIn(name="attempts", uid=app))
    svix.endpoint.create(app, EndpointIn(url=receiver.url(name), uid="ok"))
    ids = []
    for number in range(5):
        first = number == 0
        message = svix.message.create(app, MessageIn(
            event_type="a.one" if number < 3 else "a.two", payload={"number": number},
            event_id=f"at-{run}-{number}", channels=["ch"] if first else None,
            tags=["tg"] if first else None))
        receiver.delivery(name, message.id)
        ids.insert(0, message.id)
    until("five attempts are listed", lambda: len(
        svix.message_attempt.list_by_endpoint(app, "ok").data) == 5)
    by_endpoint(harness, app, ids)
    others(harness, app, ids)
    resending(harness, app, ids)
    statistics(harness, app)


def by_endpoint(harness, app, ids):
    check, svix, run = harness.check, harness.svix, harness.run
    endpoint = svix.endpoint.get(app, "ok")

    def ask(**more):
        return lambda **page: svix.message_attempt.list_by_endpoint(
            app, "ok", MessageAttemptListByEndpointOptions(**page, **more))

    def found(**more):
        return [item.msg_id for item in pages(ask(**more))[0]]

    @check("message-attempt.list-by-endpoint", "every field, newest first, page by page")
    def _():
        items, count = pages(ask(with_msg=True, with_content=True), 2)
        assert [item.msg_id for item in items] == ids and count >= 3
        attempt = items[0]
        assert (attempt.endpoint_id, attempt.url) == (endpoint.id, endpoint.url)
        assert (attempt.status, attempt.status_text) == (MessageStatus.SUCCESS, "success")
        assert (attempt.response_status_code, attempt.response) == (200, "received")
        assert attempt.trigger_type == MessageAttemptTriggerType.SCHEDULED
        assert attempt.response_duration_ms >= 0
        recent(attempt.timestamp)
        assert (attempt.msg.id, attempt.msg.event_id) == (ids[0], f"at-{run}-4")

    @check("message-attempt.list-by-endpoint", "filters; refusals")
    def _():
        assert found(event_types=["a.two"]) == ids[:2]
        assert found(event_types=["a.one", "a.two"]) == ids
        assert found(channel="ch") == [ids[4]] and found(tag="tg") == [ids[4]]
        assert found(status=MessageStatus.SUCCESS) == ids and found(status=MessageStatus.FAIL) == []
        assert found(status_code_class=StatusCodeClass.CODE2XX) == ids
        assert found(status_code_class=StatusCodeClass.CODE4XX) == []
        assert found(after=now(60)) == [] and found(before=now(60)) == ids
        refused(lambda: ask()(limit=0), 422, "query.limit")
        refused(lambda: ask()(iterator="nonsense"), 422, "query.iterator")
        refused(lambda: ask(status=9)(), 422, "query.status")
        refused(lambda: svix.message_attempt.list_by_endpoint(app, nowhere("ep")), 404)
        refused(lambda: harness.other.message_attempt.list_by_endpoint(app, "ok"), 404)


def others(harness, app, ids):
    check, api, other = harness.check, harness.svix.message_attempt, harness.other.message_attempt

    @check("message-attempt.list-by-msg", "by id and by event id")
    def _():
        [attempt] = api.list_by_msg(app, ids[0], MessageAttemptListByMsgOptions(endpoint_id="ok")).data
        assert attempt.msg_id == ids[0]
        assert api.list_by_msg(app, f"at-{harness.run}-4").data == api.list_by_msg(app, ids[0]).data
        refused(lambda: api.list_by_msg(app, nowhere("msg")), 404)
        refused(lambda: other.list_by_msg(app, ids[0]), 404)

    @check("message-attempt.get", "shows one")
    def _():
        [listed] = api.list_by_msg(app, ids[0]).data
        attempt = api.get(app, ids[0], listed.id)
        assert (attempt.id, attempt.msg_id, attempt.response) == (listed.id, ids[0], "received")
        refused(lambda: api.get(app, ids[0], nowhere("atmpt")), 404)
        refused(lambda: api.get(app, ids[1], listed.id), 404)
        refused(lambda: other.get(app, ids[0], listed.id), 404)

    @check("message-attempt.list-attempted-messages", "page by page, and filters")
    def _():
        def ask(**more):
            return lambda **page: api.list_attempted_messages(
                app, "ok", MessageAttemptListAttemptedMessagesOptions(**page, **more))

        items, _ = pages(ask(with_content=True), 2)
        assert [item.id for item in items] == ids and items[0].payload == {"number": 4}
        assert items[0].status == MessageStatus.SUCCESS
        assert [item.id for item in pages(ask(event_types=["a.two"]))[0]] == ids[:2]
        assert [item.id for item in pages(ask(tag="tg"))[0]] == [ids[4]]
        assert pages(ask(status=MessageStatus.FAIL))[0] == []
        refused(lambda: api.list_attempted_messages(app, nowhere("ep")), 404)
        refused(lambda: other.list_attempted_messages(app, "ok"), 404)

    @check("message-attempt.list-attempted-destinations", "page by page")
    def _():
        uid, svix, receiver = f"destinations-{harness.run}", harness.svix, harness.receiver
        svix.application.create(ApplicationIn(name="destinations", uid=uid))
        own = [svix.endpoint.create(uid, EndpointIn(url=receiver.url(uid))).id for _ in range(3)]
        message = svix.message.create(uid, MessageIn(event_type="d.d", payload={})).id
        receiver.wait(uid, 3)
        items, count = pages(lambda **page: api.list_attempted_destinations(
            uid, message, MessageAttemptListAttemptedDestinationsOptions(**page)), 2)
        assert [item.id for item in items] == own and count >= 2
        refused(lambda: api.list_attempted_destinations(uid, nowhere("msg")), 404)


def resending(harness, app, ids):
    check, svix, receiver = harness.check, harness.svix, harness.receiver
    api, name = svix.message_attempt, f"ok-{harness.run}"

    @check("message-attempt.resend", "comes again, with the same id, and is called manual")
    def _():
        before = len(receiver.requests(name))
        api.resend(app, ids[2], "ok")
        assert last_status() == 202
        delivery = receiver.wait(name, before + 1)[-1]
        assert delivery.id == ids[2]
        verified(svix.endpoint.get_secret(app, "ok").key, delivery)
        data = until("two attempts are listed", lambda: (
            lambda data: data if len(data) == 2 else None)(api.list_by_msg(app, ids[2]).data))
        assert [item.trigger_type for item in data] == [
            MessageAttemptTriggerType.MANUAL, MessageAttemptTriggerType.SCHEDULED]
        refused(lambda: api.resend(app, nowhere("msg"), "ok"), 404)
        refused(lambda: api.resend(app, ids[0], nowhere("ep")), 404)
        refused(lambda: harness.other.message_attempt.resend(app, ids[0], "ok"), 404)

    @check("message-attempt.expunge-content", "the response is gone")
    def _():
        [attempt] = api.list_by_msg(app, ids[1]).data
        refused(lambda: harness.other.message_attempt.expunge_content(app, ids[1], attempt.id), 404)
        api.expunge_content(app, ids[1], attempt.id)
        assert last_status() == 204
        kept = api.get(app, ids[1], attempt.id)
        assert kept.response != "received" and kept.response_status_code == 200
        refused(lambda: api.expunge_content(app, ids[1], nowhere("atmpt")), 404)


def statistics(harness, app):
    check, svix, other = harness.check, harness.svix, harness.other

    @check("endpoint.get-stats", "counts deliveries, within a time")
    def _():
        stats = svix.endpoint.get_stats(app, "ok")
        assert stats.success >= 5 and stats.fail == 0, stats
        since, end = now(-86_400), now(3_600)
        within = svix.endpoint.get_stats(app, "ok", EndpointGetStatsOptions(since=since, until=end))
        assert within.success >= 5
        refused(lambda: svix.endpoint.get_stats(app, nowhere("ep")), 404)
        refused(lambda: other.endpoint.get_stats(app, "ok"), 404)

    if harness.knows("endpoint.get-attempt-stats"):
        @check("endpoint.get-attempt-stats", "counts attempts")
        def _():
            stats = svix.endpoint.get_attempt_stats(app, "ok")
            assert stats.success >= 6 and stats.fail == 0 and stats.canceled == 0, stats
            options = EndpointGetAttemptStatsOptions(since=now(-172_800), until=now(-86_400))
            assert svix.endpoint.get_attempt_stats(app, "ok", options).success == 0
            refused(lambda: svix.endpoint.get_attempt_stats(app, nowhere("ep")), 404)


def retried(harness):
    """A failed attempt is repeated; failures are found by status and class."""
    check, svix, receiver, run = harness.check, harness.svix, harness.receiver, harness.run
    app = f"retried-{run}"
    svix.application.create(ApplicationIn(name="retried", uid=app))
    svix.endpoint.create(app, EndpointIn(url=receiver.url(app), uid="e"))
    receiver.on(app, lambda number: (503, "not yet") if number == 1 else (200, "received"))
    message = svix.message.create(app, MessageIn(event_type="r.r", payload={"a": 1})).id
    receiver.wait(app, 1)
    api, content = svix.message_attempt, MessageAttemptListByMsgOptions(with_content=True)

    @check("message-attempt.list-attempted-destinations", "waits for the next attempt")
    def _():
        [item] = until("an attempt is known", lambda: [
            item for item in api.list_attempted_destinations(app, message).data if item.next_attempt])
        assert item.uid == "e" and item.next_attempt > now(-1)
        assert item.status in (MessageStatus.PENDING, MessageStatus.SENDING), item
        data = api.list_by_endpoint(app, "e", MessageAttemptListByEndpointOptions(
            status=MessageStatus.FAIL, status_code_class=StatusCodeClass.CODE5XX,
            with_content=True)).data
        assert [(item.status_text, item.response) for item in data] == [("fail", "not yet")]

    @check("message-attempt.list-by-msg", "a retry comes, with the same id, and delivers")
    def _():
        first, second = receiver.wait(app, 2, 20)
        assert first.id == second.id == message
        key = svix.endpoint.get_secret(app, "e").key
        verified(key, first)
        verified(key, second)
        until("both attempts are listed", lambda: len(api.list_by_msg(app, message).data) == 2)
        data = api.list_by_msg(app, message, content).data
        assert [item.status for item in data] == [MessageStatus.SUCCESS, MessageStatus.FAIL]
        assert [item.response_status_code for item in data] == [200, 503]
        [item] = api.list_attempted_destinations(app, message).data
        assert item.status_text == "success" and item.next_attempt is None
