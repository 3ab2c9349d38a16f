//! The table of URLs that must be refused at save, and of those that must not be.

use becket_egress::policy::{AddressPolicy, TargetHost, TargetRefused};

use crate::support::public;

use TargetRefused::{
    AddressNotAllowed as Addr, Backslash, ControlCharacter as Control, Fragment,
    InternalName as Name, Malformed, OwnHost, PortNotAllowed as Port, SchemeNotAllowed as Scheme,
    TooLong, UserInfo,
};

/// Loopback in all its spellings: numbers, dots, full-width and enclosed digits, IPv6 wrappings.
const LOOPBACK: &[(&str, TargetRefused)] = &[
    ("http://127.0.0.1", Addr),
    ("http://127.0.0.1:8080/hook", Addr),
    ("https://127.0.0.1/", Addr),
    ("http://127.1", Addr),
    ("http://127.0.1", Addr),
    ("http://2130706433", Addr),
    ("http://0x7f000001", Addr),
    ("http://0x7f.0.0.1", Addr),
    ("http://0177.0.0.1", Addr),
    ("http://017700000001", Addr),
    ("http://0", Addr),
    ("http://0x", Addr),
    ("http://0.0.0.0", Addr),
    ("http://127.0.0.1.", Addr),
    ("http://127.255.255.254", Addr),
    ("http://①②⑦.⓪.⓪.①", Addr),
    ("http://127。0。0。1", Addr),
    ("http://１２７.0.0.1", Addr),
    ("http://[::1]", Addr),
    ("http://[::]", Addr),
    ("http://[0:0:0:0:0:0:0:1]", Addr),
    ("http://[::ffff:127.0.0.1]", Addr),
    ("http://[::ffff:7f00:1]", Addr),
    ("http://[::127.0.0.1]", Addr),
    ("http://[::ffff:0:127.0.0.1]", Addr),
    ("http://[64:ff9b::7f00:1]", Addr),
    ("http://[64:ff9b::169.254.169.254]", Addr),
    ("http://[64:ff9b:1::a9fe:a9fe]", Addr),
    ("http://[2002:7f00:1::]", Addr),
    ("http://[2001:0:7f00:1::]", Addr),
    ("http://[fe80::5efe:7f00:1]", Addr),
    ("http://[2a00:1450::5efe:7f00:1]", Addr),
    ("http://[2a00:1450::200:5efe:a00:1]", Addr),
];

/// Special-purpose networks, at their edges, and metadata services.
const SPECIAL_NETWORKS: &[(&str, TargetRefused)] = &[
    ("http://[fe80::1]", Addr),
    ("http://[febf::1]", Addr),
    ("http://[fec0::1]", Addr),
    ("http://[fc00::1]", Addr),
    ("http://[fd00:ec2::254]", Addr),
    ("http://[ff02::1]", Addr),
    ("http://[100::1]", Addr),
    ("http://[2001:db8::1]", Addr),
    ("http://[3fff::1]", Addr),
    ("http://[3fff:fff::1]", Addr),
    ("http://[5f00::1]", Addr),
    ("http://[2001:2::1]", Addr),
    ("http://[2001:10::1]", Addr),
    ("http://[2001:20::1]", Addr),
    ("http://[2001:1ff::1]", Addr),
    ("http://[4000::1]", Addr),
    ("http://[1fff::1]", Addr),
    ("http://169.254.169.254/latest/meta-data/", Addr),
    ("http://0xa9fea9fe", Addr),
    ("http://2852039166", Addr),
    ("http://0251.0376.0251.0376", Addr),
    ("http://169.254.43518", Addr),
    ("http://[::ffff:a9fe:a9fe]", Addr),
    ("http://[::a9fe:a9fe]", Addr),
    ("http://100.100.100.200", Addr),
    ("http://100.64.0.1", Addr),
    ("http://100.127.255.254", Addr),
    ("http://192.0.0.192", Addr),
    ("http://192.0.0.1", Addr),
    ("http://168.63.129.16", Addr),
    ("http://10.0.0.1", Addr),
    ("http://10.255.255.255", Addr),
    ("http://172.16.0.1", Addr),
    ("http://172.31.255.255", Addr),
    ("http://192.168.0.1", Addr),
    ("http://198.18.0.1", Addr),
    ("http://198.19.255.255", Addr),
    ("http://192.88.99.1", Addr),
    ("http://240.0.0.1", Addr),
    ("http://255.255.255.255", Addr),
    ("http://224.0.0.1", Addr),
    ("http://239.255.255.255", Addr),
    ("http://192.0.2.1", Addr),
    ("http://198.51.100.1", Addr),
    ("http://203.0.113.1", Addr),
    ("http://0.1.2.3", Addr),
];

