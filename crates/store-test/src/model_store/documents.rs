//! Documents and sealed secrets of the model store.

use becket_model::ApplicationKey;
use becket_store::vault::place;
use becket_store::{
    Document, DocumentContent, DocumentKind, DocumentName, Envelope, EnvelopeAt, Owner, Slice,
    WriteIf, Written,
};

use super::applications::sliced;
use super::{KeptDocument, State};

fn is_live(document: &Document, now_ms: i64) -> bool {
    document.content.expires_at_ms.is_none_or(|until_ms| now_ms < until_ms)
}

impl State {
    pub(super) fn document_get(
        &self,
        owner: Owner,
        name: &DocumentName,
        now_ms: i64,
    ) -> Option<Document> {
        let kept = self.documents.get(&(owner, name.clone()))?;
        Some(kept.document.clone()).filter(|document| is_live(document, now_ms))
    }

    pub(super) fn document_find(
        &self,
        kind: DocumentKind,
        name: &str,
        now_ms: i64,
    ) -> Option<(Owner, Document)> {
        self.documents
            .iter()
            .find(|((_, known), kept)| {
                known.kind == kind && known.name == name && is_live(&kept.document, now_ms)
            })
            .map(|((owner, _), kept)| (*owner, kept.document.clone()))
    }

    pub(super) fn document_put(
        &mut self,
        owner: Owner,
        name: DocumentName,
        content: DocumentContent,
        condition: WriteIf,
        now_ms: i64,
    ) -> Written {
        let stray = |application| self.live_application(owner, application).is_none();
        if name.application.is_some_and(stray) {
            return Written::Refused(None);
        }
        let found = self.document_get(owner, &name, now_ms);
        let holds = match condition {
            WriteIf::Absent => found.is_none(),
            WriteIf::Revision(wanted) => found.as_ref().is_some_and(|old| old.revision == wanted),
            WriteIf::Always => true,
        };
        if !holds {
            return Written::Refused(found);
        }
        let document = Document {
            name: name.clone(),
            content,
            revision: found.as_ref().map_or(1, |old| old.revision + 1),
            created_at_ms: found.as_ref().map_or(now_ms, |old| old.created_at_ms),
            updated_at_ms: now_ms,
        };
        self.last_document += 1;
        let kept = KeptDocument { number: self.last_document, document: document.clone() };
        self.documents.insert((owner, name), kept);
        match found {
            None => Written::Created(document),
            Some(_) => Written::Replaced(document),
        }
    }

    pub(super) fn document_remove(&mut self, owner: Owner, name: DocumentName) -> bool {
        self.documents.remove(&(owner, name)).is_some()
    }

    pub(super) fn document_list(
        &self,
        owner: Owner,
        kind: DocumentKind,
        application: Option<ApplicationKey>,
        slice: &Slice<String>,
        now_ms: i64,
    ) -> Vec<Document> {
        let wanted = self.documents.iter().filter(|((whose, name), kept)| {
            *whose == owner
                && name.kind == kind
                && name.application == application
                && is_live(&kept.document, now_ms)
        });
        sliced(wanted.map(|(_, kept)| kept.document.clone()), slice, |one| one.name.name.clone())
    }

    pub(super) fn document_sweep(&mut self, now_ms: i64, limit: usize) -> u64 {
        let expired = self.documents.iter().filter(|(_, kept)| !is_live(&kept.document, now_ms));
        let doomed: Vec<_> = expired.map(|(name, _)| name.clone()).take(limit).collect();
        for name in &doomed {
            self.documents.remove(name);
        }
        doomed.len() as u64
    }

    pub(super) fn envelope_list(&self, version: u8, limit: usize) -> Vec<Envelope> {
        let mut all = Vec::new();
        let mut add = |at, place: String, bytes: &Vec<u8>| {
            if bytes.first().is_some_and(|found| *found != version) {
                all.push(Envelope { at, place, bytes: bytes.clone() });
            }
        };
        for application in self.applications.values() {
            if let Some(bytes) = &application.credentials {
                let at = EnvelopeAt::ApplicationCredentials(application.key);
                add(at, place::application_credentials(application.id), bytes);
            }
        }
        for (_, endpoint) in self.endpoints.values() {
            if let Some(bytes) = &endpoint.headers {
                let at = EnvelopeAt::EndpointHeaders(endpoint.key);
                add(at, place::endpoint_headers(endpoint.id), bytes);
            }
            // Counted from the oldest, so that a rotation changes no number.
            for (number, secret) in (0..).zip(endpoint.secrets.iter().rev()) {
                let at = EnvelopeAt::EndpointSecret(endpoint.key, number);
                add(at, place::endpoint_secret(endpoint.id), &secret.envelope);
            }
        }
        for kept in self.documents.values() {
            if let Some(bytes) = &kept.document.content.sealed {
                let place = place::document(&kept.document.name);
                add(EnvelopeAt::Document(kept.number), place, bytes);
            }
        }
        all.truncate(limit);
        all
    }

    pub(super) fn envelope_replace(&mut self, at: EnvelopeAt, old: &[u8], new: Vec<u8>) -> bool {
        let kept = match at {
            EnvelopeAt::ApplicationCredentials(key) => {
                self.applications.get_mut(&key).and_then(|known| known.credentials.as_mut())
            }
            EnvelopeAt::EndpointHeaders(key) => {
                self.endpoint_mut(key).and_then(|endpoint| endpoint.headers.as_mut())
            }
            EnvelopeAt::EndpointSecret(key, number) => self
                .endpoint_mut(key)
                .and_then(|endpoint| endpoint.secrets.iter_mut().rev().nth(number as usize))
                .map(|secret| &mut secret.envelope),
            EnvelopeAt::Document(number) => self
                .documents
                .values_mut()
                .find(|kept| kept.number == number)
                .and_then(|kept| kept.document.content.sealed.as_mut()),
        };
        match kept {
            Some(kept) if kept == old => {
                *kept = new;
                true
            }
            _ => false,
        }
    }
}
