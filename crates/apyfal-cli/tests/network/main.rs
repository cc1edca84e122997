//! A host and a client on two machines.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod custom_host;
mod gone;
mod link;
mod two_machines;

use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use common::machine::Machine;
use common::server::until_some;
use common::{Home, text};
use two_machines::{HOST, TwoMachines};

/// `apyfal serve` on a machine; it is killed when this is dropped.
struct Serving {
    child: Child,
    /// What it said until it listened.
    said: String,
}

impl Serving {
    fn begin(machine: &Machine, home: &Home, port: u16, environment: &[(&str, &str)]) -> Self {
        let listen = format!("{HOST}:{port}");
        let log = home.path("log");
        let child = machine
            .command(home, "apyfal", &["serve", "--listen", &listen])
            .envs(environment.iter().copied())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut serving = Self { child, said: String::new() };
        serving.said = until_some("the host is ready", || {
            let said = text(&std::fs::read(&log).unwrap());
            let ended = serving.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {said}");
            // It answers once it has said everything.
            let asking = format!("curl -skf https://{listen}/healthz");
            line(machine, home, &asking)
                .status
                .success()
                .then(|| text(&std::fs::read(&log).unwrap()))
        });
        serving
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a line as it stands.
pub(crate) fn line(machine: &Machine, home: &Home, line: &str) -> Output {
    machine.command(home, "bash", &["-c", line]).stdout(Stdio::piped()).output().unwrap()
}

pub(crate) fn ok(machine: &Machine, home: &Home, words: &str) -> String {
    let output = line(machine, home, words);
    assert!(output.status.success(), "{words}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn fails(machine: &Machine, home: &Home, code: i32, words: &str) -> String {
    let output = line(machine, home, words);
    assert_eq!(output.status.code(), Some(code), "{words}: {}", text(&output.stderr));
    text(&output.stderr)
}

pub(crate) fn word_after(line: &str, key: &str) -> String {
    line.split_whitespace().skip_while(|word| *word != key).nth(1).unwrap().to_owned()
}

#[test]
fn a_second_machine_is_paired_by_the_printed_line() {
    let Some(TwoMachines { host, client }) = TwoMachines::new() else { return };
    let (there, here) = (Home::new(), Home::new());
    let notes = common::words(500_000, 1);
    here.write("notes.txt", &notes);

    let begin = Instant::now();
    let serving = Serving::begin(&host, &there, 8000, &[]);
    assert!(
        serving.said.contains(&format!("listening on https://{HOST}:8000")),
        "{}",
        serving.said
    );
    let pairing =
        serving.said.lines().find(|line| line.contains("apyfal host add")).unwrap().trim();
    ok(&client, &here, pairing);
    let name = word_after(pairing, "add");
    ok(&client, &here, &format!("apyfal create -a gzip --host_ip {name}"));
    ok(&client, &here, "apyfal start && apyfal process -i notes.txt -o notes.txt.gz");
    assert!(common::peer("gzip", &["-dc"], &here.read("notes.txt.gz")) == notes);
    assert!(begin.elapsed() < Duration::from_secs(60), "it took {:?}", begin.elapsed());

    let (token, fingerprint) =
        (word_after(pairing, "--token"), word_after(pairing, "--fingerprint"));
    let at = format!("--host_ip https://{HOST}:8000 --fingerprint {fingerprint}");
    ok(&client, &here, &format!("apyfal run gunzip notes.txt.gz again {at} --token {token}"));
    assert!(here.read("again") == notes);
    let logs = ok(&client, &here, &format!("apyfal logs {at} --token {token} --json"));
    assert!(!logs.contains(&token));
    // The line is there again for the next client.
    let again = ok(&host, &there, &format!("apyfal serve --pair --listen {HOST}:8000"));
    assert_eq!(again.trim(), pairing);

    let wrong = format!("apyfal run null notes.txt x {at} --token not_the_one_that_was_printed");
    let error = fails(&client, &here, 4, &wrong);
    assert!(error.contains("hint") && error.contains("--token"), "{error}");
    let error = fails(
        &client,
        &here,
        5,
        &format!("apyfal run null notes.txt x {}", at.replace("https", "http"))
            .replace("--fingerprint", "--token"),
    );
    assert!(error.contains("https://"), "{error}");

    // REST v1.0 has no tokens, so over the network it is not served unless that is set.
    let original = format!("curl -sk https://{HOST}:8000/v1.0/configuration/");
    let answer = ok(&client, &here, &original);
    assert!(answer.contains("rest_v1 = True"), "{answer}");
    // The page shows itself to everybody, the jobs to nobody.
    assert!(ok(&client, &here, &format!("curl -sk https://{HOST}:8000/")).contains("Apyfal host"));
    let refused = ok(&client, &here, &format!("curl -sk https://{HOST}:8000/v2/jobs"));
    assert!(refused.contains("authentication"), "{refused}");
    assert!(!here.path("x").exists());

    // Another certificate is not taken for the host that was paired.
    drop(serving);
    for file in ["host.crt", "host.key", "listening.json"] {
        std::fs::remove_file(there.path(".apyfal/host").join(file)).unwrap();
    }
    let serving = Serving::begin(&host, &there, 8000, &[]);
    let renewed = ok(&host, &there, &format!("apyfal serve --pair --listen {HOST}:8000"));
    let renewed = word_after(&renewed, "--fingerprint");
    assert_ne!(renewed, fingerprint);
    let error = fails(&client, &here, 5, "apyfal process -i notes.txt -o x");
    assert!(error.contains(&fingerprint) && error.contains(&renewed), "{error}");
    assert!(error.contains("hint") && !here.path("x").exists(), "{error}");
    drop(serving);
}

#[test]
fn the_line_has_the_address_where_the_host_listens() {
    let Some(machines) = TwoMachines::new() else { return };
    let host = &machines.host;
    let there = Home::new();
    // Nothing leads out of this network, so what listens everywhere is reached by an interface.
    for listen in ["0.0.0.0:8000", "[::]:8000"] {
        let line = ok(host, &there, &format!("apyfal serve --pair --listen {listen}"));
        assert!(line.contains(&format!("https://{HOST}:8000 ")), "{line}");
    }
    let line = ok(host, &there, "unshare --net apyfal serve --pair --listen 0.0.0.0:8000");
    assert!(line.contains("https://127.0.0.1:8000 "), "there is no other: {line}");
    // One that serves need not be told again where.
    let _serving = Serving::begin(host, &there, 8001, &[]);
    let line = ok(host, &there, "apyfal serve --pair");
    assert!(line.contains(&format!("https://{HOST}:8001 ")), "{line}");
    let line = ok(host, &there, &format!("apyfal serve --pair --listen {HOST}:8002"));
    assert!(line.contains(&format!("https://{HOST}:8002 ")), "{line}");
}

#[test]
fn a_name_that_leads_nowhere_is_told_as_such() {
    let Some(machines) = TwoMachines::new() else { return };
    let here = Home::new();
    here.write("in", "x");
    for words in [
        "run null in out --host_ip nosuch.invalid",
        "logs nosuch.invalid",
        "copy http://nosuch.invalid/x x",
    ] {
        let said = line(&machines.client, &here, &format!("apyfal {words}"));
        let said = text(&said.stderr);
        assert!(said.contains("name resolution") || said.contains("name or service"), "{said}");
        assert!(!said.contains("uncategorized"), "{said}");
    }
}

#[test]
fn a_journal_gets_no_token() {
    let Some(machines) = TwoMachines::new() else { return };
    let there = Home::new();
    let serving = Serving::begin(&machines.host, &there, 8000, &[("JOURNAL_STREAM", "1:2")]);
    let token = text(&there.read(".apyfal/host/token"));
    assert!(!serving.said.contains(token.trim()), "{}", serving.said);
    assert!(serving.said.contains("apyfal serve --pair"), "{}", serving.said);
}
