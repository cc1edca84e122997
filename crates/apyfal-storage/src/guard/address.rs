//! What kinds of addresses there are.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::metadata::is_metadata;
use super::own::OwnNetworks;

/// A kind of address that is not of the public network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Unspecified,
    Loopback,
    LinkLocal,
    Private,
    Multicast,
    Broadcast,
    Documentation,
    Metadata,
    Own,
    Neighbour,
    Reserved,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an unspecified",
            Self::Loopback => "a loopback",
            Self::LinkLocal => "a link-local",
            Self::Private => "a private",
            Self::Multicast => "a multicast",
            Self::Broadcast => "a broadcast",
            Self::Documentation => "a documentation",
            Self::Metadata => "a cloud metadata",
            Self::Own => "this host's own",
            Self::Neighbour => "a neighbouring",
            Self::Reserved => "a reserved",
        })
    }
}

/// The class of an address for a machine in these networks; none if it is public.
pub(crate) fn class(address: IpAddr, own: &OwnNetworks) -> Option<Class> {
    let special = special(address);
    let meant = || std::iter::once(address).chain(embedded(address));
    if meant().any(|address| is_metadata(&address)) {
        return Some(Class::Metadata);
    }
    match special {
        None | Some(Class::Private) if meant().any(|address| own.has(&address)) => Some(Class::Own),
        None if meant().any(|address| own.is_near(&address)) => Some(Class::Neighbour),
        special => special,
    }
}

/// The class that an address has everywhere.
///
/// By the registries of special addresses of IANA for
/// [IPv4](https://www.iana.org/assignments/iana-ipv4-special-registry) and
/// [IPv6](https://www.iana.org/assignments/iana-ipv6-special-registry).
fn special(address: IpAddr) -> Option<Class> {
    match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => match translated(address) {
            Some(inner) => class_v4(inner),
            None => class_v6(address),
        },
    }
}

fn class_v4(address: Ipv4Addr) -> Option<Class> {
    Some(match address.octets() {
        [0, ..] => Class::Unspecified,
        [127, ..] => Class::Loopback,
        [169, 254, ..] => Class::LinkLocal,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Class::Private,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Class::Documentation,
        [224..=239, ..] => Class::Multicast,
        [255, 255, 255, 255] => Class::Broadcast,
        // Protocols, relays of 6to4, benchmarks, and the future.
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [240..=255, ..] => Class::Reserved,
        _ => return None,
    })
}

fn class_v6(address: Ipv6Addr) -> Option<Class> {
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        // Unique local and, from before those, site-local ones; translators of one's own network.
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Class::Private,
        [0xff00..=0xffff, ..] => Class::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Class::Documentation,
        // Protocols, such as benchmarks and hashes that look like addresses.
        [0x2001, 0..=0x1ff, ..] => Class::Reserved,
        [0x2000..=0x3fff, ..] => return None,
        _ => Class::Reserved,
    })
}

/// The IPv4 addresses to which a packet for this one may go in the end.
pub(crate) fn embedded(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let address = match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    };
    let translated = address.and_then(translated);
    let locally = address.map(locally_translated).into_iter().flatten().flatten();
    translated.into_iter().chain(locally).map(IpAddr::V4)
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

/// What a translator of one's own network (RFC 8215) makes of an address, by the length of the prefix
/// that it was given: 48, 56, 64 or 96 (RFC 6052, which leaves out the bits 64 to 71).
fn locally_translated(address: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let [0x64, 0xff9b, 1, third, fourth, fifth, sixth, seventh] = address.segments() else {
        return [None; 4];
    };
    let across = |high: u16, low: u16| high << 8 | low >> 8;
    [
        v4(third, across(fourth, fifth)),
        v4(third << 8 | fourth & 0xff, fifth),
        v4(across(fourth, fifth), across(fifth, sixth)),
        v4(sixth, seventh),
    ]
    .map(Some)
}

