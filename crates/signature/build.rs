//! Lists the catalogue: adding `catalogue/<slug>.toml` is adding an entry. A build that is kept notices changed
//! and removed entries, and after `touch crates/signature/build.rs` new ones (a test says so): watching the
//! folder would build everything again for each change of a vector or sample below it.
//!
//! Writes `catalogue_list.rs` for `src/catalogue.rs`: the slugs in the order of their bytes, each with its text.
//! Nothing is parsed here; an entry that cannot be read fails a test that names its file.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let folder = root.join("../../catalogue").canonicalize()?;
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default());
    fs::write(out.join("catalogue_list.rs"), list(&folder)?)
}

/// A Rust array of slugs and texts.
fn list(folder: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    let mut slugs: Vec<(String, PathBuf)> = files
        .into_iter()
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .collect();
    slugs.sort();
    for (_, path) in &slugs {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let mut code = String::from("&[\n");
    for (slug, path) in slugs {
        // Writing to a String cannot fail.
        let _ = writeln!(code, "    ({slug:?}, include_str!({:?})),", path.display().to_string());
    }
    code.push_str("]\n");
    Ok(code)
}
