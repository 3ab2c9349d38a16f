//! Who is asking: the sender's address behind proxies, and the key under which addresses are counted.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// More hops than this are not looked at.
const HOPS_MAX: usize = 64;

/// The address of the sender: the peer, or, if the peer is a trusted proxy, the rightmost address in
/// `X-Forwarded-For` that is not one. What stands left of it was written by the sender and is ignored.
/// An entry that is no address ends the search at the proxy that wrote it.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    if !contains(trusted, client) {
        return client;
    }
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.take(HOPS_MAX) {
        let Some(address) = hop_address(hop) else { return client };
        client = address;
        if !contains(trusted, client) {
            return client;
        }
    }
    client
}

/// Whether any of the networks holds the address.
pub(crate) fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = match bare.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

/// One sender for counting: an IPv4 address, or the 64-bit network that one IPv6 subscriber has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum AddressKey {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let mut network = [0; 8];
                network.copy_from_slice(&address.octets()[..8]);
                Self::V6(network)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn rightmost_untrusted() {
        let proxy = "10.0.0.1";
        let table: &[(&str, &[&str], &str)] = &[
            ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            (proxy, &[], proxy),
            (proxy, &["198.51.100.1"], "198.51.100.1"),
            (proxy, &["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            (proxy, &["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
            (proxy, &["198.51.100.1, 10.0.0.7, 10.9.9.9"], "198.51.100.1"),
            (proxy, &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (proxy, &["198.51.100.1:4711"], "198.51.100.1"),
            (proxy, &["\"[2001:db8::7]:4711\""], "2001:db8::7"),
            (proxy, &["[2001:db8::7]"], "2001:db8::7"),
            (proxy, &["2001:db8::7"], "2001:db8::7"),
            (proxy, &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            (proxy, &["unknown"], proxy),
            (proxy, &["198.51.100.1, _hidden, 10.0.0.2"], "10.0.0.2"),
            (proxy, &[""], proxy),
            (proxy, &["198.51.100.1,"], proxy),
            (proxy, &["127.0.0.1"], "127.0.0.1"),
            (proxy, &["0x7f.1"], proxy),
        ];
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        for (peer, lines, expected) in table {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
            }
            let found = client_address(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }

    #[test]
    fn one_subscriber_is_one_key() {
        let key = |text: &str| AddressKey::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    }
}
