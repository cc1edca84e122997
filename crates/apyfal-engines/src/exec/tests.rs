use std::fs::{self, File};
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apyfal_core::{
    Cancel, Engine, EngineJob, EngineSession, Error, ErrorKind, Input, JobContext, JobLog,
    JobParameters, Need, Outcome, Output, Params, Progress, Result, Slots,
};
use apyfal_machine::Guard;
use apyfal_testkit::{Kept, times_open, until, until_some};
use serde_json::{Value, json};

use super::{Declaration, Exec, Launcher};

/// An accelerator with the directories that its caller provides.
struct Bench {
    directory: tempfile::TempDir,
    engine: Exec,
    cancel: Cancel,
}

impl Bench {
    /// The program finds the directory that scripts of the test may write to in `$NOTES`.
    fn new(mut section: Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["state", "scratch", "locks"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        section["env"]["NOTES"] = directory.path().to_str().into();
        let declaration = declare(section).unwrap();
        let engine = Exec::new(declaration, directory.path().join("locks"));
        Self { directory, engine, cancel: Cancel::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn context(&self) -> JobContext {
        let progress = Arc::new(Progress::default());
        let threads = NonZeroUsize::new(2).unwrap();
        JobContext::new(self.cancel.clone(), progress, self.path("scratch"), threads)
    }

    fn open_with(&self, src: Option<Input>, params: Value) -> Result<Box<dyn EngineSession>> {
        let params = self.params(None, params);
        self.engine.open(src, &params, &self.path("state"), &self.context())
    }

    fn open(&self) -> Box<dyn EngineSession> {
        self.open_with(None, json!({})).unwrap()
    }

    fn params(&self, start: Option<&Params>, raw: Value) -> Params {
        Params::check("it", &self.engine.accelerator().params, start, raw.as_object().unwrap())
            .unwrap()
    }

    /// Opens a session and runs one job: what it wrote and what it told.
    fn run(&self, src: Option<Input>, params: Value) -> Result<(Vec<u8>, Outcome)> {
        let (dst, written) = sink();
        let job = EngineJob { src, dst: Some(dst), params: self.params(None, params) };
        let outcome = self.open().process(job, &self.context())?;
        let written = written.bytes();
        Ok((written, outcome))
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

fn declare(section: Value) -> Result<Declaration> {
    Declaration::new("mine", section.as_object().unwrap())
}

fn sh(script: &str) -> Value {
    json!({"command": ["sh", "-c", script]})
}

/// An output and what is written to it.
fn sink() -> (Output, Kept) {
    let written = Kept::default();
    (written.output(), written)
}

/// A log and the lines that come to it.
fn listen() -> (JobLog, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = lines.clone();
    (JobLog::new(move |line| kept.lock().unwrap().push(line.to_owned())), lines)
}

/// Bytes that are the same in every run and do not repeat soon.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8 & 0x3f
    })
    .take(len)
    .collect()
}

fn file(path: &Path, bytes: &[u8]) -> Input {
    fs::write(path, bytes).unwrap();
    Input::file(File::open(path).unwrap(), path).unwrap()
}

fn fact<'a>(error: &'a Error, key: &str) -> &'a str {
    let facts = error.facts();
    let (_, value) = facts.iter().find(|(name, _)| *name == key).unwrap_or_else(|| {
        panic!("no fact '{key}' in {error:?}");
    });
    value
}

/// Waits until a script has written a process id to a file.
fn pid_in(path: &Path) -> u32 {
    let written = || fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'));
    until_some("the program has started", written).trim().parse().unwrap()
}

/// Whether a process runs: a zombie that waits for its new parent does not.
fn is_running(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

fn wait_until_gone(pid: u32) {
    until(&format!("process {pid} has ended"), || !is_running(pid));
}

mod command;
mod declaration;
mod original;
mod worker;