/// The IPv4 address that an address of IPv6 stands for everywhere.
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Mapped, translated (SIIT), compatible.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        // NAT64.
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        // 6to4.
        | [0x2002, high, low, ..] => Some(v4(high, low)),
        // Teredo, which inverts it.
        [0x2001, 0, _, _, _, _, high, low] => Some(v4(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_edges() {
        use Class::*;
        for (first, last, expected) in [
            ("0.0.0.0", "0.255.255.255", Unspecified),
            ("10.0.0.0", "10.255.255.255", Private),
            ("100.64.0.0", "100.127.255.255", Private),
            ("127.0.0.0", "127.255.255.255", Loopback),
            ("169.254.0.0", "169.254.255.255", LinkLocal),
            ("172.16.0.0", "172.31.255.255", Private),
            ("192.0.0.0", "192.0.0.255", Reserved),
            ("192.0.2.0", "192.0.2.255", Documentation),
            ("192.168.0.0", "192.168.255.255", Private),
            ("198.18.0.0", "198.19.255.255", Reserved),
            ("198.51.100.0", "198.51.100.255", Documentation),
            ("203.0.113.0", "203.0.113.255", Documentation),
            ("224.0.0.0", "239.255.255.255", Multicast),
            ("240.0.0.0", "255.255.255.254", Reserved),
            ("255.255.255.255", "255.255.255.255", Broadcast),
            ("::", "::", Unspecified),
            ("::1", "::1", Loopback),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Private),
            ("100::", "100::ffff:ffff:ffff:ffff", Reserved),
            ("2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Reserved),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Documentation),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Documentation),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", LinkLocal),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Multicast),
        ] {
            for address in [first, last] {
                assert_eq!(special(address.parse().unwrap()), Some(expected), "{address}");
            }
        }
        for public in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "223.255.255.255",
            "2001:200::",
            "2600::1",
            "2a00:1450:4001:80e::200e",
        ] {
            assert_eq!(special(public.parse().unwrap()), None, "{public}");
        }
    }

    /// A machine at 9.9.9.1.
    fn own() -> OwnNetworks {
        let links = ["9.9.9.0/24", "2600:9::/64", "10.0.0.0/8"];
        OwnNetworks {
            addresses: ["9.9.9.1", "2600:9::1", "10.0.0.1"].map(|a| a.parse().unwrap()).to_vec(),
            links: links.map(|link| link.parse().unwrap()).to_vec(),
        }
    }

    #[test]
    fn the_machine_and_its_neighbours_are_not_public() {
        for (address, expected) in [
            ("9.9.9.1", Some(Class::Own)),
            ("2600:9::1", Some(Class::Own)),
            ("10.0.0.1", Some(Class::Own)),
            ("9.9.9.255", Some(Class::Neighbour)),
            ("2600:9::ffff", Some(Class::Neighbour)),
            ("10.0.0.2", Some(Class::Private)),
            ("127.0.0.1", Some(Class::Loopback)),
            ("9.9.8.255", None),
            ("2600:9:0:1::1", None),
        ] {
            assert_eq!(class(address.parse().unwrap(), &own()), expected, "{address}");
        }
    }

    #[test]
    fn metadata_services_are_known_in_all_forms() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.0.23",
            "100.100.100.200",
            "100.96.0.96",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fe80::a9fe:a9fe",
            "::ffff:100.100.100.200",
            "64:ff9b::a9fe:a9fe",
            "2002:a83f:8110::1",
            // A translator of one's own network, with each length of its prefix.
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1:ffa9:fe:a9fe::",
            "64:ff9b:1:ffff:a9:fea9:fe00:0",
            "64:ff9b:1:ffff:ffff:ffff:a9fe:a9fe",
        ] {
            assert_eq!(class(address.parse().unwrap(), &own()), Some(Class::Metadata), "{address}");
        }
        for (address, expected) in [
            ("169.254.169.253", Some(Class::LinkLocal)),
            ("100.100.100.201", Some(Class::Private)),
            ("fd00:ec2::255", Some(Class::Private)),
            ("64:ff9b:1::a00:1", Some(Class::Own)),
            ("64:ff9b:1::808:808", Some(Class::Private)),
            ("168.63.129.17", None),
        ] {
            assert_eq!(class(address.parse().unwrap(), &own()), expected, "{address}");
        }
    }

    #[test]
    fn addresses_in_addresses_count_as_what_they_hold() {
        let own = own();
        let forms = |[a, b, c, d]: [u8; 4]| {
            let (high, low) = (format!("{a:02x}{b:02x}"), format!("{c:02x}{d:02x}"));
            let inverted = format!("{:02x}{:02x}:{:02x}{:02x}", !a, !b, !c, !d);
            [
                format!("::ffff:{high}:{low}"),
                format!("::ffff:0:{high}:{low}"),
                format!("::{high}:{low}"),
                format!("64:ff9b::{high}:{low}"),
                format!("2002:{high}:{low}::1"),
                format!("2001:0:4136:e378:8000:63bf:{inverted}"),
            ]
        };
        for (inner, expected) in [
            ([127, 0, 0, 1], Some(Class::Loopback)),
            ([169, 254, 169, 254], Some(Class::Metadata)),
            ([100, 100, 100, 200], Some(Class::Metadata)),
            ([169, 254, 1, 1], Some(Class::LinkLocal)),
            ([9, 9, 9, 1], Some(Class::Own)),
            ([9, 9, 9, 2], Some(Class::Neighbour)),
            ([10, 1, 2, 3], Some(Class::Private)),
            ([255, 255, 255, 255], Some(Class::Broadcast)),
            ([8, 8, 8, 8], None),
        ] {
            for form in forms(inner) {
                assert_eq!(class(form.parse().unwrap(), &own), expected, "{form}");
            }
        }
    }
}
