//! What clients of REST do, and remember of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::host::Host;
use super::model::{Asked, Broken, Held, Job, Known, Plea, kind_of, plain};
use super::random::{Random, data};
use super::run::Run;
use crate::common::http::Answer;
use crate::common::wire::{self, Ask};

/// How many jobs a client keeps.
const KEPT: usize = 6;
const LENGTHS: [usize; 7] = [0, 1, 1000, 65_536, 65_537, 300_000, 900_000];
/// What may be said of a client, to tell results apart.
const WORDS: [&str; 3] = ["one", "another", "third"];

/// How many seconds a program waits before it goes on.
pub(super) const PAUSES: [&str; 3] = ["0", "0.05", "0.5"];

/// Whether a job is waited for, or its result fetched later.
const MODES: [&str; 2] = ["run", "submit"];

/// A client of one host, which has its own sessions and ids.
pub(crate) struct Client<'a> {
    run: &'a Run,
    host: &'a Host,
    number: usize,
    is_linked: bool,
    pub(super) null: String,
    pub(super) said: String,
    pub(super) once: String,
    /// Sessions beside these.
    pub(super) sessions: Vec<String>,
    pub(super) jobs: Vec<Job>,
    /// Ids of jobs that were deleted.
    pub(super) gone: Vec<String>,
    pub(super) step: u64,
}

/// How a client sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Manner {
    Patient,
    /// It gives up where nothing comes for so long.
    Hasty(Duration),
    /// It goes away after so much of its data.
    Leaving(usize),
}

impl Manner {
    fn of(random: &mut Random, length: usize) -> Self {
        match random.below(10) {
            0 => Self::Hasty(Duration::from_millis(20 + random.below(300))),
            1 if length > 0 => Self::Leaving(random.below(length as u64) as usize),
            _ => Self::Patient,
        }
    }
}

impl<'a> Client<'a> {
    /// Opens its sessions, while nothing is wrong.
    pub(crate) fn start(run: &'a Run, number: usize) -> Held<Self> {
        let host = &run.hosts[number % run.hosts.len()];
        let is_linked = number / run.hosts.len() % 2 == 1;
        let none = String::new;
        let mut client = Self {
            run,
            host,
            number,
            is_linked,
            null: none(),
            said: none(),
            once: none(),
            sessions: Vec::new(),
            jobs: Vec::new(),
            gone: Vec::new(),
            step: 0,
        };
        let open = |client: &Self, name| {
            client.open(name)?.ok_or_else(|| Broken::new(format!("no session of {name}")))
        };
        client.null = open(&client, "null")?;
        client.said = open(&client, "said")?;
        client.once = open(&client, "once")?;
        Ok(client)
    }

    /// Does one thing after the other until the run is over.
    pub(crate) fn work(&mut self) -> Held {
        while !self.run.is_over() {
            self.step += 1;
            let mut random = Random::of(&[self.run.seed, self.number as u64, self.step]);
            let done = self.act(&mut random);
            done.map_err(|broken| self.during(&broken))?;
        }
        Ok(())
    }

    pub(super) fn during(&self, broken: &Broken) -> Broken {
        let (number, step, host) = (self.number, self.step, self.host.number);
        Broken::new(format!("client {number} of host {host}, step {step}: {broken}"))
    }

    fn note(&self, what: &str) {
        self.run.record.note(&format!("client {} #{}", self.number, self.step), what);
    }

    fn act(&mut self, random: &mut Random) -> Held {
        match random.below(20) {
            0..=3 => self.run_plain(random),
            4..=8 if self.jobs.len() < KEPT => self.run_kept(random),
            9 => self.submit_nameless(random),
            10 => self.use_sessions(random),
            11 => self.look_for_gone(random),
            _ if self.jobs.is_empty() => self.run_kept(random),
            _ => {
                let at = random.below(self.jobs.len() as u64) as usize;
                let mut job = self.jobs.swap_remove(at);
                let is_there = self.use_job(&mut job, random);
                let is_there = is_there
                    .map_err(|broken| Broken::new(format!("job '{}': {broken}", job.id)))?;
                if is_there {
                    self.jobs.push(job);
                } else if !job.is_pending {
                    self.gone.push(job.id);
                } else if let Some(name) = job.once {
                    // A request for it that is on its way yet would be another job's.
                    self.run.may_run_twice(name);
                }
                Ok(())
            }
        }
    }

    /// A job that nobody remembers.
    fn run_plain(&self, random: &mut Random) -> Held {
        let data = data(random, &self.name(), &LENGTHS);
        let manner = Manner::of(random, data.len());
        let (path, word) = match random.below(3) {
            0 => ("/v2/run/null".to_owned(), ""),
            1 => (format!("/v2/sessions/{}/jobs", self.null), ""),
            _ => {
                let word = *random.pick(&WORDS);
                (format!("/v2/run/said?word={word}"), word)
            }
        };
        let result = [word.as_bytes(), &data].concat();
        let plea = self.plea(manner);
        let ask = Ask { body: &data, ..Ask::new("POST", &path) };
        let asked = self.ask(ask, manner);
        plain(&asked, &result, &plea).map(drop)
    }

