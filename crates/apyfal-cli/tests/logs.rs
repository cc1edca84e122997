//! `apyfal logs` against real hosts.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use common::Home;
use common::http::Connection;
use common::server::{Ending, Server, until};
use rustix::process::{Pid, Signal, kill_process};

/// A host with a program that says something while it works.
fn talkative() -> Server {
    Server::at_own_address(
        r#"
[accelerator.talk]
command = ["sh", "-c", "echo begun >&2; cat; echo ended >&2"]

[accelerator.long_talk]
command = ["sh", "-c", "echo begun >&2; cat; until [ -e \"$HOME/go\" ]; do sleep 0.05; done; echo ended >&2"]
"#,
    )
}

/// Runs a job; returns its id.
fn job(server: &Server, accelerator: &str) -> String {
    let answer = server.run(accelerator, b"data");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("apyfal-job").unwrap().to_owned()
}

/// What a command prints, while it runs; it ends with this.
struct Following {
    child: Ending,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Following {
    fn begin(home: &Home, words: &[&str]) -> Self {
        let mut child = home.apyfal(words).stdout(Stdio::piped()).spawn().unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (stdout, kept) = (child.stdout.take().unwrap(), lines.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self { child: Ending(child), lines }
    }

    fn until(&self, what: &str) {
        until(what, || self.lines.lock().unwrap().iter().any(|line| line.contains(what)));
    }
}

#[test]
fn it_shows_what_was_said_by_whom() {
    let server = talkative();
    let (first, second) = (job(&server, "talk"), job(&server, "talk"));
    let failed = server.run("fail", b"x");
    assert_eq!(failed.status, 502);
    let home = server.home();

    // The host on this machine is found where nothing is configured.
    let all = home.ok(&["logs"]);
    for said in [format!("{first}: begun"), format!("{second}: ended"), "broken device".into()] {
        assert!(all.contains(&said), "{said}: {all}");
    }
    assert!(all.starts_with("20") && all.contains("Z "), "{all}");
    let one = home.ok(&["logs", &first]);
    assert_eq!(one.lines().count(), 2, "{one}");
    assert!(one.contains("begun") && one.contains("ended") && !one.contains(&second), "{one}");
    // What a job that ended said is all there is to follow.
    assert_eq!(home.ok(&["logs", &first, "-f"]), one);

    let elsewhere = Home::new();
    assert_eq!(elsewhere.ok(&["logs", server.address()]), all);
    assert_eq!(elsewhere.ok(&["logs", &first, "--host_ip", server.address()]), one);
    let json = elsewhere.ok(&["logs", &first, "--host_ip", server.address(), "--json"]);
    let line: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&line["job"], &line["text"]), (&first.into(), &"begun".into()), "{line}");
}

