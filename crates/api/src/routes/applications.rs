//! Customers: applications and what is set for them (`v1.application`).

use axum::routing::{delete, get, patch, post, put};

use super::parameters::{ITERATOR, LIMIT, ORDER};
use super::{Route, by, changes, one, reads};
use crate::access::Capability::ViewBase;
use crate::handlers::applications;

pub(super) const TABLE: &[Route] = &[
    reads(
        "/api/v1/app",
        "v1.application.list",
        "List applications. With a filter a page may be short, and even empty, without being the last.",
        "ListResponse_ApplicationOut_",
        || get(applications::list),
    )
    .query(&[
        LIMIT,
        ITERATOR,
        ORDER,
        one("exclude_apps_with_no_endpoints", "Flag", "Leave out those without endpoints."),
        one("exclude_apps_with_disabled_endpoints", "Flag", "Leave out those whose endpoints are all disabled."),
        one("exclude_apps_with_svix_play_endpoints", "Flag", "Leave out those whose endpoints are all addresses for trying out."),
    ]),
    changes("/api/v1/app", "v1.application.create", "Make an application.", "ApplicationOut", || {
        post(applications::create)
    })
    .query(&[one("get_if_exists", "Flag", "Answer with the application that has the uid already.")])
    .body("ApplicationIn")
    .status(201)
    .also(200),
    reads("/api/v1/app/{app_id}", "v1.application.get", "Show an application.", "ApplicationOut", || {
        get(applications::get)
    })
    .portal(ViewBase),
    by("patch", changes(
        "/api/v1/app/{app_id}",
        "v1.application.patch",
        "Change an application; what is absent stays.",
        "ApplicationOut",
        || patch(applications::patch),
    ))
    .body("ApplicationPatch"),
    by("put", changes(
        "/api/v1/app/{app_id}",
        "v1.application.upsert",
        "Make an application as it says, or change it to that.",
        "ApplicationOut",
        || put(applications::upsert),
    ))
    .body("ApplicationIn")
    .also(201),
    by("delete", changes(
        "/api/v1/app/{app_id}",
        "v1.application.delete",
        "Remove an application with its endpoints.",
        "Empty",
        || delete(applications::delete),
    ))
    .empty(204),
];
