//! The event catalogue, as a page and as documents: public if the operator wants it, and always with
//! a token.

use axum::routing::get;

use super::{Route, reads};
use crate::access::Capability;
use crate::handlers::catalogue;

pub(super) const TABLE: &[Route] = &[
    reads(
        "/catalogue",
        "becket.catalogue.page",
        "The event catalogue as a page, if it is public.",
        "Text",
        || get(catalogue::page),
    )
    .content_type("text/html")
    .public(),
    reads(
        "/catalogue/style.css",
        "becket.catalogue.style",
        "The style sheet of the page.",
        "Text",
        || get(catalogue::stylesheet),
    )
    .content_type("text/css")
    .public(),
    reads(
        "/catalogue/openapi.json",
        "becket.catalogue.openapi",
        "The event catalogue as OpenAPI webhooks, if it is public.",
        "Anything",
        || get(catalogue::openapi),
    )
    .public(),
    reads(
        "/catalogue/asyncapi.json",
        "becket.catalogue.asyncapi",
        "The event catalogue as AsyncAPI, if it is public.",
        "Anything",
        || get(catalogue::asyncapi),
    )
    .public(),
    reads(
        "/api/v1/becket/event-catalogue",
        "becket.event-catalogue.page",
        "The event catalogue as a page.",
        "Text",
        || get(catalogue::page),
    )
    .content_type("text/html")
    .portal(Capability::ViewBase),
    reads(
        "/api/v1/becket/event-catalogue/openapi.json",
        "becket.event-catalogue.openapi",
        "The event catalogue as OpenAPI webhooks.",
        "Anything",
        || get(catalogue::openapi),
    )
    .portal(Capability::ViewBase),
    reads(
        "/api/v1/becket/event-catalogue/asyncapi.json",
        "becket.event-catalogue.asyncapi",
        "The event catalogue as AsyncAPI.",
        "Anything",
        || get(catalogue::asyncapi),
    )
    .portal(Capability::ViewBase),
];
