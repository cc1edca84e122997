//! The hosts that were made, whoever made them: listed, and given back.

mod listed;

use std::path::PathBuf;

use apyfal_core::{Cancel, Configuration, Error, Image, Result};
use apyfal_hosts::{Ledger, Lifecycle, ledger_of};
use futures::{StreamExt, stream};

use crate::made::{lifecycle, makes, of_provider};
use crate::surroundings::Surroundings;

pub use apyfal_hosts::{HostRecord, HostState, Phase, Ssh, StopMode, Usage, Watch};
pub use apyfal_providers::{InstanceDetails, Login};
pub use listed::Listed;

/// Whether this version makes hosts of a type.
pub fn is_made(host_type: &str) -> bool {
    crate::made::makes(host_type)
}

/// Whether an error is about a host that is made, or about its provider, and not about what is done
/// there.
pub fn is_of_provider(error: &Error) -> bool {
    crate::made::is_of_provider(error)
}

/// What a provider calls an image in a region, however the catalog names it.
///
/// # Errors
/// There is none, or the provider does not tell.
pub async fn image_id(
    image: &Image,
    (host_type, region): (&str, Option<&str>),
    configuration: &Configuration,
    surroundings: &Surroundings,
) -> Result<String> {
    let lifecycle = lifecycle(host_type, region, configuration, surroundings)
        .map_err(|error| of_provider(error, host_type))?;
    lifecycle.image_id(image).await.map_err(|error| of_provider(error, host_type))
}

/// How many hosts are ended at a time: each takes a while, and costs meanwhile.
const AT_ONCE: usize = 32;

/// The hosts that this installation has made.
#[derive(Clone, Debug)]
pub struct MadeHosts {
    ledger: Ledger,
    configuration: Configuration,
    surroundings: Surroundings,
}

impl MadeHosts {
    /// Those of the surroundings of a process; none where there is no home directory. Providers are asked
    /// as a configuration says.
    pub fn of(configuration: &Configuration, surroundings: &Surroundings) -> Option<Self> {
        let ledger = ledger_of(surroundings.home()?);
        let (configuration, surroundings) = (configuration.clone(), surroundings.clone());
        Some(Self { ledger, configuration, surroundings })
    }

    /// The file of the keys by which machines are known to ssh.
    pub fn known_hosts(&self) -> PathBuf {
        self.ledger.known_hosts()
    }

    /// Those that are remembered and have not ended, without asking anybody.
    ///
    /// # Errors
    /// What is remembered cannot be read.
    pub fn remembered(&self) -> Result<Vec<HostRecord>> {
        self.ledger.hosts()
    }

    /// Ends all of them for good but those of some names, also those that only their providers know of.
    /// Those that a living process works on are waited for, and keep no other one. Returns what
    /// became of each: its name at its provider, or why it has not ended.
    pub async fn end_all(&self, but: &[String], cancel: &Cancel) -> Vec<Result<String>> {
        let hosts = match self.ledger.hosts() {
            Ok(hosts) => hosts,
            Err(error) => return vec![Err(error)],
        };
        let is_meant = |host: &HostRecord| match &host.usage {
            Usage::Named(name) => !but.contains(name),
            Usage::Unnamed(_) => true,
        };
        let ending = hosts.into_iter().filter(is_meant).map(async |mut host| {
            let name = host.name.clone();
            self.end(&mut host, StopMode::Term, cancel).await.map(|()| name)
        });
        let mut ended: Vec<_> = stream::iter(ending).buffer_unordered(AT_ONCE).collect().await;
        match self.places() {
            Ok(places) => {
                for (provider, region) in places {
                    ended.extend(self.end_strays(&provider, region.as_deref()).await);
                }
            }
            Err(error) => ended.push(Err(error)),
        }
        ended
    }

    async fn end_strays(&self, provider: &str, region: Option<&str>) -> Vec<Result<String>> {
        let found = async {
            let lifecycle = self.lifecycle(provider, region)?;
            let strays = lifecycle.strays().await?;
            Ok((lifecycle, strays))
        };
        let (lifecycle, strays) = match found.await {
            Ok(found) => found,
            Err(error) => return vec![Err(error)],
        };
        let lifecycle = &lifecycle;
        let ending = strays
            .into_iter()
            .map(async |stray| lifecycle.end_stray(&stray).await.map(|()| stray.name));
        stream::iter(ending).buffer_unordered(AT_ONCE).collect().await
    }

    /// Ends one, or leaves it, as `mode` says.
    ///
    /// # Errors
    /// It has not ended.
    pub async fn end(&self, host: &mut HostRecord, mode: StopMode, cancel: &Cancel) -> Result<()> {
        let lifecycle = self.lifecycle(&host.provider, host.region.as_deref())?;
        let _lock = self.ledger.lock(&host.id, cancel).await?;
        lifecycle.stop(host, mode).await
    }

    /// Ends the hosts that were made for the accelerator of a name, as their stop modes say or as
    /// `mode` does, whatever became of the configuration that they were made by; their names at their
    /// providers.
    ///
    /// # Errors
    /// One has not ended; the others have.
    pub async fn end_named(
        &self,
        name: &str,
        mode: Option<StopMode>,
        cancel: &Cancel,
    ) -> Result<Vec<String>> {
        let (mut ended, mut failed) = (Vec::new(), Ok(()));
        for mut host in self.ledger.of(&Usage::Named(name.to_owned()))? {
            let mode = mode.unwrap_or(host.stop_mode);
            failed = failed.and(self.end(&mut host, mode, cancel).await);
            if host.state == HostState::Ended {
                ended.push(host.name);
            }
        }
        failed.map(|()| ended)
    }

    fn lifecycle(&self, provider: &str, region: Option<&str>) -> Result<Lifecycle> {
        lifecycle(provider, region, &self.configuration, &self.surroundings)
            .map_err(|error| of_provider(error, provider))
    }

    /// Where hosts of this installation may be: where it ever asked for one, as far as is remembered, and
    /// where it is configured to.
    fn places(&self) -> Result<Vec<(String, Option<String>)>> {
        let mut places = self.ledger.places()?;
        let configured = self.configuration.section("host").get("host_type")?;
        let configured = configured.filter(|host_type| makes(host_type) && self.ledger.exists());
        if let Some(host_type) = configured {
            // Where none is named, nothing was made.
            let Ok(there) = self.lifecycle(&host_type, None) else { return Ok(places) };
            let region = there.provider().region.clone();
            let known = |(provider, there): &(String, Option<String>)| {
                provider.eq_ignore_ascii_case(&host_type) && *there == region
            };
            if !places.iter().any(known) {
                places.push((host_type, region));
            }
        }
        Ok(places)
    }
}
