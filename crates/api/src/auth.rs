//! Who is asking: bearer tokens, known only by their SHA-256, and a brake on guessing.
//!
//! Invariants: a token is hashed and compared with every known hash in constant time; a refused
//! login says nothing about why; the table of addresses is bounded.
//!
//! Deliberately absent: making tokens and keeping them, which is the binary's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, RwLock};

use becket_model::{Rate, TokenBucket};
use becket_store::{Owner, Store};
use http::{HeaderMap, header};
use ring::digest;
use subtle::ConstantTimeEq as _;

use crate::access::{Access, Tokens, hex};
use crate::problem::{ApiError, Result};

/// Failed logins that an address may make at once, before it has to wait.
pub const FAILED_LOGINS_BURST: u32 = 20;
const FAILED_LOGINS_PER_SECOND: u32 = 5;
const ADDRESSES_MAX: usize = 4_096;

/// The address a request came from, set as a request extension by whoever accepts connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The tokens that open the API, as SHA-256 hashes.
#[derive(Debug, Default)]
pub struct Auth {
    tokens: RwLock<Vec<([u8; 32], Owner)>>,
    failures: Mutex<HashMap<Option<IpAddr>, TokenBucket>>,
}

impl Auth {
    /// Admin tokens of the installation's one owner, by the SHA-256 of each.
    #[must_use]
    pub fn admin(hashes: Vec<[u8; 32]>) -> Self {
        let auth = Self::default();
        auth.set_tokens(hashes.into_iter().map(|hash| (hash, Owner::MAIN)).collect());
        auth
    }

    /// Replaces all tokens; what was valid and is not in the list is refused from now on.
    pub fn set_tokens(&self, tokens: Vec<([u8; 32], Owner)>) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    /// The hash under which a token is given to [`Auth`].
    #[must_use]
    pub fn hash(token: &str) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        hash
    }

    /// Who is asking by the bearer token: the operator, or whoever has the token in the store. `None`
    /// if no token is shown at all, which is no guess.
    pub(crate) async fn check(
        &self,
        headers: &HeaderMap,
        from: Option<ClientAddress>,
        now_ms: i64,
        store: &dyn Store,
        tokens: &Tokens,
    ) -> Result<Option<Access>> {
        if !headers.contains_key(header::AUTHORIZATION) {
            return Ok(None);
        }
        let from = from.map(|address| address.0);
        self.slow_down(from, now_ms)?;
        let found = match bearer(headers) {
            Some(token) => self.holder(token, now_ms, store, tokens).await?,
            None => None,
        };
        if found.is_none() {
            self.count_failure(from, now_ms);
            return Err(Self::refused());
        }
        Ok(found)
    }

    /// Who holds this token; `None` if nobody.
    pub(crate) async fn holder(
        &self,
        token: &str,
        now_ms: i64,
        store: &dyn Store,
        tokens: &Tokens,
    ) -> Result<Option<Access>> {
        match self.owner_of(token) {
            Some(owner) => Ok(Some(Access::operator(owner))),
            None => tokens.find(store, token, now_ms).await,
        }
    }

    /// The one answer to whoever has not shown who they are.
    pub(crate) fn refused() -> ApiError {
        ApiError::new("unauthorized", "the request has no valid bearer token")
            .hint("send `Authorization: Bearer TOKEN`; the admin token is in the data folder or in BECKET_ADMIN_TOKEN")
    }

    /// What stays the same as long as an operator's token does, and tells nothing of it.
    pub(crate) fn mark_of(&self, token: &str) -> String {
        mark(&Self::hash(token))
    }

    /// Whether this is the mark of an operator's token of now.
    pub(crate) fn is_mark_of(&self, known: &str, owner: Owner) -> bool {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().any(|(hash, of)| {
            *of == owner && bool::from(mark(hash).as_bytes().ct_eq(known.as_bytes()))
        })
    }

    /// Looked at before the token, so that guessing is slowed and not only its refusals.
    pub(crate) fn slow_down(&self, from: Option<IpAddr>, now_ms: i64) -> Result<()> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.get(&from).and_then(|bucket| bucket.clone().take(now_ms).err()) {
            Some(wait_ms) => {
                Err(ApiError::new("throttled", "too many failed logins from this address")
                    .hint("check the token, then wait a moment")
                    .retry_after_s(wait_ms.div_ceil(1_000)))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn count_failure(&self, from: Option<IpAddr>, now_ms: i64) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES_MAX {
            failures.retain(|_, bucket| !bucket.is_full(now_ms));
        }
        if failures.len() >= ADDRESSES_MAX {
            failures.clear();
        }
        let bucket = failures.entry(from).or_insert_with(|| {
            let rate = Rate::per_second(FAILED_LOGINS_PER_SECOND);
            TokenBucket::full(rate, FAILED_LOGINS_BURST, now_ms)
        });
        // An empty bucket is met above; here only the count matters.
        let _ = bucket.take(now_ms);
    }

    fn owner_of(&self, token: &str) -> Option<Owner> {
        let given = Self::hash(token);
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        // No early end: the time must not tell which token it was nearest to.
        tokens.iter().fold(
            None,
            |found, (hash, owner)| {
                if bool::from(hash.ct_eq(&given)) { Some(*owner) } else { found }
            },
        )
    }
}

