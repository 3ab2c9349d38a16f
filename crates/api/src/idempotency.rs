//! Repeated requests with an `idempotency-key`: answered as the first time, carried out once.
//!
//! Invariants: a key belongs to an owner, a path and a body; only successes are remembered, for
//! [`KEPT_MS`] and in memory, at most [`KEYS_MAX`] of them and [`ANSWER_BYTES_MAX`] each; while the
//! first request is under way its repeats are refused.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use ring::digest;

use crate::call::Shared;
use crate::handlers::create::answers_repeats;
use crate::problem::ApiError;

const KEPT_MS: i64 = 12 * 3_600_000;
const KEYS_MAX: usize = 4_096;
const ANSWER_BYTES_MAX: usize = 4_096;
const KEY_CHARACTERS_MAX: usize = 256;

type Key = [u8; 32];

#[derive(Debug, Clone)]
enum Known {
    UnderWay,
    Answered(StatusCode, Bytes),
}

/// What was asked under which key.
#[derive(Debug, Default)]
pub(crate) struct Idempotency(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    known: HashMap<Key, Known>,
    order: VecDeque<(i64, Key)>,
}

impl Idempotency {
    /// What is known of a key; a new one is under way from now on.
    fn begin(&self, key: Key, now_ms: i64) -> Option<Known> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at_ms, oldest)) = keys.order.front().copied()
            && (now_ms - at_ms >= KEPT_MS || keys.order.len() >= KEYS_MAX)
        {
            keys.order.pop_front();
            keys.known.remove(&oldest);
        }
        if let Some(known) = keys.known.get(&key) {
            return Some(known.clone());
        }
        keys.known.insert(key, Known::UnderWay);
        keys.order.push_back((now_ms, key));
        None
    }

    /// Remembers the answer, or forgets the key if there is none worth repeating.
    fn end(&self, key: &Key, answer: Option<(StatusCode, Bytes)>) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((status, bytes)) = answer {
            // Pushed out in the meantime, it stays out.
            if let Some(known) = keys.known.get_mut(key) {
                *known = Known::Answered(status, bytes);
            }
        } else {
            keys.known.remove(key);
            keys.order.retain(|(_, known)| known != key);
        }
    }
}

/// Forgets a key whose request was dropped before it was answered.
struct UnderWay<'s> {
    shared: &'s Shared,
    key: Key,
    answer: Option<(StatusCode, Bytes)>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.shared.idempotency.end(&self.key, self.answer.take());
    }
}

/// Carries out a request with a key once.
pub(crate) async fn once(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let named = request.headers().get("idempotency-key").cloned();
    let own = answers_repeats(request.uri().path());
    let Some(named) = named.filter(|_| request.method() == Method::POST && !own) else {
        return next.run(request).await;
    };
    if named.is_empty() || named.len() > KEY_CHARACTERS_MAX {
        let what =
            format!("header `idempotency-key`: has to have 1 to {KEY_CHARACTERS_MAX} characters");
        return ApiError::new("bad_query", what).into_response();
    }
    // First of all, so that a remembered answer goes to nobody else and strangers fill no memory.
    let now_ms = shared.api.clock.now_ms();
    let access = match shared.authenticate(request.headers(), request.extensions()).await {
        Ok(access) => access,
        Err(error) => return error.into_response(),
    };
    let owner = access.owner;
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(access);
    let Ok(body) = to_bytes(body, crate::BODY_BYTES_MAX).await else {
        let detail =
            format!("the body is larger than {} bytes, or broke off", crate::BODY_BYTES_MAX);
        return ApiError::new("body_too_large", detail).into_response();
    };
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let owner = owner.number().to_be_bytes();
    let key = key_of([&owner, named.as_bytes(), path.as_bytes(), body.as_ref()]);
    match shared.idempotency.begin(key, now_ms) {
        None => {}
        Some(Known::UnderWay) => {
            return ApiError::new(
                "idempotency_conflict",
                "a request with this idempotency key is under way",
            )
            .hint("wait for its answer, then repeat it")
            .into_response();
        }
        Some(Known::Answered(status, bytes)) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            return if bytes.is_empty() {
                status.into_response()
            } else {
                (status, kind, bytes).into_response()
            };
        }
    }
    let mut under_way = UnderWay { shared: &shared, key, answer: None };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() {
        return response;
    }
    let (parts, body) = response.into_parts();
    match to_bytes(body, usize::MAX).await {
        Ok(bytes) => {
            if bytes.len() <= ANSWER_BYTES_MAX {
                under_way.answer = Some((parts.status, bytes.clone()));
            }
            Response::from_parts(parts, Body::from(bytes))
        }
        Err(error) => {
            ApiError::new("event_damaged", format!("the answer broke off: {error}")).into_response()
        }
    }
}

fn key_of(parts: [&[u8]; 4]) -> Key {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_expire() {
        let keys = Idempotency::default();
        for number in 0..3 * KEYS_MAX {
            let key = key_of([&number.to_be_bytes(), b"", b"", b""]);
            assert!(keys.begin(key, 0).is_none());
            keys.end(&key, Some((StatusCode::OK, Bytes::new())));
        }
        assert!(keys.0.lock().unwrap().known.len() <= KEYS_MAX);
        let key = key_of([b"a", b"", b"", b""]);
        assert!(keys.begin(key, 1).is_none());
        assert!(matches!(keys.begin(key, 1), Some(Known::UnderWay)));
        keys.end(&key, Some((StatusCode::OK, Bytes::new())));
        assert!(matches!(keys.begin(key, KEPT_MS), Some(Known::Answered(..))));
        assert!(keys.begin(key, KEPT_MS + 1).is_none());
        keys.end(&key, None);
        assert!(keys.begin(key, KEPT_MS + 1).is_none());
        assert_ne!(key_of([b"ab", b"", b"", b""]), key_of([b"a", b"b", b"", b""]));
    }
}
