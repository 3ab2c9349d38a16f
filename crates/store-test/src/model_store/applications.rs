//! Applications and endpoints that the API makes and changes, in the model store.

use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, EndpointId, EndpointKey, EndpointState, Origin,
};
use becket_store::{
    Application, ApplicationChange, ApplicationNew, Changed, Created, Endpoint, EndpointChange,
    EndpointNew, Name, Owner, Slice, StoredSecret,
};

use super::State;
use super::config::first_secret;

/// The part of a list that a slice asks for; `id` is what the list is ordered by.
pub(super) fn sliced<T, Id: Ord>(
    all: impl Iterator<Item = T>,
    slice: &Slice<Id>,
    id: impl Fn(&T) -> Id,
) -> Vec<T> {
    let behind = |one: &T| {
        slice
            .after
            .as_ref()
            .is_none_or(|after| if slice.descending { id(one) < *after } else { id(one) > *after })
    };
    let mut rest: Vec<T> = all.filter(behind).collect();
    rest.sort_by_key(&id);
    if slice.descending {
        rest.reverse();
    }
    rest.truncate(slice.limit);
    rest
}

impl State {
    /// The owner's applications of a kind that are not removed.
    fn live_applications(
        &self,
        owner: Owner,
        kind: ApplicationKind,
    ) -> impl Iterator<Item = &Application> {
        self.applications
            .values()
            .filter(move |known| known.owner == owner && known.kind == kind && !known.removed)
    }

    /// The application, if it is the owner's and not removed.
    pub(super) fn live_application(
        &self,
        owner: Owner,
        key: ApplicationKey,
    ) -> Option<&Application> {
        self.applications.get(&key).filter(|known| known.owner == owner && !known.removed)
    }

    /// Who of a kind has the name.
    fn application_named(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        uid: Option<&String>,
    ) -> Option<&Application> {
        let uid = uid?;
        self.live_applications(owner, kind).find(|known| known.uid.as_ref() == Some(uid))
    }

    pub(super) fn application_create(
        &mut self,
        owner: Owner,
        new: ApplicationNew,
        now_ms: i64,
    ) -> Created<Application> {
        if let Some(holder) = self.application_named(owner, new.kind, new.uid.as_ref()) {
            return Created::NameTaken(holder.clone());
        }
        let key = self.next_application();
        let application = Application {
            key,
            owner,
            kind: new.kind,
            id: new.id,
            uid: new.uid,
            origin: Origin::Api,
            settings: new.settings,
            credentials: new.credentials,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            removed: false,
        };
        self.applications.insert(key, application.clone());
        Created::New(application)
    }

    pub(super) fn application_get(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        name: &Name<ApplicationId>,
    ) -> Option<Application> {
        let found = match name {
            Name::Uid(uid) => self.application_named(owner, kind, Some(uid)),
            Name::Id(id) => {
                let short = kind == ApplicationKind::Source && id.as_bytes()[16..] == [0; 4];
                self.live_applications(owner, kind)
                    .find(|known| known.id == *id || (short && known.id.source() == id.source()))
            }
        };
        found.cloned()
    }

    pub(super) fn application_list(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        slice: &Slice<ApplicationId>,
    ) -> Vec<Application> {
        sliced(self.live_applications(owner, kind).cloned(), slice, |known| known.id)
    }

    pub(super) fn application_change(
        &mut self,
        owner: Owner,
        key: ApplicationKey,
        change: ApplicationChange,
        now_ms: i64,
    ) -> Changed<Application> {
        let Some(known) = self.live_application(owner, key) else {
            return Changed::Absent;
        };
        if !change.fits(known) {
            return Changed::Meanwhile;
        }
        let kind = known.kind;
        let wanted = change.uid.as_ref().and_then(Option::as_ref);
        if self.application_named(owner, kind, wanted).is_some_and(|holder| holder.key != key) {
            return Changed::NameTaken;
        }
        if change.remove {
            self.remove_belongings(key, now_ms);
        }
        let Some(application) = self.applications.get_mut(&key) else { return Changed::Absent };
        application.updated_at_ms = now_ms;
        if let Some(uid) = change.uid {
            application.uid = uid;
        }
        if let Some(settings) = change.settings {
            application.settings = settings;
        }
        if let Some(credentials) = change.credentials {
            application.credentials = Some(credentials);
        }
        if change.remove {
            application.removed = true;
            application.uid = None;
        }
        Changed::Done(application.clone())
    }

    /// Removes the endpoints and documents of an application.
    fn remove_belongings(&mut self, application: ApplicationKey, now_ms: i64) {
        self.documents.retain(|(_, name), _| name.application != Some(application));
        for (_, endpoint) in self.endpoints.values_mut() {
            if endpoint.application == application && endpoint.state != EndpointState::Removed {
                endpoint.state = EndpointState::Removed;
                endpoint.state_reason.clear();
                endpoint.updated_at_ms = now_ms;
                if endpoint.origin == Origin::Api {
                    endpoint.uid = None;
                }
            }
        }
    }

