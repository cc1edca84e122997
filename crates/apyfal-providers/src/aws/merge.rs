//! What users say of a request of RunInstances, over what Apyfal asks for.

use std::fmt;

use apyfal_core::{Error, ErrorKind, Literal, Result, shorten};
use serde_json::{Map, Value, json};

use super::{host_tags, members};

/// Members that are Apyfal's alone, and why.
const OURS: [(&str, &str); 2] = [
    ("ClientToken", "each attempt has a token of its own, by which it is found again"),
    ("DryRun", "it would have no host made"),
];
/// Members that keep Apyfal from ending a host, or from stopping it.
const PROTECTS: [&str; 2] = ["DisableApiTermination", "DisableApiStop"];
/// Where a user says the first, what Apyfal says of the second goes: AWS takes only one of them.
const EXCLUDED: [(&str, &str); 14] = [
    ("IamInstanceProfile.Arn", "IamInstanceProfile.Name"),
    ("NetworkInterfaces", "SubnetId"),
    ("NetworkInterfaces", "SecurityGroupIds"),
    ("NetworkInterfaces", "SecurityGroups"),
    ("NetworkInterfaces", "PrivateIpAddress"),
    ("NetworkInterfaces", "Ipv6AddressCount"),
    ("NetworkInterfaces", "Placement.AvailabilityZone"),
    ("SecurityGroups", "SecurityGroupIds"),
    ("SecurityGroupIds", "SecurityGroups"),
    ("SubnetId", "Placement.AvailabilityZone"),
    ("Placement.AvailabilityZone", "SubnetId"),
    ("Placement.AvailabilityZoneId", "SubnetId"),
    ("Placement.AvailabilityZoneId", "Placement.AvailabilityZone"),
    (
        "HibernationOptions.Configured",
        "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
    ),
];

/// `boto3_create_instances_kwargs`, looked through.
#[derive(Clone, Default)]
pub(crate) struct Overrides {
    members: Map<String, Value>,
    user_data: Option<String>,
}

impl Overrides {
    /// Looks through what a user wrote.
    ///
    /// # Errors
    /// Of kind `Usage`: AWS or Apyfal would not take it.
    pub(crate) fn read(given: &Value) -> Result<Self> {
        members::check(given)?;
        let mut members = given.as_object().cloned().unwrap_or_default();
        let usage = |why: String| Error::new(ErrorKind::Usage, why);
        for (name, why) in OURS {
            if members.contains_key(name) {
                return Err(usage(format!("'{name}' is not for users to set")).hint(why));
            }
        }
        for name in ["MinCount", "MaxCount"] {
            if let Some(count) = members.get(name).filter(|count| **count != 1) {
                let count = shorten(Literal::from(count));
                return Err(usage(format!("'{name}' cannot be {count}")).hint(
                    "each host is asked for by itself: AcceleratorPoolExecutor makes several",
                ));
            }
        }
        for name in PROTECTS {
            if members.get(name) == Some(&Value::Bool(true)) {
                return Err(usage(format!("'{name}' cannot be True"))
                    .hint("Apyfal could not end the host, which would cost for ever"));
            }
        }
        let reads = members.get("MetadataOptions").and_then(|options| options.get("HttpEndpoint"));
        if reads.is_some_and(|endpoint| *endpoint == "disabled") {
            return Err(usage(
                "'HttpEndpoint' of 'MetadataOptions' cannot be 'disabled'".to_owned(),
            )
            .hint("the machine would not learn that it is to be a host, nor when to end"));
        }
        let user_data = match members.shift_remove("UserData") {
            Some(Value::String(script)) => Some(script),
            _ => None,
        };
        Ok(Self { members, user_data })
    }

    /// The user's own script, which joins that of Apyfal instead of replacing it.
    pub(crate) fn user_data(&self) -> Option<&str> {
        self.user_data.as_deref()
    }

    /// What the user says of a member: `IamInstanceProfile.Arn`.
    pub(crate) fn member(&self, path: &str) -> Option<&Value> {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let first = self.members.get(first)?;
        rest.split('.')
            .filter(|name| !name.is_empty())
            .try_fold(first, |value, name| value.get(name))
    }

    /// The first of the network interfaces, where the user says what there are.
    pub(crate) fn first_interface(&self) -> Option<&Value> {
        items(self.members.get("NetworkInterfaces")).first()
    }

