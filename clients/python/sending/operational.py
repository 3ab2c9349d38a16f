"""Operational webhooks: what the gateway itself has to tell, delivered and signed like the rest."""

import json

from harness import last_status, nowhere, pages, recent, refused
from receiver import fresh_secret, verified
from svix.api import OperationalWebhookEndpointListOptions
from svix.models import (
    ApplicationIn,
    EndpointIn,
    EndpointPatch,
    EventTypeIn,
    MessageIn,
    OperationalWebhookEndpointHeadersIn,
    OperationalWebhookEndpointIn,
    OperationalWebhookEndpointSecretIn,
    OperationalWebhookEndpointUpsertIn,
    Ordering,
)


def operational(harness):
    name = f"operational-{harness.run}"
    making(harness, name)
    settings(harness, name)
    arriving(harness, name)

    @harness.check("operational-webhook.endpoint.delete", "is gone")
    def _():
        api = harness.svix.operational_webhook.endpoint
        refused(lambda: harness.other.operational_webhook.endpoint.delete(name), 404)
        api.delete(name)
        assert last_status() == 204
        refused(lambda: api.get(name), 404)
        refused(lambda: api.delete(name), 404)


def making(harness, name):
    check, api = harness.check, harness.svix.operational_webhook.endpoint
    url, put = harness.receiver.url(name), f"ops-put-{harness.run}"

    @check("operational-webhook.endpoint.create", "fields come back; refusals")
    def _():
        made = api.create(OperationalWebhookEndpointIn(
            url=url, uid=name, description="ops", metadata={"a": "1"}, headers={"x-ops": "yes"},
            event_types=["endpoint.created", "endpoint.updated", "endpoint.deleted", "endpoint.disabled"]))
        assert last_status() == 201
        assert (made.uid, made.description, made.metadata) == (name, "ops", {"a": "1"})
        assert len(made.event_types) == 4
        recent(made.created_at)
        refused(lambda: api.create(OperationalWebhookEndpointIn(url=url, uid=name)), 409)
        refused(lambda: api.create(OperationalWebhookEndpointIn(url="nonsense")), 422, "body.url")

    @check("operational-webhook.endpoint.get", "by id and by uid")
    def _():
        found = api.get(name)
        assert api.get(found.id) == found
        refused(lambda: api.get(nowhere("ep")), 404)
        refused(lambda: harness.other.operational_webhook.endpoint.get(found.id), 404)

    @check("operational-webhook.endpoint.upsert", "changes, and makes")
    def _():
        made = api.upsert(put, OperationalWebhookEndpointUpsertIn(url=url, uid=put, disabled=True))
        changed = api.upsert(put, OperationalWebhookEndpointUpsertIn(
            url=url, uid=put, disabled=True, description="two"))
        assert last_status() == 200 and (changed.id, changed.description) == (made.id, "two")
        bad = OperationalWebhookEndpointUpsertIn(url="nonsense")
        refused(lambda: api.upsert(put, bad), 422, "body.url")

    @check("operational-webhook.endpoint.list", "page by page, in both directions")
    def _():
        own = [api.get(name).id]
        own += [api.create(OperationalWebhookEndpointIn(url=url, disabled=True)).id for _ in range(3)]

        def ids(order):
            items, _ = pages(lambda **page: api.list(
                OperationalWebhookEndpointListOptions(**page, order=order)), 2)
            return [item.id for item in items if item.id in own]

        assert ids(Ordering.ASCENDING) == own and ids(Ordering.DESCENDING) == own[::-1]
        refused(lambda: api.list(OperationalWebhookEndpointListOptions(limit=0)), 422, "query.limit")


def settings(harness, name):
    check, api = harness.check, harness.svix.operational_webhook.endpoint

    @check("operational-webhook.endpoint.set-headers", "replaces")
    def _():
        api.set_headers(name, OperationalWebhookEndpointHeadersIn(
            headers={"x-ops": "2", "authorization": "Bearer s3cret"}))
        assert last_status() == 204
        bad = OperationalWebhookEndpointHeadersIn(headers={"a b": "1"})
        refused(lambda: api.set_headers(name, bad), 422, "body.headers")

    @check("operational-webhook.endpoint.get-headers", "of credentials only the names")
    def _():
        known = api.get_headers(name)
        assert known.headers == {"x-ops": "2"}
        assert [key.lower() for key in known.sensitive] == ["authorization"]
        refused(lambda: api.get_headers(nowhere("ep")), 404)


