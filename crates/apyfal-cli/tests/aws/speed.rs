//! Where the time of a launch goes, on machines that are there at once: what is left is ours.

#![allow(clippy::print_stdout, reason = "`cargo xtask bench-aws` shows what is measured")]

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use crate::common::Home;
use crate::kills::agent;
use crate::made::{assert_nothing_is_left, is_right, owner};
use crate::metal::Metal;

/// How often each is measured, after one that only warms.
const ROUNDS: usize = 5;
const CREATE: &[&str] = &["create", "--accelerator", "gzip", "--host_type", "AWS"];

/// Runs a command; when its host was in which phase, and when it ended, in seconds.
fn timed(metal: &Metal, home: &Home, words: &[&str]) -> Vec<(String, f64)> {
    let since = Instant::now();
    let mut command = metal.client.command(home, "apyfal", words);
    command.envs(metal.cloud.environment()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut times = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((_, phase)) = line.strip_prefix("host ").and_then(|line| line.split_once(": "))
        {
            times.push((format!("until {phase}"), since.elapsed().as_secs_f64()));
        }
    }
    assert!(child.wait().unwrap().success());
    times.push((format!("until '{}' ended", words[0]), since.elapsed().as_secs_f64()));
    times
}

/// From nothing to a host that has ended.
fn round(make: fn() -> Option<Metal>) -> Option<Vec<(String, f64)>> {
    let metal = make()?;
    let home = owner(&agent());
    timed(&metal, &home, CREATE);
    let mut times = timed(&metal, &home, &["start"]);
    let again = timed(&metal, &home, &["start"]).pop().unwrap();
    times.push(("a start where it is there".to_owned(), again.1));
    let job = timed(&metal, &home, &["process", "-i", "notes.txt", "-o", "notes.gz"]);
    times.push(("a job of 300 kB".to_owned(), job[0].1));
    assert!(is_right(&home, "notes.gz"));
    let stop = timed(&metal, &home, &["stop"]);
    times.push(("the end".to_owned(), stop[0].1));
    assert_nothing_is_left(&metal, "stopped");
    Some(times)
}

#[test]
#[ignore = "it measures: cargo xtask bench-aws"]
fn a_launch_by_its_phases() {
    if round(Metal::with_agent).is_none() {
        return;
    }
    let rounds: Vec<_> = (0..ROUNDS).filter_map(|_| round(Metal::with_agent)).collect();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load = load.split(' ').next().unwrap();
    println!("| a launch on a machine that is there at once; load {load} | median, s | all |");
    println!("| --- | --- | --- |");
    for (number, (name, _)) in rounds[0].iter().enumerate() {
        let mut times: Vec<_> = rounds.iter().map(|times| times[number].1).collect();
        times.sort_unstable_by(f64::total_cmp);
        let all = times.iter().map(|time| format!("{time:.2}")).collect::<Vec<_>>().join(" ");
        println!("| {name} | {:.2} | {all} |", times[ROUNDS / 2]);
    }
}
