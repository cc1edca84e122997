//! Hosts at addresses that mean something on one link alone.

use std::fs::File;

use crate::common::server::{until, until_some};
use crate::common::{Home, text};
use crate::two_machines::TwoMachines;
use crate::{fails, line, ok, word_after};

#[test]
fn an_address_of_a_link_is_used_with_its_zone() {
    let Some(TwoMachines { host, client }) = TwoMachines::new() else { return };
    let (there, here) = (Home::new(), Home::new());
    here.write("notes.txt", "text");
    let log = there.path("log");
    let mut child = host
        .command(&there, "apyfal", &["serve", "--listen", "[::]:8000"])
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let pairing = until_some("the host is ready", || {
        let said = text(&std::fs::read(&log).unwrap());
        said.lines().find(|line| line.contains("--fingerprint")).map(str::to_owned)
    });
    let proofs = format!(
        "--token {} --fingerprint {}",
        word_after(&pairing, "--token"),
        word_after(&pairing, "--fingerprint")
    );
    let address = until_some("the link has an address", || {
        let shown = ok(&host, &there, "ip -o -6 address show dev cable scope link");
        Some(shown.split_whitespace().nth(3)?.split('/').next()?.to_owned())
    });
    let run = |zoned: &str| format!("apyfal run sha3 notes.txt --host_ip '{zoned}' {proofs}");
    // The system first makes sure that no other machine has the address.
    until("the link is up", || {
        line(&client, &here, &run(&format!("{address}%cable"))).status.success()
    });
    for zoned in [
        format!("[{address}%cable]:8000"),
        format!("https://[{address}%cable]:8000"),
        format!("https://[{address}%25cable]:8000"),
    ] {
        assert!(ok(&client, &here, &run(&zoned)).starts_with("digest: "), "{zoned}");
    }
    let said = fails(&client, &here, 11, &run(&format!("{address}%rope")));
    assert!(said.contains("this machine has no network interface 'rope'"), "{said}");
    let _ = child.kill();
    let _ = child.wait();
}
