//! One job of a pool: on the host with the most room, on others where that one fails, and on a second
//! one as well where it hangs.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal_core::{Error, ErrorKind, Job, JobIo, Progress, Report, Result};
use futures::future::BoxFuture;

use super::queue::Able;
use super::session::PoolSession;
use super::transaction::has_transactions;
use super::{PATIENCE, Pool, is_of_the_host};
use crate::remote::{Following, Sink, Source, Trouble, Unfinished};

/// How long a host is left alone that was too busy for a job.
const BUSY: Duration = Duration::from_millis(500);
/// How long a host is left alone that answers, and was of no use to a job.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a job whose host hangs waits before it looks for a second one again.
const AGAIN: Duration = Duration::from_secs(10);
/// A job that failed with so many hosts is the reason itself.
const TRIES: usize = 3;

/// A job, and where it may run.
struct Task<'a> {
    job: &'a Job,
    progress: &'a Arc<Progress>,
    session: &'a Arc<PoolSession>,
    /// The only host that it may run on, where that has its transaction.
    pinned: Option<usize>,
    /// Whether it may run again.
    is_safe: bool,
}

/// What a job reads and writes in one of its tries.
#[derive(Clone, Copy)]
struct Ends<'a> {
    source: &'a Source,
    sink: &'a Sink,
}

/// Why a job did not end well.
enum Why {
    /// It fails anywhere.
    Job(Error),
    /// No host could do it.
    Hosts(Error),
}

/// A job on a host.
type Running<'a> = Pin<Box<dyn Future<Output = Result<Report, Unfinished>> + Send + 'a>>;

/// How a job ended whose host hangs.
enum Ended {
    /// As it ended there after all.
    There(Result<Report, Unfinished>),
    /// As it ended on a second host.
    Beside(Result<Report, Why>),
}

impl Pool {
    /// Runs a job on one host, or on others.
    pub(super) async fn process_anywhere(&self, job: Job, io: JobIo) -> Result<Report> {
        let JobIo { src, dst, cancel, progress, .. } = io;
        let source = Source::of(src, &cancel, &progress).await?;
        let sink = Sink::of(dst, &cancel, &progress);
        let info = self.info()?;
        let session = &self.session(&job.session)?;
        let is_pinned = session.transaction.has(&info, &job.parameters);
        let pinned = is_pinned.then(|| session.first()).transpose()?;
        let is_safe = !is_pinned && (info.rerun_safe || has_transactions(&info));
        progress.begin();
        let task = Task { job: &job, progress: &progress, session, pinned, is_safe };
        let ends = Ends { source: &source, sink: &sink };
        let report = match self.run_somewhere(&task, ends, &[]).await {
            Ok(report) => report,
            Err(Why::Job(error) | Why::Hosts(error)) => return Err(error),
        };
        session.transaction.done(&job.parameters);
        Ok(report)
    }

