//! What the agent and its jobs said.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// One line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LogLine {
    /// Its number; later lines have higher ones.
    pub number: u64,
    /// When it was said, in seconds since 1970.
    pub time: f64,
    /// The job that said it; absent for the agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// What was said.
    pub text: String,
}

/// Some lines, the oldest first.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Logs {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// What to ask for next, as `?after=` with `began`.
    pub last: u64,
    /// When the agent began, in seconds since 1970: it numbers its lines from then.
    #[serde(default)]
    pub began: f64,
}
