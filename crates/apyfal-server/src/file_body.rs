//! Files as bodies of answers, whole or in part.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use apyfal_core::{Error, ErrorKind, Result};
use axum::body::Body;
use axum::http::HeaderValue;
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
    /// What a `Range` header asks for of a file of `len` bytes; all of it where there is none, or
    /// one of a form that need not be understood (several ranges, other units).
    ///
    /// # Errors
    /// It begins behind the end.
    pub(crate) fn of(header: Option<&HeaderValue>, len: u64) -> Result<Self> {
        let whole = Self { start: 0, end: len };
        let Some((first, last)) = header
            .and_then(|value| value.to_str().ok()?.trim().strip_prefix("bytes="))
            .and_then(|range| range.split_once('-'))
        else {
            return Ok(whole);
        };
        let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => {
                Self { start: first, end: last.saturating_add(1).min(len) }
            }
            (Ok(first), Err(_)) if last.trim().is_empty() => Self { start: first, end: len },
            (Err(_), Ok(count)) if first.trim().is_empty() => {
                Self { start: len.saturating_sub(count), end: len }
            }
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
            Range::of(Some(&HeaderValue::from_static(text)), len)
                .map(|range| (range.start, range.end))
        };
        assert_eq!(of("bytes=2-5", 10).unwrap(), (2, 6));
        assert_eq!(of("bytes=2-", 10).unwrap(), (2, 10));
        assert_eq!(of("bytes=-3", 10).unwrap(), (7, 10));
        assert_eq!(of("bytes=5-100", 10).unwrap(), (5, 10));
        for whole in ["bytes=0-1,4-5", "lines=1-2", "bytes=5-2", "bytes=x-"] {
            assert_eq!(of(whole, 10).unwrap(), (0, 10), "{whole}");
        }
        assert!(of("bytes=10-", 10).is_err() && of("bytes=18446744073709551615-", 10).is_err());
        assert_eq!(of("bytes=0-", 0).unwrap(), (0, 0));
        assert_eq!(Range { start: 2, end: 6 }.content_range(10), "bytes 2-5/10");
    }
}
