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
    // Made first: a connection that asks for nothing is closed.
    let sent = data(50_000_000);
    let mut connection = server.connect();
    let answer = job(&mut connection, &session, &json!({}), &sent);
    assert_eq!(answer.status, 200);
    assert!(answer.body == sent, "50 MB came back changed");
    // The connection is as good as new.
    assert_eq!(connection.get("/v2/host").status, 200);
}

/// Begins a job whose data has this length, with more lines of headers.
fn begin(connection: &mut Connection, session: &str, more: &str, length: usize) {
    let head = connection.head("POST", &format!("/v2/sessions/{session}/jobs"));
    let head = format!("{head}{more}Content-Length: {length}\r\n\r\n");
    connection.write(head.as_bytes());
}

#[test]
fn a_result_comes_while_its_data_is_sent_to_who_shows_that_it_reads() {
    let server = Server::start();
    let session = session(&server, "null");
    let piece = data(1 << 20);
    for sign in
        ["TE: trailers\r\n", "TE: trailers\r\nConnection: TE\r\n", "Expect: 100-continue\r\n"]
    {
        let mut connection = server.connect();
        begin(&mut connection, &session, sign, 2 * piece.len());
        connection.write(&piece);
        let mut head = connection.answer_head();
        if sign.starts_with("Expect") {
            assert_eq!(head.status, 100);
            head = connection.answer_head();
        }
        assert_eq!(head.status, 200);
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        connection.write(&piece);
        let body = connection.rest_of(&head);
        assert!(body == [&piece[..], &piece[..]].concat());
    }
}

#[test]
fn to_others_the_answer_begins_when_the_data_is_in() {
    let server = Server::start();
    let session = session(&server, "null");
    let piece = data(3 << 20);
    let sent = [&piece[..], &piece[..]].concat();
    for more in ["", "TE: trailers\r\nVia: 1.1 proxy\r\n"] {
        let mut connection = server.connect();
        begin(&mut connection, &session, more, sent.len());
        connection.write(&piece);
        // It was worked on, so that the answer could have begun.
        common::server::until("much of it is written", || written(&server) >= 2 << 20);
        assert!(!connection.has_come(), "it began with half of the data");
        connection.write(&piece);
        let answer = connection.answer();
        assert!(answer.status == 200 && answer.body == sent, "{more}");
    }
}

#[test]
fn curl_gets_the_beginning_of_a_stream_that_goes_on() {
    let server = Server::start();
    let url = server.url("/v2/run/null");
    let mut curl = std::process::Command::new("curl")
        .args(["-sSN", "-T", "-", &url])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (curl.stdin.take().unwrap(), curl.stdout.take().unwrap());
    let has_come = std::sync::atomic::AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            // It stops to read its output where there is no input, so there is always some.
            let (begin, mut sent) = (std::time::Instant::now(), 0);
            while !has_come.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(begin.elapsed() < common::server::PATIENCE, "nothing comes");
                std::io::Write::write_all(&mut stdin, &[7; 10_000]).unwrap();
                sent += 10_000;
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            drop(stdin);
            sent
        });
        stdout.read_exact(&mut [0]).unwrap();
        has_come.store(true, std::sync::atomic::Ordering::Relaxed);
        sending.join().unwrap()
    });
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert!(curl.wait().unwrap().success());
    assert_eq!(rest.len() + 1, sent);
}

/// How many bytes the jobs that run have written so far.
fn written(server: &Server) -> usize {
    let jobs = server.get("/status").json();
    let jobs = jobs["jobs"].as_array().unwrap().iter();
    jobs.map(|job| job["progress"]["written"].as_u64().unwrap() as usize).sum()
}

