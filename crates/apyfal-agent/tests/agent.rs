//! The agent does what every client must do, and its sessions outlive it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use apyfal_agent::{Agent, AgentOptions};
use apyfal_core::{Client, ErrorKind, Input, Job, JobIo, JobParameters, Start};
use apyfal_testkit::{Kept, client_suite};
use serde_json::json;

fn agent(root: &Path) -> Arc<dyn Client> {
    Arc::new(Agent::new(AgentOptions {
        root: root.to_owned(),
        registry: Default::default(),
        storage: Default::default(),
        threads: None,
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_of_a_client() {
    let root = tempfile::tempdir().unwrap();
    client_suite(&agent(root.path())).await;
    let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().collect();
    assert!(left.is_empty(), "stopped sessions left {left:?}");
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
    for id in ["../x", "session-/../..", "", "session-none"] {
        let job = Job { session: id.into(), ..Job::default() };
        let error = agent(root.path()).process(job, JobIo::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{id}");
    }
}
