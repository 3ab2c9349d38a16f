//! The sections that exist once: `[server]`, `[store]`, `[egress]` and `[log]`.
//!
//! Every setting here may also be given as `BECKET_<SECTION>_<KEY>`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use becket_model::Rate;
use ipnet::{IpNet, Ipv6Net};

use super::kinds::{ByteSize, HttpUrl, LogFormat, LogLevel};
use super::store_url::StoreUrl;
use super::table::table;

table! {
    /// How the gateway is reached.
    pub struct Server {
        /// Where webhooks are received; management too, unless `admin_listen` is set.
        listen: SocketAddr = "127.0.0.1:8080",
        /// Where management (API, health, metrics) listens, if not on `listen`.
        admin_listen: Option<SocketAddr>,
        /// The address under which senders reach this gateway. Signatures that cover the URL are
        /// checked against it, never against the Host header.
        public_url: Option<HttpUrl>,
        /// With a store on PostgreSQL, where this machine keeps what is its own: the admin token if it
        /// was made here, certificates of ACME, locks of programs. Each process needs one of its own.
        /// With SQLite all that is in the store's folder.
        folder: PathBuf = "data",
        /// How many threads work; as many as there are processors if absent.
        threads: Option<u16>,
        /// Networks of reverse proxies whose X-Forwarded-For is believed.
        trusted_proxies: Vec<IpNet>,
        /// How many connections may be open at the same time.
        connections_max: u32 = "20000",
        /// How many of them may come from one address; loopback and trusted proxies are exempt.
        connections_per_address_max: u32 = "256",
        /// How long a request's headers may take to arrive.
        header_timeout: Duration = "10s",
        /// How long the body may pause while it arrives.
        body_idle_timeout: Duration = "10s",
        /// How long a request may take to arrive in all.
        request_timeout: Duration = "30s",
        /// How long requests and attempts in flight may take to finish when the gateway is stopped.
        shutdown_grace: Duration = "30s",
        /// How many requests that are not proven genuine one address may send.
        unverified_rate_limit: Rate = "100/s",
        /// How many of them it may send at once.
        unverified_burst: u32 = "500",
        /// HTTPS with a certificate from files, which are read again when they change.
        tls: Option<Tls>,
        /// HTTPS with a certificate from an ACME authority.
        acme: Option<Acme>,
    }
}

table! {
    /// HTTPS with a certificate from files.
    pub struct Tls {
        /// The certificate and the chain below it, as PEM.
        cert_file: PathBuf,
        /// The private key, as PEM.
        key_file: PathBuf,
    }
}

table! {
    /// HTTPS with a certificate from an ACME authority.
    pub struct Acme {
        /// The authority's directory.
        directory_url: HttpUrl = "https://acme-v02.api.letsencrypt.org/directory",
        /// Where the authority may write to, such as `mailto:ops@example.com`.
        contact: Vec<String>,
        /// The host names of the certificate.
        domains: Vec<String>,
        /// Where the authority's questions over plain HTTP are answered; it asks on port 80.
        challenge_listen: SocketAddr = "0.0.0.0:80",
        /// A root certificate as PEM, if the authority itself is not publicly trusted.
        ca_file: Option<PathBuf>,
    }
}

table! {
    /// Where events are kept, and for how long.
    pub struct Store {
        /// `sqlite:` and a folder, made if it is missing; or `postgres://USER:PASSWORD@HOST/DATABASE`,
        /// which several nodes may share. Where nothing says it, systemd's `STATE_DIRECTORY` does,
        /// and without that `sqlite:data`. Parameters: `schema` (`becket` if absent), `sslmode`,
        /// `sslrootcert`. Several hosts may be named, separated by commas: the primary is found.
        url: StoreUrl = "sqlite:data",
        /// With PostgreSQL, how many connections for calls there may be, besides the few that commit
        /// and listen.
        connections: u32 = "16",
        /// With less free space than this, requests are answered with 503. SQLite only.
        min_free: ByteSize = "512MiB",
        /// How much the store may grow to; the oldest finished events go first.
        cap: ByteSize = "20GiB",
        /// How long finished events are kept.
        retention: Retention,
        /// After how many events a new segment file begins; the store's own choice if absent. SQLite
        /// only, as the next.
        segment_events: Option<u32>,
        /// After how many bytes a new segment file begins; the store's own choice if absent.
        segment_bytes: Option<ByteSize>,
    }
}

table! {
    /// How long finished events are kept.
    pub struct Retention {
        /// Events whose deliveries have all succeeded.
        delivered: Duration = "30d",
        /// Events with a delivery that failed for good.
        failed: Duration = "90d",
    }
}

table! {
    /// How deliveries leave.
    pub struct Egress {
        /// Private networks that endpoints made through the API may reach, such as `10.0.0.0/8`.
        /// Endpoints of this file may reach any.
        allow_networks: Vec<IpNet>,
        /// Further root certificates as PEM, for endpoints with certificates of your own authority.
        ca_file: Option<PathBuf>,
        /// How many attempts are made at the same time.
        concurrency: u32 = "256",
        /// The network's NAT64 prefix, if it has one.
        nat64_prefix: Option<Ipv6Net>,
        /// Ports that endpoints made through the API may not name.
        denied_ports: Vec<u16> =
            "2375, 2376, 2379, 3306, 3389, 5432, 5984, 6379, 6443, 8500, 9200, 10250, 11211, 27017",
    }
}

table! {
    /// What the API shows to strangers.
    pub struct Api {
        /// Whether the event catalogue at `/catalogue` can be read without a token.
        publish_event_catalogue: bool = "false",
    }
}

table! {
    /// The log of who did what.
    pub struct Audit {
        /// How long an entry is kept.
        retention: Duration = "400d",
    }
}

table! {
    /// What is logged.
    pub struct Log {
        /// `auto` is `human` on a terminal and `json` otherwise.
        format: LogFormat = "auto",
        /// `error`, `warn`, `info`, `debug` or `trace`.
        level: LogLevel = "info",
    }
}
