//! What the API makes, on one of the two stores that are compared.

use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, ApplicationSettings, EndpointId, EndpointState,
};
use becket_store::{
    Application, ApplicationChange, ApplicationNew, Changed, ConfigSnapshot, Created, Document,
    DocumentContent, DocumentKind, DocumentName, Endpoint, EndpointNew, Envelope, Name, Owner,
    Result, Scope, Slice, WriteIf, Written,
};
use bytes::Bytes;

use super::made::{
    APPLICATION_NAMES, By, Condition, Cut, DOCUMENT_KINDS, DOCUMENT_NAMES, Doc, ENDPOINT_NAMES,
    Made,
};
use super::side::{Side, back, owner};
use super::tell::tell_found;
use crate::fixture;

const KINDS: [ApplicationKind; 3] =
    [ApplicationKind::Customer, ApplicationKind::Source, ApplicationKind::Operational];

/// The kinds of documents in use; the names of the last are unique in the store.
const DOCUMENTS: [DocumentKind; DOCUMENT_KINDS] =
    [DocumentKind::EventType, DocumentKind::Transformation, DocumentKind::Token];

fn application_name(at: usize) -> String {
    APPLICATION_NAMES[at].to_owned()
}

impl Side {
    pub(super) async fn made(&mut self, made: &Made, now_ms: i64) -> Result<String> {
        match made {
            Made::Application { .. }
            | Made::ChangeApplication { .. }
            | Made::FindApplication { .. }
            | Made::Applications { .. } => self.about_application(made, now_ms).await,
            Made::Endpoint { .. } | Made::FindEndpoint { .. } | Made::Endpoints { .. } => {
                self.about_endpoint(made, now_ms).await
            }
            Made::Put { .. }
            | Made::Get(_)
            | Made::Find(_)
            | Made::Remove(_)
            | Made::Documents { .. }
            | Made::SweepDocuments { .. } => self.about_document(made, now_ms).await,
            Made::Reseal { version, place, stale } => {
                self.reseal(*version, *place, *stale, now_ms).await
            }
            other => self.about_event(other, now_ms).await,
        }
    }

    async fn about_application(&mut self, made: &Made, now_ms: i64) -> Result<String> {
        let fresh = self.fresh();
        let envelope = self.envelope(1);
        match made {
            Made::Application { owner: slot, kind, name, sealed } => {
                let new = ApplicationNew {
                    kind: KINDS[*kind],
                    id: ApplicationId::new(fixture::T0, fresh),
                    uid: name.map(application_name),
                    settings: ApplicationSettings { name: "made".to_owned(), ..Default::default() },
                    credentials: sealed.then_some(envelope),
                };
                let created = self.store.application_create(owner(*slot), new, now_ms).await?;
                if let Created::New(application) = &created {
                    self.learn_application(*slot, application);
                }
                Ok(tell_created(created, |one| self.tell_application(&one)))
            }
            Made::ChangeApplication { application, foreign, name, settings, sealed, remove } => {
                let known = self.applications[self.application_place(*application)];
                if *remove && self.is_of_the_file(known.owner, known.key).await? {
                    return Ok("left open".to_owned());
                }
                let change = ApplicationChange {
                    read: self.read_for(known.owner, known.key, *settings).await?,
                    uid: name.map(|name| name.map(application_name)),
                    settings: settings.map(|number| ApplicationSettings {
                        name: format!("changed to {number}"),
                        ..ApplicationSettings::default()
                    }),
                    credentials: sealed.then_some(envelope),
                    remove: *remove,
                };
                let whose = owner(known.owner ^ usize::from(*foreign));
                let changed =
                    self.store.application_change(whose, known.key, change, now_ms).await?;
                Ok(match changed {
                    Changed::Done(one) => {
                        self.learn_application(known.owner, &one);
                        self.tell_application(&one)
                    }
                    other => format!("{other:?}"),
                })
            }
            Made::FindApplication { application, foreign, kind, by } => {
                let known = self.applications[self.application_place(*application)];
                let mut short = *known.id.as_bytes();
                short[16..].fill(0);
                let name = match by {
                    By::Id => Name::Id(known.id),
                    By::Short => Name::Id(ApplicationId::from_bytes(short)),
                    By::Name(at) => Name::Uid(application_name(*at)),
                };
                let kind = kind.map_or(known.kind, |kind| KINDS[kind]);
                let whose = owner(known.owner ^ usize::from(*foreign));
                let found = self.store.application_get(whose, kind, name).await?;
                Ok(tell_found(found, |one| self.tell_application(&one)))
            }
            Made::Applications { owner: slot, kind, cut } => {
                let slice = cut_at(*cut, |at| self.applications[self.application_place(at)].id);
                let list = self.store.application_list(owner(*slot), KINDS[*kind], slice).await?;
                Ok(list.iter().map(|one| self.tell_application(one)).collect())
            }
            _ => Ok(String::new()),
        }
    }

