//! The examples for several nodes work as they stand: configurations load without a complaint,
//! variables and settings that documents name exist, and the units are hardened alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use becket::config::{self, LoadArgs, Problem};

/// The guides whose examples are tried.
const GUIDES: [&str; 3] =
    ["docs/guides/postgresql.md", "docs/guides/high-availability.md", "docs/guides/sizing.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Variables as an environment file of systemd or compose sets them, with something in the empty ones.
fn variables(path: &str) -> BTreeMap<String, String> {
    let filled = |name: &str, value: &str| match (name, value) {
        ("BECKET_MASTER_KEY", "") => "b25seSB0aGUgZXhhbXBsZXMgdXNlIHRoaXMga2V5ISE=".to_owned(),
        (_, "") => "only the tests of the examples use this".to_owned(),
        (_, value) => value.to_owned(),
    };
    let text = read(path);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{path}: {line}"));
            (name.to_owned(), filled(name, value))
        })
        .collect()
}

/// Everything that is wrong with a configuration, warnings included.
fn problems(text: &str, env: &BTreeMap<String, String>) -> Vec<Problem> {
    let read = |path: &Path| match path.to_str() {
        Some("etc/becket.toml") => Ok(text.to_owned()),
        _ => Err("there is no such file".to_owned()),
    };
    let path = Some(PathBuf::from("etc/becket.toml"));
    match config::load(LoadArgs { path, env: env.clone(), flags: Vec::new(), read: &read }) {
        Ok(loaded) => loaded.warnings,
        Err(errors) => errors.problems,
    }
}

/// The blocks of a document in this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<Vec<&str>> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(lines), Some(_)) => {
                found.push(lines.join("\n"));
                open = None;
            }
            (Some(lines), None) => lines.push(line),
            (None, Some(word)) if word == language => open = Some(Vec::new()),
            (None, _) => {}
        }
    }
    found
}

/// Words that begin with `prefix`, without what follows them in a sentence.
fn words<'t>(text: &'t str, prefix: &str) -> Vec<&'t str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with(prefix) && word.len() > prefix.len())
        .collect()
}

#[test]
fn the_nodes_file_loads_with_the_example_variables() {
    let mut env = variables("packaging/cluster/environment.example");
    env.extend(variables("packaging/cluster/node-1.environment.example"));
    env.insert("BECKET_CLUSTER_NAME".to_owned(), "host-1".to_owned());
    let found = problems(&read("packaging/cluster/becket.toml"), &env);
    assert_eq!(found, [], "packaging/cluster/becket.toml");
}

#[test]
fn the_compose_file_sets_what_there_is() {
    let mut env = variables("packaging/cluster/compose.env.example");
    for line in read("packaging/cluster/compose.yaml").lines() {
        let Some((name, value)) = line.trim().split_once(": ") else { continue };
        if name.starts_with("BECKET_") && !value.starts_with("${") {
            env.insert(name.to_owned(), value.to_owned());
        }
    }
    for name in ["BECKET_STORE_URL", "BECKET_CLUSTER_NAME", "BECKET_MASTER_KEY"] {
        assert!(env.contains_key(name), "{name} is not in packaging/cluster/compose.yaml");
    }
    let found = problems(&read("packaging/cluster/becket.toml"), &env);
    assert_eq!(found, [], "packaging/cluster/compose.yaml");
}

#[test]
fn configurations_in_the_guides_load() {
    let env = variables("packaging/cluster/environment.example");
    let without_url = |mut env: BTreeMap<String, String>| {
        env.remove("BECKET_STORE_URL");
        env
    };
    let env = without_url(env);
    let mut tried = 0;
    for guide in GUIDES {
        for block in blocks(&read(guide), "toml") {
            let found = problems(&block, &env);
            assert_eq!(found, [], "{guide}: {block}");
            tried += 1;
        }
    }
    assert!(tried >= 3, "only {tried} configurations were found");
}

