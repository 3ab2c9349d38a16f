//! What each service is sent, against the shapes that its documentation gives.

use std::time::Duration;

use becket_egress::action::Action as _;
use becket_egress::{Acted, RetryAfter};
use becket_notify::{Notifier, To};
use http::HeaderValue;
use serde_json::{Value, json};

use crate::support::{Receiver, delivery, notifier, settings};

const HOSTILE: &str =
    "<!channel> & *bold* _it_ `x` ~s~ @everyone [a](http://evil.example) snake_case #1";

async fn told(to: impl Fn(String) -> To, text: Option<&str>, body: &Value) -> Value {
    let receiver = Receiver::start(&["200 OK"]).await;
    let mut settings = settings(to(receiver.url("/hook")));
    settings.text = text.map(str::to_owned);
    let outcome = notifier(settings).act(delivery("msg_1", "order.paid", body)).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let (head, message) = receiver.requests().remove(0);
    assert!(head.starts_with("post /hook http/1.1"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    message
}

/// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks> and
/// <https://docs.slack.dev/reference/block-kit/blocks/section-block>.
#[tokio::test]
async fn slack_gets_blocks_with_a_text_for_notifications() {
    let message = told(To::Slack, Some("*Order* {{body.note}}"), &json!({ "note": HOSTILE })).await;
    assert_eq!(message["text"], "order.paid from shop");
    let blocks = message["blocks"].as_array().expect("blocks");
    assert_eq!(
        blocks[0],
        json!({ "type": "header", "text": { "type": "plain_text", "text": "order.paid from shop", "emoji": false } })
    );
    assert_eq!(blocks[1]["type"], "section");
    assert_eq!(blocks[1]["text"]["type"], "mrkdwn");
    assert_eq!(
        blocks[1]["text"]["text"],
        "*Order* &lt;!channel&gt; &amp; *\u{200b}bold\u{200b}* _\u{200b}it\u{200b}_ `\u{200b}x\u{200b}` \
         ~\u{200b}s\u{200b}~ @everyone [a](http://evil.example) snake_case #1"
    );
    assert_eq!(blocks[2]["type"], "context");
    assert!(blocks[2]["elements"][0]["text"].as_str().is_some_and(|text| text.contains("msg_1")));
}

/// <https://docs.discord.com/developers/resources/webhook#execute-webhook>.
#[tokio::test]
async fn discord_gets_an_embed_that_mentions_nobody() {
    let message =
        told(To::Discord, Some("**Order** {{body.note}}"), &json!({ "note": HOSTILE })).await;
    assert_eq!(message["allowed_mentions"], json!({ "parse": [] }));
    assert_eq!(message["embeds"].as_array().map(Vec::len), Some(1));
    let embed = &message["embeds"][0];
    assert_eq!(embed["title"], "order.paid from shop");
    let text = embed["description"].as_str().expect("a description");
    assert!(
        text.starts_with(
            r"**Order** \<!channel\> & \*bold\* \_it\_ \`x\` \~s\~ \@everyone \[a\]\(http\://evil.example\) snake\_case \#1"
        ),
        "{text}"
    );
    assert!(message.get("content").is_none());
}

/// <https://support.microsoft.com/office/create-incoming-webhooks-with-workflows-for-microsoft-teams>
/// and <https://adaptivecards.io/explorer/RichTextBlock.html>.
#[tokio::test]
async fn teams_gets_an_adaptive_card() {
    let message = told(To::Teams, Some("Order\n{{body.note}}"), &json!({ "note": HOSTILE })).await;
    assert_eq!(message["type"], "message");
    let attachment = &message["attachments"][0];
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(attachment["contentUrl"], Value::Null);
    let card = &attachment["content"];
    assert_eq!(
        (card["type"].as_str(), card["version"].as_str()),
        (Some("AdaptiveCard"), Some("1.4"))
    );
    let body = card["body"].as_array().expect("a body");
    let texts: Vec<&str> =
        body.iter().filter_map(|block| block["inlines"][0]["text"].as_str()).collect();
    assert_eq!(texts, ["order.paid from shop", "Order", HOSTILE, "becket events show msg_1"]);
    assert!(body.iter().all(|block| block["type"] == "RichTextBlock"));
}

#[tokio::test]
async fn others_get_a_text() {
    let message = told(To::Text, Some("{{body.note}} @here"), &json!({ "note": HOSTILE })).await;
    let text = message["text"].as_str().expect("a text");
    assert!(text.starts_with("order.paid from shop\n<\u{200b}!channel> & *bold*"), "{text}");
    // What the operator writes is meant; what an event says is not obeyed.
    assert!(text.contains("@\u{200b}everyone") && text.contains(" @here\n"), "{text}");
    assert_eq!(message.as_object().map(serde_json::Map::len), Some(1));
}

#[tokio::test]
async fn messages_keep_to_the_limits_of_their_services() {
    let long = "äöü 🎉 & ".repeat(40_000);
    let body = json!({ "note": long });
    let text = Some("{{body.note}} {{body.note}} {{body.note}}");
    let utf16 = |text: &Value| text.as_str().expect("a text").encode_utf16().count();
    let slack = told(To::Slack, text, &body).await;
    assert!(utf16(&slack["blocks"][1]["text"]["text"]) <= 3_000);
    assert!(slack["blocks"][1]["text"]["text"].as_str().is_some_and(|text| text.ends_with('…')));
    let discord = told(To::Discord, text, &body).await;
    assert!(utf16(&discord["embeds"][0]["description"]) <= 4_096);
    let teams = told(To::Teams, Some("{{body.note}}\n{{body.note}}\n{{body.note}}"), &body).await;
    assert!(teams.to_string().len() <= 28_000);
    let other = told(To::Text, text, &body).await;
    assert!(utf16(&other["text"]) <= 4_000);
    let mut settings = settings(To::Slack("https://slack.example/".to_owned()));
    settings.title = Some("{{body.note}}".to_owned());
    drop(notifier(settings));
}

#[tokio::test]
async fn known_senders_are_told_in_their_words() {
    let receiver = Receiver::start(&["200 OK"]).await;
    let mut settings = settings(To::Slack(receiver.url("/hook")));
    settings.digest = Duration::ZERO;
    settings.public_url = Some("https://hooks.example.com/".to_owned());
    let notifier = notifier(settings);
    let body = json!({
        "action": "opened", "number": 7, "sender": { "login": "alice" },
        "repository": { "full_name": "acme/app" },
        "pull_request": { "title": "Fix <script>", "html_url": "https://github.com/acme/app/pull/7" },
    });
    let mut request = delivery("msg_2", "pull_request", &body);
    request.headers.insert("x-github-event", HeaderValue::from_static("pull_request"));
    assert!(notifier.act(request).await.is_success());
    let message = receiver.bodies().remove(0);
    assert_eq!(
        message["blocks"][1]["text"]["text"],
        "alice opened pull request #7 of acme/app\nFix &lt;script&gt;\nhttps://github.com/acme/app/pull/7"
    );
}

#[tokio::test]
async fn alerts_bring_their_words_along() {
    let receiver = Receiver::start(&["200 OK"]).await;
    let notifier = notifier(settings(To::Discord(receiver.url("/hook"))));
    let body = json!({ "data": { "title": "Endpoint `app` is failing", "text": "Look at it." } });
    let mut request = delivery("msg_3", "endpoint.failing", &body);
    request.source = "becket-alerts".to_owned();
    assert!(notifier.act(request).await.is_success());
    let embed = &receiver.bodies()[0]["embeds"][0];
    assert_eq!(embed["title"], "Endpoint \\`app\\` is failing");
    assert!(embed["description"].as_str().is_some_and(|text| text.starts_with("Look at it.\n\n")));
}

#[tokio::test]
async fn a_service_that_wants_a_pause_gets_one() {
    let receiver = Receiver::start(&["429 Too Many Requests\r\nretry-after: 2", "200 OK"]).await;
    let notifier = notifier(settings(To::Slack(receiver.url("/hook"))));
    let outcome = notifier.act(delivery("msg_1", "a", &json!({}))).await;
    assert_eq!((outcome.status, outcome.retry_after), (Some(429), Some(RetryAfter::Seconds(2))));
    let later = notifier.act(delivery("msg_2", "a", &json!({}))).await;
    assert_eq!(later.acted, Some(Acted::NotReady));
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    let again = ActionAgain(&notifier);
    assert!(again.act("msg_1").await.is_success());
    let done = again.act("msg_2").await;
    assert_eq!(done.acted, Some(Acted::Done), "{done:?}");
    let last = receiver.bodies().pop().expect("a message");
    assert_eq!(last["blocks"][0]["text"]["text"], "2 events from shop in a second");
    assert_eq!(
        last["blocks"][1]["text"]["text"].as_str().map(|text| text.starts_with("2 × a")),
        Some(true)
    );
}

/// Deliveries that come back.
struct ActionAgain<'n>(&'n Notifier);

impl ActionAgain<'_> {
    async fn act(&self, id: &str) -> becket_egress::AttemptOutcome {
        let mut request = delivery(id, "a", &json!({}));
        request.attempt = 2;
        self.0.act(request).await
    }
}

