//! Jobs that are recorded, and whose results are kept.

use std::io::BufRead;

use super::*;
use crate::common::server::until;

fn submit(server: &Server, session: &str, request: Value, data: &[u8]) -> Value {
    let answer = job(&mut server.connect(), session, &request, data);
    assert_eq!(answer.status, 202, "{}", text(&answer));
    answer.json()
}

fn ended(server: &Server, id: &str) -> Value {
    let job = server.get(&format!("/v2/jobs/{id}?wait=60")).json();
    assert!(job["ended"].is_number(), "{job}");
    job
}

#[test]
fn a_submitted_job_waits_to_be_fetched() {
    let server = Server::start();
    let session = session(&server, "null");
    let sent = data(300_000);
    let id = submit(&server, &session, json!({"mode": "submit"}), &sent)["id"].clone();
    let id = id.as_str().unwrap();
    let told = ended(&server, id);
    assert_eq!((&told["state"], &told["result"]), (&json!("done"), &json!(300_000)), "{told}");
    let path = format!("/v2/jobs/{id}/result");
    assert!(server.get(&path).body == sent);
    let part = server.connect().bare("GET", &path, "Range: bytes=1000-1999\r\n");
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-range"), Some("bytes 1000-1999/300000"));
    assert!(part.body == sent[1000..2000]);
    for behind in ["300000-", "400000-500000", "99999999999999999999-", "-0"] {
        let part = server.connect().bare("GET", &path, &format!("Range: bytes={behind}\r\n"));
        assert_eq!(refused(&part, 416), "usage", "{behind}");
        assert_eq!(part.header("content-range"), Some("bytes */300000"));
    }
    let listed = server.get("/v2/jobs?state=done").json();
    assert_eq!(listed["jobs"][0]["id"], id);
    assert_eq!(server.connect().delete(&format!("/v2/jobs/{id}")).status, 204);
    assert_eq!(refused(&server.get(&path), 404), "not-found");
}

#[test]
fn a_job_with_an_id_runs_once() {
    let server = Server::start();
    let session = session(&server, "trng");
    let request = json!({"id": "mine", "parameters": {"app": {"specific": {"nbBytes": 64}}}});
    let mut connection = server.connect();
    let first = job(&mut connection, &session, &request, b"");
    assert_eq!((first.status, first.body.len()), (200, 64), "{}", text(&first));
    let again = job(&mut connection, &session, &request, b"");
    assert!(again.body == first.body, "random bytes are the same only if it did not run again");
    let other = json!({"id": "mine", "parameters": {"app": {"specific": {"nbBytes": 65}}}});
    assert_eq!(refused(&job(&mut connection, &session, &other, b""), 409), "conflict");
}

#[test]
fn the_same_job_at_the_same_time_runs_once() {
    let server = Server::start();
    let session = session(&server, "trng");
    let request =
        json!({"id": "mine", "parameters": {"app": {"specific": {"nbBytes": 3_000_000}}}});
    let results: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| job(&mut server.connect(), &session, &request, b"")))
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for answer in &results {
        assert_eq!(answer.status, 200, "{}", text(answer));
        assert!(answer.body == results[0].body);
    }
}

#[test]
fn a_job_can_be_cancelled() {
    let server = Server::start();
    let session = session(&server, "long");
    let id = submit(&server, &session, json!({"mode": "submit"}), b"x")["id"].clone();
    let path = format!("/v2/jobs/{}", id.as_str().unwrap());
    until("it runs", || server.get(&path).json()["state"] == "running");
    assert_eq!(server.connect().delete(&path).status, 202);
    assert_eq!(ended(&server, id.as_str().unwrap())["state"], "cancelled");
}

#[test]
fn progress_is_told_as_events() {
    let server = Server::start();
    let session = session(&server, "gated");
    let id = submit(&server, &session, json!({"mode": "submit"}), b"x")["id"].clone();
    let mut listening = server.connect();
    let head = listening.head("GET", &format!("/v2/jobs/{}/events", id.as_str().unwrap()));
    listening.write(format!("{head}\r\n").as_bytes());
    let answer = listening.answer_head();
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let mut line = || {
        let mut line = String::new();
        assert_ne!(listening.reader().read_line(&mut line).unwrap(), 0, "it ended");
        line
    };
    while !line().contains("event: progress") {}
    server.open_gate();
    while !line().contains("event: end") {}
    assert!(line().contains(r#""state":"done""#));
}

#[test]
fn a_failed_job_tells_why_with_its_id() {
    let server = Server::start();
    let session = session(&server, "fail");
    let id = submit(&server, &session, json!({"mode": "submit"}), b"x")["id"].clone();
    let id = id.as_str().unwrap();
    let told = ended(&server, id);
    assert_eq!((&told["state"], &told["error"]["kind"]), (&json!("failed"), &json!("engine")));
    assert!(told["error"].to_string().contains("broken device"), "{told}");
    assert!(told["error"]["facts"].to_string().contains(id), "{told}");
    assert_eq!(told["error"]["details"], json!({"exit_status": 3, "job": id}));
    assert_eq!(refused(&server.get(&format!("/v2/jobs/{id}/result")), 502), "engine");
    let log = server.get(&format!("/v2/logs?job={id}")).json();
    assert!(log["lines"].to_string().contains("broken device"), "{log}");
}
