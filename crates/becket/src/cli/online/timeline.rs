//! The life of an event, an attempt or a refused request, as readable text.
//!
//! Invariants: pure: the API's answer in, text out; what came from outside is cleared of control
//! characters; without `full` every quotation is bounded, and says so when it was cut.

use jiff::Timestamp;
use serde_json::Value;

use super::attempts::next;
use super::events::plain_state;
use super::show::{self, field, items, moment_of, number, size, state, text};
use crate::cli::Paint;
use crate::cli::output::visible;

const QUOTED_LINES: usize = 6;
const QUOTED_CHARACTERS: usize = 480;
const LABEL_WIDTH: usize = 10;

/// Text that grows by labelled lines.
struct Page {
    paint: Paint,
    now_s: i64,
    full: bool,
    text: String,
}

impl Page {
    const fn new(paint: Paint, now_s: i64, full: bool) -> Self {
        Self { paint, now_s, full, text: String::new() }
    }

    fn heading(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&self.paint.bold(line));
        self.text.push('\n');
    }

    fn line(&mut self, label: &str, value: &str) {
        let label = format!("{label:<LABEL_WIDTH$}");
        self.text.push_str(&format!("  {} {value}\n", self.paint.dim(&label)));
    }

    /// Several lines under a label, indented; cut unless everything is wanted.
    fn quote(&mut self, label: &str, quoted: &str, hint: &str) {
        let quoted = visible(quoted);
        let (shown, cut) = if self.full { (quoted.clone(), false) } else { beginning(&quoted) };
        if shown.is_empty() {
            return self.line(label, "(empty)");
        }
        let indent = format!("\n  {:LABEL_WIDTH$} ", "");
        self.line(label, &shown.trim_end().replace('\n', &indent));
        if cut {
            let note = format!("… cut; {hint} shows all");
            let note = self.paint.dim(&note);
            self.line("", &note);
        }
    }

    fn headers(&mut self, label: &str, headers: &[Value]) {
        if !self.full {
            return self.line(label, &format!("{} (--full shows them)", headers.len()));
        }
        for (at, header) in headers.iter().enumerate() {
            let line = format!("{}: {}", text(header, "/0"), text(header, "/1"));
            self.line(if at == 0 { label } else { "" }, &line);
        }
    }
}

/// The first lines and characters of a text, and whether there is more.
fn beginning(quoted: &str) -> (String, bool) {
    let lines: Vec<&str> = quoted.lines().take(QUOTED_LINES).collect();
    let shown: String = lines.join("\n").chars().take(QUOTED_CHARACTERS).collect();
    let cut = shown.trim_end().len() < quoted.trim_end().len();
    (shown, cut)
}

/// The life of an event.
pub(super) fn render(life: &Value, paint: Paint, now_s: i64, full: bool) -> String {
    let mut page = Page::new(paint, now_s, full);
    let event = &life["event"];
    let id = text(event, "/id");
    page.heading(&format!("event {id}"));
    page.line("source", &text(event, "/source"));
    page.line("type", &text(event, "/eventType"));
    page.line("state", &state(paint, &plain_state(event)));
    provenance(&mut page, event);
    request(&mut page, "received", &text(event, "/receivedAt"), &life["request"], &id);
    verdict(&mut page, &life["verdict"]);
    dedupe(&mut page, &life["dedupe"]);
    if let Some(broken) = field(life, "/invalid") {
        page.line("invalid", &paint.red(&show::one_line(broken)));
    }
    page.heading("endpoints");
    for endpoint in items(life, "/endpoints") {
        let mark = if endpoint["planned"] == true { "planned" } else { "left out" };
        let line = format!(
            "{} -> {}: {}",
            text(endpoint, "/endpoint"),
            text(endpoint, "/url"),
            text(endpoint, "/reason")
        );
        page.line(mark, &line);
    }
    if items(life, "/endpoints").is_empty() {
        page.line("none", "the source has no endpoints");
    }
    let attempts = items(life, "/attempts");
    for (at, attempt) in attempts.iter().enumerate() {
        attempt_onto(&mut page, attempt, field(event, "/receivedAt"));
        again(&mut page, attempt, full || at + 1 == attempts.len());
    }
    deliveries(&mut page, event);
    page.text
}

