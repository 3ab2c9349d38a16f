//! What one owner or source cannot see or touch of another.

use becket_model::{EndpointKey, EndpointSettings, EndpointState, EventId, NextStep};
use becket_store::{
    Application, ApplicationChange, Changed, Created, DeliveryCounts, DocumentContent,
    DocumentKind, DocumentName, EndpointChange, EventFilter, LeaseToken, Name, Owner, Page,
    QuarantineFilter, QuarantineWrite, Scope, Slice, WriteIf, Written,
};
use bytes::Bytes;

use crate::Place;
use crate::fixture::{
    EXHAUSTED, MAIN, OTHER, T0, Wishes, World, attempt, customer, delivery, endpoint, event, ids,
    made_endpoint, record,
};

/// The scopes from which nothing of the first owner's source `alpha` can be seen.
fn foreign_scopes(world: &World) -> [Scope; 4] {
    [
        Scope::all(OTHER),
        Scope::of(OTHER, world.gamma),
        Scope::of(OTHER, world.alpha),
        Scope::of(Owner::MAIN, world.beta),
    ]
}

/// An event, its bytes, attempts and repeats cannot be read from another scope.
pub async fn events_are_not_read_from_elsewhere(place: Place) {
    let world = World::new(place).await;
    let accept = event(world.alpha, T0).keyed(1).leased(&world.a[..1]);
    let (id, lease) = world.store_new(accept.clone()).await;
    let key = delivery(id, world.a[0]);
    let tried = world.record(key, lease, attempt(1, T0), NextStep::Delivered).await;
    world.accept(accept).await;
    let store = &world.store;
    for scope in foreign_scopes(&world) {
        assert_eq!(store.event_get(scope, id).await.unwrap(), None, "{scope:?}");
        assert_eq!(store.event_record(scope, id).await.unwrap(), None, "{scope:?}");
        assert!(store.attempt_list(scope, id).await.unwrap().is_empty(), "{scope:?}");
        assert_eq!(store.attempt_get(scope, tried).await.unwrap(), None, "{scope:?}");
        assert!(store.duplicate_list(scope, id, 9).await.unwrap().is_empty(), "{scope:?}");
    }
    for scope in [MAIN, Scope::of(Owner::MAIN, world.alpha)] {
        assert!(store.event_get(scope, id).await.unwrap().is_some(), "{scope:?}");
        assert!(store.event_record(scope, id).await.unwrap().is_some(), "{scope:?}");
        assert_eq!(store.attempt_list(scope, id).await.unwrap().len(), 1, "{scope:?}");
        assert!(store.attempt_get(scope, tried).await.unwrap().is_some(), "{scope:?}");
        assert_eq!(store.duplicate_list(scope, id, 9).await.unwrap().len(), 1, "{scope:?}");
    }
}

/// A list shows the scope's own events, whichever filter is given.
pub async fn lists_show_only_the_scope(place: Place) {
    let world = World::new(place).await;
    let alpha = event(world.alpha, T0).keyed(1).typed("push").waiting(&world.a[..1]);
    let alpha = world.store_event(alpha).await;
    let beta = world.store_event(event(world.beta, T0).keyed(1).typed("push")).await;
    let gamma = world.store_event(event(world.gamma, T0).keyed(1).typed("push")).await;
    let list = async |scope, filter| {
        ids(&world.store.event_list(scope, filter, Page::newest(10)).await.unwrap())
    };
    let filters = [
        EventFilter::default(),
        EventFilter { event_types: vec!["push".to_owned()], ..EventFilter::default() },
        EventFilter { since_ms: Some(T0), ..EventFilter::default() },
        EventFilter { dedupe: Some(crate::fixture::dedupe_key(1)), ..EventFilter::default() },
    ];
    for filter in filters {
        assert_eq!(list(MAIN, filter.clone()).await, [beta, alpha]);
        assert_eq!(list(Scope::of(Owner::MAIN, world.alpha), filter.clone()).await, [alpha]);
        assert_eq!(list(Scope::of(Owner::MAIN, world.beta), filter.clone()).await, [beta]);
        assert_eq!(list(Scope::all(OTHER), filter.clone()).await, [gamma]);
        assert!(list(Scope::of(OTHER, world.alpha), filter.clone()).await.is_empty());
        assert!(list(Scope::of(Owner::MAIN, world.gamma), filter).await.is_empty());
    }
    let of_a1 = EventFilter { endpoint: Some(world.a[0]), ..EventFilter::default() };
    assert!(list(Scope::all(OTHER), of_a1).await.is_empty());
}

