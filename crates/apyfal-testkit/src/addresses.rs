//! Addresses that no other test can come to have.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::net::TcpSocket;

/// An address of the loopback interface for one server that ends and comes back at the same port.
///
/// At `127.0.0.1`, where every connection of every test begins, the port could be taken meanwhile.
pub fn own_loopback() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // 127.0 is everybody's.
    Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

/// A connection that comes from this address of the machine.
///
/// # Errors
/// The address is none of the machine's, or nobody listens.
pub async fn connect_from(from: IpAddr, to: SocketAddr) -> std::io::Result<std::net::TcpStream> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind((from, 0).into())?;
    let stream = socket.connect(to).await?.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// An address where nobody listens, nor can as long as this is there: who connects is refused.
#[derive(Debug)]
pub struct Unheard(TcpSocket);

impl Unheard {
    /// Takes one.
    ///
    /// # Panics
    /// None can be had.
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // Bound, and not listening.
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        Self(socket)
    }

    /// The address.
    ///
    /// # Panics
    /// It has none.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }
}

impl Default for Unheard {
    fn default() -> Self {
        Self::new()
    }
}