/// One attempt.
pub(super) fn attempt(attempt: &Value, paint: Paint, now_s: i64, full: bool) -> String {
    let mut page = Page::new(paint, now_s, full);
    attempt_onto(&mut page, attempt, None);
    page.line("event", &text(attempt, "/eventId"));
    again(&mut page, attempt, true);
    page.text
}

/// One refused request.
pub(super) fn refused(refused: &Value, paint: Paint, now_s: i64, full: bool) -> String {
    let mut page = Page::new(paint, now_s, full);
    page.heading(&format!("refused request {}", text(refused, "/number")));
    page.line("source", &text(refused, "/source"));
    page.line("answered", &text(refused, "/status"));
    page.line("code", &paint.red(&text(refused, "/code")));
    page.line("why", &text(refused, "/reason"));
    request(
        &mut page,
        "received",
        &text(refused, "/receivedAt"),
        &refused["request"],
        "the request",
    );
    verdict(&mut page, &refused["verdict"]);
    page.text
}

/// What an event is known by that was not simply found genuine.
fn provenance(page: &mut Page, event: &Value) {
    if let Some(reason) = field(event, "/unverified") {
        let warning = format!("unverified ({reason}): accepted all the same");
        let warning = page.paint.red(&warning);
        page.line("verdict", &warning);
    }
    let released = &event["released"];
    if released.is_object() {
        let first = moment_of(released, "/firstReceivedAt", page.now_s);
        let refused = text(released, "/refusedAs");
        let how = match field(released, "/reason") {
            Some(reason) => format!("without verification: {}", show::one_line(reason)),
            None => "verified again".to_owned(),
        };
        page.line(
            "released",
            &format!("by {}, {how}; refused as {refused} at {first}", text(released, "/by")),
        );
    }
}

fn request(page: &mut Page, heading: &str, at: &str, request: &Value, id: &str) {
    let moment = show::moment(at, page.now_s);
    page.heading(&format!("{heading} {moment}"));
    page.line(
        "request",
        &format!(
            "{} {} from {}",
            text(request, "/method"),
            field(request, "/url").map_or_else(|| text(request, "/path"), show::one_line),
            text(request, "/remoteAddress"),
        ),
    );
    page.headers("headers", items(request, "/headers"));
    page.line("body", &size(number(request, "/body/sizeBytes")));
    let hint = format!("`becket events body {id}`");
    match (field(request, "/body/text"), field(request, "/body/base64")) {
        (Some(""), _) | (None, None) => {}
        (Some(body), _) => page.quote("", body, &hint),
        (None, Some(_)) => page.line("", &format!("no text; {hint} writes the bytes")),
    }
}

fn verdict(page: &mut Page, verdict: &Value) {
    let Some(explanation) = verdict.get("explanation").filter(|found| found.is_object()) else {
        page.heading("verdict");
        let recorded = verdict.get("recorded").map_or("-".to_owned(), ToString::to_string);
        page.line("recorded", &show::one_line(&recorded));
        page.line("now", "the source is no longer configured, so it cannot be judged again");
        return;
    };
    let refused = explanation.pointer("/verdict/refused").is_some();
    let word = if refused { "refused" } else { "genuine" };
    let word = state(page.paint, word);
    page.heading("verdict");
    page.line("now", &format!("{word}: {}", text(explanation, "/sentence")));
    if let Some(hint) = field(explanation, "/hint") {
        page.line("hint", &show::one_line(hint));
    }
    for step in items(explanation, "/steps") {
        let mark = if step["ok"] == true { page.paint.green("ok") } else { page.paint.red("no") };
        page.line(&text(step, "/name"), &format!("{mark}  {}", text(step, "/detail")));
    }
    if let Some(signed) = explanation.get("signed_text").filter(|signed| signed.is_object()) {
        let length = size(number(signed, "/length_bytes"));
        page.line("signed", &format!("{} ({length})", text(signed, "/template")));
        page.quote("", field(signed, "/text").unwrap_or_default(), "--full");
    }
    for signature in items(explanation, "/signature_received").iter().filter_map(Value::as_str) {
        page.line("came", &show::one_line(signature));
    }
}

