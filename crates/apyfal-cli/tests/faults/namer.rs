//! An accelerator by a name: `create`, `start`, `process` and `stop`, each of which is a process that is
//! interrupted.

use std::fs;
use std::time::Duration;

use apyfal::ErrorKind;
use serde_json::Value;

use super::model::{Broken, Held};
use super::process::{Ended, Process};
use super::random::{Random, data};
use super::run::Run;
use super::watch::Watch;
use crate::common::wire::{self, Ask};

const LENGTHS: [usize; 4] = [0, 1000, 70_000, 900_000];
const RECORD: &str = ".apyfal/command_line/accelerators/named.json";

/// What is done with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Create,
    Start,
    Process,
    Stop,
}

/// Who uses one name on all hosts, whatever became of the command before.
pub(crate) struct Namer<'a> {
    run: &'a Run,
    process: &'a Process,
    hosts: String,
    /// Whether the session that is remembered may have ended: what was to end it did not get to
    /// remembering that.
    is_doubtful: bool,
    step: u64,
}

/// What is remembered of the name.
#[derive(Debug, PartialEq)]
struct Remembered {
    accelerator: String,
    /// Where it is open, and by which id.
    sessions: Vec<(String, String)>,
}

impl<'a> Namer<'a> {
    pub(crate) fn start(run: &'a Run, process: &'a Process) -> Self {
        let hosts = run.hosts.iter().map(super::host::Host::address).collect::<Vec<_>>().join(",");
        Self { run, process, hosts, is_doubtful: false, step: 0 }
    }

    /// Calls one command after the other until the run is over.
    pub(crate) fn work(&mut self) -> Held {
        while !self.run.is_over() {
            let mut random = Random::of(&[self.run.seed, u64::MAX - 3, self.step]);
            let command = match random.below(10) {
                0 => Command::Create,
                1..=2 => Command::Start,
                3 => Command::Stop,
                _ => Command::Process,
            };
            let present = self.remembered()?;
            let is_started = present.as_ref().is_some_and(|present| !present.sessions.is_empty());
            let command = match present {
                // Now and then it is not what can be done.
                None if random.below(8) > 0 => Command::Create,
                Some(_) if !is_started && random.below(8) > 0 => Command::Start,
                _ => command,
            };
            self.call(command, &mut random)?;
        }
        Ok(())
    }

    /// Once nothing is wrong any more: everything works, and a name that is stopped leaves nothing.
    pub(crate) fn audit(&mut self) -> Held {
        for command in [Command::Create, Command::Start, Command::Process, Command::Stop] {
            let mut random = Random::of(&[self.run.seed, u64::MAX - 3, self.step]);
            if !self.call(command, &mut random)? {
                return Err(Broken::new(format!("{command:?} of a name fails with nothing wrong")));
            }
        }
        Ok(())
    }

    /// Calls one command. Whether it succeeded.
    fn call(&mut self, command: Command, random: &mut Random) -> Held<bool> {
        self.step += 1;
        let called = self.call_once(command, random);
        called.map_err(|broken| {
            let (name, step) = (&self.process.name, self.step);
            Broken::new(format!("{name}, step {step}, {command:?}: {broken}"))
        })
    }

