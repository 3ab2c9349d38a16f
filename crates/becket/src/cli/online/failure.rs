//! Why a command that asks a gateway did not succeed, with the exit code that scripts decide by.
//!
//! 1: the gateway said no, or there is no such thing. 2: wrong usage. 3: the gateway could not be
//! reached, or does not accept the token.

use std::process::ExitCode;

use serde_json::Value;

use crate::cli::CliError;

/// The exit code when the gateway cannot be asked.
const UNREACHABLE: u8 = 3;

/// A failure and its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(in crate::cli) struct Failure {
    error: CliError,
    code: u8,
    /// The HTTP status of a refusal.
    status: Option<u16>,
}

pub(in crate::cli) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<CliError> for Failure {
    fn from(error: CliError) -> Self {
        Self { code: error.code(), error, status: None }
    }
}

impl Failure {
    /// The gateway could not be asked.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self { error: CliError::new(message), code: UNREACHABLE, status: None }
    }

    /// The gateway's answer made no sense.
    pub fn nonsense(url: &str, what: impl std::fmt::Display) -> Self {
        Self::unreachable(format!("{url} does not answer like a gateway: {what}"))
            .hint("is this the management address of a becket of this version?")
    }

    /// What a gateway's problem document says.
    pub fn refused(status: u16, problem: &Value) -> Self {
        let text = |name: &str| problem.get(name).and_then(Value::as_str);
        let code = match text("code") {
            Some("unauthorized" | "throttled") => UNREACHABLE,
            Some("bad_query" | "bad_body" | "bad_path") => 2,
            _ => 1,
        };
        let message = text("detail").map(str::to_owned).or_else(|| places(problem));
        let message = message.unwrap_or_else(|| format!("HTTP status {status}"));
        let mut failure = Self { error: CliError::new(message), code, status: Some(status) };
        if let Some(hint) = text("hint") {
            failure = failure.hint(hint);
        }
        failure
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { error: self.error.hint(hint), ..self }
    }

    /// Whether asking again would be answered in the same way.
    pub fn is_refusal(&self) -> bool {
        let passing = |status: &u16| matches!(status, 408 | 429) || *status >= 500;
        self.status.as_ref().is_some_and(|status| !passing(status))
    }

    /// What happened, without hints.
    pub fn message(&self) -> String {
        self.error.message().to_owned()
    }

    /// The error with its exit code, for commands that are not only about a gateway.
    pub fn into_error(self) -> CliError {
        self.error.with_code(self.code)
    }

    /// Prints it to standard error and gives the exit code.
    pub fn exit(&self) -> ExitCode {
        eprintln!("{}", self.error);
        ExitCode::from(self.code)
    }
}

/// What a 422 says is wrong, and where.
fn places(problem: &Value) -> Option<String> {
    let told: Vec<String> = problem["detail"]
        .as_array()?
        .iter()
        .map(|place| {
            let loc: Vec<&str> = place["loc"]
                .as_array()
                .map_or_else(Vec::new, |parts| parts.iter().filter_map(Value::as_str).collect());
            let what = place["msg"].as_str().unwrap_or("cannot be used");
            format!("`{}` {what}", loc.join("."))
        })
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn exit_codes_tell_kinds_of_failure_apart() {
        for (code, exit) in
            [("not_found", 1), ("bad_query", 2), ("unauthorized", 3), ("store_full", 1)]
        {
            let failure = Failure::refused(400, &json!({ "code": code, "detail": "x" }));
            assert_eq!(failure.code, exit, "{code}");
        }
        assert_eq!(Failure::from(CliError::usage("x")).code, 2);
        assert_eq!(Failure::unreachable("x").code, 3);
        let detail = json!([{ "loc": ["query", "limit"], "msg": "is too large", "type": "x" }]);
        let places = Failure::refused(422, &json!({ "detail": detail }));
        assert_eq!(places.error.to_string(), "error: `query.limit` is too large");
        let refused = Failure::refused(409, &json!({ "detail": "no", "hint": "so" }));
        assert_eq!(refused.error.to_string(), "error: no\nhint: so");
    }
}
