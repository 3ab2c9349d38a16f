//! The master key, the admin token and the demo's secret: given by the configuration, or made on
//! first start and kept in the data folder, readable by its owner only.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use becket_api::Auth;
use becket_model::Noise;
use becket_store::vault::Vault;
use becket_store::{Owner, Store};
use zeroize::Zeroizing;

use crate::config::Config;

use super::{FINGERPRINT_SETTING, ServeError};

/// The file of the master key in the data folder.
pub(super) const MASTER_KEY_FILE: &str = "master.key";
/// The file of the admin token in the data folder.
pub(super) const ADMIN_TOKEN_FILE: &str = "admin-token";
const DEMO_SECRET_FILE: &str = "demo-secret";
const ADMIN_TOKEN_CHARS_MIN: usize = 32;

/// A value and whether it was made just now.
pub(super) struct Kept {
    pub(super) text: Zeroizing<String>,
    pub(super) fresh: bool,
    /// The file it is kept in; `None` if the configuration gives it.
    pub(super) file: Option<PathBuf>,
}

/// Master keys with their versions.
pub(super) type MasterKeys = Vec<(u8, [u8; 32])>;

/// The keys that open stored secrets, the last of which seals: one in base64, or several separated
/// by white space or commas, each with its version and a colon before it.
pub(super) fn master_keys(
    config: &Config,
    folder: &Path,
    noise: &dyn Noise,
) -> Result<(MasterKeys, Kept), ServeError> {
    let given = match (&config.master_key, &config.master_key_file) {
        (Some(key), _) => Some(Zeroizing::new(key.expose().to_owned())),
        (None, Some(file)) => Some(read(file)?),
        (None, None) => None,
    };
    let kept = match given {
        Some(text) => Kept { text, fresh: false, file: None },
        None if config.store.url.folder().is_none() => return Err(ServeError::NoMasterKey),
        None => keep(&folder.join(MASTER_KEY_FILE), || {
            let mut key = Zeroizing::new([0; 32]);
            noise.fill(key.as_mut_slice());
            Zeroizing::new(STANDARD.encode(key.as_slice()))
        })?,
    };
    let keys = read_keys(&kept.text).ok_or_else(|| ServeError::MasterKey {
        place: kept
            .file
            .as_ref()
            .map_or_else(|| "BECKET_MASTER_KEY".to_owned(), |file| file.display().to_string()),
    })?;
    Ok((keys, kept))
}

/// Reads keys as they are given: one in base64, or several, each with its version before it.
pub(crate) fn read_keys(text: &str) -> Option<MasterKeys> {
    let parts = text.split(|character: char| character.is_whitespace() || character == ',');
    let mut keys: MasterKeys = Vec::new();
    for part in parts.filter(|part| !part.is_empty()) {
        let (version, encoded) = match part.split_once(':') {
            Some((version, encoded)) => (version.parse().ok()?, encoded),
            None => (1, part),
        };
        let key = STANDARD.decode(encoded).ok()?.try_into().ok()?;
        if version == 0 || keys.iter().any(|(known, _)| *known == version) {
            return None;
        }
        keys.push((version, key));
    }
    (!keys.is_empty()).then_some(keys)
}

/// Writes the keys to their file, the one that seals last.
pub(super) fn write_master_keys(file: &Path, vault: &Vault) -> Result<(), ServeError> {
    let mut text = Zeroizing::new(String::new());
    for (version, key) in vault.expose_keys() {
        text.push_str(&format!("{version}:{}\n", STANDARD.encode(key.as_slice())));
    }
    write_aside(file, text.trim_end())
}

