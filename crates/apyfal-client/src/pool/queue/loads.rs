//! What each host has to do, and which of them a job goes to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal_core::Error;
use tokio::sync::Notify;

use crate::pool::session::PoolSession;

/// How long a host that does not answer is left alone while others work.
const REST: Duration = Duration::from_secs(10);
/// The same while none works.
const RETRY: Duration = Duration::from_secs(1);
/// How long none may work before jobs are given up.
pub(super) const LOST: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Loads {
    pub(super) hosts: Vec<Load>,
    /// How many jobs wait for a place.
    pub(super) waiting: usize,
    /// The number of the next place.
    pub(super) next: u64,
}

/// What a host has to do.
#[derive(Debug)]
pub(super) struct Load {
    /// How many jobs it can do at once.
    pub(super) slots: usize,
    /// The jobs that are there, the first ones first.
    pub(super) places: Vec<Taken>,
    pub(super) standing: Standing,
    /// Until when it gets no job, though it answers.
    pub(super) paused_until: Option<Instant>,
}

/// A place that a job has.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) number: u64,
    pub(super) wanted: Arc<Notify>,
    pub(super) able: Able,
}

/// The hosts that are able to do a job.
#[derive(Clone, Debug)]
pub(in crate::pool) struct Able {
    /// It must have been started there.
    pub(in crate::pool) session: Arc<PoolSession>,
    /// The one host that may, where it is a certain one.
    pub(in crate::pool) only: Option<usize>,
    /// Those that may not.
    pub(in crate::pool) without: Vec<usize>,
}

impl Able {
    fn has(&self, host: usize) -> bool {
        self.session.on(host).is_some()
            && self.only.is_none_or(|only| only == host)
            && !self.without.contains(&host)
    }
}

/// Whether a host can be used.
#[derive(Debug)]
pub(super) enum Standing {
    Works,
    /// It has not answered since then. One job at a time looks whether it does again.
    Rests {
        since: Instant,
        tried: Instant,
        why: Arc<Error>,
    },
    /// It is not used any more.
    Out(Arc<Error>),
}

impl Load {
    fn works(&self) -> bool {
        matches!(self.standing, Standing::Works)
    }

    /// When it may be given a job again, where that is not now.
    fn paused(&self, now: Instant) -> Option<Instant> {
        self.paused_until.filter(|until| *until > now)
    }

    fn has_room(&self) -> bool {
        self.places.len() <= self.slots
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.places.len() < self.slots && self.works() && self.paused(now).is_none()
    }

    /// How full it is; with a free slot always less than without.
    fn fullness(&self) -> f64 {
        self.places.len() as f64 / self.slots as f64
    }
}

/// What a job is to do next.
pub(super) enum Choice {
    Take {
        host: usize,
        is_doubtful: bool,
    },
    /// To look again when something changes, or then.
    Wait(Option<Instant>),
    /// No host will take it.
    Nobody,
}

impl Loads {
    /// What a job is to do that some hosts are able to do.
    pub(super) fn choose(&mut self, able: &Able, now: Instant) -> Choice {
        let able = (0..self.hosts.len()).filter(|host| able.has(*host));
        let (working, others): (Vec<usize>, Vec<usize>) =
            able.partition(|host| self.hosts[*host].works());
        let pause = if working.is_empty() { RETRY } else { REST };
        let mut again: Option<Instant> = None;
        let mut gone_since: Option<Instant> = None;
        for host in others {
            let Standing::Rests { since, tried, .. } = &mut self.hosts[host].standing else {
                continue;
            };
            if *tried + pause <= now {
                // Nobody else looks meanwhile.
                *tried = now;
                return Choice::Take { host, is_doubtful: true };
            }
            again = Some(again.map_or(*tried + pause, |other| other.min(*tried + pause)));
            gone_since = Some(gone_since.map_or(*since, |other| other.max(*since)));
        }
        if working.is_empty() {
            return match gone_since {
                Some(since) if now < since + LOST => Choice::Wait(again),
                _ => Choice::Nobody,
            };
        }
        let mut best: Option<usize> = None;
        for host in working {
            let load = &self.hosts[host];
            if let Some(until) = load.paused(now) {
                again = Some(again.map_or(until, |other| other.min(until)));
            } else if load.has_room()
                && best.is_none_or(|best| load.fullness() < self.hosts[best].fullness())
            {
                best = Some(host);
            }
        }
        match best {
            Some(host) => Choice::Take { host, is_doubtful: false },
            None => Choice::Wait(again),
        }
    }

    /// Calls back a job that waits at a host, where another one has nothing to do and could do it.
    pub(super) fn call_back(&self) {
        if self.waiting > 0 {
            return;
        }
        let now = Instant::now();
        let hosts = self.hosts.iter().enumerate();
        let idle = hosts.filter(|(_, host)| host.is_idle(now)).map(|(index, _)| index);
        let idle: Vec<usize> = idle.collect();
        let could_move = |place: &&Taken| idle.iter().any(|host| place.able.has(*host));
        let full = self.hosts.iter().filter(|host| host.places.len() > host.slots);
        if let Some(place) = full.filter_map(|host| host.places.last()).find(could_move) {
            place.wanted.notify_one();
        }
    }
}
