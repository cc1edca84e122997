//! The catalog: found, shown, served, and what becomes of it when its server is down.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::http::{Answer, Connection};
use common::server::{Ending, Server, until};
use common::{Home, peer, text};
use serde_json::{Value, json};

const SECRET: &str = "a secret of many characters";
const CATALOG: &str = r#"
[accelerator.my_accelerator.AWS.eu-west-1]
image = "ami-1"
instancetype = "f2.6xlarge"
fpgaimage = "agfi-1"
port = 5

[accelerator.my_accelerator.AWS.us-east-1]
image = { name = "mine-*", owner = "42" }

[accelerator.gzip.OpenStack."*"]
image = "ubuntu"
"#;

/// A server of [`CATALOG`] with a package, and the account `me`.
fn serving(words: &[&str]) -> (Server, String) {
    let home = Home::new();
    let package = home.write("mine-1.0.0.apyfal", "not really one");
    let digest = text(&peer("sha256sum", &[package.to_str().unwrap()], b""));
    let digest = digest.split_whitespace().next().unwrap().to_owned();
    let entry = format!(
        "[accelerator.my_accelerator]\npackage = {{ url = 'mine-1.0.0.apyfal', sha256 = '{digest}' }}\n"
    );
    home.write("catalog.toml", format!("{entry}{CATALOG}"));
    add(&home, "me", SECRET);
    home.ok(&["catalog", "validate"]);
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let command = ["catalog", "serve", "--listen", "127.0.0.1:0"];
    (Server::of_command(home, &command, words), digest)
}

fn add(home: &Home, name: &str, secret: &str) {
    let words = ["catalog", "account", "add", name, "--secret_stdin"];
    let output = home.piped(&words, format!("{secret}\n").as_bytes());
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Asks for a token as the original's client does.
fn token(server: &Server, name: &str, secret: &str) -> Answer {
    token_by(server.connect(), name, secret)
}

/// The same on this connection.
fn token_by(mut connection: Connection, name: &str, secret: &str) -> Answer {
    let basic = STANDARD.encode(format!("{name}:{secret}"));
    let body = "grant_type=client_credentials";
    let head = connection.head("POST", "/o/token/");
    connection.write(
        format!(
            "{head}Authorization: Basic {basic}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    connection.answer()
}

fn given(server: &Server) -> String {
    let answer = token(server, "me", SECRET);
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    assert_eq!(told["token_type"], "Bearer");
    assert!(told["expires_in"].as_u64().is_some());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    told["access_token"].as_str().unwrap().to_owned()
}

fn asked(server: &Server, path: &str, token: &str) -> Answer {
    let more =
        format!("Authorization: Bearer {token}\r\nAccept: application/vnd.accelize.v1+json\r\n");
    server.connect().bare("GET", path, &more)
}

/// A client of that server, its account in the configuration.
fn client(server: &Server, secret: &str, more: &str) -> Home {
    let home = Home::new();
    configure(&home, &server.url(""), secret, more);
    home
}

fn configure(home: &Home, url: &str, secret: &str, more: &str) {
    home.write(
        "accelerator.conf",
        format!("[accelize]\nserver = {url}\nclient_id = me\nsecret_id = {secret}\n{more}\n"),
    );
}

#[test]
fn the_originals_requests_are_answered() {
    let (server, digest) = serving(&[]);
    let token = given(&server);
    let answer = asked(&server, "/auth/getlastcspconfiguration/", &token);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({
            "AWS": {"my_accelerator": {
                "eu-west-1": {"image": "ami-1", "instancetype": "f2.6xlarge", "fpgaimage": "agfi-1", "port": 5},
                "us-east-1": {},
            }},
            "OpenStack": {"gzip": {"*": {"image": "ubuntu"}}},
        })
    );
    assert_eq!(asked(&server, "/auth/getlastcspconfiguration", &token).status, 200, "no slash");

    // A file is for those who know its digest.
    let path = format!("/files/{digest}/mine-1.0.0.apyfal");
    let file = server.get(&path);
    assert_eq!((file.status, file.body.as_slice()), (200, &b"not really one"[..]));
    for path in [
        format!("/files/{}/mine-1.0.0.apyfal", "0".repeat(64)),
        format!("/files/{digest}/accounts"),
        format!("/files/{digest}/..%2faccounts"),
        "/files/x/../../accounts".to_owned(),
        "/accounts".to_owned(),
    ] {
        assert_eq!(server.get(&path).status, 404, "{path}");
    }
}

#[test]
fn who_has_no_account_gets_nothing() {
    let (server, _) = serving(&["--token_ttl", "1ms"]);
    for (name, secret) in [("me", "wrong"), ("you", SECRET), ("", ""), ("me", "")] {
        let answer = token(&server, name, secret);
        assert_eq!(answer.status, 401, "{name}: {answer:?}");
        assert_eq!(answer.json(), json!({"error": "invalid_client"}));
    }
    let path = "/auth/getlastcspconfiguration/";
    assert_eq!(server.get(path).status, 401);
    assert_eq!(asked(&server, path, "apyfal_nobodys").status, 401);
    // This one ended by the time it came.
    let ended = given(&server);
    until("it ended", || asked(&server, path, &ended).status == 401);
    assert_eq!(
        server
            .connect()
            .post("/o/token/", "application/x-www-form-urlencoded", b"grant_type=password")
            .status,
        400
    );
    let long = vec![b'a'; 1 << 20];
    assert_eq!(
        server.connect().post("/o/token/", "application/x-www-form-urlencoded", &long).status,
        413
    );
}

#[test]
fn who_guesses_has_to_wait() {
    let (server, _) = serving(&[]);
    // Where it takes so long that the first ones are forgotten, it takes a few more.
    let mut guesses = 0;
    until("a guess has to wait", || {
        let status = token(&server, "me", "guess").status;
        guesses += usize::from(status == 401);
        status == 429
    });
    assert!(guesses >= 10, "{guesses}");
    let locked = token(&server, "me", SECRET);
    assert_eq!(locked.status, 429, "the right secret would tell that it is");
    assert!(locked.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(token(&server, "you", "guess").status, 401, "other accounts are not locked");
}

#[test]
fn who_guesses_many_at_once_gains_nothing() {
    let (server, _) = serving(&[]);
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let tries: Vec<_> =
            (0..40).map(|_| scope.spawn(|| token(&server, "me", "guess").status)).collect();
        tries.into_iter().map(|tried| tried.join().unwrap()).collect()
    });
    let looked_at = statuses.iter().filter(|status| **status == 401).count();
    assert!(looked_at <= 10, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)), "{statuses:?}");
}

