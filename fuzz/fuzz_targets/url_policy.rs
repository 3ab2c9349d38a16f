//! Any text as an endpoint's URL: the public policy never panics and never lets a literal address
//! through that is not globally routable unicast, and what it accepts reads back as itself.

#![no_main]

use std::net::IpAddr;

use becket_egress::policy::{AddressPolicy, DEFAULT_DENIED_PORTS, TargetHost};
use libfuzzer_sys::fuzz_target;

/// A second opinion, from the standard library's predicates.
fn is_plainly_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let inside = v4.is_loopback() || v4.is_private() || v4.is_link_local();
            let special = v4.is_broadcast() || v4.is_documentation() || v4.is_multicast();
            let carrier = a == 100 && (b & 0xc0) == 64;
            let benchmark = a == 198 && (b & 0xfe) == 18;
            !(inside || special || carrier || benchmark || a == 0 || a >= 240)
        }
        IpAddr::V6(v6) => v6.octets()[0] >> 5 == 1 && v6.segments()[0] != 0x2002,
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(raw) = std::str::from_utf8(data) else {
        return;
    };
    let own_hosts = ["hooks.example.net".to_owned()];
    let policy = AddressPolicy::public(&[], &DEFAULT_DENIED_PORTS, &own_hosts, None);
    let Ok(target) = policy.check_url(raw) else {
        return;
    };
    if let TargetHost::Address(address) = target.host() {
        assert!(is_plainly_public(*address), "{raw:?} leads to {address}");
    }
    let again = policy.check_url(&target.to_string());
    assert_eq!(again, Ok(target), "{raw:?} reads back differently");
    // What is public is open to the operator as well.
    assert!(AddressPolicy::operator().check_url(raw).is_ok(), "{raw:?}");
});
