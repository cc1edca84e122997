//! Several hosts behind one accelerator.

use std::sync::Arc;

use apyfal::{Accelerator, Call, Error, ErrorKind, Input, Output, RemoteOptions, Report};
use apyfal_testkit::Kept;
use serde_json::Value;

use super::*;
use crate::common::server::until;
use crate::common::{peer, text, words};

/// Adds a word of the host's own to what it is given, which takes a while. One job at a time.
fn host(word: &str, seconds: &str) -> Server {
    let configuration = format!(
        "[accelerator.work]\ncommand = [\"sh\", \"-c\", \"cat; sleep {seconds}; printf {word}\"]\n\
         slots = 1\nrerun_safe = True\n"
    );
    Server::configured(&configuration, &[])
}

fn options(server: &Server) -> RemoteOptions {
    RemoteOptions::new(server.address())
}

async fn pool(name: &str, hosts: &[&Server]) -> Accelerator {
    let hosts = hosts.iter().map(|host| options(host));
    let accelerator = Accelerator::builder(name).hosts(hosts).build().unwrap();
    accelerator.start(Call::new()).await.unwrap();
    accelerator
}

fn call(data: &[u8]) -> (Call, Kept) {
    let kept = Kept::default();
    (Call::new().input(Input::bytes(data)).output(Output::memory(kept.clone())), kept)
}

/// Repeats a check until it holds, without a thread of the runtime.
async fn becomes(what: &str, mut check: impl FnMut() -> bool + Send + 'static) {
    let what = what.to_owned();
    tokio::task::spawn_blocking(move || until(&what, &mut check)).await.unwrap();
}

/// How many jobs each host did.
fn done(accelerator: &Accelerator) -> Vec<u64> {
    accelerator.load().iter().map(|load| load.done).collect()
}