#[test]
fn settings_and_variables_that_the_guides_name_exist() {
    let reference = config::reference_markdown();
    let known = words(&reference, "BECKET_");
    let keys: Vec<String> = reference
        .lines()
        .scan(String::new(), |section, line| {
            if let Some(name) = line.strip_prefix("## `[") {
                let end = name.find(']').unwrap_or(name.len());
                name[..end].clone_into(section);
            }
            let key = line.strip_prefix("| `").and_then(|rest| rest.split('`').next());
            Some(key.map(|key| format!("BECKET_{section}_{key}").replace('.', "_").to_uppercase()))
        })
        .flatten()
        .collect();
    for guide in GUIDES {
        for name in words(&read(guide), "BECKET_") {
            let exists = known.contains(&name) || keys.iter().any(|key| key == name);
            assert!(exists, "{guide} names {name}, which is no setting");
        }
    }
}

/// A unit's directives behind this line, without comments.
fn directives(path: &str, behind: &str) -> Vec<String> {
    let text = read(path);
    let (_, rest) = text.split_once(behind).unwrap_or_else(|| panic!("{path}: no {behind}"));
    let end = rest.find("[Install]").unwrap_or(rest.len());
    rest[..end].lines().filter(|line| line.contains('=')).map(str::to_owned).collect()
}

#[test]
fn the_units_are_hardened_alike() {
    let one = directives("packaging/systemd/becket.service", "LimitNOFILE=65536");
    let many = directives("packaging/cluster/becket@.service", "LimitNOFILE=65536");
    assert!(one.len() > 20, "{one:?}");
    assert_eq!(one, many);
}

/// The value of a directive that stands once in a unit.
fn directive(path: &str, name: &str) -> String {
    let text = read(path);
    let found: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix(&format!("{name}="))).collect();
    assert_eq!(found.len(), 1, "{path}: {name}");
    found[0].to_owned()
}

const UNITS: [&str; 2] = ["packaging/systemd/becket.service", "packaging/cluster/becket@.service"];

#[test]
fn the_units_allow_what_the_gateway_needs() {
    for unit in UNITS {
        let text = read(unit);
        // The sandbox of transformations limits itself by this call, which @system-service lacks.
        assert!(text.contains("\nSystemCallFilter=@system-service seccomp\n"), "{unit}");
        for name in ["AmbientCapabilities", "CapabilityBoundingSet"] {
            assert_eq!(directive(unit, name), "CAP_NET_BIND_SERVICE", "{unit}: ports 80 and 443");
        }
        assert!(
            !text.contains("=BECKET_STORE_URL"),
            "{unit}: it would beat the file's [store] url"
        );
    }
    let [single, node] = UNITS.map(|unit| directive(unit, "StateDirectory"));
    assert!(!node.starts_with(&format!("{single}/")), "{node} is inside of {single}");
}

#[test]
fn the_file_of_the_single_service_loads_and_names_its_folder() {
    let path = "packaging/systemd/becket.toml";
    let env = BTreeMap::from([("GITHUB_WEBHOOK_SECRET".to_owned(), "for this test".to_owned())]);
    assert_eq!(problems(&read(path), &env), [], "{path}");
    let folder = format!("/var/lib/{}", directive(UNITS[0], "StateDirectory"));
    assert!(read(path).contains(&format!("url = \"sqlite:{folder}\"")), "{path}: {folder}");
}

#[test]
fn commands_find_a_gateway_whose_secrets_are_elsewhere() {
    let text = read("packaging/systemd/becket.toml");
    let args = |text: &'static str| LoadArgs {
        path: Some(PathBuf::from("etc/becket.toml")),
        env: BTreeMap::new(),
        flags: Vec::new(),
        read: Box::leak(Box::new(move |_: &Path| Ok::<_, String>(text.to_owned()))),
    };
    let text: &'static str = text.leak();
    assert!(config::load(args(text)).is_err(), "the gateway itself needs the secret");
    let loaded = config::load_whereabouts(args(text)).expect("whereabouts need no secret");
    assert_eq!(loaded.config.local_folder(), Path::new("/var/lib/becket"));
}
