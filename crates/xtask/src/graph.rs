//! Compares the crates' dependencies on each other with the block in ARCHITECTURE.md.
//!
//! The block is fenced as `dependencies` and has a line for each crate: its folder, an arrow, the
//! folders of the crates it may use, and after `dev:` those that only its tests use. It must say
//! exactly what the manifests say, so that the map is true and a new arrow is a decision.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::tree::{Tree, output};

/// What one crate uses of the workspace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Uses {
    normal: BTreeSet<String>,
    dev: BTreeSet<String>,
}

type Graph = BTreeMap<String, Uses>;

/// Differences between the map and the manifests.
pub fn check(tree: &Tree) -> Vec<String> {
    let Some(map) = tree.file("ARCHITECTURE.md") else {
        return vec!["ARCHITECTURE.md is missing".to_owned()];
    };
    let declared = match parse_block(&map.text) {
        Ok(declared) => declared,
        Err(error) => return vec![error],
    };
    let metadata = output(
        Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
            .current_dir(&tree.root),
    );
    let metadata = metadata
        .and_then(|text| serde_json::from_str(&text).map_err(|error| format!("metadata: {error}")));
    match metadata {
        Ok(metadata) => compare(&declared, &from_metadata(&metadata)),
        Err(error) => vec![error],
    }
}

/// Crates that do not inherit the workspace's lints.
pub fn check_lints(tree: &Tree) -> Vec<String> {
    let manifests = tree
        .files
        .iter()
        .filter(|file| file.path.starts_with("crates/") && file.path.ends_with("/Cargo.toml"));
    manifests
        .filter(|manifest| !manifest.text.contains("[lints]\nworkspace = true"))
        .map(|manifest| format!("{}: add `[lints]` with `workspace = true`", manifest.path))
        .collect()
}

fn parse_block(text: &str) -> Result<Graph, String> {
    let (_, rest) = text
        .split_once("```dependencies\n")
        .ok_or("ARCHITECTURE.md has no block fenced as ```dependencies")?;
    let (block, _) = rest.split_once("```").ok_or("the dependencies block does not end")?;
    let mut graph = Graph::new();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let (name, uses) = line
            .split_once("->")
            .ok_or_else(|| format!("`{line}` in the dependencies block has no `->`"))?;
        let (normal, dev) = uses.split_once("dev:").unwrap_or((uses, ""));
        let names = |list: &str| list.split_whitespace().map(str::to_owned).collect();
        graph.insert(name.trim().to_owned(), Uses { normal: names(normal), dev: names(dev) });
    }
    Ok(graph)
}

fn from_metadata(metadata: &Value) -> Graph {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut graph = Graph::new();
    for package in list(&metadata["packages"]) {
        let mut uses = Uses::default();
        for dependency in list(&package["dependencies"]) {
            // Only dependencies with a path are crates of this workspace.
            if dependency["path"].is_null() {
                continue;
            }
            let kind = if dependency["kind"] == "dev" { &mut uses.dev } else { &mut uses.normal };
            kind.insert(short(&text(&dependency["name"])));
        }
        // A crate that is used anyway need not be named again for tests.
        uses.dev = uses.dev.difference(&uses.normal).cloned().collect();
        graph.insert(short(&text(&package["name"])), uses);
    }
    graph
}

/// The folder of a crate: its name without the product's.
fn short(name: &str) -> String {
    name.strip_prefix("becket-").unwrap_or(name).to_owned()
}

fn compare(declared: &Graph, real: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for name in real.keys().filter(|name| !declared.contains_key(*name)) {
        found.push(format!("crate {name} is not in ARCHITECTURE.md's dependencies block"));
    }
    for (name, declared) in declared {
        let Some(real) = real.get(name) else {
            found.push(format!("ARCHITECTURE.md names a crate that does not exist: {name}"));
            continue;
        };
        for (kind, declared, real) in
            [("", &declared.normal, &real.normal), ("dev: ", &declared.dev, &real.dev)]
        {
            for extra in real.difference(declared) {
                found.push(format!(
                    "{name} -> {kind}{extra} is in its Cargo.toml but not in ARCHITECTURE.md"
                ));
            }
            for missing in declared.difference(real) {
                found.push(format!(
                    "{name} -> {kind}{missing} is in ARCHITECTURE.md but not in its Cargo.toml"
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "# Map\n```dependencies\na -> b c\nb ->\nc -> b dev: d\nd ->\n```\n";

    fn metadata(c_uses: &Value) -> Value {
        let package = |name: &str, dependencies: Value| serde_json::json!({ "name": name, "dependencies": dependencies });
        let on = |name: &str, kind: Value| serde_json::json!({ "name": name, "path": "somewhere", "kind": kind });
        let outside = serde_json::json!({ "name": "serde", "kind": null });
        serde_json::json!({ "packages": [
            package("a", serde_json::json!([on("becket-b", Value::Null), on("becket-c", Value::Null), outside])),
            package("becket-b", serde_json::json!([])),
            package("becket-c", c_uses.clone()),
            package("becket-d", serde_json::json!([])),
        ]})
    }

    #[test]
    fn a_true_map_has_no_findings() {
        let uses = serde_json::json!([
            { "name": "becket-b", "path": "p", "kind": null },
            { "name": "becket-d", "path": "p", "kind": "dev" },
        ]);
        let declared = parse_block(MAP).expect("the block is well formed");
        assert_eq!(compare(&declared, &from_metadata(&metadata(&uses))), Vec::<String>::new());
    }

    #[test]
    fn a_new_arrow_and_a_lost_one_are_both_found() {
        let uses = serde_json::json!([{ "name": "a", "path": "p", "kind": null }]);
        let declared = parse_block(MAP).expect("the block is well formed");
        let found = compare(&declared, &from_metadata(&metadata(&uses)));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("c -> a is in its Cargo.toml"), "{found:?}");
    }

    #[test]
    fn a_map_without_the_block_is_an_error() {
        assert!(parse_block("# Map\n").is_err());
    }
}
