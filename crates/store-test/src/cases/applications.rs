//! Applications that the API makes: their names, lists, changes and end.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, ApplicationSettings, DeliveryState,
    EndpointState, NextStep, Origin, Rate, Verification,
};
use becket_store::{
    Application, ApplicationChange, ApplicationNew, Changed, Created, DocumentContent,
    DocumentKind, DocumentName, EndpointChange, EventFilter, Name, Owner, Scope, Slice, WriteIf,
    Written,
};

use crate::Place;
use crate::fixture::{
    MAIN, OTHER, T0, Wishes, World, application_id, customer, endpoint, endpoint_id, event, made,
    made_endpoint, source,
};

const LATER: i64 = T0 + 1_000;
const CUSTOMER: ApplicationKind = ApplicationKind::Customer;

async fn by_uid(world: &World, kind: ApplicationKind, uid: &str) -> Option<Application> {
    let name = Name::Uid(uid.to_owned());
    world.store.application_get(Owner::MAIN, kind, name).await.unwrap()
}

async fn by_id(world: &World, kind: ApplicationKind, id: ApplicationId) -> Option<Application> {
    world.store.application_get(Owner::MAIN, kind, Name::Id(id)).await.unwrap()
}

/// A change that only gives a name or takes it.
fn renamed(uid: Option<&str>) -> ApplicationChange {
    ApplicationChange { uid: Some(uid.map(str::to_owned)), ..ApplicationChange::default() }
}

/// An application has everything that it was made with, and is found by id and by name.
pub async fn what_was_made_is_found(place: Place) {
    let world = World::new(place).await;
    let settings = ApplicationSettings {
        name: "Ünïcode '\"; %_".to_owned(),
        metadata: BTreeMap::from([("plan".to_owned(), "gold".to_owned())]),
        rate: Some(Rate { count: 7, period_ms: 60_000 }),
        validate_payloads: true,
        provider: "stripe".to_owned(),
        source_type: "stripe".to_owned(),
        verification: Verification::Observe,
        ..ApplicationSettings::default()
    };
    let new = ApplicationNew {
        settings: settings.clone(),
        credentials: Some(vec![1, 0, 255]),
        ..made(ApplicationKind::Source, "made")
    };
    let found = world.make(new).await;
    let expected = Application {
        key: found.key,
        owner: Owner::MAIN,
        kind: ApplicationKind::Source,
        id: application_id("made"),
        uid: Some("made".to_owned()),
        origin: Origin::Api,
        settings,
        credentials: Some(vec![1, 0, 255]),
        created_at_ms: T0,
        updated_at_ms: T0,
        removed: false,
    };
    assert_eq!(found, expected);
    assert!(found.key > world.beta, "keys are not given out twice");
    let kind = ApplicationKind::Source;
    assert_eq!(by_id(&world, kind, found.id).await, Some(expected.clone()));
    assert_eq!(by_uid(&world, kind, "made").await, Some(expected.clone()));
    let config = world.store.config_list(Owner::MAIN).await.unwrap();
    assert_eq!(config.application(found.key), Some(&expected));
    assert_eq!(by_id(&world, CUSTOMER, found.id).await, None, "it is of another kind");
    assert_eq!(by_uid(&world, CUSTOMER, "made").await, None, "it is of another kind");
    assert_eq!(by_uid(&world, kind, "Made").await, None, "names are exact");
    assert_eq!(by_id(&world, kind, application_id("nobody")).await, None);
}

