"""Endpoints: fields, pages, patches, headers, secrets and their rotation, transformations."""

import base64

from harness import last_status, nowhere, pages, recent, refused, types
from receiver import fresh_secret, genuine, verified
from svix.api import EndpointListOptions
from svix.models import (
    ApplicationIn,
    EndpointHeadersIn,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointPatch,
    EndpointSecretRotateIn,
    EndpointTransformationPatch,
    EndpointUpsertIn,
    MessageIn,
    Ordering,
)

# The first key pair of RFC 8032, section 7.1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
CODE = "function handler(webhook) { return webhook; }"


def endpoints(harness):
    app = f"endpoints-{harness.run}"
    types(harness.svix, "a.one", "a.two")
    harness.svix.application.create(ApplicationIn(name="endpoints", uid=app))
    harness.svix.application.create(ApplicationIn(name="another", uid=f"{app}-other"))
    making(harness, app)
    changing(harness, app)
    listing(harness, app)
    headers(harness, app)
    secrets(harness, app)
    transformations(harness, app)
    removing(harness, app)


def making(harness, app):
    check, svix, run = harness.check, harness.svix, harness.run
    url = harness.receiver.url(f"made-{run}")

    @check("endpoint.create", "every field comes back")
    def _():
        made = svix.endpoint.create(app, EndpointIn(
            url=url, uid=f"ep-{run}", description="Ünï", throttle_rate=9, disabled=True,
            event_types=["a.one", "a.two"], channels=["c1", "c:2"], metadata={"team": "x"},
            secret=fresh_secret(), headers={"x-team": "x"}))
        assert last_status() == 201
        assert (made.url, made.uid, made.description) == (url, f"ep-{run}", "Ünï")
        assert (made.throttle_rate, made.disabled, made.metadata) == (9, True, {"team": "x"})
        assert sorted(made.event_types) == ["a.one", "a.two"]
        assert sorted(made.channels) == ["c1", "c:2"]
        recent(made.created_at)

    @check("endpoint.create", "None is as good as nothing")
    def _():
        made = svix.endpoint.create(app, EndpointIn(
            url=url, description=None, disabled=None, metadata=None, channels=None, headers=None))
        assert (made.description, made.disabled, made.metadata) == ("", False, {})
        assert made.uid is None and made.event_types is None and made.channels is None

    @check("endpoint.create", "refusals")
    def _():
        def create(**more):
            return lambda: svix.endpoint.create(app, EndpointIn.model_construct(**{"url": url, **more}))

        refused(lambda: svix.endpoint.create(app, EndpointIn.model_construct(uid="x")), 422, "body")
        for field, value in [
            ("url", "not a url"), ("url", "ftp://example.com/x"), ("event_types", []),
            ("event_types", [f"no.such-{run}"]),
            ("channels", []), ("channels", list("abcdefghijk")), ("secret", "whsec_?"),
            ("throttle_rate", 0), ("headers", {"webhook-signature": "x"}), ("url", 7),
        ]:
            wire = {"event_types": "eventTypes", "throttle_rate": "throttleRate"}.get(field, field)
            refused(create(**{field: value}), 422, f"body.{wire}")
        refused(create(uid=f"ep-{run}"), 409)
        refused(lambda: svix.endpoint.create(nowhere("app"), EndpointIn(url=url)), 404)
        refused(lambda: harness.stranger.endpoint.create(app, EndpointIn(url=url)), 401)


def changing(harness, app):
    check, svix, other, run = harness.check, harness.svix, harness.other, harness.run
    uid = f"ep-{run}"

    @check("endpoint.get", "by id and by uid; not another's")
    def _():
        found = svix.endpoint.get(app, uid)
        assert svix.endpoint.get(svix.application.get(app).id, found.id) == found
        refused(lambda: svix.endpoint.get(app, nowhere("ep")), 404)
        refused(lambda: svix.endpoint.get(f"{app}-other", found.id), 404)
        refused(lambda: other.endpoint.get(app, found.id), 404)

    @check("endpoint.patch", "absent keeps, None removes")
    def _():
        named = svix.endpoint.patch(app, uid, EndpointPatch(description="patched"))
        assert (named.description, named.throttle_rate) == ("patched", 9)
        bare = svix.endpoint.patch(app, uid, EndpointPatch(
            throttle_rate=None, channels=None, event_types=None, disabled=False))
        assert (bare.throttle_rate, bare.channels, bare.event_types) == (None, None, None)
        assert (bare.disabled, bare.description, bare.metadata) == (False, "patched", {"team": "x"})
        refused(lambda: svix.endpoint.patch(app, uid, EndpointPatch(url="nonsense")), 422, "body.url")
        refused(lambda: svix.endpoint.patch(app, nowhere("ep"), EndpointPatch(description="x")), 404)

    @check("endpoint.upsert", "makes, then changes")
    def _():
        put, url = f"put-{run}", harness.receiver.url(f"put-{run}")
        made = svix.endpoint.upsert(app, put, EndpointUpsertIn(url=url, uid=put, channels=["c"]))
        assert last_status() == 201
        key = svix.endpoint.get_secret(app, put).key
        changed = svix.endpoint.upsert(app, put, EndpointUpsertIn(url=url, uid=put, description="two"))
        assert last_status() == 200
        assert (changed.id, changed.description, changed.channels) == (made.id, "two", None)
        assert svix.endpoint.get_secret(app, put).key == key
        refused(lambda: svix.endpoint.upsert(app, put, EndpointUpsertIn(url="nonsense")), 422, "body.url")


