//! Floating-point numbers as JavaScript, PHP and Python print them.
//!
//! Invariant: all three print the shortest digits that read back as the same number, and of two that are
//! equally near the even one. The crate ryu yields these (the standard library rounds such ties up); what
//! differs is where the point and the exponent go, which is all that is written here. Checked against the
//! three interpreters and the table of RFC 8785, appendix B.

use std::fmt::Write;

/// Whose layout is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `Number.prototype.toString`, which RFC 8785 demands.
    JavaScript,
    /// `json_encode` with `serialize_precision = -1`; `fraction` keeps `.0` on whole floats.
    Php { fraction: bool },
    /// `float.__repr__`.
    Python,
}

/// Prints a JSON number again; `None` when the language has no number for it.
pub(super) fn print(text: &str, layout: Layout) -> Option<String> {
    let whole = !text.contains(['.', 'e', 'E']);
    match layout {
        // Integers have one zero; Python's are unbounded, PHP's have 64 bits.
        Layout::Python | Layout::Php { .. } if text == "-0" => Some("0".to_owned()),
        Layout::Python if whole => Some(text.to_owned()),
        Layout::Php { .. } if whole && text.parse::<i64>().is_ok() => Some(text.to_owned()),
        _ => {
            let value: f64 = text.parse().ok()?;
            value.is_finite().then(|| float(value, layout))
        }
    }
}

fn float(value: f64, layout: Layout) -> String {
    let (digits, point) = shortest_digits(value.abs());
    let mut text = String::with_capacity(32);
    if value.is_sign_negative() && !(value == 0.0 && layout == Layout::JavaScript) {
        text.push('-');
    }
    let plain = match layout {
        Layout::JavaScript => -6 < point && point <= 21,
        Layout::Php { .. } => -4 < point && point <= 17,
        Layout::Python => -4 < point && point <= 16,
    };
    if plain {
        push_plain(&mut text, &digits, point, layout);
    } else {
        push_exponent(&mut text, &digits, point - 1, layout);
    }
    text
}