/// Text that parsers read differently, and schemes, ports and credentials. Refused under the
/// operator's policy too, but for the last group.
const MALFORMED: &[(&str, TargetRefused)] = &[
    ("http://%31%32%37.0.0.1", Malformed),
    ("http://[fe80::1%25eth0]/", Malformed),
    ("http://[fe80::1%eth0]/", Malformed),
    ("http://user@127.0.0.1", UserInfo),
    ("http://user:password@example.com/", UserInfo),
    ("http://example.com@127.0.0.1", UserInfo),
    ("http://example.com%2f@127.0.0.1", UserInfo),
    ("http://@example.com/", UserInfo),
    ("http://example.com:80@127.0.0.1/", UserInfo),
    ("http://127.0.0.1#@example.com", Fragment),
    ("http://example.com/#@127.0.0.1", Fragment),
    (r"http://example.com\@127.0.0.1", Backslash),
    (r"http://127.0.0.1:80\@example.com", Backslash),
    (r"http:\\127.0.0.1", Backslash),
    (r"http:/\127.0.0.1", Backslash),
    (r"http://example.com\.evil.test/", Backslash),
    ("http:127.0.0.1", Malformed),
    ("http:/127.0.0.1", Malformed),
    ("http:///127.0.0.1", Malformed),
    ("http:////example.com", Malformed),
    ("http://", Malformed),
    ("http://?query", Malformed),
    ("http://:80/", Malformed),
    ("http://exa\tmple.com/", Control),
    ("http://exa\nmple.com/", Control),
    ("ht\ntp://example.com/", Control),
    ("http://example.com/a\r\nHost: 127.0.0.1", Control),
    ("http://example.com/?a\r\nb", Control),
    ("http://example.com/\0", Control),
    ("http://example.com/\u{7f}", Control),
    ("http://example.com/\u{85}", Control),
    (" http://example.com/", Control),
    ("http://example.com/ ", Control),
    ("http://exam ple.com/", Control),
    ("http://example.com/a b", Control),
    ("http://example.com\u{a0}/", Control),
    ("http://example.com\u{3000}/", Control),
    ("http://example.com:65536/", Malformed),
    ("http://example.com:99999999999/", Malformed),
    ("http://example.com:-1/", Malformed),
    ("http://example.com:8o/", Malformed),
    ("http://example.com:0/", Port),
    ("http://exa<mple.com/", Malformed),
    ("http://exa|mple.com/", Malformed),
    ("http://exam^ple.com/", Malformed),
    ("http://example..com/", Malformed),
    ("http://.example.com/", Malformed),
    ("http://example.com../", Malformed),
    ("http://[::1", Malformed),
    ("http://::1/", Malformed),
    ("http://[1.2.3.4]/", Malformed),
    ("http://1.2.3.4.5/", Malformed),
    ("http://256.0.0.1/", Malformed),
    ("http://0x100000000/", Malformed),
    ("http://xn--/", Malformed),
    ("file:///etc/passwd", Scheme),
    ("ftp://example.com/", Scheme),
    ("gopher://127.0.0.1:25/", Scheme),
    ("unix:/var/run/docker.sock", Scheme),
    ("http+unix://%2Fvar%2Frun%2Fdocker.sock/", Scheme),
    ("data:text/plain,hello", Scheme),
    ("jar:http://example.com/a.jar!/b", Scheme),
    ("ws://example.com/", Scheme),
    ("javascript:alert(1)", Scheme),
    ("//example.com/", Scheme),
    ("example.com/hook", Scheme),
    ("example.com:443/hook", Scheme),
    ("", Scheme),
];

/// Names that mean the inside, and what disguises them.
const INTERNAL_NAMES: &[(&str, TargetRefused)] = &[
    ("http://localhost", Name),
    ("http://localhost.", Name),
    ("http://LOCALHOST", Name),
    ("http://LocalHost:8080/", Name),
    ("http://foo.localhost", Name),
    ("http://localhost.localdomain", Name),
    ("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", Name),
    ("http://loc\u{ad}alhost", Name),
    ("http://local\u{200b}host", Name),
    ("http://instance-data/latest/", Name),
    ("http://kubernetes", Name),
    ("http://kubernetes.default.svc", Name),
    ("http://kubernetes.default.svc.cluster.local", Name),
    ("http://printer.local", Name),
    ("http://vault.internal", Name),
    ("http://router.home.arpa", Name),
    ("http://host.docker.internal", Name),
    ("http://metadata.google.internal", Name),
    ("http://metadata.google.internal.", Name),
    ("http://intranet.corp", Name),
    ("http://nas.lan", Name),
    ("http://1.0.0.127.in-addr.arpa", Name),
    ("http://hooks.example.net/in/abc", OwnHost),
    ("https://HOOKS.example.net./in/abc", OwnHost),
    ("http://hooks.example.net:8443/", OwnHost),
];

