//! The cloud of the tests takes what boto3 asks for, and refuses what AWS refuses.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Stdio};

use apyfal_testkit::{Cloud, Fault, Kill, python};

#[test]
fn boto3_is_answered_as_by_aws() {
    let cloud = Cloud::start().unwrap();
    let output = Command::new(python().unwrap())
        .args(["-B", "-W", "ignore"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud.py"))
        .envs(cloud.environment())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Two calls by which an instance is made.
const CLIENT: &str = "
input()
import boto3
ec2 = boto3.client('ec2')
image = ec2.describe_images(Owners=['099720109477'])['Images'][0]['ImageId']
ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType='t3.micro', ClientToken='x')
";

#[test]
fn a_client_is_killed_at_a_call() {
    let cloud = Cloud::start().unwrap();
    let run = |kill: Option<(usize, &'static str)>| {
        let mut client = Command::new(python().unwrap())
            .args(["-c", CLIENT])
            .envs(cloud.environment())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if let Some((call, when)) = kill {
            cloud.kill(&Kill { pid: client.id(), call, when });
        }
        std::io::Write::write_all(&mut client.stdin.take().unwrap(), b"go\n").unwrap();
        client.wait().unwrap().success()
    };
    assert!(!run(Some((2, "before"))));
    assert!(cloud.instances().is_empty());
    assert!(!run(Some((2, "after"))));
    assert_eq!(cloud.instances().len(), 1);
    assert!(run(None));
    let made = cloud.instances();
    assert_eq!(made.len(), 1, "the token is the same");
    assert_eq!(made[0].client_token.as_deref(), Some("x"));
    assert_eq!(cloud.count("RunInstances"), 3);
    assert_eq!(cloud.left()["instances"], [made[0].id.clone()]);

    cloud.fail(&Fault::of("RunInstances").error("UnauthorizedOperation", 403).times(1));
    assert!(!run(None));
    assert_eq!(cloud.calls().last().unwrap().error.as_deref(), Some("UnauthorizedOperation"));
}
