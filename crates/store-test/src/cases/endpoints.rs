//! Endpoints that the API makes: their names, lists, changes and end.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_model::{ApplicationKey, EndpointId, EndpointSettings, EndpointState, Origin, Rate};
use becket_store::{
    Changed, Created, Endpoint, EndpointChange, EndpointNew, Name, Owner, Slice, StoredSecret,
};

use crate::Place;
use crate::fixture::{
    OTHER, T0, Wishes, World, customer, endpoint, endpoint_id, endpoint_of, event, made_endpoint,
    source,
};

const LATER: i64 = T0 + 1_000;

async fn by_uid(world: &World, application: ApplicationKey, uid: &str) -> Option<Endpoint> {
    let name = Name::Uid(uid.to_owned());
    world.store.endpoint_get(Owner::MAIN, application, name).await.unwrap()
}

async fn by_id(world: &World, application: ApplicationKey, id: EndpointId) -> Option<Endpoint> {
    world.store.endpoint_get(Owner::MAIN, application, Name::Id(id)).await.unwrap()
}

async fn change(world: &World, id: EndpointId, change: EndpointChange) -> Changed<Endpoint> {
    world.store.endpoint_change(Owner::MAIN, id, change, LATER).await.unwrap()
}

fn state(state: EndpointState, reason: &str) -> EndpointChange {
    EndpointChange::State { state, reason: reason.to_owned() }
}

fn edit(read: &Endpoint, uid: Option<&str>, settings: EndpointSettings) -> EndpointChange {
    read.edit(uid.map(str::to_owned), settings)
}

/// An endpoint has everything that it was made with, and is found by id and by name.
pub async fn what_was_made_is_found(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let settings = EndpointSettings {
        url: "https://example.com/ümlaut?a='\"%_".to_owned(),
        event_types: Some(vec!["invoice.*".to_owned()]),
        channels: Some(vec!["eu".to_owned()]),
        rate: Some(Rate::per_second(3)),
        version: Some(2),
        metadata: BTreeMap::from([("plan".to_owned(), "gold".to_owned())]),
        ..EndpointSettings::default()
    };
    let new = EndpointNew {
        settings: settings.clone(),
        headers: Some(vec![1, 0, 255]),
        state: EndpointState::Disabled,
        ..made_endpoint(acme, "hook")
    };
    let envelope = new.secret.clone();
    let found = world.attach(new).await;
    let expected = Endpoint {
        key: found.key,
        id: endpoint_id("hook"),
        uid: Some("hook".to_owned()),
        application: acme,
        origin: Origin::Api,
        settings,
        headers: Some(vec![1, 0, 255]),
        state: EndpointState::Disabled,
        state_reason: String::new(),
        failing_since_ms: None,
        secrets: vec![StoredSecret { envelope, expires_at_ms: None }],
        created_at_ms: T0,
        updated_at_ms: T0,
    };
    assert_eq!(found, expected);
    assert!(found.key > world.b, "keys are not given out twice");
    assert_eq!(by_id(&world, acme, found.id).await, Some(expected.clone()));
    assert_eq!(by_uid(&world, acme, "hook").await, Some(expected.clone()));
    let config = world.store.config_list(Owner::MAIN).await.unwrap();
    assert_eq!(endpoint_of(&config, "hook"), &expected);
    assert_eq!(by_uid(&world, acme, "Hook").await, None, "names are exact");
    assert_eq!(by_id(&world, acme, endpoint_id("nobody")).await, None);
    assert_eq!(by_id(&world, world.alpha, found.id).await, None, "it is another's");
    assert_eq!(by_uid(&world, world.alpha, "hook").await, None, "it is another's");
    let declared = by_uid(&world, world.alpha, "a1").await.expect("the file's are found as well");
    assert_eq!(by_id(&world, world.alpha, declared.id).await, Some(declared));
}

