//! Judging addresses by shape: what is not known to be globally routable unicast is refused.
//!
//! The tables follow the IANA special-purpose registries for IPv4 and IPv6 and the documented
//! instance-metadata addresses of the large clouds. Forms that carry an IPv4 address inside
//! (IPv4-mapped, NAT64 with a configured prefix) are unwrapped before they are judged; forms that
//! only tunnels would understand (6to4, Teredo, ISATAP) are refused as such.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

/// What the policy says about an address. Everything but `Allowed` is refused; the reason is for
/// the operator's logs and never shown to the owner of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressVerdict {
    /// May be dialled.
    Allowed,
    /// This machine.
    Loopback,
    /// 0.0.0.0/8 or `::`.
    Unspecified,
    /// A private network (RFC 1918, unique local).
    Private,
    /// Link-local or site-local.
    LinkLocal,
    /// A cloud's instance metadata or its fabric.
    Metadata,
    /// Carrier-grade NAT, 100.64.0.0/10.
    CarrierShared,
    /// Multicast or broadcast.
    Multicast,
    /// An IPv4 address wrapped in a transition form (NAT64, 6to4, Teredo, ISATAP, IPv4-compatible).
    Embedded,
    /// Reserved for documentation, benchmarks, protocols or the future.
    Reserved,
}

impl AddressVerdict {
    /// Whether the address may be dialled.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }

    /// The stable code, for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Loopback => "loopback",
            Self::Unspecified => "unspecified",
            Self::Private => "private",
            Self::LinkLocal => "link_local",
            Self::Metadata => "metadata",
            Self::CarrierShared => "carrier_shared",
            Self::Multicast => "multicast",
            Self::Embedded => "embedded",
            Self::Reserved => "reserved",
        }
    }
}

/// Instance metadata and fabric addresses that a wide `allow_networks` entry never opens.
const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254), // AWS, Google, Azure, DigitalOcean and many more
    Ipv4Addr::new(169, 254, 170, 2),   // AWS ECS task credentials
    Ipv4Addr::new(169, 254, 170, 23),  // AWS EKS pod identity
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
    Ipv4Addr::new(168, 63, 129, 16),   // Azure's fabric, in otherwise public space
];

const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254), // AWS
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023), // AWS EKS pod identity
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254), // Google
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // OpenStack
];

/// The operator reaches any unicast address, loopback and 0.0.0.0 included.
pub(super) fn judge_for_operator(address: IpAddr) -> AddressVerdict {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_multicast() || v4.is_broadcast() => AddressVerdict::Multicast,
        IpAddr::V6(v6) if v6.is_multicast() => AddressVerdict::Multicast,
        _ => AddressVerdict::Allowed,
    }
}

pub(super) fn judge_for_public(
    address: IpAddr,
    allow_networks: &[IpNet],
    nat64_prefix: Option<Ipv6Net>,
) -> AddressVerdict {
    let address = unwrap_embedded(address, nat64_prefix);
    let by_shape = match address {
        IpAddr::V4(v4) => judge_v4(v4),
        IpAddr::V6(v6) => judge_v6(v6),
    };
    let opened = |network: &IpNet| {
        let exact = network.prefix_len() == network.max_prefix_len();
        network.contains(&address) && (exact || by_shape != AddressVerdict::Metadata)
    };
    match by_shape {
        AddressVerdict::Allowed => AddressVerdict::Allowed,
        // Not even an operator's network makes these a destination for TCP.
        AddressVerdict::Multicast => AddressVerdict::Multicast,
        _ if allow_networks.iter().any(opened) => AddressVerdict::Allowed,
        refused => refused,
    }
}

/// IPv4-mapped addresses are the IPv4 address to the kernel; NAT64 addresses are, to the network.
fn unwrap_embedded(address: IpAddr, nat64_prefix: Option<Ipv6Net>) -> IpAddr {
    match (address.to_canonical(), nat64_prefix) {
        (IpAddr::V6(v6), Some(prefix)) if prefix.contains(&v6) => {
            match nat64_embedded(v6, prefix.prefix_len()) {
                Some(v4) => IpAddr::V4(v4),
                None => IpAddr::V6(v6),
            }
        }
        (canonical, _) => canonical,
    }
}

/// RFC 6052, section 2.2: the four octets follow the prefix, skipping octet 8.
fn nat64_embedded(address: Ipv6Addr, prefix_len: u8) -> Option<Ipv4Addr> {
    let o = address.octets();
    let v4 = match prefix_len {
        32 => [o[4], o[5], o[6], o[7]],
        40 => [o[5], o[6], o[7], o[9]],
        48 => [o[6], o[7], o[9], o[10]],
        56 => [o[7], o[9], o[10], o[11]],
        64 => [o[9], o[10], o[11], o[12]],
        96 => [o[12], o[13], o[14], o[15]],
        _ => return None,
    };
    Some(Ipv4Addr::from(v4))
}

