//! One job on a host: sent, its result taken, and sent again where that is safe.

use std::sync::Arc;
use std::time::Instant;

use apyfal_api::v2::{self, JobRequest, JobState};
use apyfal_core::{Error, ErrorKind, Report, Result};
use http::HeaderMap;
use serde::de::DeserializeOwned;

use super::Inner;
use super::failure::{Failure, Patience};
use super::kept::Kept;
use super::request;
use super::result::WAIT;
use super::sink::Sink;
use super::source::Source;

/// A job and its data.
pub(super) struct RemoteJob<'a> {
    pub(super) host: &'a Arc<Inner>,
    pub(super) session: &'a str,
    pub(super) request: JobRequest,
    pub(super) source: &'a Source,
    pub(super) sink: &'a Sink,
    pub(super) patience: Patience,
    /// How the host lost it last, where it had it.
    pub(super) lost: Option<Error>,
}

impl RemoteJob<'_> {
    /// Runs a job that may be run again and again until it was run to its end.
    pub(super) async fn run_plain(&mut self) -> Result<Report> {
        loop {
            let failure = match self.attempt().await {
                Ok(report) => return Ok(report),
                Err(failure) => failure,
            };
            if !self.sink.can_restart() {
                return Err(begin_anew(failure, "part of the result was handed on"));
            }
            if !self.source.is_whole() {
                return Err(cannot_repeat(failure));
            }
            self.patience.wait(failure).await?;
            self.sink.restart().await?;
        }
    }

    /// Runs a job that must not be run twice. The host records it under an id, so that its result
    /// can be asked for.
    pub(super) async fn run_recorded(&mut self) -> Result<Report> {
        let id = self.request.id.get_or_insert_with(super::random_id).clone();
        let kept = Kept::by(self.host, &id);
        let ended = self.run_under(&id).await.map_err(|error| error.of_job(&id));
        kept.forget().await;
        ended
    }

    async fn run_under(&mut self, id: &str) -> Result<Report> {
        loop {
            let failure = match self.attempt().await {
                Ok(report) => return Ok(report),
                Err(failure) => failure,
            };
            let again = match failure {
                Failure::Lost(error) => match self.ask_for(id).await? {
                    Some(report) => return Ok(report),
                    None => Failure::Lost(error),
                },
                // A refusal that may pass, before anything was recorded.
                failure => failure,
            };
            if !self.source.is_whole() {
                return Err(cannot_repeat(again));
            }
            self.patience.wait(again).await?;
        }
    }

    /// Asks what became of a job. None where the host knows nothing of it.
    async fn ask_for(&mut self, id: &str) -> Result<Option<Report>> {
        loop {
            let failure = match self.job(id, WAIT).await {
                Ok(None) => return Ok(None),
                Ok(Some(job)) => match ended(job) {
                    None => {
                        self.patience.renew();
                        continue;
                    }
                    Some(Ok(job)) => match self.rest_of(job).await {
                        Ok(report) => return Ok(Some(report)),
                        Err(failure) => failure,
                    },
                    Some(Err(failure)) => return Err(failure.into_error()),
                },
                Err(failure) => failure,
            };
            self.patience.wait(failure).await?;
        }
    }

    /// What the host knows of a job of this session, once that has ended or so many seconds later.
    pub(super) async fn job(&self, id: &str, wait: u64) -> Result<Option<v2::Job>, Failure> {
        let path = format!("/v2/jobs/{}?wait={wait}", super::in_path(id));
        match self.host.get::<v2::Job>(&path).await {
            // Else it is one of another host, to which something in between led us.
            Ok(job) => Ok(Some(job).filter(|job| super::in_path(&job.session) == self.session)),
            Err(Failure::Final(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Sends the job once.
    async fn attempt(&mut self) -> Result<Report, Failure> {
        let path = format!("/v2/sessions/{}/jobs", self.session);
        let ask = request::ask(&self.host.connections, path, &self.request, self.source).await?;
        let begun = Instant::now();
        let received = async {
            let answer = self.host.connections.send(ask).await?.accepted().await?;
            self.receive(answer).await
        };
        let received = received.await;
        if let Err(Failure::Lost(error)) = &received {
            self.patience.lost_after(begun.elapsed());
            self.lost = Some(error.duplicate());
        }
        // The host only sees that there is no more data; the reason is here.
        received.map_err(|failure| self.source.take_failure().map_or(failure, Failure::Final))
    }
}

/// A failure after which nothing is left to be tried.
fn begin_anew(failure: Failure, why: &str) -> Error {
    let error = failure.into_error();
    match error.is_retryable() {
        true => error.hint(format!("{why}: begin anew")),
        false => error,
    }
}

pub(super) fn cannot_repeat(failure: Failure) -> Error {
    begin_anew(failure, "the source cannot be read again")
}

/// How a job ended; none as long as it has not. What was lost with its host or its connection did not
/// fail by itself.
pub(super) fn ended(job: v2::Job) -> Option<Result<v2::Job, Failure>> {
    match job.state {
        state if !state.is_final() => None,
        JobState::Done => Some(Ok(job)),
        JobState::Cancelled | JobState::Interrupted => Some(Err(Failure::Lost(why_ended(job)))),
        _ => Some(Err(Failure::Final(why_ended(job)))),
    }
}

/// Why a job ended otherwise than well.
fn why_ended(job: v2::Job) -> Error {
    let broke_off = "the connection was lost before all of the source was sent";
    let error = match (job.state, job.error) {
        (JobState::Interrupted, _) => {
            Error::new(ErrorKind::Unavailable, "the host ended while the job waited or ran")
                .hint("it was not run again, since its source or accelerator does not allow that")
                .hint("begin anew")
                .retryable()
        }
        (JobState::Cancelled, _) => Error::new(ErrorKind::Unavailable, broke_off)
            .hint("the source cannot be read again: begin anew")
            .retryable(),
        (_, Some(error)) => error.into(),
        (state, None) => Error::new(ErrorKind::Engine, format!("the job is {}", state.as_str())),
    };
    error.of_job(&job.id)
}

pub(super) fn from_header<T: DeserializeOwned>(headers: &HeaderMap, name: &str) -> Option<T> {
    serde_json::from_slice(headers.get(name)?.as_bytes()).ok()
}

/// Reads the JSON of an answer.
pub(super) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| unreadable(&error.to_string()))
}

pub(super) fn unreadable(why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, why)
        .operation("understand the host's answer")
        .hint("use the same version of Apyfal here and there")
}
