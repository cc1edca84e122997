//! When a client reads its answer, which decides when the answer begins.
//!
//! An answer that begins while its request is still sent is lost on clients that read only once
//! they have sent everything, and harmful where a proxy stops to send as soon as it begins: the
//! job then gets half of its data. So it begins early only where the client itself shows that it
//! reads meanwhile: by HTTP/2, or by what it says to its neighbour alone and no proxy may say for
//! it.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Version, header};

use crate::data::Complete;
use crate::spool::SpoolReader;

/// Headers of those that pass requests on. What they passed on with the rest is not theirs.
const PASSED_ON: [HeaderName; 3] =
    [header::VIA, header::FORWARDED, HeaderName::from_static("x-forwarded-for")];

/// When a client reads its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// While it sends.
    Meanwhile,
    /// Once it has sent everything.
    Afterwards,
    /// As before; and it must be told the length first, since its protocol has no other way to tell
    /// half a result from a whole one.
    Whole,
}

/// How a client reads its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    when: When,
    /// Whether it takes trailers.
    pub(super) trailers: bool,
}

impl Reading {
    pub(super) fn of(request: &Parts) -> Self {
        let headers = &request.headers;
        let trailers =
            request.version >= Version::HTTP_11 && has_token(headers, &header::TE, "trailers");
        let is_passed_on = || PASSED_ON.iter().any(|name| headers.contains_key(name));
        let shows_it =
            (trailers || has_token(headers, &header::EXPECT, "100-continue")) && !is_passed_on();
        let when = match request.version {
            Version::HTTP_09 | Version::HTTP_10 => When::Whole,
            Version::HTTP_11 if !shows_it => When::Afterwards,
            _ => When::Meanwhile,
        };
        Self { when, trailers }
    }

    /// Tells the writer of a result whether it is read meanwhile.
    pub(super) fn announce(self, reader: &SpoolReader) {
        if self.when != When::Meanwhile {
            reader.reads_later(true);
        }
    }

    /// Waits until the answer may begin, where its job has not ended before: `sent` is set once the
    /// request is in, and `head` bytes of the result must be there.
    pub(super) async fn begin(self, sent: Option<&Complete>, reader: &SpoolReader, head: usize) {
        match self.when {
            When::Meanwhile => {}
            When::Afterwards => {
                if let Some(sent) = sent {
                    sent.wait().await;
                }
                reader.reads_later(false);
            }
            When::Whole => return std::future::pending().await,
        }
        reader.head(head).await;
    }
}

/// Whether a header that lists tokens has this one.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|list| list.to_str().ok());
    let mut tokens = lists.flat_map(|list| list.split(','));
    tokens.any(|item| item.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn when(version: Version, headers: &[(&str, &str)]) -> When {
        let mut request = Request::builder().version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Reading::of(&request.body(()).unwrap().into_parts().0).when
    }

    #[test]
    fn only_who_shows_it_reads_while_it_sends() {
        use When::{Afterwards, Meanwhile, Whole};
        let signs = [("te", "deflate;q=0.5, Trailers"), ("expect", "100-Continue")];
        assert_eq!(when(Version::HTTP_2, &[]), Meanwhile);
        assert_eq!(when(Version::HTTP_11, &[]), Afterwards);
        assert_eq!(when(Version::HTTP_11, &[("te", "trailersx"), ("expect", "")]), Afterwards);
        for sign in signs {
            assert_eq!(when(Version::HTTP_11, &[sign]), Meanwhile, "{sign:?}");
            assert_eq!(when(Version::HTTP_10, &[sign]), Whole, "{sign:?}");
            for proxy in ["Via", "Forwarded", "X-Forwarded-For"] {
                assert_eq!(
                    when(Version::HTTP_11, &[sign, (proxy, "1.1 x")]),
                    Afterwards,
                    "{proxy}"
                );
            }
        }
    }
}
