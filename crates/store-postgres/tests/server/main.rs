//! What has to do with the server itself: its layout, its connections, its settings.

#[path = "../../../becket/tests/support/postgres.rs"]
mod postgres;
#[path = "../support/mod.rs"]
mod support;

mod abandoned;
mod advice;
mod connections;
mod durability;
mod migrations;
