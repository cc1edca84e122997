//! The jobs that this process knows: those that wait or run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use apyfal_api::WireError;
use apyfal_api::v2::{self, JobState};
use apyfal_core::{Cancel, Error, ErrorKind, Owner, Progress, Report, Result, unix_time};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::sync::Notify;

use crate::data::Complete;
use crate::digest::Digest;
use crate::journal::{Durability, JobRecord, Protocol};

/// What a job with an id of its client's is. Two with one id are the same job only if both ask for
/// the same.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Equal for two that ask for the same, but for their data.
    pub(crate) fingerprint: String,
    /// What is known of the data before it is in.
    pub(crate) known: Option<Digest>,
    /// The data itself.
    pub(crate) data: Complete,
}

impl Asked {
    /// Whether another one may be the same, as far as is known.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        let is_other = |(digest, other)| digest != other;
        self.fingerprint == other.fingerprint && !self.known.zip(other.known).is_some_and(is_other)
    }
}

/// A job that waits or runs, and for who holds on to it how it ended.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    /// Its number, which REST v1.0 calls its id.
    pub(crate) number: u64,
    pub(crate) session: String,
    pub(crate) accelerator: String,
    pub(crate) owner: Owner,
    pub(crate) protocol: Protocol,
    /// How sure it is that it will be remembered.
    pub(crate) durability: Durability,
    /// Only of one with an id of its client's.
    pub(crate) asked: Option<Box<Asked>>,
    pub(crate) cancel: Cancel,
    pub(crate) progress: Arc<Progress>,
    pub(crate) created: f64,
    /// Whether it is part of the host's figures.
    counted: AtomicBool,
    ended: OnceLock<Arc<Ended>>,
    /// Wakes those who wait for the end.
    ending: Notify,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) at: f64,
    pub(crate) result: Result<Report>,
    /// The length of the kept result.
    pub(crate) kept: Option<u64>,
}

impl Ended {
    pub(crate) fn state(&self) -> JobState {
        state_of(&self.result)
    }
}

pub(crate) fn state_of(result: &Result<Report>) -> JobState {
    match result {
        Ok(_) => JobState::Done,
        Err(error) if error.is_cancelled() => JobState::Cancelled,
        Err(_) => JobState::Failed,
    }
}

impl Job {
    /// A plain job, of which nothing is kept.
    pub(crate) fn new(id: String, number: u64, session: &str, accelerator: &str) -> Self {
        Self {
            id,
            number,
            session: session.to_owned(),
            accelerator: accelerator.to_owned(),
            owner: Owner::Anyone,
            protocol: Protocol::V2,
            durability: Durability::Group,
            asked: None,
            cancel: Cancel::default(),
            progress: Arc::default(),
            created: unix_time().as_secs_f64(),
            counted: AtomicBool::new(false),
            ended: OnceLock::new(),
            ending: Notify::new(),
        }
    }

    /// The same job, asked for by this one.
    pub(crate) fn of(self, owner: Owner) -> Self {
        Self { owner, ..self }
    }

    /// The same job, with an id of its client's.
    pub(crate) fn asked(self, asked: Asked) -> Self {
        Self { asked: Some(Box::new(asked)), ..self }
    }

    /// The same job, recorded before it runs, and its result kept.
    pub(crate) fn kept(self, protocol: Protocol, durability: Durability) -> Self {
        Self { protocol, durability, ..self }
    }

    /// Takes note that it is counted; false where it was before.
    pub(crate) fn count(&self) -> bool {
        !self.counted.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.counted.load(Ordering::Relaxed)
    }

    /// Says how it ended.
    pub(crate) fn end(&self, result: Result<Report>, kept: Option<u64>) -> Arc<Ended> {
        self.end_at(unix_time().as_secs_f64(), result, kept)
    }

