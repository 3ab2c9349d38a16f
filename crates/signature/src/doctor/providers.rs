//! Whose request it is, if not this provider's: by the headers that came, and by trying the secret.

use std::collections::HashMap;
use std::sync::Arc;

use super::Trials;
use crate::entry::{Entry, Status};
use crate::likely_cause::{Finding, LikelyCause, finding};
use crate::scheme::Class;
use crate::template::{Expr, Template};

/// A header that at most this many entries have their signature in tells providers apart.
const SHARED_BY_MAX: usize = 3;
/// Names that are listed when several entries fit.
const NAMES_MAX: usize = 3;

impl Trials<'_> {
    /// "This is signed like Shopify".
    pub(super) fn provider(&self) -> Option<Finding> {
        let catalogue = self.doctor.catalogue?;
        let entries: Vec<Arc<Entry>> =
            catalogue.slugs().filter_map(|slug| catalogue.get(slug)).collect();
        let mut shared: HashMap<String, usize> = HashMap::new();
        for entry in &entries {
            for name in signature_headers(entry) {
                *shared.entry(name).or_default() += 1;
            }
        }
        let mut likely: Vec<(usize, &Arc<Entry>)> = entries
            .iter()
            .filter(|entry| entry.slug != self.verifier.entry.slug && entry.parameters.is_empty())
            .filter(|entry| self.came(&signature_headers(entry)))
            .map(|entry| (self.marks(entry, &shared), entry))
            .collect();
        likely.sort_by_key(|(marks, entry)| {
            (std::cmp::Reverse(*marks), entry.status != Status::Proven, entry.slug.clone())
        });
        let fits: Vec<&Arc<Entry>> = likely
            .iter()
            .map(|(_, entry)| *entry)
            .filter(|entry| proves(entry))
            .filter(|entry| {
                let url = self.verifier.public_url.clone();
                self.lenient(Arc::clone(entry), &self.verifier.credentials, url)
                    .is_some_and(|verifier| self.judge(&verifier, self.request))
            })
            .take(NAMES_MAX)
            .collect();
        if let Some(first) = fits.first() {
            let names: Vec<&str> = fits.iter().map(|entry| entry.name.as_str()).collect();
            return Some(finding(
                LikelyCause::OtherProvider,
                format!(
                    "This is signed like {}: as provider `{}` the configured secret fits.",
                    names.join(" or "),
                    first.slug
                ),
                "Set the source's provider to the one that really sends.",
            ));
        }
        let (marks, best) = likely.first()?;
        let rival = likely.get(1).is_some_and(|(other, _)| other == marks);
        if *marks == 0 || rival {
            return None;
        }
        let came = signature_headers(best)
            .into_iter()
            .find(|name| self.request.headers.contains_key(name))?;
        Some(finding(
            LikelyCause::OtherProvider,
            format!(
                "This is signed like {} ({came} came) and not like {}, and the configured secret does not fit that either.",
                best.name, self.verifier.entry.name
            ),
            "Either the sender has the URL of the wrong source, or the source has the wrong provider and secret.",
        ))
    }

    fn came(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.request.headers.contains_key(name))
    }

    /// How many of an entry's own headers came.
    fn marks(&self, entry: &Entry, shared: &HashMap<String, usize>) -> usize {
        let rare = |name: &String| shared.get(name).copied().unwrap_or(0) <= SHARED_BY_MAX;
        let own = signature_headers(entry).into_iter().filter(rare);
        let facts = [&entry.event_type, &entry.delivery_id];
        let facts = facts.into_iter().flatten().flat_map(|fact| fact.at.iter());
        let facts = facts.flat_map(|place| headers(place));
        own.chain(facts).filter(|name| self.request.headers.contains_key(name)).count()
    }
}

/// Whether passing this entry says who has sent.
fn proves(entry: &Entry) -> bool {
    !entry.schemes.is_empty()
        && entry
            .schemes
            .iter()
            .all(|scheme| !matches!(scheme.class, Class::Token | Class::Basic | Class::None))
}

/// The headers in which an entry's signatures are.
fn signature_headers(entry: &Entry) -> Vec<String> {
    let specs = entry.schemes.iter().filter_map(|scheme| scheme.signature.as_ref());
    specs
        .flat_map(|spec| spec.at.iter())
        .flat_map(|place| headers(place))
        .filter(|name| name != http::header::AUTHORIZATION.as_str())
        .collect()
}

fn headers(template: &Template) -> impl Iterator<Item = String> + '_ {
    template.variables().filter_map(|variable| match variable {
        Expr::Header(name) => Some(name.to_string()),
        _ => None,
    })
}
