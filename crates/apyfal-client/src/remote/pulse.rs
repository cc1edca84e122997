//! Whether a host that has jobs answers at all.
//!
//! The system of a host that was stopped keeps its connections, and takes new ones. So it is asked now
//! and then on a connection of its own, by one job for all that it has.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use apyfal_api::v2;
use apyfal_core::Error;
use http::Method;
use tokio::sync::{Mutex, watch};

use super::connection::Ask;
use super::failure::{Failure, silent};
use super::{Inner, Remote};

/// For how long a job has been there when it asks first, and the pause between two questions.
const LOOK: Duration = Duration::from_secs(4);
/// In how many parts silence is waited for, so that a pause of this process is not taken for one of
/// the host.
const TICKS: u32 = 30;

/// What is known of that.
#[derive(Debug)]
pub(super) struct Pulse {
    /// How long a host may give no answer before it hangs.
    limit: Duration,
    /// Held by the job that asks.
    asks: Mutex<()>,
    /// Since when it has given no answer, where it hangs.
    hangs: watch::Sender<Option<Instant>>,
    /// How many jobs follow this.
    following: AtomicUsize,
    /// How many jobs can only wait for the host.
    held: AtomicUsize,
}

impl Pulse {
    pub(super) fn new(limit: Duration) -> Self {
        let (hangs, asks) = (watch::Sender::new(None), Mutex::default());
        Self { limit, asks, hangs, following: AtomicUsize::new(0), held: AtomicUsize::new(0) }
    }
}

/// A job that follows whether its host answers.
#[derive(Debug)]
pub(crate) struct Following<'a>(&'a Inner);

impl Remote {
    /// How long the host has given no answer, where it hangs and jobs can only wait for it. It is told
    /// once that lasts for twice as long as [`RemoteOptions::hangs_after`](crate::RemoteOptions).
    pub fn hang(&self) -> Option<Duration> {
        let Pulse { limit, hangs, held, .. } = &self.0.pulse;
        let silence = (*hangs.borrow()).map(|since| since.elapsed())?;
        (held.load(Ordering::Relaxed) > 0 && silence >= 2 * *limit).then_some(silence)
    }

    /// Begins to follow whether the host answers, once a job has taken a while: most end before.
    pub(crate) async fn follow(&self) -> Following<'_> {
        self.0.follow().await
    }
}

impl Inner {
    pub(super) async fn follow(&self) -> Following<'_> {
        tokio::time::sleep(LOOK).await;
        self.pulse.following.fetch_add(1, Ordering::AcqRel);
        Following(self)
    }

    /// Whether the host answers, whatever it says. What a proxy says that has no answer is none.
    async fn answers(&self) -> bool {
        let asked = async {
            let mut ask = Ask::new(Method::GET, "/healthz".to_owned());
            self.connections.open_for(&mut ask).await?;
            Ok::<_, Failure>(self.connections.send(ask).await?.head)
        };
        // As large as a job.
        let Ok(head) = Box::pin(asked).await else { return false };
        if head.status.is_success() {
            self.connections.contact.answers();
        }
        !head.status.is_server_error() || head.headers.contains_key(v2::PROTOCOL)
    }
}

impl Following<'_> {
    /// Ready once the host hangs: since when it has given no answer.
    pub(crate) async fn hangs(&self) -> (Instant, Error) {
        let Inner { pulse, connections, .. } = self.0;
        let mut told = pulse.hangs.subscribe();
        let since = tokio::select! {
            biased;
            never = self.ask() => match never {},
            since = told.wait_for(Option::is_some) => since.ok().and_then(|since| *since),
        };
        let since = since.unwrap_or_else(Instant::now);
        (since, silent(&connections.address, &connections.contact, since).into_error())
    }

    /// Counts a job that can only wait as held by the host whenever that hangs.
    pub(crate) async fn holds(&self) -> Infallible {
        let mut told = self.0.pulse.hangs.subscribe();
        let counted = async {
            loop {
                // It cannot fail, since the sender outlives this.
                let _ = told.wait_for(Option::is_some).await;
                let _held = Held::at(&self.0.pulse.held);
                let _ = told.wait_for(Option::is_none).await;
            }
        };
        tokio::select! {
            biased;
            never = self.ask() => never,
            never = counted => never,
        }
    }

    /// Asks the host again and again, unless another job does.
    async fn ask(&self) -> Infallible {
        let Pulse { limit, asks, hangs, .. } = &self.0.pulse;
        let _asks = asks.lock().await;
        keep_asking(*limit, hangs, || self.0.answers()).await
    }
}

/// Asks again and again, and tells since when there was no answer once that lasts for too long.
async fn keep_asking<Answered: Future<Output = bool>>(
    limit: Duration,
    hangs: &watch::Sender<Option<Instant>>,
    ask: impl Fn() -> Answered,
) -> Infallible {
    loop {
        let asked = Instant::now();
        let answered = async {
            // What is refused or breaks off may go better the next time.
            while !ask().await {
                tokio::time::sleep(LOOK).await;
            }
        };
        let silence = async {
            for _ in 0..TICKS {
                tokio::time::sleep(limit / TICKS).await;
            }
        };
        tokio::select! {
            biased;
            () = answered => {
                hangs.send_if_modified(|hangs| hangs.take().is_some());
                tokio::time::sleep(LOOK).await;
            }
            () = silence => {
                hangs.send_if_modified(|hangs| {
                    let is_new = hangs.is_none();
                    hangs.get_or_insert(asked);
                    is_new
                });
            }
        }
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        let Pulse { following, hangs, .. } = &self.0.pulse;
        if following.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Nobody asks any more, so nothing is known.
            hangs.send_replace(None);
        }
    }
}

/// Counts a job for as long as it lives.
struct Held<'a>(&'a AtomicUsize);

impl<'a> Held<'a> {
    fn at(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);
    const HOUR: Duration = Duration::from_secs(3600);

    /// After how many seconds a host is said to hang; none where it is not within an hour.
    async fn hangs<Answered: Future<Output = bool>>(ask: impl Fn() -> Answered) -> Option<u64> {
        let (hangs, begin) = (watch::Sender::new(None), tokio::time::Instant::now());
        let mut told = hangs.subscribe();
        let told = timeout(HOUR, told.wait_for(Option::is_some));
        tokio::select! {
            told = told => told.is_ok().then(|| begin.elapsed().as_secs()),
            never = keep_asking(LIMIT, &hangs, ask) => match never {},
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_host_does_not_hang() {
        let slow = || async {
            sleep(LIMIT - Duration::from_secs(1)).await;
            true
        };
        assert_eq!(hangs(slow).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_hangs_that_gives_no_answer_or_none_of_its_own() {
        let never = || std::future::pending();
        assert_eq!(hangs(never).await, Some(LIMIT.as_secs()));
        let refused = || std::future::ready(false);
        assert_eq!(hangs(refused).await, Some(LIMIT.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_answers_again_hangs_no_more() {
        let (hangs, begin) = (watch::Sender::new(None), tokio::time::Instant::now());
        let ask = || async {
            let until = begin + 2 * LIMIT;
            tokio::time::sleep_until(until).await;
            true
        };
        let mut told = hangs.subscribe();
        let seen = async {
            told.wait_for(Option::is_some).await.unwrap();
            told.wait_for(Option::is_none).await.unwrap();
        };
        tokio::select! {
            seen = timeout(HOUR, seen) => seen.expect("it is told that it answers"),
            never = keep_asking(LIMIT, &hangs, ask) => match never {},
        }
    }
}
