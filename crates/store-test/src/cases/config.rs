//! What the operator's file declares, and what is changed about it later.

use becket_model::{EndpointId, EndpointState, Origin};
use becket_store::{Changed, Endpoint, EndpointChange, Owner, StoredSecret};

use crate::Place;
use crate::fixture::{OTHER, T0, World, application_of, endpoint, endpoint_of, source};

const LATER: i64 = T0 + 1_000;

/// New sources and endpoints get rising keys in their order, and everything that was declared.
pub async fn new_ones_are_made_in_order(place: Place) {
    let harness = place.fresh().await;
    let store = harness.store();
    let declared = vec![source("zeta", &["z2", "z1"]), source("alpha", &["z1"])];
    let config = store.config_declare(Owner::MAIN, declared, T0).await.unwrap();
    let sources: Vec<_> = config.sources().map(|source| source.name()).collect();
    assert_eq!(sources, ["zeta", "alpha"]);
    let endpoints: Vec<_> = config.endpoints.iter().map(Endpoint::name).collect();
    assert_eq!(endpoints, ["z2", "z1", "z1"], "a name is unique within its source only");
    assert!(config.applications.is_sorted_by_key(|source| source.key));
    assert!(config.endpoints.is_sorted_by_key(|endpoint| endpoint.key));

    let zeta = &config.applications[0];
    assert_eq!(zeta.id, source("zeta", &[]).id);
    assert_eq!((zeta.settings.provider.as_str(), zeta.origin), ("github", Origin::File));
    assert_eq!((zeta.created_at_ms, zeta.removed), (T0, false));
    let (first, wanted) = (&config.endpoints[0], endpoint("zeta", "z2"));
    assert_eq!((first.id, first.application, first.origin), (wanted.id, zeta.key, Origin::File));
    assert_eq!((&first.settings, first.state), (&wanted.settings, EndpointState::Enabled));
    assert_eq!((first.state_reason.as_str(), first.failing_since_ms), ("", None));
    assert_eq!(first.secrets, [StoredSecret { envelope: wanted.secret, expires_at_ms: None }]);
    assert_eq!((first.created_at_ms, first.updated_at_ms), (T0, T0));
    assert_eq!(store.config_list(Owner::MAIN).await.unwrap(), config);
}

/// The same declaration with fresh ids and secrets changes nothing.
pub async fn declaring_again_changes_nothing(place: Place) {
    let world = World::new(place).await;
    let before = world.store.config_list(Owner::MAIN).await.unwrap();
    let mut declared = vec![source("alpha", &["a1", "a2", "a3"]), source("beta", &["b1"])];
    declared[0].id = source("fresh", &[]).id;
    declared[0].endpoints[0].id = endpoint("fresh", "a1").id;
    declared[0].endpoints[0].secret = b"a fresh secret".to_vec();
    let after = world.store.config_declare(Owner::MAIN, declared, LATER).await.unwrap();
    assert_eq!(after, before);
}

/// A changed declaration updates settings and provider under the same ids and keys.
pub async fn settings_and_provider_follow_the_file(place: Place) {
    let world = World::new(place).await;
    let mut declared = vec![source("alpha", &["a1", "a2", "a3"]), source("beta", &["b1"])];
    declared[0].provider = "stripe".to_owned();
    let settings = &mut declared[0].endpoints[1].settings;
    settings.url = "http://127.0.0.1:4000/ümlaut".to_owned();
    settings.event_types = Some(vec!["push".to_owned(), "invoice.*".to_owned()]);
    settings.headers = vec![("x-a".to_owned(), "1".to_owned())];
    settings.timeout_ms = 1;
    settings.allow_private = true;
    let wanted = settings.clone();
    let after = world.store.config_declare(Owner::MAIN, declared, LATER).await.unwrap();
    assert_eq!(after.applications[0].settings.provider, "stripe");
    let changed = endpoint_of(&after, "a2");
    assert_eq!((changed.key, &changed.settings), (world.a[1], &wanted));
    assert_eq!((changed.created_at_ms, changed.updated_at_ms), (T0, LATER));
    assert_eq!(endpoint_of(&after, "a1").updated_at_ms, T0, "this one was not changed");
}

