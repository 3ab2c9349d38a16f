"""Portal access: what a customer's token may do, for how long, and for which application; and
integrations, programs with a key of their own.
"""

import time

from harness import last_status, nowhere, pages, recent, refused, until
from svix.api import EventTypeListOptions, IntegrationListOptions
from svix.models import (
    ApplicationIn,
    ApplicationTokenExpireIn,
    AppPortalAccessIn,
    AppPortalCapability,
    EndpointIn,
    EndpointPatch,
    EndpointSecretRotateIn,
    EventTypeIn,
    IntegrationIn,
    IntegrationUpdate,
    MessageIn,
    Ordering,
)


def access(harness):
    svix, app = harness.svix, f"portal-{harness.run}"
    svix.application.create(ApplicationIn(name="portal", uid=app))
    svix.application.create(ApplicationIn(name="elsewhere", uid=f"{app}-other"))
    svix.endpoint.create(app, EndpointIn(url=harness.receiver.url(app), uid="e"))
    opening(harness, app)
    ending(harness, app)


def opening(harness, app):
    check, svix, run = harness.check, harness.svix, harness.run
    url = harness.receiver.url(app)

    def portal(**body):
        out = svix.authentication.app_portal_access(app, AppPortalAccessIn(**body))
        assert out.url.startswith("http")
        return harness.client(out.token)

    @check("authentication.app-portal-access", "works for its application only")
    def _():
        client = portal()
        assert client.endpoint.get(app, "e").uid == "e"
        made = client.endpoint.create(app, EndpointIn(url=url, disabled=True)).id
        client.endpoint.delete(app, made)
        refused(lambda: client.endpoint.list(f"{app}-other"), [403, 404])
        refused(lambda: client.application.list(), 403)
        refused(lambda: client.message.create(app, MessageIn(event_type="a.b", payload={})), 403)
        refused(lambda: client.environment.export(), 403)
        refused(lambda: client.ingest.source.list(), 403)

    @check("authentication.app-portal-access", "capabilities and read-only")
    def _():
        viewer = portal(capabilities=[AppPortalCapability.VIEW_BASE])
        for client in (viewer, portal(read_only=True)):
            assert client.endpoint.get(app, "e").uid == "e"
            refused(lambda client=client: client.endpoint.create(app, EndpointIn(url=url)), 403)
            refused(lambda client=client: client.endpoint.patch(
                app, "e", EndpointPatch(disabled=True)), 403)
            refused(lambda client=client: client.endpoint.rotate_secret(
                app, "e", EndpointSecretRotateIn()), 403)
        refused(lambda: viewer.endpoint.get_secret(app, "e"), 403)
        shower = portal(capabilities=[AppPortalCapability.VIEW_BASE,
                                      AppPortalCapability.VIEW_ENDPOINT_SECRET])
        assert shower.endpoint.get_secret(app, "e").key.startswith("whsec_")

    @check("authentication.app-portal-access", "event types by feature flag")
    def _():
        shown, flagged = f"open.{run}", f"flagged.{run}"
        svix.event_type.create(EventTypeIn(name=shown, description="x"))
        svix.event_type.create(EventTypeIn(name=flagged, description="x", feature_flags=["beta"]))

        def names(client):
            items, _ = pages(lambda **page: client.event_type.list(EventTypeListOptions(**page)), 250)
            return {item.name for item in items}

        assert shown in names(portal()) and flagged not in names(portal())
        assert flagged in names(portal(feature_flags=["beta"]))

    @check("authentication.app-portal-access", "refusals")
    def _():
        ask = svix.authentication.app_portal_access
        refused(lambda: ask(app, AppPortalAccessIn(expiry=3_599)), 422, "body.expiry")
        refused(lambda: ask(app, AppPortalAccessIn(session_id="a b")), 422, "body.sessionId")
        refused(lambda: ask(nowhere("app"), AppPortalAccessIn()), 404)
        refused(lambda: harness.other.authentication.app_portal_access(app, AppPortalAccessIn()), 404)

    @check("health.get", "is up")
    def _():
        assert svix.health.get() is None and last_status() == 204


