//! Several hosts behind one accelerator.

mod queue;
mod tally;
mod transaction;

use std::time::{Duration, Instant};

use apyfal_core::{
    Client, EngineInfo, Error, ErrorKind, Input, Job, JobIo, Report, Result, Session, Slots, Start,
};
use async_trait::async_trait;
use futures::future::join_all;
use tokio::sync::OnceCell;

use crate::remote::{Remote, RemoteOptions, Sink, Source, ended_there_too, within};
use queue::Queue;
pub use tally::HostLoad;
use tally::Tally;
use transaction::{Transactions, has_transactions};

/// How long a host that does not answer is waited for before its jobs go elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a job waits that every host was too busy for.
const BUSY: Duration = Duration::from_millis(500);
/// A job that failed with so many hosts is the reason itself.
const TRIES: usize = 3;
/// A source for `start` is sent to every host, and so kept in memory, up to so many bytes.
const START_LIMIT: u64 = 256 << 20;

/// Several hosts that are used as one: a job goes to the one with the most room. Where a host ends,
/// its jobs are run anew elsewhere, if the accelerator and the source allow that. A job that fails
/// on several hosts fails with the reason of each. A transaction stays on the first host.
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
        self.hosts.iter().map(|host| host.tally.load(host.remote.url())).collect()
    }

    /// What the accelerator is, as the first host tells that answers; and how many jobs are of use
    /// at once on all hosts together.
    ///
    /// # Errors
    /// No host answers, or none has the accelerator.
    pub async fn accelerator(&self, name: &str) -> Result<(EngineInfo, usize)> {
        let asked = join_all(self.hosts.iter().map(|host| async {
            let (info, about) = tokio::join!(host.remote.accelerator(name), host.remote.host());
            Ok::<_, Error>((info?, about?.cores))
        }));
        let (mut found, mut width, mut failed) = (None, 0, None);
        for (index, answer) in asked.await.into_iter().enumerate() {
            match answer {
                Ok((info, cores)) => {
                    let slots = match info.slots {
                        Slots::Cores => cores,
                        Slots::Fixed(slots) => slots.min(cores.max(1)),
                    };
                    self.queue.set_slots(index, slots);
                    // One more, which is there when a slot becomes free.
                    width += slots + 1;
                    found.get_or_insert(info);
                }
                Err(error) if is_of_the_host(&error) => {
                    self.queue.rest(index);
                    failed.get_or_insert(error);
                }
                Err(error) => {
                    return Err(error.context("host", self.hosts[index].remote.url()));
                }
            }
        }
        let lost = || Error::new(ErrorKind::Unavailable, "no host answers");
        let info = found.ok_or_else(|| failed.unwrap_or_else(lost))?;
        let info = self.info.get_or_init(|| async { info }).await.clone();
        Ok((info, width))
    }

    /// Starts on every host.
    async fn start_all(&self, request: &Start, io: JobIo) -> Result<Session> {
        let source = match io.src {
            None => None,
            Some(input) => Some(read_all(input).await?),
        };
        self.accelerator(&request.accelerator).await?;
        let started = join_all(self.hosts.iter().map(|host| {
            let src = source.clone().map(Input::bytes);
            let io = JobIo {
                src,
                cancel: io.cancel.clone(),
                progress: io.progress.clone(),
                ..JobIo::default()
            };
            host.remote.start(request.clone(), io)
        }));
        let (mut ids, mut report, mut failed) = (Vec::new(), None, None);
        for (host, started) in self.hosts.iter().zip(started.await) {
            match started {
                Ok(session) => {
                    ids.push(session.id);
                    report.get_or_insert(session.report);
                }
                Err(error) => {
                    ids.push(String::new());
                    // A host that is away is done without; one that refuses is a mistake.
                    let is_away = is_of_the_host(&error);
                    if failed.as_ref().is_none_or(|(_, was_away)| *was_away && !is_away) {
                        failed = Some((error.context("host", host.remote.url()), is_away));
                    }
                }
            }
        }
        let id = ids.join(",");
        match (report, failed) {
            (Some(report), None | Some((_, true))) => {
                self.transactions.started(&id);
                Ok(Session { id, report })
            }
            (_, Some((error, _))) => {
                let _ = self.stop(&id).await;
                Err(error)
            }
            (None, None) => Err(Error::new(ErrorKind::Internal, "a pool without hosts")),
        }
    }

    /// Runs a job on one host, or on others where that one fails.
    async fn process_anywhere(&self, job: Job, io: JobIo) -> Result<Report> {
        let JobIo { src, dst, cancel, progress, .. } = io;
        let mut source = Source::of(src, &cancel, &progress).await?;
        let sink = Sink::of(dst, &cancel, &progress);
        let info = self.info()?;
        let sessions: Vec<&str> = job.session.split(',').collect();
        let has_session =
            |host: &usize| sessions.get(*host).is_some_and(|session| !session.is_empty());
        let is_pinned = self.transactions.has(&job.session, &info, &job.parameters);
        let pinned = (0..self.hosts.len()).find(has_session).filter(|_| is_pinned);
        let is_safe = !is_pinned && (info.rerun_safe || has_transactions(&info));
        let mut failed: Vec<(usize, Error)> = Vec::new();
        let mut busy_since = None;
        progress.begin();
        loop {
            let may = |host: usize| {
                has_session(&host)
                    && pinned.is_none_or(|pinned| pinned == host)
                    // Once each, as far as there are others.
                    && failed.iter().filter(|(other, _)| *other == host).count()
                        <= failed.len() / self.hosts.len()
            };
            let Some(place) = self.queue.place(may).await else {
                return Err(self.gave_up(failed));
            };
            let host = &self.hosts[place.host];
            let there = Job { session: sessions[place.host].to_owned(), ..job.clone() };
            // What can only run here may wait for this host to come back.
            let patience = if is_safe { PATIENCE } else { host.patience };
            let may_move = is_safe && !source.is_stream();
            let running = host.tally.running(&progress);
            let wanted = async {
                place.wanted_elsewhere().await;
                if !may_move || sink.has_begun() {
                    std::future::pending::<()>().await;
                }
            };
            let ran = tokio::select! {
                biased;
                ran = host.remote.run(there, &mut source, &sink, patience) => ran,
                () = wanted => continue,
            };
            let error = match ran {
                Ok(report) => {
                    self.queue.works(place.host);
                    running.done(&report);
                    self.transactions.done(&job.session, &job.parameters);
                    return Ok(report);
                }
                Err(error) => error.context("host", host.remote.url()),
            };
            if !is_of_the_host(&error) {
                return Err(error);
            }
            if error.kind() != ErrorKind::Engine {
                self.queue.rest(place.host);
            }
            let why = if pinned.is_some() {
                Some("a transaction stays on its host")
            } else if !is_safe {
                Some("its accelerator is not declared as rerun_safe")
            } else if !source.is_whole() {
                Some("its source cannot be read again")
            } else if !sink.can_restart() {
                Some("part of the result was handed on")
            } else {
                None
            };
            if let Some(why) = why {
                let error = error.hint(format!("it was not run on another host, since {why}"));
                failed.push((place.host, error));
                return Err(self.gave_up(failed));
            }
            sink.restart()?;
            if error.kind() == ErrorKind::Busy
                && busy_since.get_or_insert_with(Instant::now).elapsed() < host.patience
            {
                // It did nothing wrong, and neither did the job.
                tokio::time::sleep(BUSY).await;
                continue;
            }
            failed.push((place.host, error));
            if failed.len() >= TRIES {
                return Err(self.gave_up(failed));
            }
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

    /// A job that failed with every host that it was tried on, each with its reason.
    fn gave_up(&self, mut failed: Vec<(usize, Error)>) -> Error {
        if failed.len() == 1
            && let Some((_, error)) = failed.pop()
        {
            return error;
        }
        let Some((_, last)) = failed.last() else {
            return Error::new(ErrorKind::Unavailable, "no host of the pool has the session")
                .hint("start the accelerator again");
        };
        // Each says which host and job it is of.
        let reasons: Vec<_> = failed.iter().map(|(_, error)| error.to_string()).collect();
        let why = format!("it failed {} times: {}", failed.len(), reasons.join("; "));
        let mut together = Error::new(last.kind(), why);
        for (host, error) in failed.iter().filter(|(_, error)| error.kind() == ErrorKind::Engine) {
            let url = self.hosts[*host].remote.url();
            let told = error.hints().iter().map(|hint| format!("{url}: {hint}"));
            together = told.fold(together, Error::hint);
        }
        together.hint("if it ends every host that takes it, look at what they say: apyfal logs")
    }
}

/// Whether an error is one of the host, so that another host may do better.
fn is_of_the_host(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Engine | ErrorKind::Busy)
}

