//! What the network says: whether the public address leads here, its certificate, and whether
//! endpoints take connections.

use std::sync::Arc;

use becket_develop::doctor::clock::{self, Reading};
use becket_develop::doctor::{Finding, certificate, counted};
use becket_egress::policy::{AddressPolicy, Target, TargetHost};
use becket_egress::{AttemptError, AttemptOutcome, Egress, EgressConfig, OutboundRequest, Probe};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Method};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use super::gateway::{self, Online};
use super::{DoctorArgs, Facts};
use crate::cli::now_s;
use crate::cli::online::show;
use crate::config::Config;

/// Endpoints that are connected to at the same time.
const TOGETHER: usize = 8;

/// Looks at the public address; gives the clock that its answer told, if it was another's.
pub(super) async fn public(facts: &mut Facts, args: &DoctorArgs, online: &Online) -> Vec<Reading> {
    const CHECK: &str = "public_url";
    if facts.loaded.is_none() {
        return Vec::new();
    }
    let Some(url) = facts.config.server.public_url.clone() else {
        facts.add(
            Finding::note(
                CHECK,
                "none is set: receiving URLs begin with the address of the listener",
            )
            .advise("set [server] public_url to the address that senders reach"),
        );
        return Vec::new();
    };
    let base = url.as_str().trim_end_matches('/').to_owned();
    let policy = Arc::new(AddressPolicy::operator());
    let (Ok(target), Some(nonce)) = (policy.check_url(&format!("{base}/")), nonce(facts)) else {
        facts.add(Finding::problem(CHECK, format!("{base} cannot be used")));
        return Vec::new();
    };
    let Some(egress) = egress(facts) else { return Vec::new() };
    let probe = egress.probe(&target, &policy, args.timeout * 1_000).await;
    if let Some(error) = probe.error {
        facts.add(unreached(CHECK, &base, error));
        return Vec::new();
    }
    facts.add(is_public(&base, &target, &probe));
    facts.add(tls("tls", &target, &probe));
    let path = format!("{}?nonce={nonce}", becket_ingress::server::IDENTITY_PATH);
    let here = match gateway::text(&online.client, &path).await {
        Ok(here) => here,
        Err(failure) => {
            facts.add(Finding::skipped("this_gateway", failure.to_string().replace('\n', "; ")));
            return Vec::new();
        }
    };
    let Ok(asked) = policy.check_url(&format!("{base}{path}")) else { return Vec::new() };
    let asked_at_ms = now_ms();
    let there = egress.send(question(asked, policy, args)).await;
    let (finding, reading) = same(&base, &here, &there, (asked_at_ms, now_ms()));
    facts.add(finding);
    reading.into_iter().collect()
}

fn nonce(facts: &mut Facts) -> Option<String> {
    let mut random = [0; 24];
    match getrandom::fill(&mut random) {
        Ok(()) => Some(hex::encode(random)),
        Err(error) => {
            facts.add(Finding::skipped("this_gateway", format!("no random numbers: {error}")));
            None
        }
    }
}

/// The way out, with the authorities that the configuration adds.
fn egress(facts: &mut Facts) -> Option<Egress> {
    const CHECK: &str = "network";
    let roots = match &facts.config.egress.ca_file {
        None => Vec::new(),
        Some(file) => {
            let read = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            match read {
                Ok(roots) => roots,
                Err(error) => {
                    facts.add(
                        Finding::problem(CHECK, format!("{}: {error}", file.display()))
                            .advise("[egress] ca_file has to be certificates as PEM"),
                    );
                    return None;
                }
            }
        }
    };
    match Egress::new(EgressConfig { extra_root_certs: roots, ..EgressConfig::default() }) {
        Ok(egress) => Some(egress),
        Err(error) => {
            facts.add(Finding::problem(CHECK, error.to_string()));
            None
        }
    }
}

