//! Noticing that the other end's system is gone, which sends nothing to say so.

use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

/// Ends the connection where the system at its other end has not answered for so long, and sends
/// what is written at once.
pub fn notice_the_gone(stream: &TcpStream, gone: Duration) {
    // Where the system knows one of these not, it works without.
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, gone / 2);
    let _ = sockopt::set_tcp_keepintvl(stream, gone / 4);
    let _ = sockopt::set_tcp_keepcnt(stream, 2);
    let _ = sockopt::set_tcp_user_timeout(stream, gone.as_millis() as u32);
}