/// An event cannot be replayed from another scope, and not to another owner's endpoint.
pub async fn replays_stay_within_the_scope(place: Place) {
    let world = World::new(place).await;
    let id = world.one_ended(T0, NextStep::Delivered).await;
    let store = &world.store;
    for scope in foreign_scopes(&world) {
        for endpoints in [Vec::new(), vec![world.a[0]], vec![world.g]] {
            let replayed = store.delivery_replay(scope, id, endpoints, T0).await.unwrap();
            assert_eq!(replayed, None, "{scope:?}");
        }
    }
    let replayed = store.delivery_replay(MAIN, id, vec![world.g], T0).await.unwrap();
    assert_eq!(replayed, Some(Vec::new()), "the endpoint is another owner's");
    assert_eq!(world.deliveries(id).await.len(), 1);
    assert!(world.due().await.is_empty());
}

/// Nobody changes another owner's endpoint.
pub async fn endpoints_are_changed_by_their_owner(place: Place) {
    let world = World::new(place).await;
    let before = world.store.config_list(Owner::MAIN).await.unwrap();
    let id = endpoint("alpha", "a1").id;
    let changes = [
        EndpointChange::State { state: EndpointState::Disabled, reason: "theirs".to_owned() },
        EndpointChange::FailingSince(Some(T0)),
        EndpointChange::RotateSecret { envelope: b"theirs".to_vec(), old_expire_at_ms: T0 },
    ];
    for change in changes {
        let changed = world.store.endpoint_change(OTHER, id, change, T0 + 1).await.unwrap();
        assert_eq!(changed, Changed::Absent);
    }
    assert_eq!(world.store.config_list(Owner::MAIN).await.unwrap(), before);
}

