//! Hosts that are processes of this machine: to try out what a cloud would be used for, and to test
//! it. What it costs is memory.
//!
//! Each is a directory below one that is the cloud, and a process `apyfal serve` with an address of
//! its own on the loopback network (`127.0.0.0/8`). It begins as a machine in a cloud does: with what
//! it is told, waiting for its first contact; and where the process ends, since its lease ran out, the
//! machine is off.

mod machine;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use apyfal_machine::lock::Lock;
use apyfal_machine::private;
use async_trait::async_trait;

use crate::provider::{HostFilter, Instance, InstanceId, Provider, ProviderInfo};
use crate::spec::{AtShutdown, Boot, HostSpec, Prepared, Request, Token};
use machine::{SimMachine, Wanted};

/// Makes hosts out of processes of this machine.
#[derive(Debug)]
pub struct Sim {
    info: ProviderInfo,
    directory: PathBuf,
    program: PathBuf,
    /// At which step this process is killed, for tests: the steps are before and after each change.
    kill_at: Option<u64>,
    steps: AtomicU64,
}

impl Sim {
    /// What users call it.
    pub const NAME: &str = "sim";

    /// The cloud in a directory, whose hosts run `program`: the binary `apyfal`.
    pub fn new(directory: impl Into<PathBuf>, program: impl Into<PathBuf>) -> Self {
        Self {
            info: ProviderInfo::new(Self::NAME),
            directory: directory.into(),
            program: program.into(),
            kill_at: None,
            steps: AtomicU64::new(0),
        }
    }

    /// Has this process killed at a step: before or after one of the changes that it asks for.
    #[must_use]
    pub fn kill_at(self, step: Option<u64>) -> Self {
        Self { kill_at: step, ..self }
    }

    /// Changes something, one process at a time.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Cloud) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.step();
        let changed = self.look(change).await;
        self.step();
        changed
    }

    /// Looks at the machines, with nobody changing them meanwhile.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Cloud) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let cloud = Cloud { directory: self.directory.clone(), program: self.program.clone() };
        let looking = tokio::task::spawn_blocking(move || {
            let making = |error| Error::from(error).operation("make a cloud of processes");
            private::make_directory(&cloud.directory.join("instances")).map_err(making)?;
            let _alone = Lock::wait(&cloud.directory.join("lock"), &Cancel::default())?;
            look(&cloud)
        });
        looking.await.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?
    }

    fn step(&self) {
        let step = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        if self.kill_at == Some(step) {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        }
    }
}

/// The machines of a directory, while nobody else changes them.
struct Cloud {
    directory: PathBuf,
    program: PathBuf,
}

impl Cloud {
    fn path(&self, id: &InstanceId) -> PathBuf {
        self.directory.join("instances").join(&id.0)
    }

    /// A machine, brought to where it is by now.
    fn machine(&self, id: &InstanceId) -> Result<Option<SimMachine>> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !id.0.chars().all(is_name) {
            return Ok(None);
        }
        let Some(mut machine) = SimMachine::read(&self.path(id))? else { return Ok(None) };
        machine.go_on(&self.program)?;
        Ok(Some(machine))
    }

    fn existing(&self, id: &InstanceId) -> Result<SimMachine> {
        self.machine(id)?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no instance '{id}'")))
    }

    fn all(&self) -> Result<Vec<SimMachine>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.directory.join("instances"))?.flatten() {
            let id = InstanceId(entry.file_name().to_string_lossy().into_owned());
            found.extend(self.machine(&id)?);
        }
        found.sort_by(|one, other| one.created().total_cmp(&other.created()));
        Ok(found)
    }
}

/// The name of the machine of a token.
fn id(token: &Token) -> InstanceId {
    let mut name = String::from("sim-");
    name.extend(token.0.chars().filter(char::is_ascii_alphanumeric));
    InstanceId(name)
}

#[async_trait]
impl Provider for Sim {
    fn info(&self) -> &ProviderInfo {
        &self.info
    }

    async fn prepare(&self, spec: &HostSpec, _held: &[String]) -> Result<Prepared> {
        match spec.boot {
            Boot::Files(_) => Request::of(spec).map(Prepared::from),
            Boot::Script(_) => Err(Error::new(ErrorKind::Usage, "its machines run no script")
                .operation("make a host of type sim")),
        }
    }

    async fn create(&self, request: &Request, token: &Token) -> Result<InstanceId> {
        let (spec, token) = (request.read::<HostSpec>()?, token.clone());
        let create = move |cloud: &Cloud| {
            let id = id(&token);
            match cloud.machine(&id)? {
                Some(machine) if machine.is_of(&spec) => {}
                Some(_) => {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        "the token was used for another request",
                    ));
                }
                None => {
                    SimMachine::make(&cloud.path(&id), &id, &spec, &token)?;
                    cloud.machine(&id)?;
                }
            }
            Ok(id)
        };
        self.change(create).await.map_err(|error| error.operation("make a host of type sim"))
    }

    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        let id = id.clone();
        self.look(move |cloud| Ok(cloud.machine(&id)?.map(|machine| machine.instance()))).await
    }

    async fn list(&self, filter: &HostFilter) -> Result<Vec<Instance>> {
        let HostFilter { installation, token } = filter.clone();
        let list = move |cloud: &Cloud| {
            let is_meant = |machine: &SimMachine| {
                installation.as_ref().is_none_or(|installation| machine.is_by(installation))
                    && token.as_ref().is_none_or(|token| machine.is_asked_by(token))
            };
            let all = cloud.all()?.into_iter().filter(is_meant);
            Ok(all.map(|machine| machine.instance()).collect())
        };
        self.look(list).await
    }

    async fn start(&self, id: &InstanceId) -> Result<()> {
        let id = id.clone();
        self.change(move |cloud| cloud.existing(&id)?.want(Wanted::Running, &cloud.program)).await
    }

    async fn stop(&self, id: &InstanceId) -> Result<()> {
        let id = id.clone();
        self.change(move |cloud| cloud.existing(&id)?.want(Wanted::Stopped, &cloud.program)).await
    }

    async fn terminate(&self, id: &InstanceId) -> Result<()> {
        let id = id.clone();
        let terminate = move |cloud: &Cloud| match cloud.machine(&id)? {
            Some(mut machine) => machine.want(Wanted::Ended, &cloud.program),
            None => Ok(()),
        };
        self.change(terminate).await
    }

    async fn set_at_shutdown(&self, id: &InstanceId, mode: AtShutdown) -> Result<()> {
        let id = id.clone();
        self.change(move |cloud| cloud.existing(&id)?.set_at_shutdown(mode)).await
    }

    async fn console(&self, id: &InstanceId) -> Result<Option<String>> {
        let id = id.clone();
        let console = move |cloud: &Cloud| {
            let log = cloud.path(&id).join("log");
            Ok(std::fs::read(&log).ok().map(|said| tail(&said)))
        };
        self.look(console).await
    }
}

/// The last lines of what a machine said.
fn tail(said: &[u8]) -> String {
    const LINES: usize = 20;
    let said = String::from_utf8_lossy(said);
    let lines: Vec<_> = said.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// What a directory of a machine has, which only its owner may read.
fn write(path: &Path, text: &str) -> Result<()> {
    private::replace(path, text.as_bytes())
        .map_err(|error| Error::from(error).operation(format!("write '{}'", path.display())))
}
