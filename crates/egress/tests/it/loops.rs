//! Circles between gateways, redirects, and everything else that would lead somewhere unasked.

use becket_egress::headers::HOP;
use becket_egress::policy::AddressPolicy;
use http::HeaderValue;

use crate::support::{
    ScriptedResolver, Server, Step, answer, code, egress, egress_resolving, public, request,
    request_under,
};

#[tokio::test]
async fn no_redirect_is_followed() {
    let inside = Server::start(vec![Step::Request, answer("200 OK", "", "inside")]).await;
    for status in [300, 301, 302, 303, 304, 305, 307, 308] {
        let locations = [
            inside.url("/"),
            "file:///etc/passwd".to_owned(),
            "/same".to_owned(),
            "http://169.254.169.254/".to_owned(),
        ];
        for location in locations {
            let headers = format!("location: {location}\r\nlink: <{location}>; rel=next\r\n");
            let status_line = format!("{status} Elsewhere");
            let server =
                Server::start(vec![Step::Request, answer(&status_line, &headers, "")]).await;
            let outcome = egress().send(request(&server.url("/hook"))).await;
            assert_eq!(outcome.status, Some(status), "{location}");
            assert_eq!(outcome.error, None);
            assert!(!outcome.is_success());
            assert_eq!(server.connection_count(), 1);
            assert!(outcome.headers.iter().any(|(name, _)| name == "location"));
        }
    }
    assert_eq!(inside.connection_count(), 0);
}

#[tokio::test]
async fn alternative_services_are_ignored() {
    let other = Server::start(vec![Step::Request, answer("200 OK", "", "")]).await;
    let headers = format!(
        "alt-svc: h3=\":{port}\", h2=\":{port}\"; ma=3600\r\nrefresh: 0; url=http://{}/\r\n",
        other.address,
        port = other.address.port()
    );
    let server = Server::start(vec![Step::Request, answer("200 OK", &headers, "")]).await;
    let egress = egress();
    for _ in 0..2 {
        let outcome = egress.send(request(&server.url("/"))).await;
        assert_eq!(outcome.status, Some(200));
    }
    assert_eq!(server.connection_count(), 2);
    assert_eq!(other.connection_count(), 0);
}

#[tokio::test]
async fn an_event_that_goes_in_circles_is_stopped() {
    let server = Server::start(vec![Step::Request, answer("200 OK", "", "")]).await;
    let cases = [("1", 200), ("5", 200), ("6", 0), ("4294967296", 0)];
    for (hops, status) in cases {
        let mut request = request(&server.url("/"));
        request.headers.insert(HOP, HeaderValue::from_static(hops));
        let outcome = egress().send(request).await;
        assert_eq!(outcome.status.unwrap_or(0), status, "{hops}");
        if status == 0 {
            assert_eq!(code(&outcome), "loop_detected", "{hops}");
        }
    }
    assert_eq!(server.connection_count(), 2);
}

#[tokio::test]
async fn a_target_saved_under_another_policy_is_checked_again() {
    let cases = [
        ("http://hooks.example.net/in/a", "loop_detected"),
        ("http://127.0.0.1:8080/", "address_refused"),
        ("http://example.com:22/", "address_refused"),
        ("http://vault.internal/", "address_refused"),
    ];
    for (url, expected) in cases {
        let mut request = request_under(AddressPolicy::operator(), url);
        request.policy = std::sync::Arc::new(public(&[]));
        let outcome = egress_resolving(ScriptedResolver::new()).send(request).await;
        assert_eq!(code(&outcome), expected, "{url}");
        assert_eq!(outcome.remote_address, None);
    }
}
