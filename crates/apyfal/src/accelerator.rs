//! The accelerator: the three calls, wherever it runs.

mod defaults;
mod made;
mod open_session;

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use apyfal_client::{HostLoad, Remote};
use apyfal_core::{
    AcceleratorInfo, Cancel, Configuration, Error, ErrorKind, Input, Job, JobIo, JobParameters,
    Params, Report, Result, Start,
};
use apyfal_storage::Storage;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::OnceCell;

use crate::builder::AcceleratorBuilder;
use crate::call::{Call, End, Opened};
use crate::map::{self, BegunJob, JobHandle, ProcessMap};
use crate::place::Place;
pub(crate) use open_session::Admission;
use open_session::OpenSession;

/// An accelerated function, ready to be started and used. Clones are the same accelerator.
///
/// It runs on this machine, or on the hosts that its builder or configuration names. Several jobs
/// may be processed at once, up to the number of cores.
///
/// To be ended by [`stop`](Self::stop): dropping it removes its files, but a program or device that
/// was started for it is not told. A host that was made for it alone is given back all the same, as its stop
/// mode says: by a task of the runtime, whose end waits for it.
#[derive(Clone, Debug)]
pub struct Accelerator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// As it was asked for, by its name or one of the original's.
    asked: String,
    place: Place,
    storage: Storage,
    configuration: Configuration,
    /// The open session, where there is one.
    session: Mutex<Option<Arc<OpenSession>>>,
    /// One call at a time ends a session.
    ending: tokio::sync::Mutex<()>,
    /// What the configuration says of the parameters of `start` and of `process`.
    start_defaults: OnceCell<JobParameters>,
    process_defaults: OnceCell<JobParameters>,
}

impl Accelerator {
    /// Begins to make an accelerator, by its name or one of the original's.
    pub fn builder(name: impl Into<String>) -> AcceleratorBuilder {
        AcceleratorBuilder::new(name.into())
    }

    pub(crate) fn at(
        place: Place,
        asked: String,
        configuration: Configuration,
        storage: Storage,
        session: Option<String>,
    ) -> Self {
        Self(Arc::new(Inner {
            asked,
            place,
            storage,
            configuration,
            session: Mutex::new(session.map(|id| OpenSession::new(id, None))),
            ending: tokio::sync::Mutex::default(),
            start_defaults: OnceCell::new(),
            process_defaults: OnceCell::new(),
        }))
    }

    /// What it is and which parameters it takes. A host is asked for it once, by the first call that
    /// needs it.
    ///
    /// # Errors
    /// No host answers, or none has an accelerator of this name.
    pub async fn info(&self) -> Result<&AcceleratorInfo> {
        self.0.place.info(&self.0.asked).await
    }

    /// The same, before a [`start`](Self::start): where only its host knows, that is made now.
    ///
    /// # Errors
    /// As [`info`](Self::info), or its host cannot be made; [`undo_start`](Self::undo_start) ends that.
    pub async fn learn(&self, cancel: &Cancel) -> Result<&AcceleratorInfo> {
        if self.0.place.known().is_none() {
            self.make_host(cancel).await?;
        }
        cancel.or_cancelled(self.info()).await
    }

    /// What is odd about where it runs, for people; what is odd about the configuration is told by
    /// that.
    pub fn warnings(&self) -> &[String] {
        &self.0.place.warnings
    }

    /// What it is called, as far as that is known by now.
    fn name(&self) -> &str {
        self.0.place.known().map_or(&self.0.asked, |info| &info.name)
    }

    /// The hosts that it runs on; none where that is this machine.
    pub fn hosts(&self) -> Vec<Remote> {
        self.0.place.hosts()
    }

    /// What another process takes up the open session by.
    pub fn session(&self) -> Option<String> {
        let id = self.open_session().as_ref().map(|session| session.id.clone())?;
        self.0.place.remembered(&id)
    }

    /// The storages that its sources and destinations are opened from.
    pub fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// What each host of a pool has to do, in the order of [`hosts`](Self::hosts). Empty where there
    /// are not several.
    pub fn load(&self) -> Vec<HostLoad> {
        self.0.place.load()
    }

    /// Why no host can be used any more, where a job failed with this error since that is so: further
    /// ones would fail as well.
    pub fn lost(&self, error: &Error) -> Option<Error> {
        self.0.place.lost().filter(|reason| reason.kind() == error.kind())
    }

    /// Files of no more bytes are worked on sooner than handed to another thread, so several of them are worth one. 0
    /// where no job is so quick, as on a host.
    pub fn quick(&self) -> usize {
        // Where another engine might have to help, a job is not done within the call that begins it.
        match self.0.place.known().map(|info| &info.engines[..]) {
            Some([only]) if self.0.place.is_here() => only.quick,
            _ => 0,
        }
    }

    /// Among how many jobs under way a call like this one is of use; more would only wait.
    pub fn width(&self, call: &Call) -> usize {
        self.width_on(call.is_on_files())
    }

