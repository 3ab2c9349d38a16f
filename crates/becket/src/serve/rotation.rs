//! Another master key, while the gateway runs.
//!
//! Invariants: a key is on disk before anything is sealed with it; the old key stays in the file until
//! nothing in the store needs it, a while after the last secret was sealed again, because a request
//! that was under way may have sealed with it. A rotation that is broken off goes on at the next start.

use std::sync::Arc;
use std::time::Duration;

use becket_api::{ControlError, KeysRotated};
use becket_store::vault::Vault;
use becket_store::{Owner, StoreError};

use super::gateway::Gateway;
use super::{FINGERPRINT_SETTING, assemble, keys};

/// How long after a rotation the old key is kept: longer than any request takes.
const OLD_KEY_KEPT: Duration = Duration::from_secs(60);

/// Makes a new master key, or goes on with a rotation that was broken off.
pub(super) async fn rotate(gateway: &Arc<Gateway>) -> Result<KeysRotated, ControlError> {
    let _one_at_a_time = gateway.rotating.lock().await;
    let vault = gateway.vault.load_full();
    if vault.expose_keys().len() == 1 {
        if gateway.node.is_some() {
            return Err(ControlError {
                detail: "every node needs the new master key before anything is sealed with it"
                    .to_owned(),
                hint: Some(
                    "start every node with BECKET_MASTER_KEY=2:NEW,1:OLD (the last one seals), then \
                     every node with 1:OLD,2:NEW, rotate, and start them with 2:NEW alone"
                        .to_owned(),
                ),
            });
        }
        let Some(file) = &gateway.master_key_file else {
            return Err(ControlError {
                detail: "the master key comes from the environment, where it cannot be exchanged"
                    .to_owned(),
                hint: Some(
                    "start with BECKET_MASTER_KEY=1:OLD,2:NEW (the last one seals), rotate, then \
                     start with 2:NEW alone; or keep the key in a file (BECKET_MASTER_KEY_FILE)"
                        .to_owned(),
                ),
            });
        };
        let mut key = [0; 32];
        gateway.noise.fill(&mut key);
        let version = vault.sealing_version().checked_add(1).unwrap_or(1);
        let mut both = Vault::clone(&vault);
        both.add_key(version, key);
        keys::write_master_keys(file, &both).map_err(|error| ControlError {
            detail: error.to_string(),
            hint: Some("nothing was changed".to_owned()),
        })?;
        gateway.vault.store(Arc::new(both));
    }
    let rotated = reseal(gateway).await.map_err(|error| ControlError {
        detail: error.to_string(),
        hint: Some("both keys are kept; ask again to go on".to_owned()),
    })?;
    finish_later(gateway);
    Ok(rotated)
}

/// Goes on with a rotation that the last process did not finish.
pub(super) async fn resume(gateway: &Arc<Gateway>) -> Result<(), StoreError> {
    let _one_at_a_time = gateway.rotating.lock().await;
    if gateway.vault.load().expose_keys().len() > 1 {
        let rotated = reseal(gateway).await?;
        tracing::info!(secrets = rotated.rewrapped, version = rotated.version, "keys.rotated");
        finish_later(gateway);
    }
    Ok(())
}

async fn reseal(gateway: &Gateway) -> Result<KeysRotated, StoreError> {
    let vault = gateway.vault.load_full();
    let version = vault.sealing_version();
    let rewrapped = becket_store::rewrap::rewrap(gateway.store.as_ref(), version, |place, old| {
        let opened = vault.open(place, old)?;
        assemble::seal(&vault, gateway.noise.as_ref(), place, &opened)
    })
    .await?;
    let fingerprint = vault.fingerprint().to_vec();
    gateway.store.setting_put(Owner::MAIN, FINGERPRINT_SETTING, fingerprint).await?;
    Ok(KeysRotated { rewrapped, version })
}

/// Forgets the old key once nobody can have sealed with it any more.
fn finish_later(gateway: &Arc<Gateway>) {
    let gateway = Arc::downgrade(gateway);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(OLD_KEY_KEPT).await;
            let Some(gateway) = gateway.upgrade() else { return };
            let _one_at_a_time = gateway.rotating.lock().await;
            match finish(&gateway).await {
                Ok(()) | Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::error!(%error, "the old master key is kept, because not everything could be sealed again; trying again");
                }
            }
        }
    });
}

async fn finish(gateway: &Gateway) -> Result<(), StoreError> {
    reseal(gateway).await?;
    let newest = gateway.vault.load().newest_only();
    if let Some(file) = &gateway.master_key_file {
        keys::write_master_keys(file, &newest).map_err(|error| StoreError::Sealed {
            detail: format!("the key file could not be written: {error}"),
        })?;
        gateway.vault.store(Arc::new(newest));
        tracing::info!(file = %file.display(), "the old master key is gone; keep a copy of the new one");
    }
    Ok(())
}
