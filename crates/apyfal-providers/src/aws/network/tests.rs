//! Networks of moto, which has a default VPC with a default subnet in each zone.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use apyfal_core::ErrorKind;
use apyfal_testkit::{Answer, FaultServer};

use super::*;
use crate::aws::cloud::{Cloud, params, refusal, texts};

const ADDRESS: &str = "203.0.113.7/32";

fn wishes() -> NetworkWishes {
    NetworkWishes {
        subnet_id: None,
        security_group_ids: Vec::new(),
        security_group: "AccelizeSecurityGroup".to_owned(),
        availability_zone: None,
        use_private_ip: false,
        allowed_cidr: vec![ADDRESS.to_owned()],
        ports: vec![22, 443],
        held: Some(Vec::new()),
        installation: "one".to_owned(),
        // Nobody is there.
        address_service: "http://127.0.0.1:9".to_owned(),
    }
}

async fn network(api: &Api, wishes: &NetworkWishes) -> Result<Network> {
    look_up(api, wishes).await?.let_in(api, wishes).await
}

/// Tells everybody that they are at `ADDRESS`.
fn service() -> FaultServer {
    FaultServer::start(|_| Answer::new(200, "203.0.113.7")).unwrap()
}

/// For a host that is reached from where this machine is.
fn measured(service: &FaultServer) -> NetworkWishes {
    NetworkWishes { allowed_cidr: Vec::new(), address_service: service.url(), ..wishes() }
}

async fn described(api: &Api, group: &str) -> Element {
    let found =
        list(api, "DescribeSecurityGroups", "securityGroupInfo", "group-id", &[group]).await;
    found.unwrap().remove(0)
}

/// What a group lets in, one rule each: `22 203.0.113.7/32 apyfal one`.
async fn rules(api: &Api, group: &str) -> Vec<String> {
    let found = described(api, group).await;
    let mut rules = Vec::new();
    for permission in found.items("ipPermissions") {
        let port = permission.text("fromPort").unwrap();
        for range in permission.items("ipRanges").chain(permission.items("ipv6Ranges")) {
            let cidr = range.text("cidrIp").or_else(|| range.text("cidrIpv6")).unwrap();
            rules.push(format!("{port} {cidr} {}", range.text("description").unwrap_or("-")));
        }
    }
    rules.sort_unstable();
    rules
}

async fn default_vpc(api: &Api) -> String {
    let found = list(api, "DescribeVpcs", "vpcSet", "is-default", &["true"]).await.unwrap();
    found[0].text("vpcId").unwrap().to_owned()
}

fn zone(api: &Api, letter: &str) -> String {
    format!("{}{letter}", api.region())
}

async fn make_vpc(api: &Api) -> (String, String) {
    let vpc = api.ec2("CreateVpc", &params(&[("CidrBlock", "10.7.0.0/16")])).await.unwrap();
    let vpc = vpc.text("vpc/vpcId").unwrap().to_owned();
    let subnet = params(&[
        ("VpcId", &vpc),
        ("CidrBlock", "10.7.1.0/24"),
        ("AvailabilityZone", &zone(api, "b")),
    ]);
    let subnet = api.ec2("CreateSubnet", &subnet).await.unwrap();
    (vpc, subnet.text("subnet/subnetId").unwrap().to_owned())
}

async fn make_group(api: &Api, vpc: &str, name: &str) -> String {
    let params = params(&[("GroupName", name), ("GroupDescription", "x"), ("VpcId", vpc)]);
    let made = api.ec2("CreateSecurityGroup", &params).await.unwrap();
    made.text("groupId").unwrap().to_owned()
}

async fn allow(api: &Api, group: &str, port: &str, cidr: &str, description: &str) {
    let params = params(&[
        ("GroupId", group),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", port),
        ("IpPermissions.1.ToPort", port),
        ("IpPermissions.1.IpRanges.1.CidrIp", cidr),
        ("IpPermissions.1.IpRanges.1.Description", description),
    ]);
    api.ec2("AuthorizeSecurityGroupIngress", &params).await.unwrap();
}

