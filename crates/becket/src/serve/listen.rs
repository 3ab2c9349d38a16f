//! Listeners: what each socket serves, and what the service manager hands over and is told.
//!
//! A socket that systemd holds stays open while the gateway is stopped and started: connections that
//! arrive in between wait in it and none is refused. `handover` does the same without systemd.

use std::net::TcpListener;

use becket_ingress::server::{Bind, Listener, Serves};
use listenfd::ListenFd;

use super::ServeError;
use super::handover::{Doors, Use};
use super::tls::Served;

/// The listeners of a configuration on sockets that are open.
pub(super) fn listeners(doors: &Doors, tls: Option<Served>) -> Result<Vec<Listener>, ServeError> {
    let open = |purpose| {
        let copies = doors.copies(purpose);
        copies.map_err(|error| ServeError::system("using the sockets that are open", &error))
    };
    let admin = open(Use::Admin)?;
    let serves = if admin.is_empty() { Serves::Everything } else { Serves::Webhooks };
    let mut list = vec![Listener { bind: Bind::Open(open(Use::Listen)?), serves, tls }];
    if !admin.is_empty() {
        list.push(Listener { bind: Bind::Open(admin), serves: Serves::Fallback, tls: None });
    }
    Ok(list)
}

/// The sockets that systemd hands over, which replace the configured addresses in their order:
/// receiving first, management second.
pub(super) fn activated() -> Result<Vec<TcpListener>, ServeError> {
    let mut handed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for at in 0..handed.len() {
        let taken = handed
            .take_tcp_listener(at)
            .map_err(|error| ServeError::system("taking over a socket", &error))?;
        sockets.extend(taken);
    }
    Ok(sockets)
}

/// Tells systemd how the gateway is doing, if it asked to be told.
pub(super) fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let told = std::os::unix::net::UnixDatagram::unbound()
        .and_then(|socket| socket.send_to(state.as_bytes(), path));
    if let Err(error) = told {
        tracing::warn!(error = %error, state, "systemd could not be told");
    }
}