def listing(harness, app):
    check, svix = harness.check, harness.svix
    url = harness.receiver.url(f"listed-{harness.run}")
    own = [svix.endpoint.create(app, EndpointIn(url=url)).id for _ in range(5)]

    @check("endpoint.list", "page by page, in both directions; refusals")
    def _():
        def ask(**more):
            return lambda **page: svix.endpoint.list(app, EndpointListOptions(**page, **more))

        items, count = pages(ask(order=Ordering.ASCENDING), 2)
        assert count > 3 and [item.id for item in items if item.id in own] == own
        items, _ = pages(ask(order=Ordering.DESCENDING), 3)
        assert [item.id for item in items if item.id in own] == own[::-1]
        refused(lambda: ask()(limit=0), 422, "query.limit")
        refused(lambda: ask()(iterator="nonsense"), 422, "query.iterator")
        refused(lambda: svix.endpoint.list(nowhere("app")), 404)
        refused(lambda: harness.other.endpoint.list(app), 404)


def headers(harness, app):
    check, svix, receiver = harness.check, harness.svix, harness.receiver
    name = f"headers-{harness.run}"
    endpoint = svix.endpoint.create(app, EndpointIn(url=receiver.url(name), channels=[name])).id

    def known():
        out = svix.endpoint.get_headers(app, endpoint)
        return ({key.lower(): value for key, value in out.headers.items()},
                [key.lower() for key in out.sensitive])

    @check("endpoint.set-headers", "are added to deliveries")
    def _():
        svix.endpoint.set_headers(app, endpoint, EndpointHeadersIn(
            headers={"X-One": "1", "authorization": "Bearer s3cret"}))
        assert last_status() == 204
        svix.message.create(app, MessageIn(event_type="h.h", payload={}, channels=[name]))
        [delivery] = receiver.wait(name, 1)
        assert delivery.headers["x-one"] == "1"
        assert delivery.headers["authorization"] == "Bearer s3cret"
        bad = EndpointHeadersIn(headers={"content-length": "1"})
        refused(lambda: svix.endpoint.set_headers(app, endpoint, bad), 422, "body.headers")
        refused(lambda: svix.endpoint.set_headers(app, nowhere("ep"), EndpointHeadersIn(headers={})), 404)

    @check("endpoint.get-headers", "of credentials only the names")
    def _():
        assert known() == ({"x-one": "1"}, ["authorization"])
        refused(lambda: svix.endpoint.get_headers(app, nowhere("ep")), 404)

    @check("endpoint.patch-headers", "adds, changes and removes")
    def _():
        svix.endpoint.patch_headers(app, endpoint, EndpointHeadersPatchIn(
            headers={"x-one": "uno", "x-two": "2"}, delete_headers=["Authorization"]))
        assert last_status() == 204
        assert known() == ({"x-one": "uno", "x-two": "2"}, [])
        bad = EndpointHeadersPatchIn(headers={"a b": "1"})
        refused(lambda: svix.endpoint.patch_headers(app, endpoint, bad), 422, "body.headers")


