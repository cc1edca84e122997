//! The networks that this machine is in, of whatever addresses they are.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use if_addrs::IfAddr;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Wider than this no network is that a machine is in: such routes lead all traffic somewhere, as
/// those of tunnels do.
const WIDEST: [u8; 2] = [8, 16];

/// The addresses of this machine, and the networks that it reaches without a router.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnNetworks {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) links: Vec<IpNet>,
}

impl OwnNetworks {
    /// Those of this moment: addresses come and go.
    ///
    /// # Errors
    /// The system does not tell them.
    pub(crate) fn now() -> io::Result<Self> {
        let interfaces = if_addrs::get_if_addrs()?;
        let addresses = interfaces.iter().map(if_addrs::Interface::ip).collect();
        let links = interfaces.iter().filter_map(|interface| match &interface.addr {
            IfAddr::V4(found) => IpNet::new(found.ip.into(), found.prefixlen).ok(),
            IfAddr::V6(found) => IpNet::new(found.ip.into(), found.prefixlen).ok(),
        });
        // A prefix that a router announces need be that of no address.
        let links = links
            .chain(routes("/proc/net/route", route_v4)?)
            .chain(routes("/proc/net/ipv6_route", route_v6)?)
            .filter(|link| link.prefix_len() >= WIDEST[usize::from(link.addr().is_ipv6())])
            .collect();
        Ok(Self { addresses, links })
    }

    /// Whether an address is this machine's.
    pub(super) fn has(&self, address: &IpAddr) -> bool {
        self.addresses.contains(address)
    }

    /// Whether an address is reached without a router.
    pub(super) fn is_near(&self, address: &IpAddr) -> bool {
        self.links.iter().any(|link| link.contains(address))
    }
}

/// The networks of a table of the system that need no router. None where there is no table: a system
/// without IPv6, or a process that sees little of /proc.
fn routes(path: &str, read: fn(&str) -> Option<IpNet>) -> io::Result<Vec<IpNet>> {
    match fs::read_to_string(path) {
        Ok(table) => Ok(table.lines().filter_map(read).collect()),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// `eth0 0000A8C0 00000000 0001 0 0 0 00FFFFFF …`: interface, network, router, flags, three counts,
/// mask; numbers as they are in memory.
fn route_v4(line: &str) -> Option<IpNet> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let mut address = |skipped| -> Option<Ipv4Addr> {
        let number = u32::from_str_radix(words.nth(skipped)?, 16).ok()?;
        Some(Ipv4Addr::from(number.to_ne_bytes()))
    };
    let (network, router, mask) = (address(0)?, address(0)?, address(4)?);
    let network = Ipv4Net::with_netmask(network, mask).ok()?;
    router.is_unspecified().then_some(network.into())
}

/// `fd00… 40 0000… 00 0000… …`: network and its length, source and its length, router.
fn route_v6(line: &str) -> Option<IpNet> {
    let mut words = line.split_ascii_whitespace();
    let address = |word: &str| Some(Ipv6Addr::from_bits(u128::from_str_radix(word, 16).ok()?));
    let network = address(words.next()?)?;
    let len = u8::from_str_radix(words.next()?, 16).ok()?;
    let router = address(words.nth(2)?)?;
    router.is_unspecified().then(|| Some(Ipv6Net::new(network, len).ok()?.into()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_system_are_read() {
        let near = "lo\t00090909\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0";
        let network = if cfg!(target_endian = "little") { "9.9.9.0/24" } else { "0.9.9.9/24" };
        assert_eq!(route_v4(near), network.parse().ok());
        let far = "eth0\t00090909\t0100000A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0";
        assert_eq!(route_v4(far), None);
        assert_eq!(route_v4("Iface\tDestination\tGateway \tFlags"), None);
        let none = "0".repeat(32);
        let line = |router: &str| {
            format!("2a000001000000000000000000000000 40 {none} 00 {router} 00000100 1 0 1 eth0")
        };
        assert_eq!(route_v6(&line(&none)), "2a00:1::/64".parse().ok());
        assert_eq!(route_v6(&line("fe800000000000000000000000000001")), None);
        assert_eq!(route_v6(""), None);
    }

    #[test]
    fn this_machine_knows_itself() {
        let own = OwnNetworks::now().unwrap();
        assert!(own.has(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{own:?}");
        assert!(own.links.iter().all(|link| link.prefix_len() >= 8), "{own:?}");
    }
}
