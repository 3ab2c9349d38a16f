//! Sources beyond the specification: any provider, every credential, test requests.

use axum::routing::{post, put};

use super::{Route, by, changes};
use crate::handlers::{source_test, sources_ours};

pub(super) const TABLE: &[Route] = &[
    changes(
        "/api/v1/becket/source",
        "becket.source.create",
        "Make a source for any provider of the catalogue, with a receiving URL.",
        "OurSource",
        || post(sources_ours::create),
    )
    .body("OurSourceIn")
    .status(201),
    by("put", changes(
        "/api/v1/becket/source/{source_id}/credentials",
        "becket.source.set-credentials",
        "Give a source other credentials; what is left out stays, and old secrets may go on verifying for a while.",
        "OurSource",
        || put(sources_ours::put_credentials),
    ))
    .body("SourceCredentialsIn"),
    changes(
        "/api/v1/becket/source/{source_id}/test",
        "becket.source.test",
        "Send a source a request as its provider would, signed with its own credentials, through everything that receives.",
        "SourceTested",
        || post(source_test::test),
    )
    .body("SourceTestIn"),
];