def arriving(harness, name):
    check, svix, receiver = harness.check, harness.svix, harness.receiver
    api, app = svix.operational_webhook.endpoint, f"watched-{harness.run}"
    app_id = svix.application.create(ApplicationIn(name="watched", uid=app)).id
    endpoint = svix.endpoint.create(app, EndpointIn(url=receiver.url(app), uid="watched")).id
    first = api.get_secret(name).key

    def event(kind):
        return receiver.find(name, lambda body: (
            body["type"] == kind and body["data"]["endpointId"] == endpoint))

    @check("operational-webhook.endpoint.get-secret", "verifies what arrives")
    def _():
        key, delivery = api.get_secret(name).key, event("endpoint.created")
        data = verified(key, delivery)["data"]
        assert (data["appId"], data["appUid"], data["endpointUid"]) == (app_id, app, "watched")
        assert delivery.headers["x-ops"] == "2"
        refused(lambda: api.get_secret(nowhere("ep")), 404)

    @check("operational-webhook.endpoint.rotate-secret", "both verify in the grace period")
    def _():
        second = fresh_secret()
        api.rotate_secret(name, OperationalWebhookEndpointSecretIn(key=second))
        assert last_status() == 204 and api.get_secret(name).key == second
        svix.endpoint.patch(app, endpoint, EndpointPatch(description="changed"))
        delivery = event("endpoint.updated")
        verified(first, delivery)
        verified(second, delivery)
        bad = OperationalWebhookEndpointSecretIn(key="short")
        refused(lambda: api.rotate_secret(name, bad), 422, "body.key")

    @check("operational-webhook.endpoint.get", "tells of what is disabled and deleted, and no more")
    def _():
        key = api.get_secret(api.get(name).id).key
        receiver.on(app, lambda _: (410, "gone"))
        svix.message.create(app, MessageIn(event_type="w.w", payload={}))
        assert verified(key, event("endpoint.disabled"))["data"]["appId"] == app_id
        svix.endpoint.delete(app, endpoint)
        event("endpoint.deleted")
        types = {json.loads(kept.body)["type"] for kept in receiver.requests(name)}
        assert types == {f"endpoint.{done}" for done in ("created", "updated", "disabled", "deleted")}, types


def troubles(harness):
    """Deliveries in trouble, and tasks that have finished, are told about."""
    svix, receiver, run = harness.svix, harness.receiver, harness.run
    app, name, kind = f"troubled-{run}", f"troubles-{run}", f"troubled.{run}"
    api = svix.operational_webhook.endpoint
    api.create(OperationalWebhookEndpointIn(url=receiver.url(name), uid=name, event_types=[
        "message.attempt.failing", "message.attempt.exhausted", "message.attempt.recovered",
        "background_task.finished"]))
    svix.event_type.create(EventTypeIn(name=kind, description="x"))
    harness.ours("PATCH", f"/api/v1/event-type/{kind}", {"retry": [0, 0, 0, 0]})
    app_id = svix.application.create(ApplicationIn(name="troubled", uid=app)).id
    never, late = f"never-{run}", f"late-{run}"
    receiver.on(never, lambda _: (500, "no"))
    receiver.on(late, lambda number: (500, "no") if number < 5 else (200, "received"))
    for uid in (never, late):
        svix.endpoint.create(app, EndpointIn(url=receiver.url(uid), uid=uid))

    @harness.check("operational-webhook.endpoint.get-secret", "failing, exhausted, recovered arrive")
    def _():
        message = svix.message.create(app, MessageIn(event_type=kind, payload={})).id
        key = api.get_secret(name).key
        for told, uid, code in [("failing", never, 500), ("failing", late, 500),
                                ("exhausted", never, 500), ("recovered", late, 200)]:
            delivery = receiver.find(name, lambda body: (
                body["type"] == f"message.attempt.{told}" and body["data"]["endpointUid"] == uid))
            data = verified(key, delivery)["data"]
            assert (data["appId"], data["msgId"]) == (app_id, message)
            assert data["lastAttempt"]["responseStatusCode"] == code

    @harness.check("operational-webhook.endpoint.get-secret", "a finished task arrives")
    def _():
        task = svix.statistics.aggregate_event_types().id
        delivery = receiver.find(name, lambda body: body["data"].get("taskId") == task)
        data = verified(api.get_secret(name).key, delivery)["data"]
        assert (data["task"], data["status"]) == ("event-type.aggregate", "finished")
        api.delete(name)
