//! Which host to use, and how.

use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Result, Secret};
use apyfal_tls::{Trust, client_config};
use rustls::ClientConfig;

/// How long a call goes on trying where a host is busy, restarts or cannot be reached.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a host that has work may give no answer at all before it hangs.
const HANGS: Duration = Duration::from_secs(30);
/// How many idle connections to a host are kept.
pub(super) const KEPT: usize = 256;

/// Which host to use, and how.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// `http(s)://host:port` or `host:port`, where the port may be missing.
    pub url: String,
    /// The token that the host asks for.
    pub token: Option<Secret>,
    /// How to know the host. Where this is none it is known by its name and the authorities that
    /// this system trusts.
    pub trust: Option<Trust>,
    /// Never encrypt, even where that shows the token to the network.
    pub plain: bool,
    /// Whether the host is known to exist, so that it is waited for where it does not answer.
    pub is_known: bool,
    /// How long a call goes on trying where the host is busy, restarts or cannot be reached.
    pub patience: Duration,
    /// How long the host may give no answer at all before it hangs. A pool then runs its jobs on
    /// another host as well, where they may run again and their result comes back here.
    pub hangs_after: Duration,
    /// What else to say where it was never reached.
    pub advice: Option<String>,
}

impl RemoteOptions {
    /// The host at an address, used without a token.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            trust: None,
            plain: false,
            is_known: false,
            patience: PATIENCE,
            hangs_after: HANGS,
            advice: None,
        }
    }
}

/// What the hosts of a pool share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// How many idle connections each may keep.
    pub(super) kept: usize,
    /// How those are known that this system's authorities vouch for, who are read once.
    system: Option<Arc<ClientConfig>>,
}

impl Shared {
    /// For hosts of which each may keep so many idle connections.
    pub(crate) fn keeping(kept: usize) -> Self {
        Self { kept: kept.min(KEPT), system: None }
    }

    /// How to know a host.
    pub(super) fn tls(&mut self, trust: Option<&Trust>) -> Result<Arc<ClientConfig>> {
        let made = |trust: &Trust| client_config(trust, &[b"http/1.1"]);
        match (trust, &self.system) {
            (None | Some(Trust::System), Some(system)) => Ok(system.clone()),
            (None | Some(Trust::System), None) => {
                Ok(self.system.insert(made(&Trust::System)?).clone())
            }
            (Some(trust), _) => made(trust),
        }
    }
}
