//! What a server is told at its start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use apyfal_core::Secret;
use apyfal_engines::Registry;
use apyfal_storage::Storage;

use crate::access::LocalUsers;
use crate::lease::Lease;

/// Where and how to serve.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// Where sessions, results and the journal live.
    pub data_dir: PathBuf,
    /// The accelerators.
    pub registry: Registry,
    /// The storages that the host reads and writes by itself.
    pub storage: Storage,
    /// What a client means that names no accelerator.
    pub default_accelerator: Option<String>,
    /// What clients must present where a listener asks for it.
    pub token: Option<Secret>,
    /// The certificate of listeners that encrypt.
    pub identity: Option<apyfal_tls::Identity>,
    /// Whether REST v1.0, whose clients have no token, is served off loopback.
    pub rest_v1: bool,
    /// Names of this host, beside its own and `localhost`, by which clients without the token may
    /// call it on loopback: those that a proxy in front of it passes on.
    pub names: Vec<String>,
    /// Who is served on loopback where no token is asked for, beside the host's own user and root.
    pub local_users: LocalUsers,
    /// How many cores jobs may keep busy; all where it is none.
    pub threads: Option<std::num::NonZeroUsize>,
    /// Bounds.
    pub limits: Limits,
    /// How long the host may live without its owner.
    pub lease: Lease,
}

/// An address to listen on, and how. Off loopback both are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// Whether clients must present the token.
    pub token: bool,
}

/// Bounds on what clients can make the host do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many jobs may wait for a slot.
    pub waiting: usize,
    /// How many connections may be open.
    pub connections: usize,
    /// How many bytes results may take on disk.
    pub scratch: u64,
    /// How many results may be kept.
    pub results: usize,
    /// How long a result waits to be fetched.
    pub result_ttl: Duration,
    /// How long a job may take; none is for ever.
    pub job_timeout: Option<Duration>,
    /// How long a client may be silent while a job waits for it.
    pub client_timeout: Duration,
    /// How long a client may leave untouched what an answer has for it.
    pub take_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting: 10_000,
            connections: 4096,
            scratch: 64 << 30,
            results: 100_000,
            result_ttl: Duration::from_secs(24 * 3600),
            job_timeout: None,
            client_timeout: Duration::from_secs(10),
            take_timeout: Duration::from_secs(3600),
        }
    }
}

/// The longest JSON of a request, in bytes.
pub(crate) const REQUEST_LIMIT: usize = 16 << 20;
/// How deep the JSON of a request may be nested.
pub(crate) const JSON_DEPTH: usize = 64;
