//! Listeners: addresses that are bound here, or sockets that systemd hands over.
//!
//! A socket that systemd holds stays open while the gateway is restarted: connections that arrive
//! in between wait in it and none is refused.

use std::net::{SocketAddr, TcpListener};

use becket_ingress::server::{Bind, Listener, Serves};
use listenfd::ListenFd;

use super::ServeError;
use super::tls::Served;
use crate::config::Server;

/// The listeners of a configuration. Handed-over sockets replace the configured addresses, in
/// their order: receiving first, management second.
pub(super) fn listeners(
    server: &Server,
    tls: Option<Served>,
) -> Result<(Vec<Listener>, bool), ServeError> {
    let mut handed = handed_over()?.into_iter();
    let inherited = handed.len() > 0;
    let mut bind = |address: SocketAddr| match handed.next() {
        Some(socket) => Bind::Inherited(socket),
        None => Bind::Address(address),
    };
    let list = match server.admin_listen {
        None => vec![Listener { bind: bind(server.listen), serves: Serves::Everything, tls }],
        Some(admin) => vec![
            Listener { bind: bind(server.listen), serves: Serves::Webhooks, tls },
            Listener { bind: bind(admin), serves: Serves::Fallback, tls: None },
        ],
    };
    Ok((list, inherited))
}

fn handed_over() -> Result<Vec<TcpListener>, ServeError> {
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