#[tokio::test]
async fn slack_is_told_at_most_once_a_second() {
    let receiver = Receiver::start(&["200 OK"]).await;
    let mut settings = settings(To::Slack(receiver.url("/hook")));
    settings.digest = Duration::ZERO;
    let notifier = notifier(settings);
    let begun = std::time::Instant::now();
    for number in 0..3 {
        assert!(
            notifier.act(delivery(&format!("msg_{number}"), "a", &json!({}))).await.is_success()
        );
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(receiver.bodies().len(), 3);
}

#[tokio::test]
async fn outcomes_and_errors_hide_the_address() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let notifier = notifier(settings(To::Slack(format!("http://{address}/services/topsecret"))));
    let outcome = notifier.act(delivery("msg_1", "a", &json!({}))).await;
    assert!(!outcome.is_success());
    assert!(!format!("{outcome:?} {}", outcome.note).contains("topsecret"));
    let wrong = Notifier::new(
        settings(To::Slack("https://user:topsecret@slack.example/".to_owned())),
        std::sync::Arc::new(becket_egress::EgressConfig::default),
    );
    let error = wrong.err().expect("credentials in a URL are refused").to_string();
    assert!(!error.contains("topsecret"), "{error}");
    assert!(
        !format!("{:?}", settings(To::Slack("https://a/topsecret".to_owned())))
            .contains("topsecret")
    );
}
