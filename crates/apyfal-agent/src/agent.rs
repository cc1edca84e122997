//! The agent: the client that runs jobs in this process.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Instant;

use apyfal_core::{
    Cancel, Client, Engine, EngineInfo, EngineJob, EngineSession, Error, ErrorKind, Input, Job,
    JobContext, JobIo, Need, Params, Profiling, Report, Result, Session, Start,
};
use apyfal_engines::Registry;
use apyfal_storage::{Destination, Location, Storage};
use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::OnceCell;

use crate::batch;
use crate::comparison;
use crate::deadline;
use crate::job::{self, CallContext};
use crate::session::{Record, Root, SessionDir};
use crate::slots::{Asking, Load, Scheduler};

mod quick;

/// What an agent is made of.
#[derive(Debug)]
pub struct AgentOptions {
    /// Where sessions live. Two agents on the same directory see each other's sessions.
    pub root: PathBuf,
    /// Whether agents of other processes may use the directory too. Where none does, small jobs are
    /// quicker, for no file needs to be locked for them.
    pub is_shared: bool,
    /// The accelerators.
    pub registry: Registry,
    /// The storages that it reads and writes by itself.
    pub storage: Storage,
    /// How many cores its jobs may keep busy; all of the machine's where it is none.
    pub threads: Option<NonZeroUsize>,
    /// How many jobs may wait for a slot, of all engines together; any number where it is none.
    /// One more is refused with [`ErrorKind::Busy`] and the seconds after which to come again
    /// ([`Details::retry_after`](apyfal_core::Details::retry_after)).
    pub max_waiting: Option<usize>,
}

/// Runs jobs on this machine.
///
/// ```
/// # async fn example(root: &std::path::Path) -> apyfal_core::Result<()> {
/// use apyfal_agent::{Agent, AgentOptions};
/// use apyfal_core::{Client, Input, Job, JobIo, Output, Start};
///
/// let agent = Agent::new(AgentOptions {
///     root: root.into(),
///     is_shared: true,
///     registry: Default::default(),
///     storage: Default::default(),
///     threads: None,
///     max_waiting: None,
/// });
/// let start = Start { accelerator: "null".into(), ..Start::default() };
/// let session = agent.start(start, JobIo::default()).await?;
/// let io = JobIo {
///     src: Some(Input::bytes(*b"hello")),
///     dst: Some(Output::stream(std::io::sink())),
///     ..JobIo::default()
/// };
/// let job = Job { session: session.id.clone(), ..Job::default() };
/// assert_eq!(agent.process(job, io).await?.profiling.bytes_read, 5);
/// agent.stop(&session.id).await?;
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example(tempfile::tempdir().unwrap().path())).unwrap();
/// ```
#[derive(Debug)]
pub struct Agent {
    root: Root,
    registry: Registry,
    storage: Storage,
    scheduler: Scheduler,
    sessions: Mutex<Sessions>,
    swept: Once,
}

/// The sessions that are open here or about to be, by their ids. Of the many jobs that may come for
/// one that is not open yet, one opens it and the others wait.
type Sessions = HashMap<String, Arc<OnceCell<Arc<OpenSession>>>>;

/// A session that this process has open.
#[derive(Debug)]
struct OpenSession {
    dir: SessionDir,
    engine: Arc<dyn Engine>,
    params: Params,
    session: Box<dyn EngineSession>,
    /// The jobs that wait to run together, where the engine gains from that.
    waiting: batch::Queue,
}

impl OpenSession {
    /// The jobs of a session take turns with those of others.
    fn asking(&self) -> Asking<'_> {
        Asking { owner: self.dir.id(), ..starting(self.engine.info()) }
    }

    /// The report of a job, with who did it.
    fn signed(&self, mut report: Report) -> Report {
        let info = self.engine.info();
        report.accelerator = info.name.to_string();
        report.engine = info.engine.to_string();
        report
    }
}

/// What a start asks for. All starts are of one owner.
fn starting(info: &EngineInfo) -> Asking<'_> {
    Asking { engine: &info.name, slots: info.slots, owner: "", always: false }
}

impl Agent {
    /// An agent; nothing is read or made before the first call.
    pub fn new(options: AgentOptions) -> Self {
        let cores = options
            .threads
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        let scheduler = Scheduler::new(cores, options.max_waiting);
        for engine in options.registry.iter() {
            // Of two with the same name only one is used.
            if let Ok(engine) = options.registry.find(&engine.info().name) {
                scheduler.declare(&engine.info().name, engine.info().slots);
            }
        }
        Self {
            root: Root { path: options.root, is_shared: options.is_shared },
            registry: options.registry,
            storage: options.storage,
            scheduler,
            sessions: Mutex::default(),
            swept: Once::new(),
        }
    }

