//! Waiting for what comes at a time that nobody knows.

use std::time::{Duration, Instant};

/// How long anything may take that should take a moment.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long one who waits does so before the next look.
const PAUSE: Duration = Duration::from_millis(5);

/// Repeats a check until it holds.
///
/// # Panics
/// It never does.
pub fn until(what: &str, mut check: impl FnMut() -> bool) {
    until_some(what, || check().then_some(()));
}

/// Repeats a question until it has an answer.
///
/// # Panics
/// It never has one.
pub fn until_some<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    answer(ask).unwrap_or_else(|| panic!("it never came true that {what}"))
}

/// As [`until`], while other tasks of this thread go on.
///
/// # Panics
/// It never holds.
pub async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !check() {
        assert!(begin.elapsed() < PATIENCE, "it never came true that {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// As [`until_some`]; none where it never has one.
pub(crate) fn answer<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    loop {
        let answer = ask();
        if answer.is_some() || begin.elapsed() > PATIENCE {
            return answer;
        }
        std::thread::sleep(PAUSE);
    }
}
