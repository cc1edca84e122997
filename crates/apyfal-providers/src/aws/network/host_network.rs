//! The network and subnet that a host is put in.

use apyfal_core::{Error, ErrorKind, Result};
use ipnet::IpNet;

use super::{NetworkWishes, list};
use crate::aws::api::Api;
use crate::aws::element::Element;

/// Where a host is put.
#[derive(Debug, PartialEq)]
pub(super) struct HostNetwork {
    /// The network (VPC).
    pub(super) vpc: String,
    /// The subnet, where one is settled.
    pub(super) subnet_id: Option<String>,
    /// Its zone.
    pub(super) zone: Option<String>,
    /// The addresses of the subnet, or of one that EC2 may take.
    pub(super) block: IpNet,
    /// Whether a public address is needed, and the subnet gives none by itself.
    pub(super) asks_for_address: bool,
}

/// Looks up the place that is wished for, and the security groups that are named.
///
/// # Errors
/// There is none, or the wishes contradict each other.
pub(super) async fn find(api: &Api, wishes: &NetworkWishes) -> Result<HostNetwork> {
    let (place, groups) = tokio::try_join!(
        async {
            match &wishes.subnet_id {
                Some(id) => named(api, wishes, id).await,
                None => default(api, wishes).await,
            }
        },
        named_groups(api, &wishes.security_group_ids)
    )?;
    let elsewhere = groups.iter().find(|group| group.text("vpcId") != Some(&place.vpc));
    let Some(group) = elsewhere else { return Ok(place) };
    let (id, vpc) = (group.text("groupId").unwrap_or("?"), group.text("vpcId").unwrap_or("none"));
    let why = match &wishes.subnet_id {
        Some(subnet) => format!(
            "the security group '{id}' belongs to the VPC {vpc}, and the subnet '{subnet}' to {}",
            place.vpc
        ),
        None => format!(
            "the security group '{id}' belongs to the VPC {vpc}, which is not the default one ({})",
            place.vpc
        ),
    };
    Err(wrong(why).hint("name a subnet_id and security_group_ids of one VPC"))
}

async fn named(api: &Api, wishes: &NetworkWishes, id: &str) -> Result<HostNetwork> {
    let found = list(api, "DescribeSubnets", "subnetSet", "subnet-id", &[id]).await?;
    let subnet = found.first().ok_or_else(|| {
        wrong(format!("there is no subnet '{id}' in the region {}", api.region()))
            .hint("'aws ec2 describe-subnets' lists them")
    })?;
    let place = within(subnet, wishes)?;
    if let Some(zone) = wishes.availability_zone.as_deref().filter(|zone| !is_in(subnet, zone)) {
        let its = place.zone.as_deref().unwrap_or("another one");
        return Err(wrong(format!("the subnet '{id}' is in the zone {its}, not in '{zone}'"))
            .hint("name a subnet_id or an availability_zone, not both"));
    }
    // Default subnets come with a way out.
    let is_sure = wishes.use_private_ip || is_true(subnet, "defaultForAz");
    if !is_sure && !leads_out(api, &place.vpc, id).await? {
        return Err(wrong(format!(
            "no route leads from the subnet '{id}' to an internet gateway, so that nobody reaches a host in it"
        ))
        .hint("set use_private_ip = True where this machine is connected to its VPC")
        .hint("or name a subnet whose route table leads to an internet gateway"));
    }
    Ok(place)
}

/// The default subnet of the zone that is wished for; EC2's choice where none is.
async fn default(api: &Api, wishes: &NetworkWishes) -> Result<HostNetwork> {
    let subnets = list(api, "DescribeSubnets", "subnetSet", "default-for-az", &["true"]).await?;
    let Some(zone) = &wishes.availability_zone else {
        let places = subnets.iter().map(|subnet| within(subnet, wishes));
        return match any_of(places.collect::<Result<_>>()?) {
            Some(place) => Ok(place),
            None => Err(no_default(api).await),
        };
    };
    match subnets.iter().find(|subnet| is_in(subnet, zone)) {
        Some(subnet) => within(subnet, wishes),
        None if subnets.is_empty() => Err(no_default(api).await),
        None => {
            let mut zones: Vec<_> = subnets.iter().filter_map(zone_of).collect();
            zones.sort_unstable();
            Err(wrong(format!("there is no default subnet in the zone '{zone}'"))
                .hint(format!("zones that have one: {}", zones.join(", ")))
                .hint("or name a subnet of that zone: subnet_id = subnet-…"))
        }
    }
}

