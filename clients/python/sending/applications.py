"""Applications, event types, and moving what they define to another tenant."""

import asyncio

from harness import last_status, nowhere, pages, recent, refused
from svix.api import ApplicationListOptions, EventTypeListOptions
from svix.api.application import ApplicationCreateOptions
from svix.api.event_type import EventTypeDeleteOptions
from svix.models import (
    ApplicationIn,
    ApplicationPatch,
    EndpointIn,
    EnvironmentIn,
    EventTypeImportOpenApiIn,
    EventTypeIn,
    EventTypePatch,
    EventTypeUpsertIn,
    MessageIn,
    Ordering,
)

SCHEMA = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}


def applications(harness):
    making(harness)
    changing(harness)
    listing(harness)
    repeating(harness)


def making(harness):
    check, svix, run = harness.check, harness.svix, harness.run
    uid = f"app-{run}"

    @check("application.create", "every field comes back")
    def _():
        made = svix.application.create(ApplicationIn(
            name="Ünïted", uid=uid, throttle_rate=50, metadata={"plan": "pro"}))
        assert last_status() == 201
        assert made.id.startswith("app_") and len(made.id) == 31
        assert (made.name, made.uid, made.throttle_rate) == ("Ünïted", uid, 50)
        assert made.metadata == {"plan": "pro"}
        recent(made.created_at)
        recent(made.updated_at)

    @check("application.create", "None is as good as nothing")
    def _():
        made = svix.application.create(ApplicationIn(
            name="plain", uid=None, throttle_rate=None, metadata=None))
        assert made.uid is None and made.throttle_rate is None and made.metadata == {}

    @check("application.create", "refusals")
    def _():
        create = svix.application.create
        refused(lambda: create(ApplicationIn(name="again", uid=uid)), 409)
        for body, at in [
            (ApplicationIn(name=""), "body.name"),
            (ApplicationIn.model_construct(name=5), "body.name"),
            (ApplicationIn.model_construct(uid=f"x-{run}"), "body"),
            (ApplicationIn(name="x", uid="a b"), "body.uid"),
            (ApplicationIn(name="x", throttle_rate=0), "body.throttleRate"),
        ]:
            refused(lambda body=body: create(body), 422, at)
        refused(lambda: harness.stranger.application.create(ApplicationIn(name="x")), 401)

    @check("application.create", "get_or_create answers the one that is there")
    def _():
        there = svix.application.get_or_create(ApplicationIn(name="changed", uid=uid))
        assert last_status() == 200 and there.name == "Ünïted"
        fresh = svix.application.get_or_create(ApplicationIn(name="fresh", uid=f"fresh-{run}"))
        assert last_status() == 201 and fresh.name == "fresh"

    @check("application.get", "by id and by uid, also asynchronously")
    def _():
        found = svix.application.get(uid)
        assert svix.application.get(found.id) == found

        async def ask():
            client = harness.asynchronous(harness.token)
            found = await client.application.get(uid)
            await client._httpx_client.aclose()
            return found

        assert asyncio.run(ask()) == found
        refused(lambda: svix.application.get(nowhere("app")), 404)
        refused(lambda: harness.other.application.get(found.id), 404)
        refused(lambda: harness.other.application.get(uid), 404)


def changing(harness):
    check, svix, run = harness.check, harness.svix, harness.run
    uid = f"app-{run}"

    @check("application.patch", "absent keeps, None removes")
    def _():
        named = svix.application.patch(uid, ApplicationPatch(name="renamed"))
        assert (named.name, named.throttle_rate, named.metadata) == ("renamed", 50, {"plan": "pro"})
        free = svix.application.patch(uid, ApplicationPatch(throttle_rate=None))
        assert free.throttle_rate is None and free.name == "renamed"
        nameless = svix.application.patch(uid, ApplicationPatch(uid=None))
        assert nameless.uid is None
        refused(lambda: svix.application.get(uid), 404)
        assert svix.application.patch(nameless.id, ApplicationPatch(uid=uid)).uid == uid
        refused(lambda: svix.application.patch(uid, ApplicationPatch(name="")), 422, "body.name")
        refused(lambda: svix.application.patch(uid, ApplicationPatch(uid=f"fresh-{run}")), 409)
        refused(lambda: harness.other.application.patch(uid, ApplicationPatch(name="x")), 404)

    @check("application.upsert", "makes, then changes")
    def _():
        put = f"put-{run}"
        made = svix.application.upsert(put, ApplicationIn(name="one", uid=put, metadata={"a": "1"}))
        assert last_status() == 201
        changed = svix.application.upsert(put, ApplicationIn(name="two", uid=put))
        assert last_status() == 200
        assert (changed.id, changed.name, changed.metadata) == (made.id, "two", {})
        refused(lambda: svix.application.upsert(put, ApplicationIn(name="")), 422, "body.name")

    @check("application.delete", "is gone, and its name is free")
    def _():
        gone = svix.application.create(ApplicationIn(name="gone", uid=f"gone-{run}"))
        refused(lambda: harness.other.application.delete(gone.id), 404)
        svix.application.delete(f"gone-{run}")
        assert last_status() == 204
        refused(lambda: svix.application.get(gone.id), 404)
        refused(lambda: svix.application.delete(gone.id), 404)
        again = svix.application.create(ApplicationIn(name="again", uid=f"gone-{run}"))
        assert again.id != gone.id