def secrets(harness, app):
    check, svix, receiver, run = harness.check, harness.svix, harness.receiver, harness.run

    @check("endpoint.get-secret", "made or given, it verifies")
    def _():
        name, given = f"secret-{run}", fresh_secret()
        made = svix.endpoint.create(app, EndpointIn(url=receiver.url(name), channels=[name])).id
        key = svix.endpoint.get_secret(app, made).key
        assert key.startswith("whsec_")
        other = svix.endpoint.create(app, EndpointIn(
            url=receiver.url(name), secret=given, disabled=True)).id
        assert svix.endpoint.get_secret(app, other).key == given
        svix.message.create(app, MessageIn(event_type="s.s", payload={"a": 1}, channels=[name]))
        [delivery] = receiver.wait(name, 1)
        assert verified(key, delivery) == {"a": 1} and not genuine(given, delivery)
        refused(lambda: svix.endpoint.get_secret(app, nowhere("ep")), 404)
        refused(lambda: harness.other.endpoint.get_secret(app, made), 404)

    name, first, second = f"rotated-{run}", fresh_secret(), fresh_secret()
    endpoint = svix.endpoint.create(app, EndpointIn(
        url=receiver.url(name), secret=first, channels=[name])).id

    def deliver(count):
        svix.message.create(app, MessageIn(event_type="r.r", payload={}, channels=[name]))
        return receiver.wait(name, count)[count - 1]

    @check("endpoint.rotate-secret", "answers the new one; both verify while the old one has grace")
    def _():
        answer = svix.endpoint.rotate_secret(app, endpoint, EndpointSecretRotateIn(
            key=second, grace_period_seconds=3_600))
        assert last_status() == 200 and answer.key == second
        delivery = deliver(1)
        verified(first, delivery)
        verified(second, delivery)

    @check("endpoint.rotate-secret", "a made one, without grace, is the only one; refusals")
    def _():
        key = svix.endpoint.rotate_secret(app, endpoint, EndpointSecretRotateIn(
            grace_period_seconds=0)).key
        assert key not in (first, second) and svix.endpoint.get_secret(app, endpoint).key == key
        delivery = deliver(2)
        assert genuine(key, delivery) and not genuine(second, delivery)
        rotate = svix.endpoint.rotate_secret
        refused(lambda: rotate(app, endpoint, EndpointSecretRotateIn(key="short")), 422, "body.key")
        refused(lambda: rotate(app, endpoint, EndpointSecretRotateIn(grace_period_seconds=604_801)),
                422, "body.gracePeriodSeconds")
        refused(lambda: rotate(app, nowhere("ep"), EndpointSecretRotateIn()), 404)

    @check("endpoint.get-secret", "of an Ed25519 secret the public half is shown")
    def _():
        name = f"ed25519-{run}"
        whsk = f"whsk_{base64.b64encode(SEED + PUBLIC).decode()}"
        endpoint = svix.endpoint.create(app, EndpointIn(
            url=receiver.url(name), secret=whsk, channels=[name])).id
        key = svix.endpoint.get_secret(app, endpoint).key
        assert key == f"whpk_{base64.b64encode(PUBLIC).decode()}", key
        svix.message.create(app, MessageIn(event_type="e.e", payload={}, channels=[name]))
        [delivery] = receiver.wait(name, 1)
        version, signature = delivery.headers["webhook-signature"].split(",")
        assert version == "v1a" and len(base64.b64decode(signature)) == 64


def transformations(harness, app):
    check, api = harness.check, harness.svix.endpoint.transformation
    endpoint = harness.svix.endpoint.create(app, EndpointIn(
        url=harness.receiver.url("nothing"), disabled=True)).id

    @check("endpoint.transformation.patch", "absent keeps, None removes; refusals")
    def _():
        def patch(**body):
            return api.patch(app, endpoint, EndpointTransformationPatch(**body))

        patch(code=CODE, enabled=True, variables={"KEY": "v"})
        assert last_status() == 204
        kept = api.get(app, endpoint)
        assert (kept.code, kept.enabled, kept.variables) == (CODE, True, {"KEY": "v"})
        patch(enabled=False)
        assert (api.get(app, endpoint).code, api.get(app, endpoint).enabled) == (CODE, False)
        patch(code=None)
        assert api.get(app, endpoint).code is None
        refused(lambda: patch(code="short"), 422, "body.code")

    @check("endpoint.transformation.get", "none at first")
    def _():
        fresh = harness.svix.endpoint.create(app, EndpointIn(
            url=harness.receiver.url("nothing"), disabled=True)).id
        none = api.get(app, fresh)
        assert none.code is None and not none.enabled
        refused(lambda: api.get(app, nowhere("ep")), 404)


def removing(harness, app):
    check, svix, receiver = harness.check, harness.svix, harness.receiver

    @check("endpoint.delete", "is gone and gets nothing more")
    def _():
        gone, there = f"gone-{harness.run}", f"there-{harness.run}"
        endpoint = svix.endpoint.create(app, EndpointIn(url=receiver.url(gone), channels=[gone])).id
        svix.endpoint.create(app, EndpointIn(url=receiver.url(there), channels=[gone]))
        refused(lambda: harness.other.endpoint.delete(app, endpoint), 404)
        svix.endpoint.delete(app, endpoint)
        assert last_status() == 204
        refused(lambda: svix.endpoint.get(app, endpoint), 404)
        refused(lambda: svix.endpoint.delete(app, endpoint), 404)
        svix.message.create(app, MessageIn(event_type="d.d", payload={}, channels=[gone]))
        receiver.wait(there, 1)
        assert not receiver.requests(gone)
