//! Documents: conditions, expiry, order, and who sees them.

use std::sync::Arc;

use becket_store::{
    Document, DocumentContent, DocumentKind, DocumentName, Owner, Slice, WriteIf, Written,
};

use crate::Place;
use crate::fixture::{OTHER, T0, World, customer};

const KIND: DocumentKind = DocumentKind::EventType;

fn named(name: &str) -> DocumentName {
    DocumentName::of_owner(KIND, name)
}

fn body(text: &str) -> DocumentContent {
    DocumentContent { body: text.to_owned(), ..DocumentContent::default() }
}

fn until(expires_at_ms: i64) -> DocumentContent {
    DocumentContent { expires_at_ms: Some(expires_at_ms), ..body("{}") }
}

async fn put(
    world: &World,
    name: &DocumentName,
    content: DocumentContent,
    condition: WriteIf,
    now_ms: i64,
) -> Written {
    let put = world.store.document_put(Owner::MAIN, name.clone(), content, condition, now_ms);
    put.await.unwrap()
}

async fn get(world: &World, name: &DocumentName, now_ms: i64) -> Option<Document> {
    world.store.document_get(Owner::MAIN, name.clone(), now_ms).await.unwrap()
}

/// A document has everything that was written, and counts its revisions.
pub async fn documents_come_back(place: Place) {
    let world = World::new(place).await;
    let name = named("ünïcode '\"; %_");
    assert_eq!(get(&world, &name, T0).await, None);
    let content = DocumentContent {
        body: "{\"a\":\"ü\\u0000\"}".to_owned(),
        sealed: Some(vec![1, 0, 255]),
        expires_at_ms: Some(T0 + 100),
    };
    let first = Document {
        name: name.clone(),
        content: content.clone(),
        revision: 1,
        created_at_ms: T0,
        updated_at_ms: T0,
    };
    let written = put(&world, &name, content, WriteIf::Always, T0).await;
    assert_eq!(written, Written::Created(first.clone()));
    assert_eq!(get(&world, &name, T0).await, Some(first.clone()));
    let second = Document { content: body("{}"), revision: 2, updated_at_ms: T0 + 5, ..first };
    let written = put(&world, &name, body("{}"), WriteIf::Always, T0 + 5).await;
    assert_eq!(written, Written::Replaced(second.clone()));
    assert_eq!(get(&world, &name, T0 + 200).await, Some(second), "it does not expire any more");
    assert!(world.store.document_remove(Owner::MAIN, name.clone()).await.unwrap());
    assert!(!world.store.document_remove(Owner::MAIN, name.clone()).await.unwrap());
    assert_eq!(get(&world, &name, T0 + 5).await, None);
    let written = put(&world, &name, body("[]"), WriteIf::Always, T0 + 7).await;
    let Written::Created(again) = written else { panic!("{written:?} should be new") };
    assert_eq!((again.revision, again.created_at_ms, again.updated_at_ms), (1, T0 + 7, T0 + 7));
}

/// Kind, application and name together make a document.
pub async fn names_have_three_parts(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let mut names = Vec::new();
    for kind in DocumentKind::ALL {
        names.push(DocumentName::of_owner(kind, "x"));
        names.push(DocumentName::of(kind, acme, "x"));
        names.push(DocumentName::of(kind, world.alpha, "x"));
    }
    for (at, name) in names.iter().enumerate() {
        let written = put(&world, name, body(&at.to_string()), WriteIf::Absent, T0).await;
        assert!(matches!(written, Written::Created(_)), "{name:?}: {written:?}");
    }
    for (at, name) in names.iter().enumerate() {
        let found = get(&world, name, T0).await.expect("it is there");
        assert_eq!((found.content.body, &found.name), (at.to_string(), name));
    }
    assert!(world.store.document_remove(Owner::MAIN, names[0].clone()).await.unwrap());
    for (at, name) in names.iter().enumerate() {
        assert_eq!(get(&world, name, T0).await.is_some(), at > 0, "{name:?}");
    }
}

/// A document is written only under its condition; a refusal shows what is there.
pub async fn conditions_are_kept(place: Place) {
    let world = World::new(place).await;
    let name = named("a");
    let refused = put(&world, &name, body("0"), WriteIf::Revision(1), T0).await;
    assert_eq!(refused, Written::Refused(None));
    let written = put(&world, &name, body("1"), WriteIf::Absent, T0).await;
    let Written::Created(first) = written else { panic!("{written:?} should be new") };
    for condition in [WriteIf::Absent, WriteIf::Revision(0), WriteIf::Revision(2)] {
        let refused = put(&world, &name, body("2"), condition, T0 + 1).await;
        assert_eq!(refused, Written::Refused(Some(first.clone())), "{condition:?}");
    }
    let written = put(&world, &name, body("2"), WriteIf::Revision(1), T0 + 1).await;
    let Written::Replaced(second) = written else { panic!("{written:?} should be replaced") };
    assert_eq!((second.revision, second.created_at_ms, second.updated_at_ms), (2, T0, T0 + 1));
    let refused = put(&world, &name, body("3"), WriteIf::Revision(1), T0 + 2).await;
    assert_eq!(refused, Written::Refused(Some(second.clone())));
    assert_eq!(get(&world, &name, T0).await, Some(second));
}

