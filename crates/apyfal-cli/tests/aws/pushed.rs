//! Hosts of an owner who may not use S3: what they are made of is sent to them by ssh.

use crate::common::{Home, text};
use crate::made::{assert_nothing_is_left, is_right, owner};
use crate::metal::Metal;
use crate::{LIMITED, boto3, line, ok};

const RIGHTS: &[&str] = &["ec2:*", "ssm:GetParameter"];
const START: &str = "apyfal create --accelerator gzip --host_type AWS && apyfal start 2>&1";

fn limited_owner(metal: &Metal) -> Home {
    owner(&boto3(metal, &Home::new(), LIMITED, RIGHTS))
}

#[test]
fn who_may_not_use_s3_has_the_agent_sent() {
    let Some(metal) = Metal::with_systemd() else { return };
    let home = limited_owner(&metal);
    let started = ok(&metal, &home, START);
    assert!(started.contains("S3 may not be used"), "{started}");
    ok(&metal, &home, "apyfal process -i notes.txt -o notes.gz");
    assert!(is_right(&home, "notes.gz"));
    assert!(metal.cloud.left()["buckets"].is_empty());
    // The machine is the one that its console tells of, also for people.
    let known = text(&home.read(".apyfal/hosts/ssh_known_hosts"));
    assert!(known.contains(&metal.instance().id), "{known}");
    assert_eq!(ok(&metal, &home, "apyfal ssh -- id -un"), "ubuntu\n");
    assert_eq!(text(&home.read(".apyfal/hosts/ssh_known_hosts")), known);
    ok(&metal, &home, "apyfal ssh -- test ! -e /var/lib/apyfal-push");
    // One that was killed once all was sent is followed by one that finds the machine served.
    let forget = "import sqlite3\nledger = sqlite3.connect('.apyfal/hosts/ledger.db')\n\
                  ledger.execute(\"UPDATE host SET state = 'made'\")\nledger.commit()\n";
    home.write("forget.py", forget);
    let mut python = std::process::Command::new("python3");
    assert!(python.arg("forget.py").current_dir(home.folder()).status().unwrap().success());
    ok(&metal, &home, "apyfal start");
    ok(&metal, &home, "apyfal process -i notes.txt -o again.gz");
    assert!(is_right(&home, "again.gz"));
    assert_eq!(metal.cloud.count("RunInstances"), 1);
    ok(&metal, &home, "apyfal stop");
    assert_nothing_is_left(&metal, "stopped");
}

#[test]
fn nothing_is_sent_to_another_machine() {
    let Some(metal) = Metal::with_another_at_ssh() else { return };
    let home = limited_owner(&metal);
    let refused = line(&metal, &home, START);
    let said = text(&refused.stdout);
    assert!(!refused.status.success() && said.contains("it is another machine"), "{said}");
    assert_eq!(metal.cloud.count("RunInstances"), 1);
    assert_nothing_is_left(&metal, "refused");
}

#[test]
fn nothing_is_bought_for_what_cannot_be_sent() {
    let Some(metal) = Metal::new() else { return };
    let keys = boto3(&metal, &Home::new(), LIMITED, RIGHTS);
    boto3(&metal, &Home::new(), "ec2.create_key_pair(KeyName='theirs')", &[]);
    let agent = env!("CARGO_BIN_EXE_apyfal");
    let other = format!("agent = {agent}\nagent_sha256 = {}", "0".repeat(64));
    for (section, path, why) in [
        ("", "/nonexistent", "there is no program 'ssh'"),
        ("allow_ports = 443", "$PATH", "add 22 to allow_ports"),
        (&*other, "$PATH", "and not 00000000"),
        ("boto3_create_instances_kwargs = {'KeyName': 'theirs'}", "$PATH", "is not here"),
    ] {
        let home = owner(&format!("{keys}\n{section}\n"));
        ok(&metal, &home, "apyfal create --accelerator gzip --host_type AWS");
        let refused = line(&metal, &home, &format!("env PATH={path} {agent} start"));
        let said = text(&refused.stderr);
        assert!(!refused.status.success() && said.contains(why), "{said}");
        assert_eq!(metal.cloud.count("RunInstances"), 0, "{why}");
    }
}
