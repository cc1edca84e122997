//! Threads that serve connections, each with a runtime of its own: what is begun on a connection stays on
//! one core, and nobody has to be woken for it by another one.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long what was handed on to threads for blocking work may take to end.
const TIDYING: Duration = Duration::from_secs(2);

/// The threads. Where there are none, the runtime of who accepts serves.
#[derive(Debug, Default)]
pub(crate) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Held by each of its connections.
    connections: Arc<()>,
    /// The thread ends once this is dropped.
    _running: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Workers {
    /// Starts so many.
    ///
    /// # Errors
    /// The system has no threads left.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        (0..count).map(|_| Worker::start()).collect::<io::Result<_>>().map(Self)
    }

    /// Has the one with the fewest connections serve one.
    pub(crate) fn spawn(
        &self,
        served: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let worker = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.connections));
        let Some(worker) = worker else { return tokio::spawn(served) };
        let counted = worker.connections.clone();
        worker.runtime.spawn(async move {
            let _counted = counted;
            served.await;
        })
    }

    /// Ends them, with all that they serve still.
    pub(crate) async fn end(self) {
        let threads: Vec<_> = self.0.into_iter().map(|worker| worker.thread).collect();
        let ended = tokio::task::spawn_blocking(|| {
            threads.into_iter().for_each(|thread| {
                let _ = thread.join();
            });
        });
        let _ = ended.await;
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("apyfal-worker".to_owned()).spawn(move || {
            let _ = runtime.block_on(ended);
            runtime.shutdown_timeout(TIDYING);
        })?;
        let connections = Arc::new(());
        Ok(Self { runtime: handle, connections, _running: running, thread })
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn connections_are_shared_out_and_end_with_their_threads() {
        let workers = Workers::start(2).unwrap();
        let (sender, mut threads) = mpsc::unbounded_channel();
        let serve = |is_short: bool| {
            let sender = sender.clone();
            workers.spawn(async move {
                sender.send(thread::current().id()).unwrap();
                if !is_short {
                    std::future::pending::<()>().await;
                }
            })
        };
        let first = serve(false);
        let first_on = threads.recv().await.unwrap();
        serve(false);
        let second_on = threads.recv().await.unwrap();
        assert_ne!(first_on, second_on);
        assert_ne!(first_on, thread::current().id());
        // What has ended makes room where it was.
        first.abort();
        let _ = first.await;
        serve(true).await.unwrap();
        assert_eq!(threads.recv().await.unwrap(), first_on);
        drop(sender);
        workers.end().await;
        assert!(threads.recv().await.is_none(), "what was served has ended");
    }

    #[tokio::test]
    async fn without_threads_who_accepts_serves() {
        let workers = Workers::default();
        let here = thread::current().id();
        let served = workers.spawn(async move { assert_eq!(thread::current().id(), here) });
        served.await.unwrap();
        workers.end().await;
    }
}