/// The token that opens the management API, given or kept on this machine.
pub(super) fn admin_token(
    config: &Config,
    folder: &Path,
    noise: &dyn Noise,
) -> Result<Kept, ServeError> {
    if let Some(token) = &config.admin_token {
        let text = Zeroizing::new(token.expose().to_owned());
        if text.chars().count() < ADMIN_TOKEN_CHARS_MIN {
            return Err(ServeError::AdminToken { characters: text.chars().count() });
        }
        return Ok(Kept { text, fresh: false, file: None });
    }
    keep(&folder.join(ADMIN_TOKEN_FILE), || random_text("bkt_", noise))
}

/// The vault that opens and seals secrets, and the file of its keys if that is where they are.
pub(super) fn vault(
    config: &Config,
    folder: &Path,
    noise: &dyn Noise,
) -> Result<(Vault, Option<PathBuf>), ServeError> {
    let (keys, kept) = master_keys(config, folder, noise)?;
    if let (true, Some(file)) = (kept.fresh, &kept.file) {
        tracing::warn!(file = %file.display(), "a master key was made; keep a copy: stored secrets cannot be read without it");
    }
    Ok((Vault::with_keys(keys), config.master_key_file.clone().or(kept.file)))
}

/// Refuses a store that was made with another master key.
pub(super) async fn check(vault: &Vault, store: &dyn Store) -> Result<(), ServeError> {
    let fingerprint = vault.fingerprint().to_vec();
    let known = store.setting_init(Owner::MAIN, FINGERPRINT_SETTING, fingerprint).await?;
    match vault.fingerprints().iter().any(|own| own.as_slice() == known) {
        true => Ok(()),
        false => Err(ServeError::OtherMasterKey),
    }
}

/// The operator's token, from wherever it comes.
pub(super) async fn operators_token(
    config: &Config,
    folder: &Path,
    noise: &dyn Noise,
    store: &dyn Store,
) -> Result<AdminToken, ServeError> {
    if store.cluster().is_some() {
        return shared_admin_token(config, folder, noise, store).await;
    }
    let kept = admin_token(config, folder, noise)?;
    let hashes = vec![Auth::hash(&kept.text)];
    Ok(AdminToken { kept: Some(kept), hashes })
}

/// The operator's token.
pub(super) struct AdminToken {
    /// Its text, unless another node has made it.
    pub(super) kept: Option<Kept>,
    /// The hashes of the tokens that open the API.
    pub(super) hashes: Vec<[u8; 32]>,
}

/// The setting by which nodes know the token that the first of them made.
const TOKEN_SETTING: &str = "admin_token_hash";

/// The operator's token where several nodes share a store: the one that is given, else the one that
/// the first node made, whose text is on that node's machine only.
async fn shared_admin_token(
    config: &Config,
    folder: &Path,
    noise: &dyn Noise,
    store: &dyn Store,
) -> Result<AdminToken, ServeError> {
    if config.admin_token.is_some() {
        let kept = admin_token(config, folder, noise)?;
        let hashes = vec![Auth::hash(&kept.text)];
        return Ok(AdminToken { kept: Some(kept), hashes });
    }
    let is_here = folder.join(ADMIN_TOKEN_FILE).exists();
    let known = store.setting_get(Owner::MAIN, TOKEN_SETTING).await?;
    let of_bytes = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).ok();
    if let (Some(known), false) = (known.and_then(of_bytes), is_here) {
        return Ok(AdminToken { kept: None, hashes: vec![known] });
    }
    let kept = admin_token(config, folder, noise)?;
    let own = Auth::hash(&kept.text);
    let holds = store.setting_init(Owner::MAIN, TOKEN_SETTING, own.to_vec()).await?;
    let holds = of_bytes(holds).unwrap_or(own);
    if holds != own {
        tracing::warn!(
            "another node has made an admin token: that one opens every node, the one in this folder none; \
             give all of them the same one as BECKET_ADMIN_TOKEN"
        );
        return Ok(AdminToken { kept: None, hashes: vec![holds] });
    }
    Ok(AdminToken { kept: Some(kept), hashes: vec![own] })
}

