//! A machine ends though nobody tells it to, as its owner is gone.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::Duration;

use apyfal_testkit::Fault;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::server::until;
use crate::common::{Home, text};
use crate::kills::agent;
use crate::made::{assert_nothing_is_left, is_right, owner};
use crate::metal::Metal;
use crate::{boto3, ok, until_state};

const CREATE: &str = "apyfal create --accelerator gzip --host_type AWS";

fn host(metal: &Metal, section: &str) -> Home {
    let home = owner(section);
    ok(metal, &home, &format!("{CREATE} && apyfal start"));
    home
}

/// A client in the midst of a job, which runs as long as its input goes on.
fn in_a_job(metal: &Metal, home: &Home) -> Child {
    let mut client = metal
        .client
        .command(home, "bash", &["-c", "exec apyfal process -i - -o - </dev/urandom"])
        .envs(metal.cloud.environment())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdout.as_mut().unwrap().read_exact(&mut [0; 1 << 20]).unwrap();
    client
}

#[test]
fn a_machine_ends_whose_client_was_killed_in_the_midst_of_a_job() {
    let Some(metal) = Metal::new() else { return };
    let home = host(&metal, "idle_timeout = 3s\n");
    let mut client = in_a_job(&metal, &home);
    assert_eq!(metal.living().len(), 1);
    client.kill().unwrap();
    client.wait().unwrap();
    until("its lease ends, and the machine with it", || metal.living().is_empty());
    assert_nothing_is_left(&metal, "the end of its lease");
}

/// Has what looks at the lease of a machine believe that it is hours later, from the second look after its
/// next start on: the switch outside of its agent, which looks each second then.
const LATER: &str = r#"began=/run/apyfal-end/began
    sed -i "s|^now=.*|&; [ ! -s $began ] \|\| now=\$((now + 7200000))|" /usr/local/lib/apyfal/apyfal-end.sh
    mkdir /etc/systemd/system/apyfal-end.timer.d
    printf '[Timer]\nOnCalendar=*:*:*\n' >/etc/systemd/system/apyfal-end.timer.d/often.conf"#;
/// An agent that ends at once.
const BREAK: &str = "printf '#!/bin/sh\nexit 1\n' >/root/broken && chmod 755 /root/broken && \
    mv /root/broken /usr/local/bin/apyfal";
/// Leaves no room on the disk, and says so.
const FILL: &str = "cat /dev/zero >/full; ! echo more >/more && echo full";

/// What a script prints on the only machine.
fn on_machine(metal: &Metal, script: &str) -> String {
    let id = metal.instance().id;
    let output = metal.machines()[&id].system().bash(script);
    assert!(output.status.success(), "{script}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_machine_ends_whose_agent_is_broken_at_its_second_start() {
    let Some(metal) = Metal::with_systemd() else { return };
    let home = host(&metal, "stop_mode = stop\nidle_timeout = 1h\n");
    on_machine(&metal, &format!("set -e\n{LATER}\n{BREAK}"));
    ok(&metal, &home, "apyfal stop");
    until_state(&metal, "stopped");
    let id = metal.instance().id;
    // Nobody uses it, and its user data is for the first start alone.
    boto3(&metal, &home, "ec2.start_instances(InstanceIds=sys.argv[1:])", &[&id]);
    until("it has started and ended itself, which stops it in this mode", || {
        let instance = metal.instance();
        instance.starts == 2 && instance.state == "stopped"
    });
    ok(&metal, &home, "apyfal stop --stop_mode term");
    assert_nothing_is_left(&metal, "ended for good");
}

#[test]
fn a_machine_ends_whose_disk_is_full() {
    let Some(metal) = Metal::with_systemd() else { return };
    let home = host(&metal, "idle_timeout = 3s\n");
    // As long as there is a job it lives.
    let mut client = in_a_job(&metal, &home);
    assert_eq!(on_machine(&metal, FILL), "full\n");
    client.kill().unwrap();
    client.wait().unwrap();
    until("its lease ends, and the machine with it", || metal.living().is_empty());
    assert_nothing_is_left(&metal, "the end of its lease");
}

#[test]
fn who_interrupts_a_start_is_told_what_may_be_there_and_waits_no_longer() {
    let Some(metal) = Metal::with_agent() else { return };
    let home = owner(&agent());
    ok(&metal, &home, CREATE);
    let never = Duration::from_secs(3600);
    metal.cloud.fail(&Fault::of("RunInstances").delay(never).times(1));
    let start = metal
        .client
        .command(&home, "apyfal", &["start"])
        .envs(metal.cloud.environment())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("it is asked for", || metal.cloud.count("RunInstances") == 1);
    kill_process(Pid::from_child(&start), Signal::INT).unwrap();
    let ended = start.wait_with_output().unwrap();
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("may be there, and cost: apyfal stop --all"), "{said}");
    // It was neither answered nor asked again.
    let asked = metal.cloud.calls().into_iter().filter(|call| call.action == "RunInstances");
    assert_eq!(asked.map(|call| call.status).collect::<Vec<_>>(), [None]);
    ok(&metal, &home, "apyfal start && apyfal process -i notes.txt -o notes.gz && apyfal stop");
    assert!(is_right(&home, "notes.gz"));
    assert_eq!(metal.cloud.instances().len(), 1);
    assert_nothing_is_left(&metal, "stopped");
}