/// A source is found by the beginning of its id, whoever made it; nothing else is.
pub async fn sources_are_found_by_their_short_id(place: Place) {
    let world = World::new(place).await;
    let short = |id: ApplicationId| {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(&id.as_bytes()[..16]);
        ApplicationId::from_bytes(bytes)
    };
    let mine = world.make(made(ApplicationKind::Source, "source")).await;
    let customer = world.make(customer("customer")).await;
    let key = |found: Option<Application>| found.map(|found| found.key);
    let kind = ApplicationKind::Source;
    assert_eq!(key(by_id(&world, kind, short(mine.id)).await), Some(mine.key));
    assert_eq!(key(by_id(&world, kind, source("alpha", &[]).id).await), Some(world.alpha));
    assert_eq!(by_id(&world, CUSTOMER, short(customer.id)).await, None);
    assert_eq!(by_id(&world, kind, short(customer.id)).await, None);
    let mut other = *mine.id.as_bytes();
    other[19] ^= 1;
    assert_eq!(by_id(&world, kind, ApplicationId::from_bytes(other)).await, None);
    world.remove(mine.key, LATER).await;
    assert_eq!(by_id(&world, kind, short(mine.id)).await, None);
}

/// A name belongs to one application of an owner and kind; many may have none.
pub async fn a_name_is_taken_once(place: Place) {
    let world = World::new(place).await;
    let store = &world.store;
    let first = world.make(customer("acme")).await;
    let again = ApplicationNew { id: application_id("again"), ..customer("acme") };
    let taken = store.application_create(Owner::MAIN, again, LATER).await.unwrap();
    assert_eq!(taken, Created::NameTaken(first.clone()));
    let declared =
        ApplicationNew { id: application_id("s"), ..made(ApplicationKind::Source, "alpha") };
    let taken = store.application_create(Owner::MAIN, declared, LATER).await.unwrap();
    assert!(
        matches!(&taken, Created::NameTaken(holder) if holder.key == world.alpha),
        "the file has a source of that name: {taken:?}"
    );
    for (at, kind) in
        [ApplicationKind::Source, ApplicationKind::Operational].into_iter().enumerate()
    {
        let id = application_id(&format!("kind {at}"));
        world.make(ApplicationNew { id, ..made(kind, "acme") }).await;
    }
    let theirs = ApplicationNew { id: application_id("theirs"), ..customer("acme") };
    let theirs = store.application_create(OTHER, theirs, LATER).await.unwrap();
    assert!(matches!(theirs, Created::New(_)), "{theirs:?}");
    for at in 0..3 {
        let id = application_id(&format!("nameless {at}"));
        let nameless = world.make(ApplicationNew { id, uid: None, ..customer("x") }).await;
        assert_eq!(nameless.uid, None);
    }
    let empty = ApplicationNew { id: application_id("empty"), ..customer("") };
    assert_eq!(world.make(empty.clone()).await.uid.as_deref(), Some(""), "an empty name is one");
    let empty = ApplicationNew { id: application_id("empty 2"), ..empty };
    let taken = store.application_create(Owner::MAIN, empty, LATER).await.unwrap();
    assert!(matches!(taken, Created::NameTaken(_)), "{taken:?}");
    assert_eq!(by_uid(&world, CUSTOMER, "acme").await, Some(first));
}

/// Of many who make the same name at once, one wins and the others are told who.
pub async fn a_name_has_one_winner(place: Place) {
    let world = World::new(place).await;
    let mut tasks = Vec::new();
    for number in 0..12 {
        let store = Arc::clone(&world.store);
        let id = application_id(&format!("{number:02}"));
        let new = ApplicationNew { id, ..customer("acme") };
        tasks.push(tokio::spawn(async move {
            store.application_create(Owner::MAIN, new, T0).await.unwrap()
        }));
    }
    let (mut winners, mut told) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            Created::New(application) => winners.push(application),
            Created::NameTaken(holder) => told.push(holder),
            Created::NoParent => panic!("an application has no parent"),
        }
    }
    assert_eq!((winners.len(), told.len()), (1, 11));
    assert!(told.iter().all(|holder| *holder == winners[0]));
}