def ending(harness, app):
    check, svix = harness.check, harness.svix
    api = svix.authentication

    def portal(session_id=None):
        body = AppPortalAccessIn(session_id=session_id)
        return harness.client(api.app_portal_access(app, body).token)

    @check("authentication.logout", "the token is worth nothing afterwards")
    def _():
        client = portal()
        client.endpoint.list(app)
        client.authentication.logout()
        assert last_status() == 204
        refused(lambda: client.endpoint.list(app), 401)
        refused(lambda: api.logout(), [400, 403])

    @check("authentication.expire-all", "by session, then all")
    def _():
        one, two = portal("one"), portal("two")
        api.expire_all(app, ApplicationTokenExpireIn(expiry=0, session_ids=["one"]))
        assert last_status() == 204
        refused(lambda: one.endpoint.list(app), 401)
        two.endpoint.list(app)
        api.expire_all(app, ApplicationTokenExpireIn(expiry=2))
        two.endpoint.list(app)
        time.sleep(2.2)

        def ended():
            time.sleep(0.3)
            try:
                two.endpoint.list(app)
            except Exception as error:  # What it is, is looked at below.
                return error

        assert until("it has expired", ended, 8).status_code == 401

    @check("authentication.expire-all", "refusals")
    def _():
        long = ApplicationTokenExpireIn(expiry=259_201)
        refused(lambda: api.expire_all(app, long), 422, "body.expiry")
        refused(lambda: api.expire_all(nowhere("app"), ApplicationTokenExpireIn()), 404)
        refused(lambda: harness.other.authentication.expire_all(app, ApplicationTokenExpireIn()), 404)


def integrations(harness):
    check, svix, other = harness.check, harness.svix, harness.other
    app, api, made = f"integrated-{harness.run}", svix.integration, []
    svix.application.create(ApplicationIn(name="integrated", uid=app))

    @check("integration.create", "fields come back; refusals")
    def _():
        out = api.create(app, IntegrationIn(name="Zap", feature_flags=["beta"]))
        assert last_status() == 201
        assert (out.name, out.feature_flags) == ("Zap", ["beta"])
        recent(out.created_at)
        made.append(out.id)
        refused(lambda: api.create(app, IntegrationIn.model_construct()), 422, "body")
        refused(lambda: api.create(nowhere("app"), IntegrationIn(name="x")), 404)

    @check("integration.get", "known and unknown")
    def _():
        assert api.get(app, made[0]).name == "Zap"
        refused(lambda: api.get(app, nowhere("integ")), 404)
        refused(lambda: other.integration.get(app, made[0]), 404)

    @check("integration.update", "changes")
    def _():
        assert api.update(app, made[0], IntegrationUpdate(name="Zip")).name == "Zip"
        refused(lambda: api.update(app, made[0], IntegrationUpdate.model_construct()), 422, "body")
        refused(lambda: api.update(app, nowhere("integ"), IntegrationUpdate(name="x")), 404)

    @check("integration.list", "page by page, in both directions")
    def _():
        made.extend(api.create(app, IntegrationIn(name=str(number))).id for number in range(4))

        def ids(order):
            return [item.id for item in pages(lambda **page: api.list(
                app, IntegrationListOptions(**page, order=order)), 2)[0]]

        assert ids(Ordering.ASCENDING) == made and ids(Ordering.DESCENDING) == made[::-1]
        refused(lambda: api.list(app, IntegrationListOptions(limit=0)), 422, "query.limit")
        refused(lambda: other.integration.list(app), 404)

    @check("integration.rotate-key", "the key works, the one before no more")
    def _():
        first = harness.client(api.rotate_key(app, made[0]).key)
        first.endpoint.list(app)
        refused(lambda: first.application.list(), 403)
        second = harness.client(api.rotate_key(app, made[0]).key)
        refused(lambda: first.endpoint.list(app), 401)
        second.endpoint.list(app)
        refused(lambda: api.rotate_key(app, nowhere("integ")), 404)

    @check("integration.delete", "is gone")
    def _():
        refused(lambda: other.integration.delete(app, made[0]), 404)
        api.delete(app, made[0])
        assert last_status() == 204
        refused(lambda: api.get(app, made[0]), 404)
        refused(lambda: api.delete(app, made[0]), 404)