fn question(target: Target, policy: Arc<AddressPolicy>, args: &DoctorArgs) -> OutboundRequest {
    OutboundRequest {
        pool_key: 1,
        method: Method::GET,
        target: Arc::new(target),
        policy,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout_ms: args.timeout * 1_000,
        connect_timeout_ms: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "the command line is where time comes in")]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn unreached(check: &'static str, what: &str, error: AttemptError) -> Finding {
    let finding = Finding::problem(check, format!("{what}: {error}"));
    match error {
        AttemptError::DnsNotFound | AttemptError::DnsFailed | AttemptError::DnsTimeout => {
            finding.advise("make the DNS record, or correct the name")
        }
        AttemptError::ConnectRefused | AttemptError::ConnectTimeout | AttemptError::ConnectFailed => {
            finding
                .advise("see that something listens there, and that no firewall is in between")
                .advise("some routers do not let a machine reach its own public address: try from elsewhere")
        }
        AttemptError::TlsExpired
        | AttemptError::TlsNotYetValid
        | AttemptError::TlsWrongHost
        | AttemptError::TlsUnknownIssuer
        | AttemptError::TlsCertificateInvalid => finding
            .advise("senders refuse it too: put the right certificate there, with its whole chain"),
        _ => finding,
    }
}

/// Whether strangers can reach the address at all.
fn is_public(base: &str, target: &Target, probe: &Probe) -> Finding {
    const CHECK: &str = "public_url";
    let address = probe.remote_address.map(|address| address.ip());
    let name = matches!(target.host(), TargetHost::Name(_));
    let to = match address.filter(|_| name) {
        Some(address) => format!("{base} ({address})"),
        None => base.to_owned(),
    };
    let everywhere = AddressPolicy::public(&[], &[], &[], None);
    if address.is_some_and(|address| !everywhere.check_address(address).is_allowed()) {
        return Finding::note(CHECK, format!("{to} answers, and only on this network"))
            .advise("for senders on the internet it takes a public address, or a tunnel to here");
    }
    Finding::fine(CHECK, format!("{to} answers"))
}

fn tls(check: &'static str, target: &Target, probe: &Probe) -> Finding {
    let Some(version) = probe.tls_version else {
        let is_near =
            matches!(target.host(), TargetHost::Address(address) if address.is_loopback());
        let says =
            "the public address is plain http: anybody on the way can read and change events";
        return match is_near {
            true => Finding::note(check, "plain http, on this machine"),
            false => Finding::warning(check, says).advise(
                "[server.acme] gets a certificate by itself, [server.tls] takes one from files",
            ),
        };
    };
    let chain: Vec<&[u8]> = probe.certificates.iter().map(AsRef::as_ref).collect();
    certificate::judge(check, &chain, version, now_s())
}

