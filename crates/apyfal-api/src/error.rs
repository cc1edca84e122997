//! Errors on the wire.

use apyfal_core::{Details, Error, ErrorKind};
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// The body of every answer that is an error.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ErrorBody {
    /// What went wrong.
    pub error: WireError,
}

/// An error: what failed, why, and what to do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
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
    /// What programs may act on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<ErrorDetails>,
    /// Whether the same call may succeed when it is made again.
    #[serde(default)]
    pub retryable: bool,
}

/// What programs may act on, beside the kind of an error.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ErrorDetails {
    /// The status with which a program ended, or with which it answered and went on. Absent where
    /// it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i64>,
    /// After how many seconds the same call may succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The parameter that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// The id of the job that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The URL of the host that it failed with, where hosts use others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl From<&Details> for ErrorDetails {
    fn from(details: &Details) -> Self {
        let Details { exit_status, retry_after, parameter, job, host } = details.clone();
        Self { exit_status, retry_after, parameter, job, host }
    }
}

impl From<ErrorDetails> for Details {
    fn from(wire: ErrorDetails) -> Self {
        let ErrorDetails { exit_status, retry_after, parameter, job, host } = wire;
        Self { exit_status, retry_after, parameter, job, host }
    }
}

/// What a host that knows no details says among its facts.
fn among(facts: &[(String, String)]) -> Details {
    let fact = |name: &str| {
        let found = facts.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    };
    Details {
        retry_after: fact("retry_after").and_then(|seconds| seconds.parse().ok()),
        job: fact("job"),
        ..Details::default()
    }
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
            details: (!error.details().is_empty()).then(|| error.details().into()),
            retryable: error.is_retryable(),
        }
    }
}

impl From<WireError> for Error {
    fn from(wire: WireError) -> Self {
        // A kind that is newer than this client is still an error.
        let kind = ErrorKind::from_word(&wire.kind).unwrap_or(ErrorKind::Internal);
        let details = wire.details.map_or_else(|| among(&wire.facts), Details::from);
        let mut error = Error::new(kind, wire.message).with_details(details);
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
        ErrorKind::Security | ErrorKind::Quota => 403,
        ErrorKind::NotFound => 404,
        ErrorKind::Timeout => 408,
        ErrorKind::Conflict => 409,
        ErrorKind::InvalidData => 422,
        ErrorKind::StorageNotFound | ErrorKind::StorageAuthentication => 424,
        ErrorKind::Busy => 429,
        ErrorKind::Cancelled => 499,
        ErrorKind::Engine | ErrorKind::Storage => 502,
        ErrorKind::Unavailable | ErrorKind::Capacity => 503,
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
            .exit_status(3)
            .retry_after(4)
            .of_parameter("level")
            .of_job("7")
            .of_host("https://host")
            .retryable();
        let text = serde_json::to_string(&ErrorBody::from(&error)).unwrap();
        let back = Error::from(serde_json::from_str::<ErrorBody>(&text).unwrap().error);
        assert_eq!(back.to_string(), error.to_string());
        assert_eq!((back.kind(), back.hints()), (error.kind(), error.hints()));
        assert_eq!(back.details(), error.details());
        assert!(back.is_retryable());
    }

    #[test]
    fn an_error_of_the_version_before_has_its_details_among_its_facts() {
        let facts = r#"[["job", "7"], ["retry_after", "4"], ["status", "exit status 3"]]"#;
        let text = format!(r#"{{"kind": "busy", "message": "full", "facts": {facts}}}"#);
        let error = Error::from(serde_json::from_str::<WireError>(&text).unwrap());
        let details = Details { job: Some("7".into()), retry_after: Some(4), ..Details::default() };
        assert_eq!(error.details(), &details);
        assert_eq!(error.of_job("7").facts().len(), 3, "it is said once");
    }

    #[test]
    fn the_version_before_reads_kinds_and_members_that_it_does_not_know() {
        // As it was there.
        #[derive(Deserialize)]
        struct Before {
            kind: String,
            message: String,
            #[serde(default)]
            facts: Vec<(String, String)>,
        }
        let error = Error::new(ErrorKind::Capacity, "none left").retry_after(4);
        let text = serde_json::to_string(&WireError::from(&error)).unwrap();
        let before: Before = serde_json::from_str(&text).unwrap();
        assert_eq!((&*before.kind, &*before.message), ("capacity", "none left"));
        assert_eq!(before.facts, [("retry_after".to_owned(), "4".to_owned())]);
        // And this one reads what comes after it.
        let text = text.replace("capacity", "weather").replace("{\"retry", "{\"rain\": 1, \"retry");
        let error = Error::from(serde_json::from_str::<WireError>(&text).unwrap());
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "none left"));
        assert_eq!(error.details().retry_after, Some(4));
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
