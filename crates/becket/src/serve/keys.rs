//! The master key, the admin token and the demo's secret: given by the configuration, or made on
//! first start and kept in the data folder, readable by its owner only.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use becket_model::Noise;
use zeroize::Zeroizing;

use crate::config::Config;

use super::ServeError;

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

/// The key that seals stored secrets.
pub(super) fn master_key(
    config: &Config,
    folder: &Path,
    noise: &dyn Noise,
) -> Result<([u8; 32], Kept), ServeError> {
    let given = match (&config.master_key, &config.master_key_file) {
        (Some(key), _) => Some(Zeroizing::new(key.expose().to_owned())),
        (None, Some(file)) => Some(read(file)?),
        (None, None) => None,
    };
    let kept = match given {
        Some(text) => Kept { text, fresh: false, file: None },
        None => keep(&folder.join(MASTER_KEY_FILE), || {
            let mut key = Zeroizing::new([0; 32]);
            noise.fill(key.as_mut_slice());
            Zeroizing::new(STANDARD.encode(key.as_slice()))
        })?,
    };
    let bytes = STANDARD.decode(kept.text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    let key = bytes.ok_or_else(|| ServeError::MasterKey {
        place: kept
            .file
            .as_ref()
            .map_or_else(|| "BECKET_MASTER_KEY".to_owned(), |file| file.display().to_string()),
    })?;
    Ok((key, kept))
}

/// The token that opens the management API.
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
    // Written aside and renamed: a crash in between must not leave half a key behind.
    let aside = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut opened =
        options.write(true).create(true).truncate(true).mode(0o600).open(&aside).map_err(failed)?;
    opened
        .write_all(text.as_bytes())
        .and_then(|()| opened.write_all(b"\n"))
        .and_then(|()| opened.sync_all())
        .and_then(|()| std::fs::rename(&aside, file))
        .map_err(failed)?;
    Ok(Kept { text, fresh: true, file: Some(file.to_owned()) })
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
        let (first, kept) = master_key(&config, folder.path(), &SystemNoise).unwrap();
        assert!(kept.fresh);
        let (second, kept) = master_key(&config, folder.path(), &SystemNoise).unwrap();
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
    fn a_broken_key_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MASTER_KEY_FILE), "not a key").unwrap();
        assert!(master_key(&Config::default(), folder.path(), &SystemNoise).is_err());
    }
}
