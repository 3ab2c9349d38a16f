"""What runs in the background: recovering, replaying, counting; and the tasks that tell how far."""

from harness import finished, last_status, nowhere, now, pages, recent, refused, types, until
from receiver import verified
from svix.api import BackgroundTaskListOptions
from svix.models import (
    ApplicationIn,
    AppUsageStatsIn,
    BackgroundTaskStatus,
    BackgroundTaskType,
    BulkReplayIn,
    EndpointIn,
    EndpointPatch,
    MessageIn,
    MessageStatus,
    Ordering,
    RecoverIn,
    ReplayIn,
)


def replays(harness):
    recovering(harness)
    missing(harness)
    counting(harness)
    tasks(harness)


def recovering(harness):
    check, svix, receiver = harness.check, harness.svix, harness.receiver
    app, gone = f"recovered-{harness.run}", [True]
    svix.application.create(ApplicationIn(name="recovered", uid=app))
    svix.endpoint.create(app, EndpointIn(url=receiver.url(app), uid="e"))
    receiver.on(app, lambda _: (410, "gone") if gone[0] else (200, "received"))
    message = svix.message.create(app, MessageIn(event_type="r.r", payload={"lost": True})).id
    receiver.wait(app, 1)

    @check("endpoint.recover", "what failed for good comes again, once")
    def _():
        until("410 has disabled the endpoint", lambda: svix.endpoint.get(app, "e").disabled)
        gone[0] = False
        svix.endpoint.patch(app, "e", EndpointPatch(disabled=False))
        task = svix.endpoint.recover(app, "e", RecoverIn(since=now(-3_600)))
        assert last_status() == 202 and task.task == BackgroundTaskType.ENDPOINT_RECOVER
        recent(task.updated_at)
        assert finished(svix, task.id)["messagesSent"] == 1
        delivery = receiver.wait(app, 2)[1]
        assert delivery.id == message
        verified(svix.endpoint.get_secret(app, "e").key, delivery)
        again = svix.endpoint.recover(app, "e", RecoverIn(since=now(-3_600)))
        assert finished(svix, again.id)["messagesSent"] == 0

    @check("endpoint.recover", "refusals")
    def _():
        recover = svix.endpoint.recover
        refused(lambda: recover(app, "e", RecoverIn.model_construct()), 422, "body")
        refused(lambda: recover(app, "e", RecoverIn.model_construct(since="yesterday")), 422, "body.since")
        naive = now(-60).replace(tzinfo=None)
        refused(lambda: recover(app, "e", RecoverIn(since=naive)), 422, "body.since")
        refused(lambda: recover(app, nowhere("ep"), RecoverIn(since=now(-60))), 404)
        refused(lambda: harness.other.endpoint.recover(app, "e", RecoverIn(since=now(-60))), 404)


def missing(harness):
    check, svix, other, receiver = harness.check, harness.svix, harness.other, harness.receiver
    app = f"missed-{harness.run}"
    svix.application.create(ApplicationIn(name="missed", uid=app))
    sent = [svix.message.create(app, MessageIn(
        event_type="m.rest" if number else "m.first", payload={"number": number})).id
        for number in range(3)]
    svix.endpoint.create(app, EndpointIn(url=receiver.url(app), uid="e"))
    since = now(-3_600)

    @check("endpoint.replay-missing", "what it never got comes, once; refusals")
    def _():
        task = svix.endpoint.replay_missing(app, "e", ReplayIn(since=since))
        assert last_status() == 202 and task.task == BackgroundTaskType.ENDPOINT_REPLAY
        assert finished(svix, task.id)["messagesSent"] == 3
        assert {kept.id for kept in receiver.wait(app, 3)} == set(sent)
        again = svix.endpoint.replay_missing(app, "e", ReplayIn(since=since))
        assert finished(svix, again.id)["messagesSent"] == 0
        refused(lambda: svix.endpoint.replay_missing(app, "e", ReplayIn.model_construct()), 422, "body")
        refused(lambda: svix.endpoint.replay_missing(app, nowhere("ep"), ReplayIn(since=since)), 404)
        refused(lambda: other.endpoint.replay_missing(app, "e", ReplayIn(since=since)), 404)

    @check("endpoint.bulk-replay", "what was delivered comes again, by filter or all; refusals")
    def _():
        def settled():
            until("nothing is pending", lambda: svix.endpoint.get_stats(app, "e").pending == 0)

        def replay(**more):
            settled()
            task = svix.endpoint.bulk_replay(app, "e", BulkReplayIn(since=since, **more))
            assert last_status() == 202 and task.task == BackgroundTaskType.ENDPOINT_BULK_REPLAY
            return finished(svix, task.id)["messagesSent"]

        assert replay(event_types=["m.first"]) == 1
        assert receiver.wait(app, 4)[3].id == sent[0]
        assert replay(status=MessageStatus.SUCCESS) == 3
        assert {kept.id for kept in receiver.wait(app, 7)[4:]} == set(sent)
        assert replay(until=now(-1_800)) == 0
        body = BulkReplayIn(since=since)
        bad = BulkReplayIn.model_construct(since=since, status=9)
        refused(lambda: svix.endpoint.bulk_replay(app, "e", BulkReplayIn.model_construct()), 422, "body")
        refused(lambda: svix.endpoint.bulk_replay(app, "e", bad), 422, "body.status")
        refused(lambda: svix.endpoint.bulk_replay(app, nowhere("ep"), body), 404)
        refused(lambda: other.endpoint.bulk_replay(app, "e", body), 404)


