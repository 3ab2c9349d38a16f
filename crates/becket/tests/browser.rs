//! The dashboard and the portal in a real browser: each suite of `clients/browser` against this binary.
//!
//! A suite starts gateways of its own, sends them really signed webhooks and drives Chromium; what it
//! expects stands there. This driver only starts it and shows what it printed when it fails.

mod support;

use std::process::Command;

use support::{repository, require_command};

/// Runs `clients/browser/<name>.spec.mjs`.
fn suite(name: &str) {
    require_command("node");
    require_command("chromium");
    let root = repository();
    let modules = root.join("clients/browser/node_modules/playwright-core");
    assert!(modules.exists(), "playwright-core is not installed; run `make setup`");
    let bundle = root.join("dashboard/dist");
    assert!(bundle.join("index.html").exists(), "the dashboard is not built; run `make dashboard`");
    let output = Command::new("node")
        .arg("--test")
        .arg(root.join(format!("clients/browser/{name}.spec.mjs")))
        .env("BECKET_BIN", env!("CARGO_BIN_EXE_becket"))
        // The bundle of now, whether or not the binary was built after it.
        .env("BECKET_DASHBOARD_DIR", bundle)
        .output()
        .expect("node can be started");
    assert!(
        output.status.success(),
        "{name} failed\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// One test for each suite, so that they are named and timed apart.
macro_rules! suites {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { suite($name); })*

        #[test]
        fn every_suite_is_run() {
            let mut named = vec![$($name.to_owned()),*];
            let folder = repository().join("clients/browser");
            let mut there: Vec<String> = std::fs::read_dir(folder)
                .expect("the suites are there")
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter_map(|name| name.strip_suffix(".spec.mjs").map(str::to_owned))
                .collect();
            named.sort();
            there.sort();
            assert_eq!(there, named);
        }
    };
}

suites! {
    the_way_in_and_rights: "access",
    applications: "applications",
    endpoints: "endpoints",
    event_types: "event-types",
    events: "events",
    overview_and_settings: "home",
    hostile_payloads: "hostile",
    the_portal: "portal",
    quarantine: "quarantine",
    sources: "sources",
}
