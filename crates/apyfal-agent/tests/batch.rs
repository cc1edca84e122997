//! Jobs that wait at the same time run together, and are none the worse for it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use apyfal_agent::{Agent, AgentOptions, Root};
use apyfal_core::{
    AcceleratorInfo, Cancel, Client, Directory, Engine, EngineInfo, EngineJob, EngineSession,
    Error, ErrorKind, Input, Job, JobContext, JobIo, JobParameters, Need, Outcome, Params, Report,
    Result, Session, Start,
};
use apyfal_engines::Registry;
use apyfal_testkit::eventually;
use serde_json::json;

/// What an [`Echo`] has done, and gates at which its jobs can be held up.
#[derive(Debug, Default)]
struct Seen {
    /// The batches, in the order in which they began.
    batches: Mutex<Vec<usize>>,
    /// The jobs that were run, in batches or alone.
    jobs: Mutex<Vec<String>>,
    gates: [tokio::sync::Mutex<()>; 2],
}

/// An engine that takes four jobs at once. The result of each is its source, but a source may also
/// say that the job shall fail, bring the engine down, go on for ever or wait at a gate.
#[derive(Debug)]
struct Echo {
    accelerator: AcceleratorInfo,
    info: EngineInfo,
    seen: Arc<Seen>,
}

#[derive(Debug)]
struct EchoSession(Arc<Seen>);

impl Engine for Echo {
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
        Ok(Box::new(EchoSession(self.seen.clone())))
    }
}

