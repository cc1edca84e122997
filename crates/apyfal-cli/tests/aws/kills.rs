//! Killed at each call of the cloud, nothing is made twice and nothing is left behind.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use apyfal_testkit::Kill;
use serde_json::json;

use crate::common::{Home, text};
use crate::made::{assert_nothing_is_left, is_right, owner};
use crate::metal::Metal;
use crate::ok;

const CREATE: &str = "apyfal create --accelerator gzip --host_type AWS";

/// Runs a command until it is killed at a call; whether it came that far.
fn killed(metal: &Metal, home: &Home, call: usize, when: &'static str, words: &str) -> bool {
    let held = format!("read go && exec {words}");
    let mut child = metal
        .client
        .command(home, "bash", &["-c", &held])
        .envs(metal.cloud.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    metal.cloud.kill(&Kill { pid: child.id(), call, when });
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let is_killed = output.status.signal() == Some(9);
    assert!(is_killed || output.status.success(), "{words}: {}", text(&output.stderr));
    is_killed
}

/// What the section of AWS says so that machines need not fetch the agent that they have.
pub(crate) fn agent() -> String {
    let digest = Command::new("sha256sum").arg(env!("CARGO_BIN_EXE_apyfal")).output().unwrap();
    let digest = text(&digest.stdout);
    let digest = digest.split(' ').next().unwrap();
    format!("agent = http://agent.invalid/\nagent_sha256 = {digest}\n")
}

/// Has a command killed at each of its calls, each time by another owner of another cloud, and then
/// does something.
fn at_each_call(
    when: &'static str,
    words: &str,
    before: impl Fn(&Metal, &Home),
    after: impl Fn(&Metal, &Home, &str),
) {
    let section = agent();
    for call in 1.. {
        let Some(metal) = Metal::with_agent() else { return };
        let home = owner(&section);
        ok(&metal, &home, CREATE);
        before(&metal, &home);
        if !killed(&metal, &home, call, when, words) {
            assert!(call > 1, "{words} calls nobody");
            return;
        }
        let calls = metal.cloud.calls();
        let last = &calls.last().unwrap().action;
        after(&metal, &home, &format!("{words} was killed {when} {last}"));
        // What is asked again and again is no other step.
        if calls.iter().rev().take_while(|call| call.action == *last).count() > 3 {
            return;
        }
    }
}

/// A start that follows finds the host of the one that was killed, where it made one.
fn is_taken_over(metal: &Metal, home: &Home, killed: &str) {
    ok(metal, home, "apyfal start && apyfal process -i notes.txt -o notes.gz");
    assert!(is_right(home, "notes.gz"), "{killed}");
    assert_eq!(metal.living().len(), 1, "{killed}");
    assert_eq!(metal.cloud.instances().len(), 1, "{killed}");
    ok(metal, home, "apyfal stop --all");
    assert_nothing_is_left(metal, killed);
}

#[test]
fn after_a_start_that_was_killed_before_a_call_there_is_one_host() {
    at_each_call("before", "apyfal start", |_, _| {}, is_taken_over);
}

#[test]
fn after_a_start_that_was_killed_after_a_call_there_is_one_host() {
    at_each_call("after", "apyfal start", |_, _| {}, is_taken_over);
}

#[test]
fn what_a_killed_start_left_is_ended_though_nobody_sees_it_yet() {
    at_each_call(
        "after",
        "apyfal start",
        |metal, _| metal.cloud.set(&json!({"unseen": 1.0})),
        |metal, home, killed| {
            ok(metal, home, "apyfal stop --all");
            assert_nothing_is_left(metal, killed);
        },
    );
}

#[test]
fn what_a_killed_stop_left_is_ended_by_another_one() {
    let started = |metal: &Metal, home: &Home| {
        ok(metal, home, "apyfal start");
    };
    for when in ["before", "after"] {
        at_each_call(when, "apyfal stop", started, |metal, home, killed| {
            ok(metal, home, "apyfal stop --all");
            assert_nothing_is_left(metal, killed);
        });
    }
}
