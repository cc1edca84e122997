//! How long this host may live without its owner.
//!
//! A machine that is paid for by the hour must not outlive its use: it ends once nobody used it for
//! some time, or once its life is over, whatever its owner's own machine does meanwhile. Times are
//! those of the system since it was started, which nobody sets.
//!
//! The agent ends by itself when its lease runs out. It also writes the lease down, so that
//! `apyfal-end`, a timer of the machine, ends the machine where the agent is killed, cannot start or
//! is no longer itself.

mod record;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use apyfal_api::v2;
use apyfal_core::{Error, ErrorKind, Result};
use apyfal_machine::private;
use parking_lot::{Mutex, MutexGuard};

use crate::draining::Draining;
use crate::logs::Logs;
use crate::uptime;
use record::Record;

const FILE: &str = "lease";
/// How often is looked whether it ran out.
const LOOK: Duration = Duration::from_millis(500);
/// How long running jobs may take to end once it did.
const DRAIN: Duration = Duration::from_secs(15 * 60);
/// No extension reaches further.
const FURTHEST: Duration = Duration::from_secs(v2::LeaseExtension::FURTHEST);
/// How often it is written down how long the host was used, in milliseconds.
const STEP: u64 = 10_000;

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
pub struct Lease {
    limits: LeaseLimits,
    /// What time it is, in milliseconds since the system was started.
    clock: fn() -> u64,
    /// Where it is written down: the first is written with each use.
    paths: Vec<PathBuf>,
    /// When a client last asked for something.
    used: AtomicU64,
    /// When that was written down.
    reported: AtomicU64,
    record: Mutex<Record>,
}

/// A host that lives for ever.
impl Default for Lease {
    fn default() -> Self {
        Self {
            limits: LeaseLimits::default(),
            clock: uptime::milliseconds,
            paths: Vec::new(),
            used: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            record: Mutex::default(),
        }
    }
}

