//! Hosts that are away, end in the middle, or are left in the middle.

use std::io::Write;
use std::process::{Child, Output, Stdio};

use super::*;
use crate::common::server::until;
use crate::common::{text, words};

#[test]
fn a_host_that_is_down_is_told() {
    let home = Home::new();
    home.write("in", "x");
    home.write("out", "as before");
    let unheard = apyfal_testkit::Unheard::new();
    let address = unheard.address();
    let error = home.fails(11, &["run", "null", "in", "out", "--host_ip", &address.to_string()]);
    assert!(error.contains(&address.to_string()) && error.contains("refused"), "{error}");
    assert!(error.contains("hint: is 'apyfal serve' running there"), "{error}");
    assert_eq!(home.read("out"), b"as before");
}

#[test]
fn what_programs_read_of_an_error_is_the_same_here_and_there() {
    let (home, server) = (Home::new(), Server::start());
    home.write("in", "x");
    home.write("accelerator.conf", "[accelerator.fail]\ncommand = [\"sh\", \"-c\", \"exit 3\"]\n");
    let run = ["run", "fail", "in", "out", "--json"];
    let details = |words: &[&str]| {
        let error: serde_json::Value = serde_json::from_str(&home.fails(10, words)).unwrap();
        error["error"]["details"].clone()
    };
    assert_eq!(details(&run)["exit_status"], 3);
    let there = details(&[&run[..], &["--host_ip", server.address()]].concat());
    assert_eq!(there["exit_status"], 3);
    assert!(there["job"].is_string(), "{there}");
}

/// Processes `in` while the host is killed and started anew; how that ended.
fn killed_during_a_job(home: &Home, server: Server) -> (Server, Output) {
    let job =
        home.apyfal(&["process", "-i", "in", "-o", "out"]).stderr(Stdio::piped()).spawn().unwrap();
    until("it runs", || live(&server) == 1);
    let server = server.killed().started();
    server.open_gate();
    (server, job.wait_with_output().unwrap())
}

#[test]
fn a_host_that_is_killed_and_comes_back_finishes_the_job() {
    let home = Home::new();
    let data = words(3_000_000, 8);
    home.write("in", &data);
    let server = Server::at_own_address("");
    ok_at(&home, &server, &["create", "-a", "gated"]);
    home.ok(&["start"]);
    let (server, output) = killed_during_a_job(&home, server);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(home.read("out") == data);
    home.ok(&["stop"]);
    assert_eq!(sessions(&server), 0);
}

#[test]
fn a_job_that_must_not_run_twice_is_told_as_interrupted() {
    let (home, server) = (Home::new(), Server::at_own_address(""));
    home.write("in", "x");
    ok_at(&home, &server, &["create", "-a", "once"]);
    home.ok(&["start"]);
    let (server, output) = killed_during_a_job(&home, server);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(11), "{error}");
    assert!(error.contains("the host ended") && error.contains("(job "), "{error}");
    assert!(!home.path("out").exists());
    assert_eq!(live(&server), 0);
}

/// Sends SIGINT, as Ctrl-C does.
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

#[test]
fn an_interrupted_command_ends_its_job_there() {
    let (home, server) = (Home::new(), Server::start());
    home.write("in", "x");
    home.write("out", "as before");
    // One that may run again, one that must not, and one whose data is not all there yet.
    for (accelerator, src) in [("long", "in"), ("once", "in"), ("null", "-")] {
        let mut job = home
            .apyfal(&["run", accelerator, src, "out", "--host_ip", server.address()])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = job.stdin.take().unwrap();
        if src == "-" {
            stdin.write_all(&words(200_000, 1)).unwrap();
        }
        until("it runs", || live(&server) == 1);
        interrupt(&job);
        let output = job.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
        until("it ended there", || live(&server) == 0);
        until("its session ended", || sessions(&server) == 0);
        assert_eq!(home.read("out"), b"as before");
        drop(stdin);
    }
}

#[test]
fn a_client_that_is_killed_frees_its_slot() {
    let (home, server) = (Home::new(), Server::start());
    home.write("in", "x");
    let mut job =
        home.apyfal(&["run", "long", "in", "out", "--host_ip", server.address()]).spawn().unwrap();
    until("it runs", || live(&server) == 1);
    job.kill().unwrap();
    job.wait().unwrap();
    until("it ended there", || live(&server) == 0);
}

#[test]
fn errors_of_jobs_come_back_whole() {
    let (home, server) = (Home::new(), Server::start());
    home.write("in", words(100_000, 1));
    let error = home.fails(7, &["run", "gunzip", "in", "out", "--host_ip", server.address()]);
    assert!(error.contains("'in'") && error.contains("job job-"), "{error}");
    let error = home.fails(10, &["run", "fail", "in", "out", "--host_ip", server.address()]);
    assert!(error.contains("broken device"), "{error}");
    let error = home
        .fails(2, &["run", "gzip", "in", "out", "--level", "fat", "--host_ip", server.address()]);
    assert!(error.contains("fat"), "{error}");
    home.fails(6, &["run", "gzipp", "in", "out", "--host_ip", server.address()]);
    home.fails(20, &["run", "gzip", "missing", "out", "--host_ip", server.address()]);
    assert!(!home.path("out").exists());
    assert_eq!(sessions(&server), 0);
}
