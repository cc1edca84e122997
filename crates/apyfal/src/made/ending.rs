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
    /// It has not ended; it is in the ledger still. The error is [of its provider](super::is_of_provider).
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
        let ended = self.each_ended(lifecycle, self.stop_mode(), true).await;
        self.is_owed.store(false, Ordering::SeqCst);
        ended
    }

    /// Gives back what was made for a start that failed. One that was there before is left as whoever left it
    /// wanted it, and not touched where it is `in_use` otherwise.
    ///
    /// # Errors
    /// As of [`end`](Self::end).
    pub(crate) async fn undo_start(&self, in_use: bool) -> Result<()> {
        let _alone = self.changing.lock().await;
        let current = self.current.lock().as_ref().map(|current| current.found);
        let ended = match (current, &self.which) {
            (None | Some(Some(_)), _) if in_use => Ok(()),
            // It was not taken up, or ran and goes on.
            (None | Some(Some(StopMode::Keep)), Which::There(_)) => Ok(()),
            (Some(found), _) => {
                let mode = found.unwrap_or(self.stop_mode());
                self.each_ended(&self.lifecycle, mode, true).await
            }
            // What it made by then was undone; one that is there was there before.
            (None, _) => self.each_ended(&self.lifecycle, self.stop_mode(), false).await,
        };
        self.is_owed.store(false, Ordering::SeqCst);
        ended.map_err(|error| self.of_provider(error))
    }

    /// Ends its hosts as a mode says: all, or but those that were left for later.
    async fn each_ended(&self, lifecycle: &Lifecycle, mode: StopMode, all: bool) -> Result<()> {
        let (ledger, never) = (self.lifecycle.ledger(), Cancel::default());
        let is_left = |host: &HostRecord| match host.state {
            HostState::Ready => host.stop_mode != StopMode::Term,
            state => state == HostState::Stopped,
        };
        let current = self.current.lock().clone();
        // Each with its lock, unless that is held already.
        let hosts = match (&self.which, &current) {
            (Which::For(usage @ Usage::Named(_)), _) => {
                let mut hosts = Vec::new();
                for host in ledger.of(usage)?.into_iter().filter(|host| all || !is_left(host)) {
                    let lock = ledger.lock(&host.id, &never).await?;
                    hosts.push((host, Some(lock)));
                }
                hosts
            }
            (Which::There(id), _) if self.is_existing(id)? => return self.left(id, mode).await,
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
            let ended = async {
                let lifecycle = self.of_host(&host, lifecycle)?;
                // Who named it and leaves it changes nothing of what is to become of it.
                if mode == StopMode::Keep
                    && matches!((&self.which, host.state), (Which::There(_), HostState::Ready))
                    && !lifecycle.is_gone(&host).await?
                {
                    return Ok(());
                }
                lifecycle.stop(&mut host, mode).await
            };
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