fn reason(result: Result<Report, Error>) -> Error {
    result.expect_err("it fails")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_loses_no_job() {
    let mut hosts: Vec<_> = ["a", "b", "c", "d"].map(|word| host(word, "0.2")).into();
    let accelerator = pool("work", &hosts.iter().collect::<Vec<_>>()).await;
    let mut kept = Vec::new();
    let calls: Vec<_> = (0..60)
        .map(|number| {
            let (call, output) = call(&words(number * 1000, 1 + number as u64));
            kept.push(output);
            call
        })
        .collect();
    let mut map = accelerator.process_map(calls);
    let (mut reports, mut victim) = (Vec::new(), None);
    while let Some(report) = map.next().await {
        reports.push(report.unwrap());
        if reports.len() == 10 {
            victim = Some(hosts.remove(1).killed());
        }
    }
    drop(victim);
    assert_eq!(reports.len(), 60);
    for (number, (report, kept)) in reports.iter().zip(&kept).enumerate() {
        let (sent, got) = (words(number * 1000, 1 + number as u64), kept.bytes());
        // In order, each once: the input and one word of one host.
        assert_eq!(report.profiling.bytes_read, sent.len() as u64);
        assert_eq!(got[..got.len() - 1], sent, "job {number}");
        assert!(matches!(got.last(), Some(b'a'..=b'd')), "job {number}");
    }
    let done = done(&accelerator);
    assert_eq!(done.iter().sum::<u64>(), 60);
    assert!([0, 2, 3].iter().all(|host| done[*host] > 1), "{done:?}");
    let from_b = kept.iter().filter(|kept| kept.bytes().ends_with(b"b")).count() as u64;
    assert!(done[1] == from_b && from_b < 30, "{done:?}");
    accelerator.stop().await.unwrap();
    assert!(hosts.iter().all(|host| sessions(host) == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_host_does_not_hold_the_rest() {
    let (slow, fast) = (Arc::new(host("slow", "150")), host("fast", "0"));
    let accelerator = pool("work", &[&slow, &fast]).await;
    let mut kept = Vec::new();
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let (call, output) = call(format!("{number} ").as_bytes());
            kept.push(output);
            call
        })
        .collect();
    let map = accelerator.process_map(calls);
    let running = tokio::spawn(async move {
        let mut map = map;
        let mut reports = 0;
        while let Some(report) = map.next().await {
            report.unwrap();
            reports += 1;
        }
        reports
    });
    // All but the one that the slow host works on, also that which waited there.
    let counted = accelerator.clone();
    becomes("the fast host has done the rest", move || done(&counted) == [0, 19]).await;
    let fast_ones = kept.iter().filter(|kept| kept.bytes().ends_with(b"fast")).count();
    assert_eq!(fast_ones, 19);
    assert_eq!(live(&slow), 1);
    // And that one too once the slow host is gone.
    let slow = Arc::into_inner(slow).unwrap().killed();
    assert_eq!(running.await.unwrap(), 20);
    for (number, kept) in kept.iter().enumerate() {
        assert_eq!(text(&kept.bytes()), format!("{number} fast"));
    }
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_run_twice_is_told() {
    let hosts = Arc::new([Server::at_own_address(""), Server::at_own_address("")]);
    let accelerator = pool("once", &[&hosts[0], &hosts[1]]).await;
    let (call, kept) = call(b"x");
    let job = accelerator.process_submit(call);
    let seen = hosts.clone();
    becomes("it runs", move || live(&seen[0]) + live(&seen[1]) == 1).await;
    let [one, two] = Arc::into_inner(hosts).unwrap();
    let (victim, other) = if live(&one) == 1 { (one, two) } else { (two, one) };
    let url = format!("http://{}", victim.address());
    let victim = victim.killed().started();
    let error = reason(job.await);
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&url), "{error}");
    assert!(error.hints().concat().contains("not declared as rerun_safe"), "{error:?}");
    assert!(kept.bytes().is_empty());
    assert_eq!((live(&victim), live(&other)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_everywhere_has_the_reason_of_each() {
    let configuration = |why: &str| {
        format!(
            "[accelerator.broken]\ncommand = [\"sh\", \"-c\", \"echo {why} >&2; exit 3\"]\n\
             rerun_safe = True\n"
        )
    };
    let hosts = ["first reason", "second reason", "third reason"]
        .map(|why| Server::configured(&configuration(why), &[]));
    let accelerator = pool("broken", &hosts.iter().collect::<Vec<_>>()).await;
    let error = reason(accelerator.process(call(b"x").0).await);
    assert_eq!(error.kind(), ErrorKind::Engine);
    let told = format!("{error} {}", error.hints().join(" "));
    for (host, why) in hosts.iter().zip(["first reason", "second reason", "third reason"]) {
        assert!(told.contains(host.address()) && told.contains(why), "{told}");
    }
    // What is wrong with the job itself is told once.
    let gunzip = pool("gunzip", &hosts.iter().collect::<Vec<_>>()).await;
    let error = reason(gunzip.process(call(b"no gzip").0).await);
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(error.to_string().matches("http://").count(), 1, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_stays_on_its_host() {
    let hosts = [Server::start(), Server::start(), Server::start()];
    let accelerator = pool("targz", &hosts.iter().collect::<Vec<_>>()).await;
    let add = |name: &str| Call::new().input(Input::bytes(*b"text").with_name(name));
    accelerator.process(add("a").set("startOfTx", true)).await.unwrap();
    for name in ["b", "c", "d"] {
        accelerator.process(add(name)).await.unwrap();
    }
    let kept = Kept::default();
    let last = add("e").set("endOfTx", true).output(kept.output());
    accelerator.process(last).await.unwrap();
    assert_eq!(text(&peer("tar", &["-tzf", "-"], &kept.bytes())), "a\nb\nc\nd\ne\n");
    assert_eq!(done(&accelerator), [5, 0, 0]);
    // Whole archives go anywhere, also where one host is gone.
    let [one, two, three] = hosts;
    let gone = one.killed();
    for _ in 0..4 {
        let kept = Kept::default();
        accelerator.process(add("whole").output(kept.output())).await.unwrap();
        assert_eq!(text(&peer("tar", &["-tzf", "-"], &kept.bytes())), "whole\n");
    }
    let error = reason(accelerator.process(add("a").set("startOfTx", true)).await);
    assert!(error.hints().concat().contains("a transaction stays on its host"), "{error:?}");
    drop((gone, two, three));
}

#[test]
fn the_command_line_takes_several_addresses() {
    let (home, hosts) = (Home::new(), [Server::start(), Server::start()]);
    let all = hosts.each_ref().map(Server::address).join(",");
    home.write("a", "first");
    home.write("b", words(100_000, 2));
    home.ok(&["create", "-a", "targz", "--host_ip", &all]);
    home.ok(&["start"]);
    assert!(hosts.iter().all(|host| sessions(host) == 1));
    home.ok(&["process", "-i", "a", "--startOfTx", "1"]);
    // Earlier versions remembered a session with commas between the ids.
    let record = home.path(".apyfal/command_line/accelerators/default.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    let parts: Vec<(String, String)> =
        serde_json::from_str(kept["session"].as_str().unwrap()).unwrap();
    let [one, two] = &parts[..] else { panic!("a part on each host: {parts:?}") };
    kept["session"] = format!("{},{}", one.1, two.1).into();
    std::fs::write(&record, kept.to_string()).unwrap();
    home.ok(&["process", "-i", "b", "--endOfTx", "1", "-o", "out.tgz"]);
    assert_eq!(text(&peer("tar", &["-tzf", "-"], &home.read("out.tgz"))), "a\nb\n");
    home.ok(&["stop"]);
    assert!(hosts.iter().all(|host| sessions(host) == 0));
    // One that is away is done without; that none is there is told.
    let one = format!("127.0.0.1:9,{}", hosts[0].address());
    home.ok(&["run", "gzip", "b", "b.gz", "--host_ip", &one]);
    assert!(peer("gzip", &["-dc"], &home.read("b.gz")) == home.read("b"));
    let error =
        home.fails(11, &["run", "gzip", "b", "b.gz", "--host_ip", "127.0.0.1:9,127.0.0.2:9"]);
    assert!(error.contains("127.0.0.1:9"), "{error}");
}
