//! Lists `catalogue/samples/*.toml`, so that `becket trigger` has them wherever it runs: adding a file is
//! adding a provider's sample events. Nothing is parsed here; a test reads every file.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> std::io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let folder = root.join("../../catalogue/samples").canonicalize()?;
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?
        .map(|file| file.map(|file| file.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let slug = file.file_stem().unwrap_or_default().to_string_lossy();
        table.push_str(&format!("    ({slug:?}, include_str!({:?})),\n", file.display()));
    }
    table.push(']');
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    fs::write(Path::new(&out).join("samples.rs"), table)
}