/// A name belongs to one endpoint of an application; many may have none.
pub async fn a_name_is_taken_once(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let first = world.attach(made_endpoint(acme, "hook")).await;
    let create = async |application, id: &str, uid: Option<&str>| {
        let uid = uid.map(str::to_owned);
        let new = EndpointNew { id: endpoint_id(id), uid, ..made_endpoint(application, "x") };
        world.store.endpoint_create(Owner::MAIN, new, LATER).await.unwrap()
    };
    assert_eq!(create(acme, "1", Some("hook")).await, Created::NameTaken(first.clone()));
    let taken = create(world.alpha, "2", Some("a1")).await;
    assert!(
        matches!(&taken, Created::NameTaken(holder) if holder.key == world.a[0]),
        "the file has an endpoint of that name: {taken:?}"
    );
    assert!(matches!(create(world.alpha, "3", Some("hook")).await, Created::New(_)));
    for id in ["4", "5"] {
        let made = create(acme, id, None).await;
        assert!(matches!(&made, Created::New(made) if made.uid.is_none()), "{made:?}");
    }
    assert_eq!(create(ApplicationKey(9_999), "6", None).await, Created::NoParent);
    change(&world, first.id, state(EndpointState::Removed, "")).await.done().unwrap();
    assert!(matches!(create(acme, "7", Some("hook")).await, Created::New(_)), "it is free again");
}

/// Of many who make the same name at once, one wins and the others are told who.
pub async fn a_name_has_one_winner(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let mut tasks = Vec::new();
    for number in 0..12 {
        let store = Arc::clone(&world.store);
        let id = endpoint_id(&format!("{number:02}"));
        let new = EndpointNew { id, ..made_endpoint(acme, "hook") };
        tasks.push(tokio::spawn(async move {
            store.endpoint_create(Owner::MAIN, new, T0).await.unwrap()
        }));
    }
    let (mut winners, mut told) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            Created::New(endpoint) => winners.push(endpoint),
            Created::NameTaken(holder) => told.push(holder),
            Created::NoParent => panic!("the application is there"),
        }
    }
    assert_eq!((winners.len(), told.len()), (1, 11));
    assert!(told.iter().all(|holder| *holder == winners[0]));
}

/// Lists are in the order of ids, both ways, and go on behind any id.
pub async fn endpoints_are_sliced(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let other = world.make(customer("other")).await.key;
    for uid in ["d", "a", "c", "e", "b", "bb"] {
        world.attach(made_endpoint(acme, uid)).await;
    }
    world.attach(made_endpoint(other, "cc")).await;
    change(&world, endpoint_id("bb"), state(EndpointState::Removed, "")).await.done().unwrap();
    change(&world, endpoint_id("c"), state(EndpointState::Paused, "")).await.done().unwrap();
    let list = async |limit, after: Option<&str>, descending| {
        let slice = Slice { limit, after: after.map(endpoint_id), descending };
        let found = world.store.endpoint_list(Owner::MAIN, acme, slice).await.unwrap();
        found.iter().map(Endpoint::name).collect::<Vec<_>>().concat()
    };
    assert_eq!(list(9, None, false).await, "abcde");
    assert_eq!(list(9, None, true).await, "edcba");
    assert_eq!(list(2, None, false).await, "ab");
    assert_eq!(list(2, None, true).await, "ed");
    assert_eq!(list(2, Some("b"), false).await, "cd");
    assert_eq!(list(2, Some("d"), true).await, "cb");
    assert_eq!(list(9, Some("bb"), false).await, "cde", "it need not be there");
    assert_eq!(list(9, Some("cc"), true).await, "cba", "it may be another's");
    assert_eq!(list(9, Some("e"), false).await, "");
    assert_eq!(list(9, Some("a"), true).await, "");
    assert_eq!(list(0, None, false).await, "");
    let slice = Slice::oldest(9);
    let declared = world.store.endpoint_list(Owner::MAIN, world.alpha, slice).await.unwrap();
    assert_eq!(declared.len(), 3, "the file's are listed as well");
    let nowhere = world.store.endpoint_list(Owner::MAIN, ApplicationKey(9_999), slice).await;
    assert!(nowhere.unwrap().is_empty());
}

