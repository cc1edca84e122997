use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Map, json};

use super::*;

/// Answers each line, a request and whether it is made up, with what botocore would send for it, or why
/// it would not. Of one that is made up members that its release does not have yet are left out, and
/// named; that some members need others or have bounds is then not looked at.
const BOTOCORE: &str = r#"
import json, sys
import botocore.session
from botocore.handlers import base64_encode_user_data
from botocore.serialize import EC2Serializer
from botocore.validate import validate_parameters
ec2 = botocore.session.get_session().get_service_model("ec2")
run_instances = ec2.operation_model("RunInstances")
def known(value, shape, path, left_out):
    if shape.type_name == "list" and isinstance(value, list):
        return [known(item, shape.member, path, left_out) for item in value]
    if shape.type_name != "structure" or not isinstance(value, dict):
        return value
    left_out += [path + name for name in value if name not in shape.members]
    return {
        name: known(item, shape.members[name], f"{path}{name}.", left_out)
        for name, item in value.items() if name in shape.members
    }
for line in sys.stdin:
    (request, made_up), left_out = json.loads(line), []
    if made_up:
        request = known(request, run_instances.input_shape, "", left_out)
    answer = {"request": request, "left_out": left_out}
    try:
        params = dict(request)
        base64_encode_user_data(params)
        if not made_up:
            validate_parameters(params, run_instances.input_shape)
        body = EC2Serializer().serialize_to_request(params, run_instances)["body"]
        answer["sent"] = {k: str(v) for k, v in body.items() if k not in ("Action", "Version")}
    except Exception as error:
        answer["error"] = str(error)
    print(json.dumps(answer))
"#;

