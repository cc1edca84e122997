//! Several hosts behind one accelerator.

mod job;
mod queue;
mod tally;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{
    Client, EngineInfo, Error, ErrorKind, Job, JobIo, Report, Result, Session, Slots, Start,
};
use async_trait::async_trait;
use futures::future::join_all;
use tokio::sync::OnceCell;

use crate::remote::{Remote, RemoteOptions, Source, Trouble, ended_there_too, within};
use queue::Queue;
pub use tally::HostLoad;
use tally::Tally;
use transaction::Transactions;

/// How long a host that does not answer is waited for before its jobs go elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the session of a host that does not answer is waited for to end.
const ENDING: Duration = Duration::from_secs(2);
/// A stream for `start` is sent to every host, and so kept in memory, up to so many bytes.
const START_LIMIT: u64 = 256 << 20;

/// Several hosts that are used as one: a job goes to the one with the most room. Where a host ends,
/// its jobs are run anew elsewhere, if the accelerator and the source allow that; where it hangs, they
/// run elsewhere as well, and the first result counts. A job that fails on several hosts fails with the
/// reason of each. A transaction stays on the first host.
///
/// A host that does not answer, or is not what it was taken for (another certificate, token or
/// protocol), is done without; [`load`](Self::load) tells why. Jobs wait for hosts to come back
/// while none answers, for 20 seconds.
///
/// A session of a pool is one session on each host; its id has theirs, with commas in between.
#[doc(alias = "AcceleratorPoolExecutor")]
#[derive(Debug)]
pub struct Pool {
    hosts: Vec<Host>,
    queue: Queue,
    info: OnceCell<EngineInfo>,
    transactions: Transactions,
}

#[derive(Debug)]
struct Host {
    remote: Remote,
    /// How long it is waited for by what can run nowhere else.
    patience: Duration,
    tally: Tally,
}

