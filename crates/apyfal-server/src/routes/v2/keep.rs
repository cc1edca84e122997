//! Jobs that are recorded before they run, and whose results are kept.

use std::sync::Arc;

use apyfal_api::v2::{JobState, Mode};
use apyfal_core::{Input, Owner, Result};
use apyfal_net::Connection;
use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;

use super::deliver;
use super::process::{Ends, SMALL};
use crate::data::{self, Complete, Data};
use crate::digest::{Digest, another_job, check_stated};
use crate::history::{Begun, wire_job};
use crate::host::Host;
use crate::journal::{Durability, Protocol};
use crate::live::{self, Asked};
use crate::scratch::Holder;
use crate::stored::Stored;

/// The data of a job, as far as it is in before the job begins.
enum Sent {
    Nothing,
    InMemory(Bytes),
    Stored(Stored),
    Coming(Data),
}

impl Sent {
    async fn of(data: Option<Data>) -> Result<Self> {
        let Some(data) = data else { return Ok(Self::Nothing) };
        Ok(match data.in_memory(SMALL).await? {
            Ok(bytes) => Self::InMemory(bytes),
            Err(data) => Self::Coming(data),
        })
    }

    /// What tells that all of it is in, and with `has_id` what it is.
    fn complete(&mut self, has_id: bool) -> Complete {
        match self {
            Self::Coming(data) if has_id => data.digested(),
            Self::Coming(data) => data.complete(),
            Self::InMemory(bytes) if has_id => Complete::with(Digest::of(bytes)),
            _ => Complete::with(Digest::NO_DATA),
        }
    }

    /// Takes all of it in.
    async fn stored(self, host: &Host, holder: Holder) -> Result<Self> {
        let Self::Coming(mut data) = self else { return Ok(self) };
        let mut stored = Stored::new(&host.scratch, Some(holder))?;
        while let Some(piece) = data.next().await {
            stored = stored.add(piece?).await?;
        }
        Ok(Self::Stored(stored.written().await?))
    }

    fn into_input(self, name: Option<&str>, told: Option<Digest>) -> Option<Input> {
        match self {
            Self::Nothing => None,
            Self::InMemory(bytes) => Some(data::named(Input::memory(bytes), name)),
            Self::Stored(stored) => Some(data::named(stored.into_input(), name)),
            Self::Coming(mut data) => {
                if let Some(told) = told {
                    data.expect(told);
                }
                Some(data.into_input(name))
            }
        }
    }
}

/// Runs or submits a job that is recorded, and keeps its result.
pub(super) async fn keep(
    host: &Arc<Host>,
    connection: &Connection,
    owner: &Owner,
    mut ends: Box<Ends>,
    headers: &HeaderMap,
) -> Result<Response> {
    let (mode, output) = (ends.request.mode, ends.output);
    // No two jobs have the same id of the host's, so their data need not be told apart.
    let has_id = ends.request.id.is_some();
    let is_body = ends.data.as_ref().is_some_and(Data::is_body);
    let told = if has_id && is_body { Digest::stated(headers)? } else { None };
    let mut sent = Sent::of(ends.data.take()).await?;
    let complete = sent.complete(has_id);
    if let (Some(told), Some(digest)) = (told, complete.digest()) {
        check_stated(told, Some(digest))?;
    }
    let (job, number) = loop {
        let mut job =
            host.jobs.new_job(ends.request.id.clone(), &ends.session, &ends.accelerator, owner)?;
        if has_id {
            let (fingerprint, data) = (ends.fingerprint(), complete.clone());
            job = job.asked(Asked { fingerprint, known: complete.digest().or(told), data });
        }
        let job = job.kept(Protocol::V2, Durability::Disk);
        break match host.history.begin(job, ends.record()).await? {
            Begun::New(listed) => {
                let job = (*listed).clone();
                let (name, called) = ends.names();
                let src = sent.into_input(name.as_deref(), told);
                host.jobs.keep(&host.history, listed, ends.job(), src, output, called);
                if mode == Mode::Submit {
                    all_in(host, &job, &complete).await?;
                } else {
                    job.ended().await;
                }
                (job.as_wire(), job.number)
            }
            Begun::Running(running) => {
                let digest = digest_of(sent, told, &complete).await?;
                let its = running.asked.as_ref().map(|asked| &asked.data);
                let its = match its {
                    Some(data) => data.wait().await,
                    None => None,
                };
                if its.is_none() || its == digest && mode == Mode::Run {
                    running.ended().await;
                }
                let job = running.as_wire();
                check(its, digest, &job.id, job.state)?;
                (job, running.number)
            }
            Begun::Ended(recorded) => {
                let digest = digest_of(sent, told, &complete).await?;
                let its = recorded.digest.as_deref().and_then(Digest::parse);
                check(its, digest, &recorded.id, recorded.state)?;
                let number = recorded.number;
                (wire_job(*recorded), number)
            }
            Begun::Unsure => {
                let (owner, connection) = (owner.clone(), connection.number());
                let holder = Holder { owner, connection };
                sent = sent.stored(host, holder).await?;
                continue;
            }
        };
    };
    match mode {
        Mode::Submit => Ok((StatusCode::ACCEPTED, Json(job)).into_response()),
        Mode::Run => deliver::kept(host, job, number, output, None),
    }
}

/// The digest of the data of a job that is not to be run. The data takes no room meanwhile.
async fn digest_of(
    sent: Sent,
    told: Option<Digest>,
    complete: &Complete,
) -> Result<Option<Digest>> {
    if let (None, Sent::Coming(data)) = (told, sent) {
        data.pass().await?;
    }
    Ok(complete.digest().or(told))
}

/// Whether a job is the one that is asked for, by the digests of both their data. That of one which
/// did not get all of its data is never known; what became of it is no result.
fn check(its: Option<Digest>, digest: Option<Digest>, id: &str, state: JobState) -> Result<()> {
    if its.is_some() && its == digest || its.is_none() && state != JobState::Done {
        return Ok(());
    }
    let error = another_job(id);
    Err(if its.is_none() {
        error.hint(format!("GET /v2/jobs/{id}/result sends the result that it has"))
    } else {
        error
    })
}

/// Waits until all data of a job is in, and recorded, or the job ended without.
async fn all_in(host: &Host, job: &live::Job, complete: &Complete) -> Result<()> {
    let digest = tokio::select! {
        digest = complete.wait() => digest,
        _ = job.ended() => None,
    };
    match (&job.asked, digest) {
        (Some(asked), Some(digest)) => match asked.known {
            Some(told) => check_stated(told, Some(digest)),
            None => host.history.record_data(job, digest).await,
        },
        _ => Ok(()),
    }
}