/// Editing replaces name and settings and leaves the rest; a name that somebody has is refused.
pub async fn endpoints_are_edited(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let hook = world.attach(made_endpoint(acme, "hook")).await;
    world.attach(made_endpoint(acme, "other")).await;
    let paused = change(&world, hook.id, state(EndpointState::Paused, "by hand")).await;
    let paused = paused.done().unwrap();
    assert_eq!((paused.state, paused.state_reason.as_str()), (EndpointState::Paused, "by hand"));
    let settings = EndpointSettings { timeout_ms: 9, ..EndpointSettings::for_url("https://x/") };
    let refused = change(&world, hook.id, edit(&paused, Some("other"), settings.clone())).await;
    assert_eq!(refused, Changed::NameTaken);
    assert_eq!(by_id(&world, acme, hook.id).await, Some(paused.clone()), "nothing was changed");
    // Read before it was paused: a state is no reason to think again.
    let same = edit(&hook, Some("hook"), settings.clone());
    let expected = Endpoint { settings: settings.clone(), ..paused };
    assert_eq!(change(&world, hook.id, same).await, Changed::Done(expected.clone()));
    let elsewhere = Endpoint { uid: Some("a1".to_owned()), ..expected.clone() };
    let done = change(&world, hook.id, edit(&expected, Some("a1"), settings.clone())).await;
    let why = "another application's endpoint has that name";
    assert_eq!(done, Changed::Done(elsewhere.clone()), "{why}");
    assert_eq!(by_uid(&world, acme, "hook").await, None);
    let nameless = Endpoint { uid: None, ..expected };
    let done = change(&world, hook.id, edit(&elsewhere, None, settings)).await;
    assert_eq!(done, Changed::Done(nameless.clone()));
    assert_eq!(by_uid(&world, acme, "a1").await, None);
    assert_eq!(by_id(&world, acme, hook.id).await, Some(nameless));
    assert_eq!(by_uid(&world, world.alpha, "a1").await.unwrap().key, world.a[0]);
}

/// An edit is made only of what was read: one that somebody else was quicker than changes nothing.
pub async fn edits_are_made_of_what_was_read(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let hook = world.attach(made_endpoint(acme, "hook")).await;
    let transformed = EndpointSettings { transformed: true, ..hook.settings.clone() };
    let first = edit(&hook, Some("hook"), transformed);
    let first = change(&world, hook.id, first).await.done().expect("nobody was quicker");
    let described = EndpointSettings { description: "new".to_owned(), ..hook.settings.clone() };
    for stale in [
        edit(&hook, Some("hook"), described.clone()),
        edit(&hook, Some("other"), described.clone()),
        edit(&Endpoint { uid: None, ..first.clone() }, Some("hook"), described.clone()),
        edit(&Endpoint { origin: Origin::File, ..first.clone() }, Some("hook"), described),
    ] {
        assert_eq!(change(&world, hook.id, stale.clone()).await, Changed::Meanwhile, "{stale:?}");
        assert_eq!(by_id(&world, acme, hook.id).await, Some(first.clone()), "nothing was changed");
    }
    // Headers stand apart from the settings.
    let second = change(&world, hook.id, hook.with_headers(Some(vec![1]))).await;
    let second = second.done().expect("nobody has changed the headers");
    for stale in [hook.with_headers(Some(vec![2])), hook.with_headers(None)] {
        assert_eq!(change(&world, hook.id, stale).await, Changed::Meanwhile);
    }
    assert_eq!(by_id(&world, acme, hook.id).await, Some(second.clone()));
    let third = EndpointSettings { description: "third".to_owned(), ..first.settings.clone() };
    let third = change(&world, hook.id, edit(&first, Some("hook"), third)).await;
    assert!(third.done().is_some_and(|third| third.headers == second.headers));
}

