//! What a host may reach for others although it is not public.

use std::net::IpAddr;

use apyfal_core::{Error, ErrorKind, Result};
use ipnet::IpNet;

use super::address::{Class, class, embedded};
use super::own::OwnNetworks;

/// The networks that URLs of remote callers may lead to beside the public one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedNetworks {
    all: bool,
    private: bool,
    metadata: bool,
    ranges: Vec<IpNet>,
}

impl AllowedNetworks {
    /// Only the public network.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every network there is.
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Reads `allowed_networks`: each item is an address, a range such as `10.1.0.0/16`, the word
    /// `private` for all private addresses and those of networks that the machine is in (not for
    /// its own or those of a link alone), `metadata` for those where clouds answer with credentials,
    /// or the word `all`. No range that is wider than an address has those of clouds.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`]: an item is none of these.
    pub fn parse<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut allowed = Self::none();
        for item in items {
            match item.trim() {
                word if word.eq_ignore_ascii_case("all") => allowed.all = true,
                word if word.eq_ignore_ascii_case("private") => allowed.private = true,
                word if word.eq_ignore_ascii_case("metadata") => allowed.metadata = true,
                range => {
                    let address = range.parse::<IpAddr>().map(IpNet::from);
                    let range = address.or_else(|_| range.parse::<IpNet>()).map_err(|_| {
                        Error::new(ErrorKind::Configuration, "it is not a network")
                            .operation(format!("read '{range}' of allowed_networks"))
                            .hint(
                                "write an address, a range such as 10.1.0.0/16, private, \
                                 metadata, or all",
                            )
                    })?;
                    allowed.ranges.push(range);
                }
            }
        }
        Ok(allowed)
    }

    /// Whether nothing is forbidden.
    pub(crate) fn is_all(&self) -> bool {
        self.all
    }

    /// Why an address may not be reached by a machine in these networks, if so.
    pub(crate) fn forbids(&self, address: IpAddr, own: &OwnNetworks) -> Option<Class> {
        let class = class(address, own)?;
        let is_in = |range: &IpNet| {
            range.contains(&address) || embedded(address).any(|inner| range.contains(&inner))
        };
        let is_one = |range: &IpNet| range.prefix_len() == range.max_prefix_len() && is_in(range);
        let allowed = match class {
            Class::Metadata => self.metadata || self.ranges.iter().any(is_one),
            Class::Private | Class::Neighbour => self.private || self.ranges.iter().any(is_in),
            _ => self.ranges.iter().any(is_in),
        };
        (!allowed && !self.all).then_some(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbids(allowed: &[&str], address: &str) -> bool {
        let allowed = AllowedNetworks::parse(allowed.iter().copied()).unwrap();
        let own = OwnNetworks {
            addresses: vec!["9.9.9.1".parse().unwrap(), "192.168.1.9".parse().unwrap()],
            links: vec!["9.9.9.0/24".parse().unwrap(), "192.168.1.0/24".parse().unwrap()],
        };
        allowed.forbids(address.parse().unwrap(), &own).is_some()
    }

    #[test]
    fn only_what_is_listed_is_allowed() {
        for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254"] {
            assert!(forbids(&[], address), "{address}");
            assert!(!forbids(&["all"], address), "{address}");
        }
        assert!(!forbids(&[], "8.8.8.8"));
        for address in ["10.0.0.1", "192.168.1.1", "100.100.100.1", "fd00::1", "::ffff:10.0.0.1"] {
            assert!(!forbids(&["Private"], address), "{address}");
        }
        for address in ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "0.0.0.0", "224.0.0.1"] {
            assert!(forbids(&["private"], address), "{address}");
        }
        let listed = ["10.1.0.0/16", " 127.0.0.1 ", "fd00::/64"];
        for address in ["10.1.255.1", "127.0.0.1", "::ffff:10.1.0.1", "64:ff9b::a01:1", "fd00::9"] {
            assert!(!forbids(&listed, address), "{address}");
        }
        for address in ["10.2.0.1", "127.0.0.2", "::ffff:10.2.0.1", "fd00:0:0:1::9", "::1"] {
            assert!(forbids(&listed, address), "{address}");
        }
    }

    #[test]
    fn metadata_services_have_a_word_of_their_own() {
        for address in [
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "::ffff:100.100.100.200",
            "64:ff9b::100.100.100.200",
        ] {
            for allowed in [
                &["private"][..],
                &["169.254.0.0/16", "100.64.0.0/10", "168.63.129.0/24", "fd00::/8", "::/0"],
            ] {
                assert!(forbids(allowed, address), "{allowed:?}: {address}");
            }
            for allowed in ["metadata", "all", address] {
                assert!(!forbids(&[allowed], address), "{allowed}: {address}");
            }
        }
        for address in ["169.254.1.1", "10.0.0.1", "9.9.9.1"] {
            assert!(forbids(&["metadata"], address), "{address}");
        }
    }

    #[test]
    fn what_is_on_the_own_network_is_inside() {
        for address in ["9.9.9.1", "9.9.9.2", "192.168.1.9", "::ffff:9.9.9.1", "2002:909:902::1"] {
            assert!(forbids(&[], address), "{address}");
            assert!(!forbids(&["9.9.9.0/24", "192.168.0.0/16"], address), "{address}");
        }
        assert!(!forbids(&[], "9.9.8.1"));
        assert!(!forbids(&["private"], "9.9.9.2"));
        for address in ["9.9.9.1", "192.168.1.9"] {
            assert!(forbids(&["private"], address), "{address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for item in ["", "public", "10.0.0.0/33", "10.0.0", "localhost", "10.0.0.0-10.0.0.9"] {
            let error = AllowedNetworks::parse([item]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{item}");
            assert!(error.to_string().contains("allowed_networks"), "{error}");
        }
    }
}
