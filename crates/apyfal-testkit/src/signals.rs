//! The signals that programs of a test are started with.

use std::sync::Once;

use tokio::signal::unix::{SignalKind, signal};

/// Has every program that this process starts from now on begin with the default action of each
/// signal, whatever this process inherited: what a script runs in the background ignores SIGINT and
/// SIGQUIT, `nohup` has SIGHUP ignored, and what is ignored stays so in programs that are started.
///
/// A signal that was ignored is caught instead, and does nothing here; one that is caught has its
/// default action in a program that is started.
pub fn default_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.expect("a runtime");
        let entered = runtime.enter();
        let ignored = ignored();
        for kind in [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
            SignalKind::alarm(),
            SignalKind::terminate(),
            SignalKind::child(),
        ] {
            if ignored & (1 << (kind.as_raw_value() - 1)) != 0 {
                // It stays caught after the end of the runtime.
                drop(signal(kind).expect("a signal that can be caught"));
            }
        }
        drop(entered);
        // The caller may be in a runtime itself, where others are not waited for.
        runtime.shutdown_background();
    });
}

/// The signals that this process ignores, as the kernel shows them: bit 0 is signal 1.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process has a status");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    u64::from_str_radix(mask.trim(), 16).expect("a mask in hexadecimal")
}
