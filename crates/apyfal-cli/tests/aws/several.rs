//! Several hosts at once: what they share is made once, and none is left behind.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use crate::common::server::until;
use crate::common::{Home, text};
use crate::made::{assert_nothing_is_left, is_right, owner};
use crate::metal::Metal;
use crate::{line, ok};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// Starts a command for each of the names, all at once.
fn begun(metal: &Metal, home: &Home, words: &[&str]) -> Vec<Child> {
    let each = NAMES.iter().map(|name| {
        let output = format!("{name}.gz");
        let mut words = [words, &["-n", name]].concat();
        if words[0] == "process" {
            words.extend(["-i", "notes.txt", "-o", &output]);
        }
        let mut command = metal.client.command(home, "apyfal", &words);
        command.envs(metal.cloud.environment()).stderr(Stdio::piped());
        command.spawn().unwrap()
    });
    each.collect()
}

/// The same, to their ends.
fn each(metal: &Metal, home: &Home, words: &[&str]) {
    for child in begun(metal, home, words) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    }
}

#[test]
fn hosts_that_are_made_at_once_share_what_is_made_once() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("s3_buckets = all\n");
    each(&metal, &home, &["create", "--accelerator", "gzip", "--host_type", "AWS"]);
    each(&metal, &home, &["start"]);
    assert_eq!(metal.living().len(), 3);
    let left = metal.cloud.left();
    for kind in ["security_groups", "key_pairs", "roles", "policies", "profiles", "buckets"] {
        assert_eq!(left[kind].len(), 1, "{kind}: {:?}", left[kind]);
    }
    each(&metal, &home, &["process"]);
    assert!(NAMES.iter().all(|name| is_right(&home, &format!("{name}.gz"))));
    ok(&metal, &home, "apyfal stop --all");
    assert_nothing_is_left(&metal, "stopped");
    let told = ok(&metal, &home, "apyfal list 2>&1");
    assert!(!told.contains("accelize_gzip"), "{told}");
}

#[test]
fn hosts_whose_starts_were_killed_are_taken_over_and_ended() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    each(&metal, &home, &["create", "--accelerator", "gzip", "--host_type", "AWS"]);
    let mut starting = begun(&metal, &home, &["start"]);
    until("two of them are asked for", || metal.cloud.count("RunInstances") >= 2);
    for child in &mut starting {
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
    each(&metal, &home, &["start"]);
    assert_eq!(metal.living().len(), 3);
    assert_eq!(metal.cloud.instances().len(), 3, "none was made twice");
    each(&metal, &home, &["process"]);
    assert!(NAMES.iter().all(|name| is_right(&home, &format!("{name}.gz"))));
    let mut stopping = begun(&metal, &home, &["stop"]);
    let calls = metal.cloud.count("TerminateInstances");
    until("one of them is told to end", || metal.cloud.count("TerminateInstances") > calls);
    stopping.iter_mut().for_each(|child| drop(child.kill()));
    stopping.iter_mut().for_each(|child| drop(child.wait()));
    assert!(line(&metal, &home, "apyfal stop --all").status.success());
    assert_nothing_is_left(&metal, "killed and stopped");
}
