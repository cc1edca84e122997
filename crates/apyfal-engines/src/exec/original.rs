//! The calling convention of the original Apyfal's accelerator executables.
//!
//! `-m 0` starts (`-i` the data), `-m 1` processes (`-i` the source, `-o` the destination, `-v4`),
//! `-m 2` stops; `-j` names the JSON that is sent and `-p` the JSON that comes back. Such a program
//! is exclusive per machine and keeps its configuration in the device between the calls.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use apyfal_core::{
    Directory, EngineJob, EngineSession, Error, ErrorKind, Input, JobContext, Outcome, Params,
    Result, Stage,
};
use apyfal_machine::lock::Lock;
use data_encoding::HEXLOWER;
use serde_json::{Map, Value};
use sha3::{Digest, Sha3_256};

use super::Launcher;
use super::declaration::{Declaration, Program};
use super::file::{DestinationFile, SourceFile};
use super::process::Event;
use super::tail::Tail;

/// In the session's state: what `-m 0` answered, so that a session opened again does not repeat it.
const STARTED: &str = "started.json";

/// A session of an `executable`.
#[derive(Debug)]
pub(super) struct OriginalSession {
    launcher: Launcher,
    params: Params,
    state: PathBuf,
    lock: PathBuf,
    started: Map<String, Value>,
    /// What `-m 0` was sent, where this process can send it again: without data.
    again: Option<Value>,
}

impl OriginalSession {
    /// Opens it: starts the accelerator, unless this session did so before.
    ///
    /// # Errors
    /// The program failed, or its lock cannot be had.
    pub(super) fn open(
        launcher: Launcher,
        src: Option<Input>,
        params: &Params,
        locks: &Path,
        state: &dyn Directory,
        ctx: &JobContext,
    ) -> Result<Self> {
        let lock = launcher.declaration.lock_directory().unwrap_or(locks);
        let declaration = &launcher.declaration;
        let lock = lock.join(match declaration.exclusive() {
            Some(name) => lock_file(name.as_bytes()),
            None => lock_name(executable(declaration)?),
        });
        let mut session = Self {
            launcher,
            params: params.clone(),
            state: std::path::absolute(state.path()?)?,
            lock,
            started: Map::new(),
            again: None,
        };
        match fs::read(session.state.join(STARTED)) {
            Ok(answer) => session.started = serde_json::from_slice(&answer).unwrap_or_default(),
            Err(_) => {
                let mut turn = session.turn(ctx)?;
                let datafile = src.map(|input| SourceFile::new(input, ctx)).transpose()?;
                let sent = as_original(ctx.request().to_start_json(), session.start_params());
                session.started = session.begin(&mut turn, datafile.as_ref(), sent.clone(), ctx)?;
                let text = Value::Object(session.started.clone()).to_string();
                fs::write(session.state.join(STARTED), text)?;
                session.again = datafile.is_none().then_some(sent);
            }
        }
        Ok(session)
    }

    /// Starts the accelerator for this session; returns what it answers.
    fn begin(
        &self,
        turn: &mut Turn,
        datafile: Option<&SourceFile>,
        sent: Value,
        ctx: &JobContext,
    ) -> Result<Map<String, Value>> {
        turn.claim(None)?;
        let mut args = vec!["-m".into(), "0".into()];
        if let Some(datafile) = datafile {
            args.extend(["-i".into(), datafile.path().into()]);
        }
        let answer = self.call(args, Some(sent), &self.params, ctx)?;
        turn.claim(Some(&self.state))?;
        let mut started = answer.app;
        started.insert("specific".to_owned(), answer.specific.into());
        Ok(started)
    }

