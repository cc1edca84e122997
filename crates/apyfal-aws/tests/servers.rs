//! Where boto3 calls a service, and for which region it signs, is where it is called here. Needs
//! `python3` with boto3, which `cargo xtask test` installs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use apyfal_aws::Settings;
use apyfal_core::Environment;
use serde_json::{Value, json};

/// Prints, for each service, region, and whether FIPS and two stacks are wanted, the URL and the region
/// that its signature names.
const PROGRAM: &str = r#"
import json, os
os.environ.clear()
os.environ.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_EC2_METADATA_DISABLED="true")
import boto3
from botocore.config import Config
CALLS = {
    "ec2": lambda client: client.describe_regions(),
    "iam": lambda client: client.list_roles(),
    "sts": lambda client: client.get_caller_identity(),
    "ssm": lambda client: client.get_parameter(Name="x"),
    "s3": lambda client: client.list_buckets(),
}
REGIONS = """us-east-1 eu-west-1 xx-new-9 cn-north-1 cn-northwest-1 us-gov-west-1 us-gov-east-1
us-iso-east-1 us-iso-west-1 us-isob-east-1 us-isof-south-1 eu-isoe-west-1 eusc-de-east-1""".split()

class Sent(Exception):
    pass

def send(request, **_):
    raise Sent(request.url, request.headers["Authorization"].decode().split("/")[2])

session = boto3.Session()
for fips in (False, True):
    for dual in (False, True):
        for service, call in CALLS.items():
            for region in REGIONS:
                config = Config(use_fips_endpoint=fips, use_dualstack_endpoint=dual)
                try:
                    client = session.client(service, region_name=region, config=config)
                    client.meta.events.register("before-send.*.*", send)
                    call(client)
                except Sent as sent:
                    print(json.dumps([fips, dual, service, region, *sent.args]))
                except Exception:
                    pass  # It knows no such server.
"#;

#[test]
fn services_are_where_boto3_calls_them() {
    let python = Command::new("python3").args(["-c", PROGRAM]).output();
    let python = python.expect("this test compares with boto3: 'cargo xtask test' installs it");
    let said = String::from_utf8(python.stdout).unwrap();
    let mut differing = Vec::new();
    let mut compared = 0;
    for line in said.lines() {
        let theirs: Value = serde_json::from_str(line).unwrap();
        let is = |index: usize| theirs[index].as_bool().unwrap().to_string();
        let (service, region) = (theirs[2].as_str().unwrap(), theirs[3].as_str().unwrap());
        // Where nobody has built a FIPS server of IAM, it makes up a name.
        let has_one = region.split('-').count() == 3 && !region.starts_with("cn-")
            || region.starts_with("us-gov-");
        if theirs[0] == true && service == "iam" && (!has_one || region.contains("iso")) {
            continue;
        }
        // Releases of botocore differ about this one.
        if theirs[1] == true && service == "iam" && region.starts_with("eusc-") {
            continue;
        }
        let variables = [("AWS_USE_FIPS_ENDPOINT", is(0)), ("AWS_USE_DUALSTACK_ENDPOINT", is(1))];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        let environment = Environment { variables: variables.into(), home: None };
        let ours = Settings::read(&environment).unwrap().server(service, region);
        // The oldest name of S3 has no region.
        let url = theirs[4].as_str().unwrap().split('?').next().unwrap();
        let url = url.replace("//s3.amazonaws.com", "//s3.us-east-1.amazonaws.com");
        compared += 1;
        if json!([format!("https://{}/", ours.name), ours.region]) != json!([url, theirs[5]]) {
            differing.push(format!("boto3 {line}\n  here {ours:?}"));
        }
    }
    assert!(compared > 200, "{compared}: {}", String::from_utf8_lossy(&python.stderr));
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
