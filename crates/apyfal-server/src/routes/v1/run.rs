//! `POST /v1.0/process/`: runs a job.

use std::sync::Arc;
use std::time::Duration;

use apyfal_api::v1;
use apyfal_core::{Error, ErrorKind, Job, JobParameters, Need, Report, Result};
use axum::Json;
use axum::body::Body;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::configurations::{self, is_refusal};
use super::record::Unrecorded;
use super::refusal::Routed;
use super::route::{Resource, Route};
use super::state::{Known, Process, Sent};
use super::{form, owner, record, responses};
use crate::host::Host;
use crate::journal::{Durability, Protocol};
use crate::live::Listed;

/// How long the answer waits for a short job to end. Such a job is recorded once, when it ended.
const SHORT: Duration = Duration::from_millis(50);

/// Runs a job, and answers once its data is in.
pub(super) async fn run(host: &Arc<Host>, route: &Route, parts: &Parts, body: Body) -> Routed {
    host.draining.check()?;
    let request = form::read(parts, body, &host.scratch, host.limits.client_timeout, true).await?;
    let form::Request { parameters, size, configuration, datafile, data, mut end } = request;
    let number = Resource::configuration_of(&configuration)
        .ok_or_else(|| configurations::unknown(&configuration))?;
    let Known { session, accelerator, .. } = find(host, number).await?;
    let checked = parameters.as_ref().map_err(Error::duplicate);
    let checked = checked.and_then(JobParameters::from_json);
    let sent =
        Sent { configuration: number, parameters: responses::shown(parameters.ok()), datafile };

    let job = host.jobs.new_job(None, &session, &accelerator, &owner(parts))?;
    let listed = host.live.add(job.kept(Protocol::V1, Durability::Process))?;
    let mut checked = match checked {
        Ok(checked) => checked,
        Err(error) => {
            let result = host.jobs.settle(&listed, Err(error));
            record::short(&host.journal, &listed, &sent, result, None).await?;
            return Ok(answer(host, route, Process { job: (*listed).clone(), sent, size }));
        }
    };
    let src = v1::take_source(&mut checked.specific);
    let dst = v1::take_destination(&mut checked.specific);
    let need = match dst {
        // The host writes it where the client wants it.
        Some(_) => Need::None,
        None => host.agent.registry().find(&accelerator)?.info().dst,
    };
    let input = data.map(|data| data.into_input(sent.datafile.as_deref()));
    let process = Arc::new(Process { job: (*listed).clone(), sent, size });
    let unrecorded = Unrecorded::new(&host.scratch, &listed);
    let request = Job { session, parameters: checked, src, dst };
    let mut running = Box::pin({
        let (host, process) = (host.clone(), process.clone());
        async move { host.jobs.perform_kept(&process.job, request, input, need, None).await }
    });
    let patience = async {
        end.wait().await;
        tokio::time::sleep(SHORT).await;
    };
    let ended = tokio::select! {
        biased;
        ended = &mut running => Some(ended),
        () = patience => None,
    };
    // What is wrong with the form goes before what that led to.
    end.check()?;
    match ended {
        Some((Err(error), _)) if is_refusal(error.kind()) => return Err(error.into()),
        Some((result, kept)) => {
            record::short(&host.journal, &process.job, &process.sent, result, kept).await?;
        }
        None => go_on(host.clone(), listed, process.clone(), running).await?,
    }
    unrecorded.recorded();
    Ok(answer(host, route, process))
}

/// Keeps a process at hand and tells of it.
fn answer(host: &Host, route: &Route, process: impl Into<Arc<Process>>) -> Response {
    let process = process.into();
    let told =
        responses::process(route, process.job.number, process.sent.clone(), process.job.as_wire());
    host.v1.add(process);
    Json(told).into_response()
}

/// Records a job that goes on, and lets it, whether or not its client waits for that.
async fn go_on(
    host: Arc<Host>,
    listed: Listed,
    process: Arc<Process>,
    running: impl Future<Output = (Result<Report>, Option<u64>)> + Send + 'static,
) -> Result<()> {
    let (recorded, answer) = oneshot::channel();
    tokio::spawn(async move {
        let outcome = record::running(&host.journal, &listed, &process.sent).await;
        let is_recorded = outcome.is_ok();
        let _ = recorded.send(outcome);
        if is_recorded {
            let (result, kept) = running.await;
            host.history.record_end(&listed, result, kept).await;
        }
    });
    answer.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the job was lost")))
}

/// The session that a configuration is.
async fn find(host: &Host, number: u64) -> Routed<Known> {
    if let Some(known) = host.v1.known(number) {
        return Ok(known);
    }
    match host.journal.session_by_number(number).await? {
        Some(record) if record.protocol == Protocol::V1 && record.ended.is_none() => {
            Ok(host.v1.learn(number, &record.id, &record.accelerator))
        }
        _ => Err(configurations::unknown(number)),
    }
}
