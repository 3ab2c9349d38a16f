//! Kept, refreshed, waited for, limited.

use std::sync::Arc;

use becket_keys::{FetchOutcome, KeyTrouble};
use becket_model::ApplicationKey;

use crate::support::{World, set};

const SOURCE: ApplicationKey = ApplicationKey(1);
const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn many_who_ask_at_once_cause_one_fetch() {
    let world = World::new().await;
    world.answer(Some((200, &set("a"))));
    let request = world.request("/keys?secret=1");
    let asking = (0..50).map(|_| {
        let (fetcher, request) = (world.fetcher.clone(), request.clone());
        tokio::spawn(async move { fetcher.keys(SOURCE, &request).await })
    });
    let asking: Vec<_> = asking.collect();
    for one in asking {
        assert!(one.await.expect("no task panics").is_ok());
    }
    assert_eq!(world.asked(), 1);
    assert!(world.fetcher.kept(&request).is_some());
    let told = world.told.all();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, FetchOutcome::Fetched);
    assert!(told[0].2.ends_with("/keys"), "without the query: {}", told[0].2);
}

#[tokio::test]
async fn whoever_goes_away_does_not_end_the_fetch_for_the_others() {
    let world = World::new().await;
    world.answer(Some((200, &set("a"))));
    let request = world.request("/keys");
    let impatient = tokio::time::timeout(
        std::time::Duration::from_millis(5),
        world.fetcher.keys(SOURCE, &request),
    );
    assert!(impatient.await.is_err());
    assert!(world.fetcher.keys(SOURCE, &request).await.is_ok());
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn old_keys_serve_while_their_refresh_fails_and_no_longer_than_a_day() {
    let world = World::new().await;
    let request = world.request("/keys");
    world.answer(Some((200, &set("a"))));
    let first = world.fetcher.keys(SOURCE, &request).await.expect("they are there");
    world.clock.advance(HOUR_MS);
    world.answer(Some((500, "")));
    let old = world.fetcher.keys(SOURCE, &request).await.expect("the old ones serve");
    assert!(Arc::ptr_eq(&first, &old));
    assert_eq!(world.asked(), 2);
    world.fetcher.keys(SOURCE, &request).await.expect("and at once");
    assert_eq!(world.asked(), 2);

    world.answer(Some((200, &set("b"))));
    world.clock.advance(2_000);
    let fresh = world.fetcher.keys(SOURCE, &request).await.expect("they are there");
    assert!(!Arc::ptr_eq(&first, &fresh));
    world.answer(None);
    world.clock.advance(25 * HOUR_MS);
    let gone = world.fetcher.keys(SOURCE, &request).await.expect_err("too old");
    assert!(matches!(gone, KeyTrouble::Unavailable { .. }), "{gone}");
    assert!(gone.retry_after_s() >= 1);
}

#[tokio::test]
async fn what_is_no_set_of_keys_is_an_outage_with_a_reason() {
    let world = World::new().await;
    for (answer, code) in [
        (Some((200, "<html>".to_owned())), "unreadable"),
        (Some((200, "x".repeat(70_000))), "too_large"),
        (Some((404, String::new())), "status"),
        (Some((301, String::new())), "status"),
    ] {
        world.answer(answer.as_ref().map(|(status, body)| (*status, body.as_str())));
        let trouble = world.fetcher.keys(SOURCE, &world.request("/keys")).await;
        let trouble = trouble.expect_err("no keys");
        assert_eq!(trouble.code(), code);
        world.clock.advance(60_000);
    }
    let mut plain = world.request("/keys");
    plain.url = format!("http://{}/keys", world.address);
    assert_eq!(world.fetcher.keys(SOURCE, &plain).await.expect_err("not https").code(), "url");
}

#[tokio::test]
async fn a_source_causes_a_bounded_number_of_fetches_and_does_not_hinder_others() {
    let world = World::new().await;
    world.answer(Some((200, &set("a"))));
    let mut limited = 0;
    for number in 0..30 {
        let request = world.request(&format!("/keys/{number}"));
        if let Err(trouble) = world.fetcher.keys(SOURCE, &request).await {
            assert_eq!(trouble.code(), "limited");
            limited += 1;
        }
    }
    assert_eq!((world.asked(), limited), (20, 10));
    assert!(world.fetcher.keys(SOURCE, &world.request("/keys/0")).await.is_ok(), "it is kept");
    let other = ApplicationKey(2);
    assert!(world.fetcher.keys(other, &world.request("/keys/29")).await.is_ok());
    world.clock.advance(60_000);
    assert!(world.fetcher.keys(SOURCE, &world.request("/keys/28")).await.is_ok());
}

#[tokio::test]
async fn a_visit_is_content_with_success_only() {
    let world = World::new().await;
    world.answer(Some((200, "<ok/>")));
    let url = format!("https://{}/confirm?token=1", world.address);
    assert_eq!(world.fetcher.visit(SOURCE, &url).await, Ok(()));
    world.answer(Some((403, "")));
    assert!(world.fetcher.visit(SOURCE, &url).await.is_err());
    let plain = format!("http://{}/confirm", world.address);
    assert!(world.fetcher.visit(SOURCE, &plain).await.is_err());
    assert_eq!(world.asked(), 2);
    let outcomes: Vec<_> = world.told.all().into_iter().map(|told| told.0).collect();
    let (visited, failed) = (FetchOutcome::Visited, FetchOutcome::VisitFailed);
    assert_eq!(outcomes, [visited, failed, failed]);
}