/// An endpoint that is no longer declared stays, removed; its neighbours stay as they were.
pub async fn absent_endpoints_are_removed(place: Place) {
    let world = World::new(place).await;
    let declared = vec![source("alpha", &["a1", "a3"]), source("beta", &["b1"])];
    let after = world.store.config_declare(Owner::MAIN, declared, LATER).await.unwrap();
    assert_eq!(endpoint_of(&after, "a2").state, EndpointState::Removed);
    assert_eq!(endpoint_of(&after, "a2").key, world.a[1]);
    for uid in ["a1", "a3", "b1"] {
        assert_eq!(endpoint_of(&after, uid).state, EndpointState::Enabled, "{uid}");
    }
    assert_eq!(world.store.config_list(Owner::MAIN).await.unwrap(), after);
}

/// A source that is no longer declared stays, removed, and its endpoints with it.
pub async fn absent_sources_take_their_endpoints_along(place: Place) {
    let world = World::new(place).await;
    let declared = vec![source("beta", &["b1"])];
    let after = world.store.config_declare(Owner::MAIN, declared, LATER).await.unwrap();
    let removed: Vec<_> = after.sources().map(|source| source.removed).collect();
    assert_eq!(removed, [true, false]);
    for uid in ["a1", "a2", "a3"] {
        assert_eq!(endpoint_of(&after, uid).state, EndpointState::Removed, "{uid}");
    }
    let nothing = world.store.config_declare(Owner::MAIN, Vec::new(), LATER).await.unwrap();
    assert!(nothing.sources().all(|source| source.removed));
    assert_eq!(nothing.endpoints.len(), 4);
}

/// What comes back into the file is enabled, with its old ids, keys and secrets.
pub async fn what_comes_back_is_the_same(place: Place) {
    let world = World::new(place).await;
    let store = &world.store;
    let id = endpoint("alpha", "a1").id;
    let paused = EndpointChange::State { state: EndpointState::Paused, reason: "why".to_owned() };
    store.endpoint_change(Owner::MAIN, id, paused, T0).await.unwrap();
    store.config_declare(Owner::MAIN, vec![source("beta", &["b1"])], T0).await.unwrap();
    let mut declared = vec![source("beta", &["b1"]), source("alpha", &["a1", "a4"])];
    declared[1].id = source("fresh", &[]).id;
    declared[1].endpoints[0].id = endpoint("fresh", "a1").id;
    declared[1].endpoints[0].secret = b"a fresh secret".to_vec();
    let after = store.config_declare(Owner::MAIN, declared, LATER).await.unwrap();
    let alpha = after.sources().find(|known| known.key == world.alpha).unwrap();
    assert_eq!((alpha.key, alpha.id), (world.alpha, source("alpha", &[]).id));
    assert!(!alpha.removed);
    let back = endpoint_of(&after, "a1");
    assert_eq!((back.key, back.id, back.state), (world.a[0], id, EndpointState::Enabled));
    assert_eq!((back.state_reason.as_str(), back.failing_since_ms), ("", None));
    assert_eq!(back.secrets[0].envelope, b"sealed secret of a1");
    assert_eq!(endpoint_of(&after, "a2").state, EndpointState::Removed);
    assert!(endpoint_of(&after, "a4").key > world.b, "keys are not given out twice");
}

/// What a person or the engine held back stays held back when the file is read again.
pub async fn paused_and_disabled_survive_a_declaration(place: Place) {
    let world = World::new(place).await;
    for (uid, state) in [("a1", EndpointState::Paused), ("a2", EndpointState::Disabled)] {
        let change = EndpointChange::State { state, reason: format!("{uid} is held") };
        let id = endpoint("alpha", uid).id;
        let changed = world
            .store
            .endpoint_change(Owner::MAIN, id, change, LATER)
            .await
            .unwrap()
            .done()
            .unwrap();
        assert_eq!((changed.state, changed.updated_at_ms), (state, LATER));
    }
    let mut declared = vec![source("alpha", &["a1", "a2", "a3"]), source("beta", &["b1"])];
    declared[0].endpoints[0].settings.timeout_ms = 9;
    let after = world.store.config_declare(Owner::MAIN, declared, LATER).await.unwrap();
    assert_eq!(endpoint_of(&after, "a1").state, EndpointState::Paused);
    assert_eq!(endpoint_of(&after, "a1").state_reason, "a1 is held");
    assert_eq!(endpoint_of(&after, "a1").settings.timeout_ms, 9);
    assert_eq!(endpoint_of(&after, "a2").state, EndpointState::Disabled);
    assert_eq!(endpoint_of(&after, "a2").state_reason, "a2 is held");
}

