//! `apyfal map` over hosts.

use std::fs;
use std::process::{Child, Output, Stdio};

use serde_json::Value;

use super::paired::paired;
use super::*;
use crate::common::server::until;
use crate::common::{peer, text, words};

const SLOW: &str = "[accelerator.slow]\ncommand = [\"sh\", \"-c\", \"cat; sleep 0.2\"]\nslots = 2\n\
                    rerun_safe = True\n";

fn home() -> Home {
    let home = Home::new();
    fs::create_dir(home.path("in")).unwrap();
    for number in 0..60 {
        home.write(&format!("in/{number:02}"), words(20_000 + number, number as u64 + 1));
    }
    home
}

fn results(home: &Home) -> usize {
    let Ok(entries) = fs::read_dir(home.path("out")) else { return 0 };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).count()
}

fn all_are_right(home: &Home) {
    for number in 0..60 {
        let (sent, got) = (format!("in/{number:02}"), format!("out/{number:02}"));
        assert!(home.read(&sent) == home.read(&got), "{got}");
    }
}

#[test]
fn a_pool_maps_though_a_host_is_killed() {
    let home = home();
    let mut hosts: Vec<_> = (0..4).map(|_| Server::configured(SLOW, &[])).collect();
    let all = hosts.iter().map(Server::address).collect::<Vec<_>>().join(",");
    let map = home
        .apyfal(&["map", "--json", "-a", "slow", "in", "out", "--host_ip", &all])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("some are done", || results(&home) >= 10);
    let gone = hosts.remove(2).killed();
    let output = map.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    all_are_right(&home);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["done"], &told["failed"]), (&60.into(), &Value::Array(Vec::new())));
    let by_host = told["hosts"].as_array().unwrap();
    let done: Vec<_> = by_host.iter().map(|host| host["done"].as_u64().unwrap()).collect();
    assert_eq!(done.iter().sum::<u64>(), 60);
    assert!(done.iter().all(|done| *done > 0) && done[2] < 20, "{done:?}");
    assert!(hosts.iter().all(|host| sessions(host) == 0));
    drop(gone);
}

#[test]
fn an_interrupted_map_of_hosts_goes_on() {
    let (home, host) = (home(), Server::configured(SLOW, &[]));
    let words = ["map", "-a", "slow", "in", "out", "--host_ip", host.address()];
    let mut map = home.apyfal(&words).stderr(Stdio::null()).spawn().unwrap();
    until("some are done", || results(&home) >= 6);
    peer("kill", &["-INT", &map.id().to_string()], b"");
    assert_eq!(map.wait().unwrap().code(), Some(130));
    until("its jobs ended", || live(&host) == 0);
    until("its session ended", || sessions(&host) == 0);
    let output = home.apyfal(&words).output().unwrap();
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains(&format!("http://{}", host.address())), "{told}");
    assert!(told.contains(", 0 failed") && !told.contains(" 0 skipped"), "{told}");
    all_are_right(&home);
}

/// An address of this machine where nobody listens.
fn nowhere() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

