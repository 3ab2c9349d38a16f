//! The files that belong to the repository: tracked ones, and new ones that are not ignored.
//!
//! Invariant: what git ignores is never read, so that build output and installed packages cannot
//! trip a rule.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The working tree, read once.
pub struct Tree {
    /// The repository's root.
    pub root: PathBuf,
    /// Text files with their paths relative to the root, sorted by path.
    pub files: Vec<File>,
}

/// One text file.
pub struct File {
    /// Relative to the root, with `/` between its parts.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

impl File {
    /// Whether its name ends in one of these extensions (without the dot).
    pub fn has_extension(&self, extensions: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    /// Whether it was written by a tool and is only compared, never edited.
    pub fn is_generated(&self) -> bool {
        self.path.contains("generated")
            || self.path.ends_with("package-lock.json")
            || self.path.ends_with("Cargo.lock")
            // Pages made by one of our own commands, which a test compares.
            || self.text.starts_with("<!-- Made by `becket ")
    }
}

impl Tree {
    /// Lists the files through git and reads those that are UTF-8.
    pub fn read() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .ok_or("the xtask crate has moved; it expects to be two folders below the root")?
            .to_path_buf();
        let listed = output(
            Command::new("git")
                .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
                .current_dir(&root),
        )?;
        let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut files = Vec::new();
        for path in paths {
            // A file that was removed but not yet committed is still listed.
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File { path: path.to_owned(), text });
            }
        }
        Ok(Self { root, files })
    }

    /// A file by its path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// The standard output of a command that must succeed.
pub fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if !done.status.success() {
        let stderr = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{name} failed ({}): {}", done.status, stderr.trim()));
    }
    String::from_utf8(done.stdout).map_err(|_| format!("{name} printed something not UTF-8"))
}
