//! What may be reached: which URLs are well formed, and which addresses are allowed.
//!
//! Trust follows the origin of a URL. What the operator wrote in the file may reach private
//! addresses ([`AddressPolicy::operator`]); what came through the API may reach only globally
//! routable unicast addresses, plus networks that the operator opened ([`AddressPolicy::public`]).
//!
//! Invariants:
//! - A URL is parsed once. The raw text is refused first if it has anything that parsers disagree
//!   on (control characters, backslashes, credentials, percent signs in the host, `http:host`), so
//!   that what was checked is what is dialled.
//! - Addresses are allowed by shape: IPv6 only inside 2000::/3 without its special blocks, IPv4
//!   only outside the special-purpose registry; embedded IPv4 is unwrapped before it is judged.
//! - All refusals that depend on where a target leads share one public text.
//!
//! Absent: resolving names (`connect` does, and asks [`AddressPolicy::check_address`] about every
//! answer). Next: `address` for the tables, `target` for the parsing.

mod address;
mod target;

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};

pub use address::AddressVerdict;
pub use target::{Target, TargetHost, TargetRefused};

/// Ports that a public endpoint may not name although they are above 1023: databases, caches and
/// control planes that would take a webhook for a command. Below 1024 only 80 and 443 are allowed.
pub const DEFAULT_DENIED_PORTS: [u16; 14] =
    [2375, 2376, 2379, 3306, 3389, 5432, 5984, 6379, 6443, 8500, 9200, 10250, 11211, 27017];

/// How often an event may pass from gateway to gateway before it is taken for a loop.
pub const MAX_HOPS: u32 = 5;

/// Who may reach what. Cheap to share in an `Arc`; one per origin of trust, not one per request.
#[derive(Debug, Clone)]
pub struct AddressPolicy {
    trust: Trust,
}

#[derive(Debug, Clone)]
enum Trust {
    Operator,
    Public(PublicRules),
}

#[derive(Debug, Clone)]
struct PublicRules {
    allow_networks: Vec<IpNet>,
    denied_ports: Vec<u16>,
    own_hosts: Vec<String>,
    nat64_prefix: Option<Ipv6Net>,
}

impl AddressPolicy {
    /// For endpoints of the operator's own file: any unicast address and any port, http or https.
    /// Malformed URLs, credentials and control characters are refused all the same.
    pub fn operator() -> Self {
        Self { trust: Trust::Operator }
    }

    /// For everything that came through the API.
    ///
    /// `allow_networks` are private networks the operator opened (a metadata address only if named
    /// exactly, as a /32 or /128); `denied_ports` is usually [`DEFAULT_DENIED_PORTS`]; `own_hosts`
    /// are the gateway's own public host names, refused as loops; `nat64_prefix` is the network's
    /// NAT64 prefix (RFC 6052), whose addresses are judged by the IPv4 address inside.
    pub fn public(
        allow_networks: &[IpNet],
        denied_ports: &[u16],
        own_hosts: &[String],
        nat64_prefix: Option<Ipv6Net>,
    ) -> Self {
        let own_hosts = own_hosts.iter().map(|host| target::comparable_name(host)).collect();
        Self {
            trust: Trust::Public(PublicRules {
                allow_networks: allow_networks.to_vec(),
                denied_ports: denied_ports.to_vec(),
                own_hosts,
                nat64_prefix,
            }),
        }
    }

    /// Whether this is the policy for what came through the API.
    pub fn is_public(&self) -> bool {
        matches!(self.trust, Trust::Public(_))
    }

    /// Parses and checks a URL, when it is saved and again when it is used. A literal address is
    /// judged here; a name is judged by its shape here and by its addresses when it is resolved.
    pub fn check_url(&self, raw: &str) -> Result<Target, TargetRefused> {
        let target = Target::parse(raw)?;
        self.check_target(&target)?;
        Ok(target)
    }

    /// Checks an already parsed target, perhaps made under another policy, against this one.
    pub fn check_target(&self, target: &Target) -> Result<(), TargetRefused> {
        if target.port() == 0 {
            return Err(TargetRefused::PortNotAllowed);
        }
        match target.host() {
            TargetHost::Address(address) => {
                if !self.check_address(*address).is_allowed() {
                    return Err(TargetRefused::AddressNotAllowed);
                }
            }
            TargetHost::Name(name) => {
                if self.is_public() && target::is_internal_name(name) {
                    return Err(TargetRefused::InternalName);
                }
            }
        }
        if let Trust::Public(rules) = &self.trust {
            if rules.refuses_port(target.port()) {
                return Err(TargetRefused::PortNotAllowed);
            }
            let host = target.host().to_string();
            let host = target::comparable_name(&host);
            if rules.own_hosts.contains(&host) {
                return Err(TargetRefused::OwnHost);
            }
        }
        Ok(())
    }

    /// Judges one address: the answer of a resolver, a literal, or a connected peer.
    pub fn check_address(&self, address: IpAddr) -> AddressVerdict {
        match &self.trust {
            Trust::Operator => address::judge_for_operator(address),
            Trust::Public(rules) => {
                address::judge_for_public(address, &rules.allow_networks, rules.nat64_prefix)
            }
        }
    }
}

impl PublicRules {
    fn refuses_port(&self, port: u16) -> bool {
        let usual = matches!(port, 80 | 443) || port >= 1024;
        !usual || self.denied_ports.contains(&port)
    }
}
