//! The agent: the client that runs jobs in this process.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::{Arc, Once};
use std::time::Instant;

use apyfal_core::{
    Cancel, Client, Error, ErrorKind, Input, Job, JobContext, JobIo, Outcome, Owner, Profiling,
    Report, Result, Scratch, Session, Start,
};
use apyfal_engines::{Registered, Registry};
use apyfal_storage::{Destination, Location, Storage};
use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use crate::deadline;
use crate::job::{CallContext, Caller};
use crate::root::Root;
use crate::session::SessionDir;
use crate::slots::{Asking, Held, Load, Scheduler};

mod fallback;
mod opened;
mod process;
mod quick;
mod start;

use opened::{OpenSession, starting};

/// What an agent is made of.
#[derive(Debug)]
pub struct AgentOptions {
    /// Where sessions live.
    pub root: Root,
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
/// use apyfal_agent::{Agent, AgentOptions, Root};
/// use apyfal_core::{Client, Input, Job, JobIo, Output, Start};
///
/// let agent = Agent::new(AgentOptions {
///     root: Root::Kept { path: root.into(), is_shared: true, room: Default::default() },
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
    root: Arc<Root>,
    registry: Registry,
    storage: Storage,
    scheduler: Scheduler,
    sessions: Mutex<Sessions>,
    swept: Once,
    /// On whose threads for blocking work engines run, where that is not the runtime of who asks.
    engines: Option<Handle>,
}

/// The sessions that are open here or about to be, by their ids. Of the many jobs that may come for
/// one that is not open yet, one opens it and the others wait.
type Sessions = HashMap<String, Arc<OnceCell<Arc<OpenSession>>>>;

impl Agent {
    /// An agent; nothing is read or made before the first call.
    pub fn new(options: AgentOptions) -> Self {
        let cores = options
            .threads
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        let scheduler = Scheduler::new(cores, options.max_waiting);
        for found in options.registry.iter() {
            let name = &found.info().name;
            // Of two with the same name only one is used.
            let Ok(used) = options.registry.find(name) else { continue };
            for engine in &used.info().engines {
                scheduler.declare(starting(name, engine, &Owner::Anyone));
            }
        }
        Self {
            root: Arc::new(options.root),
            registry: options.registry,
            storage: options.storage,
            scheduler,
            sessions: Mutex::default(),
            swept: Once::new(),
            engines: None,
        }
    }

    /// Runs engines on the threads that one runtime has for blocking work, whichever runtimes ask: each thread
    /// keeps what its engines need between jobs.
    #[must_use]
    pub fn with_engines_on(self, runtime: Handle) -> Self {
        Self { engines: Some(runtime), ..self }
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

    /// The accelerator of a session.
    ///
    /// # Errors
    /// There is no such session, or it cannot be opened again.
    pub async fn accelerator(&self, session: &str) -> Result<Arc<Registered>> {
        let io = JobIo::default();
        Ok(self.session(session, Caller::of(&io)).await?.accelerator.clone())
    }

    /// Returns once a session would survive a power failure.
    ///
    /// # Errors
    /// It is gone, or the system could not write it.
    pub async fn sync_session(&self, id: &str) -> Result<()> {
        let dir = SessionDir::find(&self.root, id)?;
        let synced = tokio::task::spawn_blocking(move || dir.sync()).await;
        synced.map_err(|panic| Error::new(ErrorKind::Internal, "syncing panicked").source(panic))?
    }

    /// What runs and waits now.
    pub fn load(&self) -> Load {
        self.scheduler.load()
    }

    /// Runs blocking work of an engine in one of its slots, with temporary files in `scratch`.
    ///
    /// Dropping the returned future cancels the work. While that waits for its data, others may have
    /// its slot.
    async fn in_slot<T: Send + 'static>(
        &self,
        asking: Asking<'_>,
        scratch: Scratch,
        call: CallContext,
        work: impl FnOnce(&JobContext) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let waiting = self.scheduler.slot(asking);
        let held = Held::new(call.cancel.or_cancelled(waiting).await?, asking);
        let guard = CancelOnDrop(Some(call.cancel.clone()));
        let work = move || {
            let held = held;
            call.cancel.check()?;
            work(&held.context(call.context(scratch, held.threads)))
        };
        let running = match &self.engines {
            Some(runtime) => runtime.spawn_blocking(work),
            None => tokio::task::spawn_blocking(work),
        };
        let result = running
            .await
            .map_err(|panic| Error::new(ErrorKind::Internal, "the engine panicked").source(panic));
        guard.disarm();
        result?
    }

