//! What is asked of AWS for a host, beside what the original asked for: `docs/reference/aws-requests.md`.

use std::collections::{BTreeMap, BTreeSet};

use apyfal_testkit::{Call, Cloud, Fault};

use crate::common::page::is_as_made;
use crate::common::{Home, text};

/// The members of RunInstances, and what the original had in their place.
const BESIDE: [(&str, &str); 14] = [
    (
        "BlockDeviceMapping",
        "`DeleteOnTermination` too, whatever `delete_volumes_on_termination` said; not encrypted",
    ),
    ("ClientToken", "none: after a lost answer a second machine was made"),
    (
        "IamInstanceProfile",
        "the same, for every host; here only for FPGAs, `s3_buckets`, `role` and `policy`",
    ),
    ("ImageId", "the same: its catalog's, or `image_id`"),
    ("InstanceInitiatedShutdownBehavior", "the same; here `stop` with `stop_mode = stop`"),
    (
        "InstanceMarketOptions",
        "the same, also with `spot_instance = False` and `stop_mode = stop`, which have none here",
    ),
    ("InstanceType", "the same: its catalog's, or `instance_type`"),
    ("KeyName", "the same"),
    ("MaxCount", "the same"),
    ("MetadataOptions", "none: the first version of the metadata service answered too"),
    ("MinCount", "the same"),
    (
        "SecurityGroupId",
        "one of that name in the account's first VPC; here in the one that is used",
    ),
    (
        "TagSpecification",
        "`Name`, `Generated` and `Apyfal` of the instance; here whose it is too, on all that is made with it",
    ),
    (
        "UserData",
        "wrote the configuration with its secrets, and the certificate with its key; here nothing that is \
         secret for longer than until the first contact",
    ),
];

/// What else is made, and what the original had in its place.
const AROUND: [(&str, &str); 5] = [
    ("`AccelizeSecurityGroup`", "let in port 80 too, and one duplicate rule lost the others"),
    (
        "`AccelizeAWSKeyPair`",
        "the same; here its private key is a file before AWS has the public one",
    ),
    ("`AccelizePolicy`", "allowed images of FPGAs and all buckets; here what this host needs"),
    ("`AccelizeRole`, `AccelizeLoadFPGA`", "the same, for every host"),
    ("the bucket", "none: images had the agent"),
];

/// All calls of one start whose last one is refused, and of which everything else is made.
fn calls() -> Vec<Call> {
    let (cloud, home) = (Cloud::start().unwrap(), Home::new());
    cloud.fail(&Fault::of("RunInstances").error("InstanceLimitExceeded", 400));
    home.write("accelerator.conf", "[host.AWS]\nallowed_cidr = 192.0.2.7\ns3_buckets = results\n");
    home.write("notes.txt", "notes");
    let mut start = home.apyfal(&["run", "gzip", "notes.txt", "notes.gz", "--host_type", "AWS"]);
    let output = start.envs(cloud.environment()).output().unwrap();
    let calls = cloud.calls();
    let last = calls.last().map(|call| call.action.as_str());
    assert_eq!(last, Some("RunInstances"), "{}", text(&output.stderr));
    calls
}

/// The parameters of a call as lines; what differs each time is a word in capitals.
fn lines(call: &Call, differs: &[(String, &str)]) -> Vec<String> {
    let shown = |value: &serde_json::Value| {
        let mut shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        for (text, word) in differs {
            shown = shown.replace(text.as_str(), word);
        }
        shown.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let line = |(name, value)| format!("{name} = {}", shown(value));
    let mut lines: Vec<_> = call.parameters.iter().map(line).collect();
    lines.sort_by_key(|line| {
        // By the numbers in their names, and not by their digits.
        let name = line.split(" = ").next().unwrap_or_default();
        name.split('.').map(|part| (part.parse::<u32>().ok(), part.to_owned())).collect::<Vec<_>>()
    });
    lines
}

/// What differs each time, as this start had it.
fn differing(calls: &[Call]) -> Vec<(String, &'static str)> {
    let all: Vec<BTreeMap<_, _>> = calls.iter().map(|call| call.parameters.clone()).collect();
    let value = |name: &str| {
        let found = all.iter().rev().find_map(|parameters| parameters.get(name)?.as_str());
        found.unwrap_or_default().to_owned()
    };
    let tagged = |tag: &str| {
        let last = all.last().unwrap();
        let key = last.iter().find(|(_, value)| value.as_str() == Some(tag)).map(|(name, _)| name);
        value(&key.unwrap().replace(".Key", ".Value"))
    };
    [
        (value("ClientToken"), "TOKEN"),
        (tagged("Name"), "accelize_gzip_DATE"),
        (tagged("apyfal:installation"), "INSTALLATION"),
        (value("SecurityGroupId.1"), "sg-GROUP"),
        (value("VpcId"), "vpc-DEFAULT"),
        (value("PublicKeyMaterial"), "PUBLIC_KEY"),
        (value("Key"), "sha256/DIGEST"),
    ]
    .into_iter()
    .filter(|(text, _)| !text.is_empty())
    .collect()
}

#[test]
fn what_is_asked_for_is_known() {
    let calls = calls();
    let differs = differing(&calls);
    let mut page = String::from(
        "# What is asked of AWS for a host\n\nMade from the calls of one start of `gzip` with \
         `s3_buckets = results` and an empty account, as the stand-in for AWS saw \
         them. Words in capitals stand for what differs each time.\n\n\
         ## The machine, beside Apyfal 1.2.7\n\n| member | the original |\n| --- | --- |\n",
    );
    let request = calls.last().unwrap();
    let members = request.parameters.keys().map(|name| name.split('.').next().unwrap());
    // User data is shown to nobody.
    let members: BTreeSet<_> = members.chain(["UserData"]).collect();
    assert_eq!(members, BESIDE.map(|(member, _)| member).into(), "each is compared");
    for (member, original) in BESIDE {
        page += &format!("| `{member}` | {original} |\n");
    }
    page += "\n## What is around it\n\n| what | the original |\n| --- | --- |\n";
    for (what, original) in AROUND {
        page += &format!("| {what} | {original} |\n");
    }
    let looks = ["Describe", "Get", "List", "Head"];
    let makes = |call: &&Call| !looks.iter().any(|look| call.action.starts_with(look));
    let made = calls.iter().filter(makes).map(|call| {
        let lines = lines(call, &differs).join("\n");
        format!("\n## {}:{}\n\n```text\n{lines}\n```\n", call.service, call.action)
    });
    // They are made at the same time, in one order here.
    page.extend(made.collect::<BTreeSet<_>>());
    is_as_made("aws-requests.md", &page);
}