    /// A new job under a new id, whose result is kept.
    fn run_kept(&mut self, random: &mut Random) -> Held {
        let mut job = self.job(random);
        let manner = Manner::of(random, job.data.len());
        let sent = self.send(&mut job, random, manner);
        sent.map_err(|broken| Broken::new(format!("job '{}': {broken}", job.id)))?;
        self.jobs.push(job);
        Ok(())
    }

    /// A job of an accelerator that a throw of dice decides.
    fn job(&self, random: &mut Random) -> Job {
        let name = self.name();
        let (session, once, word, pause) = match random.below(3) {
            0 => (&self.null, None, "", ""),
            1 => (&self.said, None, *random.pick(&WORDS), *random.pick(&PAUSES)),
            // One that takes a while may be cut off when it began, and must not begin again.
            _ => (&self.once, Some(name.clone()), "", *random.pick(&PAUSES)),
        };
        let mut data = data(random, &name, &LENGTHS);
        if once.is_some() {
            data.splice(..0, format!("{name}\n").into_bytes());
        }
        let parameters = match (word, pause) {
            ("", "") => Value::Null,
            ("", pause) => json!({"app": {"specific": {"pause": pause}}}),
            (word, pause) => json!({"app": {"specific": {"word": word, "pause": pause}}}),
        };
        Job {
            id: name,
            session: session.clone(),
            once,
            parameters,
            result: [word.as_bytes(), &data].concat(),
            data,
            known: Known::Sent,
            is_pending: false,
            is_whole: true,
            is_cancelled: false,
            is_leaving: false,
            began: self.host.troubles.now(),
        }
    }

    /// What nobody else is called, nor was.
    fn name(&self) -> String {
        format!("c{}-{}", self.number, self.step)
    }

    /// Sends a job, for the first time or again.
    fn send(&self, job: &mut Job, random: &mut Random, manner: Manner) -> Held {
        let plea = self.plea(manner);
        let data = std::mem::take(&mut job.data);
        let mode = random.pick(&MODES);
        let asked = self.post(job, mode, &data, manner);
        job.data = data;
        job.sent(&asked, &plea)
    }

    pub(super) fn post(&self, job: &Job, mode: &str, data: &[u8], manner: Manner) -> Asked {
        let request =
            json!({"id": job.id, "mode": mode, "output": true, "parameters": job.parameters});
        let headers = format!("apyfal-request: {request}\r\n");
        let path = format!("/v2/sessions/{}/jobs", job.session);
        self.ask(Ask { headers: &headers, body: data, ..Ask::new("POST", &path) }, manner)
    }

    /// Does something with a job that may be there. Whether it may be there still.
    fn use_job(&self, job: &mut Job, random: &mut Random) -> Held<bool> {
        let manner = Manner::of(random, 0);
        let plea = self.plea(manner);
        let path = format!("/v2/jobs/{}", job.id);
        let result = format!("{path}/result");
        let choice = if self.jobs.len() + 1 >= KEPT { 9 } else { random.below(10) };
        match choice {
            0..=1 if job.is_ours() => {
                let manner = Manner::of(random, job.data.len());
                self.send(job, random, manner)?;
            }
            2 if job.is_told_apart() && !job.data.is_empty() => {
                let mut other = job.data.clone();
                *other.last_mut().expect("a byte") ^= 1;
                let mode = random.pick(&MODES);
                let asked = self.post(job, mode, &other, manner);
                job.rivalled(&asked, &plea)?;
            }
            0..=4 => {
                let wait = random.below(2);
                let path = format!("{path}?wait={wait}");
                job.told(&self.ask(Ask::new("GET", &path), manner), &plea)?;
            }
            5 if !job.result.is_empty() => {
                let first = random.below(job.result.len() as u64) as usize;
                let last = first + random.below((job.result.len() - first) as u64) as usize;
                let headers = format!("Range: bytes={first}-{last}\r\n");
                let ask = Ask { headers: &headers, ..Ask::new("GET", &result) };
                job.fetched(&self.ask(ask, manner), Some((first, last)), &plea)?;
            }
            6..=7 => job.fetched(&self.ask(Ask::new("GET", &result), manner), None, &plea)?,
            _ => return self.delete(job, manner).map(|is_gone| !is_gone),
        }
        Ok(true)
    }

    pub(super) fn delete(&self, job: &mut Job, manner: Manner) -> Held<bool> {
        let plea = self.plea(manner);
        let path = format!("/v2/jobs/{}", job.id);
        job.deleted(&self.ask(Ask::new("DELETE", &path), manner), &plea)
    }

