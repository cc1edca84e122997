//! A host that nobody gave back: its accelerator went with an error, a panic or a future that was dropped.

use std::sync::Arc;
use std::thread;

use apyfal_core::{Cancel, ErrorKind, Result};
use tokio::runtime::{Builder, Handle};

use super::Host;

/// Throws a switch once it is dropped.
#[derive(Debug)]
pub(super) struct GivenUp(pub(super) Cancel);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What all clones of a host share. With the last one it is given back, unless that was done.
#[derive(Debug)]
pub(super) struct Held(pub(super) Arc<Host>);

impl Drop for Held {
    fn drop(&mut self) {
        if !self.0.is_owed() {
            return;
        }
        let mut owed = Owed(Some(self.0.clone()));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { owed.settle().await });
        }
    }
}

/// A host that is to be given back.
struct Owed(Option<Arc<Host>>);

impl Owed {
    async fn settle(&mut self) {
        if let Some(host) = &self.0 {
            // Nobody is there to be told: what has not ended is in the ledger, and ends with its lease.
            let ended = host.ended(&host.lifecycle).await;
            // What a runtime that ends has on threads is cut off, and done without it.
            if ended.is_err_and(|error| error.kind() == ErrorKind::Internal) {
                return;
            }
        }
        self.0 = None;
    }
}

impl Drop for Owed {
    /// Where there is no runtime, or it ends before the host has ended: whoever waits for the end of that
    /// waits for this.
    fn drop(&mut self) {
        let Some(host) = self.0.take() else { return };
        let ending = thread::Builder::new().name("apyfal-end".to_owned()).spawn(move || end(&host));
        if let Ok(ending) = ending {
            let _ = ending.join();
        }
    }
}

/// Ends a host without anything of the runtime that it was made in, whose connections nobody drives any
/// more.
fn end(host: &Host) -> Result<()> {
    let info = host.lifecycle.provider();
    let lifecycle = host.lifecycle_of(info.name, info.region.as_deref())?;
    Builder::new_current_thread().enable_all().build()?.block_on(host.ended(&lifecycle))
}
