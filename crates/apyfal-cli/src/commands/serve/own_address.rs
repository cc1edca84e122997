//! The address by which other machines reach this one.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// An address for clients of a host that listens on all addresses of this kind: the one by which
/// this machine reaches others, else one of its interfaces. Without either there are no others.
pub(super) fn instead_of(all: IpAddr) -> IpAddr {
    // What listens on all addresses of IPv6 takes those of IPv4 too.
    let kinds = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];
    let kinds = &kinds[..if all.is_ipv6() { 2 } else { 1 }];
    let outwards = kinds.iter().find_map(|(here, there)| towards(here, there));
    outwards.or_else(|| of_an_interface(all.is_ipv6())).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The address from which this machine would send there. Nothing is sent.
fn towards(here: &str, there: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(here).ok()?;
    socket.connect(there).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn of_an_interface(or_ipv6: bool) -> Option<IpAddr> {
    let found = if_addrs::get_if_addrs().ok()?;
    let usable: Vec<_> = found
        .iter()
        .filter(|interface| !interface.is_loopback() && !interface.is_link_local())
        .map(if_addrs::Interface::ip)
        .collect();
    let of_kind = |is_ipv6| usable.iter().find(|ip| ip.is_ipv6() == is_ipv6).copied();
    of_kind(false).or_else(|| of_kind(true).filter(|_| or_ipv6))
}
