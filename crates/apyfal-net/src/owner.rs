//! Whose program is at the other end of a connection that does not leave this machine.
//!
//! The system is asked by netlink for the one socket, as `ss` asks, which takes the same time
//! however many there are.
//!
//! Source: sock_diag(7); Linux, include/uapi/linux/inet_diag.h.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It was not asked for.
    NotAsked,
    /// A program of the user with this number.
    User(u32),
    /// Nobody any more: the socket there is closed.
    Nobody,
    /// The system does not tell.
    Unknown,
}

impl Owner {
    /// The owner of the socket at `remote` that is connected to the one at `local`, where both are
    /// on this machine.
    pub fn of(local: SocketAddr, remote: SocketAddr) -> Self {
        let asked = ask(local, remote);
        match asked.as_deref().map(|answer| read(answer, local, remote)) {
            Ok(Some(owner)) => owner,
            _ => Self::Unknown,
        }
    }
}

const SEQUENCE: u32 = 1;
const HEAD: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const ENOENT: i32 = 2;
const TCP: u8 = 6;

fn ask(local: SocketAddr, remote: SocketAddr) -> io::Result<Vec<u8>> {
    let (flags, kind) = (SocketFlags::CLOEXEC, SocketType::DGRAM);
    let socket = socket_with(AddressFamily::NETLINK, kind, flags, Some(netlink::SOCK_DIAG))?;
    send(&socket, &question(local, remote), SendFlags::empty())?;
    let mut answer = vec![0; 4096];
    // The answer is there once the question is sent.
    let (_, len) = recv(&socket, &mut answer, RecvFlags::DONTWAIT)?;
    answer.truncate(len);
    Ok(answer)
}

/// `struct inet_diag_req_v2` behind a header of netlink: about the socket whose own address is
/// `remote`.
fn question(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    // One that is mapped is a connection of IPv4 to the system.
    let [own, other] = [remote, local].map(|end| (end.ip().to_canonical(), end.port()));
    let family = match own.0 {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let mut text = vec![family.as_raw() as u8, TCP, 0, 0];
    let every_state = u32::MAX;
    text.extend(every_state.to_ne_bytes());
    text.extend(own.1.to_be_bytes());
    text.extend(other.1.to_be_bytes());
    text.extend(bytes(own.0));
    text.extend(bytes(other.0));
    let (any_interface, no_cookie) = (0_u32, u64::MAX);
    text.extend(any_interface.to_ne_bytes());
    text.extend(no_cookie.to_ne_bytes());
    let mut question = ((HEAD + text.len()) as u32).to_ne_bytes().to_vec();
    question.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    question.extend(NLM_F_REQUEST.to_ne_bytes());
    question.extend(SEQUENCE.to_ne_bytes());
    question.extend(0_u32.to_ne_bytes());
    question.extend(text);
    question
}

/// An address as the system has it: in 16 bytes, of which one of IPv4 takes the first four.
fn bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The owner that `struct inet_diag_msg` tells.
fn read(answer: &[u8], local: SocketAddr, remote: SocketAddr) -> Option<Owner> {
    /// States of a connection whose end can still send or take: established, and those in which it
    /// has said that it sends no more. One that listens is no connection, and one that waits for
    /// its time to be over has no owner.
    const OPEN: [u8; 3] = [1, 4, 5];
    let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
    let text = answer.get(HEAD..)?;
    let number = |at: usize| Some(u32::from_ne_bytes(*text.get(at..)?.first_chunk()?));
    match kind {
        NLMSG_ERROR if number(0)? as i32 == -ENOENT => return Some(Owner::Nobody),
        SOCK_DIAG_BY_FAMILY => {}
        _ => return None,
    }
    let is_ipv4 = u16::from(*text.first()?) == AddressFamily::INET.as_raw();
    let end = |port: usize, address: usize| {
        let bytes: [u8; 16] = *text.get(address..)?.first_chunk()?;
        let ip = match is_ipv4 {
            true => IpAddr::from(*bytes.first_chunk::<4>()?),
            false => IpAddr::from(bytes).to_canonical(),
        };
        Some((ip, u16::from_be_bytes(*text.get(port..)?.first_chunk()?)))
    };
    let same = |end: (IpAddr, u16), as_asked: SocketAddr| {
        end == (as_asked.ip().to_canonical(), as_asked.port())
    };
    // Where there is no such connection the system may tell of who listens at that address.
    let is_it = same(end(4, 8)?, remote) && same(end(6, 24)?, local);
    let (state, user, inode) = (*text.get(1)?, number(64)?, number(68)?);
    // A socket that no program holds has no inode, and seems to be root's.
    match is_it && OPEN.contains(&state) && inode != 0 {
        true => Some(Owner::User(user)),
        false => Some(Owner::Nobody),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;

    fn ends(connection: &TcpStream) -> (SocketAddr, SocketAddr) {
        (connection.peer_addr().unwrap(), connection.local_addr().unwrap())
    }

    #[test]
    fn the_system_tells_whose_a_connection_is() {
        let own = Owner::User(rustix::process::geteuid().as_raw());
        for address in ["127.0.0.1:0", "127.9.8.7:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (served, _) = listener.accept().unwrap();
            let (local, remote) = ends(&client);
            assert_eq!(Owner::of(local, remote), own, "{address}");
            // One that sends no more still waits for its answer.
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(Owner::of(local, remote), own, "{address}");
            // What is closed looks like one of root's to those who do not look twice.
            drop(client);
            assert_eq!(Owner::of(local, remote), Owner::Nobody, "{address}");
            drop(served);
            assert_eq!(Owner::of(local, remote), Owner::Nobody, "{address}");
        }
    }

    #[test]
    fn a_connection_of_ipv4_is_found_by_its_mapped_addresses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mapped = |end: SocketAddr| match end.ip() {
            IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), end.port()),
            IpAddr::V6(_) => end,
        };
        // Programs in Java connect so.
        let local = listener.local_addr().unwrap();
        let client = TcpStream::connect(mapped(local)).unwrap();
        let (_served, remote) = listener.accept().unwrap();
        for remote in [remote, client.local_addr().unwrap()] {
            assert!(matches!(Owner::of(local, remote), Owner::User(_)), "{remote}");
            assert!(matches!(Owner::of(mapped(local), remote), Owner::User(_)), "{remote}");
        }
    }

    #[test]
    fn who_listens_at_an_address_is_not_at_the_end_of_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let nowhere = "127.0.0.1:1".parse().unwrap();
        assert_eq!(Owner::of(nowhere, listener.local_addr().unwrap()), Owner::Nobody);
        assert_eq!(read(&[], nowhere, nowhere), None);
        assert_eq!(read(&[0; 30], nowhere, nowhere), None);
    }
}
