//! From a target to a connected stream: resolve, check every address, dial only those, check the
//! peer, then TLS.
//!
//! A name with even one refused address is refused whole: a mixed answer is an attack or a mistake,
//! and trying the good half would turn the resolver's order into the policy. One deadline covers
//! all phases; the phase it falls in names the error.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::client_tls::ClientTls;
use crate::outcome::{AttemptError, Timings};
use crate::policy::{AddressPolicy, Target, TargetHost};
use crate::resolve::{Resolve, ResolveError};
use crate::stream::{Transport, elapsed_us};

/// How long one address may take before the next is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);
/// How many addresses are dialled; all of them are checked.
const MAX_DIALLED: usize = 8;

/// A connected stream and whom it is connected to.
pub(crate) struct Dialled {
    pub(crate) transport: Transport,
    pub(crate) remote: SocketAddr,
}

/// Opens a connection to `target` by `deadline`, noting in `timings` and `remote` how far it came.
pub(crate) async fn dial(
    resolver: &dyn Resolve,
    tls: &ClientTls,
    target: &Target,
    policy: &AddressPolicy,
    deadline: Instant,
    timings: &mut Timings,
) -> Result<Dialled, AttemptError> {
    let started = Instant::now();
    let addresses = checked_addresses(resolver, target, policy, deadline).await;
    if matches!(target.host(), TargetHost::Name(_)) {
        timings.dns_us = elapsed_us(started, Instant::now());
    }
    let addresses = addresses?;

    let connecting = Instant::now();
    let connected = timeout_at(deadline, race(&addresses)).await;
    timings.connect_us = elapsed_us(connecting, Instant::now());
    let stream = match connected {
        Err(_) => return Err(AttemptError::ConnectTimeout),
        Ok(Err(error)) => return Err(classify_connect(&error)),
        Ok(Ok(stream)) => stream,
    };
    let remote = stream.peer_addr().map_err(|_| AttemptError::ConnectFailed)?;
    if !addresses.contains(&remote) || !policy.check_address(remote.ip()).is_allowed() {
        tracing::warn!(%remote, "connected to an address that was not the one dialled");
        return Err(AttemptError::AddressRefused);
    }
    if !target.is_https() {
        let transport = Transport::Plain(stream);
        return Ok(Dialled { transport, remote });
    }

    let shaking = Instant::now();
    let secured = timeout_at(deadline, tls.connect(target, stream)).await;
    timings.tls_us = elapsed_us(shaking, Instant::now());
    let stream = secured.map_err(|_| AttemptError::TlsTimeout)??;
    let transport = Transport::Tls(Box::new(stream));
    Ok(Dialled { transport, remote })
}

/// The addresses to dial, in order; every address of the answer has been allowed.
async fn checked_addresses(
    resolver: &dyn Resolve,
    target: &Target,
    policy: &AddressPolicy,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, AttemptError> {
    let answer = match target.host() {
        TargetHost::Address(address) => vec![*address],
        TargetHost::Name(name) => match timeout_at(deadline, resolver.resolve(name)).await {
            Err(_) | Ok(Err(ResolveError::Timeout)) => return Err(AttemptError::DnsTimeout),
            Ok(Err(ResolveError::NotFound)) => return Err(AttemptError::DnsNotFound),
            Ok(Err(ResolveError::Failed(reason))) => {
                tracing::debug!(host = %name, reason, "name resolution failed");
                return Err(AttemptError::DnsFailed);
            }
            Ok(Ok(answer)) => answer,
        },
    };
    for address in &answer {
        let verdict = policy.check_address(*address);
        if !verdict.is_allowed() {
            // For the operator only: the outcome says no more than that it was refused.
            tracing::info!(
                host = %target.host(),
                %address,
                reason = verdict.code(),
                "endpoint resolves to an address that is not allowed"
            );
            return Err(AttemptError::AddressRefused);
        }
    }
    let port = target.port();
    let dialled: Vec<SocketAddr> = families_alternated(&answer)
        .into_iter()
        .take(MAX_DIALLED)
        .map(|address| SocketAddr::new(address, port))
        .collect();
    if dialled.is_empty() {
        return Err(AttemptError::DnsNotFound);
    }
    Ok(dialled)
}

/// The resolver's order, with the families taking turns from the family of the first answer on, so
/// that a dead IPv6 path costs one stagger and not eight.
fn families_alternated(answer: &[IpAddr]) -> Vec<IpAddr> {
    let canonical: Vec<IpAddr> = answer.iter().map(IpAddr::to_canonical).collect();
    let Some(first) = canonical.first() else {
        return Vec::new();
    };
    let (same, other): (Vec<IpAddr>, Vec<IpAddr>) =
        canonical.iter().partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut ordered = Vec::with_capacity(canonical.len());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    loop {
        let pair = (same.next(), other.next());
        if pair == (None, None) {
            return ordered;
        }
        ordered.extend(pair.0);
        ordered.extend(pair.1);
    }
}

/// Connects to the first address that answers; each next one is started when the one before failed
/// or has taken a while.
async fn race(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter();
    let mut running = FuturesUnordered::new();
    let mut failure: Option<io::Error> = None;
    let mut next_start = Instant::now();
    loop {
        if (running.is_empty() || Instant::now() >= next_start)
            && let Some(address) = waiting.next()
        {
            running.push(TcpStream::connect(*address));
            next_start = Instant::now() + STAGGER;
        }
        if running.is_empty() {
            // Reached only when every address has failed: the first failure tells most.
            return Err(failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
        }
        tokio::select! {
            biased;
            Some(connected) = running.next() => match connected {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => {
                    failure.get_or_insert(error);
                    next_start = Instant::now();
                }
            },
            () = sleep_until(next_start), if waiting.len() > 0 => {}
        }
    }
}

fn classify_connect(error: &io::Error) -> AttemptError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => AttemptError::ConnectRefused,
        io::ErrorKind::TimedOut => AttemptError::ConnectTimeout,
        _ => AttemptError::ConnectFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("a literal address")).collect()
    }

    #[test]
    fn families_take_turns_and_nothing_is_lost() {
        let answer = list(&["2000::1", "2000::2", "2000::3", "1.1.1.1", "::ffff:1.1.1.2"]);
        let expected = list(&["2000::1", "1.1.1.1", "2000::2", "1.1.1.2", "2000::3"]);
        assert_eq!(families_alternated(&answer), expected);
        assert!(families_alternated(&[]).is_empty());
    }
}
