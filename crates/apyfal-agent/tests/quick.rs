//! Quick jobs run on the thread of their caller, and are none the worse for it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use apyfal_agent::{Agent, AgentOptions, Root, Temporary};
use apyfal_core::{
    AcceleratorInfo, Client, Directory, Engine, EngineInfo, EngineJob, EngineSession, ErrorKind,
    Input, Job, JobContext, JobIo, JobParameters, Need, Outcome, Output, ParamKind, ParamSpec,
    Params, Result, Start,
};
use apyfal_engines::Registry;
use apyfal_testkit::{eventually, times_open};
use serde_json::json;

/// An engine that tells on which thread a job ran, and counts how often it was opened. A source may
/// also say that the job shall panic, or go on until it is cancelled.
#[derive(Debug)]
struct Where {
    accelerator: AcceleratorInfo,
    info: EngineInfo,
    opened: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct WhereSession;

const QUICK: usize = 16;

impl Engine for Where {
    fn accelerator(&self) -> &AcceleratorInfo {
        &self.accelerator
    }

    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn open(
        &self,
        _src: Option<Input>,
        _params: &Params,
        _state: &dyn Directory,
        _ctx: &JobContext,
    ) -> Result<Box<dyn EngineSession>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        // Long enough for others to come meanwhile.
        std::thread::sleep(Duration::from_millis(20));
        Ok(Box::new(WhereSession))
    }
}

fn name(thread: ThreadId) -> String {
    format!("{thread:?}")
}

impl EngineSession for WhereSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let text = std::io::read_to_string(ctx.reader(job.src.unwrap())?)?;
        assert_ne!(text, "panic");
        if text == "endless" {
            loop {
                ctx.check()?;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let outcome = Outcome::default().with("thread", name(std::thread::current().id()));
        Ok(match text.as_str() {
            "scratch" => outcome.with("scratch", ctx.scratch()?.to_str()),
            _ => outcome,
        })
    }

    fn is_quick(&self, job: &EngineJob) -> bool {
        !job.params.flag("long")
    }
}

struct Bench {
    folder: tempfile::TempDir,
    agent: Arc<Agent>,
    opened: Arc<AtomicUsize>,
    job: Job,
}

impl Bench {
    /// A session on an agent with a single slot.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::Kept {
            path: folder.path().to_owned(),
            is_shared: true,
            room: Default::default(),
        };
        Self::of(folder, root).await
    }

    /// The same where the session ends with its agent.
    async fn for_now() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::ForNow(Temporary::below(folder.path().to_owned()));
        Self::of(folder, root).await
    }

    async fn of(folder: tempfile::TempDir, root: Root) -> Self {
        let opened = Arc::default();
        let agent = agent(root, &opened);
        let start = Start { accelerator: "where".into(), ..Start::default() };
        let session = agent.start(start, JobIo::default()).await.unwrap().id;
        Self { folder, agent, opened, job: Job { session, ..Job::default() } }
    }

    /// Another agent on the same sessions.
    fn another(&self) -> Arc<Agent> {
        let root = Root::Kept {
            path: self.folder.path().to_owned(),
            is_shared: true,
            room: Default::default(),
        };
        agent(root, &self.opened)
    }

    async fn thread(&self, job: &Job, src: Input, dst: Option<Output>) -> String {
        let io = JobIo { src: Some(src), dst, ..JobIo::default() };
        let report = self.agent.process(job.clone(), io).await.unwrap();
        assert_eq!((report.accelerator.as_str(), report.engine.as_str()), ("where", "cpu"));
        report.specific["thread"].as_str().unwrap().to_owned()
    }
}

fn agent(root: Root, opened: &Arc<AtomicUsize>) -> Arc<Agent> {
    let mut accelerator = AcceleratorInfo::new("where", "Tell the thread");
    accelerator.dst = Need::Optional;
    let info = EngineInfo { quick: QUICK, ..EngineInfo::cpu() };
    accelerator.params = vec![ParamSpec::new("long", ParamKind::Bool, "Whether it takes long")];
    Arc::new(Agent::new(AgentOptions {
        root,
        registry: Registry::new(vec![Arc::new(Where {
            accelerator,
            info,
            opened: opened.clone(),
        })]),
        storage: Default::default(),
        threads: 1.try_into().ok(),
        max_waiting: None,
    }))
}

fn bytes(text: &str) -> JobIo {
    JobIo { src: Some(Input::bytes(text)), ..JobIo::default() }
}

#[tokio::test]
async fn only_what_is_quick_for_sure_runs_here() {
    let bench = Bench::new().await;
    let here = name(std::thread::current().id());
    let short = || Input::bytes([b'x'; QUICK]);
    let job = &bench.job;
    assert_eq!(bench.thread(job, short(), None).await, here);
    assert_eq!(bench.thread(job, short(), Some(Output::memory(Vec::new()))).await, here);

    let elsewhere = |thread: String| assert_ne!(thread, here);
    elsewhere(bench.thread(job, Input::bytes([b'x'; QUICK + 1]), None).await);
    elsewhere(bench.thread(job, Input::stream(&b"x"[..]).with_len(1), None).await);
    elsewhere(bench.thread(job, short(), Some(Output::stream(std::io::sink()))).await);
    let parameters = JobParameters { compare: true, ..JobParameters::default() };
    elsewhere(bench.thread(&Job { parameters, ..job.clone() }, short(), None).await);
    let specific = json!({"long": true}).as_object().unwrap().clone();
    let parameters = JobParameters::specific(specific);
    elsewhere(bench.thread(&Job { parameters, ..job.clone() }, short(), None).await);
}

