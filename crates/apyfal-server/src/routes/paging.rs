//! `?page=N` of lists.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;

use apyfal_core::{Error, ErrorKind};

use crate::answer::Refusal;
use crate::journal::Page;

/// How many items a page has.
const ITEMS: u64 = 100;

/// Which page of a list is wanted, from 1.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Paging {
    #[serde(default = "first")]
    page: u64,
}

fn first() -> u64 {
    1
}

impl Paging {
    pub(crate) fn page(self) -> Page {
        Page { offset: (self.page.max(1) - 1).saturating_mul(ITEMS), limit: ITEMS }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        Query::try_from_uri(&parts.uri).map(|Query(paging)| paging).map_err(|error| {
            Refusal(
                Error::new(ErrorKind::Usage, error.body_text()).operation("read the page's number"),
            )
        })
    }
}