    /// A small job under an id of the host's, of which nobody knows where its answer is lost.
    fn submit_nameless(&mut self, random: &mut Random) -> Held {
        let mut job = self.job(random);
        if job.data.len() > 1000 || self.jobs.len() >= KEPT {
            return Ok(());
        }
        let request = json!({"mode": "submit", "output": true, "parameters": job.parameters});
        let headers = format!("apyfal-request: {request}\r\n");
        let path = format!("/v2/sessions/{}/jobs", job.session);
        let plea = self.plea(Manner::Patient);
        let ask = Ask { headers: &headers, body: &job.data, ..Ask::new("POST", &path) };
        let asked = self.ask(ask, Manner::Patient);
        if let Some(answer) = with_status(&asked, 202) {
            let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let id = told["id"].as_str().unwrap_or_default().to_owned();
            self.run.is_new(self.host, &id)?;
            job.id = id;
        }
        job.sent(&asked, &plea)?;
        if job.known != Known::Sent {
            self.jobs.push(job);
        }
        Ok(())
    }

    /// Opens a session, looks for one, or closes it.
    fn use_sessions(&mut self, random: &mut Random) -> Held {
        if self.sessions.len() < 2 {
            self.sessions.extend(self.open("null")?);
            return Ok(());
        }
        let at = random.below(self.sessions.len() as u64) as usize;
        if random.below(2) == 0 {
            return self.is_open(&self.sessions[at]);
        }
        let session = self.sessions.swap_remove(at);
        self.close(&session)
    }

    /// Opens a session, unless there is a reason that it cannot be.
    fn open(&self, accelerator: &str) -> Held<Option<String>> {
        let request = json!({"accelerator": accelerator}).to_string();
        let headers = "Content-Type: application/json\r\n";
        let plea = self.plea(Manner::Patient);
        let ask = Ask { headers, body: request.as_bytes(), ..Ask::new("POST", "/v2/sessions") };
        let asked = self.ask(ask, Manner::Patient);
        if let Some(answer) = with_status(&asked, 201) {
            let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let id = told["id"].as_str().ok_or_else(|| Broken::new("a session without an id"))?;
            return Ok(Some(id.to_owned()));
        }
        plain(&asked, b"", &plea).map(|_| None)
    }

    pub(super) fn is_open(&self, session: &str) -> Held {
        let plea = self.plea(Manner::Patient);
        let asked = self.ask(Ask::new("GET", &format!("/v2/sessions/{session}")), Manner::Patient);
        match with_status(&asked, 200) {
            Some(_) => Ok(()),
            None => plain(&asked, b"", &plea).map(drop),
        }
    }

    /// Closes a session; what is closed stays so.
    pub(super) fn close(&self, session: &str) -> Held {
        let path = format!("/v2/sessions/{session}");
        let plea = self.plea(Manner::Patient);
        let asked = self.ask(Ask::new("DELETE", &path), Manner::Patient);
        if with_status(&asked, 200).is_none() {
            // It may be closed at any time.
            return plain(&asked, b"", &plea).map(drop);
        }
        let asked = self.ask(Ask::new("GET", &path), Manner::Patient);
        self.is_not_found(&asked, &plea)
    }

    /// Looks for a job that was deleted.
    fn look_for_gone(&self, random: &mut Random) -> Held {
        if self.gone.is_empty() {
            return Ok(());
        }
        let id = random.pick(&self.gone);
        let plea = self.plea(Manner::Patient);
        let asked = self.ask(Ask::new("GET", &format!("/v2/jobs/{id}/result")), Manner::Patient);
        let found = self.is_not_found(&asked, &plea);
        found.map_err(|broken| Broken::new(format!("job '{id}' was deleted: {broken}")))
    }

    pub(super) fn is_not_found(&self, asked: &Asked, plea: &Plea<'_>) -> Held {
        match asked {
            Ok(answer) if answer.status < 400 => {
                Err(Broken::new(format!("what is gone is there: {}", answer.status)))
            }
            Ok(answer) if kind_of(answer)? == "not-found" => Ok(()),
            asked => plain(asked, b"", plea).map(drop),
        }
    }

    pub(super) fn plea(&self, manner: Manner) -> Plea<'a> {
        Plea {
            troubles: &self.host.troubles,
            asked: self.host.troubles.now(),
            is_linked: self.is_linked,
            gave_up: manner != Manner::Patient,
        }
    }

    pub(super) fn ask(&self, ask: Ask<'_>, manner: Manner) -> Asked {
        let ask = match manner {
            Manner::Patient => ask,
            Manner::Hasty(patience) => Ask { patience, ..ask },
            Manner::Leaving(part) => Ask { leaves_after: Some(part), ..ask },
        };
        let address = match self.is_linked {
            true => self.host.link().address(),
            false => self.host.address(),
        };
        let asked = wire::ask(&address, &ask);
        let told = match &asked {
            Ok(answer) => format!("{} with {} bytes", answer.status, answer.body.len()),
            Err(error) => format!("{error}"),
        };
        let Ask { method, path, headers, body, .. } = ask;
        let (headers, length) = (headers.trim(), body.len());
        self.note(&format!("{method} {path} {headers} {length} bytes {manner:?}: {told}"));
        if asked.is_err() {
            // It may be away for a while.
            std::thread::sleep(Duration::from_millis(20));
        }
        asked
    }
}

/// The answer, where it has this status.
fn with_status(asked: &Asked, status: u16) -> Option<&Answer> {
    asked.as_ref().ok().filter(|answer| answer.status == status)
}
