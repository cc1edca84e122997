//! How an accelerator is made: what the caller says of it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use apyfal_client::RemoteOptions;
use apyfal_core::{Configuration, Result};
use apyfal_engines::Registry;
use apyfal_package::Store;
use apyfal_storage::Storage;

use crate::Accelerator;
use crate::configuration;
use crate::devices::Devices;
use crate::hosts::Watch;
use crate::place::Place;
use crate::surroundings::Surroundings;

/// Makes an [`Accelerator`].
pub struct AcceleratorBuilder {
    pub(crate) name: String,
    pub(crate) configuration: Configuration,
    pub(crate) surroundings: Surroundings,
    storage: Option<Storage>,
    pub(crate) root: Option<PathBuf>,
    pub(crate) session: Option<String>,
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) hosts: Option<Vec<RemoteOptions>>,
    packages: Vec<Store>,
    /// The name that a host is made for.
    pub(crate) usage: Option<String>,
    pub(crate) watch: Option<Watch>,
    pub(crate) host_timeout: Option<Duration>,
}

impl AcceleratorBuilder {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            configuration: Configuration::default(),
            surroundings: Surroundings::default(),
            storage: None,
            root: None,
            session: None,
            threads: None,
            hosts: None,
            packages: Vec::new(),
            usage: None,
            watch: None,
            host_timeout: None,
        }
    }

    /// Uses the settings of a configuration; without one all defaults hold.
    #[must_use]
    pub fn configuration(mut self, configuration: Configuration) -> Self {
        self.configuration = configuration;
        self
    }

    /// The surroundings of the process, mostly [`Surroundings::of_process`]: paired hosts, installed
    /// packages, devices, proxies and credentials are found there. Without them there are none.
    #[must_use]
    pub fn surroundings(mut self, surroundings: Surroundings) -> Self {
        self.surroundings = surroundings;
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

    /// Keeps at most this many cores busy, and never more than 1024.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Uses the accelerators of these packages too, beside those of the surroundings. Of two stores that
    /// have one the later is used.
    #[must_use]
    pub fn packages(mut self, packages: impl IntoIterator<Item = Store>) -> Self {
        self.packages.extend(packages);
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

    /// Remembers a host that is made for it by this name: another accelerator of the same name, in
    /// this process or a later one, uses that host. Without a name it is for this accelerator alone,
    /// and ends with it, or with its lease.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.usage = Some(name.into());
        self
    }

    /// Is told how far a host is that is made for it.
    #[must_use]
    pub fn watch_host(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Gives the machine of a host that is made for it this long to run, and the host as long again to
    /// answer; 7 minutes each without it.
    #[must_use]
    pub fn host_timeout(mut self, time: Duration) -> Self {
        self.host_timeout = Some(time);
        self
    }

    /// Whether it is to run on hosts that the caller or the configuration names.
    ///
    /// # Errors
    /// The configuration is wrong.
    pub fn names_hosts(&self) -> Result<bool> {
        match &self.hosts {
            Some(hosts) => Ok(!hosts.is_empty()),
            None => Ok(!configuration::pairings(&self.configuration)?.is_empty()),
        }
    }

    /// Makes the accelerator. Nobody is contacted, and nothing runs, before its first call: what is
    /// wrong with a host shows then.
    ///
    /// # Errors
    /// The configuration is wrong, or the accelerator would run on this machine, which has none of
    /// this name.
    pub fn build(mut self) -> Result<Accelerator> {
        let storage = match self.storage.take() {
            Some(storage) => storage,
            None => self.surroundings.storage(&self.configuration)?,
        };
        let place = Place::decide(&self, &storage)?;
        let session = self.session.map(|session| place.take_up(session)).transpose()?;
        Ok(Accelerator::at(place, self.name, self.configuration, storage, session))
    }

    /// The accelerators of a machine with these devices and what is installed here.
    pub(crate) fn registry(&self, devices: &Devices) -> Result<Registry> {
        let Self { configuration, surroundings, packages, .. } = self;
        let packages = [surroundings.packages(), packages.clone()].concat();
        configuration::registry(configuration, &packages, devices, surroundings.home())
    }
}

impl std::fmt::Debug for AcceleratorBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcceleratorBuilder")
            .field("name", &self.name)
            .field("surroundings", &self.surroundings)
            .field("root", &self.root)
            .field("hosts", &self.hosts)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}
