//! Hosts with a certificate and a token.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::*;
use crate::common::text;

/// A host on loopback that asks for both, and the words of the line that pairs a client with it.
pub(super) fn paired() -> (Server, Vec<String>) {
    let there = Home::new();
    let data = there.path(".apyfal/host");
    let line = there.ok(&["serve", "--pair", "--listen", "0.0.0.0:8000"]);
    let path = |name: &str| data.join(name).to_string_lossy().into_owned();
    let configuration = format!(
        "[serve]\ntoken_file = {}\nssl_cert_crt = {}\nssl_cert_key = {}\n",
        path("token"),
        path("host.crt"),
        path("host.key")
    );
    let server = Server::in_home(there, &configuration, &[]);
    // Whatever the address of this machine, it is reached by that of loopback.
    let own = |word: &str| match word.starts_with("https://") {
        true => format!("https://{}", server.address()),
        false => word.to_owned(),
    };
    let words = line.trim().split(' ').skip(1).map(own).collect();
    (server, words)
}

/// What stands behind a key in the words of the line.
pub(super) fn value<'l>(line: &'l [String], key: &str) -> &'l str {
    let at = line.iter().position(|word| word == key).unwrap();
    &line[at + 1]
}

/// The address in the words of the line.
pub(super) fn address(line: &[String]) -> &str {
    line.iter().find(|word| word.starts_with("https://")).unwrap()
}

#[test]
fn the_printed_line_pairs() {
    let (server, line) = paired();
    let home = Home::new();
    home.write("in", "some text");
    assert_eq!(line[..2], ["host", "add"]);
    home.ok(&line.iter().map(String::as_str).collect::<Vec<_>>());
    let name = line[2].as_str();
    home.ok(&["create", "-a", "gzip", "--host_ip", name]);
    home.ok(&["start"]);
    home.ok(&["process", "-i", "in", "-o", "out.gz"]);
    home.ok(&["run", "gunzip", "out.gz", "out"]);
    assert_eq!(home.read("out"), b"some text");
    home.ok(&["stop"]);
    // The same as settings, and as options of run, for who knows no hosts.
    let home = Home::new();
    home.write("in", "some text");
    let (token, fingerprint) = (value(&line, "--token"), value(&line, "--fingerprint"));
    let words = ["--host_ip", address(&line), "--token", token];
    let pinned = [&words[..], &["--fingerprint", fingerprint]].concat();
    home.ok(&[&["run", "null", "in", "out2"], &pinned[..]].concat());
    home.write(
        "accelerator.conf",
        format!(
            "[host]\nhost_ip = {}\ntoken = {token}\nfingerprint = {fingerprint}\n",
            address(&line)
        ),
    );
    home.ok(&["run", "null", "in", "out3"]);
    assert_eq!((home.read("out2"), home.read("out3")), (home.read("in"), home.read("in")));
    assert!(home.ok(&["accelerators"]).contains("nap"));
    drop(server);
}

#[test]
fn a_wrong_fingerprint_or_token_is_refused() {
    let (server, line) = paired();
    let home = Home::new();
    home.write("in", "x");
    let (url, token) = (address(&line), value(&line, "--token"));
    let fingerprint = value(&line, "--fingerprint");
    let run = |code: i32, token: &str, fingerprint: &str| {
        let words = ["run", "null", "in", "out", "--host_ip", url, "--token", token];
        let error = home.fails(code, &[&words[..], &["--fingerprint", fingerprint]].concat());
        assert!(!home.path("out").exists());
        assert!(!error.contains(token), "{error}");
        error
    };
    let last = if fingerprint.ends_with('0') { "1" } else { "0" };
    let other = format!("{}{last}", &fingerprint[..fingerprint.len() - 1]);
    let error = run(5, token, &other);
    assert!(error.contains(&other) && error.contains(fingerprint), "{error}");
    assert!(error.contains("hint"), "{error}");
    let error = run(4, "apyfal_wrong_wrong_wrong_wrong_wrong", fingerprint);
    assert!(error.contains("hint") && error.contains("--token"), "{error}");
    let error = run(2, token, "sha256:12");
    assert!(error.contains("fingerprint"), "{error}");

    // Without either: the certificate is not one that this system trusts, and nothing was sent.
    let words = ["run", "null", "in", "out", "--host_ip", url, "--token", token];
    let error = home.fails(5, &words);
    assert!(error.contains("fingerprint") && error.contains(fingerprint), "{error}");
    let plain = url.replace("https", "http");
    let error = home.fails(3, &["run", "null", "in", "out", "--host_ip", &plain]);
    assert!(error.contains("https"), "{error}");
    assert!(!server.log().contains(token));
}