/// The digits without zeros at either end, and where the point stands, counted in digits from the left
/// (between -323 and 309). Zero is one digit before the point.
fn shortest_digits(value: f64) -> (String, i32) {
    let mut buffer = ryu::Buffer::new();
    let printed = buffer.format_finite(value);
    let (mantissa, exponent) = printed.split_once('e').unwrap_or((printed, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return ("0".to_owned(), 1);
    }
    let leading = i32::try_from(digits.len() - significant.len()).unwrap_or_default();
    let point = i32::try_from(whole.len()).unwrap_or_default() + exponent - leading;
    (significant.trim_end_matches('0').to_owned(), point)
}

fn push_plain(text: &mut String, digits: &str, point: i32, layout: Layout) {
    match usize::try_from(point) {
        Ok(before) if before >= digits.len() => {
            text.push_str(digits);
            text.extend(std::iter::repeat_n('0', before - digits.len()));
            if matches!(layout, Layout::Python | Layout::Php { fraction: true }) {
                text.push_str(".0");
            }
        }
        Ok(before) => {
            let (whole, fraction) = digits.split_at(before);
            text.push_str(if whole.is_empty() { "0" } else { whole });
            text.push('.');
            text.push_str(fraction);
        }
        Err(_) => {
            text.push_str("0.");
            text.extend((point..0).map(|_| '0'));
            text.push_str(digits);
        }
    }
}

fn push_exponent(text: &mut String, digits: &str, exponent: i32, layout: Layout) {
    let (first, rest) = digits.split_at(1.min(digits.len()));
    text.push_str(first);
    if !rest.is_empty() {
        text.push('.');
        text.push_str(rest);
    } else if matches!(layout, Layout::Php { .. }) {
        text.push_str(".0");
    }
    text.push('e');
    text.push(if exponent < 0 { '-' } else { '+' });
    let width = if layout == Layout::Python { 2 } else { 1 };
    // Writing to a String cannot fail.
    let _ = write!(text, "{:0width$}", exponent.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text, and what Node 20.20.2, Python 3.11.7 and PHP 8.2.36 print for it.
    const PRINTED: &[(&str, &str, &str, &str)] = &[
        ("0", "0", "0", "0"),
        ("-0", "0", "0", "0"),
        ("1", "1", "1", "1"),
        ("1.0", "1", "1.0", "1"),
        ("-1.50", "-1.5", "-1.5", "-1.5"),
        ("10", "10", "10", "10"),
        ("10.0", "10", "10.0", "10"),
        ("100000000000000000000", "100000000000000000000", "100000000000000000000", "1.0e+20"),
        ("1e20", "100000000000000000000", "1e+20", "1.0e+20"),
        ("1e21", "1e+21", "1e+21", "1.0e+21"),
        ("1e22", "1e+22", "1e+22", "1.0e+22"),
        (
            "123456789012345678901234567890",
            "1.2345678901234568e+29",
            "123456789012345678901234567890",
            "1.2345678901234568e+29",
        ),
        ("1e-5", "0.00001", "1e-05", "1.0e-5"),
        ("1e-4", "0.0001", "0.0001", "0.0001"),
        ("0.0001", "0.0001", "0.0001", "0.0001"),
        ("0.00001", "0.00001", "1e-05", "1.0e-5"),
        ("0.000123", "0.000123", "0.000123", "0.000123"),
        ("1.5e-6", "0.0000015", "1.5e-06", "1.5e-6"),
        ("1e-6", "0.000001", "1e-06", "1.0e-6"),
        ("1e-7", "1e-7", "1e-07", "1.0e-7"),
        ("1.5e-7", "1.5e-7", "1.5e-07", "1.5e-7"),
        ("9007199254740993", "9007199254740992", "9007199254740993", "9007199254740993"),
        (
            "9223372036854775807",
            "9223372036854776000",
            "9223372036854775807",
            "9223372036854775807",
        ),
        (
            "9223372036854775808",
            "9223372036854776000",
            "9223372036854775808",
            "9.223372036854776e+18",
        ),
        (
            "-9223372036854775808",
            "-9223372036854776000",
            "-9223372036854775808",
            "-9223372036854775808",
        ),
        (
            "-9223372036854775809",
            "-9223372036854776000",
            "-9223372036854775809",
            "-9.223372036854776e+18",
        ),
        ("1e15", "1000000000000000", "1000000000000000.0", "1000000000000000"),
        ("1e16", "10000000000000000", "1e+16", "10000000000000000"),
        ("1e17", "100000000000000000", "1e+17", "1.0e+17"),
        ("1e18", "1000000000000000000", "1e+18", "1.0e+18"),
        ("123456789012345680", "123456789012345680", "123456789012345680", "123456789012345680"),
        (
            "1234567890123456789",
            "1234567890123456800",
            "1234567890123456789",
            "1234567890123456789",
        ),
        ("12345678901234567.0", "12345678901234568", "1.2345678901234568e+16", "12345678901234568"),
        ("99999999999999990.0", "99999999999999980", "9.999999999999998e+16", "99999999999999980"),
        ("0.1", "0.1", "0.1", "0.1"),
        (
            "0.30000000000000004",
            "0.30000000000000004",
            "0.30000000000000004",
            "0.30000000000000004",
        ),
        ("3.14", "3.14", "3.14", "3.14"),
        ("5e-324", "5e-324", "5e-324", "5.0e-324"),
        (
            "1.7976931348623157e308",
            "1.7976931348623157e+308",
            "1.7976931348623157e+308",
            "1.7976931348623157e+308",
        ),
        (
            "2.2250738585072014e-308",
            "2.2250738585072014e-308",
            "2.2250738585072014e-308",
            "2.2250738585072014e-308",
        ),
        ("100.0", "100", "100.0", "100"),
        ("1E2", "100", "100.0", "100"),
        ("1.0e+2", "100", "100.0", "100"),
        ("-0.0", "0", "-0.0", "-0"),
        ("-0e5", "0", "-0.0", "-0"),
        ("4.35", "4.35", "4.35", "4.35"),
        ("333333333.33333329", "333333333.3333333", "333333333.3333333", "333333333.3333333"),
        ("1E30", "1e+30", "1e+30", "1.0e+30"),
        ("4.50", "4.5", "4.5", "4.5"),
        ("2e-3", "0.002", "0.002", "0.002"),
        ("0.000000000000000000000000001", "1e-27", "1e-27", "1.0e-27"),
        ("9007199254740992.0", "9007199254740992", "9007199254740992.0", "9007199254740992"),
        (
            "295147905179352830000",
            "295147905179352830000",
            "295147905179352830000",
            "2.9514790517935283e+20",
        ),
        ("1.234e-10", "1.234e-10", "1.234e-10", "1.234e-10"),
        ("1.0e-10", "1e-10", "1e-10", "1.0e-10"),
        ("123.456e5", "12345600", "12345600.0", "12345600"),
        ("1e100", "1e+100", "1e+100", "1.0e+100"),
        ("-1e-100", "-1e-100", "-1e-100", "-1.0e-100"),
        ("1.1e17", "110000000000000000", "1.1e+17", "1.1e+17"),
        (
            "12345678901234567890.5",
            "12345678901234567000",
            "1.2345678901234567e+19",
            "1.2345678901234567e+19",
        ),
    ];

    #[test]
    fn numbers_are_printed_as_the_interpreters_do() {
        for (text, javascript, python, php) in PRINTED {
            let print = |layout| print(text, layout).expect("a number");
            assert_eq!(print(Layout::JavaScript), *javascript, "{text}");
            assert_eq!(print(Layout::Python), *python, "{text}");
            assert_eq!(print(Layout::Php { fraction: false }), *php, "{text}");
        }
        for (text, php) in [("1.0", "1.0"), ("-0.0", "-0.0"), ("1e25", "1.0e+25"), ("7", "7")] {
            assert_eq!(print(text, Layout::Php { fraction: true }).as_deref(), Some(php));
        }
        assert_eq!(print("1e999", Layout::JavaScript), None);
    }

    /// RFC 8785, appendix B: the bits of a number and its only text.
    #[test]
    fn the_table_of_rfc_8785() {
        for (bits, text) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(float(f64::from_bits(bits), Layout::JavaScript), text);
        }
    }
}
