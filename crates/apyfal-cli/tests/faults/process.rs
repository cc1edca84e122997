//! A command line that is killed, stalled and told to end while it runs.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use apyfal::ErrorKind;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::mapped::JOURNAL;
use super::model::{Broken, Held};
use super::run::Run;
use crate::common::Home;
use crate::common::server::PATIENCE;

/// Where one caller runs its command lines, one after the other.
#[derive(Debug)]
pub(crate) struct Process {
    /// Who calls, as the record names it.
    pub(crate) name: String,
    folder: PathBuf,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    is_killed: bool,
    is_told: bool,
}

/// How a command line ended.
#[derive(Debug)]
pub(crate) struct Ended {
    status: ExitStatus,
    is_told: bool,
    pub(crate) stdout: Vec<u8>,
    stderr: String,
}

impl Process {
    /// Makes its home, which is a directory of the run's.
    pub(crate) fn new(home: &Home, name: &str) -> Self {
        let folder = home.path(&name.replace(' ', "-"));
        fs::create_dir(&folder).expect("a directory");
        Self { name: name.to_owned(), folder, running: Mutex::default() }
    }

    /// Home and working directory of what it runs.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What all that it ran said.
    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What tells of what it did, as far as that is there.
    pub(crate) fn traces(&self) -> Vec<PathBuf> {
        let all = [self.log(), self.folder.join("out").join(JOURNAL)];
        all.into_iter().filter(|path| path.exists()).collect()
    }

    /// Runs `apyfal` with these words to its end, which it need not come to by itself: it is killed
    /// once `is_enough`.
    pub(crate) fn run(
        &self,
        run: &Run,
        words: &[&str],
        is_enough: impl Fn() -> bool,
    ) -> Held<Ended> {
        let (log, stdout) = (self.log(), self.folder.join("stdout"));
        let before = fs::metadata(&log).map_or(0, |found| found.len() as usize);
        let stderr = OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut command = run.home.apyfal(words);
        command.current_dir(&self.folder).env("HOME", &self.folder);
        command.stdout(File::create(&stdout).expect("a file")).stderr(stderr);
        let child = command.spawn().expect("apyfal runs");
        *self.running.lock().unwrap() = Some(Running { child, is_killed: false, is_told: false });
        let (status, is_told) = self.wait(run, is_enough)?;
        let said = fs::read(&log).expect("a log");
        let stderr = String::from_utf8_lossy(&said[before..]).into_owned();
        Ok(Ended { status, is_told, stdout: fs::read(stdout).expect("a file"), stderr })
    }

    /// Waits for its end. As long as things go wrong that may take any time; then it may not.
    fn wait(&self, run: &Run, is_enough: impl Fn() -> bool) -> Held<(ExitStatus, bool)> {
        let mut all_is_well = None;
        loop {
            if let Some(running) = &mut *self.running.lock().unwrap()
                && let Some(status) = running.child.try_wait().expect("a child")
            {
                let (is_killed, is_told) = (running.is_killed, running.is_told);
                // It may have been told before it listened.
                let ours = [(Signal::KILL, is_killed), (Signal::TERM, is_told)];
                let is_ours =
                    |ended: i32| ours.iter().any(|(signal, was)| *was && signal.as_raw() == ended);
                return match status.signal().is_none_or(is_ours) {
                    true => Ok((status, is_told)),
                    false => Err(Broken::new(format!("it ended with {status}"))),
                };
            }
            if run.is_over() && all_is_well.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                self.kill();
                return Err(Broken::new("it does not end"));
            }
            if is_enough() {
                self.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Does something to what runs, if anything does.
    fn with_running(&self, act: impl FnOnce(&mut Running)) -> bool {
        let mut lock = self.running.lock().unwrap();
        let Some(running) = lock.as_mut() else { return false };
        // Who was waited for has no number any more, which may be another one's by now.
        if running.child.try_wait().expect("a child").is_some() {
            return false;
        }
        act(running);
        true
    }

    /// Ends it as `kill -9` does. Whether there was anything to end, as with all of these.
    pub(crate) fn kill(&self) -> bool {
        self.with_running(|running| {
            running.is_killed = true;
            running.child.kill().expect("it is killed");
        })
    }

    /// Tells it to end, which it does in its own way.
    pub(crate) fn tell(&self) -> bool {
        self.with_running(|running| {
            // The second time would end it at once.
            if !std::mem::replace(&mut running.is_told, true) {
                signal(&running.child, Signal::TERM);
            }
        })
    }

    pub(crate) fn stall(&self) -> bool {
        self.with_running(|running| signal(&running.child, Signal::STOP))
    }

    pub(crate) fn go_on(&self) -> bool {
        self.with_running(|running| signal(&running.child, Signal::CONT))
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it is there");
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(running) = &mut *self.running.lock().unwrap() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)
    }
}

impl Ended {
    pub(crate) fn is_killed(&self) -> bool {
        self.status.signal().is_some()
    }

    pub(crate) fn is_well(&self) -> bool {
        self.status.success()
    }

    /// The kinds of what went wrong, each of which has a reason of its own to be looked for. That it
    /// was told to end is one.
    pub(crate) fn failures(&self) -> Held<Vec<ErrorKind>> {
        if self.is_killed() || self.is_well() {
            return Ok(Vec::new());
        }
        let errors = self.stderr.lines().filter_map(|line| {
            let told: Value = serde_json::from_str(line).ok()?;
            Some(told["error"]["kind"].as_str()?.to_owned())
        });
        let known = errors.map(|word| {
            ErrorKind::from_word(&word)
                .ok_or_else(|| Broken::new(format!("'{word}' is no kind of error")))
        });
        let mut kinds = known.collect::<Held<Vec<_>>>()?;
        if kinds.is_empty() {
            return Err(Broken::new(format!("{}, and no reason: {}", self.status, self.stderr)));
        }
        kinds.retain(|kind| *kind != ErrorKind::Cancelled || !self.is_told);
        Ok(kinds)
    }

    /// What it said of what went wrong.
    pub(crate) fn stderr(&self) -> &str {
        self.stderr.trim_end()
    }
}
