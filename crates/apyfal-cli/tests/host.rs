//! A machine that is made a host, and how long hosts live.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use common::http::Connection;
use common::server::{Server, until};
use common::{Home, text};
use rustix::process::Signal;
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

#[test]
fn user_data_that_is_refused_leaves_nothing() {
    let home = Home::new();
    home.write("long.sh", format!("#!/bin/bash\n{}", "# a line\n".repeat(3000)));
    let digest = "0".repeat(64);
    let user_data = |more: &[&str]| {
        let words = [&["user-data", "--accelerator", "gzip"], more].concat();
        home.apyfal(&words).output().unwrap()
    };
    let agent = |url| ["--agent", url, "--agent_sha256", digest.as_str()];
    let good = agent("https://h.example/a");
    let kept = home.path(".apyfal/first-contacts");
    for (words, why) in [
        (vec![], "names none"),
        (agent("https://me:topsecret@h.example/a").to_vec(), "holds a secret"),
        ([&good[..], &["--listen", "127.0.0.1:8000"]].concat(), "nobody else would reach it"),
        ([&good[..], &["--init_script", "long.sh"]].concat(), "clouds take"),
    ] {
        let output = user_data(&words);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
        assert!(!said.contains("topsecret"), "{said}");
        assert!(!kept.exists(), "what holds secrets is kept though there is no script: {why}");
    }
    let made = user_data(&good);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_eq!(std::fs::read_dir(kept).unwrap().count(), 1);
}

/// A host with this lease, whose end leaves the file `ended`.
fn leased(lease: &str) -> Server {
    let configuration = format!("[serve]\n{lease}\nshutdown_command = ['touch', 'ended']\n");
    Server::configured(&configuration, &["--accelerator", "null"])
}

#[test]
fn a_host_that_nobody_uses_ends_its_machine() {
    let server = leased("idle_timeout = 500ms");
    let ended = server.home().path("ended");
    until("its machine is ended", || ended.exists());
    assert_eq!(server.ended().code(), Some(95));
}

/// How many seconds are left of the lease while nobody uses the host. Who looks does not use it.
fn idle_left(server: &Server) -> f64 {
    server.get("/status").json()["lease"]["idle_left"].as_f64().unwrap()
}

/// A host that would not end during a test.
fn long_lived() -> Server {
    leased("idle_timeout = 1h\nclient_timeout = 5m")
}

#[test]
fn what_is_left_of_a_lease_is_told() {
    let server = long_lived();
    let lease = &server.get("/status").json()["lease"];
    assert!(lease["idle_left"].as_f64().unwrap() <= 3600.0, "{lease}");
    assert_eq!(lease["life_left"], Value::Null);
    let before = idle_left(&server);
    until("time goes by, though it is looked at", || idle_left(&server) < before - 0.2);
}

/// Waits until the host has seen by itself that it is used: then its lease runs anew.
fn goes_on_as_used(server: &Server) {
    let mut before = idle_left(server);
    // The beginning of the use counts as well, and is seen but once.
    for _ in 0..3 {
        until("it is used", || {
            let left = idle_left(server);
            left > std::mem::replace(&mut before, left)
        });
    }
}

#[test]
fn a_job_that_runs_is_a_use() {
    let server = long_lived();
    std::thread::scope(|scope| {
        let job = scope.spawn(|| server.run("gated", b"x"));
        goes_on_as_used(&server);
        server.open_gate();
        assert_eq!(job.join().unwrap().status, 200);
    });
}

/// How much of a start is sent late.
const REST: usize = 12;

/// A start of hyperfire, by REST v2 and by v1.0.
const STARTS: [(&str, &str); 2] = [
    (
        "/v2/sessions",
        "--b\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n\
         {\"accelerator\": \"hyperfire\"}\r\n--b\r\n\
         Content-Disposition: form-data; name=\"data\"\r\n\r\none,1\n\r\n--b--\r\n",
    ),
    (
        "/hyperfire/v1.0/configuration/",
        "--b\r\nContent-Disposition: form-data; name=\"datafile\"; filename=\"src\"\r\n\r\n\
         one,1\n\r\n--b\r\nContent-Disposition: form-data; name=\"parameters\"\r\n\r\n\
         {}\r\n--b--\r\n",
    ),
];

fn begun(server: &Server, path: &str, form: &str) -> Connection {
    let mut connection = server.connect();
    let head = connection.head("POST", path);
    let kind = "Content-Type: multipart/form-data; boundary=b";
    let head = format!("{head}{kind}\r\nContent-Length: {}\r\n\r\n", form.len());
    connection.write(head.as_bytes());
    connection.write(&form.as_bytes()[..form.len() - REST]);
    connection
}

#[test]
fn a_start_under_way_is_a_use() {
    for (path, form) in STARTS {
        let server = long_lived();
        let mut connection = begun(&server, path, form);
        goes_on_as_used(&server);
        connection.write(&form.as_bytes()[form.len() - REST..]);
        let answer = connection.answer();
        assert!(answer.status < 300, "{path}: {answer:?}");
    }
}

#[test]
fn a_host_that_ends_lets_starts_end_first() {
    for (path, form) in STARTS {
        let server = Server::configured("[serve]\nclient_timeout = 5m\n", &["-a", "null"]);
        let mut connection = begun(&server, path, form);
        let mut looks = 0;
        until("it is under way", || {
            looks += 1;
            let metrics = text(&server.get("/metrics").body);
            let has = |line: &str| metrics.lines().any(|is| is == line);
            match path.starts_with("/v2/") {
                true => has("apyfal_jobs_running{accelerator=\"hyperfire\"} 1"),
                false => has(&format!("apyfal_requests_total {}", looks + 1)),
            }
        });
        server.signal(Signal::TERM);
        until("it ends", || server.log().contains("ending: no new jobs are taken"));
        // It does not go on to break off connections, before which it would listen no more.
        for _ in 0..20 {
            assert_eq!(server.get("/status").status, 200);
        }
        connection.write(&form.as_bytes()[form.len() - REST..]);
        let answer = connection.answer();
        assert!(answer.status < 300, "{path}: {answer:?}");
        assert_eq!(server.ended().code(), Some(0));
    }
}

#[test]
fn a_result_that_is_fetched_is_a_use() {
    let data = vec![7; 60_000_000];
    let server = long_lived();
    let mut connection = server.connect();
    let kind = "multipart/form-data; boundary=b";
    let session =
        connection.post("/v2/sessions", "application/json", br#"{"accelerator": "null"}"#);
    let session = session.json()["id"].as_str().unwrap().to_owned();
    let form = [
        &b"--b\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{\"id\": \"kept\"}\r\n--b\r\n\
           Content-Disposition: form-data; name=\"data\"\r\n\r\n"[..],
        &data,
        b"\r\n--b--\r\n",
    ];
    let job = format!("/v2/sessions/{session}/jobs");
    assert_eq!(connection.post(&job, kind, &form.concat()).status, 200);
    let head = connection.head("GET", "/v2/jobs/kept/result");
    connection.write(format!("{head}\r\n").as_bytes());
    let head = connection.answer_head();
    goes_on_as_used(&server);
    assert!(connection.rest_of(&head) == data);
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
    assert_eq!(forever.get("/v2/lease").status, 200);
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
