//! The agent does what every client must do, and its sessions outlive it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use apyfal_agent::{Agent, AgentOptions, Room, Root};
use apyfal_core::{Client, Error, ErrorKind, Input, Job, JobIo, JobParameters, Start};
use apyfal_testkit::{Kept, client_suite, eventually};
use serde_json::json;

fn agent(root: &Path) -> Arc<dyn Client> {
    agent_of(root, true)
}

fn agent_of(root: &Path, is_shared: bool) -> Arc<dyn Client> {
    Arc::new(Agent::new(AgentOptions {
        root: Root::Kept { path: root.to_owned(), is_shared, room: Default::default() },
        registry: Default::default(),
        storage: Default::default(),
        threads: None,
        max_waiting: None,
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_of_a_client() {
    for is_shared in [true, false] {
        let root = tempfile::tempdir().unwrap();
        client_suite(&agent_of(root.path(), is_shared)).await;
        let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().collect();
        assert!(left.is_empty(), "stopped sessions left {left:?}");
    }
}

#[tokio::test]
async fn another_agent_takes_a_session_up() {
    let root = tempfile::tempdir().unwrap();
    let start = Start { accelerator: "hyperfire".into(), ..Start::default() };
    let io = JobIo { src: Some(Input::bytes(*b"one,two\n")), ..JobIo::default() };
    let session = agent(root.path()).start(start, io).await.unwrap();
    let second = agent(root.path());
    let kept = Kept::default();
    let io =
        JobIo { src: Some(Input::bytes(*b"one")), dst: Some(kept.output()), ..JobIo::default() };
    let job = Job { session: session.id.clone(), ..Job::default() };
    second.process(job.clone(), io).await.unwrap();
    assert_eq!(kept.bytes(), b"two");
    second.stop(&session.id).await.unwrap();
    let error = agent(root.path()).process(job, JobIo::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// A directory of before, with what is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Sessions as they were written before there were engines: none is in the record, and the manifest of
/// a transaction knows one spool.
#[tokio::test]
async fn sessions_of_the_version_before_go_on() {
    let earlier = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/earlier");
    for is_shared in [true, false] {
        let root = tempfile::tempdir().unwrap();
        copy(&earlier, root.path());
        // Each had one, and git keeps none that is empty.
        fs::create_dir(root.path().join("session-words1/state")).unwrap();
        let run = async |session: &str, src: Option<&'static [u8]>, specific: serde_json::Value| {
            let specific = specific.as_object().unwrap().clone();
            let parameters = JobParameters::specific(specific);
            let job = Job { session: session.into(), parameters, ..Job::default() };
            let kept = Kept::default();
            let io =
                JobIo { src: src.map(Input::bytes), dst: Some(kept.output()), ..JobIo::default() };
            agent_of(root.path(), is_shared).process(job, io).await.unwrap();
            kept.bytes()
        };
        let replaced = run("session-words1", Some("one café, One".as_bytes()), json!({})).await;
        assert_eq!(replaced, b"two tea, One");

        // What was added before is in the archive, ahead of what ends it; and it can be had again.
        let last = json!({"endOfTx": true, "name": "last.txt"});
        let archive = run("session-open1", Some(b"of now\n"), last).await;
        assert!(
            archive.starts_with(b"notes.txt\0")
                && archive[512..].starts_with(b"the text of before\n")
        );
        assert!(
            archive[1024..].starts_with(b"last.txt\0") && archive[1536..].starts_with(b"of now\n")
        );
        assert_eq!(run("session-open1", None, json!({"again": true})).await, archive);
        // The next one begins anew.
        let whole = json!({"startOfTx": true, "endOfTx": true});
        assert!(!run("session-open1", Some(b"x"), whole).await.starts_with(b"notes.txt"));

        for session in ["session-words1", "session-open1"] {
            agent_of(root.path(), is_shared).stop(session).await.unwrap();
        }
        assert_eq!(names(root.path()), [] as [String; 0]);
    }
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let start = Start { accelerator: "hyperfire".into(), ..Start::default() };
    let io = JobIo { src: Some(Input::bytes(*b"no comma\n")), ..JobIo::default() };
    assert!(agent(root.path()).start(start, io).await.is_err());
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn secrets_of_the_environment_are_not_kept() {
    let root = tempfile::tempdir().unwrap();
    let env = json!({"client_id": "id", "client_secret": "hunter2", "fpgaimage": "agfi-1"});
    let parameters =
        JobParameters { env: env.as_object().unwrap().clone(), ..JobParameters::default() };
    let start = Start { accelerator: "null".into(), parameters, src: None };
    let session = agent(root.path()).start(start, JobIo::default()).await.unwrap();
    let record = root.path().join(session.id).join("session.json");
    let record = std::fs::read_to_string(record).unwrap();
    assert!(record.contains("agfi-1") && !record.contains("hunter2"), "{record}");
}

#[tokio::test]
async fn ids_do_not_leave_the_root() {
    let root = tempfile::tempdir().unwrap();
    let long = format!("session-{}", "x".repeat(100_000));
    for id in ["../x", "session-/../..", "", "session-none", "session-", "é", &long] {
        let job = Job { session: id.into(), ..Job::default() };
        let error = agent(root.path()).process(job, JobIo::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{id}");
        assert!(error.to_string().len() < 200, "{error}");
    }
}

#[tokio::test]
async fn a_path_in_a_request_is_not_a_file_of_the_host() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("secret");
    std::fs::write(&file, "secret").unwrap();
    let agent = agent(&root.path().join("sessions"));
    let start = Start { accelerator: "null".into(), ..Start::default() };
    let session = agent.start(start, JobIo::default()).await.unwrap();
    let path = file.to_string_lossy().into_owned();
    for (src, dst) in [(Some(path.clone()), None), (None, Some(path)), (Some("-".into()), None)] {
        let io = JobIo {
            src: src.is_none().then(|| Input::bytes(*b"x")),
            dst: dst.is_none().then(|| Kept::default().output()),
            ..JobIo::default()
        };
        let job = Job { session: session.id.clone(), src, dst, ..Job::default() };
        let error = agent.process(job, io).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Security, "{error}");
    }
    assert_eq!(std::fs::read(file).unwrap(), b"secret");
}

#[tokio::test]
async fn a_start_that_is_dropped_leaves_nothing() {
    struct Slow;
    impl std::io::Read for Slow {
        fn read(&mut self, _buffer: &mut [u8]) -> std::io::Result<usize> {
            std::thread::sleep(std::time::Duration::from_millis(5));
            Err(std::io::ErrorKind::WouldBlock.into())
        }
    }
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let start = Start { accelerator: "hyperfire".into(), ..Start::default() };
    let io = JobIo { src: Some(Input::stream(Slow)), ..JobIo::default() };
    let started = agent.start(start, io);
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(50), started).await;
    assert!(given_up.is_err());
    eventually("the session is gone", || names(root.path()).is_empty()).await;
}

/// The names in a directory.
fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names.into_iter().map(|name| name.into_string().unwrap()).collect()
}

fn start(accelerator: &str) -> Start {
    Start { accelerator: accelerator.into(), ..Start::default() }
}

#[tokio::test]
async fn a_session_that_cannot_be_opened_can_be_ended() {
    let root = tempfile::tempdir().unwrap();
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("no comma", |session| fs::write(session.join("source/source"), "no comma\n").unwrap()),
        ("damaged", |session| fs::write(session.join("session.json"), "{").unwrap()),
        ("another version", |session| {
            fs::write(session.join("session.json"), r#"{"version": 0}"#).unwrap();
        }),
        ("there is no accelerator", |session| {
            let record = fs::read_to_string(session.join("session.json")).unwrap();
            let record = record.replace("hyperfire", "uninstalled");
            fs::write(session.join("session.json"), record).unwrap();
        }),
    ];
    for (why, damage) in damages {
        let io = JobIo { src: Some(Input::bytes(*b"one,two\n")), ..JobIo::default() };
        let session = agent(root.path()).start(start("hyperfire"), io).await.unwrap();
        damage(&root.path().join(&session.id));
        for is_shared in [true, false] {
            let report = agent_of(root.path(), is_shared).stop(&session.id).await.unwrap();
            let note = report.app.get("stop-note").map(ToString::to_string);
            assert_eq!(note.is_some(), is_shared, "the second time it is gone: {note:?}");
        }
        assert!(names(root.path()).is_empty(), "{why}");
    }
}

#[tokio::test]
async fn what_was_left_behind_is_swept_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let kept = agent(root.path()).start(start("null"), JobIo::default()).await.unwrap().id;
    for name in ["session-bare", "session-unlocked", "session-held", "other"] {
        fs::create_dir_all(root.path().join(name).join("source")).unwrap();
    }
    fs::write(root.path().join("session-unlocked/lock"), "").unwrap();
    let held = fs::File::create(root.path().join("session-held/lock")).unwrap();
    held.lock_shared().unwrap();
    let session = agent(root.path()).start(start("null"), JobIo::default()).await.unwrap().id;
    let mut expected = vec!["other".to_owned(), "session-held".to_owned(), kept, session];
    expected.sort();
    assert_eq!(names(root.path()), expected);
}

#[tokio::test]
async fn what_jobs_left_behind_is_swept_where_none_can_run() {
    let root = tempfile::tempdir().unwrap();
    let io = JobIo { src: Some(Input::bytes(*b"one,two\n")), ..JobIo::default() };
    let id = agent(root.path()).start(start("hyperfire"), io).await.unwrap().id;
    let session = root.path().join(&id);
    for folder in ["state", "state-card", "statement", ".tmpAbCdEf"] {
        fs::create_dir_all(session.join(folder)).unwrap();
        fs::write(session.join(folder).join("kept"), "it").unwrap();
    }
    for file in ["src-AbCdEf.csv", "dst-AbCdEf"] {
        fs::write(session.join(file), "half of it").unwrap();
    }
    let all = names(&session);
    // A job of another process may be at it.
    agent(root.path()).start(start("null"), JobIo::default()).await.unwrap();
    assert_eq!(names(&session), all);

    // The first use of a session is before all jobs; the next one may have files of others beside it.
    let alone = agent_of(root.path(), false);
    let run = async || {
        let kept = Kept::default();
        let (src, dst) = (Some(Input::bytes(*b"one")), Some(kept.output()));
        let job = Job { session: id.clone(), ..Job::default() };
        alone.process(job, JobIo { src, dst, ..JobIo::default() }).await.unwrap();
        assert_eq!(kept.bytes(), b"two");
    };
    run().await;
    let own = ["lock", "session.json", "source", "state", "state-card"];
    assert_eq!(names(&session), own);
    assert_eq!(fs::read(session.join("state-card/kept")).unwrap(), b"it");
    fs::write(session.join("src-GhIjKl"), "of a job").unwrap();
    alone.start(start("null"), JobIo::default()).await.unwrap();
    run().await;
    assert!(session.join("src-GhIjKl").exists());
}

#[tokio::test]
async fn what_is_kept_leaves_room_to_others() {
    let root = tempfile::tempdir().unwrap();
    let room = Room::new(|_| Err(Error::new(ErrorKind::StorageFull, "others need the room")));
    let agent = Agent::new(AgentOptions {
        root: Root::Kept { path: root.path().to_owned(), is_shared: false, room },
        registry: Default::default(),
        storage: Default::default(),
        threads: None,
        max_waiting: None,
    });
    let io = JobIo { src: Some(Input::bytes(*b"one,two\n")), ..JobIo::default() };
    let error = agent.start(start("hyperfire"), io).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert!(names(root.path()).is_empty());
    agent.start(start("null"), JobIo::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_under_way_is_not_swept() {
    let root = tempfile::tempdir().unwrap();
    let (source, mut sink) = std::io::pipe().unwrap();
    let io = JobIo { src: Some(Input::stream(source)), ..JobIo::default() };
    let first = agent(root.path());
    let starting = tokio::spawn(async move {
        let session = first.start(start("hyperfire"), io).await.unwrap();
        (first, session)
    });
    eventually("it has begun", || !names(root.path()).is_empty()).await;
    let second = agent(root.path());
    second.start(start("null"), JobIo::default()).await.unwrap();
    std::io::Write::write_all(&mut sink, b"one,two\n").unwrap();
    drop(sink);
    let (_, session) = starting.await.unwrap();
    let kept = Kept::default();
    let io =
        JobIo { src: Some(Input::bytes(*b"one")), dst: Some(kept.output()), ..JobIo::default() };
    second.process(Job { session: session.id, ..Job::default() }, io).await.unwrap();
    assert_eq!(kept.bytes(), b"two");
}

#[tokio::test]
async fn what_is_started_for_now_ends_with_its_process() {
    let root = tempfile::tempdir().unwrap();
    let new = || {
        Agent::new(AgentOptions {
            root: Root::Kept {
                path: root.path().to_owned(),
                is_shared: true,
                room: Default::default(),
            },
            registry: Default::default(),
            storage: Default::default(),
            threads: None,
            max_waiting: None,
        })
    };
    let (agent, other) = (new(), new());
    for is_ended in [true, false] {
        let session = agent.start_for_now(start("null"), JobIo::default()).await.unwrap().id;
        other.sweep();
        let io = || JobIo {
            src: Some(Input::bytes(*b"x")),
            dst: Some(Kept::default().output()),
            ..JobIo::default()
        };
        let job = Job { session: session.clone(), ..Job::default() };
        agent.process(job.clone(), io()).await.unwrap();
        assert_eq!(other.process(job, io()).await.unwrap_err().kind(), ErrorKind::NotFound);
        if is_ended {
            assert_eq!(agent.stop(&session).await.unwrap().id, session);
            assert!(names(root.path()).is_empty());
        }
    }
    drop(agent);
    assert!(names(root.path()).is_empty());
}
