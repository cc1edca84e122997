//! Jobs: `POST /v2/sessions/{id}/jobs` and `POST /v2/run/{accelerator}`.

use std::ops::ControlFlow;
use std::sync::Arc;

use apyfal_api::v2::{self, JobRequest, Mode};
use apyfal_core::{
    AcceleratorInfo, Client, Error, ErrorKind, Input, Job, JobParameters, Need, Output, Owner,
    ParamKind, Result, Start, json_value, shorten,
};
use apyfal_net::Connection;
use apyfal_storage::Location;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::deliver;
use super::keep::keep;
use super::reading::Reading;
use crate::answer::{Refusal, Routed};
use crate::body;
use crate::coding;
use crate::data::{self, Data};
use crate::digest::Digest;
use crate::host::Host;
use crate::jobs::output_named;
use crate::routes::query::{Name, Query};
use crate::scratch::Holder;
use crate::spool::spool;

/// Data of no more than so many bytes is taken in before its job begins, so that a slow client
/// holds no slot.
pub(super) const SMALL: usize = 64 << 10;

/// Runs or submits a job in a session.
pub(crate) async fn in_session(
    host: &Arc<Host>,
    connection: &Connection,
    owner: &Owner,
    session: String,
    parts: &Parts,
    body: Body,
) -> Routed {
    let patience = host.limits.client_timeout;
    let (request, data) = body::split::<JobRequest>(parts, body, patience).await?;
    let reading = Reading::of(parts);
    match Ends::of(host, session, request, data).await {
        Ok(ends) if ends.request.id.is_some() || ends.request.mode == Mode::Submit => {
            // What plain jobs need not carry along with them is made when it is needed.
            Ok(Box::pin(keep(host, connection, owner, ends, &parts.headers)).await?)
        }
        Ok(ends) => Ok(run(host, connection, owner, ends, reading, None).await?),
        Err((error, data)) => {
            data.drain();
            Err(error.into())
        }
    }
}

/// What a job of a session reads and writes.
pub(super) struct Ends {
    pub(super) session: String,
    pub(super) accelerator: String,
    pub(super) request: JobRequest,
    parameters: JobParameters,
    pub(super) data: Option<Data>,
    pub(super) output: bool,
}

impl Ends {
    /// Checks a request against what its session's accelerator takes.
    async fn of(
        host: &Host,
        session: String,
        request: JobRequest,
        data: Data,
    ) -> std::result::Result<Box<Self>, (Error, Data)> {
        let checked = async {
            host.draining.check()?;
            let found = host.agent.accelerator(&session).await?;
            // Most jobs have none of their own.
            let parameters = match &request.parameters {
                Value::Null => JobParameters::default(),
                sent => JobParameters::from_json(sent)?,
            };
            Ok((parameters, found))
        };
        let (parameters, found) = match checked.await {
            Ok(checked) => checked,
            Err(error) => return Err((error, data)),
        };
        let info = found.info();
        if let Err(error) = check_id(request.id.as_deref()) {
            return Err((error, data));
        }
        let input = request.input.unwrap_or(match info.src {
            _ if request.src.is_some() => false,
            Need::Required => true,
            Need::Optional => data.is_there(),
            // Whatever is sent is refused by name.
            Need::None => data.len.is_some_and(|len| len > 0),
        });
        let output = request.output.unwrap_or(request.dst.is_none() && info.dst == Need::Required);
        // The futures that it passes through are moved as a whole, so they carry no more than a pointer.
        Ok(Box::new(Self {
            session,
            accelerator: info.name.to_string(),
            request,
            parameters,
            data: input.then_some(data),
            output,
        }))
    }

    /// Equal for two requests that ask for the same, but for their data.
    pub(super) fn fingerprint(&self) -> String {
        let JobRequest { parameters, src, dst, input_name, output_name, .. } = &self.request;
        let len = self.data.as_ref().and_then(|data| data.len);
        let names = json!([input_name, output_name]);
        let asked =
            json!([self.session, parameters, src, dst, len, self.output, names]).to_string();
        // It is recorded, and what is asked for may hold secrets.
        Digest::of(asked.as_bytes()).to_string()
    }

