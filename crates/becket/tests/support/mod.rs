//! What the drivers of the real binary share: starting it, asking it, loading it, receiving from it.
//!
//! Invariants: everything runs on loopback with ports of its own; a gateway that a
//! test started is killed when the test ends, however it ends; every wait has an end, and a wait
//! that ends in vain shows the gateway's log.
//!
//! Deliberately absent: an async runtime and any of the gateway's own code beyond signing, so that
//! a mistake in the gateway cannot hide in the tools that judge it.
//!
//! Where next: [`gateway`] starts the binary, [`http`] asks it, [`sink`] receives, [`load`] sends,
//! [`provider`] publishes keys.

// Each driver is a crate of its own that uses a part of this.
#![allow(dead_code, reason = "each driver uses a part of the shared support")]

pub mod browser;
pub mod gateway;
pub mod http;
pub mod listener;
pub mod load;
mod ports;
pub mod provider;
pub mod random;
pub mod sign;
pub mod sink;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use ports::free_port;

/// Where the API lists events.
pub const EVENTS: &str = "/api/v1/becket/event";

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the root exists")
}

/// Waits until `holds`, at most `limit`; answers whether it came to hold.
pub fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < limit {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    holds()
}

/// Whether a command can be found; the drivers fail with this advice when one cannot.
pub fn require_command(name: &str) {
    let found = std::process::Command::new("sh")
        .args(["-c", &format!("command -v {name}")])
        .stdout(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    assert!(found, "`{name}` is not installed; run `make setup`, which installs it");
}
