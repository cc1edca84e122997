//! Processes, which are jobs in our words.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A job as this protocol tells of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Process {
    /// Its number.
    pub id: u64,
    /// Its absolute URL.
    pub url: String,
    /// The absolute URL of its configuration.
    pub configuration: String,
    /// What it was sent, its secrets masked.
    pub parameters: Value,
    /// The name of the data that came with it.
    pub datafile: Option<String>,
    /// The absolute URL of the result, once it is there.
    pub datafileresult: Option<String>,
    /// Whether it has ended.
    pub processed: bool,
    /// When it ended.
    pub processed_date: Option<String>,
    /// Whether the request was refused.
    pub inerror: bool,
    /// 0, or why it failed, as a status of HTTP.
    pub errorcode: u16,
    /// What it told once it has ended, [`success`](super::success) or
    /// [`failure`](super::failure); an empty object until then.
    pub parametersresult: Value,
}
