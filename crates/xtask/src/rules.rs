//! Rules about the text of files. Each takes the tree and answers with its findings.
//!
//! The words that a rule bans are put together from pieces here, so that this file passes its own
//! rules.

use std::collections::BTreeSet;

use crate::tree::{File, Tree};

const CODE: &[&str] = &["rs", "js", "mjs", "ts", "py", "sh"];
const LINES_MAX: usize = 600;
const MAP_LINES_MAX: usize = 300;

/// Files that are longer than the limit, each with its length when it was listed: a ratchet. Such
/// a file may shrink but not grow, and leaves the list when it is short enough.
const LONG_FILES: &[(&str, usize)] = &[];

/// Words that are catalogue entries and plain words of the signature schemes alike.
const GENERIC_ENTRIES: &[&str] = &["hmac", "token", "basic", "none", "standardwebhooks"];

/// Providers whose slug is also a word that code needs: the value of a Connection header.
const ORDINARY_WORDS: &[&str] = &["close"];

/// The one file that lists the built-in entries by name, to embed them.
const CATALOGUE: &str = "crates/signature/src/catalogue.rs";

/// Every path that ARCHITECTURE.md names in backticks exists.
pub fn map_paths(tree: &Tree) -> Vec<String> {
    let Some(map) = tree.file("ARCHITECTURE.md") else { return Vec::new() };
    let mut found = Vec::new();
    for (number, line) in numbered(map) {
        for name in line.split('`').skip(1).step_by(2).filter(|name| is_path(name)) {
            if !tree.root.join(name).exists() {
                found.push(format!("ARCHITECTURE.md:{number}: there is no `{name}`"));
            }
        }
    }
    found
}

/// Whether a word in backticks claims to be a path of this repository.
fn is_path(word: &str) -> bool {
    const ROOTS: &[&str] = &[
        "crates",
        "docs",
        "scripts",
        "clients",
        "catalogue",
        "fuzz",
        "packaging",
        "bench",
        ".ci",
        ".cargo",
        ".config",
    ];
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    plain && word.split_once('/').is_some_and(|(first, _)| ROOTS.contains(&first))
}

/// ARCHITECTURE.md can be read in one sitting.
pub fn map_length(tree: &Tree) -> Vec<String> {
    let Some(map) = tree.file("ARCHITECTURE.md") else { return Vec::new() };
    let lines = map.text.lines().count();
    if lines <= MAP_LINES_MAX {
        return Vec::new();
    }
    vec![format!(
        "ARCHITECTURE.md has {lines} lines; at most {MAP_LINES_MAX}, move detail to docs/"
    )]
}

/// Every relative link in a document leads to a file.
pub fn links(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.has_extension(&["md"])) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in numbered(file) {
            for target in link_targets(line) {
                let target = target.split('#').next().unwrap_or_default();
                if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                if !tree.root.join(folder).join(target).exists() {
                    found.push(format!(
                        "{}:{number}: the link to {target} leads nowhere",
                        file.path
                    ));
                }
            }
        }
    }
    found
}

fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// No file of code or prose is too long to be read.
pub fn file_length(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let texts = tree.files.iter().filter(|file| {
        (file.has_extension(CODE) || file.has_extension(&["md"])) && !file.is_generated()
    });
    for file in texts {
        let lines = file.text.lines().count();
        let listed = LONG_FILES.iter().find(|(path, _)| *path == file.path);
        let limit = listed.map_or(LINES_MAX, |(_, length)| *length);
        if lines > limit {
            found.push(format!("{} has {lines} lines; at most {limit}, split it", file.path));
        } else if listed.is_some() && lines <= LINES_MAX {
            found.push(format!("{} is short enough now: remove it from LONG_FILES", file.path));
        }
    }
    found
}

