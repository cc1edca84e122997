//! A machine that is made a host, and how long hosts live.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use common::server::{Server, until};
use common::{Home, text};
use serde_json::Value;

fn install(home: &Home, more: &[&str]) -> String {
    let words = [&["host", "install", "--root", "machine"], more].concat();
    let output = home.apyfal(&words).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn a_machine_is_made_a_host_once() {
    let home = Home::new();
    let said = home.fails(6, &["host", "install", "--root", "machine"]);
    assert!(said.contains("no such directory") && !home.path("machine").exists(), "{said}");
    std::fs::create_dir(home.path("machine")).unwrap();
    let said = install(&home, &["--accelerator", "gzip", "--idle_timeout", "30m"]);
    for path in [
        "usr/local/bin/apyfal",
        "usr/local/lib/apyfal/packages",
        "etc/apyfal/accelerator.conf",
        "etc/apyfal/host",
        "etc/systemd/system/apyfal.service",
        "var/lib/apyfal/token",
        "var/lib/apyfal/host.crt",
    ] {
        assert!(home.path("machine").join(path).exists(), "{path}: {said}");
    }
    let mode =
        |path: &str| home.path("machine").join(path).metadata().unwrap().permissions().mode();
    assert_eq!(mode("etc/apyfal/accelerator.conf") & 0o777, 0o600);
    assert_eq!(mode("var/lib/apyfal/token") & 0o777, 0o600);
    assert_eq!(mode("var/lib/apyfal") & 0o777, 0o700);
    assert_eq!(mode("usr/local/bin/apyfal") & 0o777, 0o755);
    let token = text(&home.read("machine/var/lib/apyfal/token"));
    assert!(!said.contains(token.trim()));

    // What is as it should be is left alone, and what somebody wrote stays.
    let configuration = home.read("machine/etc/apyfal/accelerator.conf");
    assert!(text(&configuration).contains("idle_timeout = 30m"));
    let said = install(&home, &["--accelerator", "sha3"]);
    assert!(said.contains("stays as it is") && said.contains("nothing to change"), "{said}");
    // What others could read is closed again.
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(home.path("machine/var/lib/apyfal/token"), open).unwrap();
    let said = install(&home, &[]);
    assert!(said.contains("changed who may use"), "{said}");
    assert_eq!(mode("var/lib/apyfal/token") & 0o777, 0o600);
    assert_eq!(mode("var/lib") & 0o777, 0o755);
    assert_eq!(home.read("machine/etc/apyfal/accelerator.conf"), configuration);
    std::fs::remove_file(home.path("machine/etc/systemd/system/apyfal.service")).unwrap();
    // What one that was killed left.
    home.write("machine/etc/systemd/system/.apyfal.service.new", "[Un");
    let said = install(&home, &[]);
    assert!(!home.path("machine/etc/systemd/system/.apyfal.service.new").exists());
    assert!(said.starts_with("wrote ") && said.contains("apyfal.service"), "{said}");
    assert_eq!(text(&home.read("machine/var/lib/apyfal/token")), token);

    home.ok(&["host", "uninstall", "--root", "machine"]);
    assert!(!home.path("machine/etc/apyfal/host").exists());
    assert!(home.path("machine/var/lib/apyfal/token").exists(), "what it remembers stays");
    home.ok(&["host", "uninstall", "--root", "machine", "--purge"]);
    assert!(!home.path("machine/var/lib/apyfal").exists());
}

#[test]
fn no_link_leads_out_of_the_machine() {
    let home = Home::new();
    std::fs::create_dir_all(home.path("precious")).unwrap();
    std::fs::create_dir_all(home.path("machine/var/lib")).unwrap();
    home.write("precious/file", "precious");
    std::os::unix::fs::symlink(home.path("precious"), home.path("machine/var/lib/apyfal")).unwrap();
    install(&home, &[]);
    home.ok(&["host", "uninstall", "--root", "machine", "--purge"]);
    assert_eq!(home.read("precious/file"), b"precious");
    assert!(!home.path("machine/var/lib/apyfal").exists());
}

#[test]
fn a_host_that_cannot_be_made_says_why() {
    let home = Home::new();
    std::fs::create_dir(home.path("m")).unwrap();
    let said = home.fails(2, &["host", "install", "--root", "m", "--idle_timeout", "soon"]);
    assert!(said.contains("no duration"), "{said}");
    let said = home.fails(2, &["host", "install", "--root", "m", "--listen", "nowhere"]);
    assert!(said.contains("'nowhere' is no address"), "{said}");
    assert!(!home.path("m/etc/apyfal/host").exists());
    home.write("garbage", "garbage");
    home.fails(3, &["host", "install", "--root", "m", "--config", "garbage"]);
    assert!(!home.path("m/etc/apyfal/host").exists());
    std::fs::create_dir(home.path("full")).unwrap();
    home.write("full/etc", "");
    home.fails(24, &["host", "install", "--root", "full"]);
}

/// A host with this lease, whose end leaves the file `ended`.
fn leased(lease: &str) -> Server {
    let configuration = format!("[serve]\n{lease}\nshutdown_command = ['touch', 'ended']\n");
    Server::configured(&configuration, &["--accelerator", "null"])
}

#[test]
fn a_host_that_nobody_uses_ends_its_machine() {
    let server = leased("idle_timeout = 1s");
    let ended = server.home().path("ended");
    // Who only looks does not use it.
    let status = server.get("/status").json();
    assert!(status["lease"]["idle_left"].as_f64().unwrap() <= 1.0, "{status}");
    assert_eq!(status["lease"]["life_left"], Value::Null);
    until("its machine is ended", || ended.exists());
    assert_eq!(server.ended().code(), Some(95));
}

#[test]
fn a_job_that_runs_is_a_use() {
    let server = leased("idle_timeout = 500ms");
    let answer = server.run("nap", b"x");
    assert_eq!(answer.status, 200, "it takes longer than that: {answer:?}");
    assert!(!server.home().path("ended").exists());
    assert_eq!(server.ended().code(), Some(95));
}

#[test]
fn a_life_ends_when_its_jobs_have() {
    let server = leased("max_lifetime = 500ms");
    let ended = server.home().path("ended");
    let mut late = server.connect();
    let answer = server.run("nap", b"x");
    assert_eq!(answer.status, 200, "{answer:?}");
    until("no more is taken", || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            late.post("/v2/run/null", "application/octet-stream", b"x").status == 503
        }))
        .unwrap_or(true)
    });
    until("its machine is ended", || ended.exists());
    assert_eq!(server.ended().code(), Some(95));
}

