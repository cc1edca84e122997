//! The hosts that were made, whoever made them: listed, and given back.

use apyfal_core::{Cancel, Configuration, Error, Result};
use apyfal_hosts::{Ledger, Lifecycle, ledger_of};

use crate::known_hosts::KnownHosts;
use crate::made::{lifecycle, makes};
use crate::surroundings::Surroundings;

pub use apyfal_hosts::{HostRecord, HostState, Phase, StopMode, Usage, Watch};

/// What a text says becomes of a host once it is stopped: `term`, `stop` or `keep`, or the number of the
/// original's.
///
/// # Errors
/// It is none of these.
pub fn stop_mode(text: &str) -> Result<StopMode> {
    crate::made::stop_mode(text)
}

/// Whether this version makes hosts of a type.
pub fn is_made(host_type: &str) -> bool {
    crate::made::makes(host_type)
}

/// The hosts that this installation has made.
#[derive(Clone, Debug)]
pub struct MadeHosts {
    ledger: Ledger,
    configuration: Configuration,
    surroundings: Surroundings,
}

/// A host that was made.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What it is called at its provider.
    pub name: String,
    /// Its accelerator.
    pub accelerator: String,
    /// Who made it: the `host_type`.
    pub provider: String,
    /// The name of the accelerator that has it, where it has one.
    pub used_by: Option<String>,
    /// What the provider calls its machine, once that is known.
    pub instance: Option<String>,
    /// How it is: as its provider tells, else as it is remembered.
    pub state: String,
    /// Where it is, once it was contacted.
    pub url: Option<String>,
    /// When it was asked for, in seconds since 1970.
    pub asked: f64,
    /// What becomes of it once its accelerator is stopped: `term`, `stop` or `keep`.
    pub stop_mode: &'static str,
    /// Whether this installation asked for it and does not remember that.
    pub is_stray: bool,
}

impl MadeHosts {
    /// Those of the surroundings of a process; none where there is no home directory. Providers are asked
    /// as a configuration says.
    pub fn of(configuration: &Configuration, surroundings: &Surroundings) -> Option<Self> {
        let ledger = ledger_of(surroundings.home()?);
        let (configuration, surroundings) = (configuration.clone(), surroundings.clone());
        Some(Self { ledger, configuration, surroundings })
    }

    /// Those that are remembered and have not ended, without asking anybody.
    ///
    /// # Errors
    /// What is remembered cannot be read.
    pub fn remembered(&self) -> Result<Vec<HostRecord>> {
        self.ledger.hosts()
    }

    /// All that have not ended, the oldest first: those that are remembered, and those that their
    /// providers know of. What providers cannot tell comes beside it.
    ///
    /// # Errors
    /// What is remembered cannot be read.
    pub async fn list(&self) -> Result<(Vec<Listed>, Vec<Error>)> {
        let (mut listed, mut errors) = (Vec::new(), Vec::new());
        for host in self.ledger.hosts()? {
            let state = match self.lifecycle(&host.provider, host.region.as_deref()) {
                Ok(lifecycle) => lifecycle.instance(&host).await,
                Err(error) => Err(error),
            };
            let state = match state {
                Ok(Some(instance)) => instance.state.to_string(),
                Ok(None) => host.state.as_str().to_owned(),
                Err(error) => {
                    errors.push(error);
                    host.state.as_str().to_owned()
                }
            };
            listed.push(Listed {
                name: host.name,
                accelerator: host.accelerator,
                provider: host.provider,
                used_by: match host.usage {
                    Usage::Named(name) => Some(name),
                    Usage::Unnamed(_) => None,
                },
                instance: host.instance.map(|id| id.0),
                state,
                url: host.url,
                asked: host.asked,
                stop_mode: host.stop_mode.as_str(),
                is_stray: false,
            });
        }
        for (provider, region) in self.places()? {
            let strays = match self.lifecycle(&provider, region.as_deref()) {
                Ok(lifecycle) => lifecycle.strays().await,
                Err(error) => Err(error),
            };
            match strays {
                Ok(strays) => listed.extend(strays.into_iter().map(|stray| Listed {
                    accelerator: accelerator_of(&stray.name).to_owned(),
                    name: stray.name,
                    provider: provider.clone(),
                    used_by: None,
                    instance: Some(stray.id.0),
                    state: stray.state.to_string(),
                    url: stray.url,
                    asked: stray.created,
                    stop_mode: StopMode::Term.as_str(),
                    is_stray: true,
                })),
                Err(error) => errors.push(error),
            }
        }
        Ok((listed, errors))
    }