    /// Removes from disk what starts left behind that were cut off, in this process or another. The
    /// first start does so by itself.
    pub fn sweep(&self) {
        self.swept.call_once(|| SessionDir::sweep(&self.root));
    }

    /// Opens a session of which only this process knows. It ends with the agent at the latest.
    ///
    /// # Errors
    /// As [`Client::start`].
    pub async fn start_for_now(&self, request: Start, io: JobIo) -> Result<Session> {
        let (limit, cancel) = (io.deadline, io.cancel.clone());
        deadline::within(limit, &cancel, self.start_now(request, io, false)).await
    }

    /// The accelerators that it serves.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The engine of a session.
    ///
    /// # Errors
    /// There is no such session, or it cannot be opened again.
    pub async fn engine(&self, session: &str) -> Result<Arc<dyn Engine>> {
        Ok(self.session(session, &Cancel::default(), false).await?.engine.clone())
    }

    /// Returns once a session would survive a power failure.
    ///
    /// # Errors
    /// It is gone, or the system could not write it.
    pub async fn sync_session(&self, id: &str) -> Result<()> {
        let dir = SessionDir::find(&self.root, id)?;
        let root = self.root.clone();
        let synced = tokio::task::spawn_blocking(move || dir.sync(&root)).await;
        synced.map_err(|panic| Error::new(ErrorKind::Internal, "syncing panicked").source(panic))?
    }

    /// What runs and waits now.
    pub fn load(&self) -> Load {
        self.scheduler.load()
    }

    /// Runs blocking work of an engine in one of its slots, with temporary files in `scratch`.
    ///
    /// Dropping the returned future cancels the work.
    async fn in_slot<T: Send + 'static>(
        &self,
        asking: Asking<'_>,
        scratch: PathBuf,
        call: CallContext,
        work: impl FnOnce(&JobContext) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let waiting = self.scheduler.slot(asking);
        let slot = call.cancel.or_cancelled(waiting).await?;
        let guard = CancelOnDrop(Some(call.cancel.clone()));
        let result = tokio::task::spawn_blocking(move || {
            let slot = slot;
            call.cancel.check()?;
            work(&call.context(scratch, slot.threads))
        })
        .await
        .map_err(|panic| Error::new(ErrorKind::Internal, "the engine panicked").source(panic));
        guard.disarm();
        result?
    }

    /// Runs a job together with those of its session that wait at the same time.
    ///
    /// Every caller waits for a slot, and who gets one runs the next batch, until the own job is
    /// in one. Dropping the returned future cancels the own job alone.
    async fn in_batch(
        &self,
        open: &Arc<OpenSession>,
        job: EngineJob,
        call: CallContext,
    ) -> Result<Report> {
        let cancel = call.cancel.clone();
        let guard = CancelOnDrop(Some(cancel.clone()));
        let mut place = open.waiting.join(job, call);
        let mut asking = open.asking();
        let result = loop {
            let running = open.clone();
            let work = move |ctx: &JobContext| {
                let _lock = running.dir.lock_for_job(ctx)?;
                running.waiting.run_next(&*running.session, ctx);
                Ok(())
            };
            // The batch has jobs of others, so neither the end nor the switch of this call ends it.
            let own = CallContext::default();
            tokio::select! {
                biased;
                result = place.answer() => break result,
                () = cancel.cancelled() => break Err(Error::cancelled()),
                turn = self.in_slot(asking, open.dir.scratch(), own, work),
                    if place.is_waiting() =>
                {
                    match turn {
                        // What waited for its turn is not refused for those that came since.
                        Ok(()) => asking.always = true,
                        // No turn is as bad where another caller has taken the job along: then it
                        // runs, and has a result of its own.
                        Err(error) if place.leave() => break Err(error),
                        Err(_) => {}
                    }
                }
            }
        };
        guard.disarm();
        result
    }

    /// The session, opened again from disk where this process does not have it open, for which it
    /// may wait for a slot `always` or as other jobs.
    async fn session(&self, id: &str, cancel: &Cancel, always: bool) -> Result<Arc<OpenSession>> {
        if let Some(session) = self.opened(id) {
            return Ok(session);
        }
        // Ids that mean nothing leave nothing.
        SessionDir::find(&self.root, id)?;
        let cell = self.open_sessions().entry(id.to_owned()).or_default().clone();
        let opening = cell.get_or_try_init(|| self.open_again(id, cancel, always));
        let opened = cancel.or_cancelled(opening).await.cloned();
        if opened.is_err() {
            let mut sessions = self.open_sessions();
            // Nobody else waits for it or has it: clones are made under the lock alone.
            if Arc::strong_count(&cell) == 2 && cell.get().is_none() {
                sessions.remove(id);
            }
        }
        opened
    }

    /// The session, where this process has it open.
    fn opened(&self, id: &str) -> Option<Arc<OpenSession>> {
        self.open_sessions().get(id)?.get().cloned()
    }

    async fn open_again(
        &self,
        id: &str,
        cancel: &Cancel,
        always: bool,
    ) -> Result<Arc<OpenSession>> {
        let dir = SessionDir::find(&self.root, id)?;
        let record = dir.read_record()?;
        let engine = self.registry.find(&record.accelerator)?;
        let scratch = dir.scratch();
        let open = open(dir, engine.clone(), record.parameters.specific.clone());
        // What opening reads is no progress of the job that it is opened for.
        let call = CallContext {
            cancel: cancel.clone(),
            sent: record.parameters,
            ..CallContext::default()
        };
        let asking = Asking { owner: id, always, ..starting(engine.info()) };
        Ok(Arc::new(self.in_slot(asking, scratch, call, open).await?))
    }

    /// Opens a source that travelled as text.
    async fn source(&self, url: &str, cancel: &Cancel) -> Result<Input> {
        cancel.or_cancelled(self.storage.open_input(&not_the_clients(url)?)).await
    }

    /// Creates a destination that travelled as text.
    async fn destination(&self, url: &str, cancel: &Cancel) -> Result<Destination> {
        cancel.or_cancelled(self.storage.create_output(&not_the_clients(url)?)).await
    }

    fn open_sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock()
    }
}