    /// What a change is thought out from: sometimes nothing, sometimes what is no longer so.
    async fn read_for(
        &self,
        slot: usize,
        key: ApplicationKey,
        settings: Option<u32>,
    ) -> Result<Option<Box<Application>>> {
        let config = self.store.config_list(owner(slot)).await?;
        let row = config.application(key).cloned().map(Box::new);
        Ok(match settings {
            Some(number) if number % 2 == 0 => row.map(|mut row| {
                if number == 4 {
                    row.settings.name.push_str(" at another time");
                }
                row
            }),
            _ => None,
        })
    }

    fn learn_application(&mut self, slot: usize, application: &Application) {
        let applications = vec![application.clone()];
        self.learn(slot, &ConfigSnapshot { applications, endpoints: Vec::new() });
    }

    /// What becomes of something that the file declares when the API removes it is left open.
    async fn is_of_the_file(&self, slot: usize, key: ApplicationKey) -> Result<bool> {
        let config = self.store.config_list(owner(slot)).await?;
        let application = config.application(key);
        Ok(application.is_some_and(|one| one.origin == becket_model::Origin::File))
    }

    async fn about_endpoint(&mut self, made: &Made, now_ms: i64) -> Result<String> {
        let fresh = self.fresh();
        let (secret, headers) = (self.envelope(1), self.envelope(1));
        match made {
            Made::Endpoint { application, foreign, name, paused, sealed } => {
                let known = self.applications[self.application_place(*application)];
                let new = EndpointNew {
                    id: EndpointId::new(fixture::T0, fresh),
                    uid: name.map(|at| ENDPOINT_NAMES[at].to_owned()),
                    headers: sealed.then_some(headers),
                    secret,
                    state: if *paused { EndpointState::Paused } else { EndpointState::Enabled },
                    ..fixture::made_endpoint(known.key, "made")
                };
                let whose = owner(known.owner ^ usize::from(*foreign));
                let created = self.store.endpoint_create(whose, new, now_ms).await?;
                if let Created::New(endpoint) = &created {
                    let endpoints = vec![endpoint.clone()];
                    let config = ConfigSnapshot { applications: Vec::new(), endpoints };
                    self.learn(known.owner, &config);
                }
                Ok(tell_created(created, |one: Endpoint| self.tell_endpoint(&one, now_ms)))
            }
            Made::FindEndpoint { endpoint, application, foreign, by } => {
                let known = self.endpoints[self.endpoint_place(*endpoint)];
                let name = match by {
                    By::Id | By::Short => Name::Id(known.id),
                    By::Name(at) => Name::Uid(ENDPOINT_NAMES[*at].to_owned()),
                };
                let place =
                    application.map_or(known.application, |number| self.application_place(number));
                let application = self.applications[place];
                let whose = owner(application.owner ^ usize::from(*foreign));
                let found = self.store.endpoint_get(whose, application.key, name).await?;
                Ok(tell_found(found, |one| self.tell_endpoint(&one, now_ms)))
            }
            Made::Endpoints { application, foreign, cut } => {
                let known = self.applications[self.application_place(*application)];
                let whose = owner(known.owner ^ usize::from(*foreign));
                let slice = cut_at(*cut, |at| self.endpoints[self.endpoint_place(at)].id);
                let list = self.store.endpoint_list(whose, known.key, slice).await?;
                Ok(list.iter().map(|one| self.tell_endpoint(one, now_ms)).collect())
            }
            _ => Ok(String::new()),
        }
    }

    fn document(&self, document: Doc) -> (Owner, DocumentName) {
        let place = document.application.map(|number| self.application_place(number));
        let mut name = DOCUMENT_NAMES[document.name].to_owned();
        if document.kind == DOCUMENT_KINDS - 1 {
            name = format!("{name} of {place:?} of {}", document.owner);
        }
        let application = place.map(|place| self.applications[place].key);
        (owner(document.owner), DocumentName { kind: DOCUMENTS[document.kind], application, name })
    }