def listing(harness):
    check, svix, run = harness.check, harness.svix, harness.run
    own = [svix.application.create(ApplicationIn(name=f"listed {number}", uid=f"l-{run}-{number}")).id
           for number in range(5)]

    def ask(**more):
        return lambda **page: svix.application.list(ApplicationListOptions(**page, **more))

    def among(items):
        return [item.id for item in items if item.id in own]

    @check("application.list", "page by page, in both directions")
    def _():
        items, count = pages(ask(order=Ordering.ASCENDING), 3)
        assert count > 1 and among(items) == own
        assert len({item.id for item in items}) == len(items)
        assert among(pages(ask(order=Ordering.DESCENDING), 4)[0]) == own[::-1]

    @check("application.list", "by their endpoints")
    def _():
        url = harness.receiver.url("nothing")
        svix.endpoint.create(own[0], EndpointIn(url=url))
        svix.endpoint.create(own[1], EndpointIn(url=url, disabled=True))
        some = ask(order=Ordering.ASCENDING, exclude_apps_with_no_endpoints=True)
        assert among(pages(some, 100)[0]) == own[:2]
        enabled = ask(order=Ordering.ASCENDING, exclude_apps_with_no_endpoints=True,
                      exclude_apps_with_disabled_endpoints=True)
        assert among(pages(enabled, 100)[0]) == own[:1]

    @check("application.list", "refusals")
    def _():
        refused(lambda: ask()(limit=0), 422, "query.limit")
        refused(lambda: ask()(limit=251), 422, "query.limit")
        refused(lambda: ask()(iterator="nonsense"), 422, "query.iterator")
        refused(lambda: harness.stranger.application.list(), 401)


def repeating(harness):
    check, svix, run = harness.check, harness.svix, harness.run

    @check("application.create", "a repeat with its key gets the first answer")
    def _():
        body, key = ApplicationIn(name=f"repeated {run}"), ApplicationCreateOptions(f"key-{run}")
        first = svix.application.create(body, key)
        assert svix.application.create(body, key) == first
        items, _ = pages(lambda **page: svix.application.list(ApplicationListOptions(**page)), 250)
        assert sum(item.name == body.name for item in items) == 1
        refused(lambda: svix.application.create(ApplicationIn(name="another"), key), 422)
        assert harness.other.application.create(body, key).id != first.id


def event_types(harness):
    types(harness)
    archive(harness)
    importing(harness)
    moving(harness)


def types(harness):
    check, svix, run = harness.check, harness.svix, harness.run
    name = f"order.paid-{run}"

    @check("event-type.create", "every field comes back; refusals")
    def _():
        made = svix.event_type.create(EventTypeIn(
            name=name, description="An order was paid", schemas={"1": SCHEMA},
            group_name="orders", feature_flags=["beta"], deprecated=True))
        assert last_status() == 201
        assert (made.name, made.description, made.schemas) == (name, "An order was paid", {"1": SCHEMA})
        assert (made.group_name, made.feature_flags, made.deprecated) == ("orders", ["beta"], True)
        recent(made.created_at)
        create = svix.event_type.create
        refused(lambda: create(EventTypeIn(name=name, description="again")), 409)
        refused(lambda: create(EventTypeIn(name="a b", description="x")), 422, "body.name")
        refused(lambda: create(EventTypeIn.model_construct(name=f"x-{run}")), 422, "body")
        refused(lambda: harness.stranger.event_type.create(EventTypeIn(name="x", description="x")), 401)

    @check("event-type.get", "known, unknown, another tenant's")
    def _():
        assert svix.event_type.get(name).description == "An order was paid"
        refused(lambda: svix.event_type.get(f"no.such-{run}"), 404)
        refused(lambda: harness.other.event_type.get(name), 404)

    @check("event-type.patch", "absent keeps, None removes")
    def _():
        described = svix.event_type.patch(name, EventTypePatch(description="Paid"))
        assert (described.description, described.group_name) == ("Paid", "orders")
        assert described.schemas == {"1": SCHEMA}
        bare = svix.event_type.patch(name, EventTypePatch(group_name=None, feature_flags=None))
        assert bare.group_name is None and not bare.feature_flags and bare.description == "Paid"
        refused(lambda: svix.event_type.patch(f"no.such-{run}", EventTypePatch(description="x")), 404)

    @check("event-type.upsert", "makes, then changes")
    def _():
        put = f"order.put-{run}"
        svix.event_type.upsert(put, EventTypeUpsertIn(description="one", group_name="g"))
        assert last_status() == 201
        changed = svix.event_type.upsert(put, EventTypeUpsertIn(description="two"))
        assert last_status() == 200
        assert (changed.description, changed.group_name) == ("two", None)
        refused(lambda: svix.event_type.upsert(put, EventTypeUpsertIn.model_construct()), 422, "body")

    @check("event-type.list", "page by page, in both directions, with schemas on demand")
    def _():
        names = [f"zz.listed-{run}-{number}" for number in range(5)]
        for listed in names:
            svix.event_type.create(EventTypeIn(name=listed, description="x", schemas={"1": SCHEMA}))

        def ask(**more):
            return lambda **page: svix.event_type.list(EventTypeListOptions(**page, **more))

        items, _ = pages(ask(order=Ordering.ASCENDING), 2)
        assert [item.name for item in items if item.name in names] == names
        items, _ = pages(ask(order=Ordering.DESCENDING, with_content=True), 3)
        assert [item.name for item in items if item.name in names] == names[::-1]
        assert all(item.schemas == {"1": SCHEMA} for item in items if item.name in names)
        items, _ = pages(ask(), 100)
        assert all(item.schemas is None for item in items)
        refused(lambda: ask()(limit=1_000), 422, "query.limit")


