//! Bytes as text: hex and the base64 family, lenient in padding and case as the providers' SDKs are.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::scheme::Encoding;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT.with_encode_padding(false));

/// The longest signature that is looked at, decoded: RSA with 8192 bits, and some room.
pub(crate) const SIGNATURE_BYTES_MAX: usize = 1152;

/// A place for a decoded signature, so that decoding needs no heap.
pub(crate) type SignatureBuffer = [u8; SIGNATURE_BYTES_MAX];

/// Decodes into the buffer (or borrows the text when it is plain); `None` when it is not of that encoding.
pub(crate) fn decode<'a>(
    text: &'a [u8],
    encoding: Encoding,
    buffer: &'a mut SignatureBuffer,
) -> Option<&'a [u8]> {
    match encoding {
        Encoding::Plain => Some(text),
        Encoding::Hex => hex_into(text, buffer),
        Encoding::Base64 => base64_into(&STANDARD, text, buffer),
        Encoding::Base64url => base64_into(&URL_SAFE, text, buffer),
        Encoding::Base64Hex => {
            let mut inner = [0; SIGNATURE_BYTES_MAX];
            let hexadecimal = base64_into(&STANDARD, text, &mut inner)?;
            hex_into(hexadecimal, buffer)
        }
    }
}

fn hex_into<'a>(text: &[u8], buffer: &'a mut SignatureBuffer) -> Option<&'a [u8]> {
    let length = text.len() / 2;
    let target = buffer.get_mut(..length)?;
    hex::decode_to_slice(text, target).ok()?;
    (length > 0).then_some(target)
}

fn base64_into<'a>(
    engine: &GeneralPurpose,
    text: &[u8],
    buffer: &'a mut SignatureBuffer,
) -> Option<&'a [u8]> {
    let length = engine.decode_slice(text, buffer).ok()?;
    (length > 0).then(|| &buffer[..length])
}

/// Writes bytes as the encoding says; plain bytes are read as UTF-8.
pub(crate) fn encode(bytes: &[u8], encoding: Encoding) -> String {
    match encoding {
        Encoding::Plain => String::from_utf8_lossy(bytes).into_owned(),
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
        Encoding::Base64url => URL_SAFE.encode(bytes),
        Encoding::Base64Hex => STANDARD.encode(hex::encode(bytes)),
    }
}

/// Decodes base64 of either alphabet, with or without padding, ignoring white space.
pub(crate) fn base64_any(text: &[u8]) -> Option<Vec<u8>> {
    let standard: Vec<u8> = text
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    STANDARD.decode(standard).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_round_trips_and_rejects_rubbish() {
        let bytes: Vec<u8> = (0..=255).collect();
        for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64url, Encoding::Base64Hex]
        {
            let text = encode(&bytes, encoding);
            let mut buffer = [0; SIGNATURE_BYTES_MAX];
            assert_eq!(decode(text.as_bytes(), encoding, &mut buffer), Some(bytes.as_slice()));
            for wrong in ["", "!", "abc!", "é"] {
                assert_eq!(decode(wrong.as_bytes(), encoding, &mut buffer), None);
            }
            let long = encode(&[7; 2000], encoding);
            assert_eq!(decode(long.as_bytes(), encoding, &mut buffer), None);
        }
        let mut buffer = [0; SIGNATURE_BYTES_MAX];
        assert_eq!(decode(b"ABcd", Encoding::Hex, &mut buffer), Some([0xab, 0xcd].as_slice()));
        assert_eq!(decode(b"aGk", Encoding::Base64, &mut buffer), Some(b"hi".as_slice()));
        assert_eq!(base64_any(b"-_8=").as_deref(), Some([0xfb, 0xff].as_slice()));
    }
}