/// Of many who write the same revision at once, one wins.
pub async fn a_revision_has_one_winner(place: Place) {
    let world = World::new(place).await;
    for round in 0..4_u64 {
        let condition = if round == 0 { WriteIf::Absent } else { WriteIf::Revision(round) };
        let mut tasks = Vec::new();
        for writer in 0..8 {
            let store = Arc::clone(&world.store);
            let content = body(&writer.to_string());
            tasks.push(tokio::spawn(async move {
                store.document_put(Owner::MAIN, named("a"), content, condition, T0).await.unwrap()
            }));
        }
        let mut winners = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Written::Created(document) | Written::Replaced(document) => winners.push(document),
                Written::Refused(there) => assert!(there.is_some(), "somebody was first"),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(get(&world, &named("a"), T0).await.as_ref(), winners.first());
    }
}

/// A document that has expired is not there, for any call; the moment itself is too late.
pub async fn expired_documents_are_not_there(place: Place) {
    let world = World::new(place).await;
    let name = named("a");
    put(&world, &name, until(T0 + 100), WriteIf::Always, T0).await;
    let find = async |now_ms| world.store.document_find(KIND, "a", now_ms).await.unwrap();
    let list = async |now_ms| {
        let slice = Slice::oldest(9);
        world.store.document_list(Owner::MAIN, KIND, None, slice, now_ms).await.unwrap()
    };
    for (now_ms, there) in [(T0 + 99, true), (T0 + 100, false), (T0 + 101, false)] {
        assert_eq!(get(&world, &name, now_ms).await.is_some(), there, "{now_ms}");
        assert_eq!(find(now_ms).await.is_some(), there, "{now_ms}");
        assert_eq!(list(now_ms).await.len(), usize::from(there), "{now_ms}");
    }
    let refused = put(&world, &name, body("{}"), WriteIf::Revision(1), T0 + 100).await;
    assert_eq!(refused, Written::Refused(None), "it has expired");
    let written = put(&world, &name, until(T0 + 300), WriteIf::Absent, T0 + 100).await;
    let Written::Created(again) = written else { panic!("{written:?} should be new") };
    assert_eq!((again.revision, again.created_at_ms), (1, T0 + 100));
    let written = put(&world, &name, until(T0 + 500), WriteIf::Always, T0 + 400).await;
    let Written::Created(again) = written else { panic!("{written:?} should be new") };
    assert_eq!((again.revision, again.created_at_ms), (1, T0 + 400));
}

/// Sweeping takes what has expired, of all owners, so many at a time, and nothing else.
pub async fn sweeping_takes_the_expired(place: Place) {
    let world = World::new(place).await;
    for at in 0..7 {
        put(&world, &named(&format!("old {at}")), until(T0 + at), WriteIf::Always, T0 - 1).await;
    }
    let theirs = DocumentName::of(DocumentKind::Answer, world.gamma, "old");
    let always = WriteIf::Always;
    world.store.document_put(OTHER, theirs, until(T0), always, T0 - 1).await.unwrap();
    put(&world, &named("young"), until(T0 + 100), WriteIf::Always, T0).await;
    put(&world, &named("lasting"), body("{}"), WriteIf::Always, T0).await;
    let sweep = async |now_ms, limit| world.store.document_sweep(now_ms, limit).await.unwrap();
    assert_eq!(sweep(T0 - 1, 100).await, 0);
    assert_eq!(sweep(T0 + 50, 0).await, 0);
    assert_eq!(sweep(T0 + 50, 3).await, 3);
    assert_eq!(sweep(T0 + 50, 3).await, 3);
    assert_eq!(sweep(T0 + 50, 3).await, 2);
    assert_eq!(sweep(T0 + 50, 3).await, 0);
    for name in ["young", "lasting"] {
        assert!(get(&world, &named(name), T0 + 50).await.is_some(), "{name}");
    }
    let slice = Slice::oldest(20);
    // With an early clock, what was only hidden would show.
    let list = world.store.document_list(Owner::MAIN, KIND, None, slice, T0 - 1).await.unwrap();
    assert_eq!(list.len(), 2, "{list:?}");
}