    /// The endpoints of an application that are not removed; none if the application is.
    fn live_endpoints(
        &self,
        owner: Owner,
        application: ApplicationKey,
    ) -> impl Iterator<Item = &Endpoint> {
        let there = self.live_application(owner, application).is_some();
        self.endpoints.values().map(|(_, endpoint)| endpoint).filter(move |known| {
            there && known.application == application && known.state != EndpointState::Removed
        })
    }

    pub(super) fn endpoint_create(
        &mut self,
        owner: Owner,
        new: EndpointNew,
        now_ms: i64,
    ) -> Created<Endpoint> {
        if self.live_application(owner, new.application).is_none() {
            return Created::NoParent;
        }
        let holder = self
            .live_endpoints(owner, new.application)
            .find(|known| new.uid.is_some() && known.uid == new.uid);
        if let Some(holder) = holder {
            return Created::NameTaken(holder.clone());
        }
        let key = self.next_endpoint();
        let endpoint = Endpoint {
            key,
            id: new.id,
            uid: new.uid,
            application: new.application,
            origin: Origin::Api,
            settings: new.settings,
            headers: new.headers,
            state: new.state,
            state_reason: String::new(),
            failing_since_ms: None,
            secrets: first_secret(new.secret),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        };
        self.endpoints.insert(key, (owner, endpoint.clone()));
        Created::New(endpoint)
    }

    pub(super) fn endpoint_get(
        &self,
        owner: Owner,
        application: ApplicationKey,
        name: &Name<EndpointId>,
    ) -> Option<Endpoint> {
        self.live_endpoints(owner, application)
            .find(|known| match name {
                Name::Id(id) => known.id == *id,
                Name::Uid(uid) => known.uid.as_ref() == Some(uid),
            })
            .cloned()
    }

    pub(super) fn endpoint_list(
        &self,
        owner: Owner,
        application: ApplicationKey,
        slice: &Slice<EndpointId>,
    ) -> Vec<Endpoint> {
        sliced(self.live_endpoints(owner, application).cloned(), slice, |known| known.id)
    }

    pub(super) fn endpoint_change(
        &mut self,
        owner: Owner,
        id: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Changed<Endpoint> {
        let known = self
            .endpoints
            .values()
            .find(|(whose, endpoint)| *whose == owner && endpoint.id == id)
            .map(|(_, endpoint)| endpoint.clone());
        let Some(mut endpoint) = known else { return Changed::Absent };
        let lasting = endpoint.origin == Origin::File
            && matches!(change, EndpointChange::State { .. } | EndpointChange::FailingSince(_));
        if endpoint.state == EndpointState::Removed && !lasting {
            return Changed::Absent;
        }
        if !change.fits(&endpoint) {
            return Changed::Meanwhile;
        }
        if !matches!(change, EndpointChange::FailingSince(_)) {
            endpoint.updated_at_ms = now_ms;
        }
        apply_change(&mut endpoint, change);
        if endpoint.state != EndpointState::Removed && self.name_is_taken(&endpoint) {
            return Changed::NameTaken;
        }
        self.endpoints.insert(endpoint.key, (owner, endpoint.clone()));
        Changed::Done(endpoint)
    }

    /// Whether another endpoint of the same application has its name.
    fn name_is_taken(&self, endpoint: &Endpoint) -> bool {
        self.endpoints.values().any(|(_, known)| {
            known.application == endpoint.application
                && known.key != endpoint.key
                && known.state != EndpointState::Removed
                && known.uid.is_some()
                && known.uid == endpoint.uid
        })
    }

    /// The endpoint of a key, whoever's it is.
    pub(super) fn endpoint_mut(&mut self, key: EndpointKey) -> Option<&mut Endpoint> {
        self.endpoints.get_mut(&key).map(|(_, endpoint)| endpoint)
    }
}

fn apply_change(endpoint: &mut Endpoint, change: EndpointChange) {
    match change {
        EndpointChange::State { state, reason } => {
            endpoint.state = state;
            endpoint.state_reason = reason;
            if state == EndpointState::Enabled {
                endpoint.state_reason.clear();
                endpoint.failing_since_ms = None;
            }
            if state == EndpointState::Removed && endpoint.origin == Origin::Api {
                endpoint.uid = None;
            }
        }
        EndpointChange::FailingSince(since_ms) => endpoint.failing_since_ms = since_ms,
        EndpointChange::RotateSecret { envelope, old_expire_at_ms } => {
            for old in &mut endpoint.secrets {
                let sooner =
                    old.expires_at_ms.map_or(old_expire_at_ms, |at| at.min(old_expire_at_ms));
                old.expires_at_ms = Some(sooner);
            }
            endpoint.secrets.insert(0, StoredSecret { envelope, expires_at_ms: None });
        }
        EndpointChange::Edit { uid, settings, .. } => {
            endpoint.uid = uid;
            endpoint.settings = *settings;
        }
        EndpointChange::Headers { headers, .. } => endpoint.headers = headers,
    }
}
