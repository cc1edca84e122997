//! Hosts on AWS, on machines that are there: a cloud, whoever uses it, and a machine for each
//! instance.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod ends;
mod fpga;
mod judge;
mod kills;
mod machines;
mod made;
mod metadata;
mod metal;
mod programs;
mod pushed;
mod python;
mod refused;
mod request;
mod server;
mod several;
mod speed;
mod system;
mod user_data;

use std::process::{Output, Stdio};

use common::server::until_some;
use common::{Home, text};
use metal::Metal;

/// Makes a user who may do nothing but what the words say, and prints what its configuration says.
const LIMITED: &str = "
import json, sys
iam = boto3.client('iam')
iam.create_user(UserName='limited')
statement = {'Effect': 'Allow', 'Action': sys.argv[1:], 'Resource': '*'}
policy = json.dumps({'Version': '2012-10-17', 'Statement': [statement]})
iam.put_user_policy(UserName='limited', PolicyName='its', PolicyDocument=policy)
key = iam.create_access_key(UserName='limited')['AccessKey']
print('client_id =', key['AccessKeyId'])
print('secret_id =', key['SecretAccessKey'])
";

/// Runs a line as it stands, where the owner of the cloud works.
fn line(metal: &Metal, home: &Home, line: &str) -> Output {
    metal
        .client
        .command(home, "bash", &["-c", line])
        .envs(metal.cloud.environment())
        .stdout(Stdio::piped())
        .output()
        .unwrap()
}

fn ok(metal: &Metal, home: &Home, words: &str) -> String {
    let output = line(metal, home, words);
    assert!(output.status.success(), "{words}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn word_after(line: &str, key: &str) -> String {
    line.split_whitespace().skip_while(|word| *word != key).nth(1).unwrap().to_owned()
}

/// Waits until the only instance that is not terminated is in a state.
fn until_state(metal: &Metal, state: &str) {
    until_some(&format!("the instance is {state}"), || {
        metal.living().into_iter().find(|instance| instance.state == state)
    });
}

/// Calls of boto3 by the owner of the cloud. `ec2` is its client, and `IMAGE` an image.
fn boto3(metal: &Metal, home: &Home, calls: &str, words: &[&str]) -> String {
    let program = format!(
        "import boto3, sys, time\nec2 = boto3.client('ec2')\n\
         IMAGE = 'resolve:ssm:/aws/service/debian/release/12/latest/amd64'\n{calls}"
    );
    let python = apyfal_testkit::python().unwrap();
    let output = metal
        .client
        .command(home, python.to_str().unwrap(), &[&["-c", &program], words].concat())
        .envs(metal.cloud.environment())
        .output()
        .unwrap();
    assert!(output.status.success(), "{calls}: {}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

/// An instance with this user data, which its owner reaches by these ports.
fn run_instance(metal: &Metal, home: &Home, user_data: &str, ports: &[u16]) -> String {
    home.write("user-data", user_data);
    let calls = format!(
        "group = ec2.create_security_group(GroupName=str(time.time()), Description='x')['GroupId']\n\
         for port in {ports:?}:\n    \
         ec2.authorize_security_group_ingress(GroupId=group, IpProtocol='tcp', FromPort=port, \
         ToPort=port, CidrIp='{client}/32')\n\
         made = ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType='t3.micro', \
         SecurityGroupIds=[group], UserData=open('user-data').read(), \
         InstanceInitiatedShutdownBehavior='terminate')\n\
         print(made['Instances'][0]['InstanceId'])",
        client = metal::CLIENT,
    );
    boto3(metal, home, &calls, &[])
}
