//! Which standard streams this process was started without.
//!
//! Before `main` Rust opens `/dev/null` in place of each that is closed, as which it takes all that is
//! written and has nothing to read. From then on it looks like one that was meant to be: programs
//! open `/dev/null` for their children in the same way. So this looks before.

// A function that runs before `main` cannot be written without.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

/// Bit N is that of descriptor N.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Whether a descriptor was closed when this process started.
pub(super) fn was_closed(descriptor: u8) -> bool {
    CLOSED.load(Ordering::Relaxed) & (1 << descriptor) != 0
}

// SAFETY: the linker gathers pointers to functions without arguments in this section, and the C
// library calls each of them once, on the only thread that there is.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;

/// Needs nothing that Rust sets up before `main`.
extern "C" fn look() {
    for descriptor in 0..3 {
        // SAFETY: it is only asked about, and may be closed.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        if flags == -1 {
            CLOSED.fetch_or(1 << descriptor, Ordering::Relaxed);
        }
    }
}
