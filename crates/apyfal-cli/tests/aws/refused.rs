//! What is wrong is told before it costs anything: the cloud is asked for nothing that it would make.

use std::process::Command;

use apyfal_testkit::Cloud;
use serde_json::json;

use crate::LIMITED;
use crate::common::{Home, text};

/// A way of being wrong.
struct Wrong {
    /// What the section of AWS says.
    section: &'static str,
    /// What boto3 does in the account before, and prints for the section.
    before: &'static str,
    /// What it may do, where it may not do everything.
    rights: &'static [&'static str],
    /// Variables of the environment, beside those that lead to the cloud.
    environment: &'static [(&'static str, &'static str)],
    /// What is told.
    told: &'static str,
}

const RIGHT: Wrong = Wrong { section: "", before: "", rights: &[], environment: &[], told: "" };
const NO_DEFAULT: &str = "
for vpc in ec2.describe_vpcs(Filters=[{'Name': 'is-default', 'Values': ['true']}])['Vpcs']:
    within = [{'Name': 'vpc-id', 'Values': [vpc['VpcId']]}]
    for subnet in ec2.describe_subnets(Filters=within)['Subnets']:
        ec2.delete_subnet(SubnetId=subnet['SubnetId'])
    ec2.delete_vpc(VpcId=vpc['VpcId'])
";
/// Somebody who signed in a year ago.
const SIGNED_IN: &str = "[default]\nsso_session = one\nsso_account_id = 123456789012\n\
                         sso_role_name = developer\n[sso-session one]\nsso_region = us-east-1\n\
                         sso_start_url = https://one.example/start\n";
/// The file of what that session got is called by the digest of its name.
const SESSION: &str = ".aws/sso/cache/fe05bcdcdc4928012781a5f1a2a77cbb5398e106.json";
const EXPIRED: &str = r#"{"startUrl": "https://one.example/start", "region": "us-east-1",
    "accessToken": "expired", "expiresAt": "2025-11-28T00:00:00Z"}"#;

/// What a start says in an account of its own, and which calls were taken.
fn refused(wrong: &Wrong, cloud: &Cloud) -> (String, Vec<String>) {
    let home = Home::new();
    let python = apyfal_testkit::python().unwrap();
    let program = format!("import boto3\nec2 = boto3.client('ec2')\n{}", wrong.before);
    let mut before = Command::new(python);
    before.args(["-c", &program]).args(wrong.rights).envs(cloud.environment());
    let before = before.output().unwrap();
    assert!(before.status.success(), "{}", text(&before.stderr));
    // It is not asked for, where a case is about another thing.
    let agent = format!("agent = http://agent.invalid/\nagent_sha256 = {}\n", "0".repeat(64));
    let agent = if wrong.section.starts_with("agent") { "" } else { &agent };
    let section = format!("{agent}{}{}", text(&before.stdout), wrong.section);
    home.write("accelerator.conf", format!("[host.AWS]\nallowed_cidr = 192.0.2.7/32\n{section}"));
    home.write("notes.txt", "notes");
    home.write("long.sh", "# as long as it is\n".repeat(900));
    std::fs::create_dir_all(home.path(".aws/sso/cache")).unwrap();
    home.write("signed-in", SIGNED_IN);
    home.write(SESSION, EXPIRED);
    let seen = cloud.calls().len();
    let mut start = home.apyfal(&["run", "gzip", "notes.txt", "notes.gz", "--host_type", "AWS"]);
    let start = start.envs(cloud.environment()).envs(wrong.environment.iter().copied());
    let output = start.output().unwrap();
    assert!(!output.status.success());
    let taken = cloud.calls().split_off(seen).into_iter();
    let taken = taken.filter(|call| call.status.is_some_and(|status| status < 400));
    (text(&output.stderr), taken.map(|call| call.action).collect())
}

#[test]
fn nothing_is_made_for_what_is_wrong() {
    let wrongs = [
        Wrong { environment: &[("AWS_DEFAULT_REGION", "")], told: "region", ..RIGHT },
        Wrong {
            section: "boto3_create_instances_kwargs = {'InstanceTyp': 't3.micro'}\n",
            told: "InstanceType",
            ..RIGHT
        },
        Wrong { before: NO_DEFAULT, told: "no default VPC", ..RIGHT },
        Wrong { section: "subnet_id = subnet-00000000\n", told: "subnet-00000000", ..RIGHT },
        // No agent: its file is not there.
        Wrong {
            section: "agent = /nonexistent/agent\nagent_sha256 = \
                      0000000000000000000000000000000000000000000000000000000000000000\n",
            told: "/nonexistent/agent",
            ..RIGHT
        },
        Wrong {
            environment: &[
                ("AWS_ACCESS_KEY_ID", ""),
                ("AWS_SECRET_ACCESS_KEY", ""),
                ("AWS_CONFIG_FILE", "signed-in"),
            ],
            told: "aws sso login",
            ..RIGHT
        },
        Wrong { before: LIMITED, rights: &["ssm:*"], told: "ec2:Describe", ..RIGHT },
        // What it may not make is not made, though nobody says so before it is asked for.
        Wrong {
            before: LIMITED,
            rights: &["ssm:*", "ec2:Describe*", "ec2:RunInstances"],
            told: "ec2:",
            ..RIGHT
        },
        Wrong { section: "init_script = long.sh\n", told: "16384", ..RIGHT },
        Wrong {
            section: "image_id = resolve:ssm:/aws/service/debian/release/12/latest/arm64\n\
                      instance_type = t3.micro\n",
            told: "arm64",
            ..RIGHT
        },
    ];
    let shared = Cloud::start().unwrap();
    for wrong in wrongs {
        // What is done in the account before is for this one alone.
        let own = (!wrong.before.is_empty()).then(|| Cloud::start().unwrap());
        let (said, taken) = refused(&wrong, own.as_ref().unwrap_or(&shared));
        assert!(said.contains(wrong.told), "{}: {said}", wrong.told);
        let looks = ["Describe", "Get", "Head", "List"];
        let makes = |action: &&String| !looks.iter().any(|look| action.starts_with(look));
        let made: Vec<_> = taken.iter().filter(makes).collect();
        assert!(made.is_empty(), "{}: {made:?}", wrong.told);
    }
}

#[test]
fn a_wrong_clock_is_told() {
    let cloud = Cloud::start().unwrap();
    cloud.set(&json!({ "clock": 3600.0 }));
    let (said, taken) = refused(&RIGHT, &cloud);
    assert!(said.contains("the clock of this machine is 60 minutes behind"), "{said}");
    assert!(taken.is_empty(), "{taken:?}");
}
