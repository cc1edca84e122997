//! Where an accelerator runs. All that decide it meet here and nowhere else: the configuration, the
//! surroundings of the process, and what the caller said.
//!
//! Deciding contacts nobody. What the accelerator is like on a host is asked once, when it is first
//! needed.

use std::num::NonZeroUsize;
use std::sync::Arc;

use apyfal_agent::{Agent, AgentOptions, Root, Temporary};
use apyfal_client::{HostLoad, Pool, Remote, RemoteOptions};
use apyfal_core::{AcceleratorInfo, Client, Configuration, Error, ErrorKind, Result};
use apyfal_engines::Registry;
use apyfal_storage::Storage;
use tokio::sync::OnceCell;

use crate::builder::AcceleratorBuilder;
use crate::configuration;
use crate::devices::Devices;
use crate::made::{MadeHost, makes};
use crate::surroundings::Surroundings;

/// No job keeps more cores busy, whatever is asked for: each costs memory, whether or not there is one.
const MOST_THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// Where an accelerator runs: who runs its jobs, and what is known of it there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) client: Arc<dyn Client>,
    hosts: Hosts,
    /// Known from the beginning of what runs here, else told by a host.
    about: OnceCell<About>,
    /// What stands for that until a host that is to be made is there.
    expected: Option<AcceleratorInfo>,
    /// Whether there is a session of before, and so the host that was made for it.
    has_session: bool,
    /// What is odd about it.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug)]
enum Hosts {
    Here,
    One(Remote),
    Pool(Arc<Pool>),
    Made(MadeHost),
}

/// What an accelerator is where it runs.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) info: AcceleratorInfo,
    /// How many jobs are of use at once.
    pub(crate) width: usize,
}

/// The hosts that jobs go to.
#[derive(Clone, Debug, Default)]
pub struct ChosenHosts {
    /// How to use each; none where jobs run on this machine, or on a host that is made.
    pub hosts: Vec<RemoteOptions>,
    /// The type of the host that is made, where one is.
    pub made: Option<String>,
    /// What is odd about that.
    pub warning: Option<String>,
}

impl ChosenHosts {
    /// Those that a configuration names, unless jobs run on this machine.
    ///
    /// # Errors
    /// The configuration is wrong, or this machine might be the host that is meant, and was not made
    /// one.
    pub fn of(configuration: &Configuration, surroundings: &Surroundings) -> Result<Self> {
        let hosts = configuration::hosts(configuration, surroundings.home())?;
        let section = configuration.section("host");
        let host_type = section.get("host_type")?.unwrap_or_default();
        let is_away = !host_type.is_empty() && !host_type.eq_ignore_ascii_case("localhost");
        if !hosts.is_empty() || !is_away {
            return Ok(Self { hosts, ..Self::default() });
        }
        let prefers = section.get_bool("prefer_self_hosted")?.unwrap_or(true);
        let is_meant = match &surroundings.machine {
            Some(machine) => machine.runs_here(&host_type, prefers)?,
            None => false,
        };
        if !is_meant && makes(&host_type) {
            return Ok(Self { made: Some(host_type), ..Self::default() });
        }
        let warning = (!is_meant).then(|| {
            format!(
                "host_type is {host_type}, but without host_ip this version runs everything here"
            )
        });
        Ok(Self { warning, ..Self::default() })
    }

    /// Whether jobs run on this machine.
    pub fn is_here(&self) -> bool {
        self.hosts.is_empty() && self.made.is_none()
    }
}

impl Place {
    /// Decides where an accelerator runs.
    ///
    /// # Errors
    /// What decides it is wrong, or there is no such accelerator on this machine, where it would run.
    pub(crate) fn decide(asked: &AcceleratorBuilder, storage: &Storage) -> Result<Self> {
        let AcceleratorBuilder { configuration, surroundings, .. } = asked;
        let chosen = match &asked.hosts {
            Some(hosts) => ChosenHosts { hosts: hosts.clone(), ..ChosenHosts::default() },
            None => ChosenHosts::of(configuration, surroundings)?,
        };
        let is_here = chosen.is_here();
        let ChosenHosts { hosts, made, warning } = chosen;
        let mut warnings: Vec<_> = warning.into_iter().collect();
        let devices = match made {
            Some(_) => Devices::elsewhere(),
            None => surroundings.devices(),
        };
        // Hosts have accelerators of their own.
        let registry = match hosts.is_empty() || names_accelerators(configuration) {
            true => Some(asked.registry(&devices)?),
            false => None,
        };
        if let Some(registry) = &registry {
            warnings.extend(unknown_accelerators(asked, registry, is_here));
        }
        let place = match (registry.filter(|_| hosts.is_empty()), made) {
            (Some(registry), Some(host_type)) => Self::made(asked, &registry, &host_type)?,
            (Some(registry), None) => Self::here(asked, registry, storage.clone())?,
            (None, _) => Self::on(hosts, asked.session.is_some())?,
        };
        warnings.extend_from_slice(&place.warnings);
        Ok(Self { warnings, ..place })
    }

