//! The switch that ends a job early.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// A switch that ends a job early. Clones are the same switch.
///
/// A look at it costs no more than a load from memory, since engines look at every read and write.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    thrown: AtomicBool,
    /// The one whose throw counts here too.
    parent: Option<Cancel>,
    /// Whom to wake, of those that wait still.
    token: CancellationToken,
}

impl Cancel {
    /// Another switch, which is thrown with this one, or alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(Arc::new(Switch {
            thrown: AtomicBool::new(false),
            parent: Some(self.clone()),
            token: self.0.token.child_token(),
        }))
    }

    /// Asks the job to end. It does so within 100 ms.
    pub fn cancel(&self) {
        // First, so that who is woken sees it.
        self.0.thrown.store(true, Ordering::Release);
        self.0.token.cancel();
    }

    /// Whether the job was asked to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.thrown.load(Ordering::Acquire)
            || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }

    /// An error of kind [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) once the job was asked
    /// to end.
    ///
    /// # Errors
    /// As said.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }

    /// Ready once the job was asked to end.
    pub async fn cancelled(&self) {
        self.0.token.cancelled().await;
    }

    /// The result of `work`, unless the job is asked to end before: then `work` is dropped.
    ///
    /// # Errors
    /// Those of `work`, or one of kind [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub async fn or_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = pin!(work);
        let mut cancelled = pin!(self.cancelled());
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => cancelled.as_mut().poll(context).map(|()| Err(Error::cancelled())),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Wake, Waker};

    use super::*;

    /// Counts how often it is woken, and by its clones who could wake it.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn work_that_waits_is_dropped_when_cancelled() {
        let task = Arc::new(Task::default());
        let waker = Waker::from(task.clone());
        let mut context = Context::from_waker(&waker);
        let cancel = Cancel::default();
        let mut work = pin!(cancel.or_cancelled(std::future::pending::<Result<()>>()));
        assert!(work.as_mut().poll(&mut context).is_pending());
        assert!(work.as_mut().poll(&mut context).is_pending());
        cancel.cancel();
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
        assert!(matches!(
            work.as_mut().poll(&mut context),
            Poll::Ready(Err(error)) if error.is_cancelled()
        ));
        let mut done = pin!(cancel.or_cancelled(std::future::ready(Ok(1))));
        assert!(matches!(done.as_mut().poll(&mut context), Poll::Ready(Ok(1))));
    }

    #[test]
    fn it_forgets_who_waits_no_more() {
        let cancel = Cancel::default();
        let task = Arc::new(Task::default());
        for _ in 0..1000 {
            // Each job waits in a task of its own, and ends without being cancelled.
            let one = Arc::new(Task::default());
            let waker = Waker::from(one.clone());
            let child = cancel.child();
            for cancel in [&cancel, &child] {
                let mut work = pin!(cancel.or_cancelled(std::future::pending::<Result<()>>()));
                assert!(work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            }
            drop(waker);
            assert_eq!(Arc::strong_count(&one), 1, "somebody could wake it still");
            assert_eq!(Arc::strong_count(&cancel.0), 2, "only the child knows its parent");
        }
        // Many that wait at once, of which the last stays.
        let waker = Waker::from(task.clone());
        let mut waiting: Vec<_> = (0..1000).map(|_| Box::pin(cancel.cancelled())).collect();
        for one in &mut waiting {
            assert!(one.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        waiting.truncate(1);
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 2);
        cancel.cancel();
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_child_is_thrown_with_its_parent_and_alone() {
        let cancel = Cancel::default();
        let (one, other) = (cancel.child(), cancel.child().child());
        one.cancel();
        assert!(one.is_cancelled() && !cancel.is_cancelled() && !other.is_cancelled());
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = pin!(other.cancelled());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        cancel.cancel();
        assert!(other.is_cancelled() && waiting.as_mut().poll(&mut context).is_ready());
        assert!(cancel.child().is_cancelled());
    }
}
