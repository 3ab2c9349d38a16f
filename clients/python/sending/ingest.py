"""Ingest: sources made through the API, what is posted to them, and their endpoints."""

import hashlib
import hmac
import uuid
from urllib.parse import urlsplit

import httpx
from harness import last_status, nowhere, now, pages, recent, refused
from receiver import fresh_secret, genuine, verified
from svix.api.ingest_endpoint import IngestEndpointListOptions
from svix.api.ingest_source import IngestSourceListOptions
from svix.models import (
    GithubConfig,
    IngestEndpointHeadersIn,
    IngestEndpointIn,
    IngestEndpointSecretIn,
    IngestEndpointTransformationPatch,
    IngestEndpointUpsertIn,
    IngestSourceConsumerPortalAccessIn,
    IngestSourceIn,
    Ordering,
    SvixConfig,
)
from svix.webhooks import Webhook

GITHUB_SECRET = "It's a Secret to Everybody"
CODE = "function handler(webhook) { return webhook; }"


def ingest(harness):
    sources(harness)
    listing(harness)
    uid = f"recv-{harness.run}"
    source = harness.svix.ingest.source.create(github_source(uid))
    receiving(harness, uid, source.ingest_url)
    managing(harness, uid)
    settings(harness, uid, source.ingest_url)
    tokens(harness)
    portal(harness)


def github_source(uid, name="GitHub"):
    return IngestSourceIn(type="github", name=name, uid=uid, config=GithubConfig(secret=GITHUB_SECRET))


def plain_source(uid=None, name="plain"):
    return IngestSourceIn(type="generic-webhook", name=name, uid=uid, config={})


def post(harness, ingest_url, body, headers):
    """Posts to a source, at the address under test whatever the public one is."""
    return httpx.post(f"{harness.url}{urlsplit(ingest_url).path}", content=body, headers=headers)


def github(harness, ingest_url, body, key=GITHUB_SECRET):
    """Posts a webhook as GitHub signs it."""
    signature = hmac.new(key.encode(), body.encode(), hashlib.sha256).hexdigest()
    return post(harness, ingest_url, body.encode(), {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": str(uuid.uuid4()),
        "x-hub-signature-256": f"sha256={signature}",
    }).status_code


def sources(harness):
    check, api, other, run = harness.check, harness.svix.ingest.source, harness.other, harness.run
    uid = f"src-{run}"

    @check("ingest.source.create", "fields come back, secrets do not; refusals")
    def _():
        made = api.create(IngestSourceIn(
            type="github", name="GitHub", uid=uid, metadata={"a": "1"},
            config=GithubConfig(secret=GITHUB_SECRET)))
        assert last_status() == 201
        assert (made.type, made.name, made.uid, made.metadata) == ("github", "GitHub", uid, {"a": "1"})
        assert made.ingest_url.startswith("http") and GITHUB_SECRET not in repr(made)
        recent(made.created_at)
        refused(lambda: api.create(github_source(uid)), 409)
        bad = IngestSourceIn(type="stripe", name="x", config={"secret": "whsec_test"})
        bad.config = {}
        refused(lambda: api.create(bad), 422, "body")

    @check("ingest.source.get", "by id and by uid")
    def _():
        found = api.get(uid)
        assert api.get(found.id) == found
        refused(lambda: api.get(f"no-such-{run}"), 404)
        refused(lambda: other.ingest.source.get(found.id), 404)

    @check("ingest.source.upsert", "makes, then changes")
    def _():
        put = f"put-src-{run}"
        made = api.upsert(put, github_source(put, "one"))
        assert last_status() == 201
        changed = api.upsert(put, github_source(put, "two"))
        assert last_status() == 200
        assert (changed.id, changed.name, changed.ingest_url) == (made.id, "two", made.ingest_url)
        refused(lambda: api.upsert(put, github_source(uid)), 409)

    @check("ingest.source.delete", "is gone")
    def _():
        gone = api.create(plain_source())
        refused(lambda: other.ingest.source.delete(gone.id), 404)
        api.delete(gone.id)
        assert last_status() == 204
        refused(lambda: api.get(gone.id), 404)
        refused(lambda: api.delete(gone.id), 404)