/// Of many edits that were thought out from the same reading, one is made.
pub async fn an_edit_has_one_winner(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let hook = world.attach(made_endpoint(acme, "hook")).await;
    let mut tasks = Vec::new();
    for number in 0..12_u64 {
        let settings = EndpointSettings { timeout_ms: 1_000 + number, ..hook.settings.clone() };
        let (store, one) = (Arc::clone(&world.store), edit(&hook, Some("hook"), settings));
        let id = hook.id;
        tasks.push(tokio::spawn(async move {
            store.endpoint_change(Owner::MAIN, id, one, LATER).await.unwrap()
        }));
    }
    let (mut winners, mut meanwhile) = (Vec::new(), 0);
    for task in tasks {
        match task.await.unwrap() {
            Changed::Done(endpoint) => winners.push(endpoint),
            Changed::Meanwhile => meanwhile += 1,
            other => panic!("{other:?} should be an edit, or too late"),
        }
    }
    assert_eq!((winners.len(), meanwhile), (1, 11));
    assert_eq!(by_id(&world, acme, hook.id).await, winners.pop());
}

/// Headers are replaced and taken away, and nothing else with them.
pub async fn headers_are_replaced(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let hook = world.attach(made_endpoint(acme, "hook")).await;
    let mut read = hook.clone();
    for headers in [Some(vec![1, 0, 255]), Some(Vec::new()), None] {
        let done = change(&world, hook.id, read.with_headers(headers.clone())).await;
        let expected = Endpoint { headers, updated_at_ms: LATER, ..hook.clone() };
        assert_eq!(done, Changed::Done(expected.clone()));
        assert_eq!(by_id(&world, acme, hook.id).await, Some(expected.clone()));
        read = expected;
    }
}

/// A removed endpoint of the API is gone for good, however it is named.
pub async fn removed_endpoints_are_gone(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let hook = world.attach(made_endpoint(acme, "hook")).await;
    let removed = change(&world, hook.id, state(EndpointState::Removed, "")).await.done().unwrap();
    assert_eq!((removed.state, &removed.uid), (EndpointState::Removed, &None));
    assert_eq!(by_uid(&world, acme, "hook").await, None);
    assert_eq!(by_id(&world, acme, hook.id).await, None);
    let config = world.store.config_list(Owner::MAIN).await.unwrap();
    assert!(config.endpoints.contains(&removed), "the row is still told");
    for late in [
        state(EndpointState::Enabled, ""),
        state(EndpointState::Removed, ""),
        EndpointChange::FailingSince(Some(T0)),
        EndpointChange::RotateSecret { envelope: vec![1], old_expire_at_ms: T0 },
        edit(&hook, Some("hook"), EndpointSettings::default()),
        hook.with_headers(None),
    ] {
        let answer = change(&world, hook.id, late.clone()).await;
        assert_eq!(answer, Changed::Absent, "{late:?}");
    }
    assert_eq!(world.store.config_list(Owner::MAIN).await.unwrap(), config);
    let again = EndpointNew { id: endpoint_id("again"), ..made_endpoint(acme, "hook") };
    let again = world.attach(again).await;
    assert!(again.key > hook.key, "keys are not given out twice");
    assert_eq!(by_uid(&world, acme, "hook").await, Some(again));
}

