//! `apyfal map` over hosts.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

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
