//! Lists the files of `dashboard/dist`, if it has been built, so that they become part of the
//! library. Runs no other program and reaches no network.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let dashboard = here.join("../../dashboard");
    let dist = dashboard.join("dist");
    println!("cargo:rerun-if-changed=build.rs");
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        println!("cargo:rerun-if-changed={}", dist.display());
        walk(&dist, "", &mut files)?;
    } else {
        // A missing path would count as changed at every build. Making `dist` changes its parent.
        println!("cargo:rerun-if-changed={}", dashboard.display());
    }
    files.sort();
    let mut list = String::from("&[\n");
    for (name, path) in &files {
        let path = path.canonicalize()?;
        writeln!(list, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())
            .map_err(std::io::Error::other)?;
    }
    list.push_str("]\n");
    std::fs::write(PathBuf::from(variable("OUT_DIR")?).join("files.rs"), list)
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), &format!("{prefix}{name}/"), files)?;
        } else if kind.is_file() {
            files.push((format!("{prefix}{name}"), entry.path()));
        }
    }
    Ok(())
}

fn variable(name: &str) -> std::io::Result<String> {
    std::env::var(name).map_err(|error| std::io::Error::other(format!("{name}: {error}")))
}