/// A location that a host may reach by itself. A plain path means a file of the client's, which the
/// client sends; here it would be any file of this machine.
fn not_the_clients(url: &str) -> Result<Location> {
    let location = Location::parse(url)?;
    if location.is_local() {
        return Err(Error::new(ErrorKind::Security, "it is a file of the client's own")
            .operation(format!("use '{location}' on the host"))
            .hint("send the file itself, or name a file of the host as host://path"));
    }
    Ok(location)
}

/// The parameters of a session, or of a job of one whose own are `start`.
fn checked(
    engine: &dyn Engine,
    start: Option<&Params>,
    raw: &serde_json::Map<String, serde_json::Value>,
) -> Result<Params> {
    let info = engine.info();
    let params = Params::check(&info.name, &info.params, start, raw)?;
    engine.check(&params)?;
    Ok(params)
}

/// The work that opens a session from its directory.
fn open(
    dir: SessionDir,
    engine: Arc<dyn Engine>,
    specific: serde_json::Map<String, serde_json::Value>,
) -> impl FnOnce(&JobContext) -> Result<OpenSession> + Send {
    move |ctx| {
        let info = engine.info();
        let params = checked(&*engine, None, &specific)?;
        let session = engine
            .open(dir.source()?, &params, &dir.state(), ctx)
            .map_err(|error| error.operation(format!("start {}", info.name)))?;
        Ok(OpenSession { dir, engine, params, session, waiting: batch::Queue::default() })
    }
}

impl Agent {
    /// [`Client::start`] without a time limit. One that is to be `kept` can be opened again.
    async fn start_now(&self, request: Start, mut io: JobIo, kept: bool) -> Result<Session> {
        let begin = Instant::now();
        let engine = self.registry.find(&request.accelerator)?;
        let info = engine.info();
        if let Some(url) = &request.src {
            io.src = Some(self.source(url, &io.cancel).await?);
        }
        job::check_ends(
            info,
            "start",
            [("source", info.start_src, io.src.is_some()), ("destination", Need::None, false)],
        )?;
        checked(&*engine, None, &request.parameters.specific)?;

        self.sweep();
        let dir = SessionDir::create(&self.root)?;
        let scratch = dir.scratch();
        let (src, opening) = (io.src.take(), engine.clone());
        let mut call = CallContext::new(&io, request.parameters.clone());
        call.of_the_client(request.src.is_none(), true);
        let opened = self
            .in_slot(starting(info), scratch, call, move |ctx| {
                if let Some(src) = src {
                    dir.keep_source(src, ctx)?;
                }
                let record = Record {
                    accelerator: request.accelerator,
                    parameters: request.parameters.clone(),
                };
                let session = open(dir, opening, request.parameters.specific)(ctx)?;
                if kept {
                    session.dir.write_record(&record)?;
                }
                Ok(session)
            })
            .await;
        let opened = Arc::new(opened?);
        let id = opened.dir.id().to_owned();
        let report = Report {
            id: id.clone(),
            accelerator: info.name.to_string(),
            engine: info.engine.to_string(),
            profiling: Profiling::new(begin.elapsed(), io.progress.read(), 0),
            app: opened.session.started(),
            ..Report::default()
        };
        self.open_sessions().insert(id.clone(), Arc::new(OnceCell::from(opened)));
        Ok(Session { id, report })
    }