#[test]
fn a_job_is_followed_to_its_end_and_a_host_beyond() {
    let server = talkative();
    let host = Following::begin(server.home(), &["logs", "--follow"]);
    let mut connection = server.connect();
    let session =
        connection.post("/v2/sessions", "application/json", br#"{"accelerator": "long_talk"}"#);
    let session = session.json()["id"].as_str().unwrap().to_owned();
    let head = connection.head("POST", &format!("/v2/sessions/{session}/jobs"));
    let request = "apyfal-request: {\"id\": \"mine\", \"mode\": \"submit\"}\r\nContent-Length: 4";
    connection.write(format!("{head}{request}\r\n\r\ndata").as_bytes());
    assert_eq!(connection.answer().status, 202);
    let mut mine = Following::begin(server.home(), &["logs", "mine", "-f"]);
    mine.until("mine: begun");
    host.until("mine: begun");
    server.open_gate();
    assert!(mine.child.0.wait().unwrap().success(), "it ends with its job");
    mine.until("mine: ended");
    host.until("mine: ended");

    // A host that was started anew counts its lines anew, and is followed all the same.
    let server = server.killed().started();
    assert_eq!(server.run("fail", b"x").status, 502);
    host.until("broken device");
}

#[test]
fn what_cannot_be_shown_is_told() {
    let home = Home::new();
    let told = home.fails(6, &["logs"]);
    assert!(
        told.contains("no host serves on this machine") && told.contains("apyfal serve"),
        "{told}"
    );
    let server = talkative();
    let told = server.home().fails(6, &["logs", "nothing"]);
    assert!(told.contains("'nothing'"), "{told}");
    let address = server.address().to_owned();
    let killed = server.killed();
    // It could not tidy up, so its address is still known.
    let told = killed.home.fails(11, &["logs"]);
    assert!(told.contains(&address), "{told}");
}

#[test]
fn a_host_with_a_token_and_a_certificate_is_found_with_both() {
    let server = Server::configured("", &[]);
    let home = server.home();
    // Made as for a host off loopback.
    let pair = home.ok(&["serve", "--pair", "--listen", "0.0.0.0:1"]);
    let token = pair.split_whitespace().skip_while(|word| *word != "--token").nth(1).unwrap();
    let (certificate, key) =
        (home.path(".apyfal/host/host.crt"), home.path(".apyfal/host/host.key"));
    let configuration = format!(
        "[serve]\ntoken_file = {}\nssl_cert_crt = {}\nssl_cert_key = {}\n",
        home.path(".apyfal/host/token").display(),
        certificate.display(),
        key.display()
    );
    let secured = server.killed().configured(&configuration);
    let said = secured.home().ok(&["logs"]);
    assert!(!said.contains(token), "{said}");
}

#[test]
fn the_beginning_of_a_host_may_be_rounded() {
    let server = talkative();
    job(&server, "talk");
    let logs: serde_json::Value = serde_json::from_slice(&server.get("/v2/logs").body).unwrap();
    let (began, last) = (logs["began"].as_f64().unwrap(), logs["last"].as_u64().unwrap());
    let lines = |began: f64| {
        let body = server.get(&format!("/v2/logs?after={last}&began={began}")).body;
        let logs: serde_json::Value = serde_json::from_slice(&body).unwrap();
        logs["lines"].as_array().unwrap().len()
    };
    assert_eq!((lines(began - 1e-6), lines(began + 1e-6)), (0, 0));
    // Another one counts anew.
    assert!(lines(began - 1.0) >= 2);
}

/// Has a job fail, in whose error is a name of the client's.
fn fail_with(server: &Server, name: &str) {
    let mut connection = server.connect();
    let session =
        connection.post("/v2/sessions", "application/json", br#"{"accelerator": "gzip"}"#);
    let path = format!("/v2/sessions/{}/jobs", session.json()["id"].as_str().unwrap());
    let request = serde_json::json!({"parameters": {"app": {"specific": {name: 1}}}}).to_string();
    assert_eq!(connection.post(&path, "application/json", request.as_bytes()).status, 400);
}

#[test]
fn no_client_writes_lines_of_the_hosts() {
    let server = talkative();
    for end in ["\n", "\r", "\r\n", "\u{85}", "\u{2028}", "\u{1b}[1G"] {
        fail_with(&server, &format!("x{end}host: the life of this host is over"));
    }
    // Nor by a part of a form, a path or a method of REST v1.0.
    let form =
        "--b\r\nContent-Disposition: form-data; name=\"x\\\nhost: over\"\r\n\r\n\r\n--b--\r\n";
    let kind = "multipart/form-data; boundary=b";
    let refused = server.connect().post("/gzip/v1.0/configuration/", kind, form.as_bytes());
    assert_eq!(refused.status, 400);
    let path = "/gzip/v1.0/process/%0ahost:%20over";
    server.connect().bare("HOST:", path, "");
    let mut connection = server.connect();
    let head = connection.head("POST", "/v2/run/talk");
    let mine = "apyfal-request: {\"id\": \"host\"}\r\n";
    let session =
        connection.post("/v2/sessions", "application/json", br#"{"accelerator": "talk"}"#);
    let session = session.json()["id"].as_str().unwrap().to_owned();
    for name in ["host", "HOST"] {
        let mine = mine.replace("host", name);
        let head = head.replace("/v2/run/talk", &format!("/v2/sessions/{session}/jobs"));
        connection.write(format!("{head}{mine}Content-Length: 4\r\n\r\ndata").as_bytes());
        assert_eq!(connection.answer().status, 400, "{name}");
    }
    assert_eq!(server.run("fail", b"x").status, 502);
    until("all is said", || server.log().contains("broken device"));

    let is_forged = |line: &str| {
        let line = line.split_once("Z ").map_or(line, |(_, line)| line);
        line.starts_with("host: the life") || line.starts_with("host: over")
    };
    let log = server.log();
    let shown = server.home().ok(&["logs"]);
    let lines = log.split(['\n', '\r', '\u{85}', '\u{2028}']);
    for line in lines.chain(shown.split(['\n', '\r', '\u{85}', '\u{2028}'])) {
        assert!(!is_forged(line) && !line.contains('\u{1b}'), "{line}");
    }
    assert!(log.contains("has no parameter 'x\\nhost: the life of this host is over'"), "{log}");
}

/// A host whose standard error is read until it listens, and not after that; its address.
fn unread(home: &Home, configuration: &str) -> (Ending, impl std::io::Read, String) {
    // Its program says more than a pipe takes.
    let program = r#"["sh", "-c", "yes a line of a program | head -n 100000 >&2; cat; exit 1"]"#;
    let loud = format!("[accelerator.loud]\ncommand = {program}\n");
    home.write("accelerator.conf", loud + configuration);
    let words = ["serve", "--listen", "127.0.0.1:0"];
    let mut host = Ending(home.apyfal(&words).stderr(Stdio::piped()).spawn().unwrap());
    let mut stderr = BufReader::new(host.0.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.trim().rsplit('/').next().unwrap().to_owned();
    let kind = "application/octet-stream";
    let answer = Connection::open(&address).post("/v2/run/loud", kind, b"data");
    assert_eq!(answer.status, 502, "{answer:?}");
    (host, stderr, address)
}

#[test]
fn a_full_pipe_stops_no_host() {
    let home = Home::new();
    let (mut host, _stderr, address) = unread(&home, "");
    for _ in 0..3 {
        let kind = "application/octet-stream";
        let answer = Connection::open(&address).post("/v2/run/loud", kind, b"data");
        assert_eq!(answer.status, 502, "{answer:?}");
        for path in ["/healthz", "/v2/jobs", "/v2/logs", "/metrics"] {
            assert_eq!(Connection::open(&address).get(path).status, 200, "{path}");
        }
    }
    kill_process(Pid::from_child(&host.0), Signal::TERM).unwrap();
    until("it ended", || host.0.try_wait().unwrap().is_some());
    let status = host.0.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn a_full_pipe_keeps_no_machine_from_its_end() {
    let home = Home::new();
    let shutdown = "sh -c 'yes that is said | head -n 100000 >&2; touch ended; exit 3'";
    let lease = format!("[serve]\nidle_timeout = 2s\nshutdown_command = {shutdown}\n");
    let (mut host, _stderr, _) = unread(&home, &lease);
    until("its lease ended", || host.0.try_wait().unwrap().is_some());
    assert_eq!(host.0.wait().unwrap().code(), Some(95));
    assert!(home.path("ended").exists());
}