impl EngineSession for EchoSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let text = std::io::read_to_string(ctx.reader(job.src.unwrap())?)?;
        self.0.jobs.lock().unwrap().push(text.clone());
        if let Some(gate) = text.strip_prefix("gate ") {
            drop(self.0.gates[gate.parse::<usize>().unwrap()].blocking_lock());
        }
        match text.as_str() {
            "fail" => Err(Error::new(ErrorKind::InvalidData, "as asked for")),
            "panic" => panic!("as asked for"),
            "endless" => loop {
                ctx.check()?;
                std::thread::sleep(Duration::from_millis(1));
            },
            text => Ok(Outcome::default().with("text", text)),
        }
    }

    fn process_many(&self, jobs: Vec<(EngineJob, JobContext)>) -> Vec<Result<Outcome>> {
        self.0.batches.lock().unwrap().push(jobs.len());
        jobs.into_iter().map(|(job, ctx)| self.process(job, &ctx)).collect()
    }

    fn batch(&self) -> usize {
        4
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Report>> + Send>>;

/// A session of an [`Echo`] on an agent.
struct Bench {
    folder: tempfile::TempDir,
    agent: Arc<Agent>,
    session: Session,
    seen: Arc<Seen>,
}

impl Bench {
    /// One with a single slot.
    async fn new() -> Self {
        Self::of(1, None).await
    }

    /// One with so many slots, for which so many jobs may wait.
    async fn of(slots: usize, max_waiting: Option<usize>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seen = Arc::<Seen>::default();
        let mut accelerator = AcceleratorInfo::new("echo", "Give the source back");
        accelerator.dst = Need::None;
        let echo = Echo { accelerator, info: EngineInfo::cpu(), seen: seen.clone() };
        let registry = Registry::new(vec![Arc::new(echo)]);
        let agent = agent(folder.path(), registry, slots, max_waiting);
        let session = start(&agent, "echo").await;
        Self { folder, agent, session, seen }
    }

    /// The call of a job whose source is a file with this text.
    fn file(&self, text: &str) -> Answer {
        self.call(file(self.folder.path(), text.as_bytes()), Cancel::default(), false)
    }

    /// The call of one that is too long to run with others: "long", and dots behind it.
    fn long(&self) -> Answer {
        self.file(&format!("long{}", ".".repeat(16 << 20)))
    }

    fn call(&self, src: Input, cancel: Cancel, compare: bool) -> Answer {
        let (agent, session) = (self.agent.clone(), self.session.id.clone());
        let parameters = JobParameters { compare, ..JobParameters::default() };
        let io = JobIo { src: Some(src), cancel, ..JobIo::default() };
        Box::pin(
            async move { agent.process(Job { session, parameters, ..Job::default() }, io).await },
        )
    }

    /// Takes the slot until the answer is dropped.
    async fn hold(&self) -> Answer {
        let mut answer = self.file("endless");
        wait(&mut answer).await;
        self.begun(1).await;
        answer
    }

    /// Ready once so many batches have begun.
    async fn begun(&self, count: usize) {
        let has_begun = || self.seen.batches.lock().unwrap().len() >= count;
        eventually("a batch has begun", has_begun).await;
    }

    /// Ready once so many jobs wait for a slot.
    async fn waiting(&self, count: usize) {
        eventually("jobs wait", || self.agent.load().waiting == count).await;
    }

    fn batches(&self) -> Vec<usize> {
        self.seen.batches.lock().unwrap().clone()
    }
}

fn agent(
    root: &Path,
    registry: Registry,
    threads: usize,
    max_waiting: Option<usize>,
) -> Arc<Agent> {
    Arc::new(Agent::new(AgentOptions {
        root: Root::Kept { path: root.join("sessions"), is_shared: true, room: Default::default() },
        registry,
        storage: Default::default(),
        threads: threads.try_into().ok(),
        max_waiting,
    }))
}

async fn start(agent: &Agent, accelerator: &str) -> Session {
    let start = Start { accelerator: accelerator.into(), ..Start::default() };
    agent.start(start, JobIo::default()).await.unwrap()
}

/// A new file with this content.
fn file(folder: &Path, data: &[u8]) -> Input {
    let (_, path) = tempfile::NamedTempFile::new_in(folder).unwrap().keep().unwrap();
    std::fs::write(&path, data).unwrap();
    Input::file(File::open(&path).unwrap(), path).unwrap()
}

/// Polls a call once, which then waits.
async fn wait(answer: &mut Answer) {
    let first = std::future::poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
    assert!(first.is_pending(), "it did not wait: {first:?}");
}

/// Begins calls one after the other, and lets them go on in the background.
async fn wait_all<const COUNT: usize>(
    answers: [Answer; COUNT],
) -> [tokio::task::JoinHandle<Result<Report>>; COUNT] {
    let mut answers = answers;
    for answer in &mut answers {
        wait(answer).await;
    }
    answers.map(tokio::spawn)
}

fn text(report: Result<Report>) -> String {
    report.unwrap().specific["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_waits_runs_together() {
    let bench = Bench::new().await;
    let holding = bench.hold().await;
    let names = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"];
    let answers = wait_all(names.map(|name| bench.file(name))).await;
    drop(holding);
    for (name, answer) in names.iter().zip(answers) {
        let report = answer.await.unwrap().unwrap();
        assert_eq!(report.profiling.bytes_read, name.len() as u64);
        assert_eq!(
            (text(Ok(report.clone())).as_str(), report.accelerator.as_str()),
            (*name, "echo")
        );
    }
    assert_eq!(text(bench.file("alone").await), "alone");
    assert_eq!(bench.batches(), [1, 4, 2, 1]);
}

#[tokio::test]
async fn files_of_other_magnitude_run_apart() {
    let bench = Bench::new().await;
    let holding = bench.hold().await;
    let answers = wait_all([bench.file("a"), bench.long(), bench.file("b")]).await;
    drop(holding);
    for (name, answer) in ["a", "long", "b"].iter().zip(answers) {
        assert_eq!(text(answer.await.unwrap()).trim_end_matches('.'), *name);
    }
    assert_eq!(bench.batches(), [1, 2, 1]);
}

#[tokio::test]
async fn streams_and_comparisons_run_alone() {
    let bench = Bench::new().await;
    let stream = bench.call(Input::bytes(*b"stream"), Cancel::default(), false);
    assert_eq!(text(stream.await), "stream");
    let src = file(bench.folder.path(), b"compared");
    assert_eq!(text(bench.call(src, Cancel::default(), true).await), "compared");
    assert!(bench.batches().is_empty());
}

#[tokio::test]
async fn a_job_that_leaves_while_it_waits_is_not_run() {
    let bench = Bench::new().await;
    let holding = bench.hold().await;
    let cancel = Cancel::default();
    let src = file(bench.folder.path(), b"cancelled");
    let mut dropped = bench.file("dropped");
    wait(&mut dropped).await;
    let [cancelled, a, failing, b] = wait_all([
        bench.call(src, cancel.clone(), false),
        bench.file("a"),
        bench.file("fail"),
        bench.file("b"),
    ])
    .await;
    drop(dropped);
    cancel.cancel();
    // It is answered although the slot is still taken.
    assert!(cancelled.await.unwrap().unwrap_err().is_cancelled());
    drop(holding);
    assert_eq!(text(a.await.unwrap()), "a");
    assert_eq!(failing.await.unwrap().unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(text(b.await.unwrap()), "b");
    assert_eq!(bench.batches(), [1, 3]);
}

#[tokio::test]
async fn one_who_leaves_while_it_runs_leaves_the_others_their_results() {
    let bench = Bench::new().await;
    let holding = bench.hold().await;
    let cancel = Cancel::default();
    let src = file(bench.folder.path(), b"endless");
    // The first one that waits is the one that runs the batch.
    let [leaving, a, cancelled, b] = wait_all([
        bench.file("endless"),
        bench.file("a"),
        bench.call(src, cancel.clone(), false),
        bench.file("b"),
    ])
    .await;
    drop(holding);
    bench.begun(2).await;
    leaving.abort();
    cancel.cancel();
    assert!(cancelled.await.unwrap().unwrap_err().is_cancelled());
    assert_eq!(text(a.await.unwrap()), "a");
    assert_eq!(text(b.await.unwrap()), "b");
    assert_eq!(bench.batches(), [1, 4]);
}

/// Takes both slots, and has calls wait for one in this order.
async fn crowd<const COUNT: usize>(
    bench: &Bench,
    calls: [Answer; COUNT],
) -> ([Answer; 2], [Answer; COUNT]) {
    let first = bench.hold().await;
    let mut second = bench.file("endless");
    wait(&mut second).await;
    bench.begun(2).await;
    let mut calls = calls;
    for call in &mut calls {
        wait(call).await;
    }
    ([first, second], calls)
}

/// Has streams wait until no more may.
async fn fill(bench: &Bench, count: usize) -> Vec<tokio::task::JoinHandle<Result<Report>>> {
    let stream = || bench.call(Input::bytes(*b"stream"), Cancel::default(), false);
    let mut streams: Vec<_> = (0..count).map(|_| stream()).collect();
    for stream in &mut streams {
        wait(stream).await;
    }
    assert_eq!(stream().await.unwrap_err().kind(), ErrorKind::Busy);
    streams.into_iter().map(tokio::spawn).collect()
}

// In these two each call is polled by hand, so that it gets its turn when it is told to.

#[tokio::test]
async fn what_another_one_runs_is_not_refused() {
    let bench = Bench::of(2, Some(5)).await;
    let calls = ["gate 0", "second", "third", "fourth", "gate 1"].map(|name| bench.file(name));
    let ([holding, other], [mut first, mut second, third, fourth, fifth]) =
        crowd(&bench, calls).await;
    let [closed, other_closed] = [&bench.seen.gates[0], &bench.seen.gates[1]];
    let (closed, other_closed) = (closed.lock().await, other_closed.lock().await);
    drop(holding);
    bench.waiting(4).await;
    wait(&mut first).await;
    bench.begun(3).await;
    drop(other);
    bench.waiting(3).await;
    wait(&mut second).await;
    bench.begun(4).await;
    assert_eq!(bench.batches(), [1, 1, 4, 1], "the first one runs the second one's job");
    drop(other_closed);
    // The second one's turn is over and its slot is handed on.
    bench.waiting(2).await;
    let streams = fill(&bench, 3).await;
    wait(&mut second).await;
    drop(closed);
    let others = [third, fourth, fifth].map(tokio::spawn);
    assert_eq!(text(first.await), "gate 0");
    assert_eq!(text(second.await), "second");
    for answer in others.into_iter().chain(streams) {
        answer.await.unwrap().unwrap();
    }
    let jobs = bench.seen.jobs.lock().unwrap();
    assert_eq!(jobs.iter().filter(|job| *job == "second").count(), 1);
}

#[tokio::test]
async fn what_waited_for_its_turn_is_not_refused_for_those_that_came_since() {
    let bench = Bench::of(2, Some(3)).await;
    let ([holding, other], [first, mut second, third]) =
        crowd(&bench, [bench.file("gate 0"), bench.long(), bench.file("third")]).await;
    let closed = bench.seen.gates[0].lock().await;
    drop(holding);
    bench.waiting(2).await;
    drop(other);
    bench.waiting(1).await;
    wait(&mut second).await;
    bench.begun(3).await;
    assert_eq!(bench.batches(), [1, 1, 2], "it runs the others' jobs");
    drop(closed);
    bench.waiting(0).await;
    let streams = fill(&bench, 3).await;
    wait(&mut second).await;
    let others = [first, third].map(tokio::spawn);
    assert_eq!(text(second.await).trim_end_matches('.'), "long");
    for answer in others.into_iter().chain(streams) {
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_panic_fails_its_batch_alone() {
    let bench = Bench::new().await;
    let holding = bench.hold().await;
    let [a, b, c, panic, next] =
        wait_all(["a", "b", "c", "panic", "next"].map(|name| bench.file(name))).await;
    drop(holding);
    for answer in [a, b, c, panic] {
        assert_eq!(answer.await.unwrap().unwrap_err().kind(), ErrorKind::Internal);
    }
    assert_eq!(text(next.await.unwrap()), "next");
    assert_eq!(bench.batches(), [1, 4, 1]);
}

#[tokio::test]
async fn waiting_jobs_of_a_session_that_ends_fail() {
    let bench = Bench::new().await;
    let holding = bench.hold().await;
    let answers = wait_all([bench.file("a"), bench.file("b")]).await;
    std::fs::remove_dir_all(bench.folder.path().join("sessions")).unwrap();
    drop(holding);
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap_err().kind(), ErrorKind::NotFound);
    }
}

/// The slowest of streams: it never comes to anything.
struct Slow;

impl std::io::Read for Slow {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        std::thread::sleep(Duration::from_millis(5));
        Err(std::io::ErrorKind::WouldBlock.into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_files_hash_as_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(folder.path(), Registry::default(), 2, None);
    let session = start(&agent, "sha3").await.id;
    let hash = |job: Job, io: JobIo| {
        let agent = agent.clone();
        tokio::spawn(async move { agent.process(job, io).await })
    };
    let job = Job { session, ..Job::default() };
    let input = |number: usize| {
        let data: Vec<u8> =
            (0..number * number * 150).map(|at| ((at * number) >> 3) as u8).collect();
        let src = Some(file(folder.path(), &data));
        JobIo { src, ..JobIo::default() }
    };

    let mut alone = Vec::new();
    for number in 0..50 {
        alone.push(hash(job.clone(), input(number)).await.unwrap().unwrap().specific);
    }

    let slow_cancel = Cancel::default();
    let io =
        JobIo { src: Some(Input::stream(Slow)), cancel: slow_cancel.clone(), ..JobIo::default() };
    let slow = hash(job.clone(), io);
    let mut together = Vec::new();
    for number in 0..50 {
        let (mut job, mut io) = (job.clone(), input(number));
        match number {
            10 => (job.src, io.src) = (Some("/nonexistent/file".into()), None),
            20 => io.cancel.cancel(),
            30 => drop(job.parameters.specific.insert("length".into(), json!(8))),
            _ => {}
        }
        together.push(hash(job, io));
    }
    for (number, (answer, alone)) in together.into_iter().zip(alone).enumerate() {
        let result = answer.await.unwrap();
        let failure = result.as_ref().err().map(Error::kind);
        match number {
            10 => assert_eq!(failure, Some(ErrorKind::Security)),
            20 => assert_eq!(failure, Some(ErrorKind::Cancelled)),
            30 => assert_eq!(failure, Some(ErrorKind::Usage)),
            _ => assert_eq!(result.unwrap().specific, alone, "{number}"),
        }
    }
    assert!(!slow.is_finished());
    slow_cancel.cancel();
    assert!(slow.await.unwrap().unwrap_err().is_cancelled());
}