    /// Says how it ended, and when. What was said first stands.
    pub(crate) fn end_at(&self, at: f64, result: Result<Report>, kept: Option<u64>) -> Arc<Ended> {
        let ended = self.ended.get_or_init(|| Arc::new(Ended { at, result, kept })).clone();
        self.ending.notify_waiters();
        ended
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    /// Waits until it ended.
    pub(crate) async fn ended(&self) -> Arc<Ended> {
        loop {
            // It listens before it looks, so no end is missed.
            let ending = self.ending.notified();
            if let Some(ended) = self.ended.get() {
                return ended.clone();
            }
            ending.await;
        }
    }

    /// As it is recorded when it begins, with what was asked for.
    pub(crate) fn record(&self, request: Value) -> JobRecord {
        let asked = self.asked.as_ref();
        JobRecord {
            id: self.id.clone(),
            number: self.number,
            session: self.session.clone(),
            accelerator: self.accelerator.clone(),
            owner: self.owner.clone(),
            state: JobState::Waiting,
            protocol: self.protocol,
            request,
            fingerprint: asked.map(|asked| asked.fingerprint.clone()),
            digest: asked.and_then(|asked| asked.known).map(|known| known.to_string()),
            created: self.created,
            started: None,
            ended: None,
            progress: v2::Progress::default(),
            result: None,
            report: None,
            error: None,
            kept: true,
        }
    }

    /// As it is recorded when it was not before it ended.
    pub(crate) fn record_of_end(
        &self,
        request: Value,
        ended: f64,
        result: &Result<Report>,
        kept: Option<u64>,
    ) -> JobRecord {
        JobRecord {
            state: state_of(result),
            started: self.progress.began(),
            ended: Some(ended),
            progress: progress(&self.progress),
            result: kept,
            report: result.as_ref().ok().cloned().map(Into::into),
            error: result.as_ref().err().map(WireError::from),
            kept: kept.is_some(),
            ..self.record(request)
        }
    }

    /// As the host tells of it.
    pub(crate) fn as_wire(&self) -> v2::Job {
        let ended = self.ended.get();
        let began = self.progress.began();
        let running = if began.is_some() { JobState::Running } else { JobState::Waiting };
        let result = ended.map(|ended| &ended.result);
        v2::Job {
            id: self.id.clone(),
            session: self.session.clone(),
            accelerator: self.accelerator.clone(),
            owner: self.owner.name(),
            state: ended.map_or(running, |ended| ended.state()),
            created: self.created,
            started: began,
            ended: ended.map(|ended| ended.at),
            progress: progress(&self.progress),
            result: ended.and_then(|ended| ended.kept),
            report: result.and_then(|result| Some(result.as_ref().ok()?.clone().into())),
            error: result.and_then(|result| Some(result.as_ref().err()?.into())),
        }
    }
}

pub(crate) fn progress(progress: &Progress) -> v2::Progress {
    v2::Progress { total: progress.total(), read: progress.read(), written: progress.written() }
}

/// Among how many places to begin ids are shared out.
const PLACES: usize = 32;

/// All jobs that wait or run, by id.
#[derive(Debug, Default)]
pub(crate) struct Live {
    jobs: Mutex<HashMap<String, Arc<Job>>>,
    beginning: [tokio::sync::Mutex<()>; PLACES],
}

impl Live {
    /// Waits until nobody else looks whether a job with this id is new. Only who has this may add
    /// one.
    pub(crate) async fn beginning(&self, id: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        self.beginning[hasher.finish() as usize % PLACES].lock().await
    }

    /// Adds a job, whose id is ours and so new. It leaves when what is returned is dropped.
    ///
    /// # Errors
    /// A client gave its job this very id.
    pub(crate) fn add(self: &Arc<Self>, job: Job) -> Result<Listed> {
        match self.jobs().entry(job.id.clone()) {
            Entry::Occupied(present) => {
                let why = format!("a client's job has the id '{}'", present.key());
                Err(Error::new(ErrorKind::Conflict, why).hint("do not begin ids with 'job-'"))
            }
            Entry::Vacant(place) => {
                let job = place.insert(Arc::new(job)).clone();
                Ok(Listed { job, live: self.clone() })
            }
        }
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Job>> {
        self.jobs().get(id).cloned()
    }

    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        let mut all: Vec<_> = self.jobs().values().cloned().collect();
        all.sort_by(|a, b| a.created.total_cmp(&b.created));
        all
    }

    pub(crate) fn count(&self) -> usize {
        self.jobs().len()
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<String, Arc<Job>>> {
        self.jobs.lock()
    }
}

/// A job that is in the list, for as long as this lives. Dropped before the job ended, it cancels
/// the job.
#[derive(Debug)]
pub(crate) struct Listed {
    job: Arc<Job>,
    live: Arc<Live>,
}

impl std::ops::Deref for Listed {
    type Target = Arc<Job>;

    fn deref(&self) -> &Arc<Job> {
        &self.job
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if !self.job.has_ended() {
            self.job.cancel.cancel();
            self.job.end(Err(Error::cancelled()), None);
        }
        self.live.jobs().remove(&self.job.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_is_listed_until_it_ends() {
        let live = Arc::<Live>::default();
        let job = |id: &str| Job::new(id.into(), 1, "s", "null");
        let listed = live.add(job("a")).unwrap();
        assert_eq!(live.add(job("a")).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(live.find("a").unwrap().as_wire().state, JobState::Waiting);
        let waiting = live.find("a").unwrap();
        listed.end(Ok(Report::default()), Some(3));
        drop(listed);
        assert_eq!(waiting.ended().await.state(), JobState::Done);
        assert_eq!(waiting.as_wire().result, Some(3));
        assert_eq!(live.count(), 0);
    }

    #[tokio::test]
    async fn a_job_that_is_dropped_is_cancelled() {
        let live = Arc::<Live>::default();
        let listed = live.add(Job::new("a".into(), 1, "s", "null")).unwrap();
        let job = listed.clone();
        drop(listed);
        assert!(job.cancel.is_cancelled());
        assert_eq!(job.ended().await.state(), JobState::Cancelled);
    }
}
