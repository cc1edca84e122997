//! Who is gone, and who only reads late.

use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::common::machine::Machine;
use crate::common::server::until;
use crate::common::{Home, words};
use crate::two_machines::{HOST, TwoMachines};
use crate::{Serving, ok, word_after};

/// A host with an accelerator that thinks before it reads, known to the client as `my_host`, and its
/// token.
fn paired(host: &Machine, there: &Home, client: &Machine, here: &Home) -> (Serving, String) {
    let late = "[accelerator.late]\ncommand = ['sh', '-c', 'sleep 28; cat']\n";
    there.write("accelerator.conf", late.replace('\'', "\""));
    let serving = Serving::begin(host, there, 8000, &[]);
    let pairing = serving.said.lines().find(|line| line.contains("apyfal host add")).unwrap();
    // Its name may be of one letter, which the token has too.
    let name = format!("add {} ", word_after(pairing, "add"));
    let pairing = pairing.replacen(&name, "add my_host ", 1);
    ok(client, here, &pairing);
    let token = word_after(&pairing, "--token");
    (serving, token)
}

fn asking(token: &str, bytes: u64) -> String {
    format!(
        "curl -sk -X POST -H 'Authorization: Bearer {token}' \
         'https://{HOST}:8000/v2/run/trng?nbBytes={bytes}'"
    )
}

#[test]
fn who_reads_late_loses_nothing() {
    let Some(TwoMachines { host, client }) = TwoMachines::new() else { return };
    let (there, here) = (Home::new(), Home::new());
    let (_serving, token) = paired(&host, &there, &client, &here);
    let notes = words(20_000_000, 1);
    here.write("notes.txt", &notes);
    let bytes = 50_000_000;
    let (asking, later) = (asking(&token, bytes), "(sleep 28; wc -c)");
    std::thread::scope(|scope| {
        for late in [
            format!("{asking} --http1.1 | {later}"),
            format!("{asking} --http2 | {later}"),
            format!("apyfal run trng --nbBytes {bytes} - --host_ip my_host | {later}"),
        ] {
            let (client, here) = (&client, &here);
            scope.spawn(move || {
                assert_eq!(ok(client, here, &late).trim(), bytes.to_string(), "{late}");
            });
        }
        // A program may think before it reads, too.
        ok(&client, &here, "apyfal run late notes.txt loud.txt --host_ip my_host");
        assert!(here.read("loud.txt") == notes);
    });
}

/// A line of shell that runs on, with all that it started, until this is dropped.
struct Running(Child);

impl Running {
    fn begin(machine: &Machine, home: &Home, line: &str) -> Self {
        let mut command = machine.command(home, "bash", &["-c", line]);
        Self(command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.0.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// How many connections there are between the two.
fn connections(machine: &Machine, home: &Home) -> usize {
    ok(machine, home, "ss -Htn state established dst 10.77.0.0/24").lines().count()
}

#[test]
fn a_pulled_cable_is_noticed() {
    let Some(machines) = TwoMachines::new() else { return };
    let TwoMachines { host, client } = &machines;
    let (there, here) = (Home::new(), Home::new());
    let (_serving, token) = paired(host, &there, client, &here);
    let asking = asking(&token, 100_000_000_000);
    let _running = [
        // One takes, one reads late, one sends, and one waits.
        format!("{asking} --limit-rate 1M"),
        format!("{asking} | sleep 1000"),
        "while sleep 0.1; do head -c 100000 /dev/zero; done | apyfal run null - - --host_ip my_host"
            .to_owned(),
        "echo x | apyfal run late - - --host_ip my_host".to_owned(),
    ]
    .map(|line| Running::begin(client, &here, &line));
    until("all are at work", || connections(host, &there) >= 4 && connections(client, &here) >= 4);
    machines.pull_the_cable();
    until("the host notices", || connections(host, &there) == 0);
    // What is killed with its reader is not told of the cable.
    until("the client notices", || {
        let mine = "ss -Htnp state established dst 10.77.0.0/24 | grep -c apyfal; true";
        ok(client, &here, mine).trim() == "0"
    });
}
