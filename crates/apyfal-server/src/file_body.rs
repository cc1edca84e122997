//! Files as bodies of answers, whole or in part.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use apyfal_core::{Error, ErrorKind, Result};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};

use crate::uses::Use;

/// How much is read at once.
const BLOCK: u64 = 256 << 10;

/// Some bytes of a file: from `start` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    start: u64,
    end: u64,
}

impl Range {
    pub(crate) fn whole(len: u64) -> Self {
        Self { start: 0, end: len }
    }

    /// What a request asks for of a file of `len` bytes; all of it where it asks for no range, or in
    /// a form that need not be understood (several ranges, other units).
    ///
    /// # Errors
    /// It begins behind the end.
    pub(crate) fn of(headers: &HeaderMap, len: u64) -> Result<Self> {
        let whole = Self::whole(len);
        // Results have nothing that a part could be compared by.
        let is_wanted = !headers.contains_key(header::IF_RANGE);
        let asked = headers.get(header::RANGE).filter(|_| is_wanted);
        let Some((first, last)) = asked
            .and_then(|value| value.to_str().ok()?.split_once('='))
            .filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"))
            .and_then(|(_, range)| range.split_once('-'))
        else {
            return Ok(whole);
        };
        let range = match (position(first), position(last)) {
            (Some(Some(first)), Some(Some(last))) if first <= last => {
                Self { start: first, end: last.saturating_add(1).min(len) }
            }
            (Some(Some(first)), Some(None)) => Self { start: first, end: len },
            (Some(None), Some(Some(count))) => Self { start: len.saturating_sub(count), end: len },
            _ => return Ok(whole),
        };
        if range.start >= len && range != whole {
            return Err(Error::new(ErrorKind::Usage, "it begins behind the end of the result")
                .operation("send a part of the result")
                .context("length", len));
        }
        Ok(range)
    }

    pub(crate) fn start(self) -> u64 {
        self.start
    }

    pub(crate) fn len(self) -> u64 {
        self.end - self.start
    }

    pub(crate) fn is_part_of(self, len: u64) -> bool {
        self.len() != len
    }

    pub(crate) fn content_range(self, len: u64) -> String {
        format!("bytes {}-{}/{len}", self.start, self.end - 1)
    }
}

/// A position in a range, where there is one: any number of digits.
fn position(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    // What does not fit is behind every end.
    is_number.then(|| (!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX)))
}

/// The answer to a request for what is behind the end of a file of `len` bytes.
pub(crate) fn not_satisfiable(refusal: impl IntoResponse, len: u64) -> Response {
    let mut response = refusal.into_response();
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{len}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// A part of a file as a body, which is in use until the client has taken all of it.
pub(crate) fn part(file: File, range: Range, using: Use) -> Body {
    let file = Arc::new(file);
    Body::from_stream(futures::stream::try_unfold(range.start, move |at| {
        let _using = &using;
        let file = file.clone();
        async move {
            let len = (range.end - at).min(BLOCK);
            if len == 0 {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || {
                let mut block = BytesMut::zeroed(len as usize);
                file.read_exact_at(&mut block, at).map(|()| block.freeze())
            });
            let block: Bytes = read.await??;
            Ok::<_, std::io::Error>(Some((block, at + len)))
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        let of = |text: &'static str, len| {
            let range = (header::RANGE, HeaderValue::from_static(text));
            Range::of(&HeaderMap::from_iter([range]), len).map(|range| (range.start, range.end))
        };
        assert_eq!(of("bytes=2-5", 10).unwrap(), (2, 6));
        assert_eq!(of("bytes=2-", 10).unwrap(), (2, 10));
        assert_eq!(of("bytes=-3", 10).unwrap(), (7, 10));
        assert_eq!(of("bytes=5-100", 10).unwrap(), (5, 10));
        assert_eq!(of("Bytes=2-99999999999999999999", 10).unwrap(), (2, 10));
        assert_eq!(of("bytes=-99999999999999999999", 10).unwrap(), (0, 10));
        for whole in
            ["bytes=0-1,4-5", "lines=1-2", "bytes=5-2", "bytes=x-", "bytes=+5-", "bytes=-", "bytes"]
        {
            assert_eq!(of(whole, 10).unwrap(), (0, 10), "{whole}");
        }
        for behind in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=18446744073709551615-",
            "bytes=99999999999999999999-",
            "bytes=-0",
        ] {
            assert!(of(behind, 10).is_err(), "{behind}");
        }
        let if_range = HeaderMap::from_iter([
            (header::RANGE, HeaderValue::from_static("bytes=2-5")),
            (header::IF_RANGE, HeaderValue::from_static("\"x\"")),
        ]);
        assert!(!Range::of(&if_range, 10).unwrap().is_part_of(10));
        assert_eq!(of("bytes=0-", 0).unwrap(), (0, 0));
        assert_eq!(Range { start: 2, end: 6 }.content_range(10), "bytes 2-5/10");
    }
}
