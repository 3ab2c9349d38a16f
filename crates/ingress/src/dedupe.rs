//! The keys by which repeats of an event are found.
//!
//! A key is the first 16 bytes of a SHA-256 over what it was made from, the source included, so that
//! two sources never share a key. Every part is preceded by its length, so that no two lists of parts
//! give the same bytes.

use becket_model::ApplicationKey;
use becket_store::DedupeKey;
use ring::digest::{Context, SHA256};

const BY_ID: u8 = 1;
const BY_BODY: u8 = 2;

fn key(kind: u8, application: ApplicationKey, parts: &[&[u8]]) -> DedupeKey {
    let mut context = Context::new(&SHA256);
    let mut head = [kind, 0, 0, 0, 0];
    head[1..].copy_from_slice(&application.0.to_le_bytes());
    context.update(&head);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&context.finish().as_ref()[..16]);
    DedupeKey(short)
}

/// The key of the sender's own delivery id.
#[must_use]
pub fn delivery_id_key(application: ApplicationKey, delivery_id: &str) -> DedupeKey {
    key(BY_ID, application, &[delivery_id.as_bytes()])
}

/// The key of a request without a delivery id. Method, path with query and event type belong to it:
/// senders that put everything into them have equal bodies.
#[must_use]
pub fn body_key(
    application: ApplicationKey,
    method: &str,
    path: &str,
    event_type: Option<&str>,
    body: &[u8],
) -> DedupeKey {
    let event_type = event_type.unwrap_or_default().as_bytes();
    key(BY_BODY, application, &[method.as_bytes(), path.as_bytes(), event_type, body])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_matters() {
        let one = ApplicationKey(1);
        let keys = [
            delivery_id_key(one, "a"),
            delivery_id_key(one, "b"),
            delivery_id_key(ApplicationKey(2), "a"),
            body_key(one, "POST", "/in/x", None, b"a"),
            body_key(one, "PUT", "/in/x", None, b"a"),
            body_key(one, "POST", "/in/xa", None, b""),
            body_key(one, "POST", "/in/x", Some("a"), b""),
            body_key(one, "POST", "/in/x", Some("a"), b"a"),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
        assert_eq!(delivery_id_key(one, "a"), keys[0]);
    }
}
