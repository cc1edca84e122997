//! A run: hosts, those who use them, and what goes wrong, all of it by one seed.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::caller::Caller;
use super::client::Client;
use super::fault;
use super::host::{Host, build_clock};
use super::mapper::Mapper;
use super::model::{Broken, Held};
use super::namer::Namer;
use super::process::Process;
use crate::common::Home;
use crate::common::wire::{self, Ask};

const HOSTS: usize = 3;
const CLIENTS: usize = 6;
const CALLERS: usize = 4;
/// One over all hosts, and one over the links of two.
const MAPPERS: usize = 2;

/// What all threads of a run share.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) hosts: Vec<Host>,
    /// Those of mappers, and the last one that of who uses a name.
    pub(crate) processes: Vec<Process>,
    pub(crate) record: Record,
    over: AtomicBool,
    /// Ids that hosts gave.
    ids: Mutex<HashSet<(usize, String)>>,
    /// Names of jobs that ran for sure, and of those that may have done so twice.
    has_run: Mutex<HashSet<String>>,
    may_run_twice: Mutex<HashSet<String>>,
    ran: PathBuf,
    pub(crate) home: Home,
}

/// Has so many things happen to hosts that are used meanwhile. What was not as promised is told, with
/// the place of all that is known of it.
pub(crate) fn run(seed: u64, steps: u64, has_disks: bool) -> Result<(), String> {
    let home = Home::new();
    build_clock(&home);
    let ran = home.path("ran");
    fs::create_dir(&ran).expect("a directory");
    let run = Run {
        seed,
        hosts: (0..HOSTS).map(|number| Host::new(&home, number, &ran, has_disks)).collect(),
        processes: processes(&home),
        record: Record::new(&home.path("record")),
        over: AtomicBool::new(false),
        ids: Mutex::default(),
        has_run: Mutex::default(),
        may_run_twice: Mutex::default(),
        ran,
        home,
    };
    run.record.note("run", &format!("seed {seed}, {steps} steps"));
    run.all(steps).map_err(|broken| {
        run.record.note("run", &broken.to_string());
        format!(
            "seed {seed}: {broken}\n  what was done, and what the hosts said, is in {}\n  again: \
             APYFAL_SEED={seed} APYFAL_STEPS={steps} cargo test -p apyfal-cli --test faults",
            run.kept().display()
        )
    })
}

impl Run {
    fn all(&self, steps: u64) -> Held {
        self.hosts.iter().try_for_each(|host| host.start(&self.home))?;
        let clients = (0..CLIENTS).map(|number| Client::start(self, number));
        let mut clients = clients.collect::<Held<Vec<_>>>()?;
        let callers = (0..CALLERS).map(|number| Caller::start(self, number));
        let mut callers = callers.collect::<Held<Vec<_>>>()?;
        let (namer, mappers) = self.processes.split_last().expect("processes");
        let mappers = mappers.iter().enumerate();
        let mut mappers: Vec<_> =
            mappers.map(|(number, process)| Mapper::start(self, process, number)).collect();
        let mut namer = Namer::start(self, namer);
        std::thread::scope(|scope| {
            let mut working = Vec::new();
            for client in &mut clients {
                working.push(scope.spawn(|| self.ending(client.work())));
            }
            for caller in &mut callers {
                working.push(scope.spawn(|| self.ending(caller.work())));
            }
            for mapper in &mut mappers {
                working.push(scope.spawn(|| self.ending(mapper.work())));
            }
            working.push(scope.spawn(|| self.ending(namer.work())));
            let happened = self.ending(fault::happen(self, steps));
            self.over.store(true, Ordering::Relaxed);
            if happened.is_err() {
                // Nobody is to wait for what does not come.
                self.hosts.iter().for_each(Host::kill);
                for process in &self.processes {
                    process.kill();
                }
            }
            let worked = working.into_iter().map(|thread| thread.join().expect("no panic"));
            worked.fold(happened, Held::and)
        })?;
        clients.iter_mut().try_for_each(Client::audit)?;
        callers.iter_mut().try_for_each(Caller::audit)?;
        mappers.iter_mut().try_for_each(Mapper::audit)?;
        namer.audit()?;
        self.hosts.iter().try_for_each(|host| self.nothing_is_left(host))?;
        self.nothing_ran_twice()?;
        self.hosts.iter().try_for_each(Host::drain)
    }

