//! The original's client, as far as the wire is concerned: its HTTP library, its form encoder, its
//! order of calls.

use std::process::{Command, Output};

use crate::common::{text, words};
use crate::server::Server;

const PROGRAM: &str = include_str!("original.py");

/// Runs the program with these arguments. What it needs is installed by `cargo xtask test`.
fn original(server: &Server, words: &[&str]) -> Output {
    Command::new("python3")
        .args(["-c", PROGRAM])
        .arg(format!("http://{}", server.address()))
        .args(words)
        .current_dir(server.home().folder())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 runs")
}

fn ok(server: &Server, words: &[&str]) -> String {
    let output = original(server, words);
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn fails(server: &Server, words: &[&str]) -> String {
    let output = original(server, words);
    assert!(!output.status.success(), "{words:?}");
    text(&output.stderr)
}

#[test]
fn it_starts_processes_and_stops() {
    let server = Server::with(&["--accelerator", "gzip"]);
    server.home().write("in.txt", words(300_000, 1));
    ok(&server, &["process", "/", "{}", "in.txt", "out.gz"]);
    let unpacked = crate::common::peer("gzip", &["-dc"], &server.home().read("out.gz"));
    assert!(unpacked == words(300_000, 1));
    let said = ok(&server, &["process", "/sha3", "{\"type\": \"sha3-224\"}", "in.txt", ""]);
    assert!(said.contains("digest"), "{said}");
}

#[test]
fn it_maps_in_eight_threads() {
    let server = Server::start();
    for number in 0..40 {
        server.home().write(&format!("in{number}"), words(number * 999, number as u64));
    }
    ok(&server, &["map", "", "40"]);
    for number in 0..40 {
        assert!(server.home().read(&format!("out{number}")) == words(number * 999, number as u64));
    }
}

#[test]
fn it_finds_what_another_one_started() {
    let server = Server::start();
    server.home().write("in.txt", "data");
    let said = fails(&server, &["process-only", "", "in.txt", "out"]);
    assert!(said.contains("not been configured"), "{said}");
    ok(&server, &["start", "", ""]);
    ok(&server, &["process-only", "", "in.txt", "out"]);
    assert_eq!(server.home().read("out"), b"data");
}

#[test]
fn its_errors_have_the_reason() {
    let server = Server::start();
    server.home().write("in.txt", "data");
    let said = fails(&server, &["start", "/hyperfire", "in.txt"]);
    assert!(said.contains("Failed to configure accelerator: cannot"), "{said}");
    let said = fails(&server, &["process", "/gunzip", "{}", "in.txt", "out"]);
    assert!(said.contains("Processing failed: cannot"), "{said}");
    assert!(!server.home().path("out").exists());
}
