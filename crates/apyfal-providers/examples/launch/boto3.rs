//! The program of boto3 that does the same.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::{Account, Result, Spent};

/// A process of Python with boto3. It ends with its standard input.
#[derive(Debug)]
pub(crate) struct Boto3 {
    _process: Child,
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Boto3 {
    pub(crate) fn start() -> Result<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/launch/launch.py");
        let mut process = Command::new(apyfal_testkit::python()?)
            .args(["-B".as_ref(), program.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let jobs = process.stdin.take().ok_or("it has no input")?;
        let answers = BufReader::new(process.stdout.take().ok_or("it has no output")?);
        Ok(Self { _process: process, jobs, answers })
    }

    /// Has it do a job in an account.
    pub(crate) fn run(&mut self, what: &str, account: &Account, job: &Value) -> Result<Spent> {
        let mut job = job.clone();
        job["do"] = what.into();
        for (name, value) in account.variables() {
            job["environment"][name] = value.into();
        }
        writeln!(self.jobs, "{job}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer).map_err(|_| format!("boto3 failed to {what}"))?)
    }
}