    /// The same, of a call whose data is in files of this machine.
    pub(crate) fn width_on(&self, files: bool) -> usize {
        // Until a host has told how much it can do, it gets one job.
        let width = self.0.place.about().map_or(1, |about| about.width);
        // An engine that takes batches runs about eight jobs on a core, and the next eight should
        // be open by then. Files can wait for that; streams would fill memory meanwhile. The bound
        // keeps the files well below the 1024 that a process may usually have open.
        if self.0.place.is_here() && files { width.max((8 * width).min(256)) } else { width }
    }

    /// Configures the accelerator and makes it ready for jobs. Called again, it configures anew.
    ///
    /// # Errors
    /// A parameter or the source is wrong, or the accelerator does not start. An earlier session
    /// then goes on.
    pub async fn start(&self, mut call: Call) -> Result<Report> {
        let inner = &*self.0;
        // Its own: a call that is dropped ends no other one that shares the caller's switch.
        let cancel = call.cancel.child();
        let info = self.learn(&cancel).await?;
        let defaults = self.defaults(&inner.start_defaults, "configuration").await?;
        let mut parameters = call.resolve(defaults, &inner.storage, "datafile", None).await?;
        self.check_engine(&parameters)?;
        // It is told here: to whom they are sent it means nothing.
        let unread = std::mem::take(&mut parameters.unread);
        let mut io = JobIo { cancel: cancel.clone(), progress: call.progress, ..JobIo::default() };
        let AcceleratorInfo { name, params, .. } = info;
        let checked = Params::check(name, params, None, &parameters.specific);
        // A host is not made for what it would refuse.
        let params = match inner.place.made_host().is_some() {
            true => Some(checked.map_err(|error| unread.hint(error))?),
            false => checked.ok(),
        };
        let mut request = Start { accelerator: name.to_string(), parameters, src: None };
        (io.src, request.src) = cancel.or_cancelled(self.source(call.src)).await?;
        let started = inner.place.client.start(request, io).await;
        let mut session = started.map_err(|error| unread.hint(error))?;
        unread.tell(&mut session.report);
        let _alone = inner.ending.lock().await;
        let earlier = self.open_session().replace(OpenSession::new(session.id, params));
        if let Some(earlier) = earlier {
            earlier.idle().await;
            inner.place.client.stop(&earlier.id).await?;
        }
        Ok(session.report)
    }

    /// The parameters that jobs of such a call will have, those of the configuration included: read
    /// once, and checked before the first job. To be given to [`Call::checked`].
    ///
    /// # Errors
    /// One is unknown, or its value is wrong; or what holds them cannot be read.
    pub async fn check(&self, mut call: Call) -> Result<JobParameters> {
        let Inner { storage, process_defaults, .. } = &*self.0;
        let info = self.info().await?;
        let defaults = self.defaults(process_defaults, "process").await?;
        let parameters = call.resolve(defaults, storage, "file_in", Some("file_out")).await?;
        self.check_engine(&parameters)?;
        let start = self.open_session().as_ref().and_then(|session| session.params.clone());
        Params::check(&info.name, &info.params, start.as_ref(), &parameters.specific)
            .map_err(|error| parameters.unread.hint(error))?;
        Ok(parameters)
    }

    /// Runs one job. Dropping the future ends the job.
    ///
    /// # Errors
    /// The job failed. A destination that is a URL is then as it was before.
    pub async fn process(&self, call: Call) -> Result<Report> {
        let admission = self.admit()?;
        self.run(&admission, call).await
    }

