//! What signals do to this process.

use std::fs::File;
use std::io::Read;

use apyfal::{Cancel, ErrorKind, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Has signals cancel, and none end a job of others.
pub(crate) fn listen(cancel: &Cancel) -> Result<()> {
    let ignored = ignored_signals();
    cancel_on_signal(cancel, ignored)?;
    fail_beyond_limit(ignored)
}

/// Cancels on the first SIGINT, SIGTERM or SIGHUP; the second one ends the process at once. One that
/// is ignored, as `nohup` and shells arrange for what runs in the background, stays so.
fn cancel_on_signal(cancel: &Cancel, ignored: u64) -> Result<()> {
    let is_ignored = |kind: SignalKind| ignored & (1 << (kind.as_raw_value() - 1)) != 0;
    // Where the ends of programs are ignored, nobody can wait for one.
    if is_ignored(SignalKind::child()) {
        drop(signal(SignalKind::child())?);
    }
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        if is_ignored(kind) {
            continue;
        }
        let (mut signals, cancel) = (signal(kind)?, cancel.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if cancel.is_cancelled() {
                    std::process::exit(crate::exit::code(ErrorKind::Cancelled).into());
                }
                cancel.cancel();
            }
        });
    }
    Ok(())
}

/// Has what is written beyond the limit on the size of files fail, instead of ending this process: a
/// host has jobs of others. The programs that it starts are ended as they would be by themselves,
/// which they would not be if the signal were ignored here.
fn fail_beyond_limit(ignored: u64) -> Result<()> {
    let beyond = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    if ignored & (1 << (beyond.as_raw_value() - 1)) == 0 {
        // What was once listened to does not end the process any more.
        drop(signal(beyond)?);
    }
    Ok(())
}

/// The signals that this process was started to ignore, as the kernel shows them: bit 0 is signal 1.
fn ignored_signals() -> u64 {
    // All of it is made anew for each read, so it is read at once.
    let mut status = [0; 4096];
    let read = File::open("/proc/self/status").and_then(|mut file| file.read(&mut status));
    let status = String::from_utf8_lossy(&status[..read.unwrap_or(0)]);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
