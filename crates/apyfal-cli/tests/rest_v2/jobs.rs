//! Jobs whose client waits for them.

use std::io::Read;

use super::*;

#[test]
fn a_job_gives_back_its_result_and_its_report() {
    let server = Server::start();
    let session = session(&server, "null");
    let mut connection = server.connect();
    for length in [0, 1, 1000, 65_536, 65_537] {
        let sent = data(length);
        let answer = job(&mut connection, &session, &json!({}), &sent);
        assert_eq!(answer.status, 200, "{}", text(&answer));
        assert!(answer.body == sent, "{length} bytes came back changed");
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(answer.header("apyfal-protocol"), Some("2"));
        if length < 65_536 {
            let report = report(&answer);
            assert_eq!(report["profiling"]["total-bytes-read"], length);
            assert_eq!(report["id"].as_str(), answer.header("apyfal-job"));
        }
    }
}

#[test]
fn a_client_may_send_everything_before_it_reads() {
    let server = Server::start();
    let session = session(&server, "null");
    let mut connection = server.connect();
    let sent = data(50_000_000);
    let answer = job(&mut connection, &session, &json!({}), &sent);
    assert_eq!(answer.status, 200);
    assert!(answer.body == sent, "50 MB came back changed");
    // The connection is as good as new.
    assert_eq!(connection.get("/v2/host").status, 200);
}

#[test]
fn a_result_comes_while_its_data_is_sent() {
    let server = Server::start();
    let session = session(&server, "null");
    let mut connection = server.connect();
    let piece = data(1 << 20);
    send_job(&mut connection, &session, &json!({}), 2 * piece.len());
    connection.write(&piece);
    let head = connection.answer_head();
    assert_eq!(head.status, 200);
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    connection.write(&piece);
    let body = connection.rest_of(&head);
    assert!(body == [&piece[..], &piece[..]].concat());
}

#[test]
fn a_client_that_takes_trailers_is_told_at_the_end() {
    let server = Server::start();
    let session = session(&server, "gunzip");
    let zeros = server.home().path("zeros");
    std::fs::write(&zeros, vec![0; 3_000_000]).unwrap();
    server.home().ok(&["run", "gzip", "zeros", "zeros.gz"]);
    let mut packed = server.home().read("zeros.gz");
    for (broken, trailer) in [(false, "apyfal-report"), (true, "apyfal-error")] {
        if broken {
            let last = packed.len() - 6;
            packed[last] ^= 1;
        }
        let mut connection = server.connect();
        let head = connection.head("POST", &format!("/v2/sessions/{session}/jobs"));
        let head = format!("{head}TE: trailers\r\nContent-Length: {}\r\n\r\n", packed.len());
        connection.write(head.as_bytes());
        connection.write(&packed);
        let answer = connection.answer();
        assert_eq!(answer.status, 200);
        let told = answer.header(trailer).unwrap_or_else(|| panic!("{:?}", answer.headers));
        let told: Value = serde_json::from_str(told).unwrap();
        if broken {
            assert_eq!(told["kind"], "invalid-data", "{told}");
        } else {
            assert_eq!(told["profiling"]["total-bytes-written"], 3_000_000);
        }
    }
}

#[test]
fn a_failure_after_the_beginning_breaks_off() {
    let server = Server::start();
    let session = session(&server, "gunzip");
    std::fs::write(server.home().path("zeros"), vec![0; 3_000_000]).unwrap();
    server.home().ok(&["run", "gzip", "zeros", "zeros.gz"]);
    let mut packed = server.home().read("zeros.gz");
    let last = packed.len() - 6;
    packed[last] ^= 1;
    let mut connection = server.connect();
    send_job(&mut connection, &session, &json!({}), packed.len());
    connection.write(&packed);
    let head = connection.answer_head();
    assert_eq!(head.status, 200);
    let mut rest = Vec::new();
    let ended = connection.reader().read_to_end(&mut rest);
    assert!(ended.is_err() || !rest.ends_with(b"0\r\n\r\n"), "it looks whole");
}

#[test]
fn what_is_wrong_is_said_and_the_connection_goes_on() {
    let server = Server::start();
    let session = session(&server, "gzip");
    let mut connection = server.connect();
    let wrong = json!({"parameters": {"app": {"specific": {"levell": 1}}}});
    assert_eq!(refused(&job(&mut connection, &session, &wrong, b"x"), 400), "usage");
    let answer = job(&mut connection, "session-none", &json!({}), &data(1_000_000));
    assert_eq!(refused(&answer, 404), "not-found");
    assert_eq!(refused(&job(&mut connection, &session, &json!({"x": 1}), b"x"), 400), "usage");
    assert_eq!(refused(&job(&mut connection, &session, &json!({"id": "a b"}), b"x"), 400), "usage");
    let file = json!({"src": "/etc/passwd"});
    assert_eq!(refused(&job(&mut connection, &session, &file, b""), 403), "security");
    let inside = json!({"src": "http://127.0.0.1:1/"});
    assert_eq!(refused(&job(&mut connection, &session, &inside, b""), 403), "security");
    assert_eq!(job(&mut connection, &session, &json!({}), b"x").status, 200);
}

#[test]
fn one_request_can_do_everything() {
    let server = Server::start();
    let mut connection = server.connect();
    let sent = data(100_000);
    let answer = connection.post("/v2/run/gzip?level=best", "application/octet-stream", &sent);
    assert_eq!(answer.status, 200, "{}", text(&answer));
    server.home().write("out.gz", &answer.body);
    server.home().ok(&["run", "gunzip", "out.gz", "out"]);
    assert!(server.home().read("out") == sent);
    let answer = connection.post("/v2/run/sha3?type=sha3-224", "text/plain", b"abc");
    let digest = "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf";
    assert_eq!(answer.json()["specific"]["digest"], digest);
    let answer = connection.post("/v2/run/gzip?levle=best", "text/plain", b"abc");
    assert_eq!(refused(&answer, 400), "usage");
    // One's own program gives its result, and not a report with a part of it.
    let answer = connection.post("/v2/run/one", "text/plain", b"abc");
    assert_eq!((answer.status, &*answer.body), (200, &b"abc"[..]));
    let request = "apyfal-request: {\"output\": false}\r\n";
    let answer = server.connect().bare("POST", "/v2/run/one", request);
    assert_eq!(refused(&answer, 400), "usage");
    let answer = connection.post("/v2/run/gzipp", "text/plain", b"abc");
    assert_eq!(refused(&answer, 404), "not-found");
    // Its sessions are not left behind.
    assert_eq!(connection.get("/v2/sessions").json()["count"], 0);
    let sessions = server.home().path(".apyfal/host/sessions");
    common::server::until("the sessions are gone", || {
        std::fs::read_dir(&sessions).unwrap().count() == 0
    });
}

#[test]
fn many_clients_do_not_mix() {
    let server = Server::start();
    let session = session(&server, "null");
    std::thread::scope(|scope| {
        for client in 0..32_usize {
            let (server, session) = (&server, &session);
            scope.spawn(move || {
                let mut connection = server.connect();
                for round in 0..10 {
                    let sent = vec![(client * 7 + round) as u8; client * 5000 + round];
                    let answer = job(&mut connection, session, &json!({}), &sent);
                    assert!(answer.body == sent, "client {client}, round {round}");
                }
            });
        }
    });
}
