//! What is not in the request, or is there twice.

use super::Trials;
use crate::likely_cause::{Finding, LikelyCause, finding};
use crate::scope::{Absent, Scope};
use crate::template::Expr;
use crate::url_text;
use crate::verdict::Refusal;

impl Trials<'_> {
    /// The provider's other marks came, and the signature did not.
    pub(super) fn dropped(&self) -> Option<Finding> {
        let mark = self.own_mark()?;
        Some(finding(
            LikelyCause::DroppedHeader,
            format!(
                "The request looks like one of {} ({mark} came), but {} is not there: no secret is set at the sender, or a proxy dropped it.",
                self.verifier.entry.name,
                self.verifier.places().join(" or ")
            ),
            "Set a secret at the sender; if one is set, let the proxy in front pass every header on.",
        ))
    }

    /// A header by which this provider is known, other than the signature's.
    fn own_mark(&self) -> Option<String> {
        let entry = &self.verifier.entry;
        let facts = [&entry.event_type, &entry.delivery_id];
        let facts = facts.into_iter().flatten().flat_map(|fact| fact.at.iter());
        let stamps = entry.schemes.iter().filter_map(|scheme| scheme.timestamp.as_ref());
        let mut names = facts
            .flat_map(|place| place.variables())
            .chain(stamps.flat_map(|spec| spec.at.variables()))
            .filter_map(|variable| match variable {
                Expr::Header(name) => Some(name),
                _ => None,
            });
        names.find(|name| self.request.headers.contains_key(*name)).map(ToString::to_string)
    }

    /// A part of the signed text is absent.
    pub(super) fn part_missing(&self) -> Finding {
        let url = url_text::registered(self.verifier.public_url.as_deref(), self.request.url);
        let absent = self.verifier.choose(self.request, &url).ok().and_then(|(index, texts)| {
            let scheme = &self.verifier.entry.schemes[index];
            let scope: Scope<'_> = self.verifier.scope(self.request, &url, scheme, &texts);
            scheme.message.parts().iter().find_map(|part| match scope.value(part) {
                Err(Absent::Missing(Expr::Timestamp | Expr::Secret)) | Ok(_) => None,
                Err(Absent::Missing(what) | Absent::Repeated(what)) => Some(what.to_string()),
            })
        });
        let sentence = match absent {
            Some(what) => format!("The signed text needs `{what}`, which is not in the request."),
            None => "A header or field that is part of the signed text is absent.".to_owned(),
        };
        finding(
            LikelyCause::MissingPart,
            sentence,
            "Check that the provider is the right one, and that no proxy drops its headers.",
        )
    }

    /// A header that must be single came more than once.
    pub(super) fn repeated(&self) -> Finding {
        let twice =
            |name: &&http::HeaderName| self.request.headers.get_all(*name).iter().nth(1).is_some();
        let names: Vec<&str> =
            self.request.headers.keys().filter(twice).map(http::HeaderName::as_str).collect();
        let which = if names.is_empty() { "A header".to_owned() } else { names.join(", ") };
        finding(
            LikelyCause::RepeatedHeader,
            format!(
                "{which} came more than once, which no sender does: nobody can say which one counts."
            ),
            "Something between the sender and here adds headers; remove one of them.",
        )
    }

    /// The key is the matter, not the signature.
    pub(super) fn key(&self, refusal: Refusal) -> Finding {
        match refusal {
            Refusal::KeyUnavailable => finding(
                LikelyCause::KeyUnavailable,
                "The provider's key is needed and is not at hand here, so the signature was not judged.",
                "Try again when the provider can be reached: verifying again fetches the key. A key can also be given.",
            ),
            Refusal::UnknownKey => finding(
                LikelyCause::KeyUnavailable,
                "The request names a key that the provider does not publish.",
                "Either it is not from this provider, or the provider has just exchanged its keys: try again.",
            ),
            Refusal::UntrustedKeyUrl => finding(
                LikelyCause::WrongKey,
                "The request names a place for its key that is not the provider's.",
                "It is forged, or from another provider. Nothing was fetched from there.",
            ),
            _ => finding(
                LikelyCause::WrongKey,
                "The token is genuine, but a claim in it is not as it must be: it was made for somebody else, or for another request.",
                "Compare what the entry requires (audience, issuer, account) with the source's credentials.",
            ),
        }
    }
}
