//! Requests that are refused, in the form that this protocol's clients read.

use apyfal_api::v1;
use apyfal_core::{Error, ErrorKind};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::answer::{http_status, retry_after};

/// Why a request is refused, and with which status.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: Error,
}

pub(super) type Routed<T = Response> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn new(status: StatusCode, error: Error) -> Self {
        Self { status, error }
    }

    pub(super) fn duplicate(&self) -> Self {
        Self { status: self.status, error: self.error.duplicate() }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { status: http_status(error.kind()), error }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, error } = self;
        let body = v1::Answer { errorcode: status.as_u16(), ..v1::Answer::from(&error) };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if error.kind() == ErrorKind::Busy {
            headers.insert(header::RETRY_AFTER, retry_after(&error));
        }
        if error.kind() == ErrorKind::Authentication {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