    /// This machine.
    fn here(asked: &AcceleratorBuilder, registry: Registry, storage: Storage) -> Result<Self> {
        let info = registry.find(&asked.name)?.info().clone();
        let root = match &asked.root {
            Some(root) => {
                Root::Kept { path: root.clone(), is_shared: true, room: Default::default() }
            }
            None => Root::ForNow(Temporary::below(std::env::temp_dir())),
        };
        let threads = asked.threads.or_else(|| std::thread::available_parallelism().ok());
        let threads = threads.map(|threads| threads.min(MOST_THREADS));
        // Twice the cores, so that the next job is open when a core becomes free.
        let width = 2 * threads.map_or(2, NonZeroUsize::get);
        let agent = AgentOptions { root, registry, storage, threads, max_waiting: None };
        Ok(Self {
            client: Arc::new(Agent::new(agent)),
            hosts: Hosts::Here,
            about: OnceCell::new_with(Some(About { info, width })),
            expected: None,
            has_session: false,
            warnings: Vec::new(),
        })
    }

    /// A host that is made once it is needed. What the accelerator is to be there is known here; or the catalog
    /// alone knows it, and only its host can say.
    fn made(asked: &AcceleratorBuilder, registry: &Registry, host_type: &str) -> Result<Self> {
        let found = registry.find(&asked.name).map(|found| found.info().clone());
        let made = MadeHost::of(asked, host_type, found.as_ref().ok())?;
        let expected = match found {
            Err(error) if error.kind() == ErrorKind::NotFound && made.is_cataloged() => None,
            found => Some(found?),
        };
        Ok(Self {
            client: Arc::new(made.clone()),
            about: OnceCell::new(),
            expected,
            has_session: asked.session.is_some(),
            warnings: made.warnings().to_vec(),
            hosts: Hosts::Made(made),
        })
    }

    /// One host, or several as one. They are known to exist where they have a session of ours.
    fn on(hosts: Vec<RemoteOptions>, is_known: bool) -> Result<Self> {
        let known =
            |host: RemoteOptions| RemoteOptions { is_known: is_known || host.is_known, ..host };
        let mut hosts: Vec<_> = hosts.into_iter().map(known).collect();
        let (client, hosts): (Arc<dyn Client>, _) = match (hosts.len(), hosts.pop()) {
            (1, Some(host)) => {
                let remote = Remote::new(host)?;
                (Arc::new(remote.clone()), Hosts::One(remote))
            }
            (_, last) => {
                let pool = Arc::new(Pool::new(hosts.into_iter().chain(last))?);
                (pool.clone(), Hosts::Pool(pool))
            }
        };
        Ok(Self {
            client,
            hosts,
            about: OnceCell::new(),
            expected: None,
            has_session: false,
            warnings: Vec::new(),
        })
    }

    /// What an accelerator is there, or is to be there as far as is known here.
    ///
    /// # Errors
    /// No host answers, or none has it; or only its host knows it, which is not made yet.
    pub(crate) async fn info(&self, name: &str) -> Result<&AcceleratorInfo> {
        match (self.about.get(), &self.expected) {
            (Some(about), _) => Ok(&about.info),
            (None, Some(expected)) if !self.is_made() => Ok(expected),
            // One that does not answer does not answer jobs either, which says more.
            (None, Some(expected)) => {
                Ok(self.ask(name).await.map_or(expected, |about| &about.info))
            }
            (None, None) => Ok(&self.ask(name).await?.info),
        }
    }

    /// Whether a host that is made when it is needed is there.
    fn is_made(&self) -> bool {
        self.has_session || self.made_host().is_some_and(|made| made.remote().is_some())
    }

