//! The accelerator: the three calls, wherever it runs.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use apyfal_agent::{Agent, AgentOptions};
use apyfal_client::{HostLoad, Pool, Remote, RemoteOptions};
use apyfal_core::{
    Client, Configuration, EngineInfo, Error, ErrorKind, Input, Job, JobIo, JobParameters, Params,
    Report, Result, Start,
};
use apyfal_package::Store;
use apyfal_storage::{Location, Storage};
use tokio::sync::{OnceCell, watch};

use crate::Devices;
use crate::call::{Call, End};
use crate::configuration::{self, Environment};
use crate::map::{JobHandle, ProcessMap};
use crate::temporary::Temporary;

/// An accelerated function, ready to be started and used. Clones are the same accelerator.
///
/// It runs on this machine, or on the hosts that its builder or configuration names. Several jobs
/// may be processed at once, up to the number of cores.
///
/// To be ended by [`stop`](Self::stop): dropping it removes its files, but a program or device that
/// was started for it is not told.
#[derive(Clone, Debug)]
pub struct Accelerator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    info: EngineInfo,
    client: Arc<dyn Client>,
    /// The host, where it is a single one; or the hosts.
    hosts: Hosts,
    storage: Storage,
    configuration: Configuration,
    /// The open session, where there is one.
    session: Mutex<Option<Arc<OpenSession>>>,
    /// What the configuration says of the parameters of `start` and of `process`.
    start_defaults: OnceCell<JobParameters>,
    process_defaults: OnceCell<JobParameters>,
    /// How many jobs are of use at once.
    width: usize,
    /// Removed with the accelerator, where its sessions need not outlive it.
    _root: Option<Temporary>,
}

/// Where an accelerator runs.
#[derive(Debug)]
enum Hosts {
    Here,
    One(Remote),
    Pool(Arc<Pool>),
}

/// A session and how many of our jobs use it.
#[derive(Debug)]
struct OpenSession {
    id: String,
    /// What it was started with, where it was here.
    params: Option<Params>,
    jobs: watch::Sender<usize>,
}

impl OpenSession {
    fn new(id: String, params: Option<Params>) -> Arc<Self> {
        Arc::new(Self { id, params, jobs: watch::Sender::new(0) })
    }

    /// Waits until no job uses it.
    async fn idle(&self) {
        // The sender lives in self, so this cannot fail.
        let _ = self.jobs.subscribe().wait_for(|jobs| *jobs == 0).await;
    }
}

/// A job that may use its session: stopping waits for it.
#[derive(Debug)]
pub(crate) struct Admission(Arc<OpenSession>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.jobs.send_modify(|jobs| *jobs -= 1);
    }
}

/// Makes an [`Accelerator`].
#[derive(Debug)]
pub struct AcceleratorBuilder {
    name: String,
    configuration: Configuration,
    storage: Option<Storage>,
    root: Option<PathBuf>,
    session: Option<String>,
    threads: Option<NonZeroUsize>,
    hosts: Option<Vec<RemoteOptions>>,
    packages: Vec<Store>,
    devices: Devices,
    environment: Environment,
}

impl AcceleratorBuilder {
    /// Uses the settings of a configuration; without one all defaults hold.
    #[must_use]
    pub fn configuration(mut self, configuration: Configuration) -> Self {
        self.configuration = configuration;
        self
    }

    /// The user's home directory, for which `~` stands in the configuration.
    #[must_use]
    pub fn home(mut self, home: impl Into<PathBuf>) -> Self {
        self.environment.home = Some(home.into());
        self
    }