impl Pool {
    /// A pool of hosts. None is contacted yet.
    ///
    /// # Errors
    /// There is no host, or an address is none.
    pub fn new(hosts: impl IntoIterator<Item = RemoteOptions>) -> Result<Self> {
        let mut made = Vec::new();
        for options in hosts {
            let patience = options.patience;
            let remote =
                Remote::new(RemoteOptions { patience: patience.min(PATIENCE), ..options })?;
            made.push(Host { remote, patience, tally: Tally::default() });
        }
        if made.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "a pool needs at least one host"));
        }
        let queue = Queue::new(made.len());
        let transactions = Transactions::default();
        Ok(Self { hosts: made, queue, info: OnceCell::new(), transactions })
    }

    /// Its hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &Remote> {
        self.hosts.iter().map(|host| &host.remote)
    }

    /// What each host did and does, in the order of the hosts.
    pub fn load(&self) -> Vec<HostLoad> {
        let load = |(index, host): (usize, &Host)| {
            host.tally.load(host.remote.url(), self.queue.trouble(index))
        };
        self.hosts.iter().enumerate().map(load).collect()
    }

    /// What the accelerator is, as the first host tells that answers; and how many jobs are of use
    /// at once on all hosts together. Hosts that cannot be used are done without.
    ///
    /// # Errors
    /// No host answers, or none has the accelerator.
    pub async fn accelerator(&self, name: &str) -> Result<(EngineInfo, usize)> {
        let asked = join_all(self.hosts.iter().map(|host| async {
            let (info, about) = tokio::join!(host.remote.accelerator(name), host.remote.host());
            Ok::<_, Error>((info?, about?.cores))
        }));
        let (mut found, mut width) = (None, 0);
        for (index, answer) in asked.await.into_iter().enumerate() {
            match answer {
                Ok((info, cores)) => {
                    let slots = match info.slots {
                        Slots::Cores => cores,
                        Slots::Fixed(slots) => slots.min(cores.max(1)),
                    };
                    self.queue.joins(index, slots);
                    // One more, which is there when a slot becomes free.
                    width += slots + 1;
                    found.get_or_insert(info);
                }
                Err(error) => self.do_without(index, error),
            }
        }
        let info = found.ok_or_else(|| self.nobody())?;
        let info = self.info.get_or_init(|| async { info }).await.clone();
        Ok((info, width))
    }

    /// Starts on every host.
    async fn start_all(&self, request: &Start, io: JobIo) -> Result<Session> {
        self.accelerator(&request.accelerator).await?;
        let source = Source::of(io.src, &io.cancel, &io.progress).await?;
        let source = &source.shared(START_LIMIT).await?;
        let started = join_all(self.hosts.iter().enumerate().map(async |(index, host)| {
            let source = source.again().filter(|_| self.queue.trouble(index).is_none())?;
            Some(host.remote.start_with(request.clone(), &source).await)
        }));
        let (mut ids, mut report, mut mistake) = (Vec::new(), None, None);
        for (index, started) in started.await.into_iter().enumerate() {
            ids.push(String::new());
            match started {
                None => {}
                Some(Ok(session)) => {
                    ids[index] = session.id;
                    report.get_or_insert(session.report);
                }
                Some(Err(error)) => {
                    let error = error.context("host", self.hosts[index].remote.url());
                    // A host that is away is done without; one that refuses is a mistake.
                    if self.failing(index, &error).is_some() || is_of_the_host(&error) {
                        self.do_without(index, error);
                    } else {
                        mistake.get_or_insert(error);
                    }
                }
            }
        }
        let id = ids.join(",");
        match (report, mistake) {
            (Some(report), None) => {
                self.transactions.started(&id);
                Ok(Session { id, report })
            }
            (_, mistake) => {
                let _ = self.stop(&id).await;
                Err(mistake.unwrap_or_else(|| self.nobody()))
            }
        }
    }

    /// Why a host cannot be used, where an error says that.
    fn failing(&self, host: usize, error: &Error) -> Option<Trouble> {
        let trouble = self.hosts[host].remote.trouble()?;
        let kind = match &trouble {
            Trouble::Away { .. } => ErrorKind::Unavailable,
            Trouble::Wrong(why) => why.kind(),
        };
        (error.kind() == kind).then_some(trouble)
    }

    /// Uses a host no more: until it answers again, or at all.
    fn do_without(&self, host: usize, error: Error) {
        match self.failing(host, &error) {
            Some(Trouble::Away { since, why, .. }) => self.queue.rest(host, since, why),
            Some(Trouble::Wrong(why)) => self.queue.leave_out(host, why),
            None => self.queue.leave_out(host, error),
        }
    }

    /// What the accelerator is, which was asked for before.
    fn info(&self) -> Result<EngineInfo> {
        let info = self.info.get().cloned();
        info.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "the pool was not told of its accelerator")
                .hint("call start or accelerator first")
        })
    }

    /// Why no host can be used.
    pub(crate) fn nobody(&self) -> Error {
        let troubles = (0..self.hosts.len()).filter_map(|host| self.queue.trouble(host));
        let mut reasons: Vec<Arc<Error>> = Vec::new();
        for why in troubles {
            if reasons.iter().all(|other| other.to_string() != why.to_string()) {
                reasons.push(why);
            }
        }
        match reasons.as_slice() {
            [] => Error::new(ErrorKind::Unavailable, "no host of the pool has the session")
                .hint("start the accelerator again"),
            [one] => one.duplicate(),
            [first, others @ ..] => {
                let texts: Vec<_> = reasons.iter().map(ToString::to_string).collect();
                let is_same = others.iter().all(|other| other.kind() == first.kind());
                let kind = if is_same { first.kind() } else { ErrorKind::Unavailable };
                let why = format!("no host can be used: {}", texts.join("; "));
                let mut hints: Vec<&String> = Vec::new();
                for hint in reasons.iter().flat_map(|why| why.hints()) {
                    if !hints.contains(&hint) {
                        hints.push(hint);
                    }
                }
                hints.into_iter().fold(Error::new(kind, why), |error, hint| error.hint(hint))
            }
        }
    }
}

/// Whether an error is one of the host, so that another host may do better.
fn is_of_the_host(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Engine | ErrorKind::Busy)
}

#[async_trait]
impl Client for Pool {
    async fn start(&self, request: Start, io: JobIo) -> Result<Session> {
        let (cancel, deadline) = (io.cancel.clone(), io.deadline);
        within(deadline, cancel.or_cancelled(self.start_all(&request, io))).await
    }

    async fn process(&self, job: Job, io: JobIo) -> Result<Report> {
        let (cancel, deadline) = (io.cancel.clone(), io.deadline);
        let ended = async {
            join_all(self.hosts.iter().map(|host| host.remote.ended())).await;
        };
        ended_there_too(deadline, cancel, self.process_anywhere(job, io), ended).await
    }

    async fn stop(&self, session: &str) -> Result<Report> {
        self.transactions.stopped(session);
        let stopping = self.hosts.iter().zip(session.split(',')).enumerate();
        let stopping = stopping.filter(|(_, (_, id))| !id.is_empty());
        let stopped = join_all(stopping.map(async |(index, (host, id))| {
            match self.queue.trouble(index) {
                None => host.remote.stop(id).await,
                Some(why) => tokio::time::timeout(ENDING, host.remote.stop(id))
                    .await
                    .unwrap_or_else(|_| Err(why.duplicate())),
            }
        }));
        let mut report = Report::default();
        let mut failed = None;
        for (index, stopped) in stopped.await.into_iter().enumerate() {
            match stopped {
                Ok(one) => report = one,
                // A host that is away has no jobs of ours any more.
                Err(error) if is_of_the_host(&error) || self.queue.trouble(index).is_some() => {}
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(report), Err)
    }
}
