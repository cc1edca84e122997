//! What the system knows of a TCP connection, and no crate of ours asks it for.

// The library of the system is the only way to these options.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use tokio::net::TcpStream;

/// Since Linux 6.15; the C library does not name it yet.
const TCP_RTO_MAX_MS: c_int = 44;
/// The beginning of `struct tcp_info`, which never changes: eight bytes, and then numbers.
const WORDS: usize = 15;

/// What is known of the other end's system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    /// How long ago its last acknowledgement came.
    pub(crate) last: Duration,
    /// Whether anything was sent to it since, be it a probe.
    pub(crate) are_missing: bool,
}

/// What the other end's system acknowledged.
///
/// Source: `struct tcp_info` in `linux/tcp.h`.
pub(crate) fn answers(stream: &TcpStream) -> io::Result<Answers> {
    let mut words = [0_u32; WORDS];
    let mut len = size_of_val(&words) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as the stream is borrowed; the system writes no more
    // than `len` bytes, and any bytes are good numbers.
    let answer = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            words.as_mut_ptr().cast::<c_void>(),
            &mut len,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    let [_, _, _, probes] = words[0].to_ne_bytes();
    let (unacknowledged, last_sent, last_acknowledged) = (words[6], words[11], words[14]);
    // What came to a closed window is repeated after longer and longer pauses, and refused each time.
    let is_sent_since = unacknowledged > 0 && last_sent < last_acknowledged;
    Ok(Answers {
        last: Duration::from_millis(last_acknowledged.into()),
        are_missing: probes > 0 || is_sent_since,
    })
}

/// Has the system repeat what is not acknowledged, and ask again whether a closed window is open, at
/// least so often. Otherwise the pauses grow to two minutes.
pub(crate) fn repeat_within(stream: &TcpStream, pause: Duration) -> io::Result<()> {
    let milliseconds = c_int::try_from(pause.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the descriptor is open as long as the stream is borrowed, and the system reads the
    // number that is passed.
    let answer = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            TCP_RTO_MAX_MS,
            (&raw const milliseconds).cast::<c_void>(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