    /// The surroundings of the process: its home directory, its proxies, and what the tools of AWS
    /// would use. Without them there are none: no library looks at them by itself.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Uses these storages instead of those of the configuration.
    #[must_use]
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Keeps the session under this directory, so that it outlives the process. Without it the
    /// session ends with the accelerator.
    #[must_use]
    pub fn root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = Some(root.into());
        self
    }

    /// Takes up a session that was started before under the same [`root`](Self::root), or on the same
    /// hosts. The id is what [`Accelerator::session`] gave.
    #[must_use]
    pub fn session(mut self, id: impl Into<String>) -> Self {
        self.session = Some(id.into());
        self
    }

    /// Keeps at most this many cores busy.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Uses the accelerators of these packages too. Of two stores that have one the later is used.
    #[must_use]
    pub fn packages(mut self, packages: impl IntoIterator<Item = Store>) -> Self {
        self.packages.extend(packages);
        self
    }

    /// Runs accelerators of packages on these devices, where they have images for one.
    #[must_use]
    pub fn devices(mut self, devices: Devices) -> Self {
        self.devices = devices;
        self
    }

    /// Runs it on a host, instead of where the configuration says.
    #[must_use]
    pub fn host(self, host: RemoteOptions) -> Self {
        self.hosts([host])
    }

    /// Runs it on several hosts, as one; on this machine where there are none.
    #[must_use]
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = RemoteOptions>) -> Self {
        self.hosts = Some(hosts.into_iter().collect());
        self
    }

    /// Makes the accelerator; nothing runs before [`Accelerator::start`].
    ///
    /// # Errors
    /// There is no accelerator of this name, the configuration is wrong, or no host answers.
    pub async fn build(mut self) -> Result<Accelerator> {
        let hosts = match self.hosts.take() {
            Some(hosts) => hosts,
            None => configuration::hosts(&self.configuration, self.environment.home.as_deref())?,
        };
        let storage = match self.storage.take() {
            Some(storage) => storage,
            None => configuration::storage(&self.configuration, &self.environment)?,
        };
        let is_known = self.session.is_some();
        let mut hosts: Vec<_> =
            hosts.into_iter().map(|host| RemoteOptions { is_known, ..host }).collect();
        let client = match (hosts.pop(), hosts.is_empty()) {
            (None, _) => self.here(storage.clone())?,
            (Some(host), true) => {
                let remote = Remote::new(host)?;
                let (info, about) =
                    tokio::try_join!(remote.accelerator(&self.name), remote.host())?;
                Made {
                    info,
                    client: Arc::new(remote.clone()),
                    hosts: Hosts::One(remote),
                    width: 2 * about.cores,
                    root: None,
                }
            }
            (Some(last), false) => {
                hosts.push(last);
                let pool = Arc::new(Pool::new(hosts)?);
                if let Some(session) = &mut self.session {
                    *session = pool.take_up(session)?;
                }
                let (info, width) = pool.accelerator(&self.name).await?;
                Made { info, client: pool.clone(), hosts: Hosts::Pool(pool), width, root: None }
            }
        };
        let Made { info, client, hosts, width, root } = client;
        Ok(Accelerator(Arc::new(Inner {
            info,
            client,
            hosts,
            storage,
            configuration: self.configuration,
            session: Mutex::new(self.session.map(|id| OpenSession::new(id, None))),
            start_defaults: OnceCell::new(),
            process_defaults: OnceCell::new(),
            width,
            _root: root,
        })))
    }

    /// The agent of this machine.
    fn here(&mut self, storage: Storage) -> Result<Made> {
        let registry = configuration::registry(
            &self.configuration,
            &self.packages,
            &self.devices,
            self.environment.home.as_deref(),
        )?;
        let info = registry.find(&self.name)?.info().clone();
        let (root, temporary) = match self.root.take() {
            Some(root) => (root, None),
            None => {
                let place = std::env::temp_dir();
                let folder = Temporary::below(&place).map_err(|error| {
                    Error::from(error)
                        .operation(format!("make a directory in '{}'", place.display()))
                        .hint("name a directory that can be written in TMPDIR")
                })?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok());
        let agent =
            AgentOptions { root, is_shared: true, registry, storage, threads, max_waiting: None };
        Ok(Made {
            info,
            client: Arc::new(Agent::new(agent)),
            hosts: Hosts::Here,
            // Twice the cores, so that the next job is open when a core becomes free.
            width: 2 * threads.map_or(2, NonZeroUsize::get),
            root: temporary,
        })
    }
}

/// Where an accelerator runs, and what it is there.
struct Made {
    info: EngineInfo,
    client: Arc<dyn Client>,
    hosts: Hosts,
    width: usize,
    root: Option<Temporary>,
}

impl Accelerator {
    /// Begins to make an accelerator, by its name or one of the original's.
    pub fn builder(name: impl Into<String>) -> AcceleratorBuilder {
        AcceleratorBuilder {
            name: name.into(),
            configuration: Configuration::default(),
            storage: None,
            root: None,
            session: None,
            threads: None,
            hosts: None,
            packages: Vec::new(),
            devices: Devices::none(),
            environment: Environment::default(),
        }
    }

