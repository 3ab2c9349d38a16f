//! What was received and delivered over time, and what is wrong now.

use axum::routing::get;

use super::{Parameter, Route, one, reads};
use crate::handlers::{activity, problems};

const SINCE: Parameter =
    one("since", "Time", "From this moment on; 24 hours before `until` if absent.");
const UNTIL: Parameter = one("until", "Time", "Before this moment; now if absent.");

pub(super) const TABLE: &[Route] = &[
    reads(
        "/api/v1/becket/activity",
        "becket.activity.list",
        "Count what was received and delivered over time, one point per step without holes. Counting costs the same however much is stored; minutes are kept for 48 hours, ten minutes for 14 days, hours for 400 days.",
        "Activity",
        || get(activity::series),
    )
    .query(&[
        SINCE,
        UNTIL,
        one("step", "ActivityStep", "How finely time is divided; `auto` if absent."),
        one("source", "Text", "Only what concerns this source, by id or name."),
        one("application", "Text", "Only what concerns this application, by id or uid."),
        one(
            "endpoint",
            "Text",
            "Only what concerns deliveries to this endpoint, by id, name or `source/name`.",
        ),
    ]),
    reads(
        "/api/v1/becket/activity/by",
        "becket.activity.by",
        "Count what was received and delivered by source, endpoint or event type, the largest first.",
        "ActivityBy",
        || get(activity::by),
    )
    .query(&[
        one("dimension", "ActivityDimension", "By what; has to be given."),
        SINCE,
        UNTIL,
        super::parameters::LIMIT,
    ]),
    reads(
        "/api/v1/becket/problem",
        "becket.problem.list",
        "List what is wrong at the moment, worst first, with what to do about it.",
        "Problems",
        || get(problems::list),
    ),
];