#[test]
fn those_who_guess_do_not_keep_out_who_was_right_before() {
    const GUESSERS: u8 = 40;
    let (server, _) = serving(&[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let from = |number: u8| {
        let (here, there) = (Ipv4Addr::new(127, 0, 9, number), server.address().parse().unwrap());
        let stream = runtime.block_on(apyfal_testkit::connect_from(here.into(), there)).unwrap();
        Connection::over(stream, server.address())
    };
    assert_eq!(token_by(from(255), "me", SECRET).status, 200);
    let answered = AtomicUsize::new(0);
    // Each has its places full all the time, and another account for each try.
    let guess = |number: u8, turn: usize| {
        let status = token_by(from(number), &format!("{number}-{turn}"), "guess").status;
        // On a slow machine the last ones wait for too long.
        assert!(matches!(status, 401 | 408 | 429), "{status}");
        answered.fetch_add(usize::from(status == 401), Ordering::SeqCst);
    };
    std::thread::scope(|scope| {
        for number in 0..GUESSERS {
            for turn in 0..2 {
                let guess = &guess;
                scope.spawn(move || guess(number, turn));
            }
        }
        until("those who guess wait", || answered.load(Ordering::SeqCst) > 0);
        let before = answered.load(Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(token_by(from(255), "me", SECRET).status, 200);
        }
        // Those that were being looked at, each time, and a few more for want of a core.
        let meanwhile = answered.load(Ordering::SeqCst) - before;
        assert!(meanwhile < 32, "{meanwhile} of those who guess came first");
    });
}

#[test]
fn what_is_not_what_the_catalog_says_is_not_installed() {
    let home = Home::new();
    home.ok(&["init", "gzip"]);
    home.ok(&["pack", "gzip"]);
    let digest = text(&peer("sha256sum", &[home.path("gzip-0.1.0.apyfal").to_str().unwrap()], b""));
    let digest = digest.split_whitespace().next().unwrap();
    let package = format!("package = {{ url = 'gzip-0.1.0.apyfal', sha256 = '{digest}' }}");
    home.write("catalog.toml", format!("[accelerator.helper]\n{package}\n"));
    let said = home.fails(7, &["create", "--accelerator", "helper"]);
    assert!(said.contains("it is not 'helper' but 'gzip'"), "{said}");
    assert!(!home.ok(&["accelerators"]).contains("0.1.0"), "the built-in one stands");
}

#[test]
fn what_changes_is_served_at_once() {
    let (server, _) = serving(&[]);
    let token = given(&server);
    let path = "/auth/getlastcspconfiguration/";
    server.home().write("catalog.toml", "[accelerator.other.AWS.r]\nimage = 'ami-2'\n");
    assert_eq!(asked(&server, path, &token).json()["AWS"]["other"]["r"]["image"], "ami-2");
    server.home().write("catalog.toml", "[broken\n");
    assert_eq!(asked(&server, path, &token).json()["AWS"]["other"]["r"]["image"], "ami-2");
    until("it is told", || server.log().contains("line 1") && server.log().contains("stays"));
    server.home().ok(&["catalog", "account", "remove", "me"]);
    assert_eq!(asked(&server, path, &token).status, 401, "its tokens end with it");
    add(server.home(), "me", "another secret of it");
    assert_eq!(asked(&server, path, &token).status, 401, "and stay ended");
}

#[test]
fn a_client_asks_and_remembers() {
    let (server, digest) = serving(&[]);
    let home = client(&server, SECRET, "");
    let ask = ["requirements", "-a", "my_accelerator", "--host_type", "aws"];
    let found = |home: &Home, more: &[&str]| -> Value {
        let words = [&ask[..], &["--format", "json"], more].concat();
        serde_json::from_str(&home.ok(&words)).unwrap()
    };
    let all = found(&home, &[]);
    assert_eq!(all["accelerator"], "my_accelerator");
    assert_eq!(
        all["us-east-1"]["image"],
        json!({"name": "mine-*", "owner": "42"}),
        "more than the original's form can say"
    );
    let one = found(&home, &["--region", "eu-west-1"]);
    assert_eq!(one["instancetype"], "f2.6xlarge");
    let package = one["package"]["url"].as_str().unwrap();
    assert_eq!(package, server.url(&format!("/files/{digest}/mine-1.0.0.apyfal")));
    home.ok(&["copy", package, "got"]);
    assert_eq!(home.read("got"), b"not really one");

    let wrong = client(&server, "a wrong secret", "");
    let said = wrong.fails(4, &ask);
    assert!(said.contains("401") && said.contains("check client_id and secret_id"), "{said}");
    assert!(!said.contains("a wrong secret"));

    // Down: the last answer serves, and says so, unless that is not wanted.
    let url = server.url("");
    drop(server.killed());
    let output = home.apyfal(&[&ask[..], &["--format", "json"]].concat()).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), all);
    let said = text(&output.stderr);
    assert!(said.contains("its last answer is used, less than a minute old"), "{said}");
    configure(&home, &url, SECRET, "stale_catalog = False");
    let said = home.fails(11, &ask);
    assert!(said.contains(&format!("cannot get the catalog from '{url}/'")), "{said}");
    configure(&home, &url, SECRET, "[accelize.x]");
    let stranger = Home::new();
    configure(&stranger, &url, SECRET, "");
    let said = stranger.fails(11, &ask);
    assert!(said.contains("hint: or name another catalog"), "{said}");
}

