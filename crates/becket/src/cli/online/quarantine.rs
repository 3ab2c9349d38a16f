//! `becket quarantine`: list, show, retry, release.

use serde_json::{Value, json};

use super::client::PathBuilder;
use super::failure::{Failure, Result};
use super::list::{LimitArgs, show_list};
use super::show::{self, field, items, moment_of, number, size, text};
use super::{Session, timeline};
use crate::cli::{CliError, ConnectionArgs, print};

/// Requests that are verified again in one call.
const STEP: u64 = 50;

/// Arguments of `becket quarantine`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct QuarantineArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: QuarantineCommand,
}

const EXAMPLES: &str = "\
Examples:
  becket quarantine list --source shop --since 2h
  becket quarantine show 17                   Why it was refused, and what would have passed
  becket quarantine retry 17                  Verify it again, and accept it if it passes
  becket quarantine retry --source shop       All of a source, oldest first
  becket quarantine release 17 --reason 'confirmed by telephone'

Releasing accepts a request that nothing proves: it takes the gateway's own admin token, and the
event and the gateway's log say who did it and why.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum QuarantineCommand {
    /// List refused requests, newest first
    List {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        limit: LimitArgs,
    },
    /// Show a refused request, why it was refused, and what would have passed
    Show {
        /// Its number in the list
        number: String,
        /// Show everything in full: body, headers, signed text
        #[arg(long)]
        full: bool,
        /// Show credentials among the sender's headers (the gateway logs it)
        #[arg(long)]
        reveal: bool,
    },
    /// Verify refused requests again, with the secrets of now, and accept those that pass
    Retry {
        /// Its number in the list; without one, all that --source names
        #[arg(required_unless_present = "source", conflicts_with_all = ["source", "code", "since", "until"])]
        number: Option<String>,
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Accept a refused request without verification
    Release {
        /// Its number in the list
        number: String,
        /// Why it may become an event although nothing proves it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Which refused requests.
#[derive(Debug, clap::Args)]
pub(super) struct FilterArgs {
    /// Only this source, by id or name
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only those refused for this reason, such as signature_mismatch; may be given several times
    #[arg(long, value_name = "REASON")]
    code: Vec<String>,
    /// Only those received since: a time, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those received before
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl FilterArgs {
    fn moments(&self, session: &Session) -> Result<(Option<String>, Option<String>)> {
        let moment = |flag: &str, given: &Option<String>| {
            given.as_deref().map(|text| show::since(flag, text, session.now_s)).transpose()
        };
        Ok((moment("--since", &self.since)?, moment("--until", &self.until)?))
    }
}

pub(super) async fn run(session: &Session, command: QuarantineCommand) -> Result<()> {
    let quarantine = PathBuilder::new("/api/v1/becket/quarantine");
    match command {
        QuarantineCommand::List { filter, limit } => {
            let (since, until) = filter.moments(session)?;
            let code = Some(filter.code.join(",")).filter(|codes| !codes.is_empty());
            let path = quarantine
                .query("source", filter.source.as_deref())
                .query("code", code.as_deref())
                .query("since", since.as_deref())
                .query("until", until.as_deref());
            let headings = &["NUMBER", "RECEIVED", "SOURCE", "STATUS", "SIZE", "CODE", "WHY"];
            show_list(session, &path, &limit, headings, "refused requests", |refused| {
                row(session, refused)
            })
            .await
        }
        QuarantineCommand::Show { number, full, reveal } => {
            let path = quarantine.part(&number).query("reveal", reveal.then_some("true"));
            let refused = session.client.get(path.text()).await?;
            if session.json {
                return show::print_document(&refused);
            }
            print(&timeline::refused(&refused, session.paint, session.now_s, full))?;
            Ok(())
        }
        QuarantineCommand::Retry { number: Some(number), .. } => {
            let path = quarantine.part(&number).part("retry");
            one(session, &session.client.post(path.text(), &json!({})).await?)
        }
        QuarantineCommand::Retry { number: None, filter } => all(session, &filter).await,
        QuarantineCommand::Release { number, reason } => {
            let path = quarantine.part(&number).part("release");
            let body = json!({ "reason": reason });
            one(session, &session.client.post(path.text(), &body).await?)
        }
    }
}

fn row(session: &Session, refused: &Value) -> Vec<String> {
    vec![
        text(refused, "/number"),
        moment_of(refused, "/receivedAt", session.now_s),
        text(refused, "/source"),
        text(refused, "/status"),
        size(number(refused, "/sizeBytes")),
        session.paint.red(&text(refused, "/code")),
        text(refused, "/reason"),
    ]
}

/// What became of one request, as a sentence; one that stays is a failure.
fn one(session: &Session, out: &Value) -> Result<()> {
    if session.json {
        show::print_document(out)?;
    } else if out["outcome"] != "stays" {
        print(&sentence(out))?;
    }
    match field(out, "/outcome") {
        Some("stays") => Err(CliError::new(sentence(out))
            .hint(format!(
                "`becket quarantine show {}` says what would have passed",
                text(out, "/number")
            ))
            .into()),
        _ => Ok(()),
    }
}

fn sentence(out: &Value) -> String {
    let number = text(out, "/number");
    match field(out, "/outcome") {
        Some("accepted") => format!("request {number} is event {} now", text(out, "/eventId")),
        Some("repeat") => format!(
            "request {number} repeats event {}, which came otherwise; it has left the quarantine",
            text(out, "/eventId")
        ),
        Some("stays") => format!(
            "request {number} stays in quarantine: {} ({})",
            text(out, "/reason"),
            text(out, "/code")
        ),
        _ => format!("request {number} is no longer in quarantine"),
    }
}

/// Everything that a filter names, step by step.
async fn all(session: &Session, filter: &FilterArgs) -> Result<()> {
    let (since, until) = filter.moments(session)?;
    let mut body = json!({
        "source": filter.source,
        "codes": filter.code,
        "since": since,
        "until": until,
        "limit": STEP,
    });
    let mut total = Total::default();
    loop {
        let path = "/api/v1/becket/quarantine/retry";
        let step = session.client.post(path, &body).await.map_err(|failure| {
            failure.hint("what was accepted stays; give the same command again to go on")
        })?;
        for result in items(&step, "/results") {
            total.add(result);
            if session.json {
                if !show::emit(&result.to_string())? {
                    return Ok(());
                }
            } else if result["outcome"] != "stays" {
                print(&sentence(result))?;
            }
        }
        if step["done"] == true {
            break;
        }
        // On standard error, so that what is printed can be worked with.
        if !session.json {
            eprintln!("{} so far", total.sentence());
        }
        if step["iterator"].is_null() || step["iterator"] == body["iterator"] {
            return Err(Failure::nonsense(session.client.url(), "a retry does not advance"));
        }
        body["iterator"] = step["iterator"].clone();
        body["until"] = step["until"].clone();
    }
    if !session.json {
        print(&total.sentence())?;
    }
    Ok(())
}

#[derive(Default)]
struct Total {
    accepted: u64,
    repeats: u64,
    /// By reason.
    stay: std::collections::BTreeMap<String, u64>,
}

impl Total {
    fn add(&mut self, result: &Value) {
        match field(result, "/outcome") {
            Some("accepted") => self.accepted += 1,
            Some("repeat") => self.repeats += 1,
            Some("stays") => *self.stay.entry(text(result, "/code")).or_default() += 1,
            _ => {}
        }
    }

    fn sentence(&self) -> String {
        let mut sentence = format!("{} accepted", self.accepted);
        if self.repeats > 0 {
            sentence.push_str(&format!(", {} repeats of events that came otherwise", self.repeats));
        }
        let stay: u64 = self.stay.values().sum();
        sentence.push_str(&format!(", {stay} stay"));
        if stay > 0 {
            let each = self.stay.iter().map(|(code, count)| format!("{count} {code}"));
            sentence.push_str(&format!(" ({})", each.collect::<Vec<_>>().join(", ")));
        }
        sentence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_requests_is_a_sentence() {
        let mut total = Total::default();
        for result in [
            json!({ "number": 1, "outcome": "accepted", "eventId": "msg_1" }),
            json!({ "number": 2, "outcome": "repeat", "eventId": "msg_1" }),
            json!({ "number": 3, "outcome": "stays", "code": "stale", "reason": "It is old." }),
            json!({ "number": 4, "outcome": "absent" }),
        ] {
            total.add(&result);
            assert!(sentence(&result).contains(&text(&result, "/number")));
        }
        assert_eq!(
            total.sentence(),
            "1 accepted, 1 repeats of events that came otherwise, 1 stay (1 stale)"
        );
        let stays =
            json!({ "number": 3, "outcome": "stays", "code": "stale", "reason": "It is old." });
        assert_eq!(sentence(&stays), "request 3 stays in quarantine: It is old. (stale)");
    }
}