    /// The first one that is broken ends the run.
    fn ending(&self, held: Held) -> Held {
        held.inspect_err(|broken| {
            self.record.note("run", &broken.to_string());
            self.over.store(true, Ordering::Relaxed);
        })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// A host gave this id to a job, which it never does again.
    pub(crate) fn is_new(&self, host: &Host, id: &str) -> Held {
        match self.ids.lock().unwrap().insert((host.number, id.to_owned())) {
            true => Ok(()),
            false => Err(Broken::new(format!("host {} gave '{id}' twice", host.number))),
        }
    }

    /// A job that must not run twice ran.
    pub(crate) fn has_run(&self, name: String) {
        self.has_run.lock().unwrap().insert(name);
    }

    /// A job was forgotten while a request for it is on its way.
    pub(crate) fn may_run_twice(&self, name: String) {
        self.may_run_twice.lock().unwrap().insert(name);
    }

    fn nothing_ran_twice(&self) -> Held {
        for name in self.has_run.lock().unwrap().iter() {
            if !self.ran.join(name).exists() {
                return Err(Broken::new(format!("'{name}' is done and did not run")));
            }
        }
        for entry in fs::read_dir(&self.ran).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let times = fs::read_to_string(&path).expect("a file").lines().count();
            if times > 1 && !self.may_run_twice.lock().unwrap().contains(&name) {
                return Err(Broken::new(format!("'{name}' ran {times} times")));
            }
        }
        Ok(())
    }

    /// Deletes what nobody knows of, after which a host keeps nothing.
    fn nothing_is_left(&self, host: &Host) -> Held {
        let ask = |method: &str, path: &str| {
            wire::ask(&host.address(), &Ask::new(method, path))
                .map_err(|error| Broken::new(format!("{method} {path}: {error}")))
        };
        let mut kept = Vec::new();
        for page in 1.. {
            let listed = ask("GET", &format!("/v2/jobs?state=done&page={page}"))?.json();
            let jobs = listed["jobs"].as_array().cloned().unwrap_or_default();
            if jobs.is_empty() {
                break;
            }
            kept.extend(jobs.into_iter().filter(|job| job["result"].is_number()));
        }
        for job in kept {
            let id = job["id"].as_str().unwrap_or_default();
            ask("DELETE", &format!("/v2/jobs/{id}"))?;
        }
        let results = host.scratch("results");
        if !results.is_empty() {
            return Err(Broken::new(format!("nobody knows of {results:?}")));
        }
        let aside = host.scratch("aside").into_iter();
        let aside: u64 = aside.map(|path| fs::metadata(path).expect("a file").len()).sum();
        let used = ask("GET", "/status")?.json()["scratch_used"].clone();
        match used == aside {
            true => Ok(()),
            false => Err(Broken::new(format!("{used} bytes are in use, and {aside} set aside"))),
        }
    }

    /// Where all that is known of a run is kept.
    fn kept(&self) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{}", self.seed));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a directory");
        let copy = |from: &Path, name: &str| {
            fs::copy(from, folder.join(name)).expect("a copy");
        };
        copy(&self.home.path("record"), "record");
        for host in &self.hosts {
            copy(&host.log(), &format!("host-{}.log", host.number));
        }
        for process in &self.processes {
            for from in process.traces() {
                let file = from.file_name().expect("a name").to_string_lossy();
                let file = file.trim_start_matches('.');
                copy(&from, &format!("{}.{file}", process.name.replace(' ', "-")));
            }
        }
        folder
    }
}

fn processes(home: &Home) -> Vec<Process> {
    let mappers = (0..MAPPERS).map(|number| Process::new(home, &format!("mapper {number}")));
    mappers.chain([Process::new(home, "namer")]).collect()
}

/// What was done in a run, a line for each thing.
#[derive(Debug)]
pub(crate) struct Record {
    begin: Instant,
    file: Mutex<File>,
}

impl Record {
    fn new(path: &Path) -> Self {
        let file = Mutex::new(File::create(path).expect("a file"));
        Self { begin: Instant::now(), file }
    }

    pub(crate) fn note(&self, who: &str, what: &str) {
        let mut line = format!("{:9.3} s  {who:<15} ", self.begin.elapsed().as_secs_f64());
        let _ = writeln!(line, "{what}");
        self.file.lock().unwrap().write_all(line.as_bytes()).expect("a written line");
    }
}
