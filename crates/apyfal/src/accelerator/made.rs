//! The host that is made for an accelerator, as its user sees it.

use apyfal_core::{Cancel, Result};
use apyfal_hosts::{HostRecord, StopMode};
use apyfal_providers::Login;

use super::Accelerator;
use crate::made::MadeHost;

impl Accelerator {
    /// Whether a host is made for it, which [`stop`](Self::stop) gives back.
    pub fn has_host_of_its_own(&self) -> bool {
        self.0.place.made_host().is_some()
    }

    /// Whether that is a machine that is there, which `instance_id` names.
    pub fn names_instance(&self) -> bool {
        self.0.place.made_host().is_some_and(MadeHost::is_named)
    }

    /// How people log in to the machine of the host that was made for it, where they can.
    pub fn host_login(&self) -> Option<Login> {
        self.0.place.made_host()?.login()
    }

    /// What it is called where it runs, without a host being made: where nothing else knows it, the
    /// catalog says so.
    ///
    /// # Errors
    /// As [`info`](Self::info), or the catalog does not know it.
    pub async fn called(&self, cancel: &Cancel) -> Result<String> {
        match self.0.place.made_host() {
            Some(made) if self.0.place.known().is_none() => made.called(cancel).await,
            _ => Ok(cancel.or_cancelled(self.info()).await?.name.to_string()),
        }
    }

    /// Has the host be there that is made for it, if it is to have one. [`start`](Self::start) does so
    /// by itself, once it knows that it can use it.
    ///
    /// # Errors
    /// It cannot be made. What was made by then has ended, or is in the ledger, which the error says.
    pub async fn make_host(&self, cancel: &Cancel) -> Result<()> {
        match self.0.place.made_host() {
            Some(made) => made.up(cancel).await.map(drop),
            None => Ok(()),
        }
    }

    /// Gives back the host that was made for a [`start`](Self::start) which failed. One that was there before is
    /// left as it was: it goes on, or is stopped again; not touched where it is `in_use` by an earlier session.
    ///
    /// # Errors
    /// It has not ended, or does not rest; it is in the ledger still.
    pub async fn undo_start(&self, in_use: bool) -> Result<()> {
        match self.0.place.made_host() {
            Some(made) => made.undo_start(in_use).await,
            None => Ok(()),
        }
    }

    /// The host that was made for it, as it is remembered; none before, and after it was given back.
    pub fn host(&self) -> Option<HostRecord> {
        self.0.place.made_host()?.record()
    }

    /// What is to become of the host that is made for it; none where there is no such host.
    pub fn stop_mode(&self) -> Option<StopMode> {
        self.0.place.made_host().map(|made| made.stop_mode())
    }

    /// Says what is to become of the host that is made for it, in place of what the configuration says.
    pub fn set_stop_mode(&self, mode: StopMode) {
        if let Some(made) = self.0.place.made_host() {
            made.set_stop_mode(mode);
        }
    }

    /// What is to be told of the host that was made for it, and was not told yet.
    pub fn host_notes(&self) -> Vec<String> {
        self.0.place.made_host().map(|made| made.notes()).unwrap_or_default()
    }
}