    /// What it is and which parameters it takes.
    pub fn info(&self) -> &EngineInfo {
        &self.0.info
    }

    /// The hosts that it runs on; none where that is this machine.
    pub fn hosts(&self) -> Vec<Remote> {
        match &self.0.hosts {
            Hosts::Here => Vec::new(),
            Hosts::One(remote) => vec![remote.clone()],
            Hosts::Pool(pool) => pool.hosts().cloned().collect(),
        }
    }

    /// What another process takes up the open session by.
    pub fn session(&self) -> Option<String> {
        let id = self.open_session().as_ref().map(|session| session.id.clone())?;
        match &self.0.hosts {
            Hosts::Here | Hosts::One(_) => Some(id),
            Hosts::Pool(pool) => pool.remembered(&id),
        }
    }

    /// The storages that its sources and destinations are opened from.
    pub fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// What each host of a pool has to do, in the order of [`hosts`](Self::hosts). Empty where there
    /// are not several.
    pub fn load(&self) -> Vec<HostLoad> {
        match &self.0.hosts {
            Hosts::Pool(pool) => pool.load(),
            Hosts::Here | Hosts::One(_) => Vec::new(),
        }
    }

    /// Why no host can be used any more, where a job failed with this error since that is so: further
    /// ones would fail as well.
    pub fn lost(&self, error: &Error) -> Option<Error> {
        let reason = match &self.0.hosts {
            Hosts::Here => None,
            Hosts::One(remote) => remote.lost(),
            Hosts::Pool(pool) => pool.lost(),
        };
        reason.filter(|reason| reason.kind() == error.kind())
    }

    /// Among how many jobs under way a call like this one is of use; more would only wait.
    pub fn width(&self, call: &Call) -> usize {
        let width = self.0.width;
        // An engine that takes batches runs about eight jobs on a core, and the next eight should
        // be open by then. Files can wait for that; streams would fill memory meanwhile. The bound
        // keeps the files well below the 1024 that a process may usually have open.
        let is_here = matches!(self.0.hosts, Hosts::Here);
        if is_here && call.is_on_files() { width.max((8 * width).min(256)) } else { width }
    }

    /// Configures the accelerator and makes it ready for jobs. Called again, it configures anew.
    ///
    /// # Errors
    /// A parameter or the source is wrong, or the accelerator does not start. An earlier session
    /// then goes on.
    pub async fn start(&self, mut call: Call) -> Result<Report> {
        let inner = &*self.0;
        let defaults = self.defaults(&inner.start_defaults, "configuration").await?;
        let parameters = call.resolve(defaults, &inner.storage, "datafile", None).await?;
        // Its own: a call that is dropped ends no other one that shares the caller's switch.
        let cancel = call.cancel.child();
        let mut io = JobIo { cancel: cancel.clone(), progress: call.progress, ..JobIo::default() };
        let EngineInfo { name, params, .. } = &inner.info;
        let params = Params::check(name, params, None, &parameters.specific).ok();
        let mut request = Start { accelerator: name.to_string(), parameters, src: None };
        (io.src, request.src) = cancel.or_cancelled(self.source(call.src)).await?;
        let session = inner.client.start(request, io).await?;
        let earlier = self.open_session().replace(OpenSession::new(session.id, params));
        if let Some(earlier) = earlier {
            earlier.idle().await;
            inner.client.stop(&earlier.id).await?;
        }
        Ok(session.report)
    }

    /// The parameters that jobs of such a call will have, those of the configuration included: read
    /// once, and checked before the first job. To be given to [`Call::checked`].
    ///
    /// # Errors
    /// One is unknown, or its value is wrong; or what holds them cannot be read.
    pub async fn check(&self, mut call: Call) -> Result<JobParameters> {
        let Inner { info, storage, process_defaults, .. } = &*self.0;
        let defaults = self.defaults(process_defaults, "process").await?;
        let parameters = call.resolve(defaults, storage, "file_in", Some("file_out")).await?;
        let start = self.open_session().as_ref().and_then(|session| session.params.clone());
        Params::check(&info.name, &info.params, start.as_ref(), &parameters.specific)?;
        Ok(parameters)
    }