    /// Runs the program once and reads what it answers.
    fn call(
        &self,
        mut args: Vec<OsString>,
        sent: Option<Value>,
        params: &Params,
        ctx: &JobContext,
    ) -> Result<Outcome> {
        let directory = tempfile::tempdir_in(ctx.scratch()?)?;
        if let Some(sent) = sent {
            let path = directory.path().join("input.json");
            let mut file = private(&path)?;
            file.write_all(sent.to_string().as_bytes())?;
            args.extend(["-j".into(), path.into()]);
        }
        let answer = directory.path().join("output.json");
        args.extend(["-p".into(), answer.clone().into()]);
        args.insert(0, executable(&self.launcher.declaration)?.into());
        let mut process = self.launcher.start(args, params, false, ctx)?;
        let mut stdout = Tail::new(16 << 10);
        let mut said = process.lines(ctx.log());
        let mut buffer = vec![0; 16 << 10];
        loop {
            ctx.check()?;
            match process.look(&mut buffer)? {
                Event::Output(count) => {
                    stdout.push(&buffer[..count]);
                    said.push(&buffer[..count]);
                }
                Event::Quiet => {}
                Event::Ended => break,
            }
        }
        drop(said);
        let text = fs::read(&answer).ok();
        let succeeded = process.succeeded();
        outcome(text.as_deref(), succeeded).map_err(|message| {
            let mut error = process.failure(&process.mask(&message));
            if !stdout.is_empty() {
                error = error.context("stdout", process.mask(&stdout.text()));
            }
            match text {
                Some(text) if !text.is_empty() => error
                    .context("output JSON", process.mask(String::from_utf8_lossy(&text).trim())),
                _ => error,
            }
        })
    }

    /// What `-m 0` is sent: the parameters of `start`, and those that nobody declared.
    fn start_params(&self) -> Map<String, Value> {
        self.select(&self.params, |name| self.stage(name) != Some(Stage::Process))
    }

    /// What `-m 1` is sent: the parameters of `process`, and of those that nobody declared the ones
    /// that were given with this call, not those that the session brings along.
    fn process_params(&self, params: &Params, ctx: &JobContext) -> Map<String, Value> {
        self.select(params, |name| match self.stage(name) {
            Some(stage) => stage == Stage::Process,
            None => {
                self.params.get(name) != params.get(name)
                    || ctx.request().specific.contains_key(name)
            }
        })
    }

    fn select(&self, params: &Params, wanted: impl Fn(&str) -> bool) -> Map<String, Value> {
        let all = params.as_map().iter();
        all.filter(|(name, _)| wanted(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    fn stage(&self, name: &str) -> Option<Stage> {
        let specs = &self.launcher.declaration.accelerator().params;
        specs.iter().find(|spec| spec.name == name).map(|spec| spec.stage)
    }

    /// Waits until no other call of this program runs on the machine.
    fn turn(&self, ctx: &JobContext) -> Result<Turn> {
        let lock = Lock::wait_for_all(&self.lock, ctx.cancel()).map_err(|error| {
            if error.is_cancelled() {
                return error;
            }
            error.hint(
                "another directory can be set as 'lock_directory' in the accelerator's section",
            )
        })?;
        Ok(Turn { lock })
    }
}

impl EngineSession for OriginalSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let mut turn = self.turn(ctx)?;
        if !turn.is_of(&self.state)? {
            // Another session had its turn, with its own configuration.
            let Some(sent) = self.again.clone() else {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "the accelerator was started or stopped by another session since",
                )
                .hint(
                    "start this session again: the program keeps one configuration per machine",
                ));
            };
            self.begin(&mut turn, None, sent, ctx)?;
        }
        let source = job.src.map(|input| SourceFile::new(input, ctx)).transpose()?;
        let destination = job.dst.map(|output| DestinationFile::new(output, ctx)).transpose()?;
        let mut args = vec!["-m".into(), "1".into()];
        if let Some(source) = &source {
            args.extend(["-i".into(), source.path().into()]);
        }
        if let Some(destination) = &destination {
            args.extend(["-o".into(), destination.path().into()]);
        }
        args.push("-v4".into());
        let specific = self.process_params(&job.params, ctx);
        let sent = as_original(ctx.request().to_process_json(), specific);
        let outcome = self.call(args, Some(sent), &job.params, ctx)?;
        if let Some(source) = source {
            source.count(ctx)?;
        }
        if let Some(destination) = destination {
            destination.deliver(ctx)?;
        }
        Ok(outcome)
    }

    fn started(&self) -> Map<String, Value> {
        self.started.clone()
    }

    fn stop(&self, ctx: &JobContext) -> Result<Outcome> {
        let mut turn = self.turn(ctx)?;
        let _ = fs::remove_file(self.state.join(STARTED));
        if !turn.is_of(&self.state)? {
            // What runs there now is another session's.
            return Ok(Outcome::default());
        }
        turn.claim(None)?;
        self.call(vec!["-m".into(), "2".into()], None, &self.params, ctx)
    }
}