    /// The request as it may be recorded.
    pub(super) fn record(&self) -> Value {
        let shown = |url: &Option<String>| {
            url.as_ref().and_then(|url| Some(Location::parse(url).ok()?.to_string()))
        };
        let request = JobRequest {
            src: shown(&self.request.src),
            dst: shown(&self.request.dst),
            ..self.request.clone()
        };
        serde_json::to_value(request).unwrap_or_default()
    }

    /// What the data and the result are called.
    pub(super) fn names(&mut self) -> (Option<String>, Option<String>) {
        (self.request.input_name.take(), self.request.output_name.take())
    }

    /// The job for the agent.
    pub(super) fn job(&mut self) -> Job {
        Job {
            session: std::mem::take(&mut self.session),
            parameters: std::mem::take(&mut self.parameters),
            src: self.request.src.take(),
            dst: self.request.dst.take(),
        }
    }
}

fn check_id(id: Option<&str>) -> Result<()> {
    let is_good = |id: &str| {
        (1..=64).contains(&id.len())
            && !id.starts_with("job-")
            // Its lines of the log would be the host's.
            && !id.eq_ignore_ascii_case("host")
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    match id {
        Some(id) if !is_good(id) => Err(Error::new(ErrorKind::Usage, "the job's id is not usable")
            .hint(
                "an id has 1 to 64 letters, digits, '-' and '_'; 'host', and those that begin with \
                 'job-', are the host's own",
            )),
        _ => Ok(()),
    }
}

/// Runs a job while its client waits. `ending` is dropped once the job ended.
async fn run(
    host: &Arc<Host>,
    connection: &Connection,
    owner: &Owner,
    mut ends: Box<Ends>,
    reading: Reading,
    ending: Option<EndSession>,
) -> Result<Response> {
    let job = host.jobs.new_job(None, &ends.session, &ends.accelerator, owner)?;
    let (name, output_name) = ends.names();
    // Set once the request is in, where that is not so already.
    let mut sent = None;
    let src = match ends.data.take() {
        None => None,
        Some(data) => match data.in_memory(SMALL).await? {
            Ok(bytes) => Some(data::named(Input::memory(bytes), name.as_deref())),
            Err(mut data) => {
                sent = Some(data.complete());
                Some(data.into_input(name.as_deref()))
            }
        },
    };
    let (request, output) = (ends.job(), ends.output);
    drop(ends);
    if !output {
        let listed = host.live.add(job)?;
        let report = Box::pin(host.jobs.perform(&listed, request, src, None)).await;
        host.history.record_plain(&listed, &report);
        return deliver::report(&listed, listed.end(report, None));
    }
    let holder = Holder { owner: owner.clone(), connection: connection.number() };
    let (writer, end, reader) = spool(&host.scratch, holder);
    reading.announce(&reader);
    // The spool takes everything in at once: into memory, or into a scratch file.
    let dst = output_named(Output::memory(writer), output_name.as_deref());
    let (request, src, dst) = match host.jobs.perform_at_once(&job, request, src, Some(dst)) {
        // It is done before anybody could have looked for it.
        ControlFlow::Break(report) => {
            host.history.record_plain(&job, &report);
            end.end(report);
            if reader.is_in_memory() {
                return deliver::whole(host, &job, reader);
            }
            return deliver::stream(host, host.live.add(job)?, reader, reading.trailers);
        }
        ControlFlow::Continue(later) => later,
    };
    let listed = host.live.add(job)?;
    let running = {
        let (host, job) = (host.clone(), (*listed).clone());
        async move {
            let report = host.jobs.perform(&job, request, src, dst).await;
            host.history.record_plain(&job, &report);
            end.end(report);
            drop(ending);
        }
    };
    // A short job ends within this request, and needs no task of its own.
    let mut running = Box::pin(running);
    tokio::select! {
        biased;
        () = &mut running => {}
        () = reading.begin(sent.as_ref(), &reader, deliver::HEAD) => {
            tokio::spawn(running);
        }
    }
    deliver::stream(host, listed, reader, reading.trailers)
}

/// Opens a session, runs one job in it, and ends it. The parameters are those of the query.
pub(crate) async fn alone(
    State(host): State<Arc<Host>>,
    Name(accelerator): Name,
    Query(query): Query<Vec<(String, String)>>,
    Extension(connection): Extension<Connection>,
    Extension(owner): Extension<Owner>,
    request: Request,
) -> Routed {
    let (parts, body) = request.into_parts();
    let data = Data::of_body(&parts.headers, body).within(host.limits.client_timeout);
    if parts.headers.contains_key(v2::REQUEST) {
        data.drain();
        return Err(Error::new(ErrorKind::Usage, format!("it takes no '{}'", v2::REQUEST))
            .operation(format!("run '{}' at once", shorten(accelerator)))
            .hint("parameters stand in the query, and the body is the data as it is")
            .hint("all else is for the jobs of a session: POST /v2/sessions/{id}/jobs")
            .into());
    }
    if let Err((status, error)) = coding::check_no_form(&parts.headers) {
        data.drain();
        return Err(Refusal::new(status, error));
    }
    let found = match host.agent.registry().find(&accelerator) {
        Ok(found) => found,
        Err(error) => {
            data.drain();
            return Err(error.into());
        }
    };
    let (engine, query) = engine_of(found.info(), query);
    let (start, job) = match by_stage(found.info(), query) {
        Ok(parameters) => parameters,
        Err(error) => {
            data.drain();
            return Err(error.into());
        }
    };
    let parameters = JobParameters { engine, ..JobParameters::specific(start) };
    let reading = Reading::of(&parts);
    let start = Start { accelerator, parameters, src: None };
    let opened = match host.draining.check() {
        // It ends within this request, so nobody needs to remember it.
        Ok(()) => {
            host.agent.start_for_now(start, host.sessions.io(Data::none(), None, &owner)).await
        }
        Err(error) => Err(error),
    };
    let session = match opened {
        Ok(session) => session,
        Err(error) => {
            data.drain();
            return Err(error.into());
        }
    };
    let request = JobRequest {
        parameters: json!({"app": {"specific": job}}),
        // Who asks in one line wants the result, where there can be one.
        output: (found.info().dst != Need::None).then_some(true),
        ..JobRequest::default()
    };
    let ending = EndSession { host: host.clone(), session: session.id.clone() };
    match Ends::of(&host, session.id, request, data).await {
        Ok(ends) => Ok(run(&host, &connection, &owner, ends, reading, Some(ending)).await?),
        Err((error, data)) => {
            data.drain();
            Err(error.into())
        }
    }
}

/// Ends the session of a single job, once that ended.
struct EndSession {
    host: Arc<Host>,
    session: String,
}

impl Drop for EndSession {
    fn drop(&mut self) {
        let (host, session) = (self.host.clone(), std::mem::take(&mut self.session));
        tokio::spawn(async move { host.agent.stop(&session).await });
    }
}

/// The engine that a query asks for, and its other values. A parameter of that name goes before it.
fn engine_of(
    info: &AcceleratorInfo,
    query: Vec<(String, String)>,
) -> (Option<String>, Vec<(String, String)>) {
    if info.params.iter().any(|spec| spec.name == "engine") {
        return (None, query);
    }
    let (asked, others): (Vec<_>, _) = query.into_iter().partition(|(key, _)| key == "engine");
    (asked.into_iter().next_back().map(|(_, name)| name), others)
}

/// Splits the parameters of a query into those that only `start` takes and the others.
fn by_stage(
    info: &AcceleratorInfo,
    query: Vec<(String, String)>,
) -> Result<(Map<String, Value>, Map<String, Value>)> {
    let is_text = |key: &str| {
        info.params.iter().any(|spec| {
            spec.name == key && matches!(spec.kind, ParamKind::Text | ParamKind::Choice(_))
        })
    };
    let read = |(key, text): (String, String)| {
        let value = if is_text(&key) { Value::String(text) } else { json_value(&key, &text)? };
        Ok((key, value))
    };
    let parameters: Map<_, _> = query.into_iter().map(read).collect::<Result<_>>()?;
    Ok(parameters.into_iter().partition(|(key, _)| info.is_of_start(key)))
}
