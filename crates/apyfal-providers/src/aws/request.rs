//! The request for a machine, exactly as it is sent.

use apyfal_core::{Error, ErrorKind, Result};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::members;
use super::settings::AwsSettings;
use super::{host_tags, spot};
use crate::spec::{HostSpec, LONGEST_USER_DATA, Token};

/// What was found or made for a machine before it is asked for.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    /// The image of its disk, and what that calls its volumes: `/dev/sda1`.
    pub(crate) image: &'a str,
    pub(crate) volumes: &'a [String],
    pub(crate) instance_type: &'a str,
    pub(crate) subnet_id: Option<&'a str>,
    /// Where there is no subnet: else the zone is that of the subnet.
    pub(crate) zone: Option<&'a str>,
    pub(crate) security_group_ids: &'a [String],
    /// Whether the subnet gives a public address only where one is asked for, and one is needed.
    pub(crate) asks_for_address: bool,
    pub(crate) key_pair: &'a str,
    /// What gives it rights, where it needs any.
    pub(crate) instance_profile: Option<&'a str>,
    /// The script that makes it a host.
    pub(crate) user_data: &'a str,
    /// What a launch template says of spare capacity, where the request names one that does.
    pub(crate) market: Option<&'a Value>,
    /// Who asks, by its name in the account.
    pub(crate) owner: &'a str,
    pub(crate) now: Timestamp,
}

/// The request, but for the token that each attempt has.
///
/// # Errors
/// AWS would refuse it, or take it and do something else.
pub(crate) fn request(spec: &HostSpec, settings: &AwsSettings, parts: &Parts<'_>) -> Result<Value> {
    let mut ours = Map::new();
    let mut set = |name: &str, value: Value| drop(ours.insert(name.to_owned(), value));
    set("MinCount", json!(1));
    set("MaxCount", json!(1));
    set("ImageId", json!(parts.image));
    set("InstanceType", json!(parts.instance_type));
    set("KeyName", json!(parts.key_pair));
    set("InstanceInitiatedShutdownBehavior", json!(super::at_shutdown(spec.at_shutdown)));
    // What runs within a container on the host is one hop further away.
    set(
        "MetadataOptions",
        json!({
            "HttpTokens": "required", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1
        }),
    );
    if !parts.volumes.is_empty() {
        let volume = |name| {
            json!({"DeviceName": name, "Ebs": {
                "DeleteOnTermination": settings.delete_volumes, "Encrypted": true
            }})
        };
        set("BlockDeviceMappings", parts.volumes.iter().map(volume).collect());
    }
    if let Some(name) = parts.instance_profile {
        set("IamInstanceProfile", json!({"Name": name}));
    }
    set("SecurityGroupIds", json!(parts.security_group_ids));
    match (parts.subnet_id, parts.zone) {
        (Some(subnet), _) => set("SubnetId", json!(subnet)),
        (None, Some(zone)) => set("Placement", json!({"AvailabilityZone": zone})),
        (None, None) => {}
    }
    if let Some(options) = parts.market.cloned().or_else(|| spot::options(spec, settings)) {
        set("InstanceMarketOptions", options);
    }
    let mut request = settings.overrides.over(ours);
    // What the user says of it was looked for like any other one, and may be no id.
    request.insert("ImageId".to_owned(), json!(parts.image));
    match request.get_mut("NetworkInterfaces").and_then(Value::as_array_mut) {
        Some(interfaces) => reach_by(interfaces, settings.use_private_ip, parts.asks_for_address)?,
        None if parts.asks_for_address => ask_for_address(&mut request),
        None => {}
    }
    spot::settle(&mut request, spec, settings, parts.now)?;
    let mut kinds = vec!["instance", "volume"];
    // AWS takes no tags of interfaces where it makes none.
    kinds.extend(makes_interface(&request).then_some("network-interface"));
    kinds.extend(spot::is_spot(&request).then_some("spot-instances-request"));
    let mut tags = host_tags::of(spec, settings.prefix.as_deref(), parts.owner);
    if spot::is_persistent(&request) {
        tags.push((host_tags::SPOT, "persistent".to_owned()));
    }
    request.insert("TagSpecifications".to_owned(), settings.overrides.tags(&tags, &kinds));
    request.insert("UserData".to_owned(), json!(user_data(parts.user_data)?));
    let request = request.into();
    members::check(&request)?;
    Ok(request)
}

/// The request of one attempt. Its token is its tag too: not every lookup goes by the token.
pub(crate) fn with_token(mut request: Value, token: &Token) -> Value {
    request["ClientToken"] = json!(token);
    if let Some(kinds) = request["TagSpecifications"].as_array_mut() {
        // What is asked for by a token outlives what it makes.
        let kinds = kinds.iter_mut().filter(|kind| {
            kind["ResourceType"] == "instance" || kind["ResourceType"] == "spot-instances-request"
        });
        for tags in kinds.filter_map(|kind| kind["Tags"].as_array_mut()) {
            tags.push(json!({"Key": host_tags::TOKEN, "Value": token}));
        }
    }
    request
}