#[tokio::test]
async fn from_nothing_and_a_second_time() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let (made, actions) = cloud.actions(network(&api, &wishes())).await;
    let made = made.unwrap();
    assert_eq!(
        actions,
        [
            "DescribeSubnets",
            "DescribeSecurityGroups",
            "CreateSecurityGroup",
            "AuthorizeSecurityGroupIngress",
            "AuthorizeSecurityGroupIngress"
        ]
    );
    assert_eq!((&made.subnet_id, &made.zone, made.public_address), (&None, &None, false));
    let [group] = &*made.security_group_ids else { panic!("{made:?}") };
    let expected = ["22 203.0.113.7/32 apyfal one", "443 203.0.113.7/32 apyfal one"];
    assert_eq!(rules(&api, group).await, expected);
    let found = described(&api, group).await;
    assert_eq!(found.text("vpcId"), Some(&*default_vpc(&api).await));
    assert_eq!(found.tag("apyfal:installation"), Some("one"));

    let named = NetworkWishes { security_group: "ACCELIZEsecuritygroup".to_owned(), ..wishes() };
    for wishes in [wishes(), named] {
        let (again, actions) = cloud.actions(network(&api, &wishes)).await;
        assert_eq!(again.unwrap(), made);
        assert_eq!(actions, ["DescribeSubnets", "DescribeSecurityGroups"]);
    }
}

#[tokio::test]
async fn a_group_of_another_network_is_not_taken() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let (vpc, subnet) = make_vpc(&api).await;
    let other = make_group(&api, &vpc, "accelizesecuritygroup").await;
    let default = network(&api, &wishes()).await.unwrap();
    assert_ne!(default.security_group_ids[0], other);
    let there = NetworkWishes { subnet_id: Some(subnet), use_private_ip: true, ..wishes() };
    assert_eq!(network(&api, &there).await.unwrap().security_group_ids, [other]);
}

#[tokio::test]
async fn rules_of_others_stay_and_those_of_yesterday_go() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let vpc = default_vpc(&api).await;
    let group = make_group(&api, &vpc, "AccelizeSecurityGroup").await;
    allow(&api, &group, "22", "198.51.100.1/32", "apyfal one measured").await;
    allow(&api, &group, "22", "198.51.100.3/32", "apyfal two measured").await;
    allow(&api, &group, "443", "198.51.100.2/32", "a person").await;
    allow(&api, &group, "443", "198.51.100.4/32", "apyfal one").await;
    allow(&api, &group, "443", ADDRESS, "apyfal two measured").await;
    let service = service();
    let warnings = network(&api, &measured(&service)).await.unwrap().warnings;
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(
        rules(&api, &group).await,
        [
            "22 198.51.100.3/32 apyfal two measured",
            "22 203.0.113.7/32 apyfal one measured",
            "443 198.51.100.2/32 a person",
            "443 198.51.100.4/32 apyfal one",
            "443 203.0.113.7/32 apyfal two measured",
        ]
    );
}

#[tokio::test]
async fn two_installations_share_a_group_and_each_moves_by_itself() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let here = Arc::new(Mutex::new(String::new()));
    let told = here.clone();
    let service =
        FaultServer::start(move |_| Answer::new(200, told.lock().unwrap().clone())).unwrap();
    let come = async |installation: &str, address: &str| {
        address.clone_into(&mut here.lock().unwrap());
        let installation = installation.to_owned();
        let wishes = NetworkWishes { installation, ports: vec![443], ..measured(&service) };
        network(&api, &wishes).await.unwrap().security_group_ids.remove(0)
    };
    let group = come("one", "198.51.100.1").await;
    assert_eq!(come("two", "198.51.100.2").await, group);
    let one = "443 198.51.100.1/32 apyfal one measured";
    let two = "443 198.51.100.2/32 apyfal two measured";
    assert_eq!(rules(&api, &group).await, [one, two]);
    come("one", "198.51.100.3").await;
    assert_eq!(rules(&api, &group).await, [two, "443 198.51.100.3/32 apyfal one measured"]);
    // To where the other one was.
    come("two", "198.51.100.1").await;
    let moved =
        ["443 198.51.100.1/32 apyfal two measured", "443 198.51.100.3/32 apyfal one measured"];
    assert_eq!(rules(&api, &group).await, moved);
}

