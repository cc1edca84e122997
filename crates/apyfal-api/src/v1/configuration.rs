//! Configurations, which are sessions in our words.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A session as this protocol tells of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Configuration {
    /// Its number.
    pub id: u64,
    /// Its absolute URL, which a process names it by.
    pub url: String,
    /// What it was started with, its secrets masked.
    pub parameters: Value,
    /// The name of the data that came with it.
    pub datafile: Option<String>,
    /// Whether processes can be run in it.
    pub used: bool,
    /// When the start came in.
    pub created: String,
    /// Whether the start has ended.
    pub processed: bool,
    /// When the start ended.
    pub processed_date: Option<String>,
    /// Whether the request was refused.
    pub inerror: bool,
    /// 0, or why it failed, as a status of HTTP.
    pub errorcode: u16,
    /// What the start told: [`success`](super::success) or [`failure`](super::failure).
    pub parametersresult: Value,
}
