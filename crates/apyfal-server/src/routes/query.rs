//! Paths and queries of requests, their errors in our form.

use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result, one_line};
use axum::extract::{self, FromRequestParts};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::answer::Refusal;
use crate::body::SHOWN;
use crate::journal::Page;

/// The longest wait within one request.
const LONGEST_WAIT: f64 = 60.0;
/// How many items a page has.
const ITEMS: u64 = 100;

/// What stands behind the question mark.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        _state: &S,
    ) -> std::result::Result<Self, Refusal> {
        extract::Query::try_from_uri(&parts.uri).map(|extract::Query(query)| Self(query)).map_err(
            |error| {
                let why = one_line(error.body_text().to_lowercase(), SHOWN);
                Error::new(ErrorKind::Usage, why).operation("read the request's query").into()
            },
        )
    }
}

/// The part of the path that varies.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> std::result::Result<Self, Refusal> {
        let path = extract::Path::<String>::from_request_parts(parts, state).await;
        path.map(|extract::Path(name)| Self(name)).map_err(|error| {
            let why = one_line(error.body_text().to_lowercase(), SHOWN);
            Error::new(ErrorKind::Usage, why).operation("read the request's path").into()
        })
    }
}

/// Which page of a list is wanted.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Paging {
    page: Option<Count>,
}

impl Paging {
    /// # Errors
    /// There is no page 0.
    pub(crate) fn page(self) -> Result<Page> {
        let page = self.page.map_or(1, Count::get);
        let before = page.checked_sub(1).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "pages are numbered from 1")
                .operation("read the request's query")
        })?;
        // What is beyond any list is an empty page.
        Ok(Page { offset: before.saturating_mul(ITEMS).min(i64::MAX as u64), limit: ITEMS })
    }
}

/// A number that every reader of JSON takes exactly.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Count(u64);

impl TryFrom<u64> for Count {
    type Error = &'static str;

    fn try_from(count: u64) -> std::result::Result<Self, Self::Error> {
        if count < 1 << 53 { Ok(Self(count)) } else { Err("it is greater than 2^53 - 1") }
    }
}

impl Count {
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

/// How long a client wants to wait within one request.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "f64")]
pub(crate) struct Patience(Duration);

impl TryFrom<f64> for Patience {
    type Error = &'static str;

    fn try_from(seconds: f64) -> std::result::Result<Self, Self::Error> {
        // Of a number and NaN the number is the smaller one.
        let is_number = seconds.is_finite() && seconds >= 0.0;
        let time = Duration::try_from_secs_f64(seconds.min(LONGEST_WAIT)).ok();
        time.filter(|_| is_number).map(Self).ok_or("it is no number of seconds from 0")
    }
}

impl Patience {
    pub(crate) fn time(self) -> Duration {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_number_of_seconds() {
        for (given, time) in [(0.0, 0.0), (-0.0, 0.0), (1.5, 1.5), (60.5, 60.0), (1e300, 60.0)] {
            assert_eq!(Patience::try_from(given).unwrap().time().as_secs_f64(), time, "{given}");
        }
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert!(Patience::try_from(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn any_query_is_read_or_refused() {
        bolero::check!().with_iterations(2_000).with_max_len(256).for_each(|bytes: &[u8]| {
            let query = [b"/?", bytes].concat();
            let Ok(uri) = axum::http::Uri::try_from(query) else { return };
            if let Ok(extract::Query(paging)) = extract::Query::<Paging>::try_from_uri(&uri)
                && let Ok(page) = paging.page()
            {
                assert!(page.offset <= i64::MAX as u64, "{uri}");
            }
            let pairs = extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
            assert!(pairs.is_ok(), "{uri}");
        });
    }
}