    /// A request with all that the user says: dictionaries merge, all else replaces. Tags are
    /// [joined](Self::tags) by themselves.
    pub(crate) fn over(&self, mut request: Map<String, Value>) -> Map<String, Value> {
        for (member, excluded) in EXCLUDED {
            if self.member(member).is_some_and(|said| *said != Value::Bool(false)) {
                remove(&mut request, excluded);
            }
        }
        let mut members = self.members.clone();
        members.shift_remove("TagSpecifications");
        if members.contains_key("LaunchTemplate") {
            // What the template says of them would count.
            request.extend(PROTECTS.map(|name| (name.to_owned(), Value::Bool(false))));
        }
        merge(&mut request, members);
        request
    }

    /// The tags of each kind of resource: ours, and those of the user that are called otherwise.
    pub(crate) fn tags(&self, ours: &[(&str, String)], kinds: &[&str]) -> Value {
        let tag = |(key, value): &(&str, String)| json!({"Key": key, "Value": value});
        let ours: Vec<_> = ours.iter().map(tag).collect();
        let of = |kind: &&str| json!({"ResourceType": kind, "Tags": ours});
        let mut all: Vec<_> = kinds.iter().map(of).collect();
        for theirs in items(self.members.get("TagSpecifications")) {
            let kind = &theirs["ResourceType"];
            let Some(known) = all.iter_mut().find(|known| known["ResourceType"] == *kind) else {
                all.push(theirs.clone());
                continue;
            };
            let is_ours = |tag: &&Value| tag["Key"].as_str().is_some_and(host_tags::is_ours);
            for tag in items(theirs.get("Tags")).iter().filter(|tag| !is_ours(tag)) {
                if !items(known.get("Tags")).iter().any(|known| known["Key"] == tag["Key"])
                    && let Some(tags) = known["Tags"].as_array_mut()
                {
                    tags.push(tag.clone());
                }
            }
        }
        all.into()
    }
}

impl fmt::Debug for Overrides {
    /// Without the values, any of which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.members.keys()).finish()
    }
}

