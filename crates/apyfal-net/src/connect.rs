//! Connecting to a name that has several addresses, of which some may be dead (RFC 8305).

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use apyfal_core::Error;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// How long an address is waited for before the next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to whichever address of a host answers first, within a limit of time.
///
/// # Errors
/// None answers; where there are several, the error is [`NoneAnswers`], which names them all.
pub async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let until = Instant::now() + limit;
    let found = timeout_at(until, lookup_host((host, port))).await;
    let addresses = by_turns(found.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??);
    first_of(addresses, until, TcpStream::connect).await
}

/// Why none of several addresses could be connected to.
#[derive(Debug)]
pub struct NoneAnswers(Vec<(SocketAddr, io::Error)>);

impl fmt::Display for NoneAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (address, error)) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { ", " };
            let why = Error::from(io::Error::from(error.kind()));
            write!(f, "{between}{}: {}", address.ip(), why.message())?;
        }
        Ok(())
    }
}

impl std::error::Error for NoneAnswers {}

/// The addresses, each once, of the two families by turns, in the order of the system otherwise.
fn by_turns(found: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let is_first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == is_first);
    let (mut first, mut other) = (first.into_iter(), other.into_iter());
    let mut mixed = VecDeque::new();
    loop {
        let (one, two) = (first.next(), other.next());
        if one.is_none() && two.is_none() {
            return mixed;
        }
        mixed.extend(one.into_iter().chain(two));
    }
}

/// Tries address after address, each with a head start over the next, until one answers.
async fn first_of<T, Trying: Future<Output = io::Result<T>>>(
    mut addresses: VecDeque<SocketAddr>,
    until: Instant,
    connect: impl Fn(SocketAddr) -> Trying,
) -> io::Result<T> {
    let is_single = addresses.len() == 1;
    let (mut tried, mut failed) = (Vec::new(), Vec::new());
    let mut trying = FuturesUnordered::new();
    let mut is_late = false;
    loop {
        if let Some(next) = addresses.pop_front() {
            tried.push(next);
            let connecting = connect(next);
            trying.push(async move { (next, connecting.await) });
        } else if is_late || trying.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            Some((address, connected)) = trying.next() => match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => failed.push((address, error)),
            },
            () = sleep_until(until) => {
                is_late = true;
                tried.extend(addresses.drain(..));
            }
            () = sleep(HEAD_START), if !addresses.is_empty() => {}
        }
    }
    for address in tried {
        if !failed.iter().any(|(other, _)| *other == address) {
            failed.push((address, io::ErrorKind::TimedOut.into()));
        }
    }
    match failed.pop() {
        Some((_, error)) if is_single => Err(error),
        Some(last) => {
            failed.push(last);
            // What one address said alone says little of the host.
            Err(io::Error::other(NoneAnswers(failed)))
        }
        None => Err(io::Error::new(io::ErrorKind::NotFound, "its name has no address")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(100)
    }

    #[test]
    fn the_families_take_turns() {
        let found = ["[::1]:1", "[::2]:1", "[::1]:1", "1.1.1.1:1", "[::3]:1", "2.2.2.2:1"];
        let mixed = by_turns(found.map(address).into_iter());
        let expected = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"];
        assert_eq!(mixed, expected.map(address));
        assert!(by_turns(std::iter::empty()).is_empty());
    }

    #[tokio::test]
    async fn a_dead_address_hides_no_good_one() {
        let dead = address("[::1]:1");
        let good = address("1.1.1.1:1");
        for silent in [true, false] {
            let connect = |to| async move {
                match (to == good, silent) {
                    (true, _) => Ok(to),
                    (false, true) => std::future::pending().await,
                    (false, false) => Err(io::ErrorKind::ConnectionRefused.into()),
                }
            };
            let found = first_of([dead, good].into(), soon(), connect).await;
            assert_eq!(found.unwrap(), good);
        }
    }

    #[tokio::test]
    async fn an_address_with_a_head_start_is_preferred() {
        let connect = |to| std::future::ready(Ok(to));
        let both = ["[::1]:1", "1.1.1.1:1"].map(address);
        assert_eq!(first_of(both.into(), soon(), connect).await.unwrap(), both[0]);
    }

    #[tokio::test]
    async fn all_addresses_are_named_where_none_answers() {
        let refusing = address("1.1.1.1:1");
        let connect = |to| async move {
            match to == refusing {
                true => Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionRefused)),
                false => std::future::pending().await,
            }
        };
        let all = [refusing, address("[::1]:1"), address("2.2.2.2:1")];
        let until = Instant::now() + Duration::from_millis(10);
        let error = first_of(all.into(), until, connect).await.unwrap_err().to_string();
        assert!(error.contains("1.1.1.1: connection refused"), "{error}");
        assert!(
            error.contains("::1: timed out") && error.contains("2.2.2.2: timed out"),
            "{error}"
        );
        // One alone needs no name.
        let error = first_of([refusing].into(), soon(), connect).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(first_of([].into(), soon(), connect).await.is_err());
    }

    #[tokio::test]
    async fn real_servers_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // On most systems the name means ::1 as well, where nobody listens.
        for host in ["localhost", "127.0.0.1"] {
            let limit = Duration::from_secs(100);
            let (stream, accepted) = tokio::join!(connect(host, port, limit), listener.accept());
            assert_eq!(stream.unwrap().local_addr().unwrap(), accepted.unwrap().1);
        }
    }
}
