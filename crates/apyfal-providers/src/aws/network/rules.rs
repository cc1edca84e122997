//! What a security group lets in.
//!
//! The group has one name in the account, so several installations of Apyfal, and people, may have
//! rules in it. A rule says by its description which installation made it, and whether for an address that
//! was [measured](Callers). Only such a rule is ever taken back, by the one that made it, once its machine
//! has another address: networks that somebody named stay, as another host may be reached from there. What it
//! made for a port goes once the configuration asks for that no more, and no host that lives was made for it.
//!
//! AWS has no two rules for the same network and port, so those behind one address share the rule of the
//! first one. For that it is taken back only while no machine of another installation is in the group.

use apyfal_core::{Error, ErrorKind, Result};
use futures::future::{join_all, try_join_all};
use ipnet::IpNet;

use super::group::Group;
use super::{Callers, NetworkWishes, held, list};
use crate::aws::api::{Api, Params};
use crate::aws::element::Element;
use crate::aws::{failure, tags};

/// Has a group let callers in, and takes back what this installation let in before from where it was
/// then, or at ports that it needs no more. What is there already is not asked for, and rules of others stay as they are.
///
/// # Errors
/// AWS refuses to let somebody in. That it refuses to take something back is a warning.
pub(super) async fn let_in(
    api: &Api,
    group: &Group,
    callers: &Callers,
    wishes: &NetworkWishes,
) -> Result<Vec<String>> {
    let NetworkWishes { ports, installation, .. } = wishes;
    let present: Vec<_> = group.permissions.iter().flat_map(Rule::all_of).collect();
    let mark = mark(callers, installation);
    // Each by itself: one that is there already must not keep others from being made.
    try_join_all(missing(&present, callers.networks(), ports, &mark).iter().map(async |rule| {
        match api.ec2("AuthorizeSecurityGroupIngress", &rule.params(&group.id)).await {
            Err(error) if failure::code(&error) == Some("InvalidPermission.Duplicate") => Ok(()),
            made => made.map(drop).map_err(|error| refused(error, rule, group)),
        }
    }))
    .await?;
    let mut outdated = outdated(&present, callers, &mark);
    for closed in closed(&present, &group.id, wishes) {
        if !outdated.contains(&closed) {
            outdated.push(closed);
        }
    }
    if !outdated.is_empty() && is_used_by_others(api, group, installation).await? {
        outdated.clear();
    }
    let taken_back = join_all(outdated.into_iter().map(async |rule| {
        match api.ec2("RevokeSecurityGroupIngress", &rule.params(&group.id)).await {
            Err(error) if failure::code(&error) != Some("InvalidPermission.NotFound") => Some(
                format!("{rule} stays allowed by {}, as it cannot be revoked: {error}", group.id),
            ),
            _ => None,
        }
    }));
    Ok(taken_back.await.into_iter().flatten().collect())
}

/// What the rules of an installation are described by. A machine has a public address and one in the
/// network, of which one says nothing of the other.
fn mark(callers: &Callers, installation: &str) -> String {
    let [named, public, private] = marks(installation);
    match callers {
        Callers::Named(_) => named,
        Callers::Public(_) => public,
        Callers::Private(_) => private,
    }
}

/// All that rules of an installation are described by.
fn marks(installation: &str) -> [String; 3] {
    ["", " measured", " measured within"].map(|how| format!("apyfal {installation}{how}"))
}

/// Whether there are machines of other installations in a group.
async fn is_used_by_others(api: &Api, group: &Group, installation: &str) -> Result<bool> {
    let (action, set, filter) = ("DescribeInstances", "reservationSet", "instance.group-id");
    let sets = list(api, action, set, filter, &[&group.id]).await?;
    let others = |instance: &Element| {
        instance.tag(tags::INSTALLATION) != Some(installation)
            && instance.text("instanceState/name") != Some("terminated")
    };
    Ok(sets.iter().any(|set| set.items("instancesSet").any(others)))
}

/// What callers need and the group lacks. What goes has networks that are none of theirs.
fn missing(present: &[Rule], callers: &[IpNet], ports: &[u16], mark: &str) -> Vec<Rule> {
    let wanted = callers.iter().flat_map(|network| {
        ports.iter().map(|port| Rule {
            protocol: "tcp".to_owned(),
            ports: Some((*port, *port)),
            network: *network,
            description: Some(mark.to_owned()),
        })
    });
    wanted.filter(|wanted| !present.iter().any(|rule| rule.covers(wanted))).collect()
}