/// Lists are in the order of ids, both ways, and go on behind any id.
pub async fn applications_are_sliced(place: Place) {
    let world = World::new(place).await;
    for uid in ["d", "a", "c", "e", "b"] {
        world.make(customer(uid)).await;
    }
    world.make(made(ApplicationKind::Source, "another kind")).await;
    let gone = world.make(customer("bb")).await;
    world.remove(gone.key, LATER).await;
    let list = async |limit, after: Option<&str>, descending| {
        let slice = Slice { limit, after: after.map(application_id), descending };
        let found = world.store.application_list(Owner::MAIN, CUSTOMER, slice).await.unwrap();
        found.iter().map(Application::name).collect::<Vec<_>>().concat()
    };
    assert_eq!(list(9, None, false).await, "abcde");
    assert_eq!(list(9, None, true).await, "edcba");
    assert_eq!(list(2, None, false).await, "ab");
    assert_eq!(list(2, None, true).await, "ed");
    assert_eq!(list(2, Some("b"), false).await, "cd");
    assert_eq!(list(2, Some("d"), true).await, "cb");
    assert_eq!(list(9, Some("bb"), false).await, "cde", "it need not be there");
    assert_eq!(list(9, Some("bb"), true).await, "ba", "it need not be there");
    assert_eq!(list(9, Some("e"), false).await, "");
    assert_eq!(list(9, Some("a"), true).await, "");
    assert_eq!(list(0, None, false).await, "");
    let operational = ApplicationKind::Operational;
    let none = world.store.application_list(Owner::MAIN, operational, Slice::oldest(9)).await;
    assert!(none.unwrap().is_empty());
}

/// A change touches what it names; a name that somebody has is refused and nothing changes.
pub async fn applications_are_changed(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await;
    world.make(customer("other")).await;
    let change = async |change| {
        world.store.application_change(Owner::MAIN, acme.key, change, LATER).await.unwrap()
    };
    let settings = ApplicationSettings { validate_payloads: true, ..acme.settings.clone() };
    let only_settings = ApplicationChange {
        settings: Some(settings.clone()),
        credentials: Some(vec![9]),
        ..ApplicationChange::default()
    };
    let expected =
        Application { settings, credentials: Some(vec![9]), updated_at_ms: LATER, ..acme.clone() };
    assert_eq!(change(only_settings).await, Changed::Done(expected.clone()));
    let refused = ApplicationChange {
        settings: Some(ApplicationSettings::default()),
        ..renamed(Some("other"))
    };
    assert_eq!(change(refused).await, Changed::NameTaken);
    assert_eq!(by_uid(&world, CUSTOMER, "acme").await, Some(expected.clone()));
    assert_eq!(change(renamed(Some("acme"))).await, Changed::Done(expected.clone()), "its own");
    let new_name = Application { uid: Some("new".to_owned()), ..expected.clone() };
    assert_eq!(change(renamed(Some("new"))).await, Changed::Done(new_name.clone()));
    assert_eq!(by_uid(&world, CUSTOMER, "acme").await, None);
    assert_eq!(by_uid(&world, CUSTOMER, "new").await, Some(new_name));
    let nameless = Application { uid: None, ..expected };
    assert_eq!(change(renamed(None)).await, Changed::Done(nameless.clone()));
    assert_eq!(by_uid(&world, CUSTOMER, "new").await, None);
    assert_eq!(by_id(&world, CUSTOMER, acme.id).await, Some(nameless));
    for uid in ["acme", "new"] {
        let id = application_id(&format!("again {uid}"));
        world.make(ApplicationNew { id, ..customer(uid) }).await;
    }
    let unknown =
        world.store.application_change(Owner::MAIN, ApplicationKey(9_999), renamed(None), LATER);
    assert_eq!(unknown.await.unwrap(), Changed::Absent);
}