fn file(path: &Path, text: &str) -> Input {
    fs::write(path, text).unwrap();
    Input::file(File::open(path).unwrap(), path).unwrap()
}

#[tokio::test]
async fn only_where_sessions_end_with_their_agent_small_files_are_read_here() {
    let here = name(std::thread::current().id());
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("x");
    let bench = Bench::for_now().await;
    let small = || file(&path, "x");
    assert_eq!(bench.thread(&bench.job, small(), None).await, here);
    let result = || Output::file(File::create(files.path().join("y")).unwrap(), "y");
    assert_eq!(bench.thread(&bench.job, small(), Some(result())).await, here);
    let long = file(&path, &"x".repeat(QUICK + 1));
    assert_ne!(bench.thread(&bench.job, long, None).await, here);
    let kept = Bench::new().await;
    assert_ne!(kept.thread(&kept.job, small(), None).await, here, "a host has others to serve");
}

#[tokio::test]
async fn what_needs_no_disk_touches_none() {
    let bench = Bench::for_now().await;
    let entries = || fs::read_dir(bench.folder.path()).unwrap().count();
    bench.agent.process(bench.job.clone(), bytes("x")).await.unwrap();
    bench.agent.process(bench.job.clone(), bytes("not so quick as others")).await.unwrap();
    assert_eq!(entries(), 0);
    // Who asks for a place gets one, which goes with the session.
    let report = bench.agent.process(bench.job.clone(), bytes("scratch")).await.unwrap();
    let scratch = PathBuf::from(report.specific["scratch"].as_str().unwrap());
    assert!(scratch.is_dir() && scratch.starts_with(bench.folder.path()));
    bench.agent.stop(&bench.job.session).await.unwrap();
    assert!(!scratch.exists());
    let error = bench.agent.process(bench.job.clone(), bytes("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let Bench { folder, agent, .. } = bench;
    drop(agent);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_memory_ends_after_its_jobs() {
    let bench = Bench::for_now().await;
    let io = JobIo { src: Some(Input::stream(&b"endless"[..])), ..JobIo::default() };
    let (cancel, progress) = (io.cancel.clone(), io.progress.clone());
    let (agent, job) = (bench.agent.clone(), bench.job.clone());
    let running = tokio::spawn(async move { agent.process(job, io).await });
    // It has its slot before it has a part in the session.
    while progress.read() == 0 {
        tokio::task::yield_now().await;
    }
    let (agent, id) = (bench.agent.clone(), bench.job.session.clone());
    let stop = tokio::spawn(async move { agent.stop(&id).await });
    cancel.cancel();
    assert!(running.await.unwrap().unwrap_err().is_cancelled());
    stop.await.unwrap().unwrap();
    let error = bench.agent.process(bench.job.clone(), bytes("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_quick_job_waits_for_its_slot_and_keeps_its_data() {
    let bench = Bench::new().await;
    let endless = JobIo { src: Some(Input::stream(&b"endless"[..])), ..JobIo::default() };
    let mut holding = Box::pin(bench.agent.process(bench.job.clone(), endless));
    assert!(tokio::time::timeout(Duration::ZERO, &mut holding).await.is_err());
    let mut quick = Box::pin(bench.agent.process(bench.job.clone(), bytes("quick")));
    assert!(tokio::time::timeout(Duration::ZERO, &mut quick).await.is_err());
    drop(holding);
    assert_eq!(quick.await.unwrap().profiling.bytes_read, 5);
}

#[tokio::test]
async fn a_panic_or_a_cancelled_job_costs_no_slot() {
    let bench = Bench::new().await;
    let error = bench.agent.process(bench.job.clone(), bytes("panic")).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "the engine panicked"));
    let io = bytes("x");
    io.cancel.cancel();
    assert!(bench.agent.process(bench.job.clone(), io).await.unwrap_err().is_cancelled());
    assert_eq!(bench.agent.load().running, 0);
    bench.agent.process(bench.job.clone(), bytes("x")).await.unwrap();
    bench.agent.stop(&bench.job.session).await.unwrap();
    let error = bench.agent.process(bench.job.clone(), bytes("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_after_the_jobs_of_every_agent() {
    let bench = Bench::new().await;
    let io = JobIo { src: Some(Input::stream(&b"endless"[..])), ..JobIo::default() };
    let cancel = io.cancel.clone();
    let (first, job) = (bench.agent.clone(), bench.job.clone());
    let running = tokio::spawn(async move { first.process(job, io).await });
    let other = bench.another();
    let id = bench.job.session.clone();
    let lock = bench.folder.path().join(&id).join("lock");
    // It has its slot before it holds that.
    eventually("it has the lock", || times_open(&lock) > 0).await;
    let before = times_open(&lock);
    let stop = tokio::spawn(async move { other.stop(&id).await });
    eventually("the other one waits for it", || times_open(&lock) != before).await;
    assert!(!stop.is_finished());
    cancel.cancel();
    assert!(running.await.unwrap().unwrap_err().is_cancelled());
    stop.await.unwrap().unwrap();
    for text in ["quick", "not so quick as others"] {
        let error = bench.agent.process(bench.job.clone(), bytes(text)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_at_once_open_a_session_once() {
    let bench = Bench::new().await;
    let again = bench.another();
    let jobs: Vec<_> = (0..50)
        .map(|_| {
            let (agent, job) = (again.clone(), bench.job.clone());
            tokio::spawn(async move { agent.process(job, bytes("x")).await })
        })
        .collect();
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    assert_eq!(bench.opened.load(Ordering::Relaxed), 2);
}
