//! A balancer in front of the nodes: it passes each connection on to the next node that takes it.
//!
//! It repeats nothing and looks at nothing: a node that was stopped still takes connections, because
//! its kernel does, and a request that dies with its node is the sender's to repeat.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A running balancer; it stops taking connections when dropped.
pub struct Balancer {
    /// Where senders connect.
    pub address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Balancer {
    /// Starts one in front of these nodes.
    pub fn start(nodes: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let stopped = Arc::new(AtomicBool::new(false));
        let balancer = Self { address, stopped: Arc::clone(&stopped) };
        let next = AtomicUsize::new(0);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(sender) = stream else { continue };
                let turn = next.fetch_add(1, Ordering::Relaxed);
                // Nobody takes it: the sender's connection ends, as a balancer's 502 would end it.
                if let Some(node) = connect_in_turn(&nodes, turn) {
                    join(sender, node);
                }
            }
        });
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

fn connect_in_turn(nodes: &[SocketAddr], turn: usize) -> Option<TcpStream> {
    (0..nodes.len()).find_map(|step| {
        let node = nodes[(turn + step) % nodes.len()];
        TcpStream::connect_timeout(&node, Duration::from_millis(500)).ok()
    })
}

/// Passes bytes both ways until one side ends.
pub fn join(one: TcpStream, other: TcpStream) {
    for (from, to) in [(&one, &other), (&other, &one)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
        std::thread::spawn(move || pass(&from, &to));
    }
}

fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    // Small requests and answers, in which a delay would be seen.
    let _ = to.set_nodelay(true);
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // Both: a node that was killed ends the sender's connection, too.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
