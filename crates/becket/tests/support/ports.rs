//! Ports for servers that a test starts, kills and starts again on the same one. It stands alone, so that
//! tests of other crates can use it too.
//!
//! Invariants: a port lies below those that the system gives to connections, so that none of them takes
//! it while its server is down; and no other test gets it as long as this process lives.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::sync::Mutex;

/// Linux gives connections ports from 32,768 on, if nobody has set it otherwise.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// Locks on what was given away, which end with the process.
static GIVEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port of loopback that nobody else has or will be given.
pub fn free_port() -> u16 {
    let folder = std::env::temp_dir().join("becket-test-ports");
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let random = RandomState::new().hash_one(std::process::id());
    let first = u16::try_from(random % PORTS.len() as u64).expect("there are fewer ports");
    let turned = (first..PORTS.len() as u16).chain(0..first).map(|nth| PORTS.start + nth);
    for port in turned {
        let lock = File::create(folder.join(port.to_string())).expect("a lock can be made");
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            GIVEN.lock().expect("nobody panics with it").push(lock);
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}
