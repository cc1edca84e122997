//! How far the start of a host is, and how long its steps may take.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::ledger::HostRecord;

/// How long the steps may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a machine runs, or has ended.
    pub provision: Duration,
    /// From then until it has an address, which some get a moment later.
    pub address: Duration,
    /// From then until its host answers.
    pub boot: Duration,
    /// Between two looks at a machine; the first ones come sooner.
    pub pause: Duration,
}

impl Limits {
    /// Looks at what has just been asked for, which may be there at once.
    pub(super) fn looks(&self) -> Looks {
        Looks { next: self.pause / 8, longest: self.pause }
    }
}

/// Pauses between looks, each twice as long as the one before, up to the longest.
#[derive(Debug)]
pub(super) struct Looks {
    next: Duration,
    longest: Duration,
}

impl Looks {
    /// Waits until the next look.
    pub(super) async fn pause(&mut self) {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        sleep(pause).await;
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            provision: Duration::from_secs(420),
            address: Duration::from_secs(30),
            boot: Duration::from_secs(420),
            pause: Duration::from_secs(1),
        }
    }
}

/// How far a start is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// All that it needs is settled, and written down.
    Prepared,
    /// The provider was asked for it.
    Requested,
    /// Its machine runs.
    Running,
    /// Its host was contacted.
    Reachable,
    /// Its host serves.
    Ready,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepared => "prepared",
            Self::Requested => "requested",
            Self::Running => "its machine runs",
            Self::Reachable => "contacted",
            Self::Ready => "ready",
        })
    }
}

/// Is told how far the start of a host is.
pub type Watch = Arc<dyn Fn(&HostRecord, Phase) + Send + Sync>;

/// Is told at which URL there is no host of ours any more.
pub type Forget = Arc<dyn Fn(&str) + Send + Sync>;