/// Any of some places: which one is left to EC2, unless some give no public addresses by themselves.
fn any_of(mut places: Vec<HostNetwork>) -> Option<HostNetwork> {
    let is_open = places.iter().all(|place| !place.asks_for_address);
    let best = places.iter().position(|place| !place.asks_for_address).unwrap_or(0);
    let place = (best < places.len()).then(|| places.swap_remove(best))?;
    Some(match is_open {
        true => HostNetwork { subnet_id: None, zone: None, ..place },
        false => place,
    })
}

/// Why there are no default subnets.
async fn no_default(api: &Api) -> Error {
    let region = api.region();
    let vpcs = list(api, "DescribeVpcs", "vpcSet", "is-default", &["true"]).await;
    let (why, how) = match vpcs.map(|vpcs| vpcs.is_empty()) {
        Err(error) => return error,
        Ok(true) => ("VPC", format!("aws ec2 create-default-vpc --region {region}")),
        Ok(false) => (
            "subnet",
            format!(
                "aws ec2 create-default-subnet --region {region} --availability-zone {region}a"
            ),
        ),
    };
    wrong(format!("the account has no default {why} in the region {region}"))
        .hint("name the subnet for hosts: subnet_id = subnet-…")
        .hint(format!("or have a default one made: {how}"))
}

/// The security groups that are named.
async fn named_groups(api: &Api, ids: &[String]) -> Result<Vec<Element>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let values: Vec<_> = ids.iter().map(String::as_str).collect();
    let found =
        list(api, "DescribeSecurityGroups", "securityGroupInfo", "group-id", &values).await?;
    let is_found = |id: &&String| found.iter().any(|group| group.text("groupId") == Some(id));
    match ids.iter().find(|id| !is_found(id)) {
        None => Ok(found),
        Some(id) => {
            Err(wrong(format!("there is no security group '{id}' in the region {}", api.region()))
                .hint("'aws ec2 describe-security-groups' lists them")
                .hint("without security_group_ids one is made that lets in this machine alone"))
        }
    }
}

/// Whether a subnet has a route to an internet gateway. Where the account may not look, or the routes
/// are somebody else's, it may have one.
async fn leads_out(api: &Api, vpc: &str, subnet: &str) -> Result<bool> {
    match list(api, "DescribeRouteTables", "routeTableSet", "vpc-id", &[vpc]).await {
        Ok(tables) => Ok(may_lead_out(&tables, subnet)),
        Err(error) if error.kind() == ErrorKind::Security => Ok(true),
        Err(error) => Err(error),
    }
}

fn may_lead_out(tables: &[Element], subnet: &str) -> bool {
    let with = |is_meant: &dyn Fn(&Element) -> bool| {
        tables.iter().find(|table| table.items("associationSet").any(is_meant))
    };
    let own = with(&|association| association.text("subnetId") == Some(subnet));
    let Some(table) = own.or_else(|| with(&|association| is_true(association, "main"))) else {
        return true;
    };
    table.items("routeSet").any(|route| {
        route.text("gatewayId").is_some_and(|gateway| gateway.starts_with("igw-"))
            && route.text("state") != Some("blackhole")
    })
}

/// A subnet as the place of a host.
fn within(subnet: &Element, wishes: &NetworkWishes) -> Result<HostNetwork> {
    let missing = |what| {
        let id = subnet.text("subnetId").unwrap_or_default();
        Error::new(ErrorKind::Unavailable, format!("AWS tells no {what} of the subnet '{id}'"))
    };
    let vpc = subnet.text("vpcId").ok_or_else(|| missing("VPC"))?;
    let v6 = || subnet.items("ipv6CidrBlockAssociationSet").next()?.text("ipv6CidrBlock");
    let block = subnet.text("cidrBlock").or_else(v6).and_then(|block| block.parse().ok());
    Ok(HostNetwork {
        vpc: vpc.to_owned(),
        subnet_id: subnet.text("subnetId").map(str::to_owned),
        zone: zone_of(subnet).map(str::to_owned),
        block: block.ok_or_else(|| missing("addresses"))?,
        // Addresses of IPv6 are public by themselves.
        asks_for_address: !wishes.use_private_ip
            && subnet.text("cidrBlock").is_some()
            && !is_true(subnet, "mapPublicIpOnLaunch"),
    })
}