/// What the engine notes about an endpoint also reaches one that the file has dropped; edits do
/// not.
pub async fn dropped_endpoints_are_still_noted(place: Place) {
    let world = World::new(place).await;
    let id = endpoint("alpha", "a1").id;
    let declared = vec![source("alpha", &["a2", "a3"]), source("beta", &["b1"])];
    world.store.config_declare(Owner::MAIN, declared, T0).await.unwrap();
    let noted = change(&world, id, EndpointChange::FailingSince(Some(T0 + 5))).await;
    let noted = noted.done().expect("it reaches a removed endpoint of the file");
    assert_eq!((noted.state, noted.failing_since_ms), (EndpointState::Removed, Some(T0 + 5)));
    let disabled = change(&world, id, state(EndpointState::Disabled, "answered 410")).await;
    assert!(disabled.done().is_some(), "it reaches a removed endpoint of the file");
    let declared = vec![source("alpha", &["a2", "a3"]), source("beta", &["b1"])];
    let config = world.store.config_declare(Owner::MAIN, declared, T0).await.unwrap();
    let dropped = config.endpoints.iter().find(|known| known.id == id).unwrap();
    for late in [
        EndpointChange::RotateSecret { envelope: vec![1], old_expire_at_ms: T0 },
        edit(dropped, Some("a1"), EndpointSettings::default()),
        dropped.with_headers(None),
    ] {
        let answer = change(&world, id, late.clone()).await;
        assert_eq!(answer, Changed::Absent, "{late:?}");
    }
    assert_eq!(by_uid(&world, world.alpha, "a1").await, None);
    let usurper = EndpointNew { id: endpoint_id("new"), ..made_endpoint(world.alpha, "a1") };
    let usurper = world.attach(usurper).await;
    assert_eq!(change(&world, id, state(EndpointState::Enabled, "")).await, Changed::NameTaken);
    let declared = vec![source("alpha", &["a1", "a2", "a3"]), source("beta", &["b1"])];
    let after = world.store.config_declare(Owner::MAIN, declared, LATER).await.unwrap();
    let live = after.endpoints.iter().filter(|known| known.name() == "a1");
    let live: Vec<_> = live.filter(|known| known.state != EndpointState::Removed).collect();
    assert_eq!(live.len(), 1, "{live:?}");
    assert_eq!((live[0].key, live[0].origin), (usurper.key, Origin::File));
}

/// Owners may use the same names for different things, and see only their own.
pub async fn owners_have_their_own_endpoints(place: Place) {
    let world = World::new(place).await;
    let mine = world.attach(made_endpoint(world.alpha, "hook")).await;
    let theirs = EndpointNew { id: endpoint_id("theirs"), ..made_endpoint(world.gamma, "hook") };
    let made = world.store.endpoint_create(OTHER, theirs, T0).await.unwrap();
    let Created::New(theirs) = made else { panic!("{made:?} should be new") };
    let name = Name::Uid("hook".to_owned());
    let get = async |owner, application| {
        world.store.endpoint_get(owner, application, name.clone()).await.unwrap()
    };
    assert_eq!(get(Owner::MAIN, world.alpha).await, Some(mine));
    assert_eq!(get(OTHER, world.gamma).await, Some(theirs));
    assert_eq!(get(OTHER, world.alpha).await, None);
    assert_eq!(get(Owner::MAIN, world.gamma).await, None);
}

/// Everything about endpoints is there after a crash, and deliveries to them go on.
pub async fn endpoints_survive_a_crash(place: Place) {
    let mut world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let hook = world.attach(made_endpoint(acme, "hook")).await;
    let gone = world.attach(made_endpoint(acme, "gone")).await;
    let changes = [
        hook.with_headers(Some(vec![0, 9])),
        EndpointChange::RotateSecret { envelope: vec![0, 8], old_expire_at_ms: i64::MAX },
        edit(&hook, Some("new"), EndpointSettings::for_url("https://new.example/")),
        state(EndpointState::Paused, "by hand"),
    ];
    for one in changes {
        change(&world, hook.id, one).await.done().unwrap();
    }
    change(&world, gone.id, state(EndpointState::Removed, "")).await.done().unwrap();
    let stored = world.store_event(event(acme, T0).waiting(&[hook.key])).await;
    let before = world.store.config_list(Owner::MAIN).await.unwrap();
    if !world.reopen().await {
        return;
    }
    assert_eq!(world.store.config_list(Owner::MAIN).await.unwrap(), before);
    assert_eq!(by_uid(&world, acme, "new").await.as_ref(), Some(endpoint_of(&before, "new")));
    let next = world.attach(made_endpoint(acme, "next")).await;
    assert!(next.key > gone.key, "keys are not given out twice");
    assert_eq!(world.lease_one(hook.key, T0).await.key.event, stored);
}