/// Refuses an instance type that AWS has no more.
///
/// # Errors
/// It is one of F1.
pub(crate) fn check_instance_type(name: &str) -> Result<()> {
    match name.split('.').next() {
        Some("f1") => Err(Error::new(ErrorKind::Usage, "AWS ended F1 on 2025-12-20")
            .operation(format!("use instance type '{name}'"))
            .hint("there are f2.6xlarge (1 FPGA), f2.12xlarge (2) and f2.48xlarge (8)")
            .hint("an image of an FPGA has to be made for F2: one for F1 does not load")),
        _ => Ok(()),
    }
}

/// The instance type that is taken where nobody names one.
pub(crate) fn default_instance_type(needs_fpga: bool, architecture: &str) -> &'static str {
    match (needs_fpga, architecture) {
        (true, _) => "f2.6xlarge",
        (false, "arm64") => "t4g.medium",
        (false, _) => "t3.medium",
    }
}

/// Refuses an image whose programs an instance type cannot run.
///
/// # Errors
/// `supported`, the architectures of the type, does not have that of the image.
pub(crate) fn check_architecture(
    (image, architecture): (&str, &str),
    (instance_type, supported): (&str, &[String]),
) -> Result<()> {
    if supported.iter().any(|known| known == architecture) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Usage,
        format!("the image is for {architecture}, and the type runs {}", supported.join(" or ")),
    )
    .operation(format!("run '{image}' on '{instance_type}'"))
    .hint("name another image_id or instance_type"))
}

/// Whether AWS makes a network interface, and does not take those alone that are there.
fn makes_interface(request: &Map<String, Value>) -> bool {
    let named = request.get("NetworkInterfaces").and_then(Value::as_array);
    named.is_none_or(|all| {
        all.is_empty() || all.iter().any(|one| one.get("NetworkInterfaceId").is_none())
    })
}

/// Has the first interface of those that the user names have an address at which its host is reached.
///
/// # Errors
/// The user says that it has none.
fn reach_by(interfaces: &mut [Value], is_private: bool, asks_for_address: bool) -> Result<()> {
    let is_alone = interfaces.len() == 1;
    let mut first = interfaces.iter_mut();
    let first = first.find(|one| one.get("DeviceIndex").is_none_or(|index| *index == 0));
    let Some(first) = first.filter(|one| one.get("NetworkInterfaceId").is_none()) else {
        return Ok(());
    };
    let has_ipv6 = ["Ipv6Addresses", "Ipv6AddressCount"].iter().any(|key| first.get(key).is_some());
    match first.get("AssociatePublicIpAddress") {
        Some(Value::Bool(false)) if !is_private && !has_ipv6 => {
            let why = "'AssociatePublicIpAddress' of its first network interface is False";
            Err(Error::new(ErrorKind::Usage, why)
                .operation("reach a host on AWS")
                .hint("use_private_ip = True, where its network can be reached from here")
                .hint("or leave it out, and it gets a public address"))
        }
        None if asks_for_address && is_alone => {
            first["AssociatePublicIpAddress"] = json!(true);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Has the machine's first network interface ask for a public address. Groups that are named otherwise than
/// by their ids cannot be those of one.
fn ask_for_address(request: &mut Map<String, Value>) {
    if request.contains_key("SecurityGroups") {
        return;
    }
    let mut interface = json!({
        "DeviceIndex": 0, "AssociatePublicIpAddress": true, "DeleteOnTermination": true
    });
    for (member, within) in [
        ("SubnetId", "SubnetId"),
        ("SecurityGroupIds", "Groups"),
        ("PrivateIpAddress", "PrivateIpAddress"),
        ("Ipv6AddressCount", "Ipv6AddressCount"),
        ("Ipv6Addresses", "Ipv6Addresses"),
    ] {
        if let Some(value) = request.shift_remove(member) {
            interface[within] = value;
        }
    }
    request.insert("NetworkInterfaces".to_owned(), json!([interface]));
}

fn user_data(script: &str) -> Result<&str> {
    if script.len() <= LONGEST_USER_DATA {
        return Ok(script);
    }
    let why = format!("it has {} bytes, and AWS takes {LONGEST_USER_DATA}", script.len());
    Err(Error::new(ErrorKind::Usage, why)
        .operation("send user data")
        .hint("have init_script, or UserData of boto3_create_instances_kwargs, fetch what is long"))
}

#[cfg(test)]
mod tests;
