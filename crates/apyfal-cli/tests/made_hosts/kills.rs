//! Killed at each step, nothing is made twice and nothing is left behind.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use crate::Cloud;
use crate::common::text;

/// Runs it until it is killed at a step of the provider; none where it had ended before that.
fn killed(cloud: &Cloud, step: usize, words: &[&str]) -> Option<Output> {
    let mut command = cloud.0.apyfal(words);
    let output = command.env("APYFAL_SIM_KILL_AT", step.to_string()).output().unwrap();
    if output.status.signal() == Some(9) {
        return Some(output);
    }
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    None
}

/// Does something at each step at which a command can be killed; how many there were.
fn at_each_step(words: &[&str], before: impl Fn(&Cloud), after: impl Fn(&Cloud, usize)) -> usize {
    let mut step = 1;
    loop {
        let cloud = Cloud::new();
        before(&cloud);
        if killed(&cloud, step, words).is_none() {
            return step - 1;
        }
        after(&cloud, step);
        cloud.0.ok(&["stop", "--all"]);
        assert_eq!(cloud.living(), 0, "killed at step {step} of {words:?}");
        assert!(cloud.listed().is_empty());
        step += 1;
    }
}

fn create(cloud: &Cloud) {
    cloud.0.ok(&["create", "--accelerator", "gzip", "--host_type", "sim"]);
}

#[test]
fn after_a_start_that_was_killed_another_one_finds_its_host() {
    let steps = at_each_step(&["start"], create, |cloud, _| {
        cloud.0.ok(&["start"]);
        assert_eq!(cloud.machines().len(), 1, "exactly one was made");
        cloud.0.ok(&["process", "-i", "notes.txt", "-o", "notes.gz"]);
        assert!(cloud.is_right("notes.gz"));
    });
    assert_eq!(steps, 2, "before the machine was made, and after");
}

#[test]
fn all_that_a_killed_start_left_is_ended() {
    at_each_step(&["start"], create, |_, _| {});
}

#[test]
fn what_a_killed_stop_left_is_ended_by_another_one() {
    let started = |cloud: &Cloud| {
        create(cloud);
        cloud.0.ok(&["start"]);
    };
    let steps = at_each_step(&["stop"], started, |cloud, _| {
        // The name is there as long as its host may be.
        cloud.0.ok(&["stop"]);
        assert_eq!(cloud.living(), 0);
        cloud.0.fails(6, &["stop"]);
    });
    assert_eq!(steps, 2);
}

#[test]
fn a_host_whose_process_was_killed_is_taken_over() {
    let run = ["run", "gzip", "notes.txt", "notes.gz", "--host_type", "sim"];
    let steps = at_each_step(
        &run,
        |_| {},
        |cloud, step| {
            cloud.0.ok(&run);
            assert!(cloud.is_right("notes.gz"));
            // What was made for the first one is used; what that gave back already is not.
            let made = if step <= 2 { 1 } else { 2 };
            assert_eq!((cloud.machines().len(), cloud.living()), (made, 0), "step {step}");
        },
    );
    assert_eq!(steps, 4, "before and after it was made, and before and after it was ended");
}

#[test]
fn a_machine_that_nobody_remembers_is_found_by_its_provider() {
    let cloud = Cloud::new();
    create(&cloud);
    cloud.0.ok(&["start"]);
    for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(cloud.0.path(".apyfal/hosts").join(file));
    }
    cloud.0.ok(&["list"]);
    // A ledger begins with the next host.
    cloud.0.ok(&["create", "--name", "b", "--accelerator", "gzip", "--host_type", "sim"]);
    cloud.0.ok(&["start", "--name", "b"]);
    let listed = cloud.listed();
    let strays: Vec<_> = listed.iter().filter(|host| host["remembered"] == false).collect();
    assert_eq!((listed.len(), strays.len()), (2, 1), "{listed:?}");
    assert_eq!(strays[0]["accelerator"], "gzip");
    cloud.0.ok(&["stop", "--all"]);
    assert_eq!(cloud.living(), 0);
}
