//! Where the files come from: out of the library, or from a folder.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The largest file that is served from a folder, in bytes.
pub const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// By name below the bundle, with `/` between folders.
type Listed = &'static [(&'static str, &'static [u8])];

const FILES: Listed = include!(concat!(env!("OUT_DIR"), "/files.rs"));

static EMBEDDED: LazyLock<BTreeMap<&'static str, &'static [u8]>> =
    LazyLock::new(|| FILES.iter().copied().collect());

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Site {
    /// Out of the library.
    Embedded,
    /// From a folder, read at every request, so that a new build shows at once.
    Folder(PathBuf),
    /// Nowhere: the dashboard was not built.
    NotBuilt,
}

/// Why a folder cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteError {
    /// The folder.
    pub folder: PathBuf,
    /// What is wrong with it.
    pub detail: String,
}

impl std::fmt::Display for SiteError {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} cannot be served: {}", self.folder.display(), self.detail)
    }
}

impl std::error::Error for SiteError {}

impl Site {
    /// What was embedded, if anything was.
    #[must_use]
    pub fn embedded() -> Self {
        if EMBEDDED.contains_key("index.html") { Self::Embedded } else { Self::NotBuilt }
    }

    /// A folder with a built dashboard.
    ///
    /// # Errors
    /// If the folder cannot be read or has no `index.html`.
    pub fn folder(folder: &Path) -> Result<Self, SiteError> {
        let failed = |detail: String| SiteError { folder: folder.to_owned(), detail };
        let real = folder.canonicalize().map_err(|error| failed(error.to_string()))?;
        if !real.join("index.html").is_file() {
            return Err(failed("there is no index.html in it".to_owned()));
        }
        Ok(Self::Folder(real))
    }

    /// A file's bytes by its name. Names with anything but plain words, and files that are not below
    /// the folder once links are followed, are answered like files that do not exist.
    pub(crate) fn file(&self, name: &str) -> Option<Cow<'static, [u8]>> {
        match self {
            Self::Embedded => EMBEDDED.get(name).map(|bytes| Cow::Borrowed(*bytes)),
            Self::Folder(folder) => from_folder(folder, name).map(Cow::Owned),
            Self::NotBuilt => None,
        }
    }
}

fn from_folder(folder: &Path, name: &str) -> Option<Vec<u8>> {
    if !name.split('/').all(is_plain) {
        return None;
    }
    let real = folder.join(name).canonicalize().ok()?;
    if !real.starts_with(folder) {
        return None;
    }
    let file = std::fs::File::open(real).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether a part of a path is a word that no file system reads as anything else.
fn is_plain(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !part.is_empty() && !part.starts_with('.') && part.bytes().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_only() {
        for good in ["a", "index.html", "a-b_C.1.js"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", ".", "..", ".env", "a b", "a\\b", "a%2e", "c:", "a\0", "é"] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn nothing_outside_the_folder_is_read() {
        let outer = tempfile::tempdir().expect("a folder");
        let dist = outer.path().join("dist");
        std::fs::create_dir_all(dist.join("assets")).expect("a folder");
        std::fs::write(dist.join("index.html"), "page").expect("a file");
        std::fs::write(dist.join("assets/a.js"), "a").expect("a file");
        std::fs::write(outer.path().join("secret"), "secret").expect("a file");
        std::os::unix::fs::symlink("../secret", dist.join("leak")).expect("a link");
        std::os::unix::fs::symlink("..", dist.join("up")).expect("a link");
        std::os::unix::fs::symlink("assets/a.js", dist.join("inside.js")).expect("a link");
        let site = Site::folder(&dist).expect("a site");
        assert_eq!(site.file("assets/a.js").as_deref(), Some(b"a".as_slice()));
        assert_eq!(site.file("inside.js").as_deref(), Some(b"a".as_slice()));
        for name in ["leak", "up/secret", "../secret", "assets/../../secret", "assets", "", "/x"] {
            assert_eq!(site.file(name), None, "{name}");
        }
        assert!(Site::folder(outer.path()).is_err());
        assert!(Site::folder(&outer.path().join("absent")).is_err());
    }
}
