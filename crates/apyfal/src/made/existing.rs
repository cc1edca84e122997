//! A machine that is there and that this installation has not made, named by `instance_id`.

use std::sync::atomic::Ordering;

use apyfal_client::{Address, Remote, RemoteOptions};
use apyfal_core::{Cancel, Result};
use apyfal_hosts::{HostRecord, StopMode};
use apyfal_providers::InstanceId;

use super::wanted::New;
use super::{Current, Host};
use crate::configuration;

impl Host {
    /// Whether a machine is none that this installation has made.
    pub(super) fn is_existing(&self, id: &InstanceId) -> Result<bool> {
        Ok(self.lifecycle.ledger().with_instance(id)?.is_none())
    }

    /// Has it run, and its host answer.
    pub(super) async fn taken_up(&self, id: &InstanceId, cancel: &Cancel) -> Result<Remote> {
        let (mode, accelerator) = (self.stop_mode(), &self.wanted.accelerator);
        let options = |address: &str| self.options_at(id, address);
        let taken = self.lifecycle.take_up(id, accelerator, mode, options, cancel).await?;
        self.is_owed.store(true, Ordering::SeqCst);
        let (host, options, found) = taken;
        Ok(self.hold(host, options, found)?.remote)
    }

    /// The same, where another process has done so.
    pub(super) async fn found(&self, id: &InstanceId) -> Result<Current> {
        let (mode, accelerator) = (self.stop_mode(), &self.wanted.accelerator);
        let options = |address: &str| self.options_at(id, address);
        let (host, options) = self.lifecycle.found(id, accelerator, mode, options).await?;
        self.hold(host, options, StopMode::Keep)
    }

    fn hold(&self, host: HostRecord, options: RemoteOptions, found: StopMode) -> Result<Current> {
        let (remote, found) = (Remote::new(options)?, Some(found));
        let current = Current { host, remote, found, _lock: None };
        Ok(self.current.lock().insert(current).clone())
    }

    /// Stops or deletes it, or leaves it, as a mode says.
    pub(super) async fn left(&self, id: &InstanceId, mode: StopMode) -> Result<()> {
        self.lifecycle.leave(id, mode).await?;
        let current = self.current.lock().take();
        if mode == StopMode::Keep && current.is_some() {
            self.tell_that_it_runs(id);
        }
        Ok(())
    }

    /// How to use its host: as one that is known by the id of its machine is used, at whatever address it has
    /// by now, else as one that is named by its address.
    fn options_at(&self, id: &InstanceId, address: &str) -> Result<RemoteOptions> {
        let New { configuration, surroundings, .. } = &self.wanted;
        let home = surroundings.home();
        if let Some(known) = self.known.find(&id.0)? {
            let options = known.pairing.options(home)?;
            let RemoteOptions { url, token, trust, plain, .. } = &options;
            let there = Address::of(url, token.is_some(), trust.is_some(), *plain)?;
            let host = Address::parse(address, |_| true)?.host;
            return Ok(RemoteOptions { url: Address { host, ..there }.to_string(), ..options });
        }
        let kind = configuration.section("host").get("host_type")?.unwrap_or_default();
        let mut configuration = configuration.clone();
        configuration.set(&format!("host.{kind}"), "host_ip", Some(address));
        let found = configuration::hosts(&configuration, home)?.pop();
        Ok(found.unwrap_or_else(|| RemoteOptions::new(address)))
    }
}