    /// The same on a second host, beside those that hang.
    fn run_beside<'a>(
        &'a self,
        task: &'a Task<'a>,
        ends: Ends<'a>,
        hanging: &'a [usize],
    ) -> BoxFuture<'a, Result<Report, Why>> {
        Box::pin(self.run_somewhere(task, ends, hanging))
    }

    /// Runs a job on one host, or on others where that one fails or hangs.
    async fn run_somewhere(
        &self,
        task: &Task<'_>,
        ends: Ends<'_>,
        hanging: &[usize],
    ) -> Result<Report, Why> {
        let Ends { source, sink } = ends;
        let mut failed: Vec<(usize, Error)> = Vec::new();
        // Hosts that it was lost with, which it may have ended.
        let mut lost: Vec<(usize, Error)> = Vec::new();
        let mut busy_since = None;
        loop {
            // However often it is sent elsewhere, the others get their turn, and its switch is heard.
            tokio::task::consume_budget().await;
            // Once each, as far as there are others.
            let is_spent = |host: usize| {
                failed.iter().filter(|(other, _)| *other == host).count()
                    > failed.len() / self.hosts.len()
            };
            let spent = failed.iter().map(|(host, _)| *host).filter(|host| is_spent(*host));
            let able = Able {
                session: task.session.clone(),
                only: task.pinned,
                without: spent.chain(hanging.iter().copied()).collect(),
            };
            let Some(place) = self.queue.place(able).await else {
                let error = self.gave_up(failed);
                return Err(Why::Hosts(match task.pinned {
                    Some(_) => not_elsewhere(error, PINNED),
                    None => error,
                }));
            };
            let host = &self.hosts[place.host];
            if place.is_doubtful {
                if let Err(error) = Box::pin(host.remote.look()).await {
                    self.do_without(place.host, error);
                    continue;
                }
                self.queue.works(place.host);
            }
            if source.is_stream() {
                // Only one may read it.
                sink.begin().await;
            }
            let there = task.on(place.host);
            // What can only run here may wait for this host to come back.
            let patience = if task.is_safe { PATIENCE } else { host.patience };
            let may_move = task.is_safe && !source.is_stream();
            let running = host.tally.running(task.progress);
            let wanted = async {
                place.wanted_elsewhere().await;
                if !may_move || sink.has_begun() {
                    std::future::pending::<()>().await;
                }
            };
            let hangs = async {
                let following = host.remote.follow().await;
                let since = following.hangs().await;
                (following, since)
            };
            let mut first: Running<'_> = Box::pin(host.remote.run(there, source, sink, patience));
            let ran = tokio::select! {
                biased;
                ran = &mut first => ran,
                () = wanted => continue,
                (following, (since, why)) = hangs => {
                    self.queue.rest(place.host, since, why);
                    let hanging = [hanging, &[place.host][..]].concat();
                    match self.ended_where_it_hangs(task, ends, first, &following, &hanging).await {
                        Ended::There(ran) => ran,
                        Ended::Beside(ended) => return ended,
                    }
                }
            };
            let unfinished = match ran {
                Ok(report) => {
                    self.queue.works(place.host);
                    running.done(&report);
                    return Ok(report);
                }
                Err(unfinished) => unfinished,
            };
            let error = unfinished.error.of_host(host.remote.url());
            let failing = self.failing(place.host, &error);
            // Who knows nothing of the session is no use to its jobs.
            let is_out = failing.is_some() || error.kind() == ErrorKind::NotFound;
            if !is_out && !is_of_the_host(&error) {
                return Err(Why::Job(error));
            }
            if is_out {
                self.do_without(place.host, error.duplicate());
            }
            let has_run = !matches!(failing, Some(Trouble::Wrong(_)));
            let why = if task.pinned.is_some() {
                Some(PINNED)
            } else if !task.is_safe && has_run {
                Some("its accelerator is not declared as rerun_safe")
            } else if !source.is_whole() {
                Some("its source cannot be read again")
            } else if !sink.can_restart() {
                Some("part of the result was handed on")
            } else {
                None
            };
            if let Some(why) = why {
                failed.push((place.host, not_elsewhere(error, why)));
                return Err(Why::Hosts(self.gave_up(failed)));
            }
            sink.restart().await.map_err(Why::Job)?;
            match error.kind() {
                _ if is_out => {
                    // That a host is away says nothing of the job, unless it went away with it.
                    let Some(error) = unfinished.lost else { continue };
                    lost.push((place.host, error.of_host(host.remote.url())));
                    if failed.len() + lost.len() < TRIES {
                        continue;
                    }
                    failed.extend(lost);
                    return Err(Why::Hosts(self.gave_up(failed)));
                }
                ErrorKind::Busy => {
                    self.queue.pause(place.host, BUSY);
                    if busy_since.get_or_insert_with(Instant::now).elapsed() < host.patience {
                        // It did nothing wrong, and neither did the job.
                        continue;
                    }
                }
                ErrorKind::Unavailable => self.queue.pause(place.host, PAUSE),
                _ => {}
            }
            failed.push((place.host, error));
            if failed.len() + lost.len() >= TRIES {
                failed.extend(lost);
                return Err(Why::Hosts(self.gave_up(failed)));
            }
        }
    }

    /// Waits for a job whose host hangs, and runs it on a second one as well where that is possible.
    /// Whichever has a result first goes on, and the other one is dropped.
    async fn ended_where_it_hangs(
        &self,
        task: &Task<'_>,
        ends: Ends<'_>,
        mut first: Running<'_>,
        following: &Following<'_>,
        hanging: &[usize],
    ) -> Ended {
        loop {
            let source = ends.source.again().filter(|_| task.may_run_beside(ends));
            let Some(source) = source else {
                return Ended::There(tokio::select! {
                    biased;
                    ran = &mut first => ran,
                    never = following.holds() => match never {},
                });
            };
            let (sink, mut asked) = ends.sink.beside();
            let beside = Ends { source: &source, sink: &sink };
            let mut second = self.run_beside(task, beside, hanging);
            tokio::select! {
                biased;
                Ok(ended) = &mut asked => {
                    if task.may_run_beside(ends) {
                        drop(first);
                        return Ended::Beside(leave(ends, ended, second).await);
                    }
                    // The first one goes on by now, so that the second one is of no use.
                }
                ran = &mut first => {
                    let is_left = ran.as_ref().is_err_and(|why| is_of_the_host(&why.error));
                    if !is_left || !task.may_run_beside(ends) {
                        return Ended::There(ran);
                    }
                    return Ended::Beside(tokio::select! {
                        biased;
                        Ok(ended) = asked => leave(ends, ended, second).await,
                        ended = &mut second => ended,
                    });
                }
                ended = &mut second => {
                    if !matches!(ended, Err(Why::Hosts(_))) {
                        return Ended::Beside(ended);
                    }
                }
            }
            drop(second);
            tokio::select! {
                biased;
                ran = &mut first => return Ended::There(ran),
                never = following.holds() => match never {},
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    /// A job that failed with every host that it was tried on, each with its reason.
    fn gave_up(&self, mut failed: Vec<(usize, Error)>) -> Error {
        if failed.len() == 1
            && let Some((_, error)) = failed.pop()
        {
            return error;
        }
        let Some((_, last)) = failed.last() else { return self.nobody() };
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

impl Task<'_> {
    /// The same in its session on a host.
    fn on(&self, host: usize) -> Job {
        let session = self.session.on(host).unwrap_or_default().to_owned();
        Job { session, ..self.job.clone() }
    }

    /// Whether it may run on two hosts at once: its result comes here, and is written by one of them.
    fn may_run_beside(&self, ends: Ends<'_>) -> bool {
        let Ends { source, sink } = ends;
        self.is_safe && self.job.dst.is_none() && source.is_whole() && sink.can_be_taken_over()
    }
}

/// Leaves a job to its second try, after the first one was dropped.
async fn leave(
    ends: Ends<'_>,
    ended: tokio::sync::oneshot::Sender<()>,
    second: BoxFuture<'_, Result<Report, Why>>,
) -> Result<Report, Why> {
    ends.sink.leave().await.map_err(Why::Job)?;
    // It waits for this.
    let _ = ended.send(());
    second.await
}

const PINNED: &str = "a transaction stays on its host";

fn not_elsewhere(error: Error, why: &str) -> Error {
    error.hint(format!("it was not run on another host, since {why}"))
}
