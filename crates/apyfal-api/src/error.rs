//! Errors on the wire.

use apyfal_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every answer that is an error.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: WireError,
}

/// An error: what failed, why, and what to do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct WireError {
    /// What the caller can do about it, as a stable word: `not-found`.
    pub kind: String,
    /// Why it failed, for people.
    pub message: String,
    /// What was being done, as it would follow "cannot".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Facts that help to find the cause, as pairs of a name and a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<(String, String)>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Whether the same call may succeed when it is made again.
    #[serde(default)]
    pub retryable: bool,
}

impl From<&Error> for WireError {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind().as_str().to_owned(),
            message: error.message().to_owned(),
            operation: error.doing().map(str::to_owned),
            facts: error
                .facts()
                .iter()
                .map(|(key, value)| (key.to_string(), value.clone()))
                .collect(),
            hints: error.hints().to_vec(),
            retryable: error.is_retryable(),
        }
    }
}

impl From<WireError> for Error {
    fn from(wire: WireError) -> Self {
        // A kind that is newer than this client is still an error.
        let kind = ErrorKind::from_word(&wire.kind).unwrap_or(ErrorKind::Internal);
        let mut error = Error::new(kind, wire.message);
        if let Some(operation) = wire.operation {
            error = error.operation(operation);
        }
        for (key, value) in wire.facts {
            error = error.context(key, value);
        }
        for hint in wire.hints {
            error = error.hint(hint);
        }
        if wire.retryable { error.retryable() } else { error }
    }
}

impl From<&Error> for ErrorBody {
    fn from(error: &Error) -> Self {
        Self { error: error.into() }
    }
}

/// The HTTP status of a kind of error.
pub fn status(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::Usage | ErrorKind::Configuration | ErrorKind::StorageConfiguration => 400,
        ErrorKind::Authentication => 401,
        ErrorKind::Security => 403,
        ErrorKind::NotFound => 404,
        ErrorKind::Timeout => 408,
        ErrorKind::Conflict => 409,
        ErrorKind::InvalidData => 422,
        ErrorKind::StorageNotFound | ErrorKind::StorageAuthentication => 424,
        ErrorKind::Busy => 429,
        ErrorKind::Cancelled => 499,
        ErrorKind::Engine | ErrorKind::Storage => 502,
        ErrorKind::Unavailable => 503,
        ErrorKind::StorageFull => 507,
        // A defect of ours, and a kind that is newer than this table.
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_back_equal() {
        let error = Error::new(ErrorKind::InvalidData, "bad magic")
            .operation("decompress 'a'")
            .context("byte", 5)
            .hint("get it again")
            .retryable();
        let text = serde_json::to_string(&ErrorBody::from(&error)).unwrap();
        let back = Error::from(serde_json::from_str::<ErrorBody>(&text).unwrap().error);
        assert_eq!(back.to_string(), error.to_string());
        assert_eq!((back.kind(), back.hints()), (error.kind(), error.hints()));
        assert!(back.is_retryable());
    }

    #[test]
    fn every_kind_has_a_status_that_is_an_error() {
        for kind in ErrorKind::ALL {
            let status = status(kind);
            assert!((400..600).contains(&status), "{kind}");
            assert_eq!(status == 500, kind == ErrorKind::Internal, "{kind}");
        }
    }
}
