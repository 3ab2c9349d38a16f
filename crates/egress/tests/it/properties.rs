//! Properties of the URL policy over generated text, judged by a second, independent reading.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use becket_egress::headers;
use becket_egress::policy::TargetHost;
use proptest::prelude::*;

use crate::support::public;

/// Written with the standard library's predicates and not with the policy's tables.
fn is_plainly_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_unspecified()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (b & 0xc0) == 64)
                || (a == 198 && (b & 0xfe) == 18))
        }
        IpAddr::V6(v6) => v6.octets()[0] >> 5 == 1 && v6.segments()[0] != 0x2002,
    }
}

/// Pieces from which hostile URLs are made.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "http://",
            "https://",
            "http:",
            "HTTP://",
            "//",
            "/",
            "\\",
            "@",
            "#",
            "?",
            ":",
            "[",
            "]",
            ".",
            "%",
            "%31",
            "%00",
            "0x",
            "0x7f",
            "0177",
            "127",
            "0",
            "1",
            "2130706433",
            "::",
            "ffff",
            "64:ff9b::",
            "2002:",
            "fe80::1",
            "localhost",
            "example.com",
            "①",
            "１",
            "。",
            "ⓛ",
            "\u{ad}",
            "\u{200b}",
            "\t",
            "\r\n",
            " ",
            "xn--",
            "a",
            "-",
            ":80",
            ":22",
            ":0",
            ":99999",
        ])
        .prop_map(str::to_owned),
        any::<u32>().prop_map(|number| number.to_string()),
        any::<u32>().prop_map(|number| Ipv4Addr::from(number).to_string()),
        any::<u128>().prop_map(|number| format!("[{}]", Ipv6Addr::from(number))),
        any::<char>().prop_map(String::from),
    ]
}

/// Every spelling of an IPv4 address that the URL parser understands.
fn spellings(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let number = u32::from(address);
    let (low16, low24) = (number & 0xffff, number & 0x00ff_ffff);
    let (high, low) = (number >> 16, number & 0xffff);
    let wide: String = address
        .to_string()
        .chars()
        .map(|c| match c.to_digit(10) {
            Some(digit) => char::from_u32(0xff10 + digit).unwrap_or(c),
            None => '。',
        })
        .collect();
    vec![
        address.to_string(),
        format!("{address}."),
        number.to_string(),
        format!("{number:#x}"),
        format!("0{number:o}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a}.{low24}"),
        format!("{a}.{b}.{low16}"),
        format!("{a}.0{b:o}.{low16:#x}"),
        wide,
        format!("[::ffff:{address}]"),
        format!("[::ffff:{high:x}:{low:x}]"),
        format!("[::{address}]"),
        format!("[64:ff9b::{address}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_panics_or_leads_inside(pieces in prop::collection::vec(piece(), 0..12)) {
        let raw = pieces.concat();
        for raw in [raw.clone(), format!("http://{raw}")] {
            if let Ok(target) = public(&[]).check_url(&raw) {
                prop_assert!(!target.host_header().is_empty());
                if let TargetHost::Address(address) = target.host() {
                    prop_assert!(is_plainly_public(*address), "{raw:?} gave {address}");
                }
            }
        }
    }

    #[test]
    fn what_is_printed_is_read_as_the_same_target(pieces in prop::collection::vec(piece(), 1..8)) {
        let raw = format!("http://{}", pieces.concat());
        if let Ok(target) = public(&[]).check_url(&raw) {
            let again = public(&[]).check_url(&target.to_string());
            prop_assert_eq!(again, Ok(target));
        }
    }

    #[test]
    fn a_private_address_is_refused_in_every_spelling(
        (base, mask) in prop::sample::select(vec![
            ([127, 0, 0, 0], 8), ([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16),
            ([169, 254, 0, 0], 16), ([100, 64, 0, 0], 10), ([0, 0, 0, 0], 8), ([198, 18, 0, 0], 15),
            ([224, 0, 0, 0], 4), ([240, 0, 0, 0], 4),
        ]),
        low in any::<u32>(),
    ) {
        let base = u32::from(Ipv4Addr::from(base));
        let address = Ipv4Addr::from(base | (low & (u32::MAX >> mask)));
        for spelling in spellings(address) {
            let url = format!("http://{spelling}/");
            prop_assert!(public(&[]).check_url(&url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_address_is_allowed_only_if_it_is_plainly_public(number in any::<u128>(), v4 in any::<u32>()) {
        for address in [IpAddr::V6(Ipv6Addr::from(number)), IpAddr::V4(Ipv4Addr::from(v4))] {
            if public(&[]).check_address(address).is_allowed() {
                prop_assert!(is_plainly_public(address), "{address}");
            }
        }
    }

    #[test]
    fn custom_headers_never_break_a_message(name in ".{0,20}", value in ".{0,40}") {
        if let Ok((name, value)) = headers::validate_custom(&name, &value) {
            prop_assert!(!name.as_str().starts_with(':'));
            let hostile = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
            prop_assert!(!value.as_bytes().iter().any(hostile));
        }
    }
}
