//! Hosts that are made on AWS, from nothing to a processed file to nothing.

use crate::common::server::until;
use crate::common::{Home, page, peer, words};
use crate::metal::{CLIENT, Metal};
use crate::{ok, until_state};

/// One who has made nothing yet, with more of the section of AWS.
pub(crate) fn owner(section: &str) -> Home {
    let home = Home::new();
    let section = format!("[host.AWS]\nallowed_cidr = {CLIENT}/32\n{section}");
    home.write("accelerator.conf", section);
    home.write("notes.txt", words(300_000, 1));
    home
}

pub(crate) fn is_right(home: &Home, name: &str) -> bool {
    peer("gzip", &["-dc"], &home.read(name)) == home.read("notes.txt")
}

/// Nothing is left that costs.
pub(crate) fn assert_nothing_is_left(metal: &Metal, when: &str) {
    let left = metal.cloud.left();
    for kind in ["instances", "spot_requests", "volumes", "interfaces"] {
        if !left[kind].is_empty() {
            let calls: Vec<_> = metal.cloud.calls().iter().map(|call| call.shown()).collect();
            panic!("{when}: {kind}: {:?} after {}", left[kind], calls.join("\n"));
        }
    }
}

const CREATE: &str = "apyfal create --accelerator gzip --host_type AWS";
const PROCESS: &str = "apyfal process -i notes.txt -o notes.gz";

#[test]
fn from_nothing_to_a_processed_file_to_nothing() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    ok(&metal, &home, CREATE);
    assert!(metal.cloud.calls().is_empty(), "nothing is asked for before the start");
    let started = ok(&metal, &home, "apyfal start 2>&1");
    let instance = metal.instance();
    let address = instance.public_address.clone().unwrap();
    assert!(started.contains(&format!("https://{address}:443")), "{started}");
    ok(&metal, &home, PROCESS);
    assert!(is_right(&home, "notes.gz"));
    let listed = ok(&metal, &home, "apyfal list");
    assert!(listed.contains("running") && listed.contains(&address), "{listed}");

    // All of it says whose it is, and lets in nobody else.
    assert!(instance.tags["Name"].starts_with("accelize_gzip_"), "{:?}", instance.tags);
    assert_eq!(instance.tags["Apyfal"], "Apyfal");
    assert_eq!(instance.at_shutdown, "terminate");
    let mut let_in: Vec<_> = instance.rules.iter().map(|rule| (rule.first, rule.last)).collect();
    let_in.sort_unstable();
    assert_eq!(let_in, [(Some(22), Some(22)), (Some(443), Some(443))]);
    assert!(instance.rules.iter().all(|rule| rule.source == Some(format!("{CLIENT}/32"))));
    assert!(instance.spot_request.is_some() && instance.profile.is_none());
    assert_eq!(metal.cloud.count("RunInstances"), 1);

    ok(&metal, &home, "apyfal stop");
    assert_nothing_is_left(&metal, "stopped");
    until("its machine is gone", || metal.machines().is_empty());
}

#[test]
fn the_guide_runs_as_it_stands() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    for line in page::lines("docs/guides/aws.md") {
        ok(&metal, &home, &line);
    }
    assert!(is_right(&home, "notes.txt.gz") && is_right(&home, "again.gz"));
    assert_eq!(metal.cloud.count("RunInstances"), 2);
    assert_nothing_is_left(&metal, "the end of the guide");
}

#[test]
fn a_host_that_was_stopped_starts_again() {
    let Some(metal) = Metal::with_systemd() else { return };
    let home = owner("stop_mode = stop\n");
    ok(&metal, &home, CREATE);
    ok(&metal, &home, &format!("apyfal start && {PROCESS} && apyfal stop"));
    assert!(is_right(&home, "notes.gz"));
    until_state(&metal, "stopped");
    let stopped = metal.instance();
    assert_eq!(stopped.spot_request, None, "a one-time spot instance cannot be stopped");
    ok(&metal, &home, &format!("{CREATE} && apyfal start && {PROCESS}2"));
    assert_eq!(metal.instance().id, stopped.id);
    ok(&metal, &home, "apyfal stop --stop_mode term");
    assert!(is_right(&home, "notes.gz2"));
    assert_eq!(metal.cloud.count("RunInstances"), 1);
    assert_nothing_is_left(&metal, "stopped for good");
}

#[test]
fn a_host_whose_owner_is_gone_ends_itself() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("idle_timeout = 3s\n");
    ok(&metal, &home, CREATE);
    ok(&metal, &home, &format!("apyfal start && {PROCESS}"));
    assert!(is_right(&home, "notes.gz"));
    until("its lease ends, and the machine with it", || metal.living().is_empty());
    // A start makes a new one.
    ok(&metal, &home, &format!("apyfal start && {PROCESS}2 && apyfal stop"));
    assert!(is_right(&home, "notes.gz2"));
    assert_eq!(metal.cloud.count("RunInstances"), 2);
    assert_nothing_is_left(&metal, "stopped");
}