    fn call_once(&mut self, command: Command, random: &mut Random) -> Held<bool> {
        let [input, output] = ["input", "output"].map(|name| self.process.folder().join(name));
        let mut words = match command {
            Command::Create => vec!["create", "-a", "null", "--host_ip", &self.hosts],
            Command::Start => vec!["start"],
            Command::Process => vec!["process", "-i", "input", "-o", "output"],
            Command::Stop => vec!["stop"],
        };
        words.extend(["--name", "named", "--json"]);
        let sent = data(random, &format!("n{}", self.step), &LENGTHS);
        fs::write(input, &sent).expect("a file");
        let _ = fs::remove_file(&output);
        let before = self.remembered()?;
        let watch = Watch::begin(&self.run.hosts, false);
        let ended = self.process.run(self.run, &words, || false)?;
        let now = self.remembered()?;
        let who = format!("{} #{}", self.process.name, self.step);
        self.run.record.note(&who, &format!("{command:?}, {ended}: {now:?}"));
        if fs::read(output).is_ok_and(|got| got != sent) {
            return Err(Broken::new("other bytes"));
        }
        for kind in ended.failures()? {
            let is_foretold = self.foretells(kind, command, before.as_ref());
            // A session may be on any of the hosts alone.
            if !is_foretold && !watch.excuses(kind, false) {
                return Err(Broken::new(format!("'{kind}' for no reason: {}", ended.stderr())));
            }
        }
        if ended.is_well() {
            self.is_done(command, before.as_ref(), now.as_ref(), &watch)?;
        }
        self.doubts(command, &ended, before != now);
        if !ended.is_well() {
            // A host may be away for a while.
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(ended.is_well())
    }

    /// Whether a command can only fail like this with what was remembered.
    fn foretells(&self, kind: ErrorKind, command: Command, before: Option<&Remembered>) -> bool {
        match (kind, before) {
            (ErrorKind::NotFound, None) => command != Command::Create,
            (ErrorKind::NotFound, Some(_)) => self.is_doubtful,
            (ErrorKind::Conflict, Some(before)) => {
                command == Command::Process && before.sessions.is_empty()
            }
            _ => false,
        }
    }

    fn doubts(&mut self, command: Command, ended: &Ended, is_changed: bool) {
        let ends_first = matches!(command, Command::Create | Command::Stop);
        if is_changed {
            self.is_doubtful = false;
        } else if ends_first && !ended.is_well() {
            self.is_doubtful = true;
        }
    }

    /// Whether a command that succeeded did what it is for.
    fn is_done(
        &self,
        command: Command,
        before: Option<&Remembered>,
        now: Option<&Remembered>,
        watch: &Watch<'_>,
    ) -> Held {
        let is_open = now.is_some_and(|now| !now.sessions.is_empty());
        let is_so = match command {
            Command::Create => now.is_some_and(|now| now.accelerator == "null") && !is_open,
            Command::Start => is_open && before != now,
            Command::Process => {
                is_open && before == now && self.process.folder().join("output").exists()
            }
            Command::Stop => before.is_some() && now.is_none(),
        };
        if !is_so {
            return Err(Broken::new(format!("it succeeded, with {before:?} before and {now:?}")));
        }
        match before {
            Some(before) if command != Command::Process => self.is_gone(before, watch),
            _ => Ok(()),
        }
    }

    /// Whether the sessions that were remembered are gone, where somebody could be told of that.
    fn is_gone(&self, before: &Remembered, watch: &Watch<'_>) -> Held {
        for (place, id) in &before.sessions {
            let asked = wire::ask(place, &Ask::new("GET", &format!("/v2/sessions/{id}")));
            let is_gone = asked.as_ref().is_ok_and(|answer| answer.status == 404);
            if !is_gone && watch.within_reach().any(|host| host.address() == *place) {
                let told = asked.map(|answer| answer.status);
                return Err(Broken::new(format!("session {id} is left on {place}: {told:?}")));
            }
        }
        Ok(())
    }

    /// What is remembered, which is all of it or nothing.
    fn remembered(&self) -> Held<Option<Remembered>> {
        let Ok(text) = fs::read(self.process.folder().join(RECORD)) else { return Ok(None) };
        let read = || {
            let record: Value = serde_json::from_slice(&text).ok()?;
            let accelerator = record["accelerator"].as_str()?.to_owned();
            let sessions = match record["session"].as_str() {
                None => Vec::new(),
                Some(text) => serde_json::from_str(text).ok()?,
            };
            Some(Remembered { accelerator, sessions })
        };
        let text = String::from_utf8_lossy(&text);
        read().map(Some).ok_or_else(|| Broken::new(format!("it is damaged: {text}")))
    }
}