fn botocore(requests: &[Value], made_up: bool) -> Vec<Value> {
    let mut python = Command::new("python3")
        .args(["-c", BOTOCORE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test compares with botocore: 'cargo xtask test' installs it");
    let lines: String =
        requests.iter().map(|request| format!("[{request}, {made_up}]\n")).collect();
    let mut stdin = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().expect("python3 has botocore: 'cargo xtask test' installs it");
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A value of a shape. `all` has every member and no empty list.
fn made(shape: &Shape, random: &mut fastrand::Rng, all: bool) -> Value {
    match shape {
        Shape::Text => {
            let words = ["", "a", "é ☃", "a=b&c+d", "two\nlines", "\u{1F600}"];
            json!(format!("{}{}", words[random.usize(..words.len())], random.u8(..)))
        }
        Shape::Integer => json!(random.i32(..)),
        Shape::Truth => json!(random.bool()),
        Shape::Time => {
            let times = [
                json!("2030-01-31T12:00:00Z"),
                json!("2030-01-31T12:00:00.25+01:30"),
                json!("2030-01-31 12:00:00.000001-05:00"),
                json!(1_900_000_000),
            ];
            times[random.usize(..times.len())].clone()
        }
        Shape::List(item) => {
            let count = random.usize(usize::from(all)..3);
            (0..count).map(|_| made(item, random, all)).collect()
        }
        Shape::Members(members) => {
            let mut given = Map::new();
            for member in members {
                if all || random.u8(..3) == 0 {
                    given.insert(member.name.to_owned(), made(&member.shape, random, all));
                }
            }
            given.into()
        }
    }
}

#[test]
fn what_is_sent_is_what_boto3_sends() {
    let mut random = fastrand::Rng::with_seed(13);
    let requests: Vec<_> = (0..300)
        .map(|number| {
            let mut request = made(&REQUEST, &mut random, number < 3);
            request["MinCount"] = json!(1);
            request["MaxCount"] = json!(1);
            request
        })
        .collect();
    let answers = botocore(&requests, true);
    assert_eq!(answers.len(), requests.len());
    for answer in answers {
        for left_out in answer["left_out"].as_array().unwrap() {
            assert_eq!(left_out, "Monitoring.MetricCategoryIds", "a member of 2026");
        }
        check(&answer["request"]).unwrap();
        let params = flatten(&answer["request"]);
        let ours: BTreeMap<_, _> = params.iter().cloned().collect();
        assert_eq!(ours.len(), params.len(), "no name is sent twice");
        assert_eq!(json!(ours), answer["sent"], "{answer}");
    }
}

#[test]
fn what_boto3_refuses_is_refused() {
    let rows = [
        (
            json!({"InstanceMarketOptions": {"SpotOptions": {"MaxPrices": "1"}}}),
            "RunInstances has no member 'InstanceMarketOptions.SpotOptions.MaxPrices'",
            "did you mean 'MaxPrice'?",
        ),
        (
            json!({"imageid": "ami-1"}),
            "RunInstances has no member 'imageid'",
            "did you mean 'ImageId'?",
        ),
        (
            json!({"CreditSpecification": {"Spam": 1}}),
            "RunInstances has no member 'CreditSpecification.Spam'",
            "there are CpuCredits",
        ),
        (
            json!({"BlockDeviceMappings": [{}, {"Ebs": {"VolumeSize": "100"}}]}),
            "'BlockDeviceMappings[1].Ebs.VolumeSize' cannot be '100'",
            "it takes an integer, without quotes",
        ),
        (
            json!({"BlockDeviceMappings": {"Ebs": {}}}),
            "'BlockDeviceMappings' cannot be a dictionary",
            "it takes a list",
        ),
        (json!({"Monitoring": [true]}), "'Monitoring' cannot be a list", "it takes a dictionary"),
        (
            json!({"EbsOptimized": "True"}),
            "'EbsOptimized' cannot be 'True'",
            "it takes True or False, without quotes",
        ),
        (
            json!({"EbsOptimized": 1}),
            "'EbsOptimized' cannot be 1",
            "it takes True or False, without quotes",
        ),
        (
            json!({"SecurityGroupIds": ["sg-1", 2]}),
            "'SecurityGroupIds[1]' cannot be 2",
            "it takes text, in quotes",
        ),
        (json!({"KeyName": null}), "'KeyName' cannot be None", "it takes text, in quotes"),
        (
            json!({"Ipv6AddressCount": 1.0}),
            "'Ipv6AddressCount' cannot be 1.0",
            "it takes an integer, without quotes",
        ),
        (
            json!({"InstanceMarketOptions": {"SpotOptions": {"ValidUntil": "tomorrow"}}}),
            "'InstanceMarketOptions.SpotOptions.ValidUntil' cannot be 'tomorrow'",
            "it takes a time with its zone, such as '2030-01-31T12:00:00Z'",
        ),
    ];
    for (request, message, hint) in &rows {
        let error = check(request).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.hints()),
            (*message, &[hint.to_string()][..])
        );
    }
    let complete = |(request, ..): &(Value, _, _)| {
        let mut request = request.clone();
        request["MinCount"] = json!(1);
        request["MaxCount"] = json!(1);
        request
    };
    let answers = botocore(&rows.iter().map(complete).collect::<Vec<_>>(), false);
    assert_eq!(answers.len(), rows.len());
    for answer in answers {
        assert!(answer["error"].is_string(), "{answer}");
    }
}

#[test]
fn what_boto3_would_misread_is_refused_too() {
    // As an integer it is sent as 'True', and a time without zone is one of the machine's own.
    check(&json!({"Ipv6AddressCount": true})).unwrap_err();
    let spot = json!({"SpotOptions": {"ValidUntil": "2030-01-31T12:00:00"}});
    check(&json!({ "InstanceMarketOptions": spot })).unwrap_err();
    let error = check(&json!([1])).unwrap_err();
    assert_eq!(error.to_string(), "the request cannot be a list");
}

#[test]
fn the_table_has_every_shape_that_it_names() {
    let shapes: Vec<_> = TABLE.lines().filter_map(|line| line.split(' ').next()).collect();
    for line in TABLE.lines() {
        let (_, rest) = line.split_once(' ').unwrap();
        for word in rest.split(' ') {
            let named = word.split(':').next_back().unwrap().trim_matches(['[', ']']);
            assert!(["s", "i", "b", "t"].contains(&named) || shapes.contains(&named), "{line}");
        }
    }
}
