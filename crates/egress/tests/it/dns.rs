//! Names: what they resolve to is checked in full, at every connection.

use std::sync::atomic::Ordering::SeqCst;

use becket_egress::policy::AddressPolicy;
use becket_egress::{Resolve, ResolveError, SystemResolver};
use tokio::net::TcpListener;

use crate::support::{
    ScriptedResolver, Server, Step, code, egress_resolving, ok, public, request_under,
};

/// Sends to `http://victim.example.com:PORT/` under the public policy and gives the error's code.
async fn refused_as(resolver: ScriptedResolver) -> &'static str {
    let egress = egress_resolving(resolver);
    let request = request_under(public(&[]), "http://victim.example.com:8080/");
    let outcome = egress.send(request).await;
    assert_eq!(outcome.status, None);
    code(&outcome)
}

#[tokio::test]
async fn names_that_lead_inside_are_refused_whatever_the_answer_looks_like() {
    let answers: &[&[&str]] = &[
        &["127.0.0.1"],
        &["10.1.2.3"],
        &["169.254.169.254"],
        &["0.0.0.0"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["fd00:ec2::254"],
        &["64:ff9b::7f00:1"],
        &["2002:7f00:1::"],
        &["fe80::1"],
        // Mixed answers, the private one first, last and in the middle.
        &["127.0.0.1", "93.184.216.34"],
        &["93.184.216.34", "127.0.0.1"],
        &["93.184.216.34", "2606:2800:220:1::1", "::1"],
        &["2606:2800:220:1::1", "10.0.0.1", "93.184.216.34"],
    ];
    for addresses in answers {
        let resolver = ScriptedResolver::new().answer("victim.example.com", addresses);
        assert_eq!(refused_as(resolver).await, "address_refused", "{addresses:?}");
    }
}

#[tokio::test]
async fn public_names_of_private_addresses_pass_the_save_and_fail_the_send() {
    for name in ["127.0.0.1.nip.io", "localtest.me", "cname.example.com"] {
        let egress = egress_resolving(ScriptedResolver::new().answer(name, &["127.0.0.1"]));
        let request = request_under(public(&[]), &format!("https://{name}/"));
        assert_eq!(code(&egress.send(request.clone()).await), "address_refused", "{name}");
        // Keys and certificates are fetched through the same door.
        assert_eq!(code(&egress.fetch(request).await), "address_refused", "{name}");
    }
}

#[tokio::test]
async fn five_hundred_good_addresses_do_not_hide_a_bad_one() {
    let mut addresses = vec!["93.184.216.34"; 499];
    addresses.push("192.168.1.1");
    let resolver = ScriptedResolver::new().answer("victim.example.com", &addresses);
    assert_eq!(refused_as(resolver).await, "address_refused");
}

#[tokio::test]
async fn rebinding_is_caught_on_the_next_connection() {
    let listener = TcpListener::bind("127.0.0.2:0").await.expect("a loopback port");
    let server = Server::serve(listener, vec![vec![Step::Request, ok()]]);
    let inside = Server::start(vec![Step::Request, ok()]).await;
    let resolver = ScriptedResolver::new()
        .answer("rebind.example.com", &["127.0.0.2"])
        .answer("rebind.example.com", &["127.0.0.1"]);
    let egress = egress_resolving(resolver);
    let url = format!("http://rebind.example.com:{}/", server.address.port());
    let policy = public(&["127.0.0.2/32"]);
    let first = egress.send(request_under(policy.clone(), &url)).await;
    assert_eq!(first.status, Some(200), "{first:?}");
    assert_eq!(first.remote_address, Some(server.address));
    // The server closed the connection, so the name is resolved again.
    let second = egress.send(request_under(policy, &url)).await;
    assert_eq!(code(&second), "address_refused");
    assert_eq!(second.remote_address, None);
    assert_eq!(inside.connections.load(SeqCst), 0);
}

#[tokio::test]
async fn a_policy_that_became_stricter_does_not_reuse_the_connection() {
    let server = Server::start(vec![Step::Request, ok(), Step::Request, ok(), Step::Hang]).await;
    let resolver = ScriptedResolver::new().answer("app.example.com", &["127.0.0.1"]);
    let egress = egress_resolving(resolver);
    let url = format!("http://app.example.com:{}/", server.address.port());
    let first = egress.send(request_under(public(&["127.0.0.0/8"]), &url)).await;
    assert_eq!(first.status, Some(200));
    let second = egress.send(request_under(public(&[]), &url)).await;
    assert_eq!(code(&second), "address_refused");
    assert_eq!(server.request_texts().len(), 1);
}

#[tokio::test]
async fn failures_of_the_name_servers_have_their_own_codes() {
    let name = "victim.example.com";
    let failed = ResolveError::Failed("SERVFAIL".to_owned());
    let cases = [
        (ScriptedResolver::new(), "dns_not_found"),
        (ScriptedResolver::new().answer(name, &[]), "dns_not_found"),
        (ScriptedResolver::new().fail(name, ResolveError::NotFound), "dns_not_found"),
        (ScriptedResolver::new().fail(name, failed), "dns_failed"),
        (ScriptedResolver::new().fail(name, ResolveError::Timeout), "dns_timeout"),
        (ScriptedResolver::new().answer(name, &["93.184.216.34"]).delayed(5_000), "dns_timeout"),
    ];
    for (resolver, expected) in cases {
        assert_eq!(refused_as(resolver).await, expected);
    }
}

#[tokio::test]
async fn a_dead_address_does_not_hide_a_living_one() {
    let server = Server::start(vec![Step::Request, ok()]).await;
    // Nothing listens on that port of 127.0.0.3, nor on IPv6.
    let resolver =
        ScriptedResolver::new().answer("app.example.com", &["127.0.0.3", "::1", "127.0.0.1"]);
    let egress = egress_resolving(resolver);
    let url = format!("http://app.example.com:{}/", server.address.port());
    let outcome = egress.send(request_under(AddressPolicy::operator(), &url)).await;
    assert_eq!(outcome.status, Some(200), "{outcome:?}");
    assert_eq!(outcome.remote_address, Some(server.address));
    assert!(outcome.timings.connect_us > 0);
}

#[tokio::test]
async fn the_system_resolver_reads_the_hosts_file() {
    let resolver = SystemResolver::new();
    let addresses = resolver.resolve("localhost").await.expect("localhost has an address");
    assert!(!addresses.is_empty());
    assert!(addresses.iter().all(|address| address.is_loopback()), "{addresses:?}");
}
