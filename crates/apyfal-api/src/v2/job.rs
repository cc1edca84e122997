//! Jobs.

use serde::{Deserialize, Serialize};
use serde_json::Value;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::Report;
use crate::WireError;

/// A request to run a job.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// An id of the client's choice, of 1 to 64 letters, digits, `-` and `_`. A job with an id is
    /// recorded before it runs, and its result is kept: sent again with the same data, it is not run
    /// again, and with anything else it is refused. `host` and those that begin with `job-` are the
    /// host's own.
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^(?!job-|[Hh][Oo][Ss][Tt]$)[A-Za-z0-9_-]{1,64}$")
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its parameters, in the shape of the original: `{"app": {"specific": {…}}}`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub parameters: Value,
    /// A source that the host reads by itself; the body then has no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// A destination that the host writes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst: Option<String>,
    /// Whether the body is data. Where it is absent, it is for accelerators that need a source, and
    /// for others where the request has a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<bool>,
    /// Whether the answer is to be the result. Where it is absent, it is for accelerators that need
    /// a destination and requests without `dst`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<bool>,
    /// What the data is called: the name of a file, for accelerators that make use of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_name: Option<String>,
    /// What the result is to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_name: Option<String>,
    /// Whether the answer waits for the job.
    #[serde(default)]
    pub mode: Mode,
}

/// Whether the answer to a request waits for the job.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The answer is the result, or the report where there is none.
    #[default]
    Run,
    /// The answer is the recorded [`Job`], once the data is in; the result is kept to be fetched.
    Submit,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It waits for a slot.
    Waiting,
    /// It runs.
    Running,
    /// It ended well.
    Done,
    /// It failed.
    Failed,
    /// Its client cancelled it.
    Cancelled,
    /// The agent ended while it waited or ran.
    Interrupted,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// The state that [`as_str`](Self::as_str) gives this word for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether the job has ended, however.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// A job as a host tells of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Its session.
    pub session: String,
    /// The accelerator.
    pub accelerator: String,
    /// Who asked for it: the name of a token, `host` for the host's own, `user:` and the number of a
    /// user of the host's machine; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How far it is.
    pub state: JobState,
    /// When it was received, in seconds since 1970.
    pub created: f64,
    /// When it began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<f64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<f64>,
    /// Bytes read and written so far.
    #[serde(default)]
    pub progress: Progress,
    /// The length of the result that is kept, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<u64>,
    /// What it told, once it ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<WireError>,
}

/// How far a job is, in bytes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Progress {
    /// Bytes to read, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
}

/// A page of jobs, the newest first.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Jobs {
    /// How many there are on all pages.
    pub count: u64,
    /// Those of this page.
    pub jobs: Vec<Job>,
}
