//! `apyfal map` over hosts, as a process that is interrupted and called again.

use std::time::Duration;

use serde_json::Value;

use super::host::Host;
use super::mapped::{Done, Mapped, SOURCES};
use super::model::{Broken, Held};
use super::process::{Ended, Process};
use super::random::Random;
use super::run::Run;
use super::watch::Watch;

/// How often it may be interrupted once nothing is wrong with hosts any more.
const AT_LAST: usize = 12;

/// Who maps a directory again and again, whatever became of the map before.
pub(crate) struct Mapper<'a> {
    run: &'a Run,
    process: &'a Process,
    number: usize,
    hosts: Vec<&'a Host>,
    is_linked: bool,
    words: Vec<String>,
    mapped: Mapped,
    step: u64,
}

impl<'a> Mapper<'a> {
    /// Makes the sources.
    pub(crate) fn start(run: &'a Run, process: &'a Process, number: usize) -> Self {
        let is_linked = number % 2 == 1;
        // One of all hosts, and one over the links of two of them.
        let hosts = run.hosts.iter().filter(|host| !is_linked || host.number != number);
        let hosts: Vec<_> = hosts.collect();
        let addresses = hosts.iter().map(|host| match is_linked {
            true => host.link().address(),
            false => host.address(),
        });
        let addresses = addresses.collect::<Vec<_>>().join(",");
        let words = ["map", "--json", "gzip", "in", "out", "--host_ip", &addresses];
        let words = words.map(str::to_owned).to_vec();
        let mapped = Mapped::new(process.folder(), &mut random(run, number, 0));
        Self { run, process, number, hosts, is_linked, words, mapped, step: 0 }
    }

    /// Maps until the run is over. Once all is done, there is more to do.
    pub(crate) fn work(&mut self) -> Held {
        while !self.run.is_over() {
            if !self.map_or_begin()? {
                // A host may be away for a while.
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Maps, and where it comes to its end has more to do. Whether it does.
    fn map_or_begin(&mut self) -> Held<bool> {
        let mut random = random(self.run, self.number, self.step + 1);
        // Beside what befalls it at any time, which mostly is when it waits for a host.
        let most = match random.below(2) {
            0 => usize::MAX,
            _ => 1 + random.below(SOURCES as u64 / 2) as usize,
        };
        let is_done = self.map(most)?;
        if is_done {
            self.mapped.change(&mut random);
        }
        Ok(is_done)
    }

    /// Once nothing is wrong with hosts any more: what is left is done, however often it is interrupted,
    /// and then nothing is left to do.
    pub(crate) fn audit(&mut self) -> Held {
        for _ in 0..AT_LAST {
            self.map_or_begin()?;
        }
        for _ in 0..2 {
            if !self.map(usize::MAX)? {
                return Err(self.during(&Broken::new("it does not come to its end")));
            }
        }
        Ok(())
    }

    fn during(&self, broken: &Broken) -> Broken {
        let (name, step) = (&self.process.name, self.step);
        Broken::new(format!("{name}, step {step}: {broken}"))
    }

    /// Maps once, unless so many files are done before it is killed. Whether all is done.
    fn map(&mut self, most: usize) -> Held<bool> {
        self.step += 1;
        self.map_once(most).map_err(|broken| self.during(&broken))
    }

    fn map_once(&mut self, most: usize) -> Held<bool> {
        let watch = Watch::begin(self.hosts.iter().copied(), self.is_linked);
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        let is_enough = || most < usize::MAX && self.mapped.more() >= most;
        let ended = self.process.run(self.run, &words, is_enough)?;
        let done = self.mapped.check(ended.is_killed())?;
        let who = format!("{} #{}", self.process.name, self.step);
        let told = told(&ended);
        self.run.record.note(&who, &format!("{done:?}, {ended}, {told}"));
        if ended.is_killed() {
            return Ok(false);
        }
        self.is_right(&told, &done, ended.is_well())
            .map_err(|broken| Broken::new(format!("{broken}: {told}, and {done:?}")))?;
        for kind in ended.failures()? {
            // A file that fails on one host is done by another one.
            if !watch.excuses(kind, true) {
                return Err(Broken::new(format!("'{kind}' for no reason: {}", ended.stderr())));
            }
        }
        Ok(ended.is_well())
    }

    /// Whether what it told is what it did.
    fn is_right(&self, told: &Value, done: &Done, is_well: bool) -> Held {
        let is = |what: &str, is_so: bool| match is_so {
            true => Ok(()),
            false => Err(Broken::new(what)),
        };
        if told.is_null() {
            is("it succeeded without a word", !is_well)?;
            return is("it did something without a word", done.more == 0);
        }
        let count = |key: &str| told[key].as_u64().unwrap_or(u64::MAX) as usize;
        let failed = told["failed"].as_array().map_or(usize::MAX, Vec::len);
        let (new, old, left) = (count("done"), count("skipped"), count("not_done"));
        is("it counts other files", count("total") == self.mapped.sources())?;
        let all = [old, failed, left].into_iter().fold(new, usize::saturating_add);
        is("the figures do not add up", all == self.mapped.sources())?;
        is("it recorded others than it did", new == done.more)?;
        is("it skipped what was not done", old <= done.before)?;
        // Each of them was looked at.
        is("it did again what was done", left > 0 || old == done.before)?;
        if is_well {
            is("it succeeded without all of it", self.mapped.is_done())?;
            is("it succeeded with failures", failed == 0 && left == 0)?;
        }
        Ok(())
    }
}

/// What a map told of itself; null where it could not.
fn told(ended: &Ended) -> Value {
    serde_json::from_slice(&ended.stdout).unwrap_or_default()
}

fn random(run: &Run, number: usize, step: u64) -> Random {
    Random::of(&[run.seed, u64::MAX - 2, number as u64, step])
}
