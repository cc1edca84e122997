//! Machines, as EC2 tells of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use apyfal_core::{Error, ErrorKind, Result};
use jiff::Timestamp;

use super::element::Element;
use super::host_tags;
use crate::provider::{Instance, InstanceDetails, InstanceId, InstanceState};
use crate::spec::Token;

/// Why machines end, by the codes of EC2. Source: EC2 API reference, StateReason.
const ENDS: [(&str, &str); 12] = [
    ("Client.InstanceInitiatedShutdown", "it shut itself down"),
    ("Client.InstanceTerminated", "it was ended while an image was made of it"),
    (
        "Client.InternalError",
        "it could not start as it was asked for: often its volumes are encrypted with a key that \
         the account may not use",
    ),
    ("Client.InvalidSnapshot.NotFound", "a snapshot of its image does not exist"),
    ("Client.UserInitiatedHibernate", "somebody hibernated it"),
    ("Client.UserInitiatedShutdown", "somebody ended it by the API of EC2"),
    ("Client.VolumeLimitExceeded", "the account may have no more volumes, or none as large"),
    ("Server.InsufficientInstanceCapacity", "AWS had no capacity for it"),
    ("Server.InternalError", "AWS failed to start it"),
    ("Server.ScheduledStop", "its hardware is retired"),
    ("Server.SpotInstanceShutdown", "AWS needs its spot capacity: it was stopped"),
    ("Server.SpotInstanceTermination", "AWS needs its spot capacity: it was terminated"),
];

/// What an element of `instancesSet` tells.
///
/// # Errors
/// It lacks what each has.
pub(crate) fn instance(item: &Element, use_private_ip: bool) -> Result<Instance> {
    let text = |path: &str| {
        item.text(path).ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, format!("it says nothing of '{path}'"))
                .operation("read what EC2 tells of a machine")
        })
    };
    let state = state(text("instanceState/name")?);
    let created: Timestamp = text("launchTime")?.parse().map_err(|error: jiff::Error| {
        Error::new(ErrorKind::Unavailable, error.to_string())
            .operation("read when EC2 started a machine")
    })?;
    let token = item.tag(host_tags::TOKEN).or_else(|| item.text("clientToken"));
    let address = address(item, use_private_ip).filter(|_| state == InstanceState::Running);
    Ok(Instance {
        id: InstanceId(text("instanceId")?.to_owned()),
        name: item.tag("Name").unwrap_or_default().to_owned(),
        token: Token(token.unwrap_or_default().to_owned()),
        state,
        url: address.map(|address| match address {
            IpAddr::V4(address) => format!("https://{address}"),
            IpAddr::V6(address) => format!("https://[{address}]"),
        }),
        created: created.as_duration().as_secs_f64(),
        ended_by: ended_by(item),
        details: details(item),
    })
}

fn details(item: &Element) -> InstanceDetails {
    let text = |path: &str| item.text(path).map(str::to_owned);
    let group = item.items("groupSet").next().and_then(|group| group.text("groupName"));
    InstanceDetails {
        instance_type: text("instanceType"),
        image: text("imageId"),
        key_pair: text("keyName"),
        security_group: group.map(str::to_owned),
        private_address: text("privateIpAddress"),
    }
}

fn state(name: &str) -> InstanceState {
    match name {
        "running" => InstanceState::Running,
        "shutting-down" => InstanceState::Ending,
        "terminated" => InstanceState::Ended,
        "stopping" => InstanceState::Stopping,
        "stopped" => InstanceState::Stopped,
        _ => InstanceState::Pending,
    }
}

/// Where it is reached: by IPv6 where it has no other address, or this machine has no way to that.
fn address(item: &Element, use_private_ip: bool) -> Option<IpAddr> {
    let v4 = if use_private_ip { "privateIpAddress" } else { "ipAddress" };
    let interface = item.items("networkInterfaceSet").find_map(|interface| {
        interface.items("ipv6AddressesSet").find_map(|address| address.text("ipv6Address"))
    });
    let v6 = item.text("ipv6Address").or(interface);
    let parsed = |text: Option<&str>| text?.parse().ok();
    reached([parsed(item.text(v4)), parsed(v6)], has_way)
}

/// The first of some addresses to which there is a way; if there is to none, the first.
fn reached(addresses: [Option<IpAddr>; 2], has_way: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let known = || addresses.into_iter().flatten();
    known().find(|address| has_way(*address)).or_else(|| known().next())
}

/// Whether the system knows a way from this machine to an address. Nothing is sent.
fn has_way(to: IpAddr) -> bool {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).is_ok_and(|socket| socket.connect((to, 443)).is_ok())
}