    async fn about_document(&mut self, made: &Made, now_ms: i64) -> Result<String> {
        let envelope = self.envelope(1);
        match made {
            Made::Put { document, condition, sealed, expires_in_ms } => {
                let (whose, name) = self.document(*document);
                let current = self.store.document_get(whose, name.clone(), now_ms).await?;
                let condition = match condition {
                    Condition::Absent => WriteIf::Absent,
                    Condition::Always => WriteIf::Always,
                    Condition::Revision(revision) => WriteIf::Revision(*revision),
                    Condition::Current => WriteIf::Revision(current.map_or(1, |one| one.revision)),
                };
                let content = DocumentContent {
                    body: format!("{{\"at\":{now_ms}}}"),
                    sealed: sealed.then_some(envelope),
                    expires_at_ms: expires_in_ms.map(|ms| now_ms + ms),
                };
                let put = self.store.document_put(whose, name, content, condition, now_ms);
                let tell = |one: Document| self.tell_document(&one);
                Ok(match put.await? {
                    Written::Created(one) => format!("created {}", tell(one)),
                    Written::Replaced(one) => format!("replaced {}", tell(one)),
                    Written::Refused(one) => format!("refused {}", tell_found(one, tell)),
                })
            }
            Made::Get(document) => {
                let (whose, name) = self.document(*document);
                let found = self.store.document_get(whose, name, now_ms).await?;
                Ok(tell_found(found, |one| self.tell_document(&one)))
            }
            Made::Find(document) => {
                let unique = Doc { kind: DOCUMENT_KINDS - 1, ..*document };
                let (_, name) = self.document(unique);
                let found = self.store.document_find(name.kind, &name.name, now_ms).await?;
                Ok(tell_found(found, |(whose, one)| {
                    format!("{whose:?} {}", self.tell_document(&one))
                }))
            }
            Made::Remove(document) => {
                let (whose, name) = self.document(*document);
                // Whether one that has expired is still there to be removed is left open.
                if self.store.document_get(whose, name.clone(), now_ms).await?.is_none() {
                    return Ok("nothing".to_owned());
                }
                Ok(format!("removed: {}", self.store.document_remove(whose, name).await?))
            }
            Made::Documents { like, cut } => {
                let (whose, name) = self.document(*like);
                let slice = cut_at(*cut, |at| {
                    let name = at % DOCUMENT_NAMES.len();
                    self.document(Doc { name, ..*like }).1.name
                });
                let (kind, place) = (name.kind, name.application);
                let list = self.store.document_list(whose, kind, place, slice, now_ms).await?;
                Ok(list.iter().map(|one| self.tell_document(one)).collect())
            }
            Made::SweepDocuments { limit } => {
                Ok(format!("swept {}", self.store.document_sweep(now_ms, *limit).await?))
            }
            _ => Ok(String::new()),
        }
    }

