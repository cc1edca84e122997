//! A host by `apyfal user-data`, on an instance that somebody made.

use apyfal_testkit::CloudInstance;

use crate::common::server::until;
use crate::common::{Home, peer, text, words};
use crate::metal::Metal;
use crate::{boto3, line, ok, run_instance, until_state, word_after};

/// Puts the agent where a machine can get it, and prints the address.
const UPLOAD: &str = "
from botocore.config import Config
s3 = boto3.client('s3', config=Config(signature_version='s3v4'))
s3.create_bucket(Bucket='agents')
s3.upload_file(sys.argv[1], 'agents', 'agent')
print(s3.generate_presigned_url('get_object', Params={'Bucket': 'agents', 'Key': 'agent'}))
";

/// Makes an instance a host with these options, which its owner has by the name that is returned.
fn host(
    metal: &Metal,
    home: &Home,
    options: &str,
    address: fn(CloudInstance) -> Option<String>,
) -> String {
    let agent = env!("CARGO_BIN_EXE_apyfal");
    let url = boto3(metal, home, UPLOAD, &[agent]);
    let digest = ok(metal, home, &format!("sha256sum {agent} | cut -d' ' -f1"));
    let digest = digest.trim();
    let made = format!(
        "apyfal user-data --accelerator gzip --agent '{url}' --agent_sha256 {digest} \
         --listen 0.0.0.0:443 {options} >script"
    );
    let made = line(metal, home, &made);
    let said = text(&made.stderr);
    assert!(made.status.success(), "{said}");
    let pairing = said.lines().find(|line| line.contains("apyfal host add")).unwrap();
    run_instance(metal, home, &text(&home.read("script")), &[22, 443]);
    until("it is a host", || {
        address(metal.instance()).is_some_and(|address| {
            line(metal, home, &pairing.replace("ADDRESS", &address)).status.success()
        })
    });
    word_after(pairing, "add")
}

fn compresses(metal: &Metal, home: &Home, name: &str) {
    let notes = words(300_000, 1);
    home.write("notes.txt", &notes);
    ok(metal, home, &format!("apyfal run gzip notes.txt notes.gz --host_ip {name}"));
    assert!(peer("gzip", &["-dc"], &home.read("notes.gz")) == notes);
}

#[test]
fn user_data_makes_an_instance_a_host_that_ends_itself() {
    let Some(metal) = Metal::new() else { return };
    let home = Home::new();
    let name = host(&metal, &home, "--idle_timeout 3s", |instance| instance.public_address);
    compresses(&metal, &home, &name);
    until("its lease ends, and the machine with it", || metal.living().is_empty());
}

#[test]
fn a_host_serves_again_when_its_instance_starts_again() {
    let Some(metal) = Metal::with_systemd() else { return };
    let home = Home::new();
    // This address stays.
    let name = host(&metal, &home, "--idle_timeout 1h", |instance| instance.private_address);
    compresses(&metal, &home, &name);
    let id = metal.instance().id;
    boto3(&metal, &home, "ec2.stop_instances(InstanceIds=sys.argv[1:])", &[&id]);
    until_state(&metal, "stopped");
    boto3(&metal, &home, "ec2.start_instances(InstanceIds=sys.argv[1:])", &[&id]);
    compresses(&metal, &home, &name);
    // What shuts down is systemd, and the instance ends with it.
    metal.machines()[&id].system().bash("sh /etc/apyfal/shut-down");
    until("the machine ends", || metal.living().is_empty());
}
