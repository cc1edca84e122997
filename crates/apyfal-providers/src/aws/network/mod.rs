//! Where a host is in the network of an account, and who may connect to it.
//!
//! Everything is looked up before anything is made, so that what cannot work is told before it costs
//! something. What was made a moment ago may not be found yet: that is an error that says so
//! ([`Error::is_retryable`]), and the whole is asked for again.

mod address;
mod cidr;
mod group;
mod host_network;
mod rules;
#[cfg(test)]
mod tests;

use apyfal_core::{Error, Result};
use ipnet::IpNet;

use super::api::Api;
use super::element::Element;
use host_network::HostNetwork;

/// What the network of a host is to be.
#[derive(Clone, Debug)]
pub(crate) struct NetworkWishes {
    /// The subnet; a default one if there is none.
    pub(crate) subnet_id: Option<String>,
    /// The security groups, which stay as they are; if there are none, that of a name.
    pub(crate) security_group_ids: Vec<String>,
    /// The name of a security group, which is made where the network has none.
    pub(crate) security_group: String,
    /// The zone; EC2's choice if there is none.
    pub(crate) availability_zone: Option<String>,
    /// Whether the host is reached by its address in its network, and needs no public one.
    pub(crate) use_private_ip: bool,
    /// From where it may be reached; from this machine alone if there are none.
    pub(crate) allowed_cidr: Vec<String>,
    /// The ports at which it may be reached.
    pub(crate) ports: Vec<u16>,
    /// What other hosts of this installation [hold](Network::holds): other ports that were once let in for it
    /// are closed. None where no port is.
    pub(crate) held: Option<Vec<String>>,
    /// Who asks: an installation of Apyfal, by its id.
    pub(crate) installation: String,
    /// The URL that tells who asks it what their public address is.
    pub(crate) address_service: String,
}

/// The network of a host, in terms of RunInstances.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Network {
    /// The subnet, where one is settled: else EC2 takes the default one of a zone that has room.
    pub(crate) subnet_id: Option<String>,
    /// The security groups.
    pub(crate) security_group_ids: Vec<String>,
    /// The zone, where one is settled.
    pub(crate) zone: Option<String>,
    /// Whether a public address has to be asked for, by a network interface
    /// (`AssociatePublicIpAddress`): one is needed, and the subnet gives none by itself.
    pub(crate) public_address: bool,
    /// The ports of groups that it needs, as long as it lives: `sg-…:443`.
    pub(crate) holds: Vec<String>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

/// What a host finds in the account, before anything is made for it.
#[derive(Debug)]
pub(crate) struct Surroundings {
    place: HostNetwork,
    /// From where it may be reached, as far as that is known without its network.
    callers: Option<Callers>,
}

/// Looks up where a host is put, and who is to reach it.
///
/// # Errors
/// Something that is named does not exist or does not fit, there is no default, or nobody tells the
/// caller's address.
pub(crate) async fn look_up(api: &Api, wishes: &NetworkWishes) -> Result<Surroundings> {
    let found = async {
        let allowed = cidr::parse_all(&wishes.allowed_cidr)?;
        let (place, callers) =
            tokio::try_join!(host_network::find(api, wishes), callers(wishes, allowed))?;
        Ok(Surroundings { place, callers })
    };
    found.await.map_err(failed)
}

impl Surroundings {
    /// The network of the host, where callers are let in.
    ///
    /// # Errors
    /// AWS refuses.
    pub(crate) async fn let_in(self, api: &Api, wishes: &NetworkWishes) -> Result<Network> {
        let Self { place, callers } = self;
        let (groups, warnings, holds) = match wishes.security_group_ids.is_empty() {
            false => (wishes.security_group_ids.clone(), Vec::new(), Vec::new()),
            true => {
                let (group, warnings) =
                    own_group(api, wishes, &place, callers).await.map_err(failed)?;
                let holds = wishes.ports.iter().map(|port| held(&group, *port)).collect();
                (vec![group], warnings, holds)
            }
        };
        Ok(Network {
            subnet_id: place.subnet_id,
            security_group_ids: groups,
            zone: place.zone,
            public_address: place.asks_for_address,
            holds,
            warnings,
        })
    }
}

/// How a host says that it needs a port of a group.
fn held(group: &str, port: u16) -> String {
    format!("{group}:{port}")
}

fn failed(error: Error) -> Error {
    error.as_reason().operation("set up the network of a host")
}

/// From where a host may be reached.
#[derive(Debug)]
enum Callers {
    /// From networks that the user named.
    Named(Vec<IpNet>),
    /// From the public addresses of this machine, as they are now.
    Public(Vec<IpNet>),
    /// From the address that this machine has on its way to the network of the host, as it is now.
    Private(Vec<IpNet>),
}

impl Callers {
    fn networks(&self) -> &[IpNet] {
        match self {
            Self::Named(networks) | Self::Public(networks) | Self::Private(networks) => networks,
        }
    }
}

/// From where the host may be reached, where that is known without its network.
async fn callers(wishes: &NetworkWishes, allowed: Vec<IpNet>) -> Result<Option<Callers>> {
    if !allowed.is_empty() {
        return Ok(Some(Callers::Named(allowed)));
    }
    if wishes.use_private_ip || !wishes.security_group_ids.is_empty() {
        return Ok(None);
    }
    address::public(&wishes.address_service).await.map(Callers::Public).map(Some)
}

/// The security group of a name, with what lets callers in.
async fn own_group(
    api: &Api,
    wishes: &NetworkWishes,
    place: &HostNetwork,
    callers: Option<Callers>,
) -> Result<(String, Vec<String>)> {
    let callers = match callers {
        Some(callers) => callers,
        None => Callers::Private(address::private(place.block)?),
    };
    let group =
        group::find_or_make(api, &place.vpc, &wishes.security_group, &wishes.installation).await?;
    let mut warnings = rules::let_in(api, &group, &callers, wishes).await?;
    if callers.networks().iter().any(|network| network.prefix_len() == 0) {
        warnings.push("allowed_cidr lets everybody in the world connect to hosts".to_owned());
    }
    Ok((group.id, warnings))
}

/// All that an action of EC2 lists in `set` and of which `filter` has one of the values.
async fn list(
    api: &Api,
    action: &str,
    set: &str,
    filter: &str,
    values: &[&str],
) -> Result<Vec<Element>> {
    let mut params = vec![("Filter.1.Name".to_owned(), filter.to_owned())];
    let values = (1..).zip(values);
    params.extend(values.map(|(n, value)| (format!("Filter.1.Value.{n}"), (*value).to_owned())));
    api.ec2_all(action, &params, set).await
}
