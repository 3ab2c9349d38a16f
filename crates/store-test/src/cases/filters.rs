//! Endpoints with filters: what planning leaves out, and that the reason stays with the event.

use std::sync::Arc;

use becket_filter::Filter;
use becket_model::{EndpointKey, EndpointSettings, EndpointState, FilteredBy, PlanTarget};
use becket_store::accept::{Handoff, plan_and_accept};
use becket_store::{LeasedDelivery, Owner};

use crate::Place;
use crate::fixture::{MAIN, T0, Wishes, World, endpoint_of, event};

/// An engine that has no room: everything waits in the store.
struct NoRoom;

impl Handoff for NoRoom {
    fn reserve(&self, _: EndpointKey) -> bool {
        false
    }

    fn cancel(&self, _: EndpointKey) {}

    fn hand_over(&self, delivery: LeasedDelivery) {
        panic!("{:?} was not reserved", delivery.key);
    }

    fn wake(&self, _: EndpointKey) {}
}

fn filtered(url: &str, filter: &str) -> EndpointSettings {
    EndpointSettings {
        filter: Some(Filter::parse(filter).unwrap()),
        ..EndpointSettings::for_url(url)
    }
}

/// An endpoint whose filter refuses an event gets no delivery; clause and value stay with the event
/// until its payload is removed, and somebody may still send it there.
pub async fn filtered_endpoints_get_no_delivery(place: Place) {
    let mut world = World::new(place).await;
    let settings = [
        filtered("https://example.com/a1", r#"{"body": {"ref": "refs/heads/main"}}"#),
        EndpointSettings::for_url("https://example.com/a2"),
        filtered("https://example.com/a3", r#"{"body": {"ref": {"$endsWith": "/dev"}}}"#),
    ];
    let targets: Vec<_> = (world.a.iter().zip(&settings))
        .map(|(key, settings)| PlanTarget { key: *key, state: EndpointState::Enabled, settings })
        .collect();
    let accept = event(world.alpha, T0).typed("push").body(br#"{"ref": "refs/heads/dev"}"#);
    let accepted =
        plan_and_accept(Arc::clone(&world.store), Arc::new(NoRoom), MAIN, accept, &targets);
    let id = accepted.await.unwrap().event();
    let mut expected = FilteredBy {
        endpoint: world.a[0],
        clause: "body.ref".to_owned(),
        expected: r#""refs/heads/main""#.to_owned(),
        found: r#""refs/heads/dev""#.to_owned(),
    };
    let planned = async |world: &World| {
        let row = world.row(id).await;
        let to: Vec<_> = row.deliveries.iter().map(|delivery| delivery.endpoint).collect();
        (to, row.labels.filtered)
    };
    let without_first = world.a[1..].to_vec();
    assert_eq!(planned(&world).await, (without_first.clone(), vec![expected.clone()]));
    assert!(world.lease(world.a[0], T0 + 1).await.is_empty(), "nothing waits for it");
    // In an older part of the store, and after a crash.
    for at in 0..8 {
        world.store_event(event(world.beta, T0 + 100 + at)).await;
    }
    assert_eq!(planned(&world).await, (without_first.clone(), vec![expected.clone()]));
    if world.reopen().await {
        assert_eq!(planned(&world).await, (without_first, vec![expected.clone()]));
        assert!(world.store.event_expunge(MAIN, id, T0 + 200).await.unwrap());
        expected.found = String::new();
        assert_eq!(planned(&world).await.1, vec![expected], "what was found is payload");
        let replayed = world.store.delivery_replay(MAIN, id, vec![world.a[0]], T0 + 300).await;
        assert_eq!(replayed.unwrap().map(|all| all.len()), Some(1), "by hand it goes there");
    }
}

/// A filter is kept with its endpoint as it was written.
pub async fn filters_are_kept(place: Place) {
    let mut world = World::new(place).await;
    let text = r#"{"body": {"b": 1.0, "a": {"$in": ["x", null]}}, "$or": [{"method": "PUT"}]}"#;
    let settings = filtered("https://example.com/a1", text);
    let config = world.store.config_list(Owner::MAIN).await.unwrap();
    let endpoint = endpoint_of(&config, "a1");
    let edit = endpoint.edit(endpoint.uid.clone(), settings.clone());
    world.store.endpoint_change(Owner::MAIN, endpoint.id, edit, T0 + 1).await.unwrap();
    let kept = async |world: &World| {
        let config = world.store.config_list(Owner::MAIN).await.unwrap();
        endpoint_of(&config, "a1").settings.filter.clone()
    };
    assert_eq!(kept(&world).await, settings.filter);
    if world.reopen().await {
        let filter = kept(&world).await.expect("it has one");
        assert_eq!(serde_json::to_string(&filter).unwrap().replace(' ', ""), text.replace(' ', ""));
    }
}
