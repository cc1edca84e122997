//! The job that shows whether the accelerator works on a machine.

use std::time::Duration;

use apyfal_core::Result;
use serde_json::{Map, Value};

use super::table::Table;
use super::{file_name, read_digest};
use crate::Digest;

const KEYS: [&str; 7] = ["src", "start_src", "parameters", "expect", "sha256", "result", "timeout"];

/// How long it may take where the manifest says nothing, in seconds.
const TIMEOUT: u64 = 60;

/// The self-test of a package: one job, and what must come of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The file that is the job's source.
    pub src: Option<String>,
    /// The file that the session is started with.
    pub start_src: Option<String>,
    /// Parameters of both stages.
    pub parameters: Map<String, Value>,
    /// The file that the result must be equal to.
    pub expect: Option<String>,
    /// The SHA-256 that the result must have.
    pub sha256: Option<Digest>,
    /// What the report must tell, among other things.
    pub result: Map<String, Value>,
    /// How long it may take.
    pub timeout: Duration,
}

pub(super) fn read(table: Table<'_>) -> Result<Test> {
    table.refuse_unknown(&KEYS)?;
    Ok(Test {
        src: file_name(table, "src")?,
        start_src: file_name(table, "start_src")?,
        parameters: table.table("parameters")?.cloned().unwrap_or_default(),
        expect: file_name(table, "expect")?,
        sha256: read_digest(table)?,
        result: table.table("result")?.cloned().unwrap_or_default(),
        timeout: Duration::from_secs(table.number("timeout", 1, 3600)?.unwrap_or(TIMEOUT)),
    })
}
