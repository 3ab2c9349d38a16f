//! What has changed in the configuration.

use std::collections::{BTreeMap, HashMap};

use becket_model::{ApplicationKind, ApplicationSettings, EndpointState};
use becket_store::{
    ApplicationNew, Changed, Created, DocumentContent, DocumentKind, DocumentName, EndpointChange,
    EndpointNew, Name, WriteIf, Written,
};

use super::*;

async fn customer(store: &PostgresStore, number: u8) -> ApplicationKey {
    let new = ApplicationNew {
        kind: ApplicationKind::Customer,
        id: ApplicationId::new(T0, [number; 14]),
        uid: None,
        settings: ApplicationSettings::default(),
        credentials: None,
    };
    match store.application_create(Owner::MAIN, new, T0).await.unwrap() {
        Created::New(made) => made.key,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_change_is_told_once() {
    let group = Group::new(2, 2).await;
    let all = group.cluster(1).changes(0).await.unwrap();
    assert_eq!((all.applications.len(), all.endpoints.len()), (1, 2));
    let config = group.store(0).config_list(Owner::MAIN).await.unwrap();
    assert_eq!(all.applications, config.applications);
    let endpoints: Vec<_> = all.endpoints.iter().map(|(_, endpoint)| endpoint.clone()).collect();
    assert_eq!(endpoints, config.endpoints, "with their secrets");
    assert!(
        all.endpoints
            .iter()
            .all(|(owner, endpoint)| { *owner == Owner::MAIN && endpoint.secrets.len() == 1 })
    );
    let none = group.cluster(1).changes(all.revision).await.unwrap();
    assert_eq!(none.revision, all.revision);
    assert!(none.applications.is_empty() && none.endpoints.is_empty() && none.documents.is_empty());

    let endpoint = &config.endpoints[1];
    let change = EndpointChange::RotateSecret { envelope: vec![9], old_expire_at_ms: T0 + 5 };
    let changed = group.store(0).endpoint_change(Owner::MAIN, endpoint.id, change, T0 + 1);
    assert!(matches!(changed.await.unwrap(), Changed::Done(_)));
    let name = DocumentName::of_owner(DocumentKind::EventType, "a.b");
    let content = DocumentContent { body: "{}".to_owned(), ..DocumentContent::default() };
    let written = group
        .store(0)
        .document_put(Owner::new(3), name, content, WriteIf::Always, T0)
        .await
        .unwrap();
    assert!(matches!(written, Written::Created(_)));
    let told = group.cluster(1).changes(all.revision).await.unwrap();
    assert!(told.revision > all.revision && told.applications.is_empty());
    assert_eq!(told.endpoints.len(), 1);
    assert_eq!((told.endpoints[0].1.key, told.endpoints[0].1.secrets.len()), (endpoint.key, 2));
    assert_eq!(told.documents, [(Owner::new(3), DocumentKind::EventType)]);

    group.store(0).config_declare(Owner::MAIN, Vec::new(), T0 + 2).await.unwrap();
    let told = group.cluster(1).changes(told.revision).await.unwrap();
    assert!(told.applications[0].removed);
    let states = told.endpoints.iter().map(|(_, endpoint)| endpoint.state);
    assert!(states.clone().all(|state| state == EndpointState::Removed) && states.count() == 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_two_nodes_do_not_lose_each_other() {
    let group = Arc::new(Group::new(2, 1).await);
    let config = group.store(0).config_list(Owner::MAIN).await.unwrap();
    let before = config.endpoints[0].clone();
    let (application, id) = (before.application, before.id);
    let writers = [0, 1].map(|node| {
        let group = Arc::clone(&group);
        tokio::spawn(async move {
            let (store, name) = (group.store(node), Name::Id(id));
            let mut made = 0;
            while made < 20 {
                let read = store.endpoint_get(Owner::MAIN, application, name.clone());
                let read = read.await.unwrap().unwrap();
                let timeout_ms = read.settings.timeout_ms + 1;
                let settings = EndpointSettings { timeout_ms, ..read.settings.clone() };
                let edit = read.edit(read.uid.clone(), settings);
                match store.endpoint_change(Owner::MAIN, id, edit, T0).await.unwrap() {
                    Changed::Done(_) => made += 1,
                    Changed::Meanwhile => {}
                    other => panic!("{other:?}"),
                }
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let after = group.store(0).endpoint_get(Owner::MAIN, application, Name::Id(id)).await;
    let counted = after.unwrap().unwrap().settings.timeout_ms - before.settings.timeout_ms;
    assert_eq!(counted, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_while_many_write() {
    let group = Arc::new(Group::new(3, 1).await);
    let writers: Vec<_> = (0..3_u8)
        .map(|writer| {
            let group = Arc::clone(&group);
            tokio::spawn(async move {
                let store = group.store(usize::from(writer));
                for round in 0..15_u8 {
                    let application = customer(store, writer * 50 + round).await;
                    let new = EndpointNew {
                        application,
                        id: EndpointId::new(T0, [100 + writer * 50 + round; 14]),
                        uid: None,
                        settings: EndpointSettings::for_url("http://127.0.0.1:1/"),
                        headers: None,
                        secret: vec![writer],
                        state: EndpointState::Enabled,
                    };
                    let made = store.endpoint_create(Owner::MAIN, new, T0).await.unwrap();
                    assert!(matches!(made, Created::New(_)));
                }
            })
        })
        .collect();
    let (mut revision, mut seen) = (0, BTreeMap::<u32, u32>::new());
    let mut owners = HashMap::new();
    loop {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let told = group.cluster(0).changes(revision).await.unwrap();
        assert!(told.revision >= revision);
        let any = !told.applications.is_empty() || !told.endpoints.is_empty();
        assert_eq!(any, told.revision > revision, "a higher revision has something to tell");
        revision = told.revision;
        for (owner, endpoint) in told.endpoints {
            *seen.entry(endpoint.key.0).or_default() += 1;
            owners.insert(endpoint.key, owner);
        }
        if done {
            break;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let config = group.store(1).config_list(Owner::MAIN).await.unwrap();
    assert_eq!(seen.len(), config.endpoints.len());
    assert!(seen.values().all(|times| *times == 1), "each was told once: {seen:?}");
    assert!(owners.values().all(|owner| *owner == Owner::MAIN));
    let name = Name::Id(config.endpoints[0].id);
    let found = group.store(2).endpoint_get(Owner::MAIN, config.endpoints[0].application, name);
    assert!(found.await.unwrap().is_some());
}