fn executable(declaration: &Declaration) -> Result<&str> {
    match declaration.program() {
        Program::Executable(executable) => Ok(executable),
        _ => Err(Error::new(ErrorKind::Internal, "an original session without executable")),
    }
}

/// The name of the lock of an executable: the same for all sections and links that lead to it.
fn lock_name(executable: &str) -> String {
    // Without a slash it is looked for on the search path, not in the current directory.
    let path = match executable.contains('/') {
        true => fs::canonicalize(executable).unwrap_or_else(|_| executable.into()),
        false => executable.into(),
    };
    lock_file(path.as_os_str().as_encoded_bytes())
}

fn lock_file(of: &[u8]) -> String {
    let digest = Sha3_256::digest(of);
    format!("apyfal-{}.lock", HEXLOWER.encode(&digest[..16]))
}

/// The right to call the program, held through the lock file, which also names the session whose
/// configuration is in the device.
struct Turn {
    lock: Lock,
}

impl Turn {
    fn is_of(&mut self, state: &Path) -> Result<bool> {
        let mut owner = Vec::new();
        let mut file = self.lock.file();
        file.rewind()?;
        file.read_to_end(&mut owner)?;
        Ok(owner == state.as_os_str().as_encoded_bytes())
    }

    fn claim(&mut self, state: Option<&Path>) -> Result<()> {
        let mut file = self.lock.file();
        file.set_len(0)?;
        file.rewind()?;
        if let Some(state) = state {
            file.write_all(state.as_os_str().as_encoded_bytes())?;
        }
        Ok(())
    }
}

/// What is sent, in the form that the executables know: truths as 0 and 1, no `reload`, no `env`.
fn as_original(mut sent: Value, specific: Map<String, Value>) -> Value {
    let mut app = sent["app"].take();
    if let Some(app) = app.as_object_mut() {
        let reset = app.get("reset").and_then(Value::as_bool).unwrap_or(false);
        app.insert("reset".to_owned(), u8::from(reset).into());
        app.remove("reload");
        app.insert("specific".to_owned(), Value::Object(specific));
    }
    serde_json::json!({ "app": app })
}

/// A new file that only this user may read: parameters may be secrets.
fn private(path: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    Ok(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?)
}

/// What the program answered, or why that is a failure.
fn outcome(text: Option<&[u8]>, succeeded: bool) -> std::result::Result<Outcome, String> {
    let json = match text.map(serde_json::from_slice::<Value>) {
        Some(Ok(json)) => Some(json),
        Some(Err(error)) if succeeded => {
            return Err(format!("the program's answer is not JSON: {error}"));
        }
        _ => None,
    };
    let app = json.and_then(|json| json.get("app").and_then(Value::as_object).cloned());
    let Some(mut app) = app else {
        return Err(if succeeded { "No result returned" } else { "the program failed" }.to_owned());
    };
    let message = app.remove("msg").and_then(|message| Some(message.as_str()?.to_owned()));
    let status = app.remove("status").unwrap_or_else(|| 0.into());
    if status != 0 || !succeeded {
        let message = message.filter(|message| !message.is_empty());
        return Err(
            message.unwrap_or_else(|| format!("the program failed and says status {status}"))
        );
    }
    let specific = match app.remove("specific") {
        Some(Value::Object(specific)) => specific,
        _ => Map::new(),
    };
    Ok(Outcome { specific, app })
}