/// Every Rust file begins by saying what it is for.
pub fn module_headers(tree: &Tree) -> Vec<String> {
    rust_files(tree)
        .filter(|file| !file.is_generated())
        .filter(|file| {
            // Attributes of the whole file may stand before its header.
            let first = file.text.lines().find(|line| !line.starts_with("#!") && !line.is_empty());
            !first.is_some_and(|line| line.starts_with("//!"))
        })
        .map(|file| format!("{}: begin with a `//!` header: role, invariants, absences", file.path))
        .collect()
}

/// Nothing unfinished, skipped or left over from debugging.
pub fn banned_code(tree: &Tree) -> Vec<String> {
    let banned = [
        (concat!("to", "do!("), "finish it or leave it out"),
        (concat!("un", "implemented!("), "finish it or leave it out"),
        (concat!("db", "g!("), "remove it"),
        (concat!("#[", "ignore"), "make the test pass, or assert what happens now"),
        (concat!("std::thread::", "sleep(Duration::from_secs(60"), "wait for a condition instead"),
    ];
    find_in(rust_files(tree), &banned)
}

/// Nothing that ties the repository to one machine, and no notes to oneself.
pub fn banned_text(tree: &Tree) -> Vec<String> {
    let note = "do it now, or describe it in CHANGELOG.md or an issue";
    let machine = "a path of one machine: use a relative one";
    let registry = "a registry's address: the tools know it";
    let banned = [
        (concat!("TO", "DO"), note),
        (concat!("FIX", "ME"), note),
        (concat!("/ro", "ot/"), machine),
        (concat!("/ho", "me/"), machine),
        (concat!("/wo", "rk/"), machine),
        (concat!("arti", "factory"), registry),
        (concat!("registry.", "npmjs"), registry),
        (concat!("files.", "pythonhosted"), registry),
        (concat!("index.", "crates.io"), registry),
        (concat!("deb.", "debian.org"), registry),
    ];
    // Payloads of other people's products may say anything.
    let ours = tree.files.iter().filter(|file| !file.path.starts_with("catalogue/vectors/"));
    find_in(ours, &banned)
}

/// Lock files name versions and hashes, not the address they were fetched from.
pub fn lock_files(tree: &Tree) -> Vec<String> {
    let npm = tree.files.iter().filter(|file| file.path.ends_with("package-lock.json"));
    npm.filter(|file| file.text.contains("\"resolved\":"))
        .map(|file| format!("{}: install with --omit-lockfile-registry-resolved", file.path))
        .collect()
}

/// Verification knows schemes, not providers: no provider's name in the code of `signature` or
/// `ingress` (their tests may name them).
pub fn provider_names(tree: &Tree) -> Vec<String> {
    let slugs: BTreeSet<&str> = tree
        .files
        .iter()
        .filter_map(|file| file.path.strip_prefix("catalogue/")?.strip_suffix(".toml"))
        .filter(|slug| !slug.contains('/') && !GENERIC_ENTRIES.contains(slug))
        .filter(|slug| !ORDINARY_WORDS.contains(slug))
        .collect();
    let mut found = Vec::new();
    let engine = rust_files(tree).filter(|file| {
        (file.path.starts_with("crates/signature/src/")
            || file.path.starts_with("crates/ingress/src/"))
            && !file.path.contains("test")
            && file.path != CATALOGUE
    });
    for file in engine {
        for (number, line) in numbered(file) {
            if line.trim_start().starts_with("#[cfg(test)]") {
                break;
            }
            let code = line.split("//").next().unwrap_or_default();
            for literal in code.split('"').skip(1).step_by(2) {
                if slugs.contains(literal) {
                    found.push(format!(
                        "{}:{number}: \"{literal}\" is a provider; say it in its catalogue entry",
                        file.path
                    ));
                }
            }
        }
    }
    found
}

