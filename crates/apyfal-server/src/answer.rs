//! Errors as answers.

use apyfal_api::{ErrorBody, status};
use apyfal_core::{Error, ErrorKind};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// The status, where it is not the one of the error's kind.
    status: Option<StatusCode>,
}

/// Travels with the answer of a [`Refusal`], so that it can be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused(pub(crate) ErrorKind);

pub(crate) type Routed<T = Response> = std::result::Result<T, Refusal>;

impl Refusal {
    /// With a status that says more than the kind of the error does.
    pub(crate) fn new(status: StatusCode, error: Error) -> Self {
        Self { error, status: Some(status) }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| http_status(self.error.kind()))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, status: None }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let Self { error, .. } = self;
        let mut response = (status, Json(ErrorBody::from(&error))).into_response();
        let headers = response.headers_mut();
        match error.kind() {
            ErrorKind::Authentication => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ErrorKind::Unavailable if !error.is_retryable() => {}
            ErrorKind::Busy | ErrorKind::Unavailable => {
                headers.insert(header::RETRY_AFTER, retry_after(&error));
            }
            _ => {}
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        response.extensions_mut().insert(Refused(error.kind()));
        response
    }
}

pub(crate) fn http_status(kind: ErrorKind) -> StatusCode {
    StatusCode::from_u16(status(kind)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// In how many seconds to come again, as the scheduler estimates it.
pub(crate) fn retry_after(error: &Error) -> HeaderValue {
    HeaderValue::from(error.details().retry_after.unwrap_or(1).max(1))
}