/// A change that was thought out from a reading is made only if it is still so.
pub async fn changes_are_made_of_what_was_read(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await;
    let change = async |change| {
        world.store.application_change(Owner::MAIN, acme.key, change, LATER).await.unwrap()
    };
    let named = |name: &str| ApplicationSettings { name: name.to_owned(), ..Default::default() };
    let first = ApplicationChange { settings: Some(named("first")), ..acme.change() };
    let first = change(first).await.done().expect("nobody was quicker");
    let stale = [
        ApplicationChange { settings: Some(named("second")), ..acme.change() },
        ApplicationChange { credentials: Some(vec![7]), ..acme.change() },
        ApplicationChange { uid: Some(None), ..acme.change() },
        ApplicationChange { remove: true, ..acme.change() },
        Application { uid: None, ..first.clone() }.change(),
        Application { credentials: Some(vec![8]), ..first.clone() }.change(),
        Application { origin: Origin::File, ..first.clone() }.change(),
    ];
    for stale in stale {
        assert_eq!(change(stale.clone()).await, Changed::Meanwhile, "{stale:?}");
        assert_eq!(by_uid(&world, CUSTOMER, "acme").await, Some(first.clone()));
    }
    let second = ApplicationChange { credentials: Some(vec![9]), ..first.change() };
    let second = change(second).await.done().expect("it is as it was read");
    assert_eq!((&second.settings, second.credentials), (&first.settings, Some(vec![9])));
    let mut tasks = Vec::new();
    for number in 0..12_u8 {
        let read = Application { credentials: Some(vec![9]), ..first.clone() };
        let (settings, credentials) = (Some(named("third")), Some(vec![9, number]));
        let one = ApplicationChange { settings, credentials, ..read.change() };
        let (store, key) = (Arc::clone(&world.store), acme.key);
        tasks.push(tokio::spawn(async move {
            store.application_change(Owner::MAIN, key, one, LATER).await.unwrap()
        }));
    }
    let (mut won, mut late) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Changed::Done(_) => won += 1,
            Changed::Meanwhile => late += 1,
            other => panic!("{other:?} should be a change, or too late"),
        }
    }
    assert_eq!((won, late), (1, 11));
}

/// A removed application is found no more, its name is free, its endpoints are removed.
pub async fn removed_applications_are_gone(place: Place) {
    let world = World::new(place).await;
    let store = &world.store;
    let acme = world.make(customer("acme")).await;
    let hook = world.attach(made_endpoint(acme.key, "hook")).await;
    let kept = world.make(customer("kept")).await;
    let kept_hook = world.attach(made_endpoint(kept.key, "kept hook")).await;
    let removed = world.remove(acme.key, LATER).await;
    let expected = Application { uid: None, removed: true, updated_at_ms: LATER, ..acme.clone() };
    assert_eq!(removed, expected);
    assert_eq!(by_uid(&world, CUSTOMER, "acme").await, None);
    assert_eq!(by_id(&world, CUSTOMER, acme.id).await, None);
    let list = store.application_list(Owner::MAIN, CUSTOMER, Slice::oldest(9)).await.unwrap();
    assert_eq!(list, [kept]);
    let again = ApplicationChange { remove: true, ..ApplicationChange::default() };
    for change in [again, renamed(Some("acme"))] {
        let absent = store.application_change(Owner::MAIN, acme.key, change, LATER).await.unwrap();
        assert_eq!(absent, Changed::Absent);
    }
    let config = store.config_list(Owner::MAIN).await.unwrap();
    assert_eq!(config.application(acme.key), Some(&expected), "the row is still told");
    let row = config.endpoints.iter().find(|known| known.key == hook.key).unwrap();
    assert_eq!((row.state, &row.uid), (EndpointState::Removed, &None));
    assert_eq!((row.updated_at_ms, row.id), (LATER, hook.id));
    assert!(config.endpoints.contains(&kept_hook), "another's endpoint is left alone");
    let late = made_endpoint(acme.key, "late");
    assert_eq!(store.endpoint_create(Owner::MAIN, late, LATER).await.unwrap(), Created::NoParent);
    for name in [Name::Id(hook.id), Name::Uid("hook".to_owned())] {
        assert_eq!(store.endpoint_get(Owner::MAIN, acme.key, name).await.unwrap(), None);
    }
    let list = store.endpoint_list(Owner::MAIN, acme.key, Slice::oldest(9)).await.unwrap();
    assert!(list.is_empty(), "{list:?}");
    let enable = EndpointChange::State { state: EndpointState::Enabled, reason: String::new() };
    for change in [enable, EndpointChange::FailingSince(Some(T0)), hook.with_headers(None)] {
        let absent = store.endpoint_change(Owner::MAIN, hook.id, change, LATER).await.unwrap();
        assert_eq!(absent, Changed::Absent, "it is removed for good");
    }
    let again = ApplicationNew { id: application_id("again"), ..customer("acme") };
    let again = world.make(again).await;
    assert!(again.key > acme.key, "keys are not given out twice");
    assert_eq!(by_uid(&world, CUSTOMER, "acme").await, Some(again));
}

