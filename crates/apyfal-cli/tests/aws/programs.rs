//! What programs of the original do with hosts on AWS, as lines of the shell.

use serde_json::Value;

use crate::common::{Home, words};
use crate::made::{assert_nothing_is_left, is_right, owner};
use crate::metal::Metal;
use crate::ok;

/// What is told of the only host.
fn host(metal: &Metal, home: &Home) -> Value {
    let told: Value = serde_json::from_str(&ok(metal, home, "apyfal list --json")).unwrap();
    let hosts = told["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 1, "{hosts:?}");
    hosts[0].clone()
}

#[test]
fn a_host_is_made_used_twice_and_ended() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    home.write("in2.txt", words(50_000, 2));
    // Who calls is said where it is created.
    ok(
        &metal,
        &home,
        "apyfal create --accelerator gzip --host_type AWS --region eu-west-1 \
         --client_id $AWS_ACCESS_KEY_ID --secret_id $AWS_SECRET_ACCESS_KEY \
         --accelize_client_id C --accelize_secret_id S",
    );
    ok(&metal, &home, "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; apyfal start");
    assert_eq!(metal.instance().region, "eu-west-1");
    ok(&metal, &home, "mkdir out && apyfal process --src notes.txt --dst out/1.gz");
    ok(&metal, &home, "apyfal process --src in2.txt --dst out/2.gz");
    assert!(is_right(&home, "out/1.gz"));
    ok(&metal, &home, "gzip -dc out/2.gz | cmp - in2.txt");
    ok(&metal, &home, "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; apyfal stop");
    assert_nothing_is_left(&metal, "stopped");
}

#[test]
fn a_host_is_kept_and_used_again_with_and_without_control_over_it() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    ok(
        &metal,
        &home,
        "apyfal create --accelerator gzip --host_type AWS && apyfal start --stop_mode keep",
    );
    let told = ok(&metal, &home, "apyfal stop --stop_mode keep 2>&1");
    let kept = host(&metal, &home);
    let id = kept["instance_id"].as_str().unwrap();
    assert!(told.contains(&format!("Instance '{id}' is still running")), "{told}");
    // With control over it.
    ok(
        &metal,
        &home,
        &format!(
            "apyfal create --name again --accelerator gzip --host_type AWS --region us-east-1 \
             --instance_id {id} && apyfal start --name again"
        ),
    );
    // By its address alone.
    let address = kept["url"].as_str().unwrap();
    ok(
        &metal,
        &home,
        &format!(
            "apyfal create --name there --accelerator gzip --host_ip {address} && \
             apyfal start --name there && apyfal process --name there -i notes.txt -o notes.gz && \
             apyfal stop --name there"
        ),
    );
    assert!(is_right(&home, "notes.gz"));
    assert_eq!(metal.instance().id, id, "who has its address does not end it");
    ok(&metal, &home, "apyfal stop --name again --stop_mode term");
    assert_eq!(metal.cloud.count("RunInstances"), 1);
    assert_nothing_is_left(&metal, "stopped");
}

#[test]
fn what_runs_is_listed_and_ended() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    // A host by itself, of another kind than the catalog's.
    ok(
        &metal,
        &home,
        "apyfal create --accelerator gzip --host_type AWS --spot_instance False \
         --instance_type t3.micro --image_id ami-0a000000000000020 && apyfal start",
    );
    let told = host(&metal, &home);
    let instance = metal.instance();
    assert_eq!((&*instance.instance_type, instance.spot_request), ("t3.micro", None));
    assert_eq!(told["instance_id"], instance.id.as_str());
    assert_eq!((&told["accelerator"], &told["host_type"]), (&"gzip".into(), &"AWS".into()));
    let address = instance.public_address.unwrap();
    assert!(told["url"].as_str().unwrap().contains(&address), "{told}");
    assert_eq!((&told["state"], &told["stop_mode"]), (&"running".into(), &"term".into()));
    ok(&metal, &home, "apyfal stop --all");
    assert_nothing_is_left(&metal, "stopped");
}