    /// The session, opened again from disk where this process does not have it open.
    async fn session(&self, id: &str, caller: Caller<'_>) -> Result<Arc<OpenSession>> {
        match self.opened(id) {
            Some(session) => Ok(session),
            // It is seldom needed, and every job would carry the room for it.
            None => Box::pin(self.taken_up(id, caller)).await,
        }
    }

    /// The session, opened again from disk by whoever comes first.
    async fn taken_up(&self, id: &str, caller: Caller<'_>) -> Result<Arc<OpenSession>> {
        // Ids that mean nothing leave nothing.
        SessionDir::find(&self.root, id)?;
        if !self.root.is_shared() {
            // Before the first job, whose files would be taken for left behind.
            self.sweep();
        }
        let cell = self.open_sessions().entry(id.to_owned()).or_default().clone();
        let opening = cell.get_or_try_init(|| self.open_again(id, caller));
        let opened = caller.cancel.or_cancelled(opening).await.cloned();
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

    /// Opens a source that travelled as text.
    async fn source(&self, url: &str, cancel: &Cancel) -> Result<Input> {
        cancel.or_cancelled(self.storage.open_input(&not_the_clients(url)?)).await
    }

    /// Creates a destination that travelled as text.
    async fn destination(&self, url: &str, cancel: &Cancel) -> Result<Destination> {
        cancel.or_cancelled(self.storage.create_output(&not_the_clients(url)?)).await
    }

    /// Ends a session that cannot be opened, so that there is nothing that could be told.
    async fn remove(&self, id: &str, why: &Error) -> Result<Report> {
        let Ok(dir) = SessionDir::find(&self.root, id) else { return Ok(Report::default()) };
        let dir = Arc::new(dir);
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

    /// Ends a session once no job of it runs.
    async fn stop_later(&self, open: &Arc<OpenSession>, caller: Caller<'_>) -> Result<Outcome> {
        let helpers = self.helpers(open, caller).await;
        let ending = open.clone();
        let asking = open.asking(open.own.engine.info(), caller);
        let work = move |ctx: &JobContext| {
            let stop = || {
                let stopped = ending.own.session.stop(ctx);
                // All are stopped, whether or not the others went well.
                helpers.iter().fold(stopped, |stopped, helper| {
                    let helped = helper.session.stop(ctx);
                    stopped.and_then(|outcome| helped.map(|_| outcome))
                })
            };
            ending.dir.end(stop, ctx)
        };
        self.in_slot(asking, open.dir.scratch(), CallContext::default(), work).await
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
        let processed = Box::pin(self.process_and_tell(job, io));
        deadline::within(limit, &cancel, processed).await
    }

    async fn stop(&self, session: &str) -> Result<Report> {
        let begin = Instant::now();
        if self.opened(session).is_none() && SessionDir::find(&self.root, session).is_err() {
            return Ok(Report::default());
        }
        // It makes room, so it may wait however many do.
        let io = JobIo::default();
        let caller = Caller { always: true, ..Caller::of(&io) };
        let open = match self.session(session, caller).await {
            Ok(open) => open,
            Err(error) => return self.remove(session, &error).await,
        };
        let outcome = match self.stop_at_once(&open) {
            Some(outcome) => outcome,
            None => self.stop_later(&open, caller).await,
        };
        // Not before: whoever asked for it meanwhile would have opened it again.
        self.open_sessions().remove(session);
        let outcome = outcome?;
        let report = Report {
            id: session.to_owned(),
            specific: outcome.specific,
            app: outcome.app,
            profiling: Profiling::new(begin.elapsed(), 0, 0),
            ..Report::default()
        };
        Ok(open.signed(report, &open.own))
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