def listing(harness):
    api = harness.svix.ingest.source
    own = [api.create(plain_source()).id for _ in range(4)]

    @harness.check("ingest.source.list", "page by page, in both directions")
    def _():
        def ids(order, limit):
            items, _ = pages(lambda **page: api.list(IngestSourceListOptions(**page, order=order)), limit)
            return [item.id for item in items if item.id in own]

        assert ids(Ordering.ASCENDING, 2) == own and ids(Ordering.DESCENDING, 3) == own[::-1]
        refused(lambda: api.list(IngestSourceListOptions(limit=0)), 422, "query.limit")


def receiving(harness, uid, ingest_url):
    check, svix, receiver = harness.check, harness.svix, harness.receiver

    @check("ingest.endpoint.create", "what GitHub signs arrives, what others sign does not; refusals")
    def _():
        api, url = svix.ingest.endpoint, receiver.url(uid)
        made = api.create(uid, IngestEndpointIn(
            url=url, uid="e", description="here", metadata={"a": "1"}, headers={"x-extra": "yes"}))
        assert last_status() == 201
        assert (made.description, made.metadata, made.disabled) == ("here", {"a": "1"}, False)
        body = '{"zen":  "Grüße",\n "n": 1}'
        assert 200 <= github(harness, ingest_url, body) < 300
        assert github(harness, ingest_url, '{"zen":"forged"}', "another secret") == 401
        [delivery] = receiver.wait(uid, 1)
        assert delivery.body == body.encode() and delivery.headers["x-extra"] == "yes"
        assert delivery.headers["x-github-event"] == "push"
        verified(api.get_secret(uid, "e").key, delivery)
        refused(lambda: api.create(uid, IngestEndpointIn(url=url, uid="e")), 409)
        refused(lambda: api.create(uid, IngestEndpointIn(url="nonsense")), 422, "body.url")

    @check("ingest.source.create", "what this SDK signs is genuine")
    def _():
        key, name = fresh_secret(), f"svix-{harness.run}"
        source = svix.ingest.source.create(IngestSourceIn(
            type="svix", name=name, uid=name, config=SvixConfig(secret=key)))
        svix.ingest.endpoint.create(name, IngestEndpointIn(url=receiver.url(name)))

        def send(secret):
            message, at, body = f"msg_{uuid.uuid4().hex}", now(), '{"a":1}'
            return post(harness, source.ingest_url, body, {
                "svix-id": message, "svix-timestamp": str(int(at.timestamp())),
                "svix-signature": Webhook(secret).sign(message, at, body)}).status_code

        assert send(fresh_secret()) == 401 and 200 <= send(key) < 300
        assert receiver.wait(name, 1)[0].body == b'{"a":1}'


def managing(harness, uid):
    check, api, receiver = harness.check, harness.svix.ingest.endpoint, harness.receiver
    url, other = receiver.url(f"{uid}-more"), harness.other.ingest.endpoint
    own = [api.get(uid, "e").id]
    own += [api.create(uid, IngestEndpointIn(url=url, uid=f"e{number}", disabled=True)).id
            for number in range(3)]

    @check("ingest.endpoint.list", "page by page, in both directions")
    def _():
        def ids(order):
            return [item.id for item in pages(lambda **page: api.list(
                uid, IngestEndpointListOptions(**page, order=order)), 2)[0]]

        assert ids(Ordering.ASCENDING) == own and ids(Ordering.DESCENDING) == own[::-1]
        refused(lambda: other.list(uid), 404)

    @check("ingest.endpoint.get", "by id and by uid")
    def _():
        found = api.get(uid, "e0")
        assert api.get(uid, found.id) == found
        refused(lambda: api.get(uid, nowhere("ep")), 404)

    @check("ingest.endpoint.upsert", "changes, and makes")
    def _():
        body = IngestEndpointUpsertIn(url=url, uid="e0", disabled=True, description="new")
        changed = api.upsert(uid, "e0", body)
        assert last_status() == 200 and (changed.id, changed.description) == (own[1], "new")
        made = api.upsert(uid, "e9", IngestEndpointUpsertIn(url=url, uid="e9", disabled=True))
        assert made.uid == "e9"
        refused(lambda: api.upsert(uid, "e0", IngestEndpointUpsertIn(url="nonsense")), 422, "body.url")

    @check("ingest.endpoint.delete", "is gone")
    def _():
        api.delete(uid, "e9")
        assert last_status() == 204
        refused(lambda: api.get(uid, "e9"), 404)
        refused(lambda: api.delete(uid, "e9"), 404)