/// What the API made for one owner is not there for another, whichever call names it.
pub async fn made_things_are_their_owners(place: Place) {
    let world = World::new(place).await;
    let store = &world.store;
    let acme = world.make(customer("acme")).await;
    let hook = world.attach(made_endpoint(acme.key, "hook")).await;
    let name = DocumentName::of(DocumentKind::Token, acme.key, "token");
    let content = DocumentContent::default();
    let put = async |owner, name: &DocumentName| {
        let always = WriteIf::Always;
        store.document_put(owner, name.clone(), content.clone(), always, T0).await.unwrap()
    };
    assert!(matches!(put(Owner::MAIN, &name).await, Written::Created(_)));
    let (id, lease) = store_leased(&world, &acme, hook.key).await;
    let tried = world.record(delivery(id, hook.key), lease, attempt(1, T0), EXHAUSTED).await;
    let before = store.config_list(Owner::MAIN).await.unwrap();

    for wanted in [Name::Id(acme.id), Name::Uid("acme".to_owned())] {
        let found = store.application_get(OTHER, acme.kind, wanted).await.unwrap();
        assert_eq!(found, None);
    }
    let slice = Slice::oldest(9);
    assert!(store.application_list(OTHER, acme.kind, slice).await.unwrap().is_empty());
    let remove = ApplicationChange { remove: true, ..ApplicationChange::default() };
    for change in [remove, ApplicationChange::default()] {
        let changed = store.application_change(OTHER, acme.key, change, T0 + 1).await.unwrap();
        assert_eq!(changed, Changed::Absent);
    }
    let new = made_endpoint(acme.key, "theirs");
    assert_eq!(store.endpoint_create(OTHER, new, T0).await.unwrap(), Created::NoParent);
    for (owner, application) in [
        (OTHER, acme.key),
        (OTHER, world.gamma),
        (Owner::MAIN, world.gamma),
        (Owner::MAIN, world.beta),
    ] {
        for wanted in [Name::Id(hook.id), Name::Uid("hook".to_owned())] {
            assert_eq!(store.endpoint_get(owner, application, wanted).await.unwrap(), None);
        }
    }
    assert!(store.endpoint_list(OTHER, acme.key, Slice::oldest(9)).await.unwrap().is_empty());
    for change in [
        EndpointChange::State { state: EndpointState::Removed, reason: String::new() },
        EndpointChange::FailingSince(Some(T0)),
        EndpointChange::RotateSecret { envelope: b"theirs".to_vec(), old_expire_at_ms: T0 },
        hook.edit(None, EndpointSettings::default()),
        hook.with_headers(Some(b"theirs".to_vec())),
    ] {
        let changed = store.endpoint_change(OTHER, hook.id, change, T0 + 1).await.unwrap();
        assert_eq!(changed, Changed::Absent);
    }
    assert_eq!(store.document_get(OTHER, name.clone(), T0).await.unwrap(), None);
    assert_eq!(put(OTHER, &name).await, Written::Refused(None));
    assert!(!store.document_remove(OTHER, name.clone()).await.unwrap());
    let list = store
        .document_list(OTHER, name.kind, name.application, Slice::oldest(9), T0)
        .await
        .unwrap();
    assert!(list.is_empty(), "{list:?}");
    for scope in [Scope::all(OTHER), Scope::of(OTHER, acme.key), Scope::of(OTHER, world.gamma)] {
        assert!(!store.event_expunge(scope, id, T0).await.unwrap());
        assert!(!store.attempt_rewrite(scope, tried, Bytes::new()).await.unwrap());
        assert!(store.event_count(scope, i64::MIN, i64::MAX).await.unwrap().is_empty());
        let counts = store.delivery_count(scope, hook.key, i64::MIN, i64::MAX).await.unwrap();
        assert_eq!(counts, DeliveryCounts::default());
        let tagged = EventFilter { tag: Some("new".to_owned()), ..EventFilter::default() };
        let list = store.event_list(scope, tagged, Page::newest(9)).await.unwrap();
        assert!(list.is_empty(), "{list:?}");
    }
    assert_eq!(store.config_list(Owner::MAIN).await.unwrap(), before);
    assert!(store.document_get(Owner::MAIN, name, T0).await.unwrap().is_some());
    assert!(!store.event_record(MAIN, id).await.unwrap().unwrap().is_expunged());
    assert_eq!(store.attempt_list(MAIN, id).await.unwrap()[0].attempt, attempt(1, T0));
}

/// An event with a tag, its delivery already leased.
async fn store_leased(
    world: &World,
    application: &Application,
    endpoint: EndpointKey,
) -> (EventId, LeaseToken) {
    let accept = event(application.key, T0).labelled(&["eu"], &["new"]).leased(&[endpoint]);
    world.store_new(accept).await
}

/// Each owner sees its own configuration and declares away nobody else's.
pub async fn configurations_are_apart(place: Place) {
    let world = World::new(place).await;
    let main = world.store.config_list(Owner::MAIN).await.unwrap();
    let other = world.store.config_list(OTHER).await.unwrap();
    assert_eq!((main.applications.len(), main.endpoints.len()), (2, 4));
    assert_eq!((other.applications.len(), other.endpoints.len()), (1, 1));
    world.store.config_declare(OTHER, Vec::new(), T0 + 1).await.unwrap();
    assert_eq!(world.store.config_list(Owner::MAIN).await.unwrap(), main);
    let nobody = world.store.config_list(Owner::new(77)).await.unwrap();
    assert!(nobody.applications.is_empty() && nobody.endpoints.is_empty());
}