    /// Ends all of them for good; their names at their providers. Those that a living process works on
    /// are waited for.
    ///
    /// # Errors
    /// One has not ended; all others were tried as well.
    pub async fn end_all(&self, cancel: &Cancel) -> Result<Vec<String>> {
        let (mut ended, mut failed) = (Vec::new(), None);
        for mut host in self.ledger.hosts()? {
            let name = host.name.clone();
            match self.end(&mut host, cancel).await {
                Ok(()) => ended.push(name),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        for (provider, region) in self.places()? {
            match self.end_strays(&provider, region.as_deref()).await {
                Ok(strays) => ended.extend(strays),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(ended), Err)
    }

    async fn end_strays(&self, provider: &str, region: Option<&str>) -> Result<Vec<String>> {
        let (lifecycle, mut ended) = (self.lifecycle(provider, region)?, Vec::new());
        for stray in lifecycle.strays().await? {
            lifecycle.end_stray(&stray).await?;
            ended.push(stray.name);
        }
        Ok(ended)
    }

    /// Ends the hosts that were made for the accelerator of a name, as their stop modes say or as
    /// `mode` does, whatever became of the configuration that they were made by; their names at their
    /// providers.
    ///
    /// # Errors
    /// One has not ended.
    pub async fn end_named(
        &self,
        name: &str,
        mode: Option<StopMode>,
        cancel: &Cancel,
    ) -> Result<Vec<String>> {
        let mut ended = Vec::new();
        for mut host in self.ledger.of(&Usage::Named(name.to_owned()))? {
            let mode = mode.unwrap_or(host.stop_mode);
            self.end_as(&mut host, mode, cancel).await?;
            if host.state == HostState::Ended {
                ended.push(host.name);
            }
        }
        Ok(ended)
    }

    async fn end(&self, host: &mut HostRecord, cancel: &Cancel) -> Result<()> {
        self.end_as(host, StopMode::Term, cancel).await
    }

    async fn end_as(&self, host: &mut HostRecord, mode: StopMode, cancel: &Cancel) -> Result<()> {
        let lifecycle = self.lifecycle(&host.provider, host.region.as_deref())?;
        let _lock = self.ledger.lock(&host.id, cancel).await?;
        let url = host.url.clone();
        lifecycle.stop(host, mode).await?;
        if host.state == HostState::Ended
            && let (Some(url), Some(home)) = (url, self.surroundings.home())
        {
            // It may have been forgotten already.
            let _ = KnownHosts::below(home).remove(&url, cancel);
        }
        Ok(())
    }

    fn lifecycle(&self, provider: &str, region: Option<&str>) -> Result<Lifecycle> {
        match region {
            None => lifecycle(provider, &self.configuration, &self.surroundings),
            Some(region) => {
                let mut there = self.configuration.clone();
                there.set(&format!("host.{provider}"), "region", Some(region));
                lifecycle(provider, &there, &self.surroundings)
            }
        }
    }

    /// Where hosts of this installation may be: where it ever asked for one, as far as is remembered, and
    /// where it is configured to.
    fn places(&self) -> Result<Vec<(String, Option<String>)>> {
        let mut places = self.ledger.places()?;
        let configured = self.configuration.section("host").get("host_type")?;
        let configured = configured.filter(|host_type| makes(host_type) && self.ledger.exists());
        if let Some(host_type) = configured {
            let region = self.lifecycle(&host_type, None)?.provider().region.clone();
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

/// The accelerator of a host, which its name has.
fn accelerator_of(name: &str) -> &str {
    let behind = name.split_once("accelize_").map_or(name, |(_, behind)| behind);
    behind.rsplit_once('_').map_or(behind, |(accelerator, _)| accelerator)
}