def counting(harness):
    check, svix, receiver = harness.check, harness.svix, harness.receiver
    uid = f"counted-{harness.run}"
    types(svix, "c.one", "c.two")
    app = svix.application.create(ApplicationIn(name="counted", uid=uid)).id
    svix.endpoint.create(uid, EndpointIn(url=receiver.url(uid), event_types=["c.one"]))
    svix.endpoint.create(uid, EndpointIn(url=receiver.url(uid), event_types=["c.one", "c.two"]))
    svix.message.create(uid, MessageIn(event_type="c.one", payload={}))
    receiver.wait(uid, 2)

    @check("statistics.aggregate-app-stats", "counts destinations; refusals")
    def _():
        absent, aggregate = f"no-such-{harness.run}", svix.statistics.aggregate_app_stats
        task = aggregate(AppUsageStatsIn(since=now(-3_600), until=now(3_600), app_ids=[uid, absent]))
        assert last_status() == 202 and task.unresolved_app_ids == [absent]
        [found] = finished(svix, task.id)["appStats"]
        assert (found["appId"], found["appUid"], found["messageDestinations"]) == (app, uid, 2)
        refused(lambda: aggregate(AppUsageStatsIn.model_construct(since=now())), 422, "body")

    @check("statistics.aggregate-event-types", "tells who listens to what")
    def _():
        task = svix.statistics.aggregate_event_types()
        assert last_status() == 202
        found = next(item for item in finished(svix, task.id)["event_types"] if item["appId"] == app)
        assert sorted(found["explicitlySubscribedEventTypes"]) == ["c.one", "c.two"]
        assert found["hasCatchAllEndpoint"] is False
        refused(lambda: harness.stranger.statistics.aggregate_event_types(), 401)


def tasks(harness):
    check, svix, other = harness.check, harness.svix, harness.other

    def ask(**more):
        return lambda **page: svix.background_task.list(BackgroundTaskListOptions(**page, **more))

    @check("background-task.list", "page by page, in both directions, and filters; refusals")
    def _():
        items, count = pages(ask(order=Ordering.ASCENDING), 2)
        ids = [item.id for item in items]
        assert len(set(ids)) == len(ids) >= 5 and count > 2
        items, _ = pages(ask(order=Ordering.DESCENDING), 3)
        assert [item.id for item in items if item.id in ids] == ids[::-1]
        items, _ = pages(ask(task=BackgroundTaskType.ENDPOINT_BULK_REPLAY,
                             status=BackgroundTaskStatus.FINISHED))
        assert len(items) >= 2
        assert {(item.task, item.status) for item in items} == {("endpoint.bulk-replay", "finished")}
        refused(lambda: ask()(limit=0), 422, "query.limit")
        refused(lambda: ask(status="odd")(), 422, "query.status")

    @check("background-task.get", "another tenant's is unknown")
    def _():
        [listed] = ask()(limit=1).data
        assert svix.background_task.get(listed.id).id == listed.id
        refused(lambda: other.background_task.get(listed.id), 404)
        refused(lambda: svix.background_task.get(nowhere("qtask")), 404)
