//! The network between a client and its host, which may be slow, silent, or break.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a link treats what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    Open,
    /// A piece now and then.
    Slow,
    /// Nothing passes, and nothing tells.
    Silent,
    /// Each connection breaks once so many bytes have passed in one direction.
    BreaksAfter(u64),
}

const PIECE: usize = 16 << 10;

/// A link to one host, which listens at an address of its own whether the host is there or not.
#[derive(Debug)]
pub(crate) struct Link {
    address: SocketAddr,
    state: Arc<Mutex<LinkState>>,
}

impl Link {
    /// Its threads end with the process.
    pub(crate) fn to(host: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(LinkState::Open));
        let seen = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Where the host is not there the connection is closed.
                let Ok(host) = TcpStream::connect(host) else { continue };
                for (from, to) in [(&client, &host), (&host, &client)] {
                    let ends = (from.try_clone().unwrap(), to.try_clone().unwrap(), seen.clone());
                    std::thread::spawn(move || carry(ends.0, ends.1, &ends.2));
                }
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn set(&self, state: LinkState) {
        *self.state.lock().unwrap() = state;
    }
}

/// Carries one direction of a connection to its end.
fn carry(mut from: TcpStream, mut to: TcpStream, state: &Mutex<LinkState>) {
    let _ = to.set_nodelay(true);
    let (mut piece, mut passed) = ([0; PIECE], 0);
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let mut length = length;
        match waited(state) {
            LinkState::BreaksAfter(bytes) if passed + length as u64 >= bytes => {
                length = bytes.saturating_sub(passed) as usize;
                let _ = to.write_all(&piece[..length]);
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
            _ => {}
        }
        passed += length as u64;
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    // Who is silent does not even tell that it ended.
    waited(state);
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// Waits as long as the state is silent, or a moment where it is slow.
fn waited(state: &Mutex<LinkState>) -> LinkState {
    loop {
        let present = *state.lock().unwrap();
        match present {
            LinkState::Open | LinkState::BreaksAfter(_) => return present,
            LinkState::Slow => {
                std::thread::sleep(Duration::from_millis(5));
                return present;
            }
            LinkState::Silent => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