fn dedupe(page: &mut Page, dedupe: &Value) {
    page.heading("repeats");
    page.line(
        "id",
        &field(dedupe, "/deliveryId").map_or("none: told apart by body".to_owned(), show::one_line),
    );
    let repeats = items(dedupe, "/duplicates");
    if repeats.is_empty() {
        page.line("repeated", "never");
    }
    for repeat in repeats.iter().filter_map(Value::as_str) {
        let moment = show::moment(repeat, page.now_s);
        page.line("repeated", &format!("{moment}, answered with this event"));
    }
    if dedupe["more"] == true {
        page.line("", "… and more");
    }
}

fn attempt_onto(page: &mut Page, attempt: &Value, received: Option<&str>) {
    let again = if attempt["trigger"] == "replay" { " (replay)" } else { "" };
    page.heading(&format!(
        "attempt {} at {}{again}",
        text(attempt, "/number"),
        text(attempt, "/endpoint")
    ));
    let after = received.and_then(|received| since(received, field(attempt, "/startedAt")?));
    let after = after.map_or(String::new(), |after| format!(", {after} after receipt"));
    let started = moment_of(attempt, "/startedAt", page.now_s);
    page.line("started", &format!("{started}{after}"));
    page.line("id", &text(attempt, "/id"));
    let word = if attempt["succeeded"] == true { "succeeded" } else { "failed" };
    let how = match (attempt["status"].as_u64(), field(attempt, "/errorCode")) {
        (Some(status), _) => format!(" with HTTP status {status}"),
        (None, Some(code)) => format!(" with {}", show::one_line(code)),
        (None, None) => String::new(),
    };
    let took = number(attempt, "/durationMs");
    let result = format!("{}{how} in {took} ms", state(page.paint, word));
    page.line("result", &result);
    let detail = &attempt["detail"];
    if let Some(error) = field(detail, "/error") {
        page.line("error", &show::one_line(error));
    }
    if let Some(note) = field(detail, "/note") {
        page.line("note", &show::one_line(note));
    }
    transformation_onto(page, detail);
    page.line("timings", &timings(&detail["timings_us"]));
    if let Some(address) = field(detail, "/remote_address") {
        page.line("address", &show::one_line(address));
    }
    page.headers("sent", items(detail, "/request_headers"));
    if detail["response"].is_object() {
        page.headers("came back", items(detail, "/response/headers"));
        match (field(detail, "/response/body/text"), field(detail, "/response/body/base64")) {
            (Some(""), _) | (None, None) => page.line("response", "(empty)"),
            (Some(body), _) => page.quote("response", body, "--full"),
            (None, Some(_)) => page.line("response", "no text; --json shows it in base64"),
        }
    }
    match (field(detail, "/output/body/text"), field(detail, "/output/body/base64")) {
        (Some(output), _) => page.quote("output", output, "--full"),
        (None, Some(_)) => page.line("output", "no text; --json shows it in base64"),
        (None, None) => {}
    }
    page.line("then", &next(attempt, page.now_s));
}

/// What the endpoint's transformation did, and what its code wrote.
fn transformation_onto(page: &mut Page, detail: &Value) {
    let made = &detail["transformed"];
    if !made.is_object() {
        return;
    }
    let body = field(made, "/body/text");
    let what = if made["cancelled"] == true {
        "applied: nothing is to be sent"
    } else if detail["request_headers"].as_array().is_none_or(Vec::is_empty) {
        "failed: nothing was sent"
    } else if made["body"].is_null() {
        "applied: the payload was sent as it came"
    } else {
        "applied: another payload was sent"
    };
    page.line("transform", what);
    if let Some(body) = body {
        page.quote("sent", body, "--full");
    }
    if let Some(log) = field(made, "/log").filter(|log| !log.is_empty()) {
        page.quote("console", log, "--full");
    }
}

