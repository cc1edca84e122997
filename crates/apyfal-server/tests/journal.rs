//! The journal keeps what it promised when its process is killed and when its disk is full.
//!
//! The process that is killed is this test binary itself, started again with a variable that makes
//! the test `child` do something.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use apyfal_api::v2::{JobState, Progress};
use apyfal_core::{ErrorKind, Owner};
use apyfal_server::journal::{
    Durability, JobChange, JobFilter, JobRecord, Journal, Page, Protocol, SessionRecord,
};
use serde_json::json;

/// What the child does, and where: `write PATH`.
const TASK: &str = "APYFAL_JOURNAL_TEST";

/// The newest one.
const NEWEST: Page = Page { offset: 0, limit: 1 };

fn job(number: u64) -> JobRecord {
    JobRecord {
        id: format!("job-{number}"),
        number,
        session: "session-0".into(),
        accelerator: "gzip".into(),
        owner: Owner::Anyone,
        state: JobState::Waiting,
        protocol: Protocol::V2,
        request: json!({"parameters": {"app": {"specific": {"level": 6}}}}),
        fingerprint: None,
        digest: None,
        created: 1.7e9,
        started: None,
        ended: None,
        progress: Progress::default(),
        result: None,
        report: None,
        error: None,
        kept: true,
    }
}

fn plain(number: u64) -> JobRecord {
    JobRecord { state: JobState::Done, ended: Some(1.7e9), kept: false, ..job(number) }
}

fn session(number: u64) -> SessionRecord {
    SessionRecord {
        id: format!("session-{number}"),
        number,
        accelerator: "gzip".into(),
        owner: Owner::Anyone,
        protocol: Protocol::V1,
        parameters: json!({}),
        source: None,
        created: 1.7e9,
        report: None,
        ended: None,
        used: false,
    }
}

fn changed(state: JobState) -> JobChange {
    let ended = state.is_final().then_some(1.7e9 + 2.0);
    JobChange { state: Some(state), started: Some(1.7e9 + 1.0), ended, ..JobChange::default() }
}

/// Tells the parent, with one write so that no kill leaves half a line.
fn say(word: &str, number: u64) {
    std::io::stdout().write_all(format!("\n@ {word} {number}\n").as_bytes()).unwrap();
}

/// Not a test: what the other tests start.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (what, path) = task.split_once(' ').unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (journal, _) = Journal::open(Path::new(path)).unwrap();
    match what {
        "write" => runtime.block_on(write_forever(&journal)),
        "fill" => runtime.block_on(fill(journal, Path::new(path))),
        _ => panic!("{what}"),
    }
}

/// Writes jobs from many tasks and says what was answered.
async fn write_forever(journal: &Journal) {
    for task in 0..16 {
        let journal = journal.clone();
        tokio::spawn(async move {
            let durability = if task % 2 == 0 { Durability::Disk } else { Durability::Process };
            loop {
                let number = journal.next_number().unwrap();
                say("number", number);
                if task == 0 {
                    journal.record_session(session(number)).await.unwrap();
                    say("session", number);
                    continue;
                }
                journal.record_job(job(number), durability).await.unwrap();
                say("waiting", number);
                journal.update_job(number, changed(JobState::Running), durability).await.unwrap();
                say("running", number);
                let other = plain(journal.next_number().unwrap());
                journal.record_job(other, Durability::Group).await.unwrap();
                journal.update_job(number, changed(JobState::Done), durability).await.unwrap();
                say("done", number);
                if number.is_multiple_of(4) {
                    journal.forget_job(number, durability).await.unwrap();
                    say("forgotten", number);
                }
            }
        });
    }
    std::future::pending().await
}

fn start(task: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]);
    command.env(TASK, format!("{task} {}", path.display()));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// What children said that is in the journal.
#[derive(Default)]
struct Acknowledged {
    highest: u64,
    sessions: HashSet<u64>,
    jobs: HashMap<u64, String>,
}

impl Acknowledged {
    fn take(&mut self, lines: Vec<String>) {
        let before = self.highest;
        for line in lines {
            let (word, number) = line.split_once(' ').unwrap();
            let number = number.parse().unwrap();
            assert!(number > before, "{number} is not above {before} of the process before");
            self.highest = self.highest.max(number);
            match word {
                "number" => {}
                "session" => assert!(self.sessions.insert(number)),
                _ => {
                    self.jobs.insert(number, word.to_owned());
                }
            }
        }
    }
}

#[tokio::test]
async fn killed_at_any_moment_it_keeps_what_it_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut acknowledged = Acknowledged::default();
    let mut interrupted = 0;
    let mut round = 0;
    // However slow the machine is, it ends once enough was seen.
    while round < 24 || (round < 500 && (interrupted == 0 || acknowledged.jobs.len() < 100)) {
        let mut child = start("write", &path).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let lines = output.lines().map(Result::unwrap);
            lines.filter_map(|line| Some(line.strip_prefix("@ ")?.to_owned())).collect::<Vec<_>>()
        });
        // Some are killed while they open the journal, most while they write.
        let moment = RandomState::new().hash_one(round) % 300;
        std::thread::sleep(Duration::from_millis(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.take(reader.join().unwrap());
        round += 1;
        // Now and then the next one finds it as the kill left it.
        if round % 3 != 0 {
            let (journal, recovered) = Journal::open(&path).unwrap();
            interrupted += recovered.interrupted.len();
            check(&journal, &mut acknowledged).await;
            journal.close().await.unwrap();
        }
    }
    assert!(
        interrupted > 0 && acknowledged.jobs.len() >= 100,
        "{interrupted} of {}",
        acknowledged.jobs.len()
    );
}

