//! `/v1.0/process/{id}/datafileresult`: the bytes of a result, as they are.

use std::fs::File;
use std::os::unix::fs::FileExt;

use apyfal_core::{Error, ErrorKind};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::processes::recorded;
use super::refusal::{Refusal, Routed};
use crate::file_body::{self, Range};
use crate::host::Host;

/// A result of no more than so many bytes is read at once.
const SMALL: u64 = 64 << 10;

/// All of a result, or the range that is asked for.
pub(super) async fn send(host: &Host, number: u64, headers: &HeaderMap) -> Routed {
    let id = match host.v1.find(number) {
        Some(process) => process.job.id.clone(),
        None => recorded(host, number).await?.id,
    };
    let (file, len) = host.scratch.kept(&id, number).map_err(|error| {
        Error::new(ErrorKind::NotFound, format!("process '{number}' has no result")).hint(
            match error.hints() {
                [hint, ..] => hint.clone(),
                [] => error.to_string(),
            },
        )
    })?;
    let range = match Range::of(headers, len) {
        Ok(range) => range,
        Err(error) => return Ok(file_body::not_satisfiable(Refusal::from(error), len)),
    };
    let mut response = Response::new(body(host, file, range)?);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.len()));
    if range.is_part_of(len)
        && let Ok(value) = HeaderValue::try_from(range.content_range(len))
    {
        headers.insert(header::CONTENT_RANGE, value);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn body(host: &Host, file: File, range: Range) -> Routed<Body> {
    if range.len() > SMALL {
        return Ok(file_body::part(file, range, host.uses.begin()));
    }
    // It was written a moment ago, so reading it takes less than handing it to a thread.
    let mut bytes = vec![0; range.len() as usize];
    file.read_exact_at(&mut bytes, range.start()).map_err(Error::from)?;
    Ok(Body::from(bytes))
}