/// Reads a source that several hosts are sent.
async fn read_all(input: Input) -> Result<Vec<u8>> {
    use apyfal_core::Source as Given;
    let too_long = || {
        Error::new(ErrorKind::Usage, format!("it has more than {START_LIMIT} bytes"))
            .operation("send the source to several hosts")
            .hint("put it where the hosts can read it by themselves, such as s3:// or https://")
    };
    if input.len().is_some_and(|len| len > START_LIMIT) {
        return Err(too_long());
    }
    let reading = tokio::task::spawn_blocking(move || -> Result<Vec<u8>> {
        if let Given::Directory(path) = input.source() {
            let why = format!("'{}' is a directory", path.display());
            return Err(Error::new(ErrorKind::Usage, why).operation("send it to a host"));
        }
        let mut reader = input.into_reader()?;
        let (mut whole, mut block) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match reader.read(&mut block) {
                Ok(0) => return Ok(whole),
                Ok(count) => whole.extend_from_slice(&block[..count]),
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error.into()),
            }
            if whole.len() as u64 > START_LIMIT {
                return Err(too_long());
            }
        }
    });
    reading.await.map_err(std::io::Error::from)?
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
        let stopping = self.hosts.iter().zip(session.split(',')).filter(|(_, id)| !id.is_empty());
        let stopped = join_all(stopping.map(|(host, id)| host.remote.stop(id))).await;
        let mut report = Report::default();
        for stopped in stopped {
            match stopped {
                Ok(one) => report = one,
                // A host that is away has no jobs of ours any more.
                Err(error) if is_of_the_host(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(report)
    }
}