#[test]
fn secrets_are_not_sent_in_the_open() {
    let (server, _) = serving(&[]);
    let said = server.home().fails(5, &["catalog", "serve", "--listen", "0.0.0.0:0"]);
    assert!(said.contains("--ssl_cert_crt") && said.contains("--plain"), "{said}");

    // With a certificate of its own, known by its fingerprint.
    let home = server.home();
    let mut made = home
        .apyfal(&["serve", "--listen", "0.0.0.0:0", "--data_dir", "identity"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("it is made", || home.path("identity/listening.json").exists());
    made.kill().unwrap();
    made.wait().unwrap();
    let told: Value = serde_json::from_slice(&home.read("identity/listening.json")).unwrap();
    let fingerprint = told["fingerprint"].as_str().unwrap();
    let other = Home::new();
    for file in
        ["catalog.toml", "accounts", "mine-1.0.0.apyfal", "identity/host.crt", "identity/host.key"]
    {
        other.write(file.rsplit('/').next().unwrap(), home.read(file));
    }
    let words = ["--ssl_cert_crt", "host.crt", "--ssl_cert_key", "host.key"].map(String::from);
    let command = ["catalog", "serve", "--listen", "127.0.0.1:0"];
    let encrypted = Server::of_command(other, &command, words.to_vec());
    let url = format!("https://{}", encrypted.address());
    let ask = ["requirements", "-a", "gzip", "--host_type", "OpenStack", "--format", "toml"];
    let home = Home::new();
    configure(&home, &url, SECRET, &format!("fingerprint = {fingerprint}"));
    assert!(home.ok(&ask).contains("image = \"ubuntu\""));
    // Who is another server is not taken for one that is down.
    let wrong = format!("sha256:{}", "0".repeat(64));
    configure(&home, &url, SECRET, &format!("fingerprint = {wrong}"));
    let said = home.fails(5, &ask);
    assert!(said.contains(&wrong) && said.contains(fingerprint), "{said}");
    configure(&home, &url, SECRET, "");
    let said = home.fails(5, &ask);
    assert!(said.contains("certificate"), "{said}");
    // Nor do credentials stand in an address, where they would be shown.
    configure(&home, &url.replace("https://", "https://:hunter2@"), SECRET, "");
    let said = home.fails(3, &ask);
    assert!(said.contains("client_id") && !said.contains("hunter2"), "{said}");
}

#[test]
fn without_a_server_there_is_the_built_in_one() {
    let home = Home::new();
    for format in ["table", "toml", "tfvars", "json"] {
        let said =
            home.ok(&["requirements", "-a", "gzip", "--host_type", "AWS", "--format", format]);
        assert!(said.contains("/aws/service/canonical/"), "{format}: {said}");
    }
    let toml = home.ok(&["requirements", "-a", "gzip", "--host_type", "AWS", "--format", "toml"]);
    home.write("catalog.toml", toml);
    home.ok(&["catalog", "validate"]);
    let said = home.ok(&["requirements", "-a", "gzip", "--host_type", "AWS"]);
    assert!(said.contains("Catalog: catalog.toml"), "{said}");
    let said = home.fails(6, &["requirements", "-a", "gzip", "--host_type", "Azure"]);
    assert!(said.contains("it has: AWS, localhost"), "{said}");
    home.write("catalog.toml", "[accelerator.gzip.AWS.r]\nimage = 7\n");
    let said = home.fails(3, &["requirements", "-a", "gzip"]);
    assert!(said.contains("cannot read the catalog 'catalog.toml': line 2: "), "{said}");
    let said = home.fails(3, &["requirements", "-a", "gzip", "--catalog", "nowhere.toml"]);
    assert!(said.contains("no such file"), "{said}");
}

#[test]
fn a_full_pipe_stops_no_server() {
    let home = Home::new();
    home.write("catalog.toml", CATALOG);
    add(&home, "me", SECRET);
    let words = ["catalog", "serve", "--listen", "127.0.0.1:0"];
    let mut server = Ending(home.apyfal(&words).stderr(Stdio::piped()).spawn().unwrap());
    let mut stderr = BufReader::new(server.0.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.trim().rsplit('/').next().unwrap();
    // What is said of each of these states of the file fills a part of a pipe that nobody reads.
    for more in 0..40 {
        home.write("catalog.toml", format!("{} = 1\n", "k".repeat(9000 + more)));
        let answer = Connection::open(address).get("/files/0/none");
        assert_eq!(answer.status, 404, "{answer:?}");
    }
}
