//! What the journal remembers.

use apyfal_api::WireError;
use apyfal_api::v2::{JobState, Progress, Report};
use apyfal_core::Owner;
use apyfal_tls::token::TokenHash;
use serde_json::Value;

/// When a caller may rely on what was handed to the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nobody waits. It is committed with a later group, after 100 ms at the latest; a crash loses
    /// what was handed over in between.
    Group,
    /// Answered once the operating system has it: the end of the process, even by `kill -9`, loses
    /// nothing, but a power failure may.
    Process,
    /// Answered once it is on disk.
    Disk,
}

/// The protocol that something was asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// REST v1.0, that of the original.
    V1,
    /// REST v2.
    V2,
}

/// A session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// Its id.
    pub id: String,
    /// Its number, of [`Journal::next_number`](super::Journal::next_number): its id in REST v1.0.
    pub number: u64,
    /// The accelerator.
    pub accelerator: String,
    /// Who opened it.
    pub owner: Owner,
    /// The protocol that it was opened with.
    pub protocol: Protocol,
    /// Its parameters. Secrets in it are masked before they are written.
    pub parameters: Value,
    /// The name of what `start` was given, without secrets.
    pub source: Option<String>,
    /// When it was opened, in seconds since 1970.
    pub created: f64,
    /// What opening it told.
    pub report: Option<Report>,
    /// When it ended; `None` while it is open.
    pub ended: Option<f64>,
    /// Whether REST v1.0 shows it as the one in use.
    pub used: bool,
}

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRecord {
    /// Its id.
    pub id: String,
    /// Its number, of [`Journal::next_number`](super::Journal::next_number): its id in REST v1.0.
    pub number: u64,
    /// The id of its session.
    pub session: String,
    /// The accelerator.
    pub accelerator: String,
    /// Who asked for it.
    pub owner: Owner,
    /// How far it is.
    pub state: JobState,
    /// The protocol that it was asked for with.
    pub protocol: Protocol,
    /// What was asked for. Secrets in it are masked before they are written.
    pub request: Value,
    /// Equal for two requests that ask for the same, but for their data.
    pub fingerprint: Option<String>,
    /// The digest of its data, where that was made and all of it came.
    pub digest: Option<String>,
    /// When it was received, in seconds since 1970.
    pub created: f64,
    /// When it began to run.
    pub started: Option<f64>,
    /// When it ended.
    pub ended: Option<f64>,
    /// Bytes read and written.
    pub progress: Progress,
    /// The length of the result that is kept, in bytes.
    pub result: Option<u64>,
    /// What it told, once it ended well.
    pub report: Option<Report>,
    /// Why it failed.
    pub error: Option<WireError>,
    /// Whether its result is kept until it is forgotten or expires.
    pub kept: bool,
}

/// A token beside the host's own, of which only the hash is known.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRecord {
    /// What it is called. No two have one name.
    pub name: String,
    /// Its hash.
    pub hash: TokenHash,
    /// When it was made, in seconds since 1970.
    pub created: f64,
}

/// What is new of a job; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobChange {
    /// How far it is.
    pub state: Option<JobState>,
    /// When it began to run.
    pub started: Option<f64>,
    /// When it ended.
    pub ended: Option<f64>,
    /// Bytes read and written.
    pub progress: Option<Progress>,
    /// The length of the result that is kept.
    pub result: Option<u64>,
    /// What it told.
    pub report: Option<Report>,
    /// Why it failed.
    pub error: Option<WireError>,
    /// Whether its result is kept. With `false` the length of the result goes too.
    pub kept: Option<bool>,
    /// The digest of its data.
    pub digest: Option<String>,
}

/// What an agent that ended left behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// Jobs that waited or ran, the oldest first, as they are now: interrupted.
    pub interrupted: Vec<JobRecord>,
    /// Sessions that are open, the oldest first.
    pub sessions: Vec<SessionRecord>,
}

/// Part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many of the newest to leave out.
    pub offset: u64,
    /// How many to return at most.
    pub limit: u64,
}

/// A part of a list, the newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// How many there are on all pages.
    pub count: u64,
    /// Those of this page.
    pub items: Vec<T>,
}

/// Which sessions to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionFilter {
    /// Only open ones, or only ended ones.
    pub open: Option<bool>,
    /// Only those of a protocol.
    pub protocol: Option<Protocol>,
    /// Only those of an accelerator.
    pub accelerator: Option<String>,
}

/// Which jobs to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobFilter {
    /// Only those in this state.
    pub state: Option<JobState>,
    /// Only those of this session.
    pub session: Option<String>,
    /// Only those of a protocol.
    pub protocol: Option<Protocol>,
    /// Only those of an accelerator.
    pub accelerator: Option<String>,
    /// Only those whose result is kept, or only others.
    pub kept: Option<bool>,
}