#[test]
fn a_client_sees_the_lease_and_extends_it() {
    let server = leased("idle_timeout = 1h\nmax_lifetime = 2h");
    let at = ["--host_ip", server.address()];
    let home = Home::new();
    let said = home.ok(&[&["host", "status"][..], &at].concat());
    assert!(said.contains("unless somebody uses it (idle_timeout 1 h)"), "{said}");
    assert!(said.contains("in any case (max_lifetime 2 h)"), "{said}");
    home.ok(&[&["host", "extend", "5h"][..], &at].concat());
    let told = home.ok(&[&["--json", "host", "status"][..], &at].concat());
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(told["lease"]["life_left"].as_f64().unwrap() > 4.9 * 3600.0, "{told}");
    assert!(told["lease"]["idle_left"].as_f64().unwrap() > 4.9 * 3600.0, "{told}");
    home.fails(2, &[&["host", "extend", "forever"][..], &at].concat());
    home.fails(2, &[&["host", "extend", "999d"][..], &at].concat());

    // Extensions outlive the agent.
    let server = server.killed_and_started();
    let left = server.get("/status").json()["lease"]["life_left"].as_f64().unwrap();
    assert!(left > 4.9 * 3600.0, "{left}");

    let forever = Server::start();
    let at = ["--host_ip", forever.address()];
    assert!(home.ok(&[&["host", "status"][..], &at].concat()).contains("it lives for ever"));
    let said = home.fails(8, &[&["host", "extend", "1h"][..], &at].concat());
    assert!(said.contains("lives for ever"), "{said}");
    assert_eq!(forever.get("/v2/lease").status, 404);
}

#[test]
fn a_machine_that_cannot_be_ended_is_told_of() {
    let home = Home::new();
    home.write(
        "accelerator.conf",
        "[serve]\nlisten = 127.0.0.1:0\nidle_timeout = 200ms\nshutdown_command = false\n",
    );
    let host = home.apyfal(&["serve"]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(host.status.code(), Some(95), "whoever started it may still end the machine");
    assert!(text(&host.stderr).contains("cannot end this machine by 'false'"));
}
