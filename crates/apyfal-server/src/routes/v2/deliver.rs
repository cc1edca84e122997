//! Results and reports as answers.

use std::sync::Arc;

use apyfal_api::WireError;
use apyfal_api::v2::{self, HEADER_LIMIT, JobState};
use apyfal_core::{Error, ErrorKind, Report, Result};
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde::Serialize;

use crate::answer::Refusal;
use crate::file_body::{self, Range};
use crate::host::Host;
use crate::live::{Ended, Job, Listed};
use crate::spool::{Piece, SpoolReader};
use crate::taken::ResultOf;

/// A result of no more than so many bytes is sent with its length, and its report before it.
pub(super) const HEAD: usize = 64 << 10;

/// The answer to a job without a result: its report.
pub(super) fn report(job: &Job, ended: Arc<Ended>) -> Result<Response> {
    match &ended.result {
        Ok(report) => {
            let mut response = Json(v2::Report::from(report.clone())).into_response();
            set(response.headers_mut(), v2::JOB, Some(job.id.clone()));
            Ok(response)
        }
        Err(error) => Err(error.duplicate()),
    }
}

/// The answer to a job that ended, its result being in memory.
pub(super) fn whole(host: &Host, job: &Job, reader: SpoolReader) -> Result<Response> {
    let (result, blocks) = reader.into_whole();
    let body = joined(blocks);
    Ok(with_report(host, job, result?, body.len() as u64, Body::from(body)))
}

/// A result of a length whose report is known before it.
fn with_report(host: &Host, job: &Job, report: Report, len: u64, body: Body) -> Response {
    let report = v2::Report::from(report);
    let told = in_header(&report);
    if told.is_none() || len > HEAD as u64 {
        job.end(Ok(report.into()), None);
        host.recent.remember(job);
    }
    let mut response = data(body, &job.id);
    set(response.headers_mut(), v2::REPORT, told);
    response
}

/// The answer to a job with a result, whose client takes it from now on: with its length and report
/// before it where the job has ended, else as it comes.
pub(super) fn stream(
    host: &Arc<Host>,
    listed: Listed,
    reader: SpoolReader,
    trailers: bool,
) -> Result<Response> {
    if let Some((result, len)) = reader.outcome() {
        let ended = listed.end(result, None);
        let report = ended.result.as_ref().map_err(Error::duplicate)?.clone();
        if reader.is_in_memory() {
            return whole(host, &listed, reader);
        }
        let job = (*listed).clone();
        let body = Body::new(StreamBody::new(frames(host.clone(), listed, reader, false)));
        let mut response = with_report(host, &job, report, len, body);
        response.extensions_mut().insert(ResultOf(job));
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(len));
        return Ok(response);
    }
    let job = (*listed).clone();
    let body = StreamBody::new(frames(host.clone(), listed, reader, trailers));
    let mut response = data(Body::new(body), &job.id);
    response.extensions_mut().insert(ResultOf(job));
    if trailers {
        let names = format!("{}, {}", v2::REPORT, v2::ERROR);
        set(response.headers_mut(), "trailer", Some(names));
    }
    Ok(response)
}

fn joined(mut blocks: Vec<Bytes>) -> Bytes {
    if blocks.len() > 1 {
        let mut whole = BytesMut::with_capacity(blocks.iter().map(Bytes::len).sum());
        blocks.iter().for_each(|block| whole.extend_from_slice(block));
        return whole.freeze();
    }
    blocks.pop().unwrap_or_default()
}

/// The result as it comes, and behind it what the job told.
fn frames(
    host: Arc<Host>,
    listed: Listed,
    reader: SpoolReader,
    trailers: bool,
) -> impl futures::Stream<Item = Result<Frame<Bytes>>> {
    futures::stream::unfold(Some((host, listed, reader)), move |state| async move {
        let (host, listed, mut reader) = state?;
        match reader.next().await? {
            Piece::Data(block) => Some((Ok(Frame::data(block)), Some((host, listed, reader)))),
            Piece::End(result) => {
                let frame = last_frame(&result, trailers);
                // One that had ended before has told its report.
                if !listed.has_ended() {
                    listed.end(*result, None);
                    host.recent.remember(&listed);
                }
                Some((frame?, None))
            }
        }
    })
}

/// What stands at the end of a result. A client that takes no trailers learns of a failure by the
/// connection breaking off, or it would take what it has for the whole.
fn last_frame(result: &Result<Report>, trailers: bool) -> Option<Result<Frame<Bytes>>> {
    let mut map = HeaderMap::new();
    match result {
        Ok(_) if !trailers => return None,
        Err(error) if !trailers => return Some(Err(error.duplicate())),
        Ok(report) => {
            set(&mut map, v2::REPORT, in_header(&v2::Report::from(report.clone())));
        }
        Err(error) => {
            let short = || in_header(&WireError::from(&Error::new(error.kind(), "it failed")));
            set(&mut map, v2::ERROR, in_header(&WireError::from(error)).or_else(short));
        }
    }
    Some(Ok(Frame::trailers(map)))
}

/// The answer to a job whose result is kept: all of it, or the part that is asked for.
pub(super) fn kept(
    host: &Host,
    job: v2::Job,
    number: u64,
    output: bool,
    range: Option<&HeaderMap>,
) -> Result<Response> {
    match (job.state, job.error) {
        (JobState::Done, _) => {}
        (_, Some(error)) => return Err(error.into()),
        (state, None) => {
            let why = format!("job '{}' is {}", job.id, state.as_str());
            return Err(Error::new(ErrorKind::Conflict, why).hint("wait until it is done"));
        }
    }
    if !output {
        let mut response = Json(job.report).into_response();
        set(response.headers_mut(), v2::JOB, Some(job.id));
        return Ok(response);
    }
    let (file, len) = host.scratch.kept(&job.id, number)?;
    let range = match range.map_or(Ok(Range::whole(len)), |headers| Range::of(headers, len)) {
        Ok(range) => range,
        Err(error) => return Ok(file_body::not_satisfiable(Refusal::from(error), len)),
    };
    let mut response = data(file_body::part(file, range, host.uses.begin()), &job.id);
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.len()));
    set(headers, v2::REPORT, job.report.and_then(|report| in_header(&report)));
    if range.is_part_of(len) {
        set(headers, "content-range", Some(range.content_range(len)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn data(body: Body, job: &str) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(job) = HeaderValue::from_str(job) {
        headers.insert(const { HeaderName::from_static(v2::JOB) }, job);
    }
    response
}

/// JSON as a header, where it is not too long for one.
fn in_header<T: Serialize>(value: &T) -> Option<String> {
    v2::header_json(value).ok().filter(|text| text.len() <= HEADER_LIMIT)
}

/// Sets a header to what is known to be a good value.
fn set(headers: &mut HeaderMap, name: &'static str, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