/// Whether both ways led to the same process, and what another's clock said on the second.
fn same(
    base: &str,
    here: &str,
    there: &AttemptOutcome,
    (asked_at_ms, answered_at_ms): (i64, i64),
) -> (Finding, Option<Reading>) {
    const CHECK: &str = "this_gateway";
    let header = |name: &str| {
        let found = there.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    // What passed a proxy bears the proxy's time; our own would always agree with itself.
    let by_proxy = header("server").is_some() || header("via").is_some();
    let date = header("date").and_then(|text| {
        let parsed = jiff::fmt::rfc2822::parse(&text).ok()?;
        Some(parsed.timestamp().as_second())
    });
    let reading = date.filter(|_| by_proxy).map(|date_s| Reading {
        whose: base.to_owned(),
        ahead_s: clock::ahead_s(asked_at_ms, answered_at_ms, date_s),
    });
    let answered = String::from_utf8_lossy(&there.body).trim().to_owned();
    let is_answer = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let finding = match (there.status, there.error) {
        (Some(200), None) if answered == here.trim() => {
            Finding::fine(CHECK, format!("{base} leads to this very gateway"))
        }
        (Some(200), None) if is_answer(&answered) => {
            Finding::problem(CHECK, format!("{base} leads to another gateway")).advise(
                "an old instance, or a second one behind the same name? Events go there, not here",
            )
        }
        (Some(status), None) if (300..400).contains(&status) => {
            Finding::problem(CHECK, format!("{base} answers {status}, a redirect"))
                .advise("most senders do not follow redirects: register the address it leads to")
        }
        (Some(status), None) => {
            Finding::problem(CHECK, format!("{base} answers {status}: something else is there"))
                .advise("see that the proxy passes /in/ on to this gateway, unchanged")
        }
        (_, error) => {
            let error = error.unwrap_or(AttemptError::ClosedEarly);
            Finding::problem(CHECK, format!("{base}: {error}"))
        }
    };
    (finding, reading)
}

/// Connects to every endpoint, and sends nothing.
pub(super) async fn endpoints(facts: &mut Facts, args: &DoctorArgs, online: &Online) {
    const CHECK: &str = "endpoints";
    let Some(egress) = egress(facts) else { return };
    let operator = Arc::new(AddressPolicy::operator());
    let public = Arc::new(public_policy(&facts.config));
    let wanted: Vec<&Value> = online
        .endpoints
        .iter()
        .filter(|endpoint| endpoint["state"] != "disabled")
        .filter(|endpoint| show::field(endpoint, "/url").is_some_and(|url| url.starts_with("http")))
        .collect();
    let probed: Vec<(String, Finding)> = futures_util::stream::iter(&wanted)
        .map(|endpoint| {
            let trusted = endpoint["origin"] == "file" || endpoint["allowPrivate"] == true;
            let policy = if trusted { &operator } else { &public };
            one(endpoint, &egress, policy, args)
        })
        .buffered(TOGETHER)
        .collect()
        .await;
    let fine = probed
        .iter()
        .filter(|(_, finding)| finding.level == becket_develop::doctor::Level::Fine)
        .count() as u64;
    let from = if online.is_here() { "" } else { ", seen from this machine" };
    if fine > 0 {
        let take = if fine == 1 { "takes" } else { "take" };
        facts.add(Finding::fine(
            CHECK,
            format!("{} {take} connections{from}", counted(fine, "endpoint")),
        ));
    }
    for (_, finding) in probed {
        if finding.level != becket_develop::doctor::Level::Fine {
            facts.add(finding);
        }
    }
}

/// What endpoints that were made through the API may reach.
fn public_policy(config: &Config) -> AddressPolicy {
    let own: Vec<String> = config
        .server
        .public_url
        .iter()
        .filter_map(|url| url.as_str().parse::<http::Uri>().ok())
        .filter_map(|url| url.host().map(str::to_owned))
        .collect();
    let egress = &config.egress;
    AddressPolicy::public(&egress.allow_networks, &egress.denied_ports, &own, egress.nat64_prefix)
}

async fn one(
    endpoint: &Value,
    egress: &Egress,
    policy: &Arc<AddressPolicy>,
    args: &DoctorArgs,
) -> (String, Finding) {
    const CHECK: &str = "endpoints";
    let name = gateway::name(endpoint);
    let url = show::field(endpoint, "/url").unwrap_or_default();
    let target = match policy.check_url(url) {
        Ok(target) => target,
        Err(refused) => {
            let finding = Finding::problem(CHECK, format!("`{name}`: {refused}"))
                .advise("change its url, or open the network with [egress] allow_networks");
            return (name, finding);
        }
    };
    let probe = egress.probe(&target, policy, args.timeout * 1_000).await;
    let place = target.without_query();
    let finding = match probe.error {
        Some(error) => {
            let finding = Finding::problem(CHECK, format!("`{name}` at {place}: {error}"));
            finding.advise("its events wait and are tried again; see that the handler runs")
        }
        None => match probe.tls_version {
            None => Finding::fine(CHECK, place),
            Some(_) => {
                let judged = tls(CHECK, &target, &probe);
                Finding { says: format!("`{name}`: {}", judged.says), ..judged }
            }
        },
    };
    (name, finding)
}