const DENIED_PORTS: [u16; 24] = [
    22, 25, 53, 110, 143, 445, 465, 587, 993, 995, 2375, 2376, 2379, 3306, 3389, 5432, 5984, 6379,
    6443, 8500, 9200, 10250, 11211, 27017,
];

#[test]
fn every_hostile_url_is_refused_for_its_own_reason() {
    let policy = public(&[]);
    let tables = [LOOPBACK, SPECIAL_NETWORKS, MALFORMED, INTERNAL_NAMES];
    let mut wrong = Vec::new();
    for (url, expected) in tables.into_iter().flatten() {
        match policy.check_url(url) {
            Err(refused) if refused == *expected => {}
            other => wrong.push(format!("{url:?}: {other:?} instead of {expected:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let count = tables.iter().map(|table| table.len()).sum::<usize>();
    assert!(count + DENIED_PORTS.len() >= 150, "only {count} cases");
}

#[test]
fn ports_of_other_protocols_are_refused() {
    let policy = public(&[]);
    for port in DENIED_PORTS {
        let url = format!("http://example.com:{port}/");
        assert_eq!(policy.check_url(&url), Err(Port), "{url}");
        let url = format!("https://93.184.216.34:{port}/");
        assert_eq!(policy.check_url(&url), Err(Port), "{url}");
    }
    assert_eq!(policy.check_url("http://example.com:1023/"), Err(Port));
}

#[test]
fn a_url_has_a_longest_length() {
    let policy = public(&[]);
    let long = |len: usize| format!("http://example.com/{}", "a".repeat(len - 19));
    assert!(policy.check_url(&long(8 * 1024)).is_ok());
    assert_eq!(policy.check_url(&long(8 * 1024 + 1)), Err(TooLong));
    let label = "a".repeat(64);
    assert_eq!(policy.check_url(&format!("http://{label}.example.com/")), Err(Malformed));
    let name = format!("{}com", "a.".repeat(130));
    assert_eq!(policy.check_url(&format!("http://{name}/")), Err(Malformed));
}

#[test]
fn public_targets_are_allowed() {
    let policy = public(&[]);
    let cases = [
        ("http://example.com", "example.com", 80, "/"),
        ("HTTPS://Example.COM/Hook?A=b", "example.com", 443, "/Hook?A=b"),
        ("https://example.com:443/", "example.com", 443, "/"),
        ("http://example.com:8080/x", "example.com", 8080, "/x"),
        ("https://example.com:65535/x", "example.com", 65535, "/x"),
        ("https://93.184.216.34/hook", "93.184.216.34", 443, "/hook"),
        ("http://1.1.1.1:1024/", "1.1.1.1", 1024, "/"),
        ("https://9.255.255.255/", "9.255.255.255", 443, "/"),
        ("https://11.0.0.0/", "11.0.0.0", 443, "/"),
        ("https://172.15.255.255/", "172.15.255.255", 443, "/"),
        ("https://172.32.0.0/", "172.32.0.0", 443, "/"),
        ("https://100.63.255.255/", "100.63.255.255", 443, "/"),
        ("https://100.128.0.0/", "100.128.0.0", 443, "/"),
        ("https://223.255.255.255/", "223.255.255.255", 443, "/"),
        ("https://[2606:2800:220:1::1]/a", "2606:2800:220:1::1", 443, "/a"),
        ("https://[2001:4860:4860::8888]/", "2001:4860:4860::8888", 443, "/"),
        ("https://[2001:200::1]/", "2001:200::1", 443, "/"),
        ("https://[::ffff:1.1.1.1]/", "1.1.1.1", 443, "/"),
        ("https://xn--bcher-kva.example.com/", "xn--bcher-kva.example.com", 443, "/"),
        ("https://bücher.example.com/", "xn--bcher-kva.example.com", 443, "/"),
        ("https://a_b.example.com/", "a_b.example.com", 443, "/"),
        ("https://example.com./", "example.com.", 443, "/"),
        ("https://example.com/%0d%0aX:y?a=%0d%0a", "example.com", 443, "/%0d%0aX:y?a=%0d%0a"),
        ("https://example.com/a@b?c=d@e", "example.com", 443, "/a@b?c=d@e"),
        ("https://example.com?q", "example.com", 443, "/?q"),
        ("https://example.com/ü?{|}`^", "example.com", 443, "/%C3%BC?{|}`^"),
        ("https://localhost.example.com/", "localhost.example.com", 443, "/"),
        ("https://mylocal.example.org/../up", "mylocal.example.org", 443, "/up"),
        ("https://thehome.arpa.example.org/", "thehome.arpa.example.org", 443, "/"),
    ];
    for (url, host, port, path) in cases {
        let target =
            policy.check_url(url).unwrap_or_else(|refused| panic!("{url}: {}", refused.code()));
        assert_eq!(target.host().to_string(), host, "{url}");
        assert_eq!(target.port(), port, "{url}");
        assert_eq!(target.path_and_query().as_str(), path, "{url}");
    }
}

#[test]
fn the_host_header_is_the_urls() {
    let policy = AddressPolicy::operator();
    let cases = [
        ("http://example.com:80/", "example.com"),
        ("https://example.com:8443/", "example.com:8443"),
        ("http://[::1]:3000/", "[::1]:3000"),
        ("http://[::1]/", "[::1]"),
        ("http://EXAMPLE.com/", "example.com"),
    ];
    for (url, expected) in cases {
        let target = policy.check_url(url).expect("allowed for the operator");
        assert_eq!(target.host_header(), expected, "{url}");
    }
}

#[test]
fn the_operator_reaches_private_places_but_writes_proper_urls() {
    let policy = AddressPolicy::operator();
    for (url, expected) in MALFORMED {
        assert_eq!(policy.check_url(url), Err(*expected), "{url:?}");
    }
    for (url, _) in LOOPBACK.iter().chain(INTERNAL_NAMES) {
        assert!(policy.check_url(url).is_ok(), "{url:?}");
    }
    for url in [
        "http://10.1.2.3:22/",
        "http://app:3000/hook",
        "http://[fd00::1]:6379/",
        "http://169.254.169.254/",
    ] {
        assert!(policy.check_url(url).is_ok(), "{url:?}");
    }
    assert_eq!(policy.check_url("http://224.0.0.1/"), Err(Addr));
}

#[test]
fn opened_networks_are_reachable_and_nothing_beside_them() {
    let policy = public(&["10.0.0.0/8", "fd00::/8", "127.0.0.2/32"]);
    for url in ["http://10.9.8.7:8080/", "http://[fd12::1]/", "http://127.0.0.2/"] {
        assert!(policy.check_url(url).is_ok(), "{url}");
    }
    for url in [
        "http://192.168.0.1/",
        "http://127.0.0.1/",
        "http://[fc00::1]/",
        // Inside fd00::/8, but a metadata service is opened only by its own address.
        "http://[fd00:ec2::254]/",
    ] {
        assert_eq!(policy.check_url(url), Err(Addr), "{url}");
    }
}

#[test]
fn blocked_targets_have_one_public_text_and_code() {
    let policy = public(&[]);
    let blocked = [
        "http://127.0.0.1/",
        "http://10.0.0.1/",
        "http://kubernetes/",
        "http://vault.internal/",
        "http://example.com:22/",
    ];
    for url in blocked {
        let refused = policy.check_url(url).expect_err("a blocked target");
        assert_eq!(refused.public_code(), "url_blocked", "{url}");
        assert_eq!(refused.to_string(), Addr.public_text(), "{url}");
    }
}

#[test]
fn a_mapped_literal_becomes_the_address_that_is_dialled() {
    let target = public(&[]).check_url("http://[::ffff:1.1.1.1]/").expect("a public address");
    assert_eq!(*target.host(), TargetHost::Address("1.1.1.1".parse().expect("a literal address")));
}

#[test]
fn nat64_is_refused_unless_its_prefix_is_configured() {
    let prefix = "64:ff9b::/96".parse().expect("a prefix");
    let with_prefix = AddressPolicy::public(&[], &[], &[], Some(prefix));
    let url = "http://[64:ff9b::808:808]/";
    assert_eq!(public(&[]).check_url(url), Err(Addr));
    assert!(with_prefix.check_url(url).is_ok());
    assert_eq!(with_prefix.check_url("http://[64:ff9b::7f00:1]/"), Err(Addr));
    assert_eq!(with_prefix.check_url("http://[64:ff9b::a9fe:a9fe]/"), Err(Addr));
}
