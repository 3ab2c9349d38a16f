//! Answering challenges as the entry says.
//!
//! Invariants: rules are tried in order; a rule that wants the request verified first is skipped when it is
//! not genuine, so that the caller's verification then refuses it; a URL to visit has one of the entry's hosts.

use crate::answers::HandshakeRule;
use crate::fetched::{self, FetchedKeys};
use crate::request::{Captured, HandshakeAnswer, RequestView};
use crate::scope::Scope;
use crate::url_text;
use crate::verifier::Verifier;

impl Verifier {
    /// The answer to a handshake; `None` when the request is an ordinary one.
    pub fn handshake(&self, request: &RequestView<'_>, now_s: i64) -> Option<HandshakeAnswer> {
        self.handshake_with(request, now_s, None)
    }

    /// The same with keys that were fetched for this request, for handshakes that are verified first: see
    /// [`Verifier::key_request`].
    pub fn handshake_with(
        &self,
        request: &RequestView<'_>,
        now_s: i64,
        fetched: Option<&FetchedKeys>,
    ) -> Option<HandshakeAnswer> {
        if self.entry.handshakes.is_empty() {
            return None;
        }
        let url = url_text::registered(self.public_url.as_deref(), request.url);
        let scope = Scope { hmac: self.challenge_key(), ..self.base_scope(request, &url) };
        self.entry.handshakes.iter().find_map(|rule| {
            let wanted = rule.when.iter().all(|condition| scope.holds(condition));
            let genuine = || self.verify_with(request, now_s, fetched).is_genuine();
            if !wanted || (rule.verify_first && !genuine()) {
                return None;
            }
            answer(rule, &scope)
        })
    }
}

fn answer(rule: &HandshakeRule, scope: &Scope<'_>) -> Option<HandshakeAnswer> {
    let body = scope.render(&rule.respond.body).ok()?.into_owned();
    let mut headers = Vec::with_capacity(rule.respond.headers.len() + 1);
    if !body.is_empty() {
        headers.push(("content-type".to_owned(), rule.respond.content_type.clone()));
    }
    for (name, template) in &rule.respond.headers {
        let value = scope.text(template)?;
        // An echoed value must not be able to write further headers.
        http::HeaderValue::from_str(&value).ok()?;
        headers.push((name.clone(), value.into_owned()));
    }
    let captured = match &rule.capture {
        None => None,
        Some(capture) => Some(Captured {
            name: capture.name.clone(),
            value: scope.text(&capture.from)?.into_owned(),
            confirm: capture.confirm,
        }),
    };
    let visit = match &rule.visit {
        None => None,
        Some(visit) => {
            let url = scope.text(&visit.url)?;
            // Whoever sends the request names the URL: it must be one of the provider's.
            fetched::host_allowed(&visit.hosts, &url).then_some(())?;
            Some(url.into_owned())
        }
    };
    Some(HandshakeAnswer {
        name: rule.name.clone(),
        status: rule.respond.status,
        headers,
        body,
        captured,
        visit,
    })
}