/// What this installation let in from addresses that are not its machine's any more. Where nobody told
/// the address of a family, that of yesterday may be it.
fn outdated<'a>(present: &'a [Rule], callers: &Callers, mark: &str) -> Vec<&'a Rule> {
    let callers = match callers {
        Callers::Named(_) => return Vec::new(),
        Callers::Public(addresses) | Callers::Private(addresses) => addresses,
    };
    let is_v4 = |network: &IpNet| matches!(network, IpNet::V4(_));
    let is_outdated = |rule: &&Rule| {
        let mut of_family = callers.iter().filter(|caller| is_v4(caller) == is_v4(&rule.network));
        rule.is_by(mark) && of_family.clone().count() > 0 && of_family.all(|c| *c != rule.network)
    };
    present.iter().filter(is_outdated).collect()
}

/// What this installation let in at ports that neither this host nor another one of it needs.
fn closed<'a>(present: &'a [Rule], group: &str, wishes: &NetworkWishes) -> Vec<&'a Rule> {
    let NetworkWishes { ports, held: others, installation, .. } = wishes;
    let Some(others) = others else { return Vec::new() };
    let marks = marks(installation);
    let is_closed = |rule: &&Rule| {
        let Some((port, last)) = rule.ports else { return false };
        let is_needed = ports.contains(&port) || others.contains(&held(group, port));
        port == last && !is_needed && marks.iter().any(|mark| rule.is_by(mark))
    };
    present.iter().filter(is_closed).collect()
}

fn refused(error: Error, rule: &Rule, group: &Group) -> Error {
    let error = match failure::code(&error) {
        // It was made a moment ago.
        Some("InvalidGroup.NotFound") => error.with_kind(ErrorKind::Unavailable).retryable(),
        Some("RulesPerSecurityGroupLimitExceeded") => error
            .hint(format!("remove rules of {} that nobody needs", group.id))
            .hint("or name another security group, which is made if there is none"),
        _ => error,
    };
    error.operation(format!("allow {rule} in the security group {}", group.id))
}

/// That a network may connect to ports.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    /// `-1` stands for all.
    protocol: String,
    /// The first and the last port; none where it is not about ports.
    ports: Option<(u16, u16)>,
    network: IpNet,
    description: Option<String>,
}

impl Rule {
    /// The rules about networks in one permission of a group.
    fn all_of(permission: &Element) -> Vec<Self> {
        let port = |path| permission.text(path)?.parse().ok();
        let ports = port("fromPort").zip(port("toPort"));
        let v4 = permission.items("ipRanges").map(|range| (range, range.text("cidrIp")));
        let v6 = permission.items("ipv6Ranges").map(|range| (range, range.text("cidrIpv6")));
        let rule = |(range, network): (&Element, Option<&str>)| {
            Some(Self {
                protocol: permission.text("ipProtocol")?.to_owned(),
                ports,
                network: network?.parse().ok()?,
                description: range.text("description").map(str::to_owned),
            })
        };
        v4.chain(v6).filter_map(rule).collect()
    }

    fn is_by(&self, mark: &str) -> bool {
        self.description.as_deref() == Some(mark)
    }

    /// Whether it lets in all that the other one lets in.
    fn covers(&self, other: &Self) -> bool {
        let ports = match (self.protocol.as_str(), self.ports, other.ports) {
            ("-1", ..) => true,
            (protocol, Some(own), Some(others)) => {
                protocol == other.protocol && own.0 <= others.0 && others.1 <= own.1
            }
            _ => false,
        };
        ports && self.network.contains(&other.network)
    }

