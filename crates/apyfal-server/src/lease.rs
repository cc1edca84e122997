//! How long this host may live without its owner.
//!
//! A machine that is paid for by the hour must not outlive its use: it ends once nobody used it for
//! some time, or once its life is over, whatever its owner's own machine does meanwhile. Times are
//! those of the system since it was started, which nobody sets.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apyfal_api::v2;
use apyfal_core::{Error, ErrorKind, Result};
use apyfal_machine::private;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::host::Host;

const FILE: &str = "lease.json";
/// A system that was started again begins a new life.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// How often is looked whether it ran out.
const LOOK: Duration = Duration::from_millis(500);
/// How long running jobs may take to end once it did.
const DRAIN: Duration = Duration::from_secs(15 * 60);
/// No extension reaches further.
const FURTHEST: Duration = Duration::from_secs(v2::LeaseExtension::FURTHEST);

/// How long a host may live. Without limits it is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseLimits {
    /// How long it may be without jobs and clients.
    pub idle_timeout: Option<Duration>,
    /// How long it may live in all.
    pub max_lifetime: Option<Duration>,
}

/// The lease of this host.
#[derive(Debug)]
pub(crate) struct Lease {
    limits: LeaseLimits,
    path: PathBuf,
    /// When a client last asked for something.
    used: AtomicU64,
    life: Mutex<Life>,
}

/// What must outlive the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Life {
    boot: String,
    /// The limit that it was counted from.
    max_lifetime: Option<u64>,
    /// When it ends.
    ends: Option<u64>,
    /// Until when a client extended it, whatever the use.
    #[serde(default)]
    extended: u64,
}

impl Lease {
    /// Takes up the lease of this directory, or begins one. An agent that is started again does not
    /// begin a new life.
    ///
    /// # Errors
    /// It cannot be written down.
    pub(crate) fn open(directory: &Path, limits: LeaseLimits) -> Result<Self> {
        let path = directory.join(FILE);
        let now = now();
        let boot = std::fs::read_to_string(BOOT).unwrap_or_default().trim().to_owned();
        let max_lifetime = limits.max_lifetime.map(milliseconds);
        let before = std::fs::read(&path).ok();
        let before: Option<Life> = before.and_then(|text| serde_json::from_slice(&text).ok());
        let life = before.filter(|life| life.boot == boot && life.max_lifetime == max_lifetime);
        let new = || Life {
            boot,
            max_lifetime,
            ends: max_lifetime.map(|life| now.saturating_add(life)),
            extended: 0,
        };
        let life = life.unwrap_or_else(new);
        if limits != LeaseLimits::default() {
            life.write(&path)?;
        }
        Ok(Self { limits, path, used: AtomicU64::new(now), life: Mutex::new(life) })
    }

    /// A client asked for something.
    pub(crate) fn used(&self) {
        if self.limits.idle_timeout.is_some() {
            self.used.store(now(), Ordering::Relaxed);
        }
    }

    /// What is left, for clients. None where there are no limits.
    pub(crate) fn left(&self) -> Option<v2::Lease> {
        let (idle, life) = self.left_at(now());
        let seconds = |left: u64| left as f64 / 1000.0;
        (idle.is_some() || life.is_some()).then(|| v2::Lease {
            idle_timeout: self.limits.idle_timeout.map(|limit| limit.as_secs_f64()),
            idle_left: idle.map(seconds),
            max_lifetime: self.limits.max_lifetime.map(|limit| limit.as_secs_f64()),
            life_left: life.map(seconds),
        })
    }

    /// Lets the host live for so long from now, if it would have ended before.
    ///
    /// # Errors
    /// There is no end to move, it is too far, or it cannot be written down.
    pub(crate) fn extend(&self, time: Duration) -> Result<()> {
        let doing = "extend the lease";
        if self.limits == LeaseLimits::default() {
            return Err(
                Error::new(ErrorKind::Conflict, "this host lives for ever").operation(doing)
            );
        }
        if time > FURTHEST {
            return Err(
                Error::new(ErrorKind::Usage, "a lease is of one year at most").operation(doing)
            );
        }
        let until = now().saturating_add(milliseconds(time));
        // Held until it is on the disk: of two who extend it the longer one is remembered.
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let extended = Life {
            ends: life.ends.map(|ends| ends.max(until)),
            extended: life.extended.max(until),
            ..life.clone()
        };
        extended.write(&self.path)?;
        *life = extended;
        Ok(())
    }

