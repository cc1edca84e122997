//! Tasks of which no more run at once than are of use.

use tokio::task::{JoinError, JoinSet};

/// Tasks for the items of a list, which may be long. Dropping it ends those that run.
#[derive(Debug)]
pub(crate) struct Bounded<Items: Iterator, T> {
    /// None once no more are to begin.
    items: Option<Items>,
    /// The next item, where it may not begin yet.
    held: Option<Items::Item>,
    running: JoinSet<T>,
}

impl<Items: Iterator, T: Send + 'static> Bounded<Items, T> {
    pub(crate) fn new(items: Items) -> Self {
        Self { items: Some(items), held: None, running: JoinSet::new() }
    }

    /// Begins as many tasks as are of use; `width` says among how many that of an item is. To be called
    /// within a tokio runtime.
    pub(crate) fn fill<Task>(
        &mut self,
        width: impl Fn(&Items::Item) -> usize,
        begin: impl Fn(Items::Item) -> Task,
    ) where
        Task: Future<Output = T> + Send + 'static,
    {
        while let Some(item) = self.held.take().or_else(|| self.items.as_mut()?.next()) {
            if self.running.len() >= width(&item) {
                self.held = Some(item);
                break;
            }
            self.running.spawn(begin(item));
        }
    }

    /// Waits for the next task that ends; none where none runs. It may be given up and called again.
    pub(crate) async fn next(&mut self) -> Option<Result<T, JoinError>> {
        self.running.join_next().await
    }

    /// Leaves all items that did not begin.
    pub(crate) fn begin_no_more(&mut self) {
        (self.items, self.held) = (None, None);
    }

    /// Ends what runs, and waits for that.
    pub(crate) async fn end(&mut self) {
        self.begin_no_more();
        self.running.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn only_so_many_run_at_once_and_all_run_in_the_end() {
        let running = Arc::new(AtomicUsize::new(0));
        let mut tasks = Bounded::new(0..20);
        let mut ended = Vec::new();
        loop {
            tasks.fill(
                |item| if *item < 10 { 3 } else { 1 },
                |item| {
                    let running = running.clone();
                    async move {
                        let others = running.fetch_add(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        running.fetch_sub(1, Ordering::SeqCst);
                        (item, others)
                    }
                },
            );
            let Some(one) = tasks.next().await else { break };
            let (item, others) = one.unwrap();
            assert!(others < if item < 10 { 3 } else { 1 }, "{item}: {others}");
            ended.push(item);
        }
        ended.sort();
        assert_eq!(ended, (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_is_ended_begins_no_more() {
        let mut tasks = Bounded::new(0..3);
        tasks.fill(|_| 1, |_| std::future::pending::<()>());
        tasks.end().await;
        tasks.fill(|_| 1, |_| std::future::pending());
        assert!(tasks.next().await.is_none());
    }
}