fn items(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Removes a member, and the dictionaries that have nothing left.
pub(crate) fn remove(members: &mut Map<String, Value>, path: &str) {
    let Some((name, rest)) = path.split_once('.') else {
        members.shift_remove(path);
        return;
    };
    if let Some(Value::Object(inner)) = members.get_mut(name) {
        remove(inner, rest);
        if inner.is_empty() {
            members.shift_remove(name);
        }
    }
}

fn merge(request: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        match (request.get_mut(&name), value) {
            (Some(Value::Object(below)), Value::Object(over)) => merge(below, over),
            (_, value) => {
                request.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(ours: Value, theirs: Value) -> Value {
        let Value::Object(ours) = ours else { panic!("{ours}") };
        Overrides::read(&theirs).unwrap().over(ours).into()
    }

    #[test]
    fn dictionaries_merge_and_lists_replace() {
        let ours = json!({"ImageId": "ami-1", "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
                          "BlockDeviceMappings": [{"DeviceName": "a"}, {"DeviceName": "b"}]});
        let theirs = json!({"MetadataOptions": {"HttpTokens": "optional"}, "MinCount": 1,
                            "BlockDeviceMappings": [{"DeviceName": "c"}], "LaunchTemplate": {"Version": "2"}});
        let expected = json!({"ImageId": "ami-1", "MetadataOptions": {"HttpTokens": "optional", "HttpEndpoint": "enabled"},
                              "BlockDeviceMappings": [{"DeviceName": "c"}], "MinCount": 1, "LaunchTemplate": {"Version": "2"},
                              "DisableApiTermination": false, "DisableApiStop": false});
        assert_eq!(over(ours.clone(), theirs), expected);
        assert_eq!(over(ours.clone(), json!({})), ours);
    }

    #[test]
    fn the_spot_example_of_the_manual() {
        let ours = json!({"InstanceInitiatedShutdownBehavior": "stop", "KeyName": "k"});
        let theirs = json!({
            "InstanceMarketOptions": {
                "MarketType": "spot",
                "SpotOptions": {
                    "SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"
                }
            },
            "InstanceInitiatedShutdownBehavior": "terminate"
        });
        let mut expected = theirs.clone();
        expected["KeyName"] = json!("k");
        assert_eq!(over(ours, theirs), expected);
    }

    #[test]
    fn what_excludes_another_member_replaces_it() {
        let ours = json!({"SubnetId": "subnet-1", "SecurityGroupIds": ["sg-1"], "IamInstanceProfile": {"Name": "n"}});
        let profile = json!({"IamInstanceProfile": {"Arn": "arn"}});
        let expected = json!({"SubnetId": "subnet-1", "SecurityGroupIds": ["sg-1"], "IamInstanceProfile": {"Arn": "arn"}});
        assert_eq!(over(ours.clone(), profile), expected);
        let interfaces = json!({"NetworkInterfaces": [{"DeviceIndex": 0}]});
        let expected =
            json!({"IamInstanceProfile": {"Name": "n"}, "NetworkInterfaces": [{"DeviceIndex": 0}]});
        assert_eq!(over(ours.clone(), interfaces), expected);
        let groups = json!({"SecurityGroups": ["default"]});
        let expected = json!({"SubnetId": "subnet-1", "IamInstanceProfile": {"Name": "n"}, "SecurityGroups": ["default"]});
        assert_eq!(over(ours.clone(), groups), expected);
        let zone = json!({"Placement": {"AvailabilityZone": "z"}});
        let expected = json!({"SecurityGroupIds": ["sg-1"], "IamInstanceProfile": {"Name": "n"}, "Placement": {"AvailabilityZone": "z"}});
        assert_eq!(over(ours, zone.clone()), expected);
        let subnet = json!({"SubnetId": "subnet-2"});
        assert_eq!(over(zone.clone(), subnet.clone()), subnet, "no empty dictionary is left");
        let host = json!({"Placement": {"HostId": "h"}});
        assert_eq!(
            over(zone, host),
            json!({"Placement": {"AvailabilityZone": "z", "HostId": "h"}})
        );
    }

    #[test]
    fn our_tags_stay_and_others_join() {
        let tag = |key: &str, value: &str| json!({"Key": key, "Value": value});
        let theirs = json!({"TagSpecifications": [
            {"ResourceType": "instance", "Tags": [tag("Name", "theirs"), tag("Team", "t"), tag("apyfal:token", "theirs")]},
            {"ResourceType": "instance", "Tags": [tag("Cost", "c"), tag("Team", "again")]},
            {"ResourceType": "elastic-gpu", "Tags": [tag("Name", "gpu")]},
        ]});
        let overrides = Overrides::read(&theirs).unwrap();
        assert_eq!(overrides.over(Map::new()), Map::new(), "tags are joined by themselves");
        let ours = [("Name", "ours".to_owned())];
        let expected = json!([
            {"ResourceType": "instance", "Tags": [tag("Name", "ours"), tag("Team", "t"), tag("Cost", "c")]},
            {"ResourceType": "volume", "Tags": [tag("Name", "ours")]},
            {"ResourceType": "elastic-gpu", "Tags": [tag("Name", "gpu")]},
        ]);
        assert_eq!(overrides.tags(&ours, &["instance", "volume"]), expected);
    }

    #[test]
    fn the_users_script_is_no_part_of_the_request() {
        let overrides = Overrides::read(&json!({"UserData": "#!/bin/sh\necho s3cret"})).unwrap();
        assert_eq!(overrides.user_data(), Some("#!/bin/sh\necho s3cret"));
        assert_eq!(overrides.over(Map::new()), Map::new());
        assert!(!format!("{overrides:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_ours_is_refused() {
        for (theirs, message) in [
            (json!({"ClientToken": "t"}), "'ClientToken' is not for users to set"),
            (json!({"DryRun": false}), "'DryRun' is not for users to set"),
            (json!({"MinCount": 2}), "'MinCount' cannot be 2"),
            (json!({"MinCount": 1, "MaxCount": 4}), "'MaxCount' cannot be 4"),
            (json!({"DisableApiTermination": true}), "'DisableApiTermination' cannot be True"),
            (json!({"DisableApiStop": true}), "'DisableApiStop' cannot be True"),
            (
                json!({"MetadataOptions": {"HttpEndpoint": "disabled"}}),
                "'HttpEndpoint' of 'MetadataOptions' cannot be 'disabled'",
            ),
            (json!({"Spam": 1}), "RunInstances has no member 'Spam'"),
            (json!("text"), "the request cannot be 'text'"),
        ] {
            assert_eq!(Overrides::read(&theirs).unwrap_err().to_string(), message);
        }
    }
}
