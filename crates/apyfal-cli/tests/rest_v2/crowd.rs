//! More clients than there is room for.

use std::time::{Duration, Instant};

use super::*;
use crate::common::server::until;

const RIGHT: &str = "Authorization: Bearer my_token_1\r\n";
/// After so long an idle connection would end in any case.
const IDLE: Duration = Duration::from_secs(60);

/// A client that asked for something and shows no token.
fn stranger(server: &Server) -> Connection {
    let mut stranger = server.connect();
    stranger.write(format!("{}\r\n", stranger.head("GET", "/healthz")).as_bytes());
    stranger
}

#[test]
fn idle_strangers_lock_nobody_out() {
    let server = Server::configured("[serve]\nmax_connections = 16\ntoken = my_token_1\n", &[]);
    let begin = Instant::now();
    let ask = |connection: &mut Connection| connection.bare("GET", "/v2/host", RIGHT).status;
    let mut mine = server.connect();
    assert_eq!(ask(&mut mine), 200);
    let mut working = server.connect();
    let head = working.head("POST", "/v2/run/gated");
    working.write(format!("{head}{RIGHT}Content-Length: 1\r\n\r\nx").as_bytes());
    until("it works", || {
        let told = server.get("/status").json();
        let gated = told["accelerators"].as_array().unwrap().iter();
        gated.filter(|load| load["name"] == "gated").all(|load| load["running"] == 1)
    });
    let mut idle: Vec<_> = (0..100).map(|_| stranger(&server)).collect();
    assert_eq!(ask(&mut server.connect()), 200);
    assert_eq!(ask(&mut mine), 200, "who is known keeps its connection");
    server.open_gate();
    assert_eq!(text(&working.answer()), "x", "and what it asked for");
    // The answers came before the end.
    until("the first of them is gone", || idle[0].is_closed());
    assert!(begin.elapsed() < IDLE, "it is not just that every idle connection has its time");
}

#[test]
fn too_many_open_files_may_be_tried_again() {
    let server = Server::start();
    let begin = Instant::now();
    let mut mine = server.connect();
    assert_eq!(mine.get("/v2/host").status, 200);
    let run = |mine: &mut Connection| mine.post("/v2/run/told", "application/octet-stream", b"x");
    assert_eq!(run(&mut mine).status, 200);
    // There is room for some of what a program needs.
    for more in [0, 2, 4] {
        server.limit_open_files(Some(server.next_file() + more));
        let refused_once = run(&mut mine);
        assert_eq!(refused(&refused_once, 503), "unavailable", "{more}");
        assert_eq!(refused_once.json()["error"]["retryable"], true);
        assert!(refused_once.header("retry-after").is_some());
        server.limit_open_files(None);
        assert_eq!(run(&mut mine).status, 200);
    }
    // Who does nothing gives way to others.
    server.limit_open_files(Some(server.next_file() + 4));
    let _idle: Vec<_> = (0..20).map(|_| stranger(&server)).collect();
    assert_eq!(server.get("/healthz").status, 200);
    assert!(begin.elapsed() < IDLE, "it is not just that every idle connection has its time");
    assert_eq!(server.log().matches("cannot accept").count(), 1, "{}", server.log());
}
