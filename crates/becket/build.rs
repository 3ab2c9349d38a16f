//! Lists `catalogue/vectors/*.json`, so that `becket providers test` can run them anywhere.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> std::io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let folder = root.join("../../catalogue/vectors").canonicalize()?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?
        .map(|file| file.map(|file| file.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let slug = file.file_stem().unwrap_or_default().to_string_lossy();
        table.push_str(&format!("    ({slug:?}, include_str!({:?})),\n", file.display()));
    }
    table.push(']');
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    fs::write(Path::new(&out).join("vectors.rs"), table)
}