/// Why it ended or stopped, as a sentence, where EC2 says so.
fn ended_by(item: &Element) -> Option<String> {
    let code = item.text("stateReason/code").filter(|code| *code != "pending")?;
    let known = ENDS.iter().find(|(known, _)| *known == code);
    Some(match (known, item.text("stateReason/message")) {
        (Some((_, why)), _) => (*why).to_owned(),
        (None, Some(message)) => message.to_owned(),
        (None, None) => code.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(within: &str) -> Element {
        let text = format!(
            "<item><instanceId>i-1</instanceId><launchTime>2030-01-31T12:00:00.000Z</launchTime>\
             <clientToken>t-1</clientToken>{within}</item>"
        );
        Element::parse(&text).unwrap()
    }

    fn at(state: &str, within: &str) -> Element {
        item(&format!("<instanceState><code>16</code><name>{state}</name></instanceState>{within}"))
    }

    fn url(within: &str, use_private_ip: bool) -> Option<String> {
        instance(&at("running", within), use_private_ip).unwrap().url
    }

    #[test]
    fn what_is_told_is_read() {
        let tags = "<tagSet><item><key>Name</key><value>n</value></item></tagSet>";
        let instance = instance(&at("pending", tags), false).unwrap();
        assert_eq!((instance.id.0.as_str(), instance.name.as_str()), ("i-1", "n"));
        assert_eq!((instance.token.0.as_str(), instance.created), ("t-1", 1_896_091_200.0));
        assert_eq!((instance.state, instance.url), (InstanceState::Pending, None));
        let tags = "<tagSet><item><key>apyfal:token</key><value>t-2</value></item></tagSet>";
        assert_eq!(super::instance(&at("pending", tags), false).unwrap().token.0, "t-2");
        let kind = "<instanceType>t3.medium</instanceType><imageId>ami-1</imageId><groupSet><item>\
                    <groupId>sg-1</groupId><groupName>mine</groupName></item></groupSet>";
        let details = super::instance(&at("pending", kind), false).unwrap().details;
        assert_eq!(details.instance_type.as_deref(), Some("t3.medium"));
        assert_eq!(details.image.as_deref(), Some("ami-1"));
        assert_eq!(details.security_group.as_deref(), Some("mine"));
        assert_eq!(details.key_pair, None);
        let untagged = super::instance(&at("running", ""), false).unwrap();
        assert_eq!((untagged.name.as_str(), untagged.url), ("", None));
    }

    #[test]
    fn each_state_is_known() {
        for (name, state) in [
            ("pending", InstanceState::Pending),
            ("running", InstanceState::Running),
            ("shutting-down", InstanceState::Ending),
            ("terminated", InstanceState::Ended),
            ("stopping", InstanceState::Stopping),
            ("stopped", InstanceState::Stopped),
        ] {
            assert_eq!(instance(&at(name, ""), false).unwrap().state, state);
        }
    }

    #[test]
    fn it_is_reached_by_the_address_that_is_wanted() {
        let v4 = "<ipAddress>192.0.2.7</ipAddress><privateIpAddress>10.0.0.7</privateIpAddress>";
        assert_eq!(url(v4, false).as_deref(), Some("https://192.0.2.7"));
        assert_eq!(url(v4, true).as_deref(), Some("https://10.0.0.7"));
        let private = "<privateIpAddress>10.0.0.7</privateIpAddress>";
        assert_eq!(url(private, false), None);
        let v6 = "<ipv6Address>2001:db8::7</ipv6Address>";
        assert_eq!(url(v6, false).as_deref(), Some("https://[2001:db8::7]"));
        let interface = "<networkInterfaceSet><item/><item><ipv6AddressesSet><item><ipv6Address>\
                         2001:db8::8</ipv6Address></item></ipv6AddressesSet></item></networkInterfaceSet>";
        assert_eq!(url(interface, true).as_deref(), Some("https://[2001:db8::8]"));
        assert_eq!(instance(&at("stopped", v4), false).unwrap().url, None);
    }

    #[test]
    fn it_is_reached_by_the_family_that_this_machine_has() {
        let [v4, v6] = ["192.0.2.7", "2001:db8::7"].map(|text| text.parse::<IpAddr>().unwrap());
        let both = [Some(v4), Some(v6)];
        assert_eq!(reached(both, |_| true), Some(v4));
        assert_eq!(reached(both, |address| address.is_ipv6()), Some(v6));
        assert_eq!(reached(both, |_| false), Some(v4));
        assert_eq!(reached([None, Some(v6)], |_| false), Some(v6));
        assert_eq!(reached([None, None], |_| true), None);
        assert!(has_way(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn why_it_ended_is_told() {
        let why = |code: &str| {
            let reason = format!(
                "<stateReason><code>{code}</code><message>{code}: m</message></stateReason>"
            );
            instance(&at("terminated", &reason), false).unwrap().ended_by
        };
        assert_eq!(why("Client.InstanceInitiatedShutdown").as_deref(), Some("it shut itself down"));
        assert!(why("Server.SpotInstanceTermination").unwrap().contains("spot capacity"));
        assert_eq!(why("Server.New").as_deref(), Some("Server.New: m"));
        assert_eq!(why("pending"), None);
        assert_eq!(instance(&at("running", ""), false).unwrap().ended_by, None);
    }

    #[test]
    fn what_lacks_a_part_is_refused() {
        let error = instance(&item(""), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read what EC2 tells of a machine: it says nothing of 'instanceState/name'"
        );
    }
}
