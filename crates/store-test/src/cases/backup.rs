//! Backups: a consistent copy that is a store of its own.

use becket_model::NextStep;
use becket_store::{
    DocumentContent, DocumentKind, DocumentName, EventFilter, Owner, Page, WriteIf,
};

use crate::Place;
use crate::fixture::{MAIN, T0, Wishes, World, customer, event, ids, made_endpoint};

/// A store without backups says so and leaves no folder; one with them fills a new folder.
pub async fn a_backup_is_made_or_refused(place: Place) {
    let world = World::new(place).await;
    world.one_ended(T0, NextStep::Delivered).await;
    let folder = world.harness.backup_folder();
    let answer = world.store.backup(&folder).await;
    assert_eq!(answer.is_ok(), place.capabilities().backup, "{answer:?}");
    assert_eq!(folder.exists(), place.capabilities().backup);
    if let Ok(bytes) = answer {
        assert!(bytes > 0, "it tells how large the copy is");
        assert!(world.store.backup(&folder).await.is_err(), "the folder exists by now");
    }
}

/// The copy has everything that was there, and both go on without each other.
pub async fn a_backup_opens_as_a_store(place: Place) {
    if !place.capabilities().backup {
        return;
    }
    let world = World::new(place).await;
    let store = &world.store;
    let mut stored = Vec::new();
    for at in 0..8 {
        let accept = event(world.alpha, T0 + at).keyed(at as u32).waiting(&world.a[..1]);
        stored.insert(0, world.store_event(accept).await);
    }
    let ended = world.one_ended(T0 + 9, NextStep::RetryAt(T0 + 500)).await;
    stored.insert(0, ended);
    store.setting_init(Owner::MAIN, "token", vec![1]).await.unwrap();
    let acme = world.make(customer("acme")).await.key;
    world.attach(made_endpoint(acme, "hook")).await;
    let name = DocumentName::of(DocumentKind::Task, acme, "task");
    let content = DocumentContent { sealed: Some(vec![1, 2]), ..DocumentContent::default() };
    store.document_put(Owner::MAIN, name.clone(), content, WriteIf::Absent, T0).await.unwrap();
    assert!(store.event_expunge(MAIN, stored[7], T0 + 10).await.unwrap());
    let folder = world.harness.backup_folder();
    store.backup(&folder).await.unwrap();
    world.store_event(event(world.alpha, T0 + 20)).await;

    let copy = world.harness.open_backup(&folder).await;
    let page = Page::newest(100);
    let rows = copy.event_list(MAIN, EventFilter::default(), page).await.unwrap();
    assert_eq!(ids(&rows), stored, "what came after the backup is not in it");
    for row in rows {
        assert_eq!(world.row(row.id).await, row);
        let record = store.event_record(MAIN, row.id).await.unwrap();
        assert_eq!(copy.event_record(MAIN, row.id).await.unwrap(), record);
        let attempts = store.attempt_list(MAIN, row.id).await.unwrap();
        assert_eq!(copy.attempt_list(MAIN, row.id).await.unwrap(), attempts);
    }
    let config = store.config_list(Owner::MAIN).await.unwrap();
    assert_eq!(copy.config_list(Owner::MAIN).await.unwrap(), config);
    assert_eq!(copy.setting_get(Owner::MAIN, "token").await.unwrap(), Some(vec![1]));
    let document = store.document_get(Owner::MAIN, name.clone(), T0).await.unwrap();
    assert!(document.is_some());
    assert_eq!(copy.document_get(Owner::MAIN, name, T0).await.unwrap(), document);
    let repeat = copy.event_accept(MAIN, event(world.alpha, T0 + 30).keyed(3)).await.unwrap();
    assert_eq!(repeat.event(), stored[5], "repeats are found in the copy");
    let leased = copy.delivery_lease(world.a[0], T0 + 600, 1_000, 100).await.unwrap();
    assert_eq!(leased.len(), 9);
    assert_eq!(world.lease(world.a[0], T0 + 600).await.len(), 9, "the copy is a store apart");
    copy.close().await.unwrap();
    store.health().expect("closing the copy closes nothing else");
}