    fn params(&self, group: &str) -> Params {
        let (ranges, cidr) = match self.network {
            IpNet::V4(_) => ("IpRanges", "CidrIp"),
            IpNet::V6(_) => ("Ipv6Ranges", "CidrIpv6"),
        };
        let mut params = vec![
            ("GroupId".to_owned(), group.to_owned()),
            ("IpPermissions.1.IpProtocol".to_owned(), self.protocol.clone()),
            (format!("IpPermissions.1.{ranges}.1.{cidr}"), self.network.to_string()),
        ];
        if let Some((from, to)) = self.ports {
            params.push(("IpPermissions.1.FromPort".to_owned(), from.to_string()));
            params.push(("IpPermissions.1.ToPort".to_owned(), to.to_string()));
        }
        if let Some(description) = &self.description {
            params.push((format!("IpPermissions.1.{ranges}.1.Description"), description.clone()));
        }
        params
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ports {
            Some((from, to)) if from == to => write!(f, "{} to port {from}", self.network),
            Some((from, to)) => write!(f, "{} to ports {from} to {to}", self.network),
            None => write!(f, "{}", self.network),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(ports: (u16, u16), network: &str, by: &str) -> Rule {
        Rule {
            protocol: "tcp".to_owned(),
            ports: Some(ports),
            network: network.parse().unwrap(),
            description: Some(by.to_owned()),
        }
    }

    fn networks(networks: &[&str]) -> Vec<IpNet> {
        networks.iter().map(|network| network.parse().unwrap()).collect()
    }

    #[test]
    fn they_are_read_and_written() {
        let permission = "<item><ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>23</toPort>\
             <ipRanges><item><cidrIp>10.0.0.0/8</cidrIp><description>apyfal a</description></item>\
             <item><cidrIp>1.2.3.4/32</cidrIp></item></ipRanges>\
             <ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6></item></ipv6Ranges>\
             <groups><item><groupId>sg-1</groupId></item></groups></item>";
        let read = Rule::all_of(&Element::parse(permission).unwrap());
        assert_eq!(read.len(), 3);
        assert_eq!(read[0], rule((22, 23), "10.0.0.0/8", "apyfal a"));
        assert_eq!(read[2].network, "::/0".parse().unwrap());
        assert_eq!(read[0].to_string(), "10.0.0.0/8 to ports 22 to 23");
        let params = read[2].params("sg-2");
        let param = |name: &str| {
            Some(
                params
                    .iter()
                    .find(|(key, _)| key == &format!("IpPermissions.1.{name}"))?
                    .1
                    .as_str(),
            )
        };
        assert_eq!(param("Ipv6Ranges.1.CidrIpv6"), Some("::/0"));
        assert_eq!((param("FromPort"), param("ToPort")), (Some("22"), Some("23")));
        assert_eq!(param("Ipv6Ranges.1.Description"), None);
        let all = "<item><ipProtocol>-1</ipProtocol><ipRanges><item><cidrIp>10.0.0.0/8</cidrIp></item>\
             </ipRanges></item>";
        let all = &Rule::all_of(&Element::parse(all).unwrap())[0];
        assert!(all.covers(&read[0]) && !read[0].covers(all) && !all.covers(&read[1]));
    }

    #[test]
    fn only_what_is_missing_is_made() {
        let present = [
            rule((0, 65535), "10.0.0.0/8", "a person"),
            rule((22, 22), "1.2.3.4/32", "apyfal b"),
            rule((443, 443), "1.2.3.4/32", "apyfal a"),
        ];
        let missing = |callers: &[&str]| {
            let missing = missing(&present, &networks(callers), &[22, 443], "apyfal a");
            missing.iter().map(Rule::to_string).collect::<Vec<_>>()
        };
        assert!(missing(&["10.1.1.1/32", "1.2.3.4/32"]).is_empty());
        assert_eq!(missing(&["1.2.3.0/24"]).len(), 2);
        assert_eq!(
            missing(&["1.2.3.4/32", "9.9.9.9/32"]),
            ["9.9.9.9/32 to port 22", "9.9.9.9/32 to port 443"]
        );
        assert_eq!(missing(&["::1/128"]).len(), 2);
    }

    #[test]
    fn only_ones_own_of_yesterday_goes() {
        let present = [
            rule((22, 22), "1.2.3.4/32", "apyfal a measured"),
            rule((80, 80), "5.6.7.8/32", "apyfal a measured"),
            rule((22, 22), "5.6.7.8/32", "apyfal b measured"),
            rule((22, 22), "5.6.7.9/32", "apyfal a"),
            rule((22, 22), "10.0.0.7/32", "apyfal a measured within"),
            rule((22, 22), "5.6.7.8/32", "mine, not that of apyfal a measured"),
            rule((22, 22), "2001:db8::1/128", "apyfal a measured"),
        ];
        let of = |callers: Callers| {
            let mark = mark(&callers, "a");
            let outdated = outdated(&present, &callers, &mark);
            outdated.iter().map(|rule| rule.network.to_string()).collect::<Vec<_>>()
        };
        let outdated = |callers: &[&str]| of(Callers::Public(networks(callers)));
        assert_eq!(outdated(&["1.2.3.4/32"]), ["5.6.7.8/32"]);
        assert_eq!(outdated(&["1.2.3.4/32", "2001:db8::2/128"]), ["5.6.7.8/32", "2001:db8::1/128"]);
        assert!(outdated(&[]).is_empty());
        assert_eq!(of(Callers::Private(networks(&["10.0.0.8/32"]))), ["10.0.0.7/32"]);
        assert!(of(Callers::Named(networks(&["1.2.3.4/32"]))).is_empty());
    }
}
