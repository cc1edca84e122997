//! Several hosts behind one accelerator.

mod job;
mod opened;
mod queue;
mod session;
mod tally;
mod transaction;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{
    AcceleratorInfo, Client, Error, ErrorKind, Job, JobIo, Report, Result, Session, Slots, Start,
};
use async_trait::async_trait;
use futures::future::join_all;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::remote::{Remote, RemoteOptions, Shared, Source, Trouble, ended_there_too, within};
use opened::Opened;
use queue::Queue;
use session::{PoolSession, Sessions};
pub use tally::HostLoad;
use tally::Tally;

/// How long a host that does not answer is waited for before its jobs go elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the session of a host that does not answer is waited for to end.
const ENDING: Duration = Duration::from_secs(2);
/// A stream for `start` is sent to every host, and so kept in memory, up to so many bytes.
const START_LIMIT: u64 = 256 << 20;
/// How many open files a job may need: its source, its destination, its connection, the same for a
/// second try, and one that asks whether its host answers.
const FILES_OF_A_JOB: usize = 8;
/// So many reasons are told of hosts that cannot be used, or such jobs; of the rest the number.
const TOLD: usize = 8;

/// Several hosts that are used as one: a job goes to the one with the most room. Where a host ends,
/// its jobs are run anew elsewhere, if the accelerator and the source allow that; where it hangs, they
/// run elsewhere as well, and the first result counts. A job that fails on several hosts fails with the
/// reason of each. A transaction stays on the first host.
///
/// A host that does not answer, or is not what it was taken for (another certificate, token or
/// protocol), is done without; [`load`](Self::load) tells why. Jobs wait for hosts to come back
/// while none answers, for 20 seconds.
///
/// A session of a pool is one session on each host. Its id means something to this pool alone;
/// [`remembered`](Self::remembered) is what another process can [take up](Self::take_up).
///
/// Hosts may be as many as there are: what bounds the jobs under way is how many files this process
/// may have open.
#[doc(alias = "AcceleratorPoolExecutor")]
#[derive(Debug)]
pub struct Pool {
    hosts: Vec<Host>,
    queue: Queue,
    info: OnceCell<AcceleratorInfo>,
    sessions: Sessions,
    /// How many jobs may be under way, as far as this process may have files open.
    jobs: usize,
    /// How many hosts are talked to at once beside them.
    talks: Semaphore,
}

