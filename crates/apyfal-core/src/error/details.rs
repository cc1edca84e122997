//! What programs read of an error, where people read its text.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::{Error, bounded};
use crate::shorten;

/// What programs may act on beside the kind of an error. What people should know as well is among
/// the facts too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The status with which a program ended, or with which it answered and went on. None where it
    /// was killed.
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
    /// The URL of the host that it failed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl Details {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Error {
    /// What programs read of it.
    pub fn details(&self) -> &Details {
        &self.0.details
    }

    /// Gives it these details, in place of those that it has.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.0.details = details;
        self
    }

    /// With the status of the program that failed; a fact says it in words.
    #[must_use]
    pub fn exit_status(mut self, status: impl Into<i64>) -> Self {
        self.0.details.exit_status = Some(status.into());
        self
    }

    /// With the seconds after which the same call may succeed.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.details.retry_after = Some(seconds);
        self.context("retry_after", seconds)
    }

    /// With the name of the parameter that is wrong, shortened as in the message, which says it too.
    #[must_use]
    pub fn of_parameter(mut self, name: &str) -> Self {
        self.0.details.parameter = Some(shorten(name));
        self
    }

    /// With the id of its job, unless it has one.
    #[must_use]
    pub fn of_job(mut self, id: &str) -> Self {
        if self.0.details.job.is_some() {
            return self;
        }
        self.0.details.job = Some(bounded(id));
        self.context("job", id)
    }

    /// With the URL of the host that it failed with, unless it has one.
    #[must_use]
    pub fn of_host(mut self, url: impl Display) -> Self {
        if self.0.details.host.is_some() {
            return self;
        }
        let url = bounded(url.to_string());
        self.0.details.host = Some(url.clone());
        self.context("host", url)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Error, ErrorKind};

    #[test]
    fn whom_an_error_is_of_is_said_once() {
        let error = Error::new(ErrorKind::Engine, "it broke").of_job("7").of_host("http://a");
        let error = error.of_job("8").of_host("http://b");
        assert_eq!(error.to_string(), "it broke (job 7, host http://a)");
        assert_eq!(error.details().job.as_deref(), Some("7"));
        assert_eq!(error.details().host.as_deref(), Some("http://a"));
    }
}
