//! Every path of the API in one table: the router and the OpenAPI document are made from it.
//!
//! To add a path: write the handler, add a row, add its shapes to `schemas.json`, and bless the
//! committed document (`BECKET_BLESS=1`, see the test `openapi`).

mod access;
mod activity;
mod applications;
mod attempts;
mod becket;
mod catalogue;
mod endpoints;
mod environments;
mod event_types;
mod ingest;
mod integrations;
mod listeners;
mod messages;
mod operational;
mod parameters;
mod parts;
#[cfg(test)]
mod rights;
mod sources;
mod statistics;
mod system;
mod tasks;
mod transformations;

use std::sync::Arc;

use axum::routing::MethodRouter;

use crate::access::Capability;
use crate::call::Shared;

const TABLES: &[&[Route]] = &[
    access::TABLE,
    activity::TABLE,
    applications::TABLE,
    attempts::TABLE,
    becket::TABLE,
    catalogue::TABLE,
    endpoints::TABLE,
    environments::TABLE,
    event_types::TABLE,
    ingest::TABLE,
    integrations::TABLE,
    listeners::TABLE,
    messages::TABLE,
    operational::TABLE,
    sources::TABLE,
    statistics::TABLE,
    system::TABLE,
    tasks::TABLE,
    transformations::TABLE,
];

/// Every path and method.
pub(crate) fn table() -> impl Iterator<Item = &'static Route> {
    TABLES.iter().copied().flatten()
}

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub name: &'static str,
    /// The name of a parameter schema in `schemas.json`.
    pub schema: &'static str,
    pub about: &'static str,
    /// Whether it may come several times, or once with commas.
    pub list: bool,
}

/// What a route has to do with payloads: bodies, values of headers, responses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Payload {
    /// Nothing of them is in its answer, and it sends none elsewhere.
    None,
    /// Without the right to see payloads it cannot be used: all of its answer is one, or it decides
    /// where payloads go or what is asked of them.
    Needed,
    /// Without the right these parts of the answer are left out (`hidden`).
    LeftOut(&'static [Part]),
}

/// A part of an answer that is left out, as the names that lead there; lists are passed through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub path: &'static str,
    /// What stands there instead.
    pub instead: Instead,
}

/// What stands in the place of what is left out; a shape may demand more than null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instead {
    Null,
    Text,
    Object,
    List,
}

/// One path and method.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub id: &'static str,
    pub about: &'static str,
    /// Whether it is answered without a token.
    pub public: bool,
    /// Whether it changes nothing, so that a token that can only look may use it.
    pub reads: bool,
    /// Whether the answer holds a secret.
    pub secret: bool,
    /// Whether it says who may do what, or moves everything at once: for admins of the environment.
    pub admin: bool,
    /// What it has to do with payloads.
    pub payload: Payload,
    /// Whether a success goes into the audit log.
    pub audited: bool,
    /// Whether it rules the installation, which only the operator's own token may.
    pub operator: bool,
    /// What a portal token needs to use it; `None` keeps portal tokens out.
    pub portal: Option<Capability>,
    pub query: &'static [Parameter],
    /// The schema of the request body.
    pub body: Option<&'static str>,
    pub status: u16,
    /// Another status that says the same, such as 200 beside 201.
    pub also: Option<u16>,
    pub content_type: &'static str,
    /// The schema of the answer; none for an empty one.
    pub answer: Option<&'static str>,
    pub handler: fn() -> MethodRouter<Arc<Shared>>,
}

type Handler = fn() -> MethodRouter<Arc<Shared>>;

const fn reads(
    path: &'static str,
    id: &'static str,
    about: &'static str,
    answer: &'static str,
    handler: Handler,
) -> Route {
    Route {
        method: "get",
        path,
        id,
        about,
        public: false,
        reads: true,
        secret: false,
        admin: false,
        payload: Payload::None,
        audited: false,
        operator: false,
        portal: None,
        query: &[],
        body: None,
        status: 200,
        also: None,
        content_type: "application/json",
        answer: Some(answer),
        handler,
    }
}

const fn changes(
    path: &'static str,
    id: &'static str,
    about: &'static str,
    answer: &'static str,
    handler: Handler,
) -> Route {
    Route { method: "post", reads: false, audited: true, ..reads(path, id, about, answer, handler) }
}

/// A route that changes things with another method than POST.
const fn by(method: &'static str, route: Route) -> Route {
    Route { method, reads: false, audited: true, ..route }
}

impl Route {
    const fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    const fn body(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    const fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    const fn also(self, status: u16) -> Self {
        Self { also: Some(status), ..self }
    }

    const fn empty(self, status: u16) -> Self {
        Self { status, answer: None, ..self }
    }

    const fn public(self) -> Self {
        Self { public: true, ..self }
    }

    /// A POST that only asks.
    const fn asks(self) -> Self {
        Self { reads: true, audited: false, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, audited: true, ..self }
    }

    const fn admin(self) -> Self {
        Self { admin: true, ..self }
    }

    /// Only for callers who may see payloads.
    const fn payload(self) -> Self {
        Self { payload: Payload::Needed, ..self }
    }

    /// Leaves these parts out for callers who may not see payloads.
    const fn leaves_out(self, parts: &'static [Part]) -> Self {
        Self { payload: Payload::LeftOut(parts), ..self }
    }

    /// Happens too often to be worth a line of the audit log each time, or tells by itself.
    const fn unaudited(self) -> Self {
        Self { audited: false, ..self }
    }

    const fn operator(self) -> Self {
        Self { operator: true, ..self }
    }

    const fn portal(self, needed: Capability) -> Self {
        Self { portal: Some(needed), ..self }
    }

    const fn content_type(self, content_type: &'static str) -> Self {
        Self { content_type, ..self }
    }
}

/// A part of an answer that only callers who may see payloads get.
const fn part(path: &'static str, instead: Instead) -> Part {
    Part { path, instead }
}

const fn one(name: &'static str, schema: &'static str, about: &'static str) -> Parameter {
    Parameter { name, schema, about, list: false }
}