#[tokio::test]
async fn a_port_that_nobody_needs_any_more_is_closed() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let before = NetworkWishes { ports: vec![22, 443, 80, 8080], ..wishes() };
    let made = network(&api, &before).await.unwrap();
    let group = &made.security_group_ids[0];
    assert_eq!(made.holds, [22, 443, 80, 8080].map(|port| format!("{group}:{port}")));
    allow(&api, group, "22", "198.51.100.1/32", "apyfal one measured").await;
    allow(&api, group, "8080", "198.51.100.2/32", "a person").await;
    allow(&api, group, "8080", "198.51.100.3/32", "apyfal two").await;
    let all = rules(&api, group).await;
    // One that only comes back closes nothing.
    let after = NetworkWishes { ports: vec![443], held: None, ..wishes() };
    network(&api, &after).await.unwrap();
    assert_eq!(rules(&api, group).await, all);
    // Another host of this one lives that needs 80; 8080 of another group is not meant.
    let held = vec![format!("{group}:80"), "sg-1:8080".to_owned()];
    network(&api, &NetworkWishes { held: Some(held), ..after.clone() }).await.unwrap();
    let others = ["8080 198.51.100.2/32 a person", "8080 198.51.100.3/32 apyfal two"];
    let port_443 = "443 203.0.113.7/32 apyfal one";
    assert_eq!(
        rules(&api, group).await,
        [port_443, "80 203.0.113.7/32 apyfal one", others[0], others[1]]
    );
    network(&api, &NetworkWishes { held: Some(Vec::new()), ..after }).await.unwrap();
    assert_eq!(rules(&api, group).await, [port_443, others[0], others[1]]);
}

#[tokio::test]
async fn a_rule_stays_while_others_may_share_it() {
    let cloud = Cloud::with(|asked| {
        let instances = "<R><reservationSet><item><instancesSet><item><instanceState>\
                         <name>stopped</name></instanceState><tagSet><item>\
                         <key>apyfal:installation</key><value>two</value></item></tagSet></item>\
                         </instancesSet></item></reservationSet></R>";
        (asked["Action"] == "DescribeInstances").then(|| Answer::new(200, instances))
    });
    let api = cloud.api();
    let vpc = default_vpc(&api).await;
    let group = make_group(&api, &vpc, "AccelizeSecurityGroup").await;
    allow(&api, &group, "22", "198.51.100.1/32", "apyfal one measured").await;
    let service = service();
    let wishes = NetworkWishes { ports: vec![22], ..measured(&service) };
    network(&api, &wishes).await.unwrap();
    assert_eq!(
        rules(&api, &group).await,
        ["22 198.51.100.1/32 apyfal one measured", "22 203.0.113.7/32 apyfal one measured"]
    );
}

#[tokio::test]
async fn one_rule_that_is_there_already_keeps_no_other_from_being_made() {
    // Somebody makes the rule of port 22 between our look and our call.
    let cloud = Cloud::with(|asked| {
        let is_22 = asked.get("IpPermissions.1.FromPort").is_some_and(|port| port == "22");
        is_22.then(|| refusal(400, "InvalidPermission.Duplicate"))
    });
    let api = cloud.api();
    let group = network(&api, &wishes()).await.unwrap().security_group_ids.remove(0);
    assert_eq!(rules(&api, &group).await, ["443 203.0.113.7/32 apyfal one"]);
}

#[tokio::test]
async fn two_at_the_same_time_have_one_group() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let other = NetworkWishes { installation: "two".to_owned(), ..wishes() };
    let wishes = wishes();
    let (one, two) = tokio::join!(network(&api, &wishes), network(&api, &other));
    assert_eq!(one.unwrap().security_group_ids, two.unwrap().security_group_ids);
}

#[tokio::test]
async fn a_rule_that_cannot_be_revoked_is_told() {
    let cloud = Cloud::with(|asked| {
        let is_revoke = asked["Action"] == "RevokeSecurityGroupIngress";
        is_revoke.then(|| refusal(403, "UnauthorizedOperation"))
    });
    let api = cloud.api();
    let vpc = default_vpc(&api).await;
    let group = make_group(&api, &vpc, "AccelizeSecurityGroup").await;
    allow(&api, &group, "22", "198.51.100.1/32", "apyfal one measured").await;
    let service = service();
    let warnings = network(&api, &measured(&service)).await.unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("198.51.100.1/32 to port 22"), "{warnings:?}");
}