/// The hash of a token is what the token is compared with; so another one is kept.
fn mark(hash: &[u8; 32]) -> String {
    let digest = digest::digest(&digest::SHA256, &[b"becket session".as_slice(), hash].concat());
    hex(digest.as_ref())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a look at the headers finds, in a store without tokens.
    async fn look(
        auth: &Auth,
        headers: &HeaderMap,
        from: Option<ClientAddress>,
        now_ms: i64,
    ) -> Result<Owner> {
        let noise = becket_store_test::FixedNoise::new(1);
        let store = becket_store_test::ModelStore::new(std::sync::Arc::new(noise));
        let access = auth.check(headers, from, now_ms, &store, &Tokens::default()).await?;
        let access = access.ok_or_else(Auth::refused)?;
        assert!(access.operator && access.token.is_none());
        Ok(access.owner)
    }

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[tokio::test]
    async fn only_known_tokens_open() {
        let auth = Auth::admin(vec![Auth::hash("one"), Auth::hash("two")]);
        for good in ["Bearer one", "bearer two", "BEARER  one"] {
            assert_eq!(look(&auth, &headers(good), None, 0).await.unwrap(), Owner::MAIN, "{good}");
        }
        for bad in ["Bearer", "Bearer ", "Bearer three", "Basic one", "one", "Bearer one two"] {
            assert_eq!(
                look(&auth, &headers(bad), None, 0).await.unwrap_err().code(),
                "unauthorized"
            );
        }
        let mut twice = headers("Bearer one");
        twice.append(header::AUTHORIZATION, "Bearer two".parse().unwrap());
        assert!(look(&auth, &twice, None, 0).await.is_err());
        auth.set_tokens(vec![(Auth::hash("three"), Owner::new(7))]);
        assert!(look(&auth, &headers("Bearer one"), None, 0).await.is_err());
        assert_eq!(look(&auth, &headers("Bearer three"), None, 0).await.unwrap(), Owner::new(7));
    }

    #[tokio::test]
    async fn guessing_is_slowed_per_address() {
        let auth = Auth::admin(vec![Auth::hash("one")]);
        let guesser = Some(ClientAddress("192.0.2.1".parse().unwrap()));
        let other = Some(ClientAddress("192.0.2.2".parse().unwrap()));
        for _ in 0..FAILED_LOGINS_BURST {
            let error = look(&auth, &headers("Bearer x"), guesser, 0).await.unwrap_err();
            assert_eq!(error.code(), "unauthorized");
        }
        for token in ["Bearer x", "Bearer one"] {
            assert_eq!(
                look(&auth, &headers(token), guesser, 0).await.unwrap_err().code(),
                "throttled"
            );
        }
        assert!(look(&auth, &headers("Bearer one"), other, 0).await.is_ok());
        assert!(look(&auth, &headers("Bearer one"), guesser, 1_000).await.is_ok());
    }

    #[tokio::test]
    async fn asking_without_a_token_is_no_guess() {
        let auth = Auth::admin(vec![Auth::hash("one")]);
        for _ in 0..2 * FAILED_LOGINS_BURST {
            let error = look(&auth, &HeaderMap::new(), None, 0).await.unwrap_err();
            assert_eq!(error.code(), "unauthorized");
        }
    }

    #[test]
    fn a_mark_changes_with_the_token() {
        let auth = Auth::admin(vec![Auth::hash("one"), Auth::hash("two")]);
        let mark = auth.mark_of("two");
        assert!(auth.is_mark_of(&mark, Owner::MAIN) && !auth.is_mark_of(&mark, Owner::new(2)));
        assert!(!mark.contains(&hex(&Auth::hash("two"))));
        auth.set_tokens(vec![(Auth::hash("three"), Owner::MAIN)]);
        assert!(!auth.is_mark_of(&mark, Owner::MAIN));
    }

    #[tokio::test]
    async fn the_table_of_addresses_is_bounded() {
        let auth = Auth::default();
        for number in 0..2 * ADDRESSES_MAX as u32 {
            let from = ClientAddress(IpAddr::from(number.to_be_bytes()));
            assert!(look(&auth, &headers("Bearer x"), Some(from), 0).await.is_err());
        }
        assert!(auth.failures.lock().unwrap().len() <= ADDRESSES_MAX);
    }
}