impl Lease {
    /// Writes down that the host which is to serve from a directory has these limits, or none. From
    /// then on the machine ends by them, whether the host ever serves or not.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn arm(directory: &Path, limits: LeaseLimits) -> Result<()> {
        let path = directory.join(FILE);
        if limits == LeaseLimits::default() {
            return forget(&path);
        }
        let armed = Record::begun(limits, uptime::milliseconds());
        let same = |found: &Record| {
            (found.idle_timeout, found.max_lifetime) == (armed.idle_timeout, armed.max_lifetime)
        };
        match Record::read(&path).filter(same) {
            // Where a host with these limits served already, its times go on.
            Some(_) => Ok(()),
            None => armed.write(&path, true).map_err(writing),
        }
    }

    /// Takes up the lease of this directory, or begins one. An agent that is started again begins
    /// no new life, and its start is no use, unless the one before was told to end. It is written
    /// down in `memory` as well, a directory that is not on a disk and empty when the system starts.
    ///
    /// What comes beside it is why it could not be written down, which is no reason to live for ever.
    pub fn open(
        directory: &Path,
        memory: Option<&Path>,
        limits: LeaseLimits,
    ) -> (Self, Result<()>) {
        Self::open_by(uptime::milliseconds, directory, memory, limits)
    }

    fn open_by(
        clock: fn() -> u64,
        directory: &Path,
        memory: Option<&Path>,
        limits: LeaseLimits,
    ) -> (Self, Result<()>) {
        let directories = memory.into_iter().chain([directory]);
        let paths: Vec<_> = directories.map(|directory| directory.join(FILE)).collect();
        if limits == LeaseLimits::default() {
            let forgot = paths.iter().map(|path| forget(path)).fold(Ok(()), Result::and);
            return (Self::default(), forgot);
        }
        let now = clock();
        let agent = std::process::id().into();
        let mut record = Record { agent, ..Record::begun(limits, now) };
        let mut used = now;
        let mut before = paths.iter().filter_map(|path| Record::read(path));
        if let Some(before) = before.find(|before| before.boot == record.boot) {
            if before.max_lifetime == record.max_lifetime {
                (record.life_ends, record.extended) = (before.life_ends, before.extended);
            }
            if before.idle_timeout > 0 && before.agent > 0 {
                used = now.min(before.idle_ends.saturating_sub(before.idle_timeout));
            }
        }
        let lease = Self {
            limits,
            clock,
            paths,
            used: AtomicU64::new(used),
            reported: AtomicU64::new(now),
            record: Mutex::new(record),
        };
        let made = private::make_directory(directory).map_err(writing);
        let written = lease.paths.iter().map(|path| lease.current().write(path, true));
        let written = written.fold(Ok(()), std::io::Result::and).map_err(writing);
        (lease, made.and(written))
    }

    /// A client asked for something.
    pub(crate) fn used(&self) {
        if self.limits.idle_timeout.is_some() {
            self.used.store((self.clock)(), Ordering::Relaxed);
        }
    }

    /// What is left, for clients. None where there are no limits.
    pub(crate) fn left(&self) -> Option<v2::Lease> {
        let (idle, life) = self.left_at((self.clock)());
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
        let Some((first, others)) = self.paths.split_first() else {
            return Err(
                Error::new(ErrorKind::Conflict, "this host lives for ever").operation(doing)
            );
        };
        if time > FURTHEST {
            return Err(
                Error::new(ErrorKind::Usage, "a lease is of one year at most").operation(doing)
            );
        }
        let until = (self.clock)().saturating_add(milliseconds(time));
        // Held until it is written down: of two who extend it the longer one is remembered.
        let mut record = self.record();
        let mut extended = record.clone();
        extended.extended = record.extended.max(until);
        if record.life_ends > 0 {
            extended.life_ends = record.life_ends.max(until);
        }
        extended.idle_ends = self.idle_ends(&extended);
        extended.write(first, true).map_err(writing)?;
        for other in others {
            // The first one counts while the system runs.
            let _ = extended.write(other, true);
        }
        *record = extended;
        Ok(())
    }

    /// Milliseconds until it is idle for too long, and until its life is over.
    fn left_at(&self, now: u64) -> (Option<u64>, Option<u64>) {
        let record = self.record();
        let idle = self.limits.idle_timeout.map(|_| self.idle_ends(&record).saturating_sub(now));
        let life = self.limits.max_lifetime.map(|_| record.life_ends.saturating_sub(now));
        (idle, life)
    }

    fn idle_ends(&self, record: &Record) -> u64 {
        let used = self.used.load(Ordering::Relaxed);
        let idle = |limit| used.saturating_add(milliseconds(limit)).max(record.extended);
        self.limits.idle_timeout.map_or(0, idle)
    }

    /// Writes down from time to time until when the host was used.
    fn keep(&self) {
        let now = (self.clock)();
        if now.saturating_sub(self.reported.load(Ordering::Relaxed)) < STEP {
            return;
        }
        self.reported.store(now, Ordering::Relaxed);
        let record = self.current();
        if let Some(first) = self.paths.first() {
            // There is a next time, and the machine rather ends too early than never.
            let _ = record.write(first, false);
        }
    }

    /// Ends once it ran out, when the host is in no use and takes no more.
    pub(crate) async fn ended(
        &self,
        is_in_use: impl Fn() -> bool,
        draining: &Draining,
        logs: &Logs,
    ) {
        if self.limits == LeaseLimits::default() {
            return std::future::pending().await;
        }
        let mut was_in_use = false;
        loop {
            tokio::time::sleep(LOOK).await;
            // What is only there for a moment may be a request that is refused. Any other says when
            // it ends that it was a use.
            let is_used = is_in_use();
            if was_in_use && is_used {
                self.used();
            }
            was_in_use = is_used;
            self.keep();
            match self.left_at((self.clock)()) {
                (_, Some(0)) => break logs.host("the life of this host is over"),
                (Some(0), _) if !is_used => {
                    // From here on nothing comes in between.
                    let was_draining = draining.set(true);
                    if !is_in_use() {
                        break logs.host("nobody used this host for too long");
                    }
                    draining.set(was_draining);
                }
                _ => {}
            }
        }
        draining.set(true);
        let begun = tokio::time::Instant::now();
        while is_in_use() && begun.elapsed() < DRAIN {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The agent ends because it was told to: whoever starts it again uses it.
    pub(crate) fn rest(&self) {
        let record = Record { agent: 0, ..self.current() };
        for path in &self.paths {
            let _ = record.write(path, false);
        }
    }

    fn current(&self) -> Record {
        let mut record = self.record();
        record.idle_ends = self.idle_ends(&record);
        record.clone()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock()
    }
}

impl Record {
    /// A lease that begins now.
    fn begun(limits: LeaseLimits, now: u64) -> Self {
        // None is zero.
        let time = |limit: Option<Duration>| limit.map_or(0, |limit| milliseconds(limit).max(1));
        let (idle_timeout, max_lifetime) = (time(limits.idle_timeout), time(limits.max_lifetime));
        let end = |time| if time > 0 { now + time } else { 0 };
        Self {
            // A system that was started again begins a new life.
            boot: uptime::boot(),
            agent: 0,
            idle_timeout,
            max_lifetime,
            idle_ends: end(idle_timeout),
            life_ends: end(max_lifetime),
            extended: 0,
        }
    }
}

/// A host that lives for ever has no lease.
fn forget(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::from(error).operation(format!("remove the lease '{}'", path.display())))
        }
        _ => Ok(()),
    }
}

fn writing(error: std::io::Error) -> Error {
    Error::from(error).operation("write the lease down")
}

/// A time in milliseconds: at most so many that no sum of several is too large for a shell.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(1 << 56)
}

#[cfg(test)]
mod tests;