    /// Runs one job. Dropping the future ends the job.
    ///
    /// # Errors
    /// The job failed. A destination that is a URL is then as it was before.
    pub async fn process(&self, call: Call) -> Result<Report> {
        self.run(self.admit()?, call).await
    }

    /// Lets a job use the open session; from then on stopping waits for it.
    pub(crate) fn admit(&self) -> Result<Admission> {
        let open = self.open_session();
        let session = open.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Conflict, format!("{} is not started", self.0.info.name))
                .hint("call start first")
        })?;
        session.jobs.send_modify(|jobs| *jobs += 1);
        Ok(Admission(session.clone()))
    }

    fn open_session(&self) -> MutexGuard<'_, Option<Arc<OpenSession>>> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a job that was admitted.
    pub(crate) async fn run(&self, admission: Admission, mut call: Call) -> Result<Report> {
        let inner = &*self.0;
        let session = admission.0.id.clone();
        let defaults = self.defaults(&inner.process_defaults, "process").await?;
        // Its own: a job that is dropped ends no other one that shares the caller's switch.
        let cancel = call.cancel.child();
        let resolving = call.resolve(defaults, &inner.storage, "file_in", Some("file_out"));
        let parameters = cancel.or_cancelled(resolving).await?;
        let mut io = JobIo { cancel: cancel.clone(), progress: call.progress, ..JobIo::default() };
        let mut job = Job { session, parameters, ..Job::default() };
        let mut destination = None;
        let operation = describe(&inner.info, call.src.as_ref());
        let run = async {
            (io.src, job.src) = cancel.or_cancelled(self.source(call.src)).await?;
            match call.dst {
                None => {}
                Some(End::Stream(output)) => io.dst = Some(output),
                Some(End::Url(url)) => {
                    let location = Location::parse(&url)?;
                    if location.is_local() {
                        let creating = inner.storage.create_output(&location);
                        let mut created = cancel.or_cancelled(creating).await?;
                        io.dst = created.take_output();
                        destination = Some(created);
                    } else {
                        job.dst = Some(url);
                    }
                }
            }
            if let (Some(src), Some(dst)) = (&io.src, &io.dst) {
                dst.check_apart_from(src)?;
            }
            let processed = inner.client.process(job, io).await;
            match destination {
                Some(destination) => {
                    let (mut report, placed) = destination.settle(processed, &cancel).await?;
                    report.tell_of_destination(placed.note());
                    Ok(report)
                }
                None => processed,
            }
        };
        run.await.map_err(|error: Error| error.operation(operation))
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

    /// Ends the session, after its running jobs. Without a session it does nothing.
    ///
    /// # Errors
    /// The accelerator's program or device could not be stopped in order.
    pub async fn stop(&self) -> Result<Report> {
        let session = self.open_session().take();
        match session {
            Some(session) => {
                session.idle().await;
                self.0.client.stop(&session.id).await
            }
            None => Ok(Report::default()),
        }
    }

    /// Opens the source here where it is the caller's own, else leaves it to the host.
    async fn source(&self, src: Option<End<Input>>) -> Result<(Option<Input>, Option<String>)> {
        match src {
            None => Ok((None, None)),
            Some(End::Stream(input)) => Ok((Some(input), None)),
            Some(End::Url(url)) => {
                let location = Location::parse(&url)?;
                if location.is_local() {
                    Ok((Some(self.0.storage.open_input(&location).await?), None))
                } else {
                    Ok((None, Some(url)))
                }
            }
        }
    }

    /// What the configuration says of the parameters of `start` or `process`.
    ///
    /// Read once, since a full set of them may be in a file far away.
    async fn defaults(
        &self,
        read: &OnceCell<JobParameters>,
        section: &str,
    ) -> Result<JobParameters> {
        let Inner { configuration, info, storage, .. } = &*self.0;
        let read = read
            .get_or_try_init(|| configuration::parameters(configuration, section, info, storage));
        read.await.cloned()
    }
}

/// What a job does, for its errors: `gzip 'a.txt'`.
fn describe(info: &EngineInfo, src: Option<&End<Input>>) -> String {
    match src {
        Some(End::Url(url)) => match Location::parse(url) {
            Ok(location) => format!("run {} on '{location}'", info.name),
            Err(_) => format!("run {}", info.name),
        },
        _ => format!("run {}", info.name),
    }
}
