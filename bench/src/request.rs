//! A request that is sent again and again, of which only an id changes.
//!
//! The id carries the moment of sending, which the endpoint at the other end reads.

use crate::clock;

/// How long an id is.
pub const ID_BYTES: usize = 36;

/// A whole request, of which only the id changes.
pub struct Request {
    bytes: Vec<u8>,
    id_at: usize,
    /// The part of the id that tells connections and runs apart.
    salt: u32,
    count: u32,
}

impl Request {
    /// The id stands between `before` and `after`; `salt` has to differ between connections.
    pub fn new(before: &str, after: &str, salt: u32) -> Self {
        let id = "0".repeat(ID_BYTES);
        let bytes = [before, &id, after].concat().into_bytes();
        Self { bytes, id_at: before.len(), salt, count: 0 }
    }

    /// The next request, with an id that no other has.
    pub fn next(&mut self) -> &[u8] {
        self.count = self.count.wrapping_add(1);
        let low = u64::from(self.salt) << 32 | u64::from(self.count);
        write_id(&mut self.bytes[self.id_at..self.id_at + ID_BYTES], clock::now_us(), low);
        &self.bytes
    }
}

/// Writes 128 bits in the form of a UUID.
fn write_id(slot: &mut [u8], high: u64, low: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut at = 0;
    for nibble in 0..32_u32 {
        if [8, 12, 16, 20].contains(&nibble) {
            slot[at] = b'-';
            at += 1;
        }
        let half = if nibble < 16 { high } else { low };
        let value = half >> (60 - 4 * (nibble % 16)) & 15;
        slot[at] = DIGITS[usize::try_from(value).unwrap_or_default()];
        at += 1;
    }
}

/// When the request with this delivery id was sent, in microseconds since 1970.
pub fn sent_at_us(id: &[u8]) -> Option<u64> {
    let digits = id.iter().filter(|byte| **byte != b'-').take(16);
    digits
        .copied()
        .try_fold(0, |sum: u64, digit| Some(sum << 4 | u64::from(char::from(digit).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_tell_when_they_were_made() {
        let mut request = Request::new("<", ">", 7);
        let id_of = |request: &mut Request| {
            let at = request.id_at;
            request.next()[at..at + ID_BYTES].to_vec()
        };
        let (first, second) = (id_of(&mut request), id_of(&mut request));
        assert_ne!(first, second);
        assert_eq!([first[8], first[13], first[18], first[23]], [b'-'; 4]);
        let sent = sent_at_us(&first).expect("a time");
        assert!(clock::now_us() - sent < 1_000_000);
        assert!(sent_at_us(b"zzz").is_none());
    }
}