/// Lists are in the order of names, both ways, and show one kind of one place.
pub async fn documents_are_sliced(place: Place) {
    let world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    for name in ["b", "Z", "a.b", "ä", "a", "aa"] {
        put(&world, &named(name), body("{}"), WriteIf::Always, T0).await;
    }
    let of_acme = DocumentName::of(KIND, acme, "of acme");
    put(&world, &of_acme, body("{}"), WriteIf::Always, T0).await;
    let token = DocumentName::of_owner(DocumentKind::Token, "a token");
    put(&world, &token, body("{}"), WriteIf::Always, T0).await;
    let theirs = named("theirs");
    let always = WriteIf::Always;
    world.store.document_put(OTHER, theirs, body("{}"), always, T0).await.unwrap();
    let list = async |application, limit, after: Option<&str>, descending| {
        let slice = Slice { limit, after: after.map(str::to_owned), descending };
        let list = world.store.document_list(Owner::MAIN, KIND, application, slice, T0);
        list.await.unwrap().into_iter().map(|one| one.name.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(None, 9, None, false).await, "Z a a.b aa b ä", "by their bytes");
    assert_eq!(list(None, 9, None, true).await, "ä b aa a.b a Z");
    assert_eq!(list(None, 2, None, false).await, "Z a");
    assert_eq!(list(None, 2, None, true).await, "ä b");
    assert_eq!(list(None, 2, Some("a"), false).await, "a.b aa");
    assert_eq!(list(None, 2, Some("b"), true).await, "aa a.b");
    assert_eq!(list(None, 9, Some("abc"), false).await, "b ä", "it need not be there");
    assert_eq!(list(None, 9, Some("abc"), true).await, "aa a.b a Z", "it need not be there");
    assert_eq!(list(None, 9, Some("ä"), false).await, "");
    assert_eq!(list(None, 0, None, false).await, "");
    assert_eq!(list(Some(acme), 9, None, false).await, "of acme");
    assert_eq!(list(Some(world.alpha), 9, None, false).await, "");
}

/// A name that is unique in the store is found without knowing whose it is.
pub async fn unique_names_are_found(place: Place) {
    let world = World::new(place).await;
    let kind = DocumentKind::Token;
    let mine = DocumentName::of_owner(kind, "mine");
    let theirs = DocumentName::of(kind, world.gamma, "theirs");
    put(&world, &mine, body("1"), WriteIf::Always, T0).await;
    let always = WriteIf::Always;
    world.store.document_put(OTHER, theirs.clone(), body("2"), always, T0).await.unwrap();
    let find = async |kind, name| world.store.document_find(kind, name, T0).await.unwrap();
    let found = find(kind, "mine").await.expect("it is there");
    assert_eq!((found.0, found.1.name, found.1.content), (Owner::MAIN, mine, body("1")));
    let found = find(kind, "theirs").await.expect("it is there");
    assert_eq!((found.0, found.1.name, found.1.content), (OTHER, theirs, body("2")));
    assert_eq!(find(kind, "nobody's").await, None);
    assert_eq!(find(DocumentKind::Task, "mine").await, None, "it is of another kind");
}

/// A document needs an application of its own owner.
pub async fn a_place_has_to_be_there(place: Place) {
    let world = World::new(place).await;
    let places = [world.gamma, becket_model::ApplicationKey(9_999)];
    for application in places {
        for condition in [WriteIf::Absent, WriteIf::Revision(1), WriteIf::Always] {
            let name = DocumentName::of(KIND, application, "a");
            let refused = put(&world, &name, body("{}"), condition, T0).await;
            assert_eq!(refused, Written::Refused(None), "{application:?}");
            assert_eq!(get(&world, &name, T0).await, None);
        }
    }
    assert_eq!(world.store.document_find(KIND, "a", T0).await.unwrap(), None);
}

/// Documents are there after a crash, with their revisions, and removed ones are not.
pub async fn documents_survive_a_crash(place: Place) {
    let mut world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let names = [named("a"), DocumentName::of(DocumentKind::Task, acme, "b"), named("gone")];
    for name in &names {
        put(&world, name, until(T0 + 9), WriteIf::Always, T0).await;
        let sealed = DocumentContent { sealed: Some(vec![0, 1]), ..until(T0 + 1_000) };
        put(&world, name, sealed, WriteIf::Revision(1), T0 + 1).await;
    }
    world.store.document_remove(Owner::MAIN, names[2].clone()).await.unwrap();
    put(&world, &named("swept"), until(T0 + 2), WriteIf::Always, T0).await;
    assert_eq!(world.store.document_sweep(T0 + 2, 9).await.unwrap(), 1);
    let before = [get(&world, &names[0], T0).await, get(&world, &names[1], T0).await];
    assert!(before.iter().all(|found| found.as_ref().is_some_and(|one| one.revision == 2)));
    if !world.reopen().await {
        return;
    }
    assert_eq!([get(&world, &names[0], T0).await, get(&world, &names[1], T0).await], before);
    for name in ["gone", "swept"] {
        assert_eq!(get(&world, &named(name), T0).await, None, "{name}");
    }
    let written = put(&world, &names[0], body("{}"), WriteIf::Revision(2), T0 + 3).await;
    assert!(matches!(&written, Written::Replaced(one) if one.revision == 3), "{written:?}");
}