/// Since when an endpoint fails can be set and cleared; enabling it forgets it, and the reason.
pub async fn enabling_forgets_failures(place: Place) {
    let world = World::new(place).await;
    let id = endpoint("alpha", "a1").id;
    let change = async |change| {
        let changed = world.store.endpoint_change(Owner::MAIN, id, change, LATER).await.unwrap();
        changed.done().expect("the endpoint is there")
    };
    let failing = change(EndpointChange::FailingSince(Some(T0))).await;
    assert_eq!(failing.failing_since_ms, Some(T0));
    assert_eq!((failing.state, failing.updated_at_ms), (EndpointState::Enabled, T0));
    assert_eq!(change(EndpointChange::FailingSince(None)).await.failing_since_ms, None);
    change(EndpointChange::FailingSince(Some(T0))).await;
    let state = |state, reason: &str| EndpointChange::State { state, reason: reason.to_owned() };
    let disabled = change(state(EndpointState::Disabled, "answered 410")).await;
    assert_eq!(disabled.state_reason, "answered 410");
    assert_eq!(disabled.failing_since_ms, Some(T0));
    let enabled = change(state(EndpointState::Enabled, "by hand")).await;
    assert_eq!((enabled.state, enabled.failing_since_ms), (EndpointState::Enabled, None));
    assert_eq!(enabled.state_reason, "", "there is no reason to be enabled");
    let listed = world.store.config_list(Owner::MAIN).await.unwrap();
    assert_eq!(endpoint_of(&listed, "a1"), &enabled);
}

/// A new secret stands in front, and the old ones sign for a while, never longer than before.
pub async fn secrets_rotate(place: Place) {
    let world = World::new(place).await;
    let id = endpoint("alpha", "a1").id;
    let rotate = async |envelope: &[u8], old_expire_at_ms| {
        let envelope = envelope.to_vec();
        let change = EndpointChange::RotateSecret { envelope, old_expire_at_ms };
        let changed = world.store.endpoint_change(Owner::MAIN, id, change, T0).await.unwrap();
        let secrets = changed.done().expect("the endpoint is there").secrets;
        secrets.into_iter().map(|one| (one.envelope, one.expires_at_ms)).collect::<Vec<_>>()
    };
    let first = b"sealed secret of a1".to_vec();
    let secrets = rotate(b"second", T0 + 100).await;
    assert_eq!(secrets, [(b"second".to_vec(), None), (first.clone(), Some(T0 + 100))]);
    let secrets = rotate(b"third", T0 + 500).await;
    let expected = [
        (b"third".to_vec(), None),
        (b"second".to_vec(), Some(T0 + 500)),
        (first.clone(), Some(T0 + 100)),
    ];
    assert_eq!(secrets, expected, "the oldest was to expire earlier");
    let secrets = rotate(b"fourth", T0 + 50).await;
    assert!(secrets[1..].iter().all(|(_, expires)| *expires == Some(T0 + 50)), "{secrets:?}");
    let listed = world.store.config_list(Owner::MAIN).await.unwrap();
    assert_eq!(endpoint_of(&listed, "a1").secrets.len(), 4);
}

/// Changing an endpoint that is not there answers `Absent`.
pub async fn unknown_endpoints_are_not_there(place: Place) {
    let world = World::new(place).await;
    let unknown = EndpointId::from_bytes([7; 20]);
    let change = EndpointChange::FailingSince(Some(T0));
    assert_eq!(
        world.store.endpoint_change(Owner::MAIN, unknown, change, T0).await.unwrap(),
        Changed::Absent
    );
}

/// Two owners may use the same names for different things.
pub async fn owners_do_not_share_names(place: Place) {
    let world = World::new(place).await;
    let declared = vec![source("gamma", &["g1"]), source("alpha", &["a1"])];
    let mut declared_again = declared.clone();
    declared_again[1].id = source("other alpha", &[]).id;
    declared_again[1].endpoints[0].id = endpoint("other alpha", "a1").id;
    let other = world.store.config_declare(OTHER, declared_again, LATER).await.unwrap();
    assert_ne!(application_of(&other, "alpha"), world.alpha);
    assert!(!world.a.contains(&endpoint_of(&other, "a1").key));
    let main = world.store.config_list(Owner::MAIN).await.unwrap();
    assert_eq!((main.applications.len(), main.endpoints.len()), (2, 4));
    assert!(main.endpoints.iter().all(|endpoint| endpoint.state == EndpointState::Enabled));
}