/// The line that makes the request again, not indented: a body may span lines, and every space of
/// it counts.
fn again(page: &mut Page, attempt: &Value, whole: bool) {
    let Some(curl) = field(attempt, "/curl") else { return };
    if !whole {
        let hint = format!("`becket attempts show {}` has the curl line", text(attempt, "/id"));
        return page.line("again", &hint);
    }
    let event = text(attempt, "/eventId");
    let label = page.paint.dim("again");
    page.text.push_str(&format!("  {label}\n\n{}\n\n", visible(curl)));
    let file = format!("{event}.body");
    if curl.ends_with(&format!("--data-binary @{file}")) {
        page.line("before it", &format!("becket events body {event} > {file}"));
    }
}

/// Where the time went, phase by phase.
fn timings(timings: &Value) -> String {
    if !timings.is_object() {
        return "-".to_owned();
    }
    let ms = |name: &str| number(timings, name) as f64 / 1_000.0;
    if timings["reused"] == true {
        return format!(
            "connection reused, first byte {:.1} ms, all {:.1} ms",
            ms("/first_byte"),
            ms("/total")
        );
    }
    format!(
        "DNS {:.1} ms, connect {:.1} ms, TLS {:.1} ms, first byte {:.1} ms, all {:.1} ms",
        ms("/dns"),
        ms("/connect"),
        ms("/tls"),
        ms("/first_byte"),
        ms("/total")
    )
}

/// How long after one moment another was.
fn since(from: &str, to: &str) -> Option<String> {
    let from: Timestamp = from.parse().ok()?;
    let to: Timestamp = to.parse().ok()?;
    let ms = to.as_millisecond() - from.as_millisecond();
    Some(match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{:.1} h", ms as f64 / 3_600_000.0),
    })
}

