//! A line that takes time: a proxy that passes everything on a fixed delay later, as distance does.
//! When it is cut, what is on its way is lost.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// A line to a port of loopback; it lives as long as the process.
pub struct SlowLine {
    /// Its near end.
    pub address: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl SlowLine {
    /// Cuts it: nothing that has not arrived yet does.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }
}

/// Listens on a free port and passes everything on to a port of loopback.
pub fn start(port: u16, delay: Duration) -> SlowLine {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let line = SlowLine { address, cut: Arc::default() };
    let cut = Arc::clone(&line.cut);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(near) = stream else { continue };
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                delayed(from, to, delay, Arc::clone(&cut));
            }
        }
    });
    line
}

fn delayed(mut from: TcpStream, mut to: TcpStream, delay: Duration, cut: Arc<AtomicBool>) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = from.read(&mut buffer) {
            let due = Instant::now() + delay;
            if count == 0 || sender.send((due, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, bytes) in receiver {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if cut.load(Ordering::Relaxed) || to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
