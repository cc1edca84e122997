//! The agent does what every client must do, and its sessions outlive it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use apyfal_agent::{Agent, AgentOptions};
use apyfal_core::{Client, ErrorKind, Input, Job, JobIo, JobParameters, Start};
use apyfal_testkit::{Kept, client_suite};
use serde_json::json;

fn agent(root: &Path) -> Arc<dyn Client> {
    agent_of(root, true)
}

fn agent_of(root: &Path, is_shared: bool) -> Arc<dyn Client> {
    Arc::new(Agent::new(AgentOptions {
        root: root.to_owned(),
        is_shared,
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
    for _ in 0..6000 {
        if std::fs::read_dir(root.path()).unwrap().count() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the session is still there");
}