/// The secret of the source that is there when none is configured.
pub(super) fn demo_secret(folder: &Path, noise: &dyn Noise) -> Result<Kept, ServeError> {
    keep(&folder.join(DEMO_SECRET_FILE), || random_text("demo_", noise))
}

fn random_text(prefix: &str, noise: &dyn Noise) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    noise.fill(bytes.as_mut_slice());
    Zeroizing::new(format!("{prefix}{}", hex::encode(bytes.as_slice())))
}

fn read(file: &Path) -> Result<Zeroizing<String>, ServeError> {
    std::fs::read_to_string(file)
        .map(|text| Zeroizing::new(text.trim().to_owned()))
        .map_err(|error| ServeError::file(file, &error))
}

/// Reads the file, or makes it with what `make` gives.
fn keep(file: &Path, make: impl FnOnce() -> Zeroizing<String>) -> Result<Kept, ServeError> {
    let failed = |error: std::io::Error| ServeError::file(file, &error);
    if file.exists() {
        return Ok(Kept { text: read(file)?, fresh: false, file: Some(file.to_owned()) });
    }
    let text = make();
    if let Some(folder) = file.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    write_aside(file, &text)?;
    Ok(Kept { text, fresh: true, file: Some(file.to_owned()) })
}

/// Written aside and renamed: a crash in between must not leave half a key behind.
fn write_aside(file: &Path, text: &str) -> Result<(), ServeError> {
    let failed = |error: std::io::Error| ServeError::file(file, &error);
    let aside = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut opened =
        options.write(true).create(true).truncate(true).mode(0o600).open(&aside).map_err(failed)?;
    opened
        .write_all(text.as_bytes())
        .and_then(|()| opened.write_all(b"\n"))
        .and_then(|()| opened.sync_all())
        .and_then(|()| std::fs::rename(&aside, file))
        .and_then(|()| match file.parent() {
            // The new name has to be on disk too before anything is sealed with the key.
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        })
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::serve::world::SystemNoise;

    #[test]
    fn made_once_and_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::default();
        let (first, kept) = master_keys(&config, folder.path(), &SystemNoise).unwrap();
        assert!(kept.fresh);
        let (second, kept) = master_keys(&config, folder.path(), &SystemNoise).unwrap();
        assert!(!kept.fresh);
        assert_eq!(first, second);
        let token = admin_token(&config, folder.path(), &SystemNoise).unwrap();
        assert!(token.fresh && token.text.len() >= ADMIN_TOKEN_CHARS_MIN);
        for name in [MASTER_KEY_FILE, ADMIN_TOKEN_FILE] {
            let mode = folder.path().join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn with_a_database_a_key_has_to_be_given() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[store]\nurl = \"postgres://u@h/d?sslmode=disable\"\n";
        let config = crate::config::parse(text).unwrap().config;
        let made = master_keys(&config, folder.path(), &SystemNoise);
        assert!(matches!(made, Err(ServeError::NoMasterKey)));
        assert!(!folder.path().join(MASTER_KEY_FILE).exists());
    }

    #[test]
    fn a_broken_key_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MASTER_KEY_FILE), "not a key").unwrap();
        assert!(master_keys(&Config::default(), folder.path(), &SystemNoise).is_err());
    }

    #[test]
    fn several_keys_are_kept_with_their_versions() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(MASTER_KEY_FILE);
        let keys = vec![(1, [7; 32]), (2, [9; 32])];
        write_master_keys(&file, &Vault::with_keys(keys.clone())).unwrap();
        let (read, kept) = master_keys(&Config::default(), folder.path(), &SystemNoise).unwrap();
        assert!(read == keys && !kept.fresh);
        for wrong in ["", "0:AAAA", "1:AAAA", "x:y"] {
            assert!(read_keys(wrong).is_none(), "{wrong}");
        }
        let twice = format!("{0},{0}", STANDARD.encode([1; 32]));
        assert!(read_keys(&twice).is_none());
    }
}