#[test]
fn a_token_without_encryption_stays_here() {
    let home = Home::new();
    home.write("in", "x");
    let words =
        ["run", "null", "in", "out", "--host_ip", "http://192.0.2.1", "--token", "secret_secret"];
    let output = home.apyfal(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let error = text(&output.stderr);
    assert!(error.contains("https://192.0.2.1") && !error.contains("secret_secret"), "{error}");
}

#[test]
fn a_token_is_for_its_own_host_alone() {
    let home = Home::new();
    home.write("in", "x");
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let heads = std::sync::Arc::<std::sync::Mutex<String>>::default();
    let kept = heads.clone();
    std::thread::spawn(move || {
        for mut stream in other.incoming().map_while(Result::ok) {
            let mut head = vec![0; 4096];
            let len = stream.read(&mut head).unwrap();
            kept.lock().unwrap().push_str(&text(&head[..len]).to_ascii_lowercase());
            let answer =
                b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).unwrap();
        }
    });
    for configuration in [
        "[host]\nhost_ip = 192.0.2.1\ntoken = secret_secret\n",
        "[host]\nhost_type = AWS\n[host.AWS]\nhost_ip = 192.0.2.1\ntoken = secret_secret\n",
    ] {
        home.write("accelerator.conf", configuration);
        a_token_stays(&home, &address, &heads);
    }
}

/// That no command takes what the configuration has for another host to this address.
fn a_token_stays(home: &Home, address: &str, heads: &std::sync::Mutex<String>) {
    for words in [
        &["run", "null", "in", "out", "--host_ip", address][..],
        &["create", "-a", "null", "--host_ip", address],
        &["accelerators", "--host_ip", address],
        &["map", "-a", "null", ".", "results", "--host_ip", address],
        &["logs", "--host_ip", address],
        &["logs", address],
    ] {
        home.fails(11, words);
        let heads = std::mem::take(&mut *heads.lock().unwrap());
        assert!(heads.contains("host: ") && !heads.contains("authorization"), "{words:?} {heads}");
    }
}

#[test]
fn a_token_is_made_used_listed_and_revoked_by_the_command_line() {
    let (server, line) = paired();
    let (owner, anna) = (Home::new(), Home::new());
    owner.ok(&line.iter().map(String::as_str).collect::<Vec<_>>());
    let host = line[2].as_str();
    let said = owner.ok(&["host", "token", "list", host]);
    assert_eq!(said, "", "it has none yet");

    // The token alone is the result, and the note beside it says how it is used.
    let output = owner.apyfal(&["host", "token", "add", "anna", host]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    anna.write("token", &output.stdout);
    let (token, note) = (text(&output.stdout), text(&output.stderr));
    assert!(token.starts_with("apyfal_") && token.lines().count() == 1, "{token}");
    assert!(!note.contains(token.trim()), "{note}");
    let (fingerprint, url) = (value(&line, "--fingerprint"), address(&line));
    let named = format!("{url} --token_file FILE --fingerprint {fingerprint}");
    assert!(note.contains(&named), "{note}");
    let said = owner.fails(8, &["host", "token", "add", "anna", host]);
    assert!(said.contains("anna"), "{said}");
    let made = owner.ok(&["host", "token", "add", "ben", host, "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["name"], &made["fingerprint"]), (&json!("ben"), &json!(fingerprint)));

    anna.write("in", "some text");
    let add = ["host", "add", "gpu", url, "--token_file", "token", "--fingerprint", fingerprint];
    anna.ok(&add);
    anna.ok(&["run", "null", "in", "out", "--host_ip", "gpu"]);
    assert_eq!(anna.read("out"), b"some text");
    let jobs = ["run", "null", "in", "out2", "--host_ip", url, "--fingerprint", fingerprint];
    anna.ok(&[&jobs[..], &["--token_file", "token"]].concat());
    // It is for jobs alone.
    let said = anna.fails(5, &["host", "token", "list", "gpu"]);
    assert!(said.contains("hint"), "{said}");

    let listed = owner.ok(&["host", "token", "list", host]);
    let first = |row: &'_ str| row.split_whitespace().next().map(str::to_owned);
    let names: Vec<_> = listed.lines().skip(1).filter_map(first).collect();
    assert_eq!(names, ["anna", "ben"]);
    assert!(!listed.contains(token.trim()), "{listed}");
    owner.ok(&["host", "token", "remove", "anna", host]);
    let said = anna.fails(4, &["run", "null", "in", "out3", "--host_ip", "gpu"]);
    assert!(!said.contains(token.trim()) && !anna.path("out3").exists(), "{said}");
    let listed = owner.ok(&["host", "token", "list", host, "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let names: Vec<_> = listed["tokens"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["ben"]);
    owner.fails(6, &["host", "token", "remove", "anna", host]);
    assert!(!server.log().contains(token.trim()));
}
