//! A client that is slow, and a job that takes long, give their slot back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{ErrorKind as Io, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apyfal_agent::{Agent, AgentOptions, Root};
use apyfal_core::{Client, Error, ErrorKind, Input, Job, JobIo, Output, Result, Start};
use apyfal_testkit::eventually;

/// The slowest of streams: it never comes to anything.
struct Slow;

impl Read for Slow {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        std::thread::sleep(Duration::from_millis(5));
        Err(Io::WouldBlock.into())
    }
}

impl Write for Slow {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        std::thread::sleep(Duration::from_millis(5));
        Err(Io::WouldBlock.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A stream that comes to something once it is opened.
#[derive(Clone, Default)]
struct Gated(Arc<AtomicBool>);

impl Read for Gated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.load(Ordering::Acquire) { Ok(0) } else { Slow.read(buffer) }
    }
}

/// An agent with a single slot, and a session of null.
async fn agent(root: &Path) -> (Agent, Job) {
    let agent = Agent::new(AgentOptions {
        root: Root::Kept { path: root.to_owned(), is_shared: true, room: Default::default() },
        registry: Default::default(),
        storage: Default::default(),
        threads: 1.try_into().ok(),
        max_waiting: Some(1),
    });
    let start = Start { accelerator: "null".into(), ..Start::default() };
    let session = agent.start(start, JobIo::default()).await.unwrap().id;
    (agent, Job { session, ..Job::default() })
}

fn io(src: Input, dst: Output) -> JobIo {
    JobIo { src: Some(src), dst: Some(dst), ..JobIo::default() }
}

fn sink() -> Output {
    Output::stream(std::io::sink())
}

/// The error of a job that is over, and left nothing running.
async fn failure(agent: &Agent, job: impl Future<Output = Result<impl std::fmt::Debug>>) -> Error {
    let error = job.await.unwrap_err();
    assert_eq!((agent.load().running, agent.load().waiting), (0, 0));
    error
}

#[tokio::test]
async fn a_client_that_stalls_loses_its_slot() {
    let root = tempfile::tempdir().unwrap();
    let (agent, job) = agent(root.path()).await;
    let stall = Some(Duration::from_millis(40));
    for (src, dst, message) in [
        (Input::stream(Slow), sink(), "the client sent nothing for 0.04 s"),
        (Input::bytes(*b"x"), Output::stream(Slow), "the client took nothing for 0.04 s"),
    ] {
        let job = agent.process(job.clone(), JobIo { stall, ..io(src, dst) });
        let error = failure(&agent, job).await;
        assert_eq!((error.kind(), error.message()), (ErrorKind::Timeout, message));
    }
    let start = Start { accelerator: "hyperfire".into(), ..Start::default() };
    let io = JobIo { src: Some(Input::stream(Slow)), stall, ..JobIo::default() };
    let error = failure(&agent, agent.start(start, io)).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn a_job_ends_at_its_time_limit_where_it_runs_and_where_it_waits() {
    let root = tempfile::tempdir().unwrap();
    let (agent, job) = agent(root.path()).await;
    let limited = |millis| JobIo {
        deadline: Some(Duration::from_millis(millis)),
        ..io(Input::stream(Slow), sink())
    };
    let error = failure(&agent, agent.process(job.clone(), limited(40))).await;
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.message(), "it took longer than its limit of 0.04 s");

    let holding = io(Input::stream(Slow), sink());
    let cancel = holding.cancel.clone();
    let mut holding = Box::pin(agent.process(job.clone(), holding));
    assert!(tokio::time::timeout(Duration::ZERO, &mut holding).await.is_err());
    let error = agent.process(job, limited(40)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!((agent.load().running, agent.load().waiting), (1, 0));
    cancel.cancel();
    assert!(failure(&agent, holding).await.is_cancelled());
}

#[tokio::test]
async fn no_more_jobs_wait_than_may() {
    let root = tempfile::tempdir().unwrap();
    let (agent, job) = agent(root.path()).await;
    let mut holding = Box::pin(agent.process(job.clone(), io(Input::stream(Slow), sink())));
    assert!(tokio::time::timeout(Duration::ZERO, &mut holding).await.is_err());
    let mut waiting = Box::pin(agent.process(job.clone(), io(Input::bytes(*b"a"), sink())));
    assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err());
    let error = agent.process(job.clone(), io(Input::bytes(*b"b"), sink())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(error.details().retry_after.is_some());
    // A session can be ended however many jobs wait.
    let mut stop = Box::pin(agent.stop(&job.session));
    assert!(tokio::time::timeout(Duration::ZERO, &mut stop).await.is_err());
    let load = agent.load();
    assert_eq!((load.running, load.waiting), (1, 2));
    let null = load.accelerators.iter().find(|load| load.name == "null").unwrap();
    assert_eq!((null.slots, null.running, null.waiting), (1, 1, 2));
    drop(holding);
    assert_eq!(waiting.await.unwrap().profiling.bytes_read, 1);
    stop.await.unwrap();
    // The slot is given back by its own thread, after the answer.
    until(&agent, (0, 0)).await;
}

/// Waits until so many jobs run and wait.
async fn until(agent: &Agent, load: (usize, usize)) {
    let is_so = || (agent.load().running, agent.load().waiting) == load;
    eventually(&format!("{load:?} jobs run and wait"), is_so).await;
}

#[tokio::test]
async fn a_job_that_waits_for_its_data_lets_others_run() {
    let root = tempfile::tempdir().unwrap();
    let (agent, job) = agent(root.path()).await;
    let agent = Arc::new(agent);
    let gate = Gated::default();
    let waiting = {
        let (agent, job, src) = (agent.clone(), job.clone(), Input::stream(gate.clone()));
        tokio::spawn(async move { agent.process(job, io(src, sink())).await })
    };
    until(&agent, (1, 0)).await;
    let report = agent.process(job.clone(), io(Input::bytes(*b"next"), sink())).await.unwrap();
    assert_eq!(report.profiling.bytes_read, 4);
    until(&agent, (0, 1)).await;
    // The end of the session waits for the job, which needs a slot for that: there is one.
    let stop = {
        let (agent, session) = (agent.clone(), job.session);
        tokio::spawn(async move { agent.stop(&session).await })
    };
    until(&agent, (1, 1)).await;
    gate.0.store(true, Ordering::Release);
    waiting.await.unwrap().unwrap();
    stop.await.unwrap().unwrap();
    until(&agent, (0, 0)).await;
}
