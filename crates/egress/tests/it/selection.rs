//! Which headers travel on, which do not, and what users may set.

use becket_egress::headers::{
    ForwardOptions, HeaderRefused, SenderWebhookHeaders, forwardable, forwardable_with, hop_count,
    standard_webhooks, validate_custom,
};
use becket_signature::standard_webhooks::SigningKey;
use http::HeaderMap;

fn pairs<'a>(headers: &'a [(&'a str, &'a str)]) -> Vec<(&'a str, &'a [u8])> {
    headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect()
}

fn texts(map: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> = map
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_github_delivery_keeps_what_its_sdk_needs() {
    let sent = [
        ("Host", "hooks.example.net"),
        ("User-Agent", "GitHub-Hookshot/abc"),
        ("Content-Length", "100"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "gzip"),
        ("Content-Type", "application/json"),
        ("Content-Encoding", "identity"),
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", "72d3162e"),
        ("X-Hub-Signature-256", "sha256=abc"),
        ("Authorization", "Bearer proof"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Proto", "https"),
        ("X-Real-IP", "1.2.3.4"),
        ("Forwarded", "for=1.2.3.4"),
        ("Via", "1.1 proxy"),
        ("Cookie", "session=1"),
        ("Proxy-Authorization", "Basic x"),
    ];
    let expected = [
        "accept: */*",
        "authorization: Bearer proof",
        "becket-hop: 1",
        "content-encoding: identity",
        "content-type: application/json",
        "user-agent: GitHub-Hookshot/abc",
        "x-github-delivery: 72d3162e",
        "x-github-event: push",
        "x-hub-signature-256: sha256=abc",
    ];
    assert_eq!(texts(&forwardable(pairs(&sent))), expected);
}

#[test]
fn what_connection_names_is_dropped() {
    let sent = [
        ("Connection", "keep-alive, X-Private"),
        ("connection", "X-Other"),
        ("Keep-Alive", "timeout=5"),
        ("X-Private", "1"),
        ("x-other", "2"),
        ("x-kept", "3"),
        ("TE", "trailers"),
        ("Trailer", "x-sum"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABk"),
        ("Expect", "100-continue"),
    ];
    assert_eq!(texts(&forwardable(pairs(&sent))), ["becket-hop: 1", "x-kept: 3"]);
}

#[test]
fn the_senders_standard_webhooks_headers_travel_beside_ours() {
    let sent = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1700000000"),
        ("webhook-signature", "v1,abc"),
        ("svix-id", "msg_1"),
        ("becket-original-webhook-id", "forged"),
        ("becket-event", "forged"),
    ];
    let expected = [
        "becket-hop: 1",
        "becket-original-webhook-id: msg_1",
        "becket-original-webhook-signature: v1,abc",
        "becket-original-webhook-timestamp: 1700000000",
        "svix-id: msg_1",
    ];
    assert_eq!(texts(&forwardable(pairs(&sent))), expected);
    let options =
        ForwardOptions { webhook_headers: SenderWebhookHeaders::Kept, ..ForwardOptions::default() };
    let kept = forwardable_with(pairs(&sent), options);
    assert_eq!(kept["webhook-signature"], "v1,abc");
    assert!(!kept.contains_key("becket-original-webhook-id"));
}

#[test]
fn authorization_can_be_left_behind() {
    let options = ForwardOptions { keep_authorization: false, ..ForwardOptions::default() };
    let map = forwardable_with(pairs(&[("Authorization", "Basic x")]), options);
    assert_eq!(texts(&map), ["becket-hop: 1"]);
}

#[test]
fn repeated_and_odd_values_are_kept_and_impossible_ones_dropped() {
    let sent: [(&str, &[u8]); 5] = [
        ("x-tag", b"a"),
        ("X-Tag", b"b"),
        ("x-raw", b"caf\xe9"),
        ("x-bad", b"a\r\nx: y"),
        ("bad name", b"x"),
    ];
    let map = forwardable(sent);
    let tags: Vec<&[u8]> = map.get_all("x-tag").iter().map(|v| v.as_bytes()).collect();
    assert_eq!(tags, [b"a", b"b"]);
    assert_eq!(map["x-raw"].as_bytes(), b"caf\xe9");
    assert_eq!(map.len(), 4);
}

#[test]
fn hops_are_counted_over_all_values() {
    let cases: [(&[(&str, &str)], u32); 6] = [
        (&[], 1),
        (&[("becket-hop", "1")], 2),
        (&[("Becket-Hop", "3"), ("becket-hop", "2")], 4),
        (&[("becket-hop", "nonsense")], 1),
        (&[("becket-hop", "-1")], 1),
        (&[("becket-hop", "99999999999999999999")], u32::MAX),
    ];
    for (sent, expected) in cases {
        assert_eq!(hop_count(&forwardable(pairs(sent))), expected, "{sent:?}");
    }
}

#[test]
fn custom_headers_are_checked() {
    let refused = [
        ("host", "x", HeaderRefused::Connection),
        ("Content-Length", "1", HeaderRefused::Connection),
        ("transfer-encoding", "chunked", HeaderRefused::Connection),
        ("Connection", "close", HeaderRefused::Connection),
        ("keep-alive", "x", HeaderRefused::Connection),
        ("Upgrade", "x", HeaderRefused::Connection),
        ("TE", "x", HeaderRefused::Connection),
        ("trailer", "x", HeaderRefused::Connection),
        ("expect", "100-continue", HeaderRefused::Connection),
        ("Proxy-Authorization", "x", HeaderRefused::Connection),
        ("proxy-connection", "x", HeaderRefused::Connection),
        ("webhook-id", "x", HeaderRefused::Reserved),
        ("Webhook-Signature", "x", HeaderRefused::Reserved),
        ("webhook-anything", "x", HeaderRefused::Reserved),
        ("becket-hop", "0", HeaderRefused::Reserved),
        (":path", "/", HeaderRefused::NameInvalid),
        ("", "x", HeaderRefused::NameInvalid),
        ("a b", "x", HeaderRefused::NameInvalid),
        ("a:b", "x", HeaderRefused::NameInvalid),
        ("x\r\ny", "x", HeaderRefused::NameInvalid),
        ("x-é", "x", HeaderRefused::NameInvalid),
        ("x-a", "a\r\nHost: b", HeaderRefused::ValueInvalid),
        ("x-a", "a\nb", HeaderRefused::ValueInvalid),
        ("x-a", "a\rb", HeaderRefused::ValueInvalid),
        ("x-a", "a\0b", HeaderRefused::ValueInvalid),
        ("x-a", "a\u{7f}b", HeaderRefused::ValueInvalid),
    ];
    for (name, value, expected) in refused {
        assert_eq!(validate_custom(name, value), Err(expected), "{name:?}: {value:?}");
    }
    let long = "x".repeat(8 * 1024 + 1);
    assert_eq!(validate_custom("x-a", &long), Err(HeaderRefused::ValueTooLong));
    for (name, value) in [
        ("Authorization", "Bearer abc"),
        ("X-Tenant", "42"),
        ("x-empty", ""),
        ("x-text", "grüße\tda"),
        ("user-agent", "mine/1"),
        ("x-webhook-id", "fine"),
    ] {
        let (checked, kept) = validate_custom(name, value).expect("allowed");
        assert_eq!(checked.as_str(), name.to_ascii_lowercase());
        assert_eq!(kept.as_bytes(), value.as_bytes());
    }
}

#[test]
fn our_own_headers_are_signed() {
    let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a key");
    let keys = [key.clone(), key];
    let headers = standard_webhooks(
        &keys,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        b"{\"test\": 2432232314}",
    );
    let named: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")))
        .collect();
    // The example of the specification's reference libraries.
    let one = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let both = format!("{one} {one}");
    let expected = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", both.as_str()),
    ];
    assert_eq!(named, expected);
    let odd = standard_webhooks(&keys, "a.b\r\nc é", 0, b"");
    assert_eq!(odd[0].1, "a_b__c__");
}