async fn check(journal: &Journal, acknowledged: &mut Acknowledged) {
    for number in &acknowledged.sessions {
        assert!(journal.session_by_number(*number).await.unwrap().is_some(), "session {number}");
    }
    for (number, word) in &acknowledged.jobs {
        match (word.as_str(), journal.job_by_number(*number).await.unwrap()) {
            ("forgotten", None) => {}
            // The kill came after it was forgotten, and before that was acknowledged.
            ("done", None) if number.is_multiple_of(4) => {}
            ("done", Some(job)) => assert_eq!(job.state, JobState::Done, "{job:?}"),
            ("waiting" | "running", Some(job)) => {
                let known = matches!(job.state, JobState::Done | JobState::Interrupted);
                assert!(known && job.ended.is_some(), "{word}: {job:?}");
                assert!(word == "waiting" || job.started.is_some(), "{job:?}");
                assert_eq!(job.state == JobState::Interrupted, job.error.is_some());
            }
            (word, job) => panic!("job {number} was acknowledged to be {word}: {job:?}"),
        }
    }
    for state in [JobState::Waiting, JobState::Running] {
        let filter = JobFilter { state: Some(state), ..JobFilter::default() };
        assert_eq!(journal.jobs(filter, NEWEST).await.unwrap().count, 0);
    }
    // Numbers that were given but not acknowledged are not given again either.
    let newest = journal.jobs(JobFilter::default(), NEWEST).await.unwrap().items;
    let newest = newest.first().map_or(0, |job| job.number);
    let next = journal.next_number().unwrap();
    assert!(
        next > acknowledged.highest.max(newest),
        "{next} after {} and {newest}",
        acknowledged.highest
    );
    acknowledged.highest = next;
}

/// Takes what is left of the disk.
fn fill_up(path: &Path) {
    let mut rest = std::fs::File::create(path.with_file_name("rest")).unwrap();
    for size in [1 << 16, 1] {
        while rest.write_all(&vec![1; size]).is_ok() {}
    }
}

/// Fills a small disk, makes room, and goes on.
async fn fill(journal: Journal, path: &Path) {
    let ballast = path.with_file_name("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let mut answered = Vec::new();
    let error = loop {
        let mut job = job(journal.next_number().unwrap());
        job.request = json!("x".repeat(3_000));
        let number = job.number;
        match journal.record_job(job, Durability::Disk).await {
            Ok(()) => answered.push(number),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert!(answered.len() > 10);
    let mut held = plain(journal.next_number().unwrap());
    held.request = json!("x".repeat(3_000));
    journal.record_job(held.clone(), Durability::Group).await.unwrap();
    let error = journal.flush().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    for number in &answered {
        assert!(journal.job_by_number(*number).await.unwrap().is_some(), "{number}");
    }
    // Whatever is left of the disk.
    fill_up(path);
    // What ends or frees something has room, again and again, also for who starts then.
    for round in 0..3 {
        let number = answered.remove(0);
        let done = changed(JobState::Done);
        journal.update_job(number, done, Durability::Disk).await.unwrap();
        journal.forget_job(number, Durability::Disk).await.unwrap();
        let error = journal.record_job(job(number), Durability::Disk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{round}: {error}");
        assert_eq!(journal.failure().unwrap().kind(), ErrorKind::StorageFull);
    }
    std::fs::remove_file(path.with_file_name("rest")).unwrap();
    std::fs::remove_file(&ballast).unwrap();
    journal.flush().await.unwrap();
    assert_eq!(journal.job(&held.id).await.unwrap(), Some(held));
    let number = journal.next_number().unwrap();
    journal.record_job(job(number), Durability::Disk).await.unwrap();
    answered.push(number);
    journal.close().await.unwrap();
    let (journal, recovered) = Journal::open(path).unwrap();
    let interrupted: Vec<_> = recovered.interrupted.iter().map(|job| job.number).collect();
    assert_eq!(interrupted, answered);
    journal.close().await.unwrap();
    say("filled", number);
}

/// Where this user may mount one, a disk that is really full; the tests of the module have one that
/// only says so.
#[test]
fn a_full_disk_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let child = start("fill", &folder.path().join("journal.db"));
    let mut command = Command::new("unshare");
    // In a namespace of its own, so that the mount goes with it.
    command.args(["-rm", "sh", "-c"]);
    command.arg(r#"mount -t tmpfs -o size=3m none "$1" && echo mounted && shift && exec "$@""#);
    command.arg("sh").arg(folder.path()).arg(child.get_program()).args(child.get_args());
    command.envs(child.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = command.output();
    let said = output.as_ref().map(|output| String::from_utf8_lossy(&output.stdout));
    match &said {
        Ok(said) if said.starts_with("mounted") => {
            assert!(said.contains("@ filled "), "{output:?}")
        }
        _ => eprintln!("skipped: this user may not mount: {output:?}"),
    }
}
