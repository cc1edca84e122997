//! One job on a host: sent, its result taken, and sent again where that is safe.

use std::sync::Arc;
use std::time::Duration;

use apyfal_api::v2::{self, HEADER_LIMIT, JobRequest, JobState, header_json};
use apyfal_api::{WireError, v2::Report as WireReport};
use apyfal_core::{Cancel, Error, ErrorKind, JobParameters, Report, Result};
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Inner;
use super::body::SendBody;
use super::connection::{Ask, Connections, PendingResponse};
use super::failure::{Failure, Patience};
use super::sink::Sink;
use super::source::Source;

/// A result of no more than so many bytes is taken in as a whole.
const SHORT: u64 = 64 << 10;
/// How many seconds a question for a job waits.
const WAIT: u64 = 30;
/// How long ending a job on the host may take, and asking why it broke off.
const ENDING: Duration = Duration::from_secs(2);

/// A job and its data.
pub(super) struct RemoteJob<'a> {
    pub(super) host: &'a Arc<Inner>,
    pub(super) session: &'a str,
    pub(super) request: JobRequest,
    pub(super) source: &'a Source,
    pub(super) sink: &'a Sink,
    pub(super) patience: Patience,
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
        let kept = Kept { host: self.host.clone(), id: Some(id.clone()) };
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
    async fn job(&self, id: &str, wait: u64) -> Result<Option<v2::Job>, Failure> {
        let path = format!("/v2/jobs/{}?wait={wait}", super::in_path(id));
        match self.host.get::<v2::Job>(&path).await {
            // Else it is one of another host, to which something in between led us.
            Ok(job) => Ok(Some(job).filter(|job| super::in_path(&job.session) == self.session)),
            Err(Failure::Final(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Takes what is still missing of a result that was kept.
    async fn rest_of(&self, job: v2::Job) -> Result<Report, Failure> {
        let taken = self.sink.taken();
        let report = job.report.map(Report::from);
        if let Some(report) = report
            && (!self.sink.is_there() || job.result == Some(taken))
        {
            return Ok(report);
        }
        let mut ask = Ask::new(Method::GET, format!("/v2/jobs/{}/result", job.id));
        if let Ok(range) = HeaderValue::try_from(format!("bytes={taken}-")) {
            ask.headers.insert(header::RANGE, range);
        }
        let answer = self.host.connections.send(ask).await?.accepted().await?;
        if taken > 0 && !begins_at(&answer.head.headers, taken) {
            return Err(unreadable("it is not the part of the result that is missing").into());
        }
        self.receive(answer).await
    }

    /// Sends the job once.
    async fn attempt(&mut self) -> Result<Report, Failure> {
        let path = format!("/v2/sessions/{}/jobs", self.session);
        let ask = ask(&self.host.connections, path, &self.request, self.source).await?;
        let received = async {
            let answer = self.host.connections.send(ask).await?.accepted().await?;
            self.receive(answer).await
        };
        match received.await {
            Ok(report) => Ok(report),
            // The host only sees that there is no more data; the reason is here.
            Err(failure) => Err(self.source.take_failure().map_or(failure, Failure::Final)),
        }
    }

    /// Takes the result of a job, or the rest of it, and what the job told.
    async fn receive(&self, answer: PendingResponse<'_>) -> Result<Report, Failure> {
        let id = answer.head.headers.get(v2::JOB);
        let id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let received = self.receive_of(id.as_deref(), answer).await;
        let (Err(failure), Some(id)) = (&received, id) else { return received };
        if matches!(failure, Failure::Lost(_))
            && let Some(error) = self.failed(&id).await
        {
            return Err(Failure::Final(error));
        }
        received.map_err(|failure| failure.map(|error| error.of_job(&id)))
    }

    async fn receive_of(
        &self,
        job: Option<&str>,
        mut answer: PendingResponse<'_>,
    ) -> Result<Report, Failure> {
        let headers = &answer.head.headers;
        let mut report: Option<WireReport> = from_header(headers, v2::REPORT);
        let len = headers.get(header::CONTENT_LENGTH);
        let len = len.and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
        self.sink.begin().await;
        if !self.sink.is_there() {
            let told = answer.whole().await?;
            answer.finish();
            return Ok(read::<WireReport>(&told)?.into());
        }
        if len.is_some_and(|len| len <= SHORT) {
            let result = answer.whole().await?;
            answer.finish();
            self.sink.write_short(result).await?;
        } else {
            let trailers = self.receive_long(&mut answer).await?;
            answer.finish();
            if let Some(error) = from_header::<WireError>(&trailers, v2::ERROR) {
                return Err(Failure::Final(error.into()));
            }
            report = report.or_else(|| from_header(&trailers, v2::REPORT));
        }
        let report = match report {
            Some(report) => Report::from(report),
            // It was too long for a header, or lost with the trailers.
            None => self.report_of(job.ok_or_else(|| unreadable("it has no report"))?).await?,
        };
        let (taken, made) = (self.sink.taken(), report.profiling.bytes_written);
        if taken != made {
            return Err(Failure::Lost(cut_off(taken, Some(made))));
        }
        Ok(report)
    }

    /// Why a job failed, where the host says that it did: this, too, makes an answer break off.
    async fn failed(&self, id: &str) -> Option<Error> {
        let asked = tokio::time::timeout(ENDING, self.job(id, 0)).await;
        match asked.ok()?.ok()?.and_then(ended)? {
            Err(Failure::Final(why)) => Some(why),
            _ => None,
        }
    }

    /// Asks how a job ended whose answer did not tell. Only one that is known to have ended well
    /// has.
    async fn report_of(&self, id: &str) -> Result<Report, Failure> {
        loop {
            let Some(job) = self.job(id, WAIT).await? else {
                return Err(Failure::Final(untold()));
            };
            match ended(job) {
                None => {}
                Some(Ok(job)) => {
                    let report = job.report.map(Report::from);
                    return report.ok_or_else(|| Failure::Final(untold()));
                }
                // The host lost us, and what is in between did not say so.
                Some(Err(Failure::Lost(_))) => {
                    return Err(Failure::Lost(cut_off(self.sink.taken(), None)));
                }
                Some(Err(failure)) => return Err(failure),
            }
        }
    }

    async fn receive_long(&self, answer: &mut PendingResponse<'_>) -> Result<HeaderMap, Failure> {
        let (sender, mut writing) = self.sink.writer();
        let mut trailers = HeaderMap::new();
        let received: Result<(), Failure> = async {
            while let Some(frame) = answer.frame().await? {
                match frame.into_data() {
                    Ok(piece) => {
                        if answer.meanwhile(sender.send(piece)).await.is_err() {
                            // The writer ended; its result says why.
                            break;
                        }
                    }
                    Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
                }
            }
            Ok(())
        }
        .await;
        // What came in before a connection broke is written, and counts.
        drop(sender);
        let written = answer.meanwhile(&mut writing).await;
        written.map_err(std::io::Error::from).map_err(Error::from)??;
        received.map(|()| trailers)
    }
}

/// The request that runs a job or opens a session, in the form that its length asks for.
pub(super) async fn ask<T: Serialize>(
    connections: &Connections,
    path: String,
    request: &T,
    source: &Source,
) -> Result<Ask, Failure> {
    let text = header_json(request).map_err(|error| {
        Error::new(ErrorKind::Internal, error.to_string()).operation("write the request")
    })?;
    let mut ask = Ask::new(Method::POST, path);
    if source.is_stream() {
        // Nothing of it is read before there is somebody to send it to.
        connections.open_for(&mut ask).await?;
    }
    let body = source.body()?;
    let content_type = if text.len() <= HEADER_LIMIT {
        let text = HeaderValue::try_from(text).map_err(|error| {
            Error::new(ErrorKind::Internal, error.to_string()).operation("write the request")
        })?;
        ask.headers.insert(v2::REQUEST, text);
        if body.is_empty() {
            // Without it, hosts would have to read on to know that nothing comes.
            ask.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
        }
        ask.body = body;
        "application/octet-stream".to_owned()
    } else if body.is_there() {
        let boundary = super::random_id();
        ask.body = body.between(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{text}\r\n\
                 --{boundary}\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n"
            ),
            format!("\r\n--{boundary}--\r\n"),
        );
        format!("multipart/form-data; boundary={boundary}")
    } else {
        ask.body = SendBody::whole(text);
        "application/json".to_owned()
    };
    if let Ok(content_type) = HeaderValue::try_from(content_type) {
        ask.headers.insert(header::CONTENT_TYPE, content_type);
    }
    Ok(ask)
}

/// Parameters in the shape of the original, without what was not set.
pub(super) fn parameters(parameters: &JobParameters) -> Value {
    let JobParameters { specific, engine, compare, reset, reload, logging, env } = parameters;
    let mut app = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            app.insert(key.to_owned(), value);
        }
    };
    set("specific", (!specific.is_empty()).then(|| specific.clone().into()));
    set("engine", engine.clone().map(Value::from));
    set("enable-sw-comparison", compare.then(|| 1.into()));
    set("reset", reset.map(Value::from));
    set("reload", reload.map(Value::from));
    set("logging", logging.clone());
    let mut root = Map::new();
    if !app.is_empty() {
        root.insert("app".to_owned(), app.into());
    }
    if !env.is_empty() {
        root.insert("env".to_owned(), json!(env));
    }
    if root.is_empty() { Value::Null } else { root.into() }
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
fn ended(job: v2::Job) -> Option<Result<v2::Job, Failure>> {
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

/// What is in between cut a result off, and did not say so.
fn cut_off(taken: u64, made: Option<u64>) -> Error {
    let of = made.map(|made| format!(" of {made}")).unwrap_or_default();
    Error::new(ErrorKind::Unavailable, format!("it ended after {taken}{of} bytes"))
        .operation("take the result from the host")
        .hint("a proxy in between gave up, or took half a result for a whole one")
        .retryable()
}

/// A result came, but not whether it is one.
fn untold() -> Error {
    Error::new(ErrorKind::Unavailable, "the trailer with the job's report did not come")
        .operation("take the result from the host")
        .hint(
            "a proxy in between drops trailers, and the host that was asked does not know the job",
        )
        .hint("one address must lead to one host: see 'Behind a proxy' in the guide to hosts")
}

/// Whether an answer is a part of something that begins here.
fn begins_at(headers: &HeaderMap, position: u64) -> bool {
    let range = headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let begin = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
    begin.is_some_and(|(begin, _)| begin.parse() == Ok(position))
}

/// A job that the host keeps for us, until it is told to forget it.
struct Kept {
    host: Arc<Inner>,
    id: Option<String>,
}

impl Kept {
    async fn forget(mut self) {
        if let Some(id) = self.id.take() {
            forget(self.host.clone(), id).await;
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(id) = self.id.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let forgetting = runtime.spawn(forget(self.host.clone(), id));
            self.host.ending(forgetting);
        }
    }
}

/// Ends a job on the host and makes it forget it.
async fn forget(host: Arc<Inner>, id: String) {
    let path = format!("/v2/jobs/{id}");
    let forgetting = async {
        // Of one that runs still the first ends it, and the second forgets it.
        for _ in 0..2 {
            let ask = Ask::new(Method::DELETE, path.clone());
            match host.connections.whole(ask).await {
                Ok((status, _)) if status == http::StatusCode::ACCEPTED => {}
                _ => return,
            }
            let _ = host.get::<v2::Job>(&format!("{path}?wait=1")).await;
        }
    };
    // Where the host does not answer, it removes what nobody fetches after a while.
    let _ = tokio::time::timeout(ENDING, forgetting).await;
}

/// Throws the switch of a job whose future was dropped.
#[derive(Debug)]
pub(super) struct CancelOnDrop(pub(super) Option<Cancel>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = self.0.take() {
            cancel.cancel();
        }
    }
}
