//! Sealed secrets: all of them are found with the place they were sealed for, and replaced.

use std::collections::BTreeMap;

use becket_model::ApplicationKind;
use becket_store::vault::{Vault, place};
use becket_store::{
    ApplicationNew, DocumentContent, DocumentKind, DocumentName, EndpointChange, EndpointNew,
    Envelope, Owner, WriteIf,
};

use crate::Place;
use crate::fixture::{OTHER, T0, World, application_id, endpoint_id, made, made_endpoint, source};

/// Seals with a nonce that differs from place to place.
fn sealed(vault: &Vault, place: &str) -> Vec<u8> {
    let mut nonce = [0; 24];
    for (at, byte) in place.bytes().enumerate() {
        nonce[at % 24] ^= byte.rotate_left(at as u32 / 24);
    }
    vault.seal(place, format!("secret of {place}").as_bytes(), nonce).unwrap()
}

/// Puts a sealed secret into every place that there is, for two owners; answers with the places.
async fn fill(world: &World, vault: &Vault) -> Vec<String> {
    let mut places = Vec::new();
    let store = &world.store;
    for (owner, mark) in [(Owner::MAIN, "m"), (OTHER, "o")] {
        let mut seal = |place: String| {
            let envelope = sealed(vault, &place);
            places.push(place);
            envelope
        };
        // What the fixture has declared is replaced by what is sealed.
        let mut declared = source(&format!("{mark} file"), &["e"]);
        declared.id = application_id(&format!("{mark} file"));
        declared.endpoints[0].id = endpoint_id(&format!("{mark} file"));
        declared.endpoints[0].secret = seal(place::endpoint_secret(declared.endpoints[0].id));
        store.config_declare(owner, vec![declared.clone()], T0).await.unwrap();

        let kind = ApplicationKind::Source;
        let new = made(kind, mark);
        let credentials = Some(seal(place::application_credentials(new.id)));
        let new = ApplicationNew { credentials, ..new };
        let made = store.application_create(owner, new, T0).await.unwrap();
        let becket_store::Created::New(made) = made else { panic!("{made:?} should be new") };
        let new = made_endpoint(made.key, mark);
        let new = EndpointNew {
            headers: Some(seal(place::endpoint_headers(new.id))),
            secret: seal(place::endpoint_secret(new.id)),
            ..new
        };
        let id = new.id;
        store.endpoint_create(owner, new, T0).await.unwrap();
        for _ in 0..2 {
            let envelope = seal(place::endpoint_secret(id));
            let rotate = EndpointChange::RotateSecret { envelope, old_expire_at_ms: i64::MAX };
            store.endpoint_change(owner, id, rotate, T0).await.unwrap().done().unwrap();
        }
        let name = |at: usize| format!("{mark} {at}");
        for (at, kind) in DocumentKind::ALL.into_iter().enumerate() {
            let name = if at % 2 == 0 {
                DocumentName::of_owner(kind, name(at))
            } else {
                DocumentName::of(kind, made.key, name(at))
            };
            let sealed = Some(seal(place::document(&name)));
            let content = DocumentContent { sealed, ..DocumentContent::default() };
            store.document_put(owner, name, content, WriteIf::Absent, T0).await.unwrap();
        }
    }
    // What is not sealed, or empty, is no envelope.
    let bare = DocumentName::of_owner(DocumentKind::Setting, "bare");
    let content = DocumentContent { sealed: Some(Vec::new()), ..DocumentContent::default() };
    store.document_put(Owner::MAIN, bare, content, WriteIf::Always, T0).await.unwrap();
    places
}

/// All envelopes that were sealed with another version, which have to be no more than a limit.
async fn all(world: &World, version: u8) -> Vec<Envelope> {
    let found = world.store.envelope_list(version, 1_000).await.unwrap();
    assert!(found.iter().all(|one| one.bytes.first() != Some(&version)), "{found:?}");
    // The fixture's declared secrets are plain words.
    found.into_iter().filter(|one| !one.bytes.starts_with(b"sealed secret of ")).collect()
}

