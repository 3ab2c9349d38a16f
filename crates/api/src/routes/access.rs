//! Portal access and tokens (`v1.authentication`, `v1.ingest.authentication`, `becket.token`).

use axum::routing::{get, post};

use super::parameters::{ITERATOR, LIMIT, ORDER};
use super::{Route, by, changes, one, reads};
use crate::access::Capability;
use crate::handlers::{access, tokens};

pub(super) const TABLE: &[Route] = &[
    changes(
        "/api/v1/auth/app-portal-access/{app_id}",
        "v1.authentication.app-portal-access",
        "Make a link and a token with which a customer sees the portal of an application.",
        "AppPortalAccessOut",
        || post(access::portal),
    )
    .body("AppPortalAccessIn")
    .secret(),
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
    .secret(),
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
    ]),
    changes(
        "/api/v1/becket/token",
        "becket.token.create",
        "Make a token; its text is shown this once.",
        "TokenMade",
        || post(tokens::create),
    )
    .body("TokenIn")
    .status(201)
    .secret(),
    reads(
        "/api/v1/becket/token/{token_id}",
        "becket.token.get",
        "Show a token, without its text.",
        "Token",
        || get(tokens::get),
    ),
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
    .empty(204),
];