#[tokio::test]
async fn a_group_that_was_made_a_moment_ago_is_asked_for_again() {
    let cloud = Cloud::with(|asked| match &*asked["Action"] {
        "CreateSecurityGroup" => Some(refusal(400, "InvalidGroup.Duplicate")),
        _ => None,
    });
    let error = network(&cloud.api(), &wishes()).await.unwrap_err();
    assert!(error.is_retryable() && error.kind() == ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn the_callers_address_is_what_is_let_in() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let service = FaultServer::start(|_| Answer::new(200, "198.51.100.9\n")).unwrap();
    let public = NetworkWishes {
        allowed_cidr: Vec::new(),
        address_service: service.url(),
        ports: vec![80],
        ..wishes()
    };
    let group = network(&api, &public).await.unwrap().security_group_ids.remove(0);
    assert_eq!(rules(&api, &group).await, ["80 198.51.100.9/32 apyfal one measured"]);
    // Nobody is asked where the private address counts.
    let private =
        NetworkWishes { use_private_ip: true, installation: "two".to_owned(), ..public.clone() };
    network(&api, &private).await.unwrap();
    assert_eq!((rules(&api, &group).await.len(), service.requests().len()), (2, 1));
    let untold =
        NetworkWishes { allowed_cidr: Vec::new(), security_group: "g".to_owned(), ..wishes() };
    let (untold, actions) = cloud.actions(network(&api, &untold)).await;
    let error = untold.unwrap_err();
    assert!(error.hints()[0].contains("allowed_cidr"), "{error}");
    assert!(actions.iter().all(|action| action.starts_with("Describe")), "{actions:?}");
}

#[tokio::test]
async fn who_has_an_address_of_ipv6_alone_is_let_in_by_it() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else { return };
    let address_service = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(std::io::Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n2001:db8::7",
            );
        }
    });
    let allowed_cidr = Vec::new();
    let over_v6 = NetworkWishes { address_service, allowed_cidr, ports: vec![443], ..wishes() };
    let group = network(&api, &over_v6).await.unwrap().security_group_ids.remove(0);
    assert_eq!(rules(&api, &group).await, ["443 2001:db8::7/128 apyfal one measured"]);
}

#[tokio::test]
async fn a_zone_is_that_of_a_default_subnet() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let there = NetworkWishes { availability_zone: Some(zone(&api, "b")), ..wishes() };
    let made = network(&api, &there).await.unwrap();
    assert_eq!(made.zone.as_deref(), Some(&*zone(&api, "b")));
    let subnets =
        list(&api, "DescribeSubnets", "subnetSet", "availability-zone", &[&zone(&api, "b")])
            .await
            .unwrap();
    assert_eq!(texts(&subnets, "subnetId"), [made.subnet_id.unwrap()]);
    let nowhere = NetworkWishes { availability_zone: Some(zone(&api, "z")), ..wishes() };
    let error = network(&api, &nowhere).await.unwrap_err();
    assert_eq!(
        error.message(),
        format!("there is no default subnet in the zone '{}z'", api.region())
    );
    let zones = format!("zones that have one: {}, {}", zone(&api, "a"), zone(&api, "b"));
    assert!(error.hints()[0].starts_with(&zones), "{error:?}");
}

#[tokio::test]
async fn what_is_named_has_to_be_there_and_to_fit() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let (vpc, subnet) = make_vpc(&api).await;
    let group = make_group(&api, &vpc, "mine").await;
    let named = |subnet: &str, group: &str| NetworkWishes {
        subnet_id: Some(subnet).filter(|id| !id.is_empty()).map(str::to_owned),
        security_group_ids: vec![group.to_owned()],
        ..wishes()
    };
    let error = async |wishes: &NetworkWishes| {
        let (refused, actions) = cloud.actions(network(&api, wishes)).await;
        assert!(actions.iter().all(|action| action.starts_with("Describe")), "{actions:?}");
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        error.to_string().strip_prefix("cannot set up the network of a host: ").unwrap().to_owned()
    };
    let unknown = error(&named("subnet-0123456789abcdef0", &group)).await;
    assert_eq!(
        unknown,
        format!("there is no subnet 'subnet-0123456789abcdef0' in the region {}", api.region())
    );
    let unknown = error(&named("", "sg-0123456789abcdef0")).await;
    assert_eq!(
        unknown,
        format!("there is no security group 'sg-0123456789abcdef0' in the region {}", api.region())
    );
    let elsewhere = error(&named("", &group)).await;
    assert!(elsewhere.contains("which is not the default one"), "{elsewhere}");
    let enclosed = error(&named(&subnet, &group)).await;
    assert!(
        enclosed.starts_with(&format!("no route leads from the subnet '{subnet}'")),
        "{enclosed}"
    );
    let elsewhere =
        NetworkWishes { availability_zone: Some(zone(&api, "a")), ..named(&subnet, &group) };
    let zoned = error(&elsewhere).await;
    assert!(zoned.ends_with(&format!("b, not in '{}a'", api.region())), "{zoned}");
    let cidr = NetworkWishes { allowed_cidr: vec!["me".to_owned()], ..wishes() };
    assert_eq!(error(&cidr).await, "'me' of allowed_cidr is no network");

    let private = NetworkWishes { use_private_ip: true, ..named(&subnet, &group) };
    let (made, actions) = cloud.actions(network(&api, &private)).await;
    let expected = Network {
        subnet_id: Some(subnet.clone()),
        security_group_ids: vec![group.clone()],
        zone: Some(zone(&api, "b")),
        public_address: false,
        holds: Vec::new(),
        warnings: Vec::new(),
    };
    assert_eq!(made.unwrap(), expected);
    assert_eq!(actions.len(), 2);

    // With a way out the host asks for its address, since this subnet gives none by itself.
    let gateway = api.ec2("CreateInternetGateway", &params(&[])).await.unwrap();
    let gateway = gateway.text("internetGateway/internetGatewayId").unwrap();
    let ids = params(&[("InternetGatewayId", gateway), ("VpcId", &vpc)]);
    api.ec2("AttachInternetGateway", &ids).await.unwrap();
    let tables =
        list(&api, "DescribeRouteTables", "routeTableSet", "vpc-id", &[&vpc]).await.unwrap();
    let route = params(&[
        ("RouteTableId", tables[0].text("routeTableId").unwrap()),
        ("DestinationCidrBlock", "0.0.0.0/0"),
        ("GatewayId", gateway),
    ]);
    api.ec2("CreateRoute", &route).await.unwrap();
    let made = network(&api, &named(&subnet, &group)).await.unwrap();
    assert_eq!(made, Network { public_address: true, ..expected });
}