    /// Ends a session that cannot be opened, so that there is nothing that could be told.
    async fn remove(&self, id: &str, why: &Error) -> Result<Report> {
        let Ok(dir) = SessionDir::find(&self.root, id) else { return Ok(Report::default()) };
        let removed = tokio::task::spawn_blocking(move || {
            let scratch = dir.scratch();
            dir.end(|| Ok(()), &CallContext::default().context(scratch, NonZeroUsize::MIN))
        });
        removed
            .await
            .map_err(|panic| Error::new(ErrorKind::Internal, "it panicked").source(panic))?
            .map_err(|error| error.operation(format!("end the session '{id}'")))?;
        let note = format!("its accelerator could not be told: {why}");
        let app = [("stop-note".to_owned(), note.into())].into_iter().collect();
        Ok(Report { id: id.to_owned(), app, ..Report::default() })
    }

    /// [`Client::process`] without a time limit.
    async fn process_now(&self, job: Job, mut io: JobIo) -> Result<Report> {
        let open = self.session(&job.session, &io.cancel, false).await?;
        let info = open.engine.info();
        let params = checked(&*open.engine, Some(&open.params), &job.parameters.specific)?;
        if let Some(url) = &job.src {
            io.src = Some(self.source(url, &io.cancel).await?);
        }
        let mut destination = None;
        if let Some(url) = &job.dst {
            let mut created = self.destination(url, &io.cancel).await?;
            io.dst = created.take_output();
            destination = Some(created);
        }
        let engine_job = job::engine_job(info, io.src.take(), io.dst.take(), params)?;
        let (compare, rerun_safe) = (job.parameters.compare, info.rerun_safe);
        let mut call = CallContext::new(&io, job.parameters);
        call.of_the_client(job.src.is_none(), job.dst.is_none());
        let processed = if open.session.batch() > 1 && !compare && batch::takes(&engine_job) {
            self.in_batch(&open, engine_job, call).await
        } else {
            let running = open.clone();
            let work = move |ctx: &JobContext| {
                let _lock = running.dir.lock_for_job(ctx)?;
                match compare {
                    true => comparison::run(&*running.session, rerun_safe, engine_job, ctx),
                    false => job::run(&*running.session, engine_job, ctx),
                }
            };
            self.in_slot(open.asking(), open.dir.scratch(), call, work).await
        };
        let report = match destination {
            Some(destination) => {
                let (mut report, placed) = destination.settle(processed, &io.cancel).await?;
                report.tell_of_destination(placed.note());
                report
            }
            None => processed?,
        };
        Ok(open.signed(report))
    }
}

#[async_trait]
impl Client for Agent {
    async fn start(&self, request: Start, io: JobIo) -> Result<Session> {
        let (limit, cancel) = (io.deadline, io.cancel.clone());
        deadline::within(limit, &cancel, self.start_now(request, io, true)).await
    }

    async fn process(&self, job: Job, io: JobIo) -> Result<Report> {
        let (job, io) = match self.process_at_once(job, io)? {
            ControlFlow::Break(report) => return Ok(report),
            ControlFlow::Continue(later) => later,
        };
        let (limit, cancel) = (io.deadline, io.cancel.clone());
        // In a box of its own: a quick job need not find room for all that this one might need.
        let processed = Box::pin(self.process_now(job, io));
        deadline::within(limit, &cancel, processed).await
    }

    async fn stop(&self, session: &str) -> Result<Report> {
        let begin = Instant::now();
        if self.opened(session).is_none() && SessionDir::find(&self.root, session).is_err() {
            return Ok(Report::default());
        }
        // It makes room, so it may wait however many do.
        let open = match self.session(session, &Cancel::default(), true).await {
            Ok(open) => open,
            Err(error) => return self.remove(session, &error).await,
        };
        let info = open.engine.info();
        let ending = open.clone();
        let asking = Asking { always: true, ..open.asking() };
        let outcome = self
            .in_slot(asking, open.dir.scratch(), CallContext::default(), move |ctx| {
                ending.dir.end(|| ending.session.stop(ctx), ctx)
            })
            .await;
        // Not before: whoever asked for it meanwhile would have opened it again.
        self.open_sessions().remove(session);
        let outcome = outcome?;
        Ok(Report {
            id: session.to_owned(),
            accelerator: info.name.to_string(),
            engine: info.engine.to_string(),
            specific: outcome.specific,
            app: outcome.app,
            profiling: Profiling::new(begin.elapsed(), 0, 0),
            comparison: None,
        })
    }
}

/// Ends the work on a blocking thread when nobody waits for it any more.
struct CancelOnDrop(Option<Cancel>);

impl CancelOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}