/// Each owner has its own settings.
pub async fn settings_are_apart(place: Place) {
    let world = World::new(place).await;
    let store = &world.store;
    store.setting_init(Owner::MAIN, "token", vec![1]).await.unwrap();
    assert_eq!(store.setting_get(OTHER, "token").await.unwrap(), None);
    assert_eq!(store.setting_init(OTHER, "token", vec![2]).await.unwrap(), [2]);
    assert_eq!(store.setting_get(Owner::MAIN, "token").await.unwrap(), Some(vec![1]));
}

/// An event for a source that is not the scope's is refused, and nothing of it is stored.
pub async fn accepting_for_a_foreign_source_is_refused(place: Place) {
    let world = World::new(place).await;
    let accept = event(world.alpha, T0).keyed(1).waiting(&world.a[..1]);
    for scope in foreign_scopes(&world) {
        let refused = world.store.event_accept(scope, accept.clone()).await;
        assert!(refused.is_err(), "{scope:?}: {refused:?}");
    }
    let mut nowhere = accept.clone();
    nowhere.application = becket_model::ApplicationKey(9_999);
    assert!(world.store.event_accept(MAIN, nowhere).await.is_err(), "there is no such source");
    assert_eq!(world.store.stats().await.unwrap().events, 0);
    assert!(world.due().await.is_empty());
    let narrow = Scope::of(Owner::MAIN, world.alpha);
    world.store.event_accept(narrow, accept).await.expect("the scope has the source");
    assert_eq!(world.store.stats().await.unwrap().events, 1);
}

/// Refused requests are seen by the owner and source they were sent to, and by nobody else.
pub async fn quarantines_are_apart(place: Place) {
    let world = World::new(place).await;
    let store = &world.store;
    let refused = |code: &str| QuarantineWrite {
        received_at_ms: T0,
        code: code.to_owned(),
        reason: String::new(),
        status: 401,
        record: record(&[], b""),
    };
    let put = async |scope, code| store.quarantine_put(scope, refused(code)).await.unwrap();
    assert!(put(Scope::of(Owner::MAIN, world.alpha), "alpha").await);
    assert!(put(Scope::of(Owner::MAIN, world.beta), "beta").await);
    assert!(put(Scope::of(OTHER, world.gamma), "gamma").await);
    assert!(!put(Scope::of(OTHER, world.alpha), "stray").await, "the source is not theirs");
    assert!(!put(MAIN, "stray").await, "it was sent to no source");
    let codes = async |scope| {
        let rows = store.quarantine_list(scope, QuarantineFilter::default(), 10).await.unwrap();
        rows.into_iter().map(|row| row.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(MAIN).await, ["beta", "alpha"]);
    assert_eq!(codes(Scope::of(Owner::MAIN, world.alpha)).await, ["alpha"]);
    assert_eq!(codes(Scope::all(OTHER)).await, ["gamma"]);
    assert!(codes(Scope::of(OTHER, world.alpha)).await.is_empty());

    let alpha = Scope::of(Owner::MAIN, world.alpha);
    let rows = store.quarantine_list(alpha, QuarantineFilter::default(), 10).await.unwrap();
    let number = rows[0].number;
    assert!(store.quarantine_get(MAIN, number).await.unwrap().is_some());
    let strangers =
        [Scope::all(OTHER), Scope::of(OTHER, world.alpha), Scope::of(OTHER, world.gamma)];
    for scope in strangers.into_iter().chain([Scope::of(Owner::MAIN, world.beta)]) {
        assert_eq!(store.quarantine_get(scope, number).await.unwrap(), None);
        let accept = event(world.alpha, T0);
        assert_eq!(store.quarantine_release(scope, number, accept).await.unwrap(), None);
    }
    assert!(store.quarantine_get(alpha, number).await.unwrap().is_some(), "it is still there");
}
