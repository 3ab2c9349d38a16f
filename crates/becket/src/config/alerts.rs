//! `[alerts]`: what the gateway tells its operator, when, and where.

use std::time::Duration;

use super::Config;
use super::check::{check_endpoint, name_endpoints};
use super::problem::Severity;
use super::reader::Reader;
use super::source::{Endpoint, Source};
use super::table::table;

/// The source that carries alerts. It has no receiving URL, and no other may have its name.
pub const ALERTS_SOURCE: &str = "becket-alerts";

table! {
    /// What the gateway tells its operator.
    pub struct Alerts {
        /// How often something that stays wrong is told again; `0s` tells it once.
        repeat: Duration = "24h",
        /// For how long something has to be right again before it counts as over.
        settle: Duration = "5m",
        /// So many refused requests at a source within `refusal_window`, and more than were
        /// accepted, are told.
        refusals: u32 = "20",
        /// See `refusals`.
        refusal_window: Duration = "5m",
        /// A source is quiet when it has sent nothing for so many times its usual pause, unless its
        /// `quiet_after` says otherwise; 0 never learns.
        quiet_factor: u32 = "3",
        /// How full the store is when it is told, in percent of `store.cap`; at 90 it refuses.
        disk_percent: u32 = "85",
        /// How long before its end the certificate of a listener is told.
        certificate_before: Duration = "14d",
        /// How long before its end a rotated secret or receiving URL is told.
        secret_before: Duration = "12h",
        /// How long before its end a token is told; those that live no longer than this are not.
        token_before: Duration = "7d",
        /// Where alerts go; nothing is looked for if there is none.
        endpoints as "endpoint": Vec<Endpoint>,
    }
}

impl Alerts {
    /// The source that carries alerts, if they go anywhere.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        if self.endpoints.is_empty() {
            return None;
        }
        // Its own name is refused in a file. The defaults can be read: a test reads them all.
        let mut source = Source::outside_file("alerts", "none", |_| {}).ok()?;
        source.id = ALERTS_SOURCE.to_owned();
        source.endpoints = self.endpoints.clone();
        Some(source)
    }
}

/// Checks the section, and names endpoints that have no name.
pub(super) fn check(reader: &mut Reader<'_>, config: &mut Config) {
    for (index, source) in config.sources.iter().enumerate() {
        if source.id == ALERTS_SOURCE {
            let key = format!("source[{index}].id");
            let message = format!("`{ALERTS_SOURCE}` is the name of the gateway's own alerts");
            let hint = Some("choose another id for the source".to_owned());
            reader.report(Severity::Error, "reserved_id", &[&key], message, hint);
        }
    }
    let alerts = &mut config.alerts;
    for (key, wrong) in [
        ("alerts.settle", alerts.settle.is_zero()),
        ("alerts.refusal_window", alerts.refusal_window.is_zero()),
        ("alerts.refusals", alerts.refusals == 0),
        ("alerts.disk_percent", alerts.disk_percent == 0 || alerts.disk_percent >= 90),
    ] {
        if wrong {
            let message = match key {
                "alerts.disk_percent" => format!("`{key}` is from 1 to 89"),
                _ => format!("`{key}` is more than 0"),
            };
            reader.report(Severity::Error, "wrong_value", &[key], message, None);
        }
    }
    let Some(mut source) = alerts.source() else { return };
    name_endpoints(reader, "alerts", &mut source);
    for (number, endpoint) in source.endpoints.iter().enumerate() {
        check_endpoint(reader, &format!("alerts.endpoint[{number}]"), endpoint);
    }
    alerts.endpoints = source.endpoints;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_a_source_if_they_go_anywhere() {
        let none = super::super::parse("").expect("an empty file is right").config;
        assert!(none.alerts.source().is_none());
        let text = "[[alerts.endpoint]]\nurl = \"http://127.0.0.1:1/\"\n";
        let some = super::super::parse(text).expect("the file is right").config;
        let source = some.alerts.source().expect("they go somewhere");
        assert_eq!((source.id.as_str(), source.endpoints.len()), (ALERTS_SOURCE, 1));
        assert!(!source.endpoints[0].id.is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, code) in [
            ("[[source]]\nid = \"becket-alerts\"\nprovider = \"none\"\n", "reserved_id"),
            ("[alerts]\nsettle = \"0s\"\n", "wrong_value"),
            ("[alerts]\ndisk_percent = 90\n", "wrong_value"),
            ("[[alerts.endpoint]]\nid = \"a\"\n", "endpoint_without_target"),
        ] {
            let errors = super::super::parse(text).expect_err(text);
            assert!(errors.problems.iter().any(|problem| problem.code == code), "{text}: {errors}");
        }
    }
}