def archive(harness):
    check, svix, run = harness.check, harness.svix, harness.run
    name = f"order.gone-{run}"
    svix.event_type.create(EventTypeIn(name=name, description="one"))
    app = svix.application.create(ApplicationIn(name="archived types")).id

    @check("event-type.delete", "archives; creating unarchives; expunge forgets")
    def _():
        refused(lambda: harness.other.event_type.delete(name), 404)
        svix.event_type.delete(name)
        assert last_status() == 204
        assert svix.event_type.get(name).archived is True

        def listed(include_archived):
            items, _ = pages(lambda **page: svix.event_type.list(
                EventTypeListOptions(**page, include_archived=include_archived)), 250)
            return any(item.name == name for item in items)

        assert listed(True) and not listed(False)
        refused(lambda: svix.message.create(app, MessageIn(event_type=name, payload={})), 422)
        again = svix.event_type.create(EventTypeIn(name=name, description="two"))
        assert again.description == "two" and not again.archived
        svix.event_type.delete(name, EventTypeDeleteOptions(expunge=True))
        refused(lambda: svix.event_type.get(name), 404)
        refused(lambda: svix.event_type.delete(name), 404)


def document(name, description):
    """An OpenAPI document with one webhook."""
    schema = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    body = {"content": {"application/json": {"schema": schema}}}
    return {"openapi": "3.1.0", "info": {"title": "Shop", "version": "1"}, "webhooks": {
        name: {"post": {"description": description, "requestBody": body}}}}


def importing(harness):
    check, svix, other, run = harness.check, harness.svix, harness.other, harness.run
    name = f"pet.new-{run}"

    @check("event-type.import-openapi", "a trial, then for good")
    def _():
        trial = svix.event_type.import_openapi(EventTypeImportOpenApiIn(
            spec=document(name, "A pet"), dry_run=True))
        assert [item.name for item in trial.data.to_modify] == [name]
        assert trial.data.to_modify[0].description == "A pet"
        refused(lambda: svix.event_type.get(name), 404)
        svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=document(name, "A pet")))
        assert "name" in str(svix.event_type.get(name).schemas)
        raw = ("openapi: 3.1.0\ninfo: {title: Shop, version: '1'}\nx-webhooks:\n"
               f"  {name}:\n    post: {{description: A new pet}}\n")
        svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec_raw=raw))
        assert svix.event_type.get(name).description == "A new pet"

    @check("event-type.import-openapi", "replace_all archives the rest; refusals")
    def _():
        other.event_type.upsert(f"rest-{run}", EventTypeUpsertIn(description="not in there"))
        other.event_type.import_openapi(EventTypeImportOpenApiIn(
            spec=document(name, "A pet"), replace_all=True))
        assert other.event_type.get(f"rest-{run}").archived is True
        load = svix.event_type.import_openapi
        refused(lambda: load(EventTypeImportOpenApiIn()), [400, 422])
        refused(lambda: load(EventTypeImportOpenApiIn(spec_raw="a: [")), [400, 422])


def moving(harness):
    check, svix, other, run = harness.check, harness.svix, harness.other, harness.run
    name = f"moved.{run}"
    svix.event_type.create(EventTypeIn(
        name=name, description="moves", schemas={"1": SCHEMA}, group_name="moving"))

    @check("environment.export", "has the event types")
    def _():
        out = svix.environment.export()
        own = next(item for item in out.event_types if item.name == name)
        assert (own.description, own.group_name, own.schemas) == ("moves", "moving", {"1": SCHEMA})
        recent(out.created_at)
        refused(lambda: harness.stranger.environment.export(), 401)

    @check("environment.import", "another tenant gets them")
    def _():
        out = svix.environment.export()
        given = EventTypeIn.model_fields
        moved = [EventTypeIn(**{field: value for field, value in item.model_dump().items()
                                if field in given}) for item in out.event_types]
        for _ in range(2):
            other.environment.import_(EnvironmentIn(event_types=moved, settings=out.settings))
            assert last_status() == 204
            assert other.event_type.get(name).schemas == {"1": SCHEMA}
        bad = EnvironmentIn(event_types=[EventTypeIn(name="not a name", description="x")])
        refused(lambda: other.environment.import_(bad), 422, "body")
