//! Portal access and tokens (`v1.authentication`, `v1.ingest.authentication`, `becket.token`).

use axum::routing::{get, post};

use super::parameters::{ITERATOR, LIMIT, ORDER};
use super::{Route, by, changes, one, reads};
use crate::access::Capability;
use crate::handlers::{access, audit, oidc, sessions, tokens};

pub(super) const TABLE: &[Route] = &[
    changes(
        "/api/v1/auth/app-portal-access/{app_id}",
        "v1.authentication.app-portal-access",
        "Make a link and a token with which a customer sees the portal of an application.",
        "AppPortalAccessOut",
        || post(access::portal),
    )
    .body("AppPortalAccessIn")
    .secret()
    .payload(),
    changes(
        "/api/v1/auth/app/{app_id}/expire-all",
        "v1.authentication.expire-all",
        "End the portal tokens of an application, or those of some sessions.",
        "Empty",
        || post(access::expire_all),
    )
    .body("ApplicationTokenExpireIn")
    .empty(204),
    changes(
        "/api/v1/auth/logout",
        "v1.authentication.logout",
        "End the portal token that asks.",
        "Empty",
        || post(access::logout),
    )
    .empty(204)
    .portal(Capability::ViewBase),
    changes(
        "/api/v1/auth/one-time-token",
        "becket.one-time-token.exchange",
        "Exchange the one-time code of a portal link for the portal's token; works once.",
        "OneTimeTokenOut",
        || post(access::exchange),
    )
    .body("OneTimeTokenIn")
    .public(),
    changes(
        "/ingest/api/v1/source/{source_id}/dashboard",
        "v1.ingest.authentication.consumer-portal-access",
        "Make a link and a token with which a customer sees the portal of a source.",
        "AppPortalAccessOut",
        || post(access::source_portal),
    )
    .body("IngestSourceConsumerPortalAccessIn")
    .secret()
    .payload(),
    // --- ours ---
    reads(
        "/api/v1/becket/self",
        "becket.self",
        "Tell who is asking, and what the token allows.",
        "Self",
        || get(tokens::asking),
    )
    .portal(Capability::ViewBase),
    reads(
        "/api/v1/becket/sign-in",
        "becket.sign-in",
        "Tell how people can sign in with a browser.",
        "SignIn",
        || get(sessions::ways),
    )
    .public(),
    changes(
        "/api/v1/becket/session",
        "becket.session.begin",
        "Sign in with a browser: a token is exchanged for a cookie. Calls with the cookie that change something carry `X-Becket-Session: 1`.",
        "Self",
        || post(sessions::begin),
    )
    .body("SessionIn")
    .public()
    .unaudited(),
    by(
        "delete",
        changes(
            "/api/v1/becket/session",
            "becket.session.end",
            "Sign out: the session ends here, and the cookie is taken away.",
            "Empty",
            || axum::routing::delete(sessions::end),
        ),
    )
    .empty(204)
    .public()
    .unaudited(),
    reads(
        "/api/v1/becket/oidc/start",
        "becket.oidc.start",
        "Send a browser to the other place where people sign in.",
        "Empty",
        || get(oidc::start),
    )
    .query(&[one("return", "Text", "The path of this gateway that the browser comes back to.")])
    .empty(303)
    .public(),
    reads(
        "/api/v1/becket/oidc/callback",
        "becket.oidc.callback",
        "Take a browser back from there: it is signed in, or told why not by `/?problem=CODE`.",
        "Empty",
        || get(oidc::callback),
    )
    .query(&[
        one("code", "Text", "What the place gave the browser along."),
        one("state", "Text", "What it was sent there with."),
        one("error", "Text", "Why nobody signed in."),
        one("iss", "Text", "Who sent the browser back."),
    ])
    .empty(303)
    .public(),
    reads(
        "/api/v1/becket/audit",
        "becket.audit.list",
        "Show the audit log, newest first: every change, every secret shown, every sign-in.",
        "AuditPage",
        || get(audit::list),
    )
    .query(&[
        LIMIT,
        ITERATOR,
        one("since", "Time", "Only what was done at this moment or later."),
        one("until", "Time", "Only what was done before this moment."),
        one("action", "Text", "Only what is done to such things, `endpoint`, or exactly this, `endpoint.paused`."),
        one("by", "Text", "Only by this kind, this name or this token's id."),
        one("subject", "Text", "Only what was done to something with this in its name."),
    ])
    .admin(),
    reads(
        "/api/v1/becket/token",
        "becket.token.list",
        "List tokens, without their texts.",
        "TokenPage",
        || get(tokens::list),
    )
    .query(&[
        one(
            "application",
            "Text",
            "The portal tokens of this application or source; without it, the others.",
        ),
        LIMIT,
        ITERATOR,
        ORDER,
    ])
    .admin(),
    changes(
        "/api/v1/becket/token",
        "becket.token.create",
        "Make a token; its text is shown this once.",
        "TokenMade",
        || post(tokens::create),
    )
    .body("TokenIn")
    .status(201)
    .secret()
    .admin(),
    reads(
        "/api/v1/becket/token/{token_id}",
        "becket.token.get",
        "Show a token, without its text.",
        "Token",
        || get(tokens::get),
    )
    .admin(),
    by(
        "delete",
        reads(
            "/api/v1/becket/token/{token_id}",
            "becket.token.revoke",
            "Revoke a token: it is refused from now on.",
            "Empty",
            || axum::routing::delete(tokens::revoke),
        ),
    )
    .empty(204)
    .admin(),
];
