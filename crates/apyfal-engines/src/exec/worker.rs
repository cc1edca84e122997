//! A program that stays alive and takes one job after the other, so that a device is opened once.
//!
//! # Protocol
//! One JSON object per line. For each job the worker reads from its standard input
//!
//! ```json
//! {"id": 1, "src": "/path/in", "dst": "/path/out", "parameters": {"level": 9}}
//! ```
//!
//! and, once the job is done, writes to its standard output
//!
//! ```json
//! {"id": 1, "status": 0, "msg": "", "specific": {"key": "value"}, "profiling": {"fpga-elapsed-time": 0.1}}
//! ```
//!
//! `src` and `dst` are paths of files, or null where the job has none; `dst` exists and is empty.
//! Only `id` is needed in the answer. A `status` other than 0 is a failure of this job alone, whose
//! text is `msg`. Standard error is free for messages: they go to the log of the job that they come
//! during, and their end is shown when the worker fails. The
//! worker ends when its standard input does; one that does not within a second is killed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use apyfal_core::{
    EngineJob, EngineSession, Error, ErrorKind, JobContext, Outcome, Params, Result,
};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Launcher;
use super::command::fill;
use super::declaration::Program;
use super::file::{DestinationFile, SourceFile};
use super::process::{Event, Process};

/// An answer longer than this is not one.
const ANSWER: usize = 16 << 20;
/// How long a worker may take to end once its input ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// A session of a `worker`, with the workers that wait for their next job.
#[derive(Debug)]
pub(super) struct WorkerSession {
    launcher: Launcher,
    params: Params,
    idle: Mutex<Vec<Worker>>,
    next: AtomicU64,
}

/// A worker, and the variables of the job that it was started for: it never hears of others.
#[derive(Debug)]
struct Worker {
    process: Process,
    variables: Variables,
}

type Variables = Arc<[(&'static str, String)]>;

#[derive(Deserialize)]
struct Reply {
    id: u64,
    #[serde(default)]
    status: i64,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    specific: Map<String, Value>,
    #[serde(default)]
    profiling: Map<String, Value>,
}

impl WorkerSession {
    /// Opens it. A worker is started when a job finds none idle.
    pub(super) fn new(launcher: Launcher, params: Params) -> Self {
        Self { launcher, params, idle: Mutex::default(), next: AtomicU64::new(1) }
    }

    /// An idle worker that is still alive and has the job's variables, else a new one.
    fn take(&self, ctx: &JobContext) -> Result<Worker> {
        loop {
            let idle = self.idle.lock().pop();
            let Some(mut worker) = idle else { break };
            if worker.variables == *ctx.variables() && !worker.process.has_ended()? {
                worker.process.begin_job(ctx.log())?;
                return Ok(worker);
            }
        }
        let Program::Worker(arguments) = self.launcher.declaration.program() else {
            return Err(Error::new(ErrorKind::Internal, "a worker session without a worker"));
        };
        let argv = fill(arguments, &self.params, |_| None);
        let process = self.launcher.start(argv, &self.params, true, ctx)?;
        Ok(Worker { process, variables: ctx.variables().clone() })
    }

    fn put_back(&self, mut worker: Worker) -> Result<()> {
        worker.process.end_job()?;
        self.idle.lock().push(worker);
        Ok(())
    }
}

impl EngineSession for WorkerSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let source = job.src.map(|input| SourceFile::new(input, ctx)).transpose()?;
        let destination = job.dst.map(|output| DestinationFile::new(output, ctx)).transpose()?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let request = json!({
            "id": id,
            "src": source.as_ref().map(|source| named(source.path())).transpose()?,
            "dst": destination.as_ref().map(|destination| named(destination.path())).transpose()?,
            "parameters": job.params.as_map(),
        });
        // Dropped, and so ended, on every way out but the good one: after a failure or a
        // cancellation nobody knows what state it is in.
        let mut taken = self.take(ctx)?;
        let worker = &mut taken.process;
        let line = ask(worker, &format!("{request}\n"), ctx)?;
        let answer: Reply = serde_json::from_slice(&line).map_err(|error| {
            // Masked before it is cut, which may leave half a secret.
            let answer = worker.mask(String::from_utf8_lossy(&line).trim());
            let shown: String = answer.chars().take(200).collect();
            worker
                .failure("the worker answered with something else than a JSON object with an 'id'")
                .context("answer", shown)
                .hint("messages belong on standard error")
                .source(error)
        })?;
        if answer.id != id {
            return Err(worker.failure("the worker answered for another job"));
        }
        if answer.status != 0 {
            let error = worker.failure(&worker.mask(&answer.msg));
            let error = error.context("status", answer.status).exit_status(answer.status);
            self.put_back(taken)?;
            return Err(error);
        }
        self.put_back(taken)?;
        if let Some(source) = source {
            source.count(ctx)?;
        }
        if let Some(destination) = destination {
            destination.deliver(ctx)?;
        }
        let mut outcome = Outcome { specific: answer.specific, app: Map::new() };
        if !answer.profiling.is_empty() {
            outcome.app.insert("profiling".to_owned(), Value::Object(answer.profiling));
        }
        Ok(outcome)
    }
}

impl Drop for WorkerSession {
    fn drop(&mut self) {
        let idle = self.idle.get_mut();
        // All are asked first, so that they end at the same time.
        idle.iter_mut().for_each(|worker| worker.process.close_stdin());
        for worker in idle {
            worker.process.wait(FAREWELL);
        }
    }
}

/// A path as JSON can say it.
fn named(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::new(ErrorKind::InvalidData, "the name of the file is not UTF-8 text")
            .operation(format!("hand '{}' to a worker", path.display()))
            .hint("rename the file, or pipe it in")
    })
}

/// Sends a line and waits for the line that answers it.
fn ask(worker: &mut Process, request: &str, ctx: &JobContext) -> Result<Vec<u8>> {
    const DIED: &str = "the worker ended before it answered";
    worker.send(request.as_bytes(), ctx)?;
    let mut line = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        ctx.check()?;
        match worker.look(&mut buffer)? {
            Event::Output(count) => line.extend_from_slice(&buffer[..count]),
            Event::Quiet => continue,
            Event::Ended => return Err(worker.failure(DIED)),
        }
        match line.iter().position(|byte| *byte == b'\n') {
            Some(end) if end + 1 == line.len() => return Ok(line),
            Some(_) => return Err(worker.failure("the worker wrote more than one line")),
            None if line.len() > ANSWER => {
                return Err(worker.failure("the worker's answer does not end"));
            }
            None => {}
        }
    }
}
