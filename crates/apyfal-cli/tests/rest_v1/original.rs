//! The original's client, as far as the wire is concerned: its HTTP library, its form encoder, its
//! order of calls.

use std::process::{Command, Output};

use crate::common::server::Server;
use crate::common::{Home, peer, text, words};

const PROGRAM: &str = include_str!("original.py");

/// Runs the program with these arguments. What it needs is installed by `cargo xtask test`.
fn original(server: &Server, words: &[&str]) -> Output {
    call(server, "http", words).output().expect("python3 runs")
}

fn call(server: &Server, scheme: &str, words: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command
        .args(["-c", PROGRAM])
        .arg(format!("{scheme}://{}", server.address()))
        .args(words)
        .current_dir(server.home().folder())
        // Settings of proxies and certificates would go before its own.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
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
    let unpacked = peer("gzip", &["-dc"], &server.home().read("out.gz"));
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

#[test]
fn it_takes_a_wildcard_certificate() {
    let home = Home::new();
    let path = |name: &str| home.path(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("host.crt"), path("host.key"));
    // As the original made them.
    let make = "req -x509 -newkey rsa:2048 -nodes -sha256 -days 825 -subj /CN=* -addext subjectAltName=DNS:* \
                -addext basicConstraints=critical,CA:true,pathlen:0";
    let make = make.split_whitespace().chain(["-keyout", &*key, "-out", &*certificate]);
    peer("openssl", &make.collect::<Vec<_>>(), b"");
    home.write("in.txt", "data");
    let configuration = format!("[serve]\nssl_cert_crt = {certificate}\nssl_cert_key = {key}\n");
    let server = Server::in_home(home, &configuration, &["--accelerator", "null"]);
    let words = ["process", "/", "{}", "in.txt", "out"];
    let output = call(&server, "https", &words).env("CERTIFICATE", &certificate).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(server.home().read("out"), b"data");
}