fn spawned(home: &Home, words: &[&str]) -> Child {
    let all = [&["map", "slow", "in", "out"], words].concat();
    home.apyfal(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for a process that is to end by itself.
fn ended(mut child: Child) -> Output {
    until("it ended", || child.try_wait().unwrap().is_some());
    child.wait_with_output().unwrap()
}

fn count(told: &str, words: &str) -> usize {
    told.matches(words).count()
}

#[test]
fn a_map_ends_once_all_its_hosts_are_gone() {
    let (dead, also) = (nowhere(), nowhere());
    for others in [&[dead.as_str(), also.as_str()][..], &[dead.as_str()], &[]] {
        let (home, host) = (home(), Server::configured(SLOW, &[]));
        let all = [&[host.address()], others].concat().join(",");
        let map = spawned(&home, &["--json", "--host_ip", &all]);
        until("some are done", || results(&home) >= 3);
        let gone = host.killed();
        let output = ended(map);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(11), "{told}");
        // One reason, and no word of the files that it came too early for.
        assert_eq!(count(&told, "{\"error\""), 1, "{told}");
        assert_eq!(count(&told, "files are not done"), 1, "{told}");
        for dead in others {
            assert_eq!(
                count(&told, &format!("warning: http://{dead} is done without")),
                1,
                "{told}"
            );
        }
        let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(figures["failed"], Value::Array(Vec::new()));
        assert_eq!(figures["ended_by"]["kind"], "unavailable");
        let count = |key: &str| figures[key].as_u64().unwrap();
        assert_eq!(count("done") + count("not_done"), 60);
        assert!(count("done") >= 3 && count("done") as usize <= results(&home));
        // Once one is there again, it goes on.
        let host = gone.started();
        let words = ["map", "-a", "slow", "in", "out", "--host_ip", host.address()];
        assert!(home.apyfal(&words).output().unwrap().status.success());
        all_are_right(&home);
    }
}

#[test]
fn signals_are_heard_where_no_host_is_left() {
    let dead = nowhere();
    for signal in ["-INT", "-TERM"] {
        let (home, host) = (home(), Server::configured(SLOW, &[]));
        let all = format!("{},{dead}", host.address());
        let map = spawned(&home, &["--host_ip", &all]);
        until("some are done", || results(&home) >= 3);
        drop(host.killed());
        peer("kill", &[signal, &map.id().to_string()], b"");
        let output = ended(map);
        assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    }
}

#[test]
fn members_that_are_wrong_are_told_once_and_done_without() {
    let (certified, line) = paired();
    let (good, plain) = (Server::configured(SLOW, &[]), Server::configured(SLOW, &[]));
    let (lacking, dead) = (Server::start(), nowhere());
    let value = |key: &str| {
        let at = line.iter().position(|word| word == key).unwrap();
        line[at + 1].as_str()
    };
    let bad_fingerprint = format!("sha256:{}", "0".repeat(64));
    let token = ["--token", "apyfal_wrong_wrong_wrong_wrong_wrong", "--fingerprint"];
    for (last, why) in [
        // What is wrong with the one that has a certificate.
        (&[][..], "certificate"),
        (&[&token[..], &[bad_fingerprint.as_str()]].concat(), "certificate"),
        (&[&token[..], &[value("--fingerprint")]].concat(), "token"),
    ] {
        let home = home();
        let members = [
            (format!("http://{dead}"), "connection refused"),
            (format!("https://{}", plain.address()), "TLS"),
            (format!("http://{}", certified.address()), "https"),
            (format!("https://{}", certified.address()), why),
            (format!("http://{}", lacking.address()), "'slow'"),
            (format!("http://{}", good.address()), ""),
        ];
        let all = members.each_ref().map(|(address, _)| address.as_str()).join(",");
        let output = ended(spawned(&home, &[&["--json", "--host_ip", &all], last].concat()));
        let told = text(&output.stderr);
        assert!(output.status.success(), "{told}");
        all_are_right(&home);
        let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
        for ((address, why), host) in members.iter().zip(figures["hosts"].as_array().unwrap()) {
            let told_of = told.lines().filter(|line| line.contains("is done without"));
            let told_of: Vec<_> = told_of.filter(|line| line.contains(address)).collect();
            match *why {
                "" => assert!(told_of.is_empty() && host["done_without"].is_null(), "{told}"),
                why => {
                    assert!(told_of.len() == 1 && told_of[0].contains(why), "{address} {told}");
                    assert!(host["done_without"].as_str().unwrap().contains(why), "{host}");
                    assert_eq!(host["done"], 0);
                }
            }
        }
        assert!(!told.contains("apyfal_wrong"), "{told}");
    }
}

#[test]
fn a_host_that_is_stopped_holds_nothing_for_ever() {
    let home = home();
    let hosts = [Server::configured(SLOW, &[]), Server::configured(SLOW, &[])];
    let all = hosts.each_ref().map(Server::address).join(",");
    let map = spawned(&home, &["--host_ip", &all]);
    until("some are done", || results(&home) >= 3);
    // Its system answers for it still.
    hosts[1].signal(rustix::process::Signal::STOP);
    let output = ended(map);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    all_are_right(&home);
    assert_eq!(count(&told, "is done without"), 1, "{told}");
    // And one that is so from the start.
    fs::remove_dir_all(home.path("out")).unwrap();
    let output = ended(spawned(&home, &["--host_ip", &all]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    all_are_right(&home);
}
