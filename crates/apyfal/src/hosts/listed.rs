//! Hosts that were made, as they are by now.

use std::time::Duration;

use apyfal_client::{Remote, RemoteOptions};
use apyfal_core::{Error, Result};
use apyfal_hosts::{HostRecord, HostState, Lifecycle, StopMode, Usage};
use apyfal_providers::{Instance, InstanceDetails, InstanceState};
use futures::future::join_all;

use super::MadeHosts;

/// How long a host may take to tell of its lease.
const PATIENCE: Duration = Duration::from_secs(2);

/// A host that was made.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What it is called at its provider.
    pub name: String,
    /// Its accelerator.
    pub accelerator: String,
    /// Who made it: the `host_type`.
    pub provider: String,
    /// In which region of the provider, where it has several.
    pub region: Option<String>,
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
    /// In how many seconds it ends by itself at the soonest, as it says.
    pub left: Option<f64>,
    /// What becomes of it once its accelerator is stopped: `term`, `stop` or `keep`.
    pub stop_mode: &'static str,
    /// Whether this installation asked for it and does not remember that.
    pub is_stray: bool,
    /// What kind of machine it is, as its provider tells.
    pub details: InstanceDetails,
}

impl MadeHosts {
    /// All that have not ended, the oldest first: those that are remembered, and those that their
    /// providers know of. What providers cannot tell comes beside it.
    ///
    /// # Errors
    /// What is remembered cannot be read.
    pub async fn list(&self) -> Result<(Vec<Listed>, Vec<Error>)> {
        let asked = join_all(self.places()?.into_iter().map(async |(provider, region)| {
            let machines = async {
                let lifecycle = self.lifecycle(&provider, region.as_deref())?;
                Ok((lifecycle.machines().await?, lifecycle))
            };
            let machines: Result<_> = machines.await;
            (provider, region, machines)
        }));
        let (mut machines, mut lifecycles, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for (provider, region, found) in asked.await {
            match found {
                Ok((found, lifecycle)) => {
                    let place = |machine| (provider.clone(), region.clone(), machine);
                    machines.extend(found.into_iter().map(place));
                    lifecycles.push((provider, region, lifecycle));
                }
                Err(error) => errors.push(error),
            }
        }
        // Read after they were asked: what was asked for meanwhile is no stray.
        let hosts = self.remembered()?;
        let left = join_all(hosts.iter().map(left)).await;
        let mut listed = Vec::new();
        for (host, left) in hosts.into_iter().zip(left) {
            let at = machines.iter().position(|(_, _, machine)| is_of(machine, &host));
            let machine = at.map(|at| machines.swap_remove(at).2);
            let place = |place: &&(String, Option<String>, Lifecycle)| {
                place.0 == host.provider && place.1 == host.region
            };
            // Providers forget what has ended.
            let has_ended = match (&machine, lifecycles.iter().find(place)) {
                (None, Some((_, _, lifecycle))) if host.instance.is_some() => {
                    lifecycle.is_gone(&host).await.unwrap_or(false)
                }
                _ => false,
            };
            listed.push(remembered(host, machine, left, has_ended));
        }
        let strays = machines.into_iter().filter(|(_, _, machine)| machine.state.is_alive());
        listed.extend(strays.map(|(provider, region, machine)| stray(provider, region, machine)));
        Ok((listed, errors))
    }
}

/// Whether a machine is that of a host.
fn is_of(machine: &Instance, host: &HostRecord) -> bool {
    match &host.instance {
        Some(id) => machine.id == *id,
        None => host.asked_by(&machine.token),
    }
}

/// In how many seconds a host ends, if it tells.
async fn left(host: &HostRecord) -> Option<f64> {
    let options = host.options().filter(|_| host.state == HostState::Ready)?;
    let remote = Remote::new(RemoteOptions { patience: PATIENCE, ..options }).ok()?;
    let about = tokio::time::timeout(PATIENCE, remote.host()).await.ok()?.ok()?;
    about.lease?.left()
}

fn remembered(
    host: HostRecord,
    machine: Option<Instance>,
    left: Option<f64>,
    has_ended: bool,
) -> Listed {
    let (told, details) = match machine {
        Some(machine) => (Some(machine.state.to_string()), machine.details),
        None => {
            let ended = has_ended.then(|| InstanceState::Ended.to_string());
            (ended, InstanceDetails::default())
        }
    };
    Listed {
        name: host.name,
        accelerator: host.accelerator,
        provider: host.provider,
        region: host.region,
        used_by: match host.usage {
            Usage::Named(name) => Some(name),
            Usage::Unnamed(_) => None,
        },
        instance: host.instance.map(|id| id.0),
        state: told.unwrap_or_else(|| host.state.as_str().to_owned()),
        url: host.url,
        asked: host.asked,
        left,
        stop_mode: host.stop_mode.as_str(),
        is_stray: false,
        details,
    }
}

fn stray(provider: String, region: Option<String>, machine: Instance) -> Listed {
    Listed {
        accelerator: accelerator_of(&machine.name).to_owned(),
        name: machine.name,
        provider,
        region,
        used_by: None,
        instance: Some(machine.id.0),
        state: machine.state.to_string(),
        url: machine.url,
        asked: machine.created,
        left: None,
        stop_mode: StopMode::Term.as_str(),
        is_stray: true,
        details: machine.details,
    }
}

/// The accelerator of a host, which its name has.
fn accelerator_of(name: &str) -> &str {
    let behind = name.split_once("accelize_").map_or(name, |(_, behind)| behind);
    behind.rsplit_once('_').map_or(behind, |(accelerator, _)| accelerator)
}