    /// What an accelerator is there, as its hosts say, who are asked once.
    async fn ask(&self, name: &str) -> Result<&About> {
        let of_one = async |remote: &Remote| {
            let (info, about) = tokio::try_join!(remote.accelerator(name), remote.host())?;
            Ok(About { info, width: 2 * about.cores })
        };
        let ask = async || match &self.hosts {
            Hosts::One(remote) => of_one(remote).await,
            Hosts::Made(made) => of_one(&made.reached().await?).await,
            Hosts::Pool(pool) => {
                let (info, width) = pool.accelerator(name).await?;
                Ok(About { info, width })
            }
            Hosts::Here => Err(Error::new(ErrorKind::Internal, "what is known was not asked for")),
        };
        // It is seldom asked for, and every call would carry the room for it.
        Box::pin(self.about.get_or_try_init(ask)).await
    }

    /// What an accelerator is, as far as anybody has said by now.
    pub(crate) fn known(&self) -> Option<&AcceleratorInfo> {
        self.about.get().map(|about| &about.info).or(self.expected.as_ref())
    }

    /// What is known of it there, and not only what is expected.
    pub(crate) fn about(&self) -> Option<&About> {
        self.about.get()
    }

    pub(crate) fn is_here(&self) -> bool {
        matches!(self.hosts, Hosts::Here)
    }

    /// The host that is made for it.
    pub(crate) fn made_host(&self) -> Option<&MadeHost> {
        match &self.hosts {
            Hosts::Made(made) => Some(made),
            Hosts::Here | Hosts::One(_) | Hosts::Pool(_) => None,
        }
    }

    /// The hosts; none where it is this machine.
    pub(crate) fn hosts(&self) -> Vec<Remote> {
        match &self.hosts {
            Hosts::Here => Vec::new(),
            Hosts::One(remote) => vec![remote.clone()],
            Hosts::Pool(pool) => pool.hosts().cloned().collect(),
            Hosts::Made(made) => made.remote().into_iter().collect(),
        }
    }

    /// What each of several hosts has to do.
    pub(crate) fn load(&self) -> Vec<HostLoad> {
        match &self.hosts {
            Hosts::Pool(pool) => pool.load(),
            Hosts::Here | Hosts::One(_) | Hosts::Made(_) => Vec::new(),
        }
    }

    /// Why no host can be used any more, where that is so.
    pub(crate) fn lost(&self) -> Option<Error> {
        match &self.hosts {
            Hosts::Here => None,
            Hosts::One(remote) => remote.lost(),
            Hosts::Pool(pool) => pool.lost(),
            Hosts::Made(made) => made.remote()?.lost(),
        }
    }

    /// What another process takes up a session by.
    pub(crate) fn remembered(&self, session: &str) -> Option<String> {
        match &self.hosts {
            Hosts::Here | Hosts::One(_) | Hosts::Made(_) => Some(session.to_owned()),
            Hosts::Pool(pool) => pool.remembered(session),
        }
    }

    /// Takes up a session that another process remembered; what it is called here.
    pub(crate) fn take_up(&self, remembered: String) -> Result<String> {
        match &self.hosts {
            Hosts::Here | Hosts::One(_) | Hosts::Made(_) => Ok(remembered),
            Hosts::Pool(pool) => pool.take_up(&remembered),
        }
    }
}

/// Whether a configuration has parameters for certain accelerators.
fn names_accelerators(configuration: &Configuration) -> bool {
    let is_special = |section: &str| !configuration.subsections(section).is_empty();
    is_special("configuration") || is_special("process")
}

/// Warns of parameters for accelerators that there are not. Hosts have others, so with hosts only of
/// names that are likely a slip.
fn unknown_accelerators(
    asked: &AcceleratorBuilder,
    registry: &Registry,
    is_here: bool,
) -> Vec<String> {
    let infos = registry.iter().map(|engine| engine.info());
    let names = infos.flat_map(|info| std::iter::once(&info.name).chain(&info.aliases));
    let broken = registry.broken().map(|(name, _)| name);
    let known: Vec<&str> =
        names.map(AsRef::as_ref).chain(broken).chain([asked.name.as_str()]).collect();
    let warnings = asked.configuration.unknown_accelerators(&known, is_here);
    warnings.iter().map(ToString::to_string).collect()
}
