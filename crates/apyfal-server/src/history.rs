//! What the host remembers of jobs, beyond its own life.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use apyfal_agent::Agent;
use apyfal_api::WireError;
use apyfal_api::v2::{self, JobState};
use apyfal_core::{Error, ErrorKind, Owner, Report, Result, unix_time};
use serde_json::Value;

use crate::access::Access;
use crate::digest::{Digest, another_job};
use crate::journal::{Durability, JobChange, JobRecord, Journal, Recovered, Retention, Usage};
use crate::live::{self, Listed, Live};
use crate::logs::Logs;
use crate::recent::Recent;
use crate::scratch::{Scratch, result_name};
use crate::settings::Limits;

/// How often it is looked for results that nobody fetched.
const SWEEP: Duration = Duration::from_secs(30);

/// What became of the wish to begin a job that is kept.
pub(crate) enum Begun {
    /// It is recorded, and to be run.
    New(Listed),
    /// One with its id, which may be the same, runs already.
    Running(Arc<live::Job>),
    /// One with its id, which may be the same, ended before.
    Ended(Box<JobRecord>),
    /// One with its id was interrupted, and is run anew once it is known whether this is the same.
    Unsure,
}

/// What is recorded of jobs, and what becomes of that. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) agent: Arc<Agent>,
    pub(crate) journal: Journal,
    pub(crate) live: Arc<Live>,
    pub(crate) scratch: Arc<Scratch>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) access: Arc<Access>,
    pub(crate) limits: Limits,
}

impl History {
    /// Records a job that is to be kept, unless its id is that of one which was recorded before.
    ///
    /// # Errors
    /// The id stands for another job, as far as that is known, or recording failed.
    pub(crate) async fn begin(&self, job: live::Job, request: Value) -> Result<Begun> {
        let mut interrupted = None;
        let mut beginning = None;
        if let Some(asked) = &job.asked {
            // One that runs is listed until its end is recorded. So where none is listed, what is
            // recorded stands.
            beginning = Some(self.live.beginning(&job.id).await);
            let other = || another_job(&job.id);
            if let Some(running) = self.live.find(&job.id) {
                let is_other = running.asked.as_ref().is_none_or(|its| !asked.may_be(its));
                return if is_other { Err(other()) } else { Ok(Begun::Running(running)) };
            }
            if let Some(recorded) = self.journal.job(&job.id).await? {
                let its = recorded.digest.as_deref().and_then(Digest::parse);
                if recorded.fingerprint.as_ref() != Some(&asked.fingerprint)
                    || asked.known.zip(its).is_some_and(|(known, its)| known != its)
                {
                    return Err(other());
                }
                if !self.runs_anew(&recorded) {
                    return Ok(Begun::Ended(Box::new(recorded)));
                }
                if its.is_some() && asked.data.digest().is_none() {
                    return Ok(Begun::Unsure);
                }
                interrupted = Some(recorded);
            }
        }
        let record = job.record(request);
        let durability = job.durability;
        let listed = self.live.add(job)?;
        drop(beginning);
        let recorded = async {
            self.scratch.check_room()?;
            self.scratch.check_results(self.limits.results)?;
            self.check_share(&record.owner).await?;
            if let Some(interrupted) = interrupted {
                self.forget(&interrupted.id, interrupted.number).await?;
            }
            self.journal.record_job(record, durability).await
        };
        if let Err(error) = recorded.await {
            listed.end(Err(error.duplicate()), None);
            return Err(error);
        }
        Ok(Begun::New(listed))
    }

    /// Refuses work whose result is to be kept for an owner who has half of what there is room for,
    /// where there are others.
    ///
    /// # Errors
    /// That one has.
    async fn check_share(&self, owner: &Owner) -> Result<()> {
        let (results, bytes) = (self.limits.results / 2, self.scratch.quota() / 2);
        if !self.scratch.has_so_many(results, bytes) || !self.access.has_several_owners() {
            return Ok(());
        }
        let (own, size) = self.journal.kept_of(owner).await?;
        if own < results as u64 && size < bytes {
            return Ok(());
        }
        Err(Error::new(ErrorKind::StorageFull, format!("{owner} has half of the room for results"))
            .context("results", own)
            .context("bytes", size)
            .hint("fetch and delete results that are kept: the other half is for others"))
    }

    /// Whether a job that is sent again is to be run again: one that was interrupted, or for which the host had no
    /// room.
    fn runs_anew(&self, recorded: &JobRecord) -> bool {
        let engine = self.agent.registry().find(&recorded.accelerator);
        let of_the_host = |error: &WireError| {
            let kinds = [ErrorKind::StorageFull, ErrorKind::Busy, ErrorKind::Unavailable];
            kinds.iter().any(|kind| kind.as_str() == error.kind)
        };
        let is_undone = match recorded.state {
            JobState::Interrupted => true,
            JobState::Failed => recorded.error.as_ref().is_some_and(of_the_host),
            _ => false,
        };
        is_undone && engine.is_ok_and(|engine| engine.info().rerun_safe)
    }

    /// Forgets a job whose data are none that its client sent: what it sends next under its id is judged anew.
    pub(crate) async fn record_none(&self, job: &live::Job, error: Error) {
        if let Err(error) = self.forget(&job.id, job.number).await {
            self.logs.job(&job.id, &format!("cannot forget it: {error}"));
        }
        job.end(Err(error), None);
    }

