//! What programs do that use the library, with one host or with a pool of all.

use std::fs;
use std::time::Duration;

use apyfal::{Accelerator, Call, Error, Input, Output, RemoteOptions};
use apyfal_testkit::Kept;
use tokio::runtime::Runtime;

use super::client::PAUSES;
use super::model::{Broken, Held};
use super::random::{Random, data};
use super::run::Run;
use super::watch::Watch;
use crate::common::server::PATIENCE;

const LENGTHS: [usize; 6] = [0, 1, 1000, 70_000, 300_000, 900_000];

/// A program with an accelerator of each kind, on hosts that it reaches over their links or without.
pub(crate) struct Caller<'a> {
    run: &'a Run,
    number: usize,
    runtime: Runtime,
    hosts: Vec<usize>,
    is_linked: bool,
    accelerators: Vec<(&'static str, Accelerator)>,
    step: u64,
}

impl<'a> Caller<'a> {
    /// Starts its accelerators, while nothing is wrong.
    pub(crate) fn start(run: &'a Run, number: usize) -> Held<Self> {
        let all = run.hosts.len();
        let hosts = if number.is_multiple_of(2) { (0..all).collect() } else { vec![number % all] };
        let is_linked = number / 2 % 2 == 1;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let options = |host: &usize| {
            let host = &run.hosts[*host];
            let url = if is_linked { host.link().address() } else { host.address() };
            RemoteOptions {
                is_known: true,
                patience: Duration::from_secs(20),
                hangs_after: Duration::from_secs(3),
                ..RemoteOptions::new(url)
            }
        };
        let mut accelerators = Vec::new();
        for name in ["null", "said", "once"] {
            let started = runtime.block_on(async {
                let builder = Accelerator::builder(name).hosts(hosts.iter().map(options));
                let accelerator = builder.build()?;
                accelerator.start(Call::new()).await?;
                Ok::<_, Error>(accelerator)
            });
            let started = started.map_err(|error| Broken::new(format!("no {name}: {error}")))?;
            accelerators.push((name, started));
        }
        Ok(Self { run, number, runtime, hosts, is_linked, accelerators, step: 0 })
    }

    /// Runs one job after the other until the run is over.
    pub(crate) fn work(&mut self) -> Held {
        while !self.run.is_over() {
            self.step()?;
        }
        Ok(())
    }

    /// Once nothing is wrong any more: everything works.
    pub(crate) fn audit(&mut self) -> Held {
        for _ in 0..5 {
            self.step()?;
        }
        for (name, accelerator) in &self.accelerators {
            let stopped = self.runtime.block_on(accelerator.stop());
            stopped.map_err(|error| Broken::new(format!("{name} does not stop: {error}")))?;
        }
        Ok(())
    }

    fn step(&mut self) -> Held {
        self.step += 1;
        let number = (self.run.hosts.len() + 100 + self.number) as u64;
        let mut random = Random::of(&[self.run.seed, number, self.step]);
        let ran = self.run_one(&mut random);
        ran.map_err(|broken| {
            let (number, step) = (self.number, self.step);
            Broken::new(format!("caller {number} of hosts {:?}, step {step}: {broken}", self.hosts))
        })
    }

    fn run_one(&self, random: &mut Random) -> Held {
        let (accelerator, of) = random.pick(&self.accelerators);
        let name = format!("p{}-{}", self.number, self.step);
        let mut data = data(random, &name, &LENGTHS);
        let mut call = Call::new();
        let mut word = "";
        match *accelerator {
            "once" => {
                data.splice(..0, format!("{name}\n").into_bytes());
                call = call.set("pause", *random.pick(&PAUSES));
            }
            "said" => {
                word = *random.pick(&["one", "another"]);
                call = call.set("word", word).set("pause", *random.pick(&PAUSES));
            }
            _ => {}
        }
        let result = [word.as_bytes(), &data].concat();
        let to_file = random.below(2) == 0;
        let (kept, path) =
            (Kept::default(), self.run.home.path(&format!("caller-{}", self.number)));
        let output = match to_file {
            true => Output::file(fs::File::create(&path).expect("a file"), &path),
            false => kept.output(),
        };
        let hosts = self.hosts.iter().map(|host| &self.run.hosts[*host]);
        let watch = Watch::begin(hosts, self.is_linked);
        let length = data.len();
        let call = call.input(Input::bytes(data)).output(output);
        let ran =
            self.runtime.block_on(async { tokio::time::timeout(PATIENCE, of.process(call)).await });
        let ran = ran.map_err(|_| Broken::new("a job does not end"))?;
        let told = ran.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned());
        let who = format!("caller {} #{}", self.number, self.step);
        self.run.record.note(&who, &format!("{accelerator} {length} bytes: {told}"));
        let error = match ran {
            Ok(_) => {
                let got = if to_file { fs::read(&path).expect("a file") } else { kept.bytes() };
                if got != result {
                    let (got, result) = (got.len(), result.len());
                    return Err(Broken::new(format!("other bytes: {got} and not {result}")));
                }
                if *accelerator == "once" {
                    self.run.has_run(name);
                }
                return Ok(());
            }
            Err(error) => error,
        };
        // What was not begun to be handed on runs wherever it can.
        let needs_all = to_file && *accelerator != "once";
        match watch.excuses(error.kind(), needs_all) {
            true => Ok(()),
            false => Err(Broken::new(format!("it failed for no reason: {error:?}"))),
        }
    }
}