#[tokio::test]
async fn no_default_network_is_told_before_anything_is_made() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let subnets = api.ec2_all("DescribeSubnets", &params(&[]), "subnetSet").await.unwrap();
    for id in texts(&subnets, "subnetId") {
        api.ec2("DeleteSubnet", &params(&[("SubnetId", id)])).await.unwrap();
    }
    let error = network(&api, &wishes()).await.unwrap_err();
    assert_eq!(
        error.message(),
        format!("the account has no default subnet in the region {}", api.region())
    );
    let default = default_vpc(&api).await;
    api.ec2("DeleteVpc", &params(&[("VpcId", &default)])).await.unwrap();
    let error = network(&api, &wishes()).await.unwrap_err();
    assert_eq!(
        error.message(),
        format!("the account has no default VPC in the region {}", api.region())
    );
    assert!(error.hints()[1].contains("aws ec2 create-default-vpc --region"));
}

#[tokio::test]
async fn the_whole_world_is_let_in_only_where_it_is_meant_and_told() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let open = NetworkWishes { allowed_cidr: vec!["0.0.0.0/0".to_owned()], ..wishes() };
    let made = network(&api, &open).await.unwrap();
    assert_eq!(made.warnings, ["allowed_cidr lets everybody in the world connect to hosts"]);
    assert_eq!(rules(&api, &made.security_group_ids[0]).await.len(), 2);
    // It was named, so that it is not taken back when another host is reached from elsewhere.
    network(&api, &wishes()).await.unwrap();
    assert_eq!(rules(&api, &made.security_group_ids[0]).await.len(), 2);
}

#[tokio::test]
async fn an_answer_that_is_lost_changes_nothing() {
    let cloud = Cloud::start();
    let api = cloud.api();
    let wishes = NetworkWishes {
        security_group: "OfLostAnswers".to_owned(),
        allowed_cidr: vec!["192.0.2.77".to_owned()],
        ..wishes()
    };
    cloud.lose("CreateSecurityGroup", "GroupName", "OfLostAnswers");
    cloud.lose(
        "AuthorizeSecurityGroupIngress",
        "IpPermissions.1.IpRanges.1.CidrIp",
        "192.0.2.77/32",
    );
    let (made, actions) = cloud.actions(network(&api, &wishes)).await;
    let twice = |name: &str| actions.iter().filter(|action| *action == name).count();
    assert_eq!((twice("CreateSecurityGroup"), twice("AuthorizeSecurityGroupIngress")), (2, 3));
    assert_eq!(
        rules(&api, &made.unwrap().security_group_ids[0]).await,
        ["22 192.0.2.77/32 apyfal one", "443 192.0.2.77/32 apyfal one"]
    );
}

#[tokio::test]
async fn who_may_not_look_at_routes_is_not_kept_from_a_subnet() {
    let cloud = Cloud::with(|asked| match &*asked["Action"] {
        "DescribeRouteTables" => Some(refusal(403, "UnauthorizedOperation")),
        _ => None,
    });
    let api = cloud.api();
    let (_, subnet) = make_vpc(&api).await;
    let there = NetworkWishes { subnet_id: Some(subnet.clone()), ..wishes() };
    let made = network(&api, &there).await.unwrap();
    assert_eq!((made.subnet_id, made.public_address), (Some(subnet), true));
}
