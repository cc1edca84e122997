//! Paths and queries of requests, their errors in our form.

use std::time::Duration;

use apyfal_core::{Error, ErrorKind};
use axum::extract::{self, FromRequestParts};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::answer::Refusal;
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

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        extract::Query::try_from_uri(&parts.uri).map(|extract::Query(query)| Self(query)).map_err(
            |error| {
                let why = error.body_text().to_lowercase();
                Refusal(Error::new(ErrorKind::Usage, why).operation("read the request's query"))
            },
        )
    }
}

/// The part of the path that varies.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = extract::Path::<String>::from_request_parts(parts, state).await;
        path.map(|extract::Path(name)| Self(name)).map_err(|error| {
            let why = error.body_text().to_lowercase();
            Refusal(Error::new(ErrorKind::Usage, why).operation("read the request's path"))
        })
    }
}

/// Which page of a list is wanted, from 1.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Paging {
    page: Option<u64>,
}

impl Paging {
    pub(crate) fn page(self) -> Page {
        let before = self.page.unwrap_or(1).max(1) - 1;
        // What is beyond any list is an empty page.
        Page { offset: before.saturating_mul(ITEMS).min(i64::MAX as u64), limit: ITEMS }
    }
}

/// How long to wait where a client asks for so many seconds.
pub(crate) fn patience(seconds: f64) -> Duration {
    // What is no number is no time.
    Duration::try_from_secs_f64(seconds.min(LONGEST_WAIT)).unwrap_or_default()
}