/// Every envelope is told with the place it opens in, and with its bytes.
pub async fn envelopes_are_told_with_their_places(place: Place) {
    let world = World::new(place).await;
    let vault = Vault::new([7; 32]);
    let mut places = fill(&world, &vault).await;
    let found = all(&world, 0).await;
    let mut told: Vec<String> = found.iter().map(|one| one.place.clone()).collect();
    told.sort_unstable();
    places.sort_unstable();
    assert_eq!(told, places);
    for one in &found {
        let opened = vault.open(&one.place, &one.bytes).expect("it opens in its place");
        assert_eq!(opened.as_slice(), format!("secret of {}", one.place).as_bytes());
    }
    let mut seats: Vec<_> = found.iter().map(|one| format!("{:?}", one.at)).collect();
    seats.sort_unstable();
    seats.dedup();
    assert_eq!(seats.len(), found.len(), "each has a place of its own");
    assert!(all(&world, 1).await.is_empty(), "all were sealed with version 1");
}

/// Secrets are sealed again, a few at a time, until none is left; nothing else changes.
pub async fn envelopes_are_replaced_until_none_is_left(place: Place) {
    let mut world = World::new(place).await;
    let mut vault = Vault::new([7; 32]);
    let places = fill(&world, &vault).await;
    let before = world.store.config_list(Owner::MAIN).await.unwrap();
    let name = DocumentName::of_owner(DocumentKind::ALL[0], "m 0");
    let document = world.store.document_get(Owner::MAIN, name.clone(), T0).await.unwrap().unwrap();
    vault.add_key(2, [9; 32]);
    let mut replaced = 0;
    // The fixture's plain words count as well; they are replaced by something of version 2.
    for _ in 0..200 {
        let some = world.store.envelope_list(2, 5).await.unwrap();
        assert!(some.len() <= 5);
        if some.is_empty() {
            break;
        }
        for one in some {
            let new = sealed(&vault, &one.place);
            replaced += usize::from(vault.open(&one.place, &one.bytes).is_ok());
            assert!(world.store.envelope_replace(one.at, one.bytes, new).await.unwrap());
        }
    }
    assert_eq!(replaced, places.len());
    for _ in 0..2 {
        assert!(world.store.envelope_list(2, 1_000).await.unwrap().is_empty(), "none is left");
        let after = world.store.config_list(Owner::MAIN).await.unwrap();
        let times = |config: &becket_store::ConfigSnapshot| {
            let endpoints =
                config.endpoints.iter().map(|one| (one.updated_at_ms, one.secrets.len()));
            let applications = config.applications.iter().map(|one| (one.updated_at_ms, 0));
            endpoints.chain(applications).collect::<Vec<_>>()
        };
        assert_eq!(times(&after), times(&before), "sealing again is no change");
        let hook = crate::fixture::endpoint_of(&after, "m");
        for secret in &hook.secrets {
            vault.open(&place::endpoint_secret(hook.id), &secret.envelope).unwrap();
            assert_eq!(secret.envelope[0], 2);
        }
        vault.open(&place::endpoint_headers(hook.id), hook.headers.as_ref().unwrap()).unwrap();
        let found = world.store.document_get(Owner::MAIN, name.clone(), T0).await.unwrap().unwrap();
        assert_eq!((found.revision, found.updated_at_ms), (document.revision, T0));
        assert_eq!(found.content.body, document.content.body);
        assert_ne!(found.content.sealed, document.content.sealed);
        if !world.reopen().await {
            return;
        }
    }
}