/// Removing an application takes its documents along, and nobody else's.
pub async fn removal_takes_documents_along(place: Place) {
    let mut world = World::new(place).await;
    let acme = world.make(customer("acme")).await;
    let kept = world.make(customer("kept")).await;
    let kind = DocumentKind::Integration;
    let names = [
        DocumentName::of(kind, acme.key, "one"),
        DocumentName::of(DocumentKind::Transformation, acme.key, "two"),
        DocumentName::of(kind, kept.key, "one"),
        DocumentName::of_owner(kind, "one"),
    ];
    let put = async |store: &dyn becket_store::Store, name: &DocumentName| {
        let content = DocumentContent::default();
        let condition = WriteIf::Always;
        store.document_put(Owner::MAIN, name.clone(), content, condition, T0).await.unwrap()
    };
    for name in &names {
        assert!(matches!(put(&*world.store, name).await, Written::Created(_)), "{name:?}");
    }
    world.remove(acme.key, LATER).await;
    for _ in 0..2 {
        for (name, there) in names.iter().zip([false, false, true, true]) {
            let found = world.store.document_get(Owner::MAIN, name.clone(), T0).await.unwrap();
            assert_eq!(found.is_some(), there, "{name:?}");
        }
        let list =
            world.store.document_list(Owner::MAIN, kind, Some(acme.key), Slice::oldest(9), T0);
        assert!(list.await.unwrap().is_empty());
        assert_eq!(put(&*world.store, &names[0]).await, Written::Refused(None), "it has no place");
        if !world.reopen().await {
            return;
        }
    }
}

/// The events of a removed application stay as they are, and what was pending is told as pending.
pub async fn removal_leaves_events_alone(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await;
    let hook = world.attach(made_endpoint(acme.key, "hook")).await.key;
    let ended = world.store_event(event(acme.key, T0).waiting(&[hook])).await;
    world.end_all(hook, T0, NextStep::Delivered).await;
    let pending = world.store_event(event(acme.key, T0 + 1).waiting(&[hook])).await;
    let before = [world.row(ended).await, world.row(pending).await];
    world.remove(acme.key, LATER).await;
    assert_eq!([world.row(ended).await, world.row(pending).await], before);
    assert_eq!(before[1].deliveries[0].state, DeliveryState::Pending);
    assert_eq!(world.find(EventFilter::default()).await, [pending, ended]);
    let own = Scope::of(Owner::MAIN, acme.key);
    assert!(world.store.event_get(own, pending).await.unwrap().is_some());
    assert!(world.store.event_record(own, ended).await.unwrap().is_some());
    assert_eq!(world.store.attempt_list(own, ended).await.unwrap().len(), 1);
    assert_eq!(world.lease_one(hook, T0 + 1).await.key.event, pending, "the caller decides");
}

