//! A time limit for a whole call.

use std::pin::pin;
use std::time::Duration;

use apyfal_core::{Cancel, Error, Result};

/// The result of `work`, which is asked to end by `cancel` once it took longer than the limit.
///
/// # Errors
/// Those of `work`, or [`Error::timed_out`].
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    cancel: &Cancel,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(limit) = limit else { return work.await };
    let mut work = pin!(work);
    tokio::select! {
        biased;
        result = &mut work => return result,
        () = tokio::time::sleep(limit) => cancel.cancel(),
    }
    // It ends soon, and in order: what it holds is free when the caller hears of it.
    match work.await {
        Err(error) if error.is_cancelled() => Err(Error::timed_out(limit)),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use apyfal_core::ErrorKind;

    use super::*;

    const SHORT: Option<Duration> = Some(Duration::from_millis(10));

    #[tokio::test(start_paused = true)]
    async fn who_takes_too_long_is_ended() {
        let cancel = Cancel::default();
        let endless = cancel.or_cancelled(std::future::pending::<Result<()>>());
        let error = within(SHORT, &cancel, endless).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.message(), "it took longer than its limit of 0.01 s");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_done_in_spite_of_it_counts() {
        let cancel = Cancel::default();
        let stubborn = async {
            cancel.cancelled().await;
            Ok(1)
        };
        assert_eq!(within(SHORT, &cancel, stubborn).await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_cancelled_by_the_caller_is_cancelled() {
        let cancel = Cancel::default();
        cancel.cancel();
        let endless = cancel.or_cancelled(std::future::pending::<Result<()>>());
        let hour = Some(Duration::from_secs(3600));
        assert!(within(hour, &cancel, endless).await.unwrap_err().is_cancelled());
    }
}