/// An envelope is replaced only if it is still the one that was told.
pub async fn envelopes_are_compared_before_they_are_replaced(place: Place) {
    let world = World::new(place).await;
    fill(&world, &Vault::new([7; 32])).await;
    let found = all(&world, 0).await;
    let replace = async |one: &Envelope, old: &[u8], new: &[u8]| {
        world.store.envelope_replace(one.at, old.to_vec(), new.to_vec()).await.unwrap()
    };
    for one in &found {
        assert!(!replace(one, b"\x01something else", b"\x02theirs").await, "{one:?}");
        assert!(!replace(one, b"", b"\x02theirs").await, "{one:?}");
    }
    assert_eq!(told(&all(&world, 0).await), told(&found), "nothing was changed");
    for one in &found {
        let new = [b"\x02", one.place.as_bytes()].concat();
        assert!(replace(one, &one.bytes, &new).await, "{one:?}");
        assert!(!replace(one, &one.bytes, b"\x03late").await, "{one:?}");
    }
    for one in all(&world, 0).await {
        assert_eq!(one.bytes, [b"\x02", one.place.as_bytes()].concat(), "it is in its own place");
    }
}

/// What was written, removed or rotated since it was told is not overwritten.
pub async fn changed_envelopes_are_left_alone(place: Place) {
    let world = World::new(place).await;
    let vault = Vault::new([7; 32]);
    fill(&world, &vault).await;
    let found = all(&world, 0).await;
    let name = DocumentName::of_owner(DocumentKind::ALL[0], "m 0");
    let document = found.iter().find(|one| one.place == place::document(&name)).unwrap();
    let content = DocumentContent { sealed: Some(vec![1, 9]), ..DocumentContent::default() };
    let store = &world.store;
    store.document_put(Owner::MAIN, name.clone(), content, WriteIf::Always, T0).await.unwrap();
    let new = vec![2, 2];
    let replaced = store.envelope_replace(document.at, document.bytes.clone(), new.clone()).await;
    assert!(!replaced.unwrap(), "it was written since");
    let now = store.document_get(Owner::MAIN, name.clone(), T0).await.unwrap().unwrap();
    assert_eq!(now.content.sealed, Some(vec![1, 9]));
    let told = all(&world, 0).await;
    let again = told.iter().find(|one| one.place == place::document(&name)).unwrap();
    store.document_remove(Owner::MAIN, name).await.unwrap();
    assert!(!store.envelope_replace(again.at, again.bytes.clone(), new.clone()).await.unwrap());

    let id = endpoint_id("m");
    let secrets: Vec<_> =
        told.iter().filter(|one| one.place == place::endpoint_secret(id)).collect();
    assert_eq!(secrets.len(), 3);
    let rotate = EndpointChange::RotateSecret { envelope: vec![1, 7], old_expire_at_ms: i64::MAX };
    store.endpoint_change(Owner::MAIN, id, rotate, T0).await.unwrap().done().unwrap();
    for one in secrets {
        // A rotation moves the others, and takes nothing away from what was told.
        assert!(store.envelope_replace(one.at, one.bytes.clone(), new.clone()).await.unwrap());
    }
    let config = store.config_list(Owner::MAIN).await.unwrap();
    let secrets = &crate::fixture::endpoint_of(&config, "m").secrets;
    let bytes: Vec<_> = secrets.iter().map(|one| one.envelope.as_slice()).collect();
    assert_eq!(bytes, [&[1, 7][..], &[2, 2], &[2, 2], &[2, 2]]);
    let headers = crate::fixture::endpoint_of(&config, "m").with_headers(None);
    store.endpoint_change(Owner::MAIN, id, headers, T0).await.unwrap().done().unwrap();
    let gone = told.iter().find(|one| one.place == place::endpoint_headers(id)).unwrap();
    assert!(!store.envelope_replace(gone.at, gone.bytes.clone(), new).await.unwrap());
}

/// Envelopes by place, in a fixed order.
fn told(envelopes: &[Envelope]) -> BTreeMap<(String, String), Vec<u8>> {
    let key = |one: &Envelope| (one.place.clone(), format!("{:?}", one.at));
    envelopes.iter().map(|one| (key(one), one.bytes.clone())).collect()
}