def settings(harness, uid, ingest_url):
    check, api, receiver = harness.check, harness.svix.ingest.endpoint, harness.receiver
    secret = api.get_secret(uid, "e").key

    @check("ingest.endpoint.set-headers", "replaces")
    def _():
        api.set_headers(uid, "e", IngestEndpointHeadersIn(headers={"x-one": "1", "authorization": "Basic x"}))
        assert last_status() == 204
        bad = IngestEndpointHeadersIn(headers={"a b": "1"})
        refused(lambda: api.set_headers(uid, "e", bad), 422, "body.headers")

    @check("ingest.endpoint.get-headers", "of credentials only the names")
    def _():
        known = api.get_headers(uid, "e")
        assert known.headers == {"x-one": "1"}
        assert [name.lower() for name in known.sensitive] == ["authorization"]
        refused(lambda: api.get_headers(uid, nowhere("ep")), 404)

    @check("ingest.endpoint.rotate-secret", "both verify in the grace period")
    def _():
        fresh = fresh_secret()
        api.rotate_secret(uid, "e", IngestEndpointSecretIn(key=fresh))
        assert last_status() == 204
        assert 200 <= github(harness, ingest_url, '{"rotated":1}') < 300
        delivery = receiver.wait(uid, 2)[1]
        assert delivery.headers["authorization"] == "Basic x"
        verified(secret, delivery)
        verified(fresh, delivery)
        assert not genuine(fresh_secret(), delivery)
        refused(lambda: api.rotate_secret(uid, "e", IngestEndpointSecretIn(key="short")), 422, "body.key")

    @check("ingest.endpoint.get-secret", "the new one")
    def _():
        assert api.get_secret(uid, "e").key != secret
        refused(lambda: api.get_secret(uid, nowhere("ep")), 404)

    @check("ingest.endpoint.transformation.patch", "is kept")
    def _():
        patch = api.transformation.patch
        patch(uid, "e0", IngestEndpointTransformationPatch(code=CODE, enabled=True))
        assert last_status() == 204
        refused(lambda: patch(uid, "e0", IngestEndpointTransformationPatch(code="short")), 422, "body.code")

    @check("ingest.endpoint.transformation.get", "shows it")
    def _():
        kept = api.transformation.get(uid, "e0")
        assert (kept.code, kept.enabled) == (CODE, True)
        refused(lambda: api.transformation.get(uid, nowhere("ep")), 404)


def tokens(harness):
    check, api = harness.check, harness.svix.ingest.source

    @check("ingest.source.rotate-token", "a new URL; the old one works on for now")
    def _():
        uid = f"token-{harness.run}"
        before = api.create(github_source(uid)).ingest_url
        after = api.rotate_token(uid).ingest_url
        assert after != before and api.get(uid).ingest_url == after
        assert 200 <= github(harness, after, '{"new":1}') < 300
        assert 200 <= github(harness, before, '{"old":1}') < 300
        refused(lambda: api.rotate_token(f"no-such-{harness.run}"), 404)
        refused(lambda: harness.other.ingest.source.rotate_token(uid), 404)


def portal(harness):
    check, svix = harness.check, harness.svix

    @check("ingest.authentication.consumer-portal-access", "works for its source only; refusals")
    def _():
        uid, ask = f"portal-src-{harness.run}", svix.ingest.authentication.consumer_portal_access
        svix.ingest.source.create(plain_source(uid))
        url = harness.receiver.url(uid)

        def consumer(**body):
            return harness.client(ask(uid, IngestSourceConsumerPortalAccessIn(**body)).token)

        writer, reader = consumer(expiry=3_600), consumer(read_only=True)
        made = writer.ingest.endpoint.create(uid, IngestEndpointIn(url=url, disabled=True)).id
        refused(lambda: writer.ingest.endpoint.list(f"src-{harness.run}"), [403, 404])
        refused(lambda: writer.ingest.source.list(), 403)
        assert reader.ingest.endpoint.get(uid, made).id == made
        refused(lambda: reader.ingest.endpoint.delete(uid, made), 403)
        refused(lambda: ask(uid, IngestSourceConsumerPortalAccessIn(expiry=1)), 422, "body.expiry")
        refused(lambda: ask(f"no-such-{harness.run}", IngestSourceConsumerPortalAccessIn()), 404)