fn deliveries(page: &mut Page, event: &Value) {
    page.heading("deliveries");
    let deliveries = items(event, "/deliveries");
    if deliveries.is_empty() {
        page.line("none", "it goes nowhere");
    }
    for delivery in deliveries {
        let replay = match number(delivery, "/generation") {
            0 => String::new(),
            generation => format!(" (replay {generation})"),
        };
        let attempts = number(delivery, "/attempts");
        let when = if delivery["underWay"] == true {
            ", under way".to_owned()
        } else if field(delivery, "/nextAttemptAt").is_some() {
            format!(", next attempt {}", moment_of(delivery, "/nextAttemptAt", page.now_s))
        } else {
            String::new()
        };
        let endpoint = text(delivery, "/endpoint");
        let word = text(delivery, "/state");
        let padded = format!("{word:<LABEL_WIDTH$}");
        let coloured = state(page.paint, &word) + &padded[word.len().min(padded.len())..];
        let plural = if attempts == 1 { "attempt" } else { "attempts" };
        let line = format!("  {coloured} {endpoint}{replay}: {attempts} {plural}{when}\n");
        page.text.push_str(&line);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn life() -> Value {
        json!({
            "event": {
                "id": "msg_1", "source": "github", "eventType": "push", "state": "delivered",
                "unverified": "stale", "released": {
                    "by": "the operator", "reason": "known", "refusedAs": "stale",
                    "firstReceivedAt": "2026-01-31T12:00:00.000Z",
                },
                "disposition": "accepted", "receivedAt": "2026-01-31T12:00:00.000Z",
                "deliveries": [
                    { "endpoint": "app", "generation": 0, "state": "delivered", "attempts": 2,
                      "underWay": false, "nextAttemptAt": null },
                ],
            },
            "request": {
                "method": "POST", "path": "/in/github", "url": null,
                "remoteAddress": "192.0.2.1", "headers": [["x-a", "1\u{1b}[2J"]],
                "body": { "sizeBytes": 9, "text": "{\"a\":\n1}", "cut": false },
            },
            "verdict": { "recorded": null, "explanation": {
                "verdict": { "genuine": {} }, "sentence": "The request is genuine.", "hint": null,
                "steps": [{ "name": "signature", "ok": true, "detail": "key 1 of 1 fits" }],
                "signed_text": { "template": "{body}", "text": "{\"a\":\n1}", "length_bytes": 9 },
                "signature_received": ["sha256=00"],
            } },
            "dedupe": { "deliveryId": "d-1", "duplicates": ["2026-01-31T12:00:01Z"], "more": false },
            "invalid": null,
            "endpoints": [{ "endpoint": "github/app", "url": "http://a/", "planned": true,
                            "reason": "takes every event type" }],
            "attempts": [{
                "id": "atmpt_1", "eventId": "msg_1", "endpoint": "github/app", "number": 1, "trigger": "receipt",
                "startedAt": "2026-01-31T12:00:00.007Z", "durationMs": 12, "succeeded": false,
                "status": 500, "errorCode": null,
                "next": { "step": "retry", "at": "2026-01-31T12:00:05Z" },
                "detail": {
                    "request_headers": [["webhook-id", "msg_1"]], "remote_address": "127.0.0.1:9",
                    "response": { "headers": [], "body": { "text": "oops" } },
                    "timings_us": { "dns": 0, "connect": 120, "tls": 0, "first_byte": 9_000,
                                    "total": 12_000, "reused": false },
                },
                "curl": "curl --url http://a/ \\\n  --data-raw x",
            }],
        })
    }

    #[test]
    fn an_events_life_reads_from_top_to_bottom() {
        let text = render(&life(), Paint::for_stdout(), 1_769_860_860, false);
        let wanted = "\
event msg_1
  source     github
  type       push
  state      delivered
  verdict    unverified (stale): accepted all the same
  released   by the operator, without verification: known; refused as stale at 2026-01-31T12:00:00Z (60s ago)

received 2026-01-31T12:00:00Z (60s ago)
  request    POST /in/github from 192.0.2.1
  headers    1 (--full shows them)
  body       9 B
             {\"a\":
             1}

verdict
  now        genuine: The request is genuine.
  signature  ok  key 1 of 1 fits
  signed     {body} (9 B)
             {\"a\":
             1}
  came       sha256=00

repeats
  id         d-1
  repeated   2026-01-31T12:00:01Z (59s ago), answered with this event

endpoints
  planned    github/app -> http://a/: takes every event type

attempt 1 at github/app
  started    2026-01-31T12:00:00Z (60s ago), 7 ms after receipt
  id         atmpt_1
  result     failed with HTTP status 500 in 12 ms
  timings    DNS 0.0 ms, connect 0.1 ms, TLS 0.0 ms, first byte 9.0 ms, all 12.0 ms
  address    127.0.0.1:9
  sent       1 (--full shows them)
  came back  0 (--full shows them)
  response   oops
  then       retry at 2026-01-31T12:00:05Z (55s ago)
  again

curl --url http://a/ \\
  --data-raw x


deliveries
  delivered  app: 2 attempts
";
        assert_eq!(text, wanted);
    }

    #[test]
    fn long_quotations_are_cut_and_say_so() {
        let mut life = life();
        life["request"]["body"]["text"] = json!("x".repeat(10_000));
        let cut = render(&life, Paint::for_stdout(), 0, false);
        assert!(cut.contains("… cut; `becket events body msg_1` shows all"), "{cut}");
        let full = render(&life, Paint::for_stdout(), 0, true);
        assert!(full.contains(&"x".repeat(10_000)));
        assert!(full.contains("x-a: 1\u{fffd}[2J"), "no escape sequences from outside");
    }

    #[test]
    fn what_cannot_be_judged_again_says_so() {
        let refused_request = json!({
            "number": 3, "source": "github", "status": 401, "code": "stale", "reason": "too old",
            "receivedAt": "2026-01-31T12:00:00Z",
            "request": { "headers": [], "body": { "sizeBytes": 2, "base64": "//4=" } },
            "verdict": { "recorded": null, "explanation": null },
        });
        let text = refused(&refused_request, Paint::for_stdout(), 1_769_860_800, false);
        assert!(text.contains("no longer configured"), "{text}");
        assert!(text.contains("no text;"), "{text}");
    }
}
