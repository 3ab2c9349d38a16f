//! Proves that an address leads to this very gateway: `GET /in/.well-known/becket?nonce=...`.
//!
//! Whoever can ask the gateway by a way of which he is sure asks the same question there and by the
//! public address: only the same process gives the same answer, because the key is made at its start
//! and never leaves it.
//!
//! Invariants: nothing but the answer to the nonce is told, no version and no name; answers are
//! limited, so that strangers cannot make the gateway busy.

use std::sync::Arc;

use becket_ingress::BoxedBody;
use becket_model::{Clock, Noise};
use http::{HeaderValue, Response, StatusCode, header};
use parking_lot::Mutex;
use ring::hmac;

use super::fallback::text;

/// So many questions are answered at once, and one more each [`REFILL_MS`].
const BURST: i64 = 20;
const REFILL_MS: i64 = 200;
/// A nonce in hexadecimal: long enough not to be guessed, short enough to be no payload.
const NONCE_CHARS: std::ops::RangeInclusive<usize> = 32..=128;
/// What the key is used for, so that it can be used for nothing else.
const PURPOSE: &[u8] = b"becket identity 1\n";

/// What answers the question.
pub(super) struct Identity {
    key: hmac::Key,
    clock: Arc<dyn Clock>,
    /// When the next question is free, in milliseconds since 1970, if none were asked before.
    spent_until_ms: Mutex<i64>,
}

impl Identity {
    /// With a key of its own.
    pub(super) fn new(noise: &dyn Noise, clock: Arc<dyn Clock>) -> Self {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        noise.fill(key.as_mut_slice());
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_slice());
        Self { key, clock, spent_until_ms: Mutex::default() }
    }

    /// The answer to a request with this query.
    pub(super) fn answer(&self, query: Option<&str>) -> Response<BoxedBody> {
        let nonce =
            query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("nonce=")));
        let Some(nonce) = nonce.filter(|nonce| {
            NONCE_CHARS.contains(&nonce.len()) && nonce.bytes().all(|byte| byte.is_ascii_hexdigit())
        }) else {
            return text(
                StatusCode::BAD_REQUEST,
                "give ?nonce= with 16 to 64 bytes in hexadecimal\n",
            );
        };
        if !self.take() {
            let mut response = text(StatusCode::TOO_MANY_REQUESTS, "too many questions\n");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        }
        let mut context = hmac::Context::with_key(&self.key);
        context.update(PURPOSE);
        context.update(nonce.to_ascii_lowercase().as_bytes());
        let mut response = text(StatusCode::OK, format!("{}\n", hex::encode(context.sign())));
        let never = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, never);
        response
    }

    /// Whether there is room for one more answer.
    fn take(&self) -> bool {
        let now_ms = self.clock.now_ms();
        let mut spent = self.spent_until_ms.lock();
        // A clock that was set back must not close the door for long.
        let from = (*spent).clamp(now_ms, now_ms + BURST * REFILL_MS);
        let next = from + REFILL_MS;
        let room = next <= now_ms + BURST * REFILL_MS;
        *spent = if room { next } else { from };
        room
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::serve::world::{SystemClock, SystemNoise};

    async fn told(identity: &Identity, query: &str) -> (u16, String) {
        let response = identity.answer(Some(query));
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn only_the_same_process_gives_the_same_answer() {
        let identity = || Identity::new(&SystemNoise, Arc::new(SystemClock));
        let (own, other) = (identity(), identity());
        let query = format!("nonce={}", "0a".repeat(16));
        let first = told(&own, &query).await;
        assert_eq!((first.0, first.1.len()), (200, 65));
        assert_eq!(told(&own, &query).await, first);
        assert_ne!(told(&other, &query).await, first);
        assert_ne!(told(&own, &format!("nonce={}", "0b".repeat(16))).await, first);
        for wrong in ["", "nonce=", "nonce=zz", "nonce=0a", &format!("nonce={}", "0a".repeat(65))] {
            assert_eq!(told(&own, wrong).await.0, 400, "{wrong}");
        }
        let mut refused = 0;
        for _ in 0..BURST + 5 {
            refused += usize::from(told(&own, &query).await.0 == 429);
        }
        assert!(refused >= 5, "{refused}");
        assert_eq!(told(&own, "nonce=zz").await.0, 400);
    }
}