fn zone_of(subnet: &Element) -> Option<&str> {
    subnet.text("availabilityZone")
}

/// Whether a subnet is in a zone, which has a name and an id.
fn is_in(subnet: &Element, zone: &str) -> bool {
    zone_of(subnet) == Some(zone) || subnet.text("availabilityZoneId") == Some(zone)
}

fn is_true(element: &Element, path: &str) -> bool {
    element.text(path) == Some("true")
}

fn wrong(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(subnet: &str, asks_for_address: bool) -> HostNetwork {
        HostNetwork {
            vpc: "vpc-1".to_owned(),
            subnet_id: Some(subnet.to_owned()),
            zone: Some(format!("zone of {subnet}")),
            block: "10.0.0.0/20".parse().unwrap(),
            asks_for_address,
        }
    }

    #[test]
    fn which_subnet_it_is_is_settled_only_where_that_matters() {
        assert_eq!(any_of(Vec::new()), None);
        let any = any_of(vec![place("a", false), place("b", false)]).unwrap();
        assert_eq!((any.subnet_id, any.zone, any.asks_for_address), (None, None, false));
        assert_eq!(any_of(vec![place("a", true), place("b", false)]), Some(place("b", false)));
        assert_eq!(any_of(vec![place("a", true), place("b", true)]), Some(place("a", true)));
    }

    #[test]
    fn an_address_is_asked_for_only_where_there_are_some() {
        let wishes = NetworkWishes {
            subnet_id: None,
            security_group_ids: Vec::new(),
            security_group: "g".to_owned(),
            availability_zone: None,
            use_private_ip: false,
            allowed_cidr: Vec::new(),
            ports: Vec::new(),
            held: None,
            installation: "one".to_owned(),
            address_service: String::new(),
        };
        let v6 = "<ipv6CidrBlockAssociationSet><item><ipv6CidrBlock>2001:db8::/64</ipv6CidrBlock>\
                  </item></ipv6CidrBlockAssociationSet>";
        let asks = |blocks: &str, public: &str| {
            let subnet = format!(
                "<item><subnetId>s</subnetId><vpcId>v</vpcId>{blocks}\
                 <mapPublicIpOnLaunch>{public}</mapPublicIpOnLaunch></item>"
            );
            within(&Element::parse(&subnet).unwrap(), &wishes).unwrap().asks_for_address
        };
        let v4 = "<cidrBlock>10.0.0.0/20</cidrBlock>";
        assert!(asks(v4, "false") && asks(&format!("{v4}{v6}"), "false"));
        assert!(!asks(v4, "true") && !asks(v6, "false"));
    }

    fn tables(routes: &str) -> Vec<Element> {
        let document = format!(
            "<r><s><item><associationSet><item><main>true</main></item></associationSet><routeSet>\
             <item><gatewayId>igw-1</gatewayId><state>active</state></item></routeSet></item>\
             <item><associationSet><item><main>false</main><subnetId>subnet-1</subnetId></item>\
             </associationSet><routeSet>{routes}</routeSet></item></s></r>"
        );
        Element::parse(&document).unwrap().into_items("s")
    }

    #[test]
    fn a_subnet_leads_out_by_its_own_table_or_the_main_one() {
        let local = "<item><gatewayId>local</gatewayId><state>active</state></item>";
        let gone = "<item><gatewayId>igw-2</gatewayId><state>blackhole</state></item>";
        let out = "<item><gatewayId>igw-2</gatewayId><state>active</state></item>";
        assert!(!may_lead_out(&tables(local), "subnet-1"));
        assert!(!may_lead_out(&tables(&format!("{local}{gone}")), "subnet-1"));
        assert!(may_lead_out(&tables(&format!("{local}{out}")), "subnet-1"));
        assert!(may_lead_out(&tables(local), "subnet-2"), "by the main one");
        assert!(may_lead_out(&[], "subnet-1"), "nobody tells");
    }
}
