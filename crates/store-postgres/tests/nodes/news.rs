//! What nodes hear of each other.

use becket_store::cluster::News;
use tokio::sync::broadcast::Receiver;

use super::*;

/// Waits for news of a kind; what else comes is passed over.
async fn heard(news: &mut Receiver<News>, mut wanted: impl FnMut(&News) -> bool) -> News {
    let heard = async {
        loop {
            let one = news.recv().await.expect("the store is open");
            if wanted(&one) {
                return one;
            }
        }
    };
    tokio::time::timeout(SOON, heard).await.expect("it was heard")
}

async fn listening(group: &Group, node: usize) -> Receiver<News> {
    let mut news = group.cluster(node).news();
    heard(&mut news, |news| *news == News::Reconnected).await;
    news
}

#[tokio::test]
async fn a_wake_arrives_at_the_other_nodes() {
    let group = Group::new(3, 2).await;
    let mut listeners = Vec::new();
    for node in 0..3 {
        listeners.push(group.cluster(node).news());
    }
    group.join_all().await;
    for news in &mut listeners {
        heard(news, |news| *news == News::Reconnected).await;
    }
    // Nobody in these tests looks by itself: what is heard was told.
    group.cluster(0).wake(&[EndpointKey(7), EndpointKey(5)]);
    let wanted = News::Wake(vec![EndpointKey(5), EndpointKey(7)]);
    for news in &mut listeners[1..] {
        heard(news, |news| *news == wanted).await;
    }
    // Many calls become few messages, and nobody hears itself.
    for key in 0..3_000 {
        group.cluster(0).wake(&[EndpointKey(1_000_000 + key)]);
    }
    let mut messages = 0;
    loop {
        let news = heard(&mut listeners[1], |news| matches!(news, News::Wake(_))).await;
        messages += 1;
        assert!(messages < 20, "throttled");
        let News::Wake(keys) = news else { continue };
        if keys.is_empty() || keys.contains(&EndpointKey(1_002_999)) {
            break;
        }
    }
    while let Ok(news) = listeners[0].try_recv() {
        assert!(!matches!(news, News::Wake(_)), "{news:?}");
    }
}

#[tokio::test]
async fn changes_of_the_configuration_are_told() {
    let group = Group::new(2, 1).await;
    let mut news = listening(&group, 1).await;
    group.store(0).config_declare(Owner::MAIN, Vec::new(), T0 + 1).await.unwrap();
    heard(&mut news, |news| *news == News::Changed).await;
    group.join(0).await;
    heard(&mut news, |news| *news == News::Nodes).await;
}

#[tokio::test]
async fn who_may_have_missed_something_is_told() {
    let group = Group::new(2, 1).await;
    let mut news = listening(&group, 1).await;
    for _ in 0..3 {
        let ended = group.schema.query(&format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND query = 'LISTEN \"becket:{}\"'",
            group.schema.name
        ));
        assert_ne!(ended, ["0"], "there is a session that listens");
        heard(&mut news, |news| *news == News::Reconnected).await;
    }
    group.store(0).config_declare(Owner::MAIN, Vec::new(), T0 + 1).await.unwrap();
    heard(&mut news, |news| *news == News::Changed).await;
}

#[tokio::test]
async fn schemas_do_not_hear_each_other() {
    let (group, other) = (Group::new(2, 1).await, Group::new(1, 1).await);
    let mut news = listening(&group, 1).await;
    let mut others = listening(&other, 0).await;
    group.store(0).config_declare(Owner::MAIN, Vec::new(), T0 + 1).await.unwrap();
    heard(&mut news, |news| *news == News::Changed).await;
    assert!(others.try_recv().is_err());
}