/// A setting holds the first value it was given, whatever bytes those are.
pub async fn settings_hold_their_first_value(place: Place) {
    let world = World::new(place).await;
    let store = &world.store;
    assert_eq!(store.setting_get(Owner::MAIN, "token").await.unwrap(), None);
    let value = vec![0, 255, 1];
    let init = store.setting_init(Owner::MAIN, "token", value.clone()).await.unwrap();
    assert_eq!(init, value);
    let again = store.setting_init(Owner::MAIN, "token", vec![9]).await.unwrap();
    assert_eq!(again, value, "it had a value");
    assert_eq!(store.setting_get(Owner::MAIN, "token").await.unwrap(), Some(value));
    assert_eq!(store.setting_init(Owner::MAIN, "empty", Vec::new()).await.unwrap(), b"");
    assert_eq!(store.setting_get(Owner::MAIN, "empty").await.unwrap(), Some(Vec::new()));
}

/// A setting that is put takes the new value, whether it had one or not.
pub async fn settings_are_overwritten(place: Place) {
    let mut world = World::new(place).await;
    for value in [vec![0, 255, 1], vec![2], Vec::new()] {
        world.store.setting_put(Owner::MAIN, "token", value.clone()).await.unwrap();
        let found = world.store.setting_get(Owner::MAIN, "token").await.unwrap();
        assert_eq!(found, Some(value.clone()));
        let init = world.store.setting_init(Owner::MAIN, "token", vec![9]).await.unwrap();
        assert_eq!(init, value, "it has a value");
    }
    assert_eq!(world.store.setting_get(OTHER, "token").await.unwrap(), None);
    world.store.setting_put(Owner::MAIN, "token", vec![7]).await.unwrap();
    if world.reopen().await {
        let found = world.store.setting_get(Owner::MAIN, "token").await.unwrap();
        assert_eq!(found, Some(vec![7]));
    }
}

/// Of many who set a value at once, one wins and all see the same.
pub async fn settings_have_one_winner(place: Place) {
    let world = World::new(place).await;
    let mut tasks = Vec::new();
    for number in 0..16_u8 {
        let store = std::sync::Arc::clone(&world.store);
        tasks.push(tokio::spawn(async move {
            store.setting_init(Owner::MAIN, "token", vec![number]).await.unwrap()
        }));
    }
    let mut values = Vec::new();
    for task in tasks {
        values.push(task.await.unwrap());
    }
    assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?}");
}

/// Everything that was declared, changed and set is there after a crash.
pub async fn configuration_survives_a_crash(place: Place) {
    let mut world = World::new(place).await;
    let id = endpoint("alpha", "a1").id;
    let changes = [
        EndpointChange::FailingSince(Some(T0 + 3)),
        EndpointChange::State { state: EndpointState::Disabled, reason: "answered 410".to_owned() },
        EndpointChange::RotateSecret { envelope: vec![0, 255], old_expire_at_ms: T0 + 100 },
    ];
    for change in changes {
        world.store.endpoint_change(Owner::MAIN, id, change, LATER).await.unwrap();
    }
    world.store.setting_init(Owner::MAIN, "token", vec![1, 2]).await.unwrap();
    let declared = vec![source("alpha", &["a1", "a2"])];
    let before = world.store.config_declare(Owner::MAIN, declared, LATER).await.unwrap();
    if !world.reopen().await {
        return;
    }
    assert_eq!(world.store.config_list(Owner::MAIN).await.unwrap(), before);
    let setting = world.store.setting_get(Owner::MAIN, "token").await.unwrap();
    assert_eq!(setting, Some(vec![1, 2]));
    let declared = vec![source("alpha", &["a1", "a2", "a9"])];
    let after = world.store.config_declare(Owner::MAIN, declared, LATER).await.unwrap();
    assert!(endpoint_of(&after, "a9").key > world.b, "keys are not given out twice");
}