    /// Lets a job use the open session; from then on stopping waits for it.
    pub(crate) fn admit(&self) -> Result<Admission> {
        let admission = self.open_session().as_ref().and_then(OpenSession::admit);
        admission.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, format!("{} is not started", self.name()))
                .hint("call start first")
        })
    }

    /// Refuses an engine that it does not have: a host of a version that knows of one alone would use that
    /// one. Which engines a host has that is not there yet only that can say.
    fn check_engine(&self, parameters: &JobParameters) -> Result<()> {
        match (&parameters.engine, self.0.place.about()) {
            (Some(name), Some(about)) => about.info.engine(name).map(drop),
            _ => Ok(()),
        }
    }

    fn open_session(&self) -> MutexGuard<'_, Option<Arc<OpenSession>>> {
        self.0.session.lock()
    }

    /// Runs a job that was admitted.
    pub(crate) async fn run(&self, admission: &Admission, mut call: Call) -> Result<Report> {
        let inner = &*self.0;
        let session = admission.session().to_owned();
        // Its own: a job that is dropped ends no other one that shares the caller's switch.
        let cancel = call.cancel.child();
        let info = cancel.or_cancelled(self.info()).await?;
        let defaults = self.defaults(&inner.process_defaults, "process").await?;
        let resolving = call.resolve(defaults, &inner.storage, "file_in", Some("file_out"));
        let mut parameters = cancel.or_cancelled(resolving).await?;
        self.check_engine(&parameters)?;
        let mut io = JobIo { cancel: cancel.clone(), progress: call.progress, ..JobIo::default() };
        let unread = std::mem::take(&mut parameters.unread);
        let mut job = Job { session, parameters, ..Job::default() };
        let mut destination = None;
        let src = call.src.as_ref().and_then(End::unopened);
        let run = async {
            (io.src, job.src) = cancel.or_cancelled(self.source(call.src)).await?;
            match call.dst.map(End::opened).transpose()? {
                None => {}
                Some(Opened::Already(output)) => io.dst = Some(output),
                Some(Opened::There(url)) => job.dst = Some(url),
                Some(Opened::Here(location)) => {
                    let creating = inner.storage.create_output(&location);
                    let mut created = cancel.or_cancelled(creating).await?;
                    io.dst = created.take_output();
                    destination = Some(created);
                }
            }
            if let (Some(src), Some(dst)) = (&io.src, &io.dst) {
                dst.check_apart_from(src)?;
            }
            let processed = inner.place.client.process(job, io).await;
            match destination {
                Some(destination) => {
                    let (mut report, placed) = destination.settle(processed, &cancel).await?;
                    report.tell_of_destination(placed.note());
                    Ok(report)
                }
                None => processed,
            }
        };
        match run.await {
            Ok(mut report) => {
                unread.tell(&mut report);
                Ok(report)
            }
            Err(error) => Err(unread.hint(error).operation(describe(info, src))),
        }
    }

    /// Runs one job within this call where its data is in memory and it has to wait for nothing, as small ones of
    /// this machine: handing one to another thread takes longer than the job. Else what is left of it is
    /// given back. To be called within a tokio runtime.
    pub fn process_at_once(&self, call: Call) -> ControlFlow<Result<Report>, BegunJob> {
        map::at_once(self.clone(), call)
    }

    /// A job that has begun for whoever stops, and does nothing until it is awaited.
    pub fn process_later(&self, call: Call) -> BegunJob {
        map::later(self.clone(), call)
    }

    /// Runs one job in the background. To be called within a tokio runtime.
    pub fn process_submit(&self, call: Call) -> JobHandle {
        JobHandle::spawn(self.clone(), call)
    }

    /// Runs many jobs, several at a time, and gives their reports in the order of the calls. To be
    /// called within a tokio runtime.
    pub fn process_map<Calls: IntoIterator<Item = Call>>(
        &self,
        calls: Calls,
    ) -> ProcessMap<Calls::IntoIter> {
        ProcessMap::new(self.clone(), calls.into_iter())
    }

    /// The open session, which gets no more jobs.
    fn close_session(&self) -> Option<Arc<OpenSession>> {
        let open = self.open_session();
        let session = open.as_ref()?;
        session.close();
        Some(session.clone())
    }

    /// Ends the session, after its running jobs, and with it the host that was made for it, as
    /// `stop_mode` says. Without either it does nothing. One that is dropped before it is done can be
    /// called again.
    ///
    /// # Errors
    /// The accelerator's program or device could not be stopped in order, or the host has not ended.
    pub async fn stop(&self) -> Result<Report> {
        let Some(made) = self.0.place.made_host() else { return self.stop_session().await };
        let report = match made.outlives() {
            // Where the host ends, so does all that is on it.
            false => {
                if let Some(session) = self.close_session() {
                    session.idle().await;
                }
                Ok(Report::default())
            }
            true => match self.stop_session().await {
                // It may have ended before.
                Err(error) if self.is_without_host(&error) => Ok(Report::default()),
                stopped => stopped,
            },
        };
        self.open_session().take();
        // Whatever became of the session: a host costs.
        made.end().await?;
        report
    }

    /// Whether an error says no more than that the host is gone.
    fn is_without_host(&self, error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Conflict)
    }

    /// Ends the session, after its running jobs, and leaves a host that was made for it.
    ///
    /// # Errors
    /// The accelerator's program or device could not be stopped in order.
    pub async fn stop_session(&self) -> Result<Report> {
        if self.open_session().is_none() {
            return Ok(Report::default());
        }
        // Several hosts are told apart by whether they answer.
        if self.0.place.known().is_none() {
            self.info().await?;
        }
        // Who comes second finds it stopped.
        let _alone = self.0.ending.lock().await;
        let Some(session) = self.close_session() else { return Ok(Report::default()) };
        session.idle().await;
        let stopped = self.0.place.client.stop(&session.id).await;
        // Not before: until then whoever is interrupted can stop it again.
        self.open_session().take();
        stopped
    }

    /// Opens the source here where it is the caller's own, else leaves it to the host.
    async fn source(&self, src: Option<End<Input>>) -> Result<(Option<Input>, Option<String>)> {
        match src.map(End::opened).transpose()? {
            None => Ok((None, None)),
            Some(Opened::Already(input)) => Ok((Some(input), None)),
            Some(Opened::There(url)) => Ok((None, Some(url))),
            Some(Opened::Here(location)) => {
                Ok((Some(self.0.storage.open_input(&location).await?), None))
            }
        }
    }
}

/// What a job does, for its errors: `gzip 'a.txt'`.
fn describe(info: &AcceleratorInfo, src: Option<End<Infallible>>) -> String {
    match src.as_ref().and_then(End::name) {
        Some(name) => format!("run {} on '{name}'", info.name),
        None => format!("run {}", info.name),
    }
}
