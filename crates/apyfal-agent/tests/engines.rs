//! Accelerators with several engines.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use apyfal_agent::{Agent, AgentOptions, Root};
use apyfal_core::{Client, Input, Job, JobIo, JobParameters, Start};
use apyfal_engines::Registry;
use apyfal_testkit::{Kept, engines_suite, twins};
use serde_json::{Value, json};

fn agent(root: &Path, count: usize) -> Arc<Agent> {
    let [worse, better] = twins();
    let mut registry = Registry::new(vec![worse]);
    if count > 1 {
        registry.add_engine(better).unwrap();
    }
    Arc::new(Agent::new(AgentOptions {
        root: Root::Kept { path: root.to_owned(), is_shared: true, room: Default::default() },
        registry,
        storage: Default::default(),
        threads: 4.try_into().ok(),
        max_waiting: None,
    }))
}

/// The engine that runs a job of a session.
async fn engine(agent: &Agent, session: &str, fault: &str) -> String {
    let specific = json!({"fault": fault}).as_object().unwrap().clone();
    let parameters = JobParameters::specific(specific);
    let job = Job { session: session.to_owned(), parameters, ..Job::default() };
    let kept = Kept::default();
    let (src, dst) = (Some(Input::bytes(*b"x")), Some(kept.output()));
    let report = agent.process(job, JobIo { src, dst, ..JobIo::default() }).await.unwrap();
    assert_eq!(kept.bytes(), b"x");
    report.engine
}

async fn start(agent: &Agent) -> String {
    let start = Start { accelerator: "twin".into(), ..Start::default() };
    agent.start(start, JobIo::default()).await.unwrap().id
}

#[tokio::test]
async fn engines_are_used_as_every_client_must() {
    let root = tempfile::tempdir().unwrap();
    let client: Arc<dyn Client> = agent(root.path(), 2);
    engines_suite(&client).await;
    // Nothing of the sessions is left, of neither engine.
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn slots_are_those_of_each_engine_and_told_together() {
    let root = tempfile::tempdir().unwrap();
    let load = agent(root.path(), 2).load();
    assert_eq!(load.accelerators.len(), 1);
    assert_eq!((&*load.accelerators[0].name, load.accelerators[0].slots), ("twin", 4 + 1));
}

#[tokio::test]
async fn a_session_goes_on_with_its_engine_in_another_process() {
    let root = tempfile::tempdir().unwrap();
    let session = start(&agent(root.path(), 2)).await;
    assert_eq!(engine(&agent(root.path(), 2), &session, "none").await, "card");
    // Who helped in one process is ended by another.
    assert_eq!(engine(&agent(root.path(), 2), &session, "early").await, "cpu");
    agent(root.path(), 2).stop(&session).await.unwrap();
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_session_of_the_version_before_is_of_the_engine_that_there_was() {
    let root = tempfile::tempdir().unwrap();
    let session = start(&agent(root.path(), 1)).await;
    let record = std::fs::read(root.path().join(&session).join("session.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert!(record.get("engine").is_none(), "{record}");
    assert_eq!(engine(&agent(root.path(), 2), &session, "early").await, "cpu");
    agent(root.path(), 2).stop(&session).await.unwrap();
}
