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

use crate::file_body::{self, Range};
use crate::host::Host;
use crate::live::{Ended, Job, Listed};
use crate::spool::{Piece, SpoolReader};

/// A result of no more than so many bytes is sent with its length, and its report before it.
pub(crate) const HEAD: usize = 64 << 10;

pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    let te = headers.get(header::TE).and_then(|te| te.to_str().ok());
    te.is_some_and(|te| te.split(',').any(|coding| coding.trim().starts_with("trailers")))
}

/// The answer to a job without a result: its report.
pub(crate) fn report(job: &Job, ended: Arc<Ended>) -> Result<Response> {
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
pub(crate) fn whole(job: &Job, reader: SpoolReader) -> Result<Response> {
    let (result, blocks) = reader.into_whole();
    Ok(with_report(job, result?, blocks))
}

fn with_report(job: &Job, report: Report, blocks: Vec<Bytes>) -> Response {
    let mut response = data(Body::from(joined(blocks)), &job.id);
    set(response.headers_mut(), v2::REPORT, in_header(&v2::Report::from(report)));
    response
}

/// The answer to a job with a result, which begins once the job ended or enough of it is there.
pub(crate) async fn stream(
    listed: Listed,
    reader: SpoolReader,
    takes_trailers: bool,
) -> Result<Response> {
    let has_ended = reader.head(HEAD).await;
    if has_ended && reader.is_in_memory() {
        let (result, blocks) = reader.into_whole();
        listed.end(result.as_ref().map(Clone::clone).map_err(Error::duplicate), None);
        return Ok(with_report(&listed, result?, blocks));
    }
    let job = listed.id.clone();
    let mut response =
        data(Body::new(StreamBody::new(frames(listed, reader, takes_trailers))), &job);
    if takes_trailers {
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
    listed: Listed,
    reader: SpoolReader,
    takes_trailers: bool,
) -> impl futures::Stream<Item = Result<Frame<Bytes>>> {
    futures::stream::unfold(Some((listed, reader)), move |state| async move {
        let (listed, mut reader) = state?;
        match reader.next().await? {
            Piece::Data(block) => Some((Ok(Frame::data(block)), Some((listed, reader)))),
            Piece::End(result) => {
                let frame = last_frame(&result, takes_trailers);
                listed.end(*result, None);
                Some((frame?, None))
            }
        }
    })
}

/// What stands at the end of a result. A client that takes no trailers learns of a failure by the
/// connection breaking off, or it would take what it has for the whole.
fn last_frame(result: &Result<Report>, takes_trailers: bool) -> Option<Result<Frame<Bytes>>> {
    let mut trailers = HeaderMap::new();
    match result {
        Ok(_) if !takes_trailers => return None,
        Err(error) if !takes_trailers => return Some(Err(error.duplicate())),
        Ok(report) => {
            set(&mut trailers, v2::REPORT, in_header(&v2::Report::from(report.clone())));
        }
        Err(error) => {
            let short = || in_header(&WireError::from(&Error::new(error.kind(), "it failed")));
            set(&mut trailers, v2::ERROR, in_header(&WireError::from(error)).or_else(short));
        }
    }
    Some(Ok(Frame::trailers(trailers)))
}

/// The answer to a job whose result is kept: all of it, or the part that is asked for.
pub(crate) fn kept(
    host: &Host,
    job: v2::Job,
    output: bool,
    range: Option<&HeaderValue>,
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
    let (file, len) = host.scratch.kept(&job.id)?;
    let range = Range::of(range, len)?;
    let lease = host.lease.clone();
    let mut response = data(file_body::part(file, range, move || lease.used()), &job.id);
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
    set(headers, v2::JOB, Some(job.to_owned()));
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