    /// Lists what was sealed with other versions, and seals one of them with this one.
    async fn reseal(
        &mut self,
        version: u8,
        place: usize,
        stale: bool,
        now_ms: i64,
    ) -> Result<String> {
        let new = self.envelope(version);
        // Expired documents may be forgotten at any time, and expired secrets as well.
        while self.store.document_sweep(now_ms, 10).await? > 0 {}
        let mut expired = Vec::new();
        for slot in 0..2 {
            let config = self.store.config_list(owner(slot)).await?;
            let secrets = config.endpoints.into_iter().flat_map(|endpoint| endpoint.secrets);
            let over = secrets.filter(|one| one.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms));
            expired.extend(over.map(|secret| secret.envelope));
        }
        let mut all = self.store.envelope_list(version, 10_000).await?;
        all.retain(|one| !expired.contains(&one.bytes));
        all.sort_by(|left, right| (&left.place, &left.bytes).cmp(&(&right.place, &right.bytes)));
        let tell = |one: &Envelope| format!("{} {:?}\n", one.place, one.bytes);
        let mut text: String = all.iter().map(tell).collect();
        if let Some(one) = back(&all, place) {
            let old = if stale { vec![version, 0] } else { one.bytes.clone() };
            let replaced = self.store.envelope_replace(one.at, old, new).await?;
            text += &format!("the one at {} was replaced: {replaced}\n", one.place);
        }
        Ok(text)
    }

    async fn about_event(&mut self, made: &Made, now_ms: i64) -> Result<String> {
        match made {
            Made::Setting { owner: slot, name, value } => {
                let name = format!("setting {name}");
                self.store.setting_put(owner(*slot), &name, vec![*value]).await?;
                Ok(format!("{:?}", self.store.setting_get(owner(*slot), &name).await?))
            }
            Made::Expunge { scope, event } => {
                let Some(id) = back(&self.events, *event) else { return Ok(String::new()) };
                let done = self.store.event_expunge(self.scope(*scope), *id, now_ms).await?;
                Ok(format!("{}: {done}", self.event(*id)))
            }
            Made::ExpungeDue => {
                let mut all = 0;
                loop {
                    match self.store.event_expunge_due(now_ms).await? {
                        0 => return Ok(format!("{all} payloads")),
                        some => all += some,
                    }
                }
            }
            Made::Rewrite { scope, attempt, detail } => {
                let Some(id) = back(&self.attempts, *attempt) else { return Ok(String::new()) };
                let detail = Bytes::from(vec![*detail; 3]);
                let done = self.store.attempt_rewrite(self.scope(*scope), *id, detail).await?;
                Ok(format!("rewritten: {done}"))
            }
            Made::Events { scope, since_ago_ms, until_ago_ms } => {
                let times_ms = (now_ms - since_ago_ms, now_ms - until_ago_ms);
                self.count(self.scope(*scope), times_ms).await
            }
            Made::Deliveries { scope, endpoint, since_ago_ms, until_ago_ms } => {
                let (since_ms, until_ms) = (now_ms - since_ago_ms, now_ms - until_ago_ms);
                let key = self.endpoints[self.endpoint_place(*endpoint)].key;
                let scope = self.scope(*scope);
                let counts = self.store.delivery_count(scope, key, since_ms, until_ms).await?;
                Ok(format!("{counts:?}"))
            }
            Made::Owners => Ok(format!("{:?}", self.store.owner_list().await?)),
            _ => Ok(String::new()),
        }
    }

    async fn count(&self, scope: Scope, (since_ms, until_ms): (i64, i64)) -> Result<String> {
        let counts = self.store.event_count(scope, since_ms, until_ms).await?;
        let each = counts.iter().map(|one| {
            let application = self.application(one.application);
            format!("{application} {:?}: {} {}\n", one.event_type, one.events, one.deliveries)
        });
        Ok(each.collect())
    }

    /// Every document of an owner.
    pub(super) async fn audit_documents(&self, slot: usize, now_ms: i64) -> Result<String> {
        let mut text = String::new();
        let own = self.applications.iter().filter(|known| known.owner == slot && !known.removed);
        let places: Vec<_> =
            std::iter::once(None).chain(own.map(|known| Some(known.key))).collect();
        for kind in DOCUMENTS {
            for place in &places {
                let slice = Slice::oldest(1_000);
                let list =
                    self.store.document_list(owner(slot), kind, *place, slice, now_ms).await?;
                text.extend(list.iter().map(|one| self.tell_document(one)));
            }
        }
        Ok(text)
    }

    /// What is counted over all times.
    pub(super) async fn audit_counts(&self) -> Result<String> {
        let mut text = String::new();
        for scope in [fixture::MAIN, Scope::all(fixture::OTHER)] {
            text += &self.count(scope, (i64::MIN, i64::MAX)).await?;
            for known in &self.endpoints {
                let counts = self.store.delivery_count(scope, known.key, i64::MIN, i64::MAX);
                text += &format!("{} {:?}\n", self.endpoint(known.key), counts.await?);
            }
        }
        Ok(text)
    }
}

fn cut_at<Id>(cut: Cut, id: impl Fn(usize) -> Id) -> Slice<Id> {
    Slice { limit: cut.limit, after: cut.after.map(id), descending: cut.descending }
}

fn tell_created<T>(created: Created<T>, tell: impl Fn(T) -> String) -> String {
    match created {
        Created::New(one) => format!("new {}", tell(one)),
        Created::NameTaken(one) => format!("taken by {}", tell(one)),
        Created::NoParent => "no parent".to_owned(),
    }
}