fn judge_v4(address: Ipv4Addr) -> AddressVerdict {
    if METADATA_V4.contains(&address) {
        return AddressVerdict::Metadata;
    }
    match address.octets() {
        [0, ..] => AddressVerdict::Unspecified,
        [127, ..] => AddressVerdict::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressVerdict::Private,
        [100, 64..=127, ..] => AddressVerdict::CarrierShared,
        [169, 254, ..] => AddressVerdict::LinkLocal,
        [224..=239, ..] | [255, 255, 255, 255] => AddressVerdict::Multicast,
        // Protocol assignments, 6to4 relays, documentation, benchmarks, the future.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] => AddressVerdict::Reserved,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => AddressVerdict::Reserved,
        [240..=255, ..] => AddressVerdict::Reserved,
        _ => AddressVerdict::Allowed,
    }
}

fn judge_v6(address: Ipv6Addr) -> AddressVerdict {
    if METADATA_V6.contains(&address) {
        return AddressVerdict::Metadata;
    }
    if address.is_loopback() {
        return AddressVerdict::Loopback;
    }
    if address.is_unspecified() {
        return AddressVerdict::Unspecified;
    }
    let segments = address.segments();
    match segments {
        [0xff00..=0xffff, ..] => return AddressVerdict::Multicast,
        [0xfe80..=0xfeff, ..] => return AddressVerdict::LinkLocal,
        [0xfc00..=0xfdff, ..] => return AddressVerdict::Private,
        // IPv4-compatible and SIIT under ::/64, NAT64 under 64:ff9b::/32.
        [0, 0, 0, 0, ..] | [0x64, 0xff9b, ..] => return AddressVerdict::Embedded,
        // 6to4, and Teredo.
        [0x2002, ..] | [0x2001, 0, ..] => return AddressVerdict::Embedded,
        _ => {}
    }
    // An ISATAP interface id carries an IPv4 address that a tunnel router would forward to.
    if matches!(segments[4], 0 | 0x0200) && segments[5] == 0x5efe {
        return AddressVerdict::Embedded;
    }
    match segments {
        // Protocol assignments 2001::/23 and documentation: special blocks inside 2000::/3.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] => AddressVerdict::Reserved,
        [0x3fff, 0..=0x0fff, ..] => AddressVerdict::Reserved,
        [0x2000..=0x3fff, ..] => AddressVerdict::Allowed,
        _ => AddressVerdict::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("a literal address")
    }

    #[test]
    fn nat64_unwraps_every_prefix_length_of_the_specification() {
        // The examples of RFC 6052, section 2.4, all of 192.0.2.33.
        let cases = [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
        ];
        for (prefix, text) in cases {
            let prefix: Ipv6Net = prefix.parse().expect("a prefix");
            let unwrapped = unwrap_embedded(address(text), Some(prefix));
            assert_eq!(unwrapped, address("192.0.2.33"), "{text}");
        }
    }

    #[test]
    fn nat64_with_a_prefix_is_judged_by_the_inside() {
        let prefix: Option<Ipv6Net> = Some("64:ff9b::/96".parse().expect("a prefix"));
        let judge = |text| judge_for_public(address(text), &[], prefix);
        assert_eq!(judge("64:ff9b::808:808"), AddressVerdict::Allowed);
        assert_eq!(judge("64:ff9b::7f00:1"), AddressVerdict::Loopback);
        assert_eq!(judge("64:ff9b::a9fe:a9fe"), AddressVerdict::Metadata);
    }

    #[test]
    fn metadata_opens_only_by_its_exact_address() {
        let metadata = address("169.254.169.254");
        let wide: [IpNet; 2] =
            ["169.254.0.0/16".parse().expect("a network"), "0.0.0.0/0".parse().expect("a network")];
        let exact: [IpNet; 1] = ["169.254.169.254/32".parse().expect("a network")];
        assert_eq!(judge_for_public(metadata, &wide, None), AddressVerdict::Metadata);
        assert_eq!(judge_for_public(metadata, &exact, None), AddressVerdict::Allowed);
        assert_eq!(judge_for_public(address("169.254.1.1"), &wide, None), AddressVerdict::Allowed);
    }

    #[test]
    fn a_mapped_address_is_opened_by_its_ipv4_network() {
        let network: [IpNet; 1] = ["10.0.0.0/8".parse().expect("a network")];
        let judge = |text| judge_for_public(address(text), &network, None);
        assert_eq!(judge("::ffff:10.1.2.3"), AddressVerdict::Allowed);
        assert_eq!(judge("::ffff:11.1.2.3"), AddressVerdict::Allowed);
        assert_eq!(judge("::ffff:192.168.0.1"), AddressVerdict::Private);
    }

    #[test]
    fn the_operator_reaches_every_unicast_address() {
        for text in ["127.0.0.1", "10.0.0.1", "::1", "fe80::1", "0.0.0.0", "8.8.8.8"] {
            assert!(judge_for_operator(address(text)).is_allowed(), "{text}");
        }
        for text in ["224.0.0.1", "255.255.255.255", "ff02::1"] {
            assert!(!judge_for_operator(address(text)).is_allowed(), "{text}");
        }
    }
}