#[derive(Debug)]
struct Host {
    remote: Remote,
    /// `host:port`, by which its part of a session is remembered.
    place: String,
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
        let hosts: Vec<_> = hosts.into_iter().collect();
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        // A quarter of the files is for connections that are kept.
        let mut shared = Shared::keeping(files / 4 / hosts.len().max(1));
        let mut made = Vec::new();
        for options in hosts {
            let patience = options.patience;
            let options = RemoteOptions { patience: patience.min(PATIENCE), ..options };
            let remote = Remote::sharing(options, &mut shared)?;
            let place = remote.address().place();
            made.push(Host { remote, place, patience, tally: Tally::default() });
        }
        if made.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "a pool needs at least one host"));
        }
        let queue = Queue::new(made.len());
        let jobs = (files / FILES_OF_A_JOB).clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            hosts: made,
            queue,
            info: OnceCell::new(),
            sessions: Sessions::default(),
            jobs,
            talks: Semaphore::new(jobs),
        })
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

    /// What another process needs to take up a session of this pool; none of one that is not open.
    pub fn remembered(&self, session: &str) -> Option<String> {
        let session = self.sessions.get(session)?;
        Some(session.to_text(self.hosts.iter().map(|host| host.place.as_str())))
    }

    /// Takes up a session that another process [remembered](Self::remembered); its id here.
    ///
    /// # Errors
    /// The text is damaged.
    pub fn take_up(&self, remembered: &str) -> Result<String> {
        let places = self.hosts.iter().map(|host| host.place.as_str());
        Ok(self.sessions.add(PoolSession::read(remembered, places)?))
    }

    /// What the accelerator is, as the first host tells that answers; and how many jobs are of use
    /// at once on all hosts together. Hosts that cannot be used are done without.
    ///
    /// # Errors
    /// No host answers, or none has the accelerator.
    pub async fn accelerator(&self, name: &str) -> Result<(AcceleratorInfo, usize)> {
        // One after the other on one connection.
        let asked = join_all(self.hosts.iter().map(async |host| {
            let _talk = self.talk().await;
            let info = host.remote.accelerator(name).await?;
            Ok::<_, Error>((info, host.remote.host().await?.cores))
        }));
        let (mut found, mut width) = (None, 0);
        for (index, answer) in asked.await.into_iter().enumerate() {
            match answer {
                Ok((info, cores)) => {
                    let slots = match info.slots() {
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
        Ok((info, width.min(self.jobs)))
    }

    /// Lets somebody talk to a host, beside jobs, as soon as few enough others do.
    async fn talk(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.talks.acquire().await.ok()
    }

    /// Starts on every host.
    async fn start_all(&self, request: &Start, io: JobIo) -> Result<Session> {
        self.accelerator(&request.accelerator).await?;
        let source = Source::of(io.src, &io.cancel, &io.progress).await?;
        let source = &source.shared(START_LIMIT).await?;
        let started = join_all(self.hosts.iter().enumerate().map(async |(index, host)| {
            let _talk = self.talk().await;
            let source = source.again().filter(|_| self.queue.trouble(index).is_none())?;
            let started = host.remote.start_with(request.clone(), &source).await;
            Some(started.map(|session| Opened::on(&host.remote, session)))
        }));
        let (mut ids, mut report, mut mistake) = (Vec::new(), None, None);
        for (index, started) in started.await.into_iter().enumerate() {
            let session = match started {
                None => None,
                Some(Ok(opened)) => opened.keep(),
                Some(Err(error)) => {
                    let error = error.of_host(self.hosts[index].remote.url());
                    // A host that is away, or has no room, is done without; one that refuses is a mistake. Of a
                    // job the disk of its client may be full as well.
                    let is_full = error.kind() == ErrorKind::StorageFull;
                    if self.failing(index, &error).is_some() || is_of_the_host(&error) || is_full {
                        self.do_without(index, error);
                    } else {
                        mistake.get_or_insert(error);
                    }
                    None
                }
            };
            ids.push(session.map(|session| {
                report.get_or_insert(session.report);
                session.id
            }));
        }
        let id = self.sessions.add(PoolSession::started(ids));
        match (report, mistake) {
            (Some(report), None) => Ok(Session { id, report }),
            (_, mistake) => {
                let _ = self.stop(&id).await;
                Err(mistake.unwrap_or_else(|| self.nobody()))
            }
        }
    }

    /// A session that is open.
    fn session(&self, id: &str) -> Result<Arc<PoolSession>> {
        self.sessions.get(id).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the pool has no such session")
                .hint("start the accelerator again")
        })
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

    /// Waits until what was given up has ended on the hosts.
    async fn ended(&self) {
        join_all(self.hosts.iter().map(|host| host.remote.ended())).await;
    }

    /// What the accelerator is, which was asked for before.
    fn info(&self) -> Result<AcceleratorInfo> {
        let info = self.info.get().cloned();
        info.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "the pool was not told of its accelerator")
                .hint("call start or accelerator first")
        })
    }

    /// Why no host can be used any more, where that is so.
    pub fn lost(&self) -> Option<Error> {
        let mut hosts = 0..self.hosts.len();
        hosts.all(|host| self.queue.trouble(host).is_some()).then(|| self.nobody())
    }

    /// Why no host can be used.
    fn nobody(&self) -> Error {
        let troubles = (0..self.hosts.len()).filter_map(|host| self.queue.trouble(host));
        let mut texts = HashSet::new();
        let reasons: Vec<Arc<Error>> =
            troubles.filter(|why| texts.insert(why.to_string())).collect();
        match reasons.as_slice() {
            [] => Error::new(ErrorKind::Unavailable, "no host of the pool has the session")
                .hint("start the accelerator again"),
            [one] => one.duplicate(),
            [first, others @ ..] => {
                let is_same = others.iter().all(|other| other.kind() == first.kind());
                let kind = if is_same { first.kind() } else { ErrorKind::Unavailable };
                let why = format!("no host can be used: {}", told(&reasons));
                let mut hints: Vec<&String> = Vec::new();
                for hint in reasons.iter().take(TOLD).flat_map(|why| why.hints()) {
                    if !hints.contains(&hint) {
                        hints.push(hint);
                    }
                }
                hints.into_iter().fold(Error::new(kind, why), |error, hint| error.hint(hint))
            }
        }
    }
}

/// Several reasons in one text.
fn told(reasons: &[Arc<Error>]) -> String {
    let mut texts: Vec<_> = reasons.iter().take(TOLD).map(ToString::to_string).collect();
    if reasons.len() > TOLD {
        texts.push(format!("and {} more", reasons.len() - TOLD));
    }
    texts.join("; ")
}

/// Whether an error is one of the host, so that another host may do better.
fn is_of_the_host(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Engine | ErrorKind::Busy)
}

#[async_trait]
impl Client for Pool {
    async fn start(&self, request: Start, io: JobIo) -> Result<Session> {
        let (cancel, deadline) = (io.cancel.clone(), io.deadline);
        let started = within(deadline, cancel.or_cancelled(self.start_all(&request, io))).await;
        if started.is_err() {
            self.ended().await;
        }
        started
    }

    async fn process(&self, job: Job, io: JobIo) -> Result<Report> {
        let (cancel, deadline) = (io.cancel.clone(), io.deadline);
        ended_there_too(deadline, cancel, self.process_anywhere(job, io), self.ended()).await
    }

    async fn stop(&self, session: &str) -> Result<Report> {
        let Some(session) = self.sessions.remove(session) else { return Ok(Report::default()) };
        let stopped = join_all(self.hosts.iter().enumerate().map(async |(index, host)| {
            let _talk = self.talk().await;
            let id = session.on(index)?;
            Some(match self.queue.trouble(index) {
                None => host.remote.stop(id).await,
                Some(why) => tokio::time::timeout(ENDING, host.remote.stop(id))
                    .await
                    .unwrap_or_else(|_| Err(why.duplicate())),
            })
        }));
        let mut report = Report::default();
        let mut failed = None;
        for (index, stopped) in stopped.await.into_iter().enumerate() {
            match stopped {
                None => {}
                Some(Ok(one)) => report = one,
                // A host that is away has no jobs of ours any more.
                Some(Err(error))
                    if is_of_the_host(&error) || self.queue.trouble(index).is_some() => {}
                Some(Err(error)) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(report), Err)
    }
}