    /// Milliseconds until it is idle for too long, and until its life is over.
    fn left_at(&self, now: u64) -> (Option<u64>, Option<u64>) {
        let used = self.used.load(Ordering::Relaxed);
        let life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = self.limits.idle_timeout.map(|limit| {
            used.saturating_add(milliseconds(limit)).max(life.extended).saturating_sub(now)
        });
        (idle, life.ends.map(|ends| ends.saturating_sub(now)))
    }
}

impl Life {
    fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(std::io::Error::from);
        text.and_then(|text| private::replace(path, &text))
            .map_err(|error| Error::from(error).operation("write the lease down"))
    }
}

impl Host {
    /// Ends once the lease ran out, when no job runs and none is taken any more.
    pub(crate) async fn lease_ended(self: Arc<Self>) {
        if self.lease.limits == LeaseLimits::default() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(LOOK).await;
            if self.is_in_use() {
                self.lease.used();
            }
            match self.lease.left_at(now()) {
                (_, Some(0)) => break self.logs.host("the life of this host is over"),
                (Some(0), _) => {
                    // From here on nothing comes in between.
                    self.draining.send_replace(true);
                    if !self.is_in_use() {
                        break self.logs.host("nobody used this host for too long");
                    }
                    self.draining.send_replace(false);
                }
                _ => {}
            }
        }
        self.draining.send_replace(true);
        let begun = tokio::time::Instant::now();
        while self.is_in_use() && begun.elapsed() < DRAIN {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since the system was started, those that it slept included.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const LIMITS: LeaseLimits = LeaseLimits { idle_timeout: Some(HOUR), max_lifetime: Some(HOUR) };

    #[test]
    fn an_agent_that_starts_again_begins_no_new_life() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lease::open(directory.path(), LIMITS).unwrap();
        let ends = first.life.lock().unwrap().ends;
        assert!(ends.is_some());
        let again = Lease::open(directory.path(), LIMITS).unwrap();
        assert_eq!(again.life.lock().unwrap().ends, ends);
        // Another system, or another limit, is another life.
        let longer = LeaseLimits { max_lifetime: Some(2 * HOUR), ..LIMITS };
        let other = Lease::open(directory.path(), longer).unwrap();
        assert!(other.life.lock().unwrap().ends > ends);
        let text = std::fs::read_to_string(directory.path().join(FILE)).unwrap();
        let text = text.replace("\"boot\":\"", "\"boot\":\"x").replace("\"ends\":", "\"ends\":1");
        std::fs::write(directory.path().join(FILE), text).unwrap();
        let (_, life) = Lease::open(directory.path(), longer).unwrap().left_at(now());
        assert!(life.unwrap() <= milliseconds(2 * HOUR));
    }

    #[test]
    fn it_runs_out_and_can_be_extended() {
        let directory = tempfile::tempdir().unwrap();
        let lease = Lease::open(directory.path(), LIMITS).unwrap();
        let later = now() + milliseconds(2 * HOUR);
        assert_eq!(lease.left_at(later), (Some(0), Some(0)));
        lease.extend(3 * HOUR).unwrap();
        let (idle, life) = lease.left_at(later);
        assert!(idle.unwrap() > 0 && life.unwrap() > 0);
        lease.extend(Duration::from_secs(1)).unwrap();
        assert!(lease.left_at(later).1.unwrap() > 0, "it is never made shorter");
        let again = Lease::open(directory.path(), LIMITS).unwrap();
        assert!(again.left_at(later).1.unwrap() > 0, "an extension outlives the agent");
        assert!(lease.extend(FURTHEST + HOUR).is_err());
    }

    #[test]
    fn without_limits_there_is_no_lease() {
        let directory = tempfile::tempdir().unwrap();
        let lease = Lease::open(directory.path(), LeaseLimits::default()).unwrap();
        assert_eq!(lease.left(), None);
        assert_eq!(lease.extend(HOUR).unwrap_err().kind(), ErrorKind::Conflict);
        assert!(!directory.path().join(FILE).exists());
    }
}