#[test]
fn over_http_1_0_the_answer_is_whole_and_has_its_length() {
    let server = Server::start();
    let session = session(&server, "gunzip");
    std::fs::write(server.home().path("zeros"), vec![0; 5_000_000]).unwrap();
    server.home().ok(&["run", "gzip", "zeros", "zeros.gz"]);
    let mut packed = server.home().read("zeros.gz");
    for broken in [false, true] {
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        if broken {
            let last = packed.len() - 6;
            packed[last] ^= 1;
        }
        let head = format!(
            "POST /v2/sessions/{session}/jobs HTTP/1.0\r\nHost: localhost\r\nTE: trailers\r\n\
             Content-Length: {}\r\n\r\n",
            packed.len()
        );
        std::io::Write::write_all(&mut stream, &[head.as_bytes(), &packed].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let body = &answer[end + 4..];
        if broken {
            assert!(head.starts_with("http/1.0 422"), "{head}");
        } else {
            assert!(head.starts_with("http/1.0 200"), "{head}");
            assert!(head.contains("content-length: 5000000"), "{head}");
            assert!(head.contains("apyfal-report: {"), "{head}");
            assert!(body.len() == 5_000_000 && body.iter().all(|byte| *byte == 0));
        }
    }
}

#[test]
fn how_a_job_ended_can_be_asked_for_at_any_rate_of_jobs() {
    let server = Server::start();
    let session = session(&server, "null");
    let sent = data(70_000);
    let ids: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = server.connect();
                    let mut ids = Vec::new();
                    for _ in 0..150 {
                        begin(&mut connection, &session, "TE: trailers\r\n", sent.len());
                        connection.write(&sent);
                        let answer = connection.answer();
                        ids.push(answer.header("apyfal-job").unwrap().to_owned());
                    }
                    ids
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let mut connection = server.connect();
    for id in ids {
        let told = connection.get(&format!("/v2/jobs/{id}"));
        assert_eq!(told.status, 200, "{id}: {}", text(&told));
        let told = told.json();
        assert_eq!(told["report"]["profiling"]["total-bytes-written"], 70_000, "{told}");
    }
    // A short one is known at once, too.
    let answer = job(&mut connection, &session, &json!({}), b"x");
    let id = answer.header("apyfal-job").unwrap();
    assert_eq!(connection.get(&format!("/v2/jobs/{id}")).json()["state"], "done");
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
    // As much as takes some time to unpack.
    std::fs::write(server.home().path("zeros"), vec![0; 30_000_000]).unwrap();
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
    // The engine is no parameter.
    assert_eq!(connection.post("/v2/run/null?engine=cpu", "text/plain", b"abc").status, 200);
    let answer = connection.post("/v2/run/null?engine=abacus", "text/plain", b"abc");
    assert_eq!(refused(&answer, 400), "usage");
    let engine = r#"{"accelerator": "null", "parameters": {"app": {"engine": 1}}}"#;
    let answer = connection.post("/v2/sessions", "application/json", engine.as_bytes());
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

#[test]
fn what_nobody_reads_of_parameters_is_told() {
    let server = Server::start();
    let started = json!({"accelerator": "gzip", "parameters": {"app": {"level": 9}}});
    let mut connection = server.connect();
    let body = started.to_string();
    let answer = connection.post("/v2/sessions", "application/json", body.as_bytes());
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    let note = told["report"]["app"]["parameters-note"].as_str().unwrap();
    assert!(note.starts_with("'app.level' of the parameters is ignored"), "{note}");
    let session = told["id"].as_str().unwrap();
    let asked = json!({"parameters": {"level": 9, "app": {"specific": {}}}});
    let answer = job(&mut connection, session, &asked, &data(1000));
    assert_eq!(answer.status, 200);
    let note = &report(&answer)["app"]["parameters-note"];
    assert!(note.as_str().unwrap().starts_with("'level' of the parameters is ignored"), "{note}");
    let asked = json!({"parameters": {"level": 9, "app": {"specific": {"lvl": 9}}}});
    let answer = job(&mut connection, session, &asked, &data(1000));
    assert_eq!(answer.status, 400);
    assert!(text(&answer).contains("'level' of the parameters is ignored"), "{}", text(&answer));
}

#[test]
fn what_json_cannot_say_is_refused_in_a_query() {
    let server = Server::start();
    for (value, what) in [("b'x'", "bytes"), ("18446744073709551616", "more than 64 bits")] {
        let path = format!("/v2/run/gzip?mtime={value}");
        let answer = server.connect().post(&path, "application/octet-stream", b"x");
        assert_eq!(answer.status, 400);
        let told = text(&answer);
        assert!(told.contains("the value of 'mtime'") && told.contains(what), "{told}");
    }
}
