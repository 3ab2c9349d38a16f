//! Sealing secrets again with a new master key, over the model store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use becket_store::rewrap::rewrap;
use becket_store::vault::{Vault, place};
use becket_store::{
    DocumentContent, DocumentKind, DocumentName, Owner, Slice, Store, StoreError, WriteIf,
};
use becket_store_test::{FixedNoise, ModelStore};

const DOCUMENTS: usize = 950;

fn nonce(number: u64) -> [u8; 24] {
    let mut nonce = [0; 24];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn name(at: usize) -> DocumentName {
    DocumentName::of_owner(DocumentKind::Answer, format!("{at:05}"))
}

async fn put(store: &dyn Store, vault: &Vault, at: usize, secret: &str, number: u64) {
    let sealed = vault.seal(&place::document(&name(at)), secret.as_bytes(), nonce(number)).unwrap();
    let content = DocumentContent { sealed: Some(sealed), ..DocumentContent::default() };
    store.document_put(Owner::MAIN, name(at), content, WriteIf::Always, 1).await.unwrap();
}

async fn filled(vault: &Vault) -> Arc<ModelStore> {
    let store = Arc::new(ModelStore::new(Arc::new(FixedNoise::new(1))));
    for at in 0..DOCUMENTS {
        put(store.as_ref(), vault, at, &format!("secret {at}"), at as u64).await;
    }
    store
}

/// Every secret as the newest key alone opens it.
async fn opened(store: &dyn Store, vault: &Vault) -> Vec<String> {
    let newest = vault.newest_only();
    let (kind, slice) = (DocumentKind::Answer, Slice::oldest(10_000));
    let documents = store.document_list(Owner::MAIN, kind, None, slice, 1).await.unwrap();
    let open = |document: &becket_store::Document| {
        let sealed = document.content.sealed.as_ref().unwrap();
        let secret = newest.open(&place::document(&document.name), sealed).unwrap();
        String::from_utf8(secret.to_vec()).unwrap()
    };
    documents.iter().map(open).collect()
}

#[tokio::test]
async fn everything_is_sealed_again_once() {
    let mut vault = Vault::new([1; 32]);
    let store = filled(&vault).await;
    vault.add_key(2, [2; 32]);
    let number = AtomicU64::new(10_000);
    let reseal = |place: &str, old: &[u8]| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        vault.seal(place, &vault.open(place, old)?, nonce(number))
    };
    assert_eq!(rewrap(store.as_ref(), 2, reseal).await.unwrap(), DOCUMENTS as u64);
    assert_eq!(rewrap(store.as_ref(), 2, reseal).await.unwrap(), 0, "nothing is left to do");
    let opened = opened(store.as_ref(), &vault).await;
    assert_eq!(opened.len(), DOCUMENTS);
    assert!(opened.iter().enumerate().all(|(at, secret)| *secret == format!("secret {at}")));
}

#[tokio::test]
async fn a_rotation_that_is_broken_off_goes_on() {
    let mut vault = Vault::new([1; 32]);
    let store = filled(&vault).await;
    vault.add_key(2, [2; 32]);
    let mut left = 300_u64;
    let broken = rewrap(store.as_ref(), 2, |place, old| {
        left = left
            .checked_sub(1)
            .ok_or_else(|| StoreError::Sealed { detail: "the key is gone".to_owned() })?;
        vault.seal(place, &vault.open(place, old)?, nonce(20_000 + left))
    })
    .await;
    assert!(matches!(broken, Err(StoreError::Sealed { .. })));
    let rest = rewrap(store.as_ref(), 2, |place, old| {
        vault.seal(place, &vault.open(place, old)?, nonce(30_000))
    });
    assert_eq!(rest.await.unwrap(), DOCUMENTS as u64 - 300);
    assert_eq!(opened(store.as_ref(), &vault).await.len(), DOCUMENTS);
    // A closure that seals with the old key would go round for ever.
    let mut newer = vault.clone();
    newer.add_key(3, [3; 32]);
    let old_key = rewrap(store.as_ref(), 3, |place, old| {
        vault.seal(place, &vault.open(place, old)?, nonce(40_000))
    });
    assert!(matches!(old_key.await, Err(StoreError::Sealed { .. })));
}

#[tokio::test]
async fn what_is_changed_meanwhile_keeps_the_change() {
    let old = Vault::new([1; 32]);
    let store = filled(&old).await;
    let mut both = old.clone();
    both.add_key(2, [2; 32]);
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, both, done) = (Arc::clone(&store), both.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            let mut number = 50_000;
            let mut last = vec![None; DOCUMENTS];
            while !done.load(Ordering::Acquire) {
                let at = (number as usize * 7) % DOCUMENTS;
                let secret = format!("changed {number}");
                // Some requests began before the new key and still seal with the old one.
                let vault = if number % 3 == 0 && number < 50_600 { &old } else { &both };
                put(store.as_ref(), vault, at, &secret, number).await;
                last[at] = Some(secret);
                number += 1;
                tokio::task::yield_now().await;
            }
            last
        })
    };
    let mut number = 90_000;
    let mut total = 0;
    // Until two rounds in a row find nothing: nobody seals with the old key any more.
    let mut idle = 0;
    while idle < 2 {
        let rewrapped = rewrap(store.as_ref(), 2, |place, sealed| {
            number += 1;
            both.seal(place, &both.open(place, sealed)?, nonce(number))
        })
        .await
        .unwrap();
        total += rewrapped;
        idle = if rewrapped == 0 { idle + 1 } else { 0 };
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }
    done.store(true, Ordering::Release);
    let last = writer.await.unwrap();
    rewrap(store.as_ref(), 2, |place, sealed| {
        number += 1;
        both.seal(place, &both.open(place, sealed)?, nonce(number))
    })
    .await
    .unwrap();
    assert!(total > 0 && last.iter().flatten().count() > 100);
    for (at, secret) in opened(store.as_ref(), &both).await.into_iter().enumerate() {
        let expected = last[at].clone().unwrap_or_else(|| format!("secret {at}"));
        assert_eq!(secret, expected);
    }
}
