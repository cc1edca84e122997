//! How the jobs of this machine share its slots and cores.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use apyfal_core::{Error, ErrorKind, Result, Slots};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hands out slots: one job of an engine per slot, and each job its share of the cores.
#[derive(Debug)]
pub(crate) struct Scheduler {
    cores: NonZeroUsize,
    /// Jobs that run or wait, of all engines.
    demand: Arc<AtomicUsize>,
    engines: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A slot that a job holds until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    /// How many threads the job may keep busy.
    pub(crate) threads: NonZeroUsize,
    _permit: OwnedSemaphorePermit,
    _demand: Demand,
}

#[derive(Debug)]
struct Demand(Arc<AtomicUsize>);

impl Drop for Demand {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Scheduler {
    pub(crate) fn new(cores: NonZeroUsize) -> Self {
        Self { cores, demand: Arc::default(), engines: Mutex::default() }
    }

    /// Waits for a slot of the engine. Jobs get theirs in the order in which they ask.
    pub(crate) async fn slot(&self, engine: &str, slots: Slots) -> Result<Slot> {
        self.demand.fetch_add(1, Ordering::Relaxed);
        let demand = Demand(self.demand.clone());
        let semaphore = {
            let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
            let count = match slots {
                Slots::Cores => self.cores.get(),
                Slots::Fixed(count) => count.max(1),
            };
            engines
                .entry(engine.to_owned())
                .or_insert_with(|| Arc::new(Semaphore::new(count)))
                .clone()
        };
        let permit = semaphore.acquire_owned().await.map_err(|_| {
            Error::new(ErrorKind::Internal, format!("the slots of {engine} are closed"))
        })?;
        // A lone job gets every core; where as many jobs as cores want to run, each gets one.
        let rivals = self.demand.load(Ordering::Relaxed).max(1);
        let threads = NonZeroUsize::new(self.cores.get() / rivals).unwrap_or(NonZeroUsize::MIN);
        Ok(Slot { threads, _permit: permit, _demand: demand })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lone_job_gets_all_cores_and_rivals_share_them() {
        let scheduler = Scheduler::new(NonZeroUsize::new(4).unwrap());
        let first = scheduler.slot("gzip", Slots::Cores).await.unwrap();
        let second = scheduler.slot("gzip", Slots::Cores).await.unwrap();
        assert_eq!((first.threads.get(), second.threads.get()), (4, 2));
        drop((first, second));
        assert_eq!(scheduler.slot("gzip", Slots::Cores).await.unwrap().threads.get(), 4);
    }

    #[tokio::test]
    async fn no_more_jobs_than_slots_run() {
        let scheduler = Scheduler::new(NonZeroUsize::new(4).unwrap());
        let first = scheduler.slot("card", Slots::Fixed(1)).await.unwrap();
        let mut second = Box::pin(scheduler.slot("card", Slots::Fixed(1)));
        assert!(futures_poll(second.as_mut()).await.is_none());
        drop(first);
        assert!(second.await.is_ok());
    }

    /// The result of a future that is ready now.
    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
