//! How a host that was made is given back.

use std::sync::atomic::Ordering;

use apyfal_core::{Cancel, Result};
use apyfal_hosts::{HostRecord, HostState, Lifecycle, StopMode, Usage};
use apyfal_providers::InstanceId;

use super::wanted::New;
use super::{Host, Which, lifecycle};

impl Host {
    /// Ends the host as its stop mode says, wherever it is on its way.
    ///
    /// # Errors
    /// It has not ended; it is in the ledger still. The error is [of its provider](is_of_provider).
    pub(crate) async fn end(&self) -> Result<()> {
        self.ended(&self.lifecycle).await.map_err(|error| self.of_provider(error))
    }

    /// Whether it is to be given back, and nobody did or was told why not.
    pub(super) fn is_owed(&self) -> bool {
        let is_left = self.stop_mode() == StopMode::Keep && self.current.lock().is_some();
        self.is_owed.load(Ordering::SeqCst) && !self.has_name && !is_left
    }

    /// Ends it by a lifecycle of its provider.
    pub(super) async fn ended(&self, lifecycle: &Lifecycle) -> Result<()> {
        let _alone = self.changing.lock().await;
        let ended = self.each_ended(lifecycle).await;
        self.is_owed.store(false, Ordering::SeqCst);
        ended
    }

    async fn each_ended(&self, lifecycle: &Lifecycle) -> Result<()> {
        let (ledger, mode, never) = (self.lifecycle.ledger(), self.stop_mode(), Cancel::default());
        let current = self.current.lock().clone();
        // Each with its lock, unless that is held already.
        let hosts = match (&self.which, &current) {
            (Which::For(usage @ Usage::Named(_)), _) => {
                let mut hosts = Vec::new();
                for host in ledger.of(usage)? {
                    let lock = ledger.lock(&host.id, &never).await?;
                    hosts.push((host, Some(lock)));
                }
                hosts
            }
            (Which::There(id), _) if self.is_existing(id)? => return self.left(id).await,
            (_, Some(current)) => vec![(current.host.clone(), None)],
            (Which::There(id), None) => {
                let (host, lock) = ledger.take(id)?;
                vec![(host, Some(lock))]
            }
            (Which::For(usage), None) => {
                // One whose start was given up half way is in the ledger alone. Others are not of this
                // accelerator: they were left there, or another process has them.
                let mut hosts = Vec::new();
                for host in ledger.of(usage)? {
                    if !matches!(host.state, HostState::Ready | HostState::Stopped)
                        && let Some(lock) = ledger.try_lock(&host.id)?
                    {
                        hosts.push((host, Some(lock)));
                    }
                }
                hosts
            }
        };
        let mut failed = Ok(());
        for (mut host, _lock) in hosts {
            let url = host.url.clone();
            let ended = async { self.of_host(&host, lifecycle)?.stop(&mut host, mode).await };
            // The others end all the same.
            if let Err(error) = ended.await {
                failed = failed.and(Err(error));
                continue;
            }
            match (mode, &host.instance) {
                (StopMode::Keep, Some(id)) if host.state == HostState::Ready => {
                    self.tell_that_it_runs(id);
                }
                _ => {}
            }
            if host.state == HostState::Ended
                && let Some(url) = url
            {
                // It may have been forgotten, or be known by a name that somebody gave it.
                let _ = self.known.remove(&url, &never);
            }
        }
        if failed.is_ok() {
            *self.current.lock() = None;
        }
        failed
    }

    pub(super) fn tell_that_it_runs(&self, id: &InstanceId) {
        self.notes.lock().push(format!("Instance '{id}' is still running"));
    }

    /// The lifecycle of the place where a host is, whatever is configured by now.
    fn of_host(&self, host: &HostRecord, configured: &Lifecycle) -> Result<Lifecycle> {
        let info = configured.provider();
        if host.provider == info.name && host.region == info.region {
            return Ok(configured.clone());
        }
        self.lifecycle_of(&host.provider, host.region.as_deref())
    }

    /// Another lifecycle, which shares no connection with any other one.
    pub(super) fn lifecycle_of(&self, provider: &str, region: Option<&str>) -> Result<Lifecycle> {
        let New { configuration, surroundings, .. } = &self.wanted;
        lifecycle(provider, region, configuration, surroundings)
    }
}
