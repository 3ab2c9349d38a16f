//! Just enough DER to take a public key out of its wrapping.
//!
//! Invariants: no recursion, no allocation before the result, every length is checked against what is there.

pub(crate) const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// What kind of key a SubjectPublicKeyInfo says that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpkiAlgorithm {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// The algorithm of a SubjectPublicKeyInfo; `None` when it is another, or the wrapping is broken.
pub(crate) fn spki_algorithm(der: &[u8]) -> Option<SpkiAlgorithm> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    const CURVE_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    const CURVE_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
    const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    let (outer, _) = element(der, SEQUENCE)?;
    let (algorithm, _) = element(outer, SEQUENCE)?;
    let (kind, parameters) = element(algorithm, OBJECT_IDENTIFIER)?;
    match kind {
        RSA => Some(SpkiAlgorithm::Rsa),
        ED25519 => Some(SpkiAlgorithm::Ed25519),
        EC => match element(parameters, OBJECT_IDENTIFIER)?.0 {
            CURVE_P256 => Some(SpkiAlgorithm::P256),
            CURVE_P384 => Some(SpkiAlgorithm::P384),
            _ => None,
        },
        _ => None,
    }
}

/// The key inside a SubjectPublicKeyInfo, whatever its algorithm; the caller checks the length.
pub(crate) fn spki_key(der: &[u8]) -> Option<Vec<u8>> {
    let (outer, rest) = element(der, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let (_algorithm, after) = element(outer, SEQUENCE)?;
    let (bits, rest) = element(after, BIT_STRING)?;
    match bits {
        [0, key @ ..] if rest.is_empty() => Some(key.to_vec()),
        _ => None,
    }
}

/// Whether this is a PKCS#1 RSAPublicKey: a sequence of two integers.
pub(crate) fn is_pkcs1(der: &[u8]) -> bool {
    let numbers = || {
        let (outer, rest) = element(der, SEQUENCE)?;
        let (_modulus, after) = element(outer, INTEGER)?;
        let (_exponent, end) = element(after, INTEGER)?;
        Some(rest.is_empty() && end.is_empty())
    };
    numbers() == Some(true)
}

/// The same as [`element`], with the tag and the length in front.
pub(crate) fn element_with_header(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (_, rest) = element(der, tag)?;
    der.split_at_checked(der.len() - rest.len())
}

/// The content of the first element, which must have this tag, and what follows it.
pub(crate) fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    if found != tag {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 3 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        let length = digits.iter().fold(0usize, |length, digit| length << 8 | usize::from(*digit));
        (length, rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_wrappings_are_refused() {
        let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        spki.extend([7; 32]);
        assert_eq!(spki_key(&spki), Some(vec![7; 32]));
        for length in 0..spki.len() {
            assert_eq!(spki_key(&spki[..length]), None);
        }
        spki.push(0);
        assert_eq!(spki_key(&spki), None);
        assert!(is_pkcs1(&[0x30, 6, 2, 1, 5, 2, 1, 3]));
        assert!(!is_pkcs1(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]));
    }
}