/// Declaring leaves what the API made alone, and the file's own is found beside it.
pub async fn declaring_leaves_the_rest_alone(place: Place) {
    let world = World::new(place).await;
    let made_source = world.make(made(ApplicationKind::Source, "made")).await;
    let acme = world.make(customer("alpha")).await;
    let mut hooks = Vec::new();
    for (application, uid) in [(made_source.key, "a1"), (acme.key, "a2"), (world.alpha, "a9")] {
        hooks.push(world.attach(made_endpoint(application, uid)).await);
    }
    let check = async |declared| {
        let after = world.store.config_declare(Owner::MAIN, declared, LATER).await.unwrap();
        assert_eq!(after.application(made_source.key), Some(&made_source));
        assert_eq!(after.application(acme.key), Some(&acme));
        for hook in &hooks {
            assert!(after.endpoints.contains(hook), "{hook:?}");
        }
    };
    check(vec![source("alpha", &["a1"])]).await;
    check(Vec::new()).await;
    let get = async |application, uid: &str| {
        let name = Name::Uid(uid.to_owned());
        world.store.endpoint_get(Owner::MAIN, application, name).await.unwrap()
    };
    assert_eq!(get(world.alpha, "a9").await, None, "its source is not declared any more");
    assert_eq!(get(acme.key, "a2").await.as_ref(), Some(&hooks[1]));
    check(vec![source("alpha", &["a1", "a2", "a3"]), source("beta", &["b1"])]).await;
    assert_eq!(get(world.alpha, "a9").await.as_ref(), Some(&hooks[2]));
    assert_eq!(get(world.alpha, "a1").await.unwrap().id, endpoint("alpha", "a1").id);
    let kind = ApplicationKind::Source;
    assert_eq!(by_uid(&world, kind, "alpha").await.unwrap().key, world.alpha);
    let slice = Slice::oldest(9);
    let sources = world.store.application_list(Owner::MAIN, kind, slice).await.unwrap();
    assert_eq!(sources.len(), 3, "lists show both: {sources:?}");
}

/// A source that the API made and the file declares becomes the file's, and goes with the file.
pub async fn a_declared_source_becomes_the_files(place: Place) {
    let world = World::new(place).await;
    let new =
        ApplicationNew { credentials: Some(vec![1, 2]), ..made(ApplicationKind::Source, "zeta") };
    let zeta = world.make(new).await;
    let mut hook = made_endpoint(zeta.key, "hook");
    hook.headers = Some(vec![3]);
    let hook = world.attach(hook).await;
    let free = world.attach(made_endpoint(zeta.key, "free")).await;
    let declared = vec![source("zeta", &["hook", "new"])];
    let config = world.store.config_declare(Owner::MAIN, declared.clone(), LATER).await.unwrap();
    let expected = Application {
        origin: Origin::File,
        settings: ApplicationSettings::for_provider("github"),
        credentials: None,
        updated_at_ms: LATER,
        ..zeta.clone()
    };
    assert_eq!(config.application(zeta.key), Some(&expected));
    let of_zeta: Vec<_> =
        config.endpoints.iter().filter(|known| known.application == zeta.key).collect();
    assert_eq!(of_zeta.len(), 3, "{of_zeta:?}");
    let taken = of_zeta.iter().find(|known| known.key == hook.key).unwrap();
    assert_eq!((taken.id, taken.origin, &taken.headers), (hook.id, Origin::File, &None));
    assert_eq!(taken.settings, endpoint("zeta", "hook").settings);
    assert_eq!((&taken.secrets, taken.updated_at_ms), (&hook.secrets, LATER));
    assert!(of_zeta.contains(&&free), "what is not declared stays the API's");
    let again = world.store.config_declare(Owner::MAIN, declared, LATER + 1).await.unwrap();
    assert_eq!(again, config);
    let gone = world.store.config_declare(Owner::MAIN, Vec::new(), LATER + 2).await.unwrap();
    assert!(gone.application(zeta.key).unwrap().removed);
    let state = |uid: &str| gone.endpoints.iter().find(|known| known.name() == uid).unwrap().state;
    assert_eq!((state("hook"), state("free")), (EndpointState::Removed, EndpointState::Enabled));
}