/// README.md names every target of the Makefile, and no other.
pub fn make_targets(tree: &Tree) -> Vec<String> {
    let (Some(makefile), Some(readme)) = (tree.file("Makefile"), tree.file("README.md")) else {
        return vec!["Makefile or README.md is missing".to_owned()];
    };
    let targets: BTreeSet<&str> = makefile
        .text
        .lines()
        .filter(|line| line.contains("## ") && line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_once(':').map(|(target, _)| target))
        .collect();
    let named: BTreeSet<&str> = readme
        .text
        .split("`make ")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase()).next())
        .filter(|name| !name.is_empty())
        .collect();
    let missing = targets
        .difference(&named)
        .map(|target| format!("README.md does not mention `make {target}`"));
    let unknown = named
        .difference(&targets)
        .map(|name| format!("README.md mentions `make {name}`, which the Makefile does not have"));
    missing.chain(unknown).collect()
}

fn rust_files(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files.iter().filter(|file| file.has_extension(&["rs"]))
}

fn numbered(file: &File) -> impl Iterator<Item = (usize, &str)> {
    file.text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn find_in<'a>(files: impl Iterator<Item = &'a File>, banned: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        // Most files have none of the words, and looking at them whole is quicker.
        for (word, advice) in banned.iter().filter(|(word, _)| file.text.contains(word)) {
            for (number, _) in numbered(file).filter(|(_, line)| holds(line, word)) {
                found.push(format!("{}:{number}: `{word}`: {advice}", file.path));
            }
        }
    }
    found
}

/// Whether a line holds the word; a path counts where it begins, not inside the path of a URL.
fn holds(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(position, _)| {
        let before = line[..position].chars().next_back();
        !word.starts_with('/') || before.is_none_or(|character| !character.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Tree { root: "nowhere".into(), files: files.iter().map(file).collect() }
    }

    #[test]
    fn a_long_file_is_found_and_a_generated_one_is_not() {
        let long = "line\n".repeat(LINES_MAX + 1);
        let tree = tree(&[("crates/a/src/long.rs", &long), ("crates/a/src/generated.rs", &long)]);
        assert_eq!(file_length(&tree).len(), 1);
    }

    #[test]
    fn a_header_may_follow_attributes() {
        let tree = tree(&[
            ("crates/a/src/good.rs", "#![no_main]\n\n//! What it is.\n"),
            ("crates/a/src/bad.rs", "use std::fs;\n"),
        ]);
        assert_eq!(module_headers(&tree).len(), 1);
    }

    #[test]
    fn a_provider_is_found_in_code_but_not_in_comments_or_tests() {
        let code =
            "// \"github\"\nlet a = \"hmac\";\nlet b = \"github\";\n#[cfg(test)]\n\"github\"";
        let tree = tree(&[
            ("catalogue/github.toml", ""),
            ("catalogue/hmac.toml", ""),
            ("crates/signature/src/lib.rs", code),
        ]);
        let found = provider_names(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("lib.rs:3"), "{found:?}");
    }

    #[test]
    fn make_targets_and_the_readme_agree_both_ways() {
        let tree = tree(&[
            ("Makefile", "test: setup ## runs\nrun: ## starts\nhidden:\n"),
            ("README.md", "`make test` and `make dance`"),
        ]);
        let found = make_targets(&tree);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn links_and_paths_are_recognised() {
        let targets: Vec<&str> = link_targets("[a](b.md) and [c](d.md#e)").collect();
        assert_eq!(targets, ["b.md", "d.md#e"]);
        assert!(is_path("crates/model"));
        assert!(is_path(".ci/run"));
        assert!(!is_path("application/json"));
        assert!(!is_path("becket.toml"));
    }

    #[test]
    fn a_note_to_oneself_and_a_machine_path_are_found() {
        let note = concat!("// TO", "DO later\nlet path = \"/ro", "ot/x\";\n");
        assert_eq!(banned_text(&tree(&[("a.rs", note)])).len(), 2);
        let url = concat!("docs = \"https://docs.example.com/ho", "me/webhooks\"");
        assert!(banned_text(&tree(&[("a.toml", url)])).is_empty());
    }
}