    /// Records what the data of a job is that runs.
    ///
    /// # Errors
    /// Writing failed.
    pub(crate) async fn record_data(&self, job: &live::Job, digest: Digest) -> Result<()> {
        let change = JobChange { digest: Some(digest.to_string()), ..JobChange::default() };
        match self.journal.update_job(job.number, change, job.durability).await {
            // Its client forgot it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            recorded => recorded,
        }
    }

    /// Records how a kept job ended, and then says so.
    pub(crate) async fn record_end(
        &self,
        job: &live::Job,
        result: Result<Report>,
        kept: Option<u64>,
    ) {
        let ended = unix_time().as_secs_f64();
        let change = JobChange {
            state: Some(live::state_of(&result)),
            started: job.progress.began(),
            ended: Some(ended),
            progress: Some(live::progress(&job.progress)),
            result: kept,
            report: result.as_ref().ok().cloned().map(Into::into),
            error: result.as_ref().err().map(WireError::from),
            kept: Some(kept.is_some()),
            digest: job.asked.as_ref().and_then(|asked| asked.data.digest()).map(|d| d.to_string()),
        };
        let recorded = self.journal.update_job(job.number, change, job.durability).await;
        match recorded {
            Ok(()) => job.end_at(ended, result, kept),
            // What could not be recorded was not done.
            Err(error) => {
                self.scratch.remove(&job.id, job.number);
                job.end(Err(error.operation(format!("record job '{}'", job.id))), None)
            }
        };
    }

    /// Records a plain job that ended. A crash may lose the last tenth of a second of these.
    pub(crate) fn record_plain(&self, job: &live::Job, result: &Result<Report>) {
        let ended = unix_time().as_secs_f64();
        let began = job.progress.began();
        let usage = Usage {
            jobs: 1,
            failed: u64::from(result.is_err()),
            bytes_read: job.progress.read(),
            bytes_written: job.progress.written(),
            busy: began.map_or(0.0, |began| ended - began),
        };
        let make = || job.record_of_end(Value::Null, ended, result, None);
        let recorded = self.journal.record_plain(&job.accelerator, &job.owner, ended, usage, make);
        if let Err(error) = recorded {
            self.logs.host(&format!("cannot record a job: {error}"));
        }
    }

    /// Forgets a job that ended, and its result.
    ///
    /// # Errors
    /// Recording that failed.
    pub(crate) async fn forget(&self, id: &str, number: u64) -> Result<()> {
        self.forget_with(id, number, Durability::Process).await
    }

    /// The same where a crash may bring the job back for a moment, without its result.
    pub(crate) async fn forget_soon(&self, id: &str, number: u64) -> Result<()> {
        self.forget_with(id, number, Durability::Group).await
    }

    async fn forget_with(&self, id: &str, number: u64, durability: Durability) -> Result<()> {
        // This needs no room, and makes what the journal may need.
        self.scratch.remove(id, number);
        self.journal.forget_job(number, durability).await
    }

    /// Takes up what an earlier life of the host left behind.
    pub(crate) async fn take_up(&self, recovered: Recovered) -> Result<()> {
        for job in &recovered.interrupted {
            self.logs.job(&job.id, "was interrupted when the agent ended");
        }
        // A result is on disk before it is recorded. One that the journal does not know is a rest, or
        // the journal has lost what it knew: nobody can tell, so it is no result, and is there still.
        let mut known = HashSet::new();
        for job in self.journal.kept(Duration::ZERO).await? {
            if job.result.is_some() {
                self.scratch.take_up(&job.id, job.number);
                known.insert(result_name(&job.id, job.number));
            }
        }
        let age = self.journal.age().await?;
        let set_aside = self.scratch.set_aside(|name| !known.contains(name), age)?;
        if set_aside > 0 {
            let ttl = self.limits.result_ttl.as_secs();
            self.logs.host(&format!(
                "the journal does not know {set_aside} of the results that are here: they are set \
                 aside in '{}' for {ttl} s, as long as there is room",
                self.scratch.aside().display()
            ));
        }
        Ok(())
    }

    /// Removes results that nobody fetched in time, again and again.
    pub(crate) async fn expire_results(&self, recent: &Recent) {
        loop {
            recent.forget();
            if let Err(error) = self.expire().await {
                self.logs.host(&format!("cannot remove old results: {error}"));
            }
            tokio::time::sleep(SWEEP.min(self.limits.result_ttl)).await;
        }
    }

    async fn expire(&self) -> Result<()> {
        let ttl = self.limits.result_ttl;
        self.scratch.expire_aside(self.journal.age().await? - ttl.as_secs_f64());
        for job in self.journal.kept(ttl).await? {
            // This needs no room, and makes what the journal may need.
            self.scratch.remove(&job.id, job.number);
            let change = JobChange { kept: Some(false), ..JobChange::default() };
            self.journal.update_job(job.number, change, Durability::Process).await?;
            self.logs.job(&job.id, "its result was not fetched in time, and is removed");
        }
        self.journal.prune(Retention::default()).await
    }
}

/// A recorded job as the host tells of it.
pub(crate) fn wire_job(record: JobRecord) -> v2::Job {
    let JobRecord { id, session, accelerator, state, created, started, ended, .. } = record;
    let JobRecord { owner, progress, result, report, error, .. } = record;
    v2::Job {
        id,
        session,
        accelerator,
        owner: owner.name(),
        state,
        created,
        started,
        ended,
        progress,
        result,
        report,
        error,
    }
}