/// A name that the file has given up is free; when the file declares it again, who has it then is
/// meant.
pub async fn a_declared_name_means_who_has_it(place: Place) {
    let world = World::new(place).await;
    let store = &world.store;
    store.config_declare(Owner::MAIN, Vec::new(), T0).await.unwrap();
    let new = ApplicationNew {
        id: application_id("new alpha"),
        ..made(ApplicationKind::Source, "alpha")
    };
    let alpha = world.make(new).await;
    assert_ne!(alpha.key, world.alpha);
    for declared in [vec![source("alpha", &[])], Vec::new(), vec![source("alpha", &[])]] {
        let there = !declared.is_empty();
        let after = store.config_declare(Owner::MAIN, declared, LATER).await.unwrap();
        assert_eq!(after.application(alpha.key).unwrap().removed, !there);
        assert!(after.application(world.alpha).unwrap().removed, "the old one stays away");
        let found = by_uid(&world, ApplicationKind::Source, "alpha").await;
        assert_eq!(found.map(|found| found.key), there.then_some(alpha.key));
    }
    let removed = world.make(made(ApplicationKind::Source, "gone")).await;
    world.remove(removed.key, LATER).await;
    let after = store.config_declare(Owner::MAIN, vec![source("gone", &[])], LATER).await.unwrap();
    let gone: Vec<_> = after.sources().filter(|known| known.name() == "gone").collect();
    assert_eq!(gone.len(), 1);
    assert_ne!(gone[0].key, removed.key, "what the API removed is gone for good");
}

/// Owners are those who have applications, removed ones included.
pub async fn owners_are_listed(place: Place) {
    let harness = place.fresh().await;
    let store = harness.store();
    assert!(store.owner_list().await.unwrap().is_empty());
    for number in [7, 1, 300_000] {
        let id = application_id(&format!("of {number}"));
        let new = ApplicationNew { id, ..customer("acme") };
        store.application_create(Owner::new(number), new, T0).await.unwrap();
    }
    store.config_declare(OTHER, vec![source("gamma", &[])], T0).await.unwrap();
    store.config_declare(OTHER, Vec::new(), T0).await.unwrap();
    store.config_declare(Owner::new(3), Vec::new(), T0).await.unwrap();
    store.setting_put(Owner::new(4), "token", vec![1]).await.unwrap();
    let owners: Vec<u32> =
        store.owner_list().await.unwrap().into_iter().map(Owner::number).collect();
    assert_eq!(owners, [1, 2, 7, 300_000]);
}

/// An application that the API made takes events like any other, with dedupe and replays.
pub async fn applications_take_events(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await;
    let hook = world.attach(made_endpoint(acme.key, "hook")).await;
    let stored = world.store_event(event(acme.key, T0).keyed(1).waiting(&[hook.key])).await;
    let again = world.accept(event(acme.key, T0 + 1).keyed(1)).await;
    assert_eq!(again.event(), stored);
    world.end_all(hook.key, T0, NextStep::Delivered).await;
    let chosen = vec![hook.key, world.a[0]];
    let replayed = world.store.delivery_replay(MAIN, stored, chosen, T0).await.unwrap().unwrap();
    assert_eq!(replayed.len(), 1, "the other endpoint is not the application's");
    assert_eq!(replayed[0].key.endpoint, hook.key);
    let late = world.attach(made_endpoint(acme.key, "late")).await;
    assert_eq!(late.id, endpoint_id("late"));
    let replayed = world.store.delivery_replay(MAIN, stored, vec![late.key], T0).await.unwrap();
    assert_eq!(replayed.unwrap()[0].key.generation, 1, "it was not planned for this one");
}

/// Everything about applications is there after a crash.
pub async fn applications_survive_a_crash(place: Place) {
    let mut world = World::new(place).await;
    let acme = world.make(customer("acme")).await;
    let gone = world.make(customer("gone")).await;
    world.attach(made_endpoint(gone.key, "hook")).await;
    world.remove(gone.key, LATER).await;
    let change = ApplicationChange { credentials: Some(vec![0, 7]), ..renamed(Some("new")) };
    let changed = world.store.application_change(Owner::MAIN, acme.key, change, LATER).await;
    let changed = changed.unwrap().done().unwrap();
    let before = world.store.config_list(Owner::MAIN).await.unwrap();
    if !world.reopen().await {
        return;
    }
    assert_eq!(world.store.config_list(Owner::MAIN).await.unwrap(), before);
    assert_eq!(by_uid(&world, CUSTOMER, "new").await, Some(changed));
    let next = world.make(customer("gone again")).await;
    assert!(next.key > gone.key, "keys are not given out twice");
    let stored = world.store_event(event(acme.key, T0)).await;
    assert_eq!(world.row(stored).await.application, acme.key);
}
