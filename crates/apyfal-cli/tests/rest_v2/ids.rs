//! Ids that clients choose: each stands for one job, whoever else uses it.

use std::sync::Barrier;

use super::*;
use crate::common::server::until;

/// Data of this length that no other number gives.
fn of(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 + number * 7 + index / 251) as u8).collect()
}

/// SHA-256 of data, as `Content-Digest` has it.
fn digest(data: &[u8]) -> String {
    let digest = common::peer("openssl", &["dgst", "-sha256", "-binary"], data);
    let encoded = common::peer("base64", &["-w0"], &digest);
    format!("Content-Digest: sha-256=:{}:\r\n", common::text(&encoded))
}

/// The head of a job with an id.
fn head(connection: &Connection, session: &str, id: &str, more: &str) -> String {
    let head = connection.head("POST", &format!("/v2/sessions/{session}/jobs"));
    format!("{head}apyfal-request: {{\"id\": \"{id}\", \"output\": true}}\r\n{more}")
}

/// Sends a job with an id, more lines of headers, and its data.
fn ask(server: &Server, session: &str, id: &str, more: &str, data: &[u8]) -> Answer {
    let mut connection = server.connect();
    let head = head(&connection, session, id, more);
    connection.write(format!("{head}Content-Length: {}\r\n\r\n", data.len()).as_bytes());
    connection.try_write(data);
    connection.answer()
}

fn chunked(server: &Server, session: &str, id: &str, data: &[u8]) -> Answer {
    let mut connection = server.connect();
    let head = head(&connection, session, id, "Transfer-Encoding: chunked\r\n\r\n");
    connection.write(head.as_bytes());
    for piece in data.chunks(10_000) {
        connection.try_write(format!("{:x}\r\n", piece.len()).as_bytes());
        connection.try_write(piece);
        connection.try_write(b"\r\n");
    }
    connection.try_write(b"0\r\n\r\n");
    connection.answer()
}

fn in_form(server: &Server, session: &str, id: &str, data: &[u8]) -> Answer {
    let part = |name: &str, content: &[u8]| {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    };
    let request = format!("{{\"id\": \"{id}\"}}");
    let form = [part("request", request.as_bytes()), part("data", data), b"--b--\r\n".to_vec()];
    let path = format!("/v2/sessions/{session}/jobs");
    server.connect().post(&path, "multipart/form-data; boundary=b", &form.concat())
}

#[test]
fn only_the_same_data_gets_the_result() {
    let server = Server::start();
    let session = session(&server, "null");
    type Sender<'a> = &'a dyn Fn(&str, &[u8]) -> Answer;
    let plain: Sender<'_> = &|id, data| ask(&server, &session, id, "", data);
    let by_chunks: Sender<'_> = &|id, data| chunked(&server, &session, id, data);
    let by_form: Sender<'_> = &|id, data| in_form(&server, &session, id, data);
    for (name, send) in [("plain", plain), ("chunked", by_chunks), ("form", by_form)] {
        for length in [1, 1000, 65_536, 65_537, 3_000_000] {
            let id = format!("{name}-{length}");
            let (ours, others) = (of(1, length), of(2, length));
            assert_ne!(ours, others);
            for _ in 0..2 {
                let answer = send(&id, &ours);
                assert_eq!(answer.status, 200, "{id}: {}", text(&answer));
                assert!(answer.body == ours, "{id}: other bytes");
                assert_eq!(refused(&send(&id, &others), 409), "conflict", "{id}");
            }
        }
    }
}

#[test]
fn what_failed_is_told_to_the_same_job_alone() {
    let server = Server::start();
    let session = session(&server, "gunzip");
    let packed = common::peer("gzip", &["-1"], &of(3, 1000));
    for damaged in [vec![1; packed.len()], vec![1; 200_000]] {
        let id = format!("job_{}", damaged.len());
        assert_eq!(refused(&ask(&server, &session, &id, "", &damaged), 422), "invalid-data");
        assert_eq!(refused(&ask(&server, &session, &id, "", &damaged), 422), "invalid-data");
        let others = if damaged.len() == packed.len() { packed.clone() } else { vec![2; 200_000] };
        // The rest of what was damaged is read behind the answer.
        until("it is known what it was", || {
            let answer = ask(&server, &session, &id, "", &others);
            answer.status == 409
        });
    }
}

#[test]
fn what_was_damaged_on_its_way_is_sent_again_under_its_id() {
    let server = Server::start();
    let session = session(&server, "null");
    for length in [1000, 300_000] {
        let (ours, damaged) = (of(5, length), of(6, length));
        let (id, stated) = (format!("damaged-{length}"), digest(&ours));
        let refusal = refused(&ask(&server, &session, &id, &stated, &damaged), 400);
        assert_eq!(refusal, "usage");
        let answer = ask(&server, &session, &id, &stated, &ours);
        assert!(answer.status == 200 && answer.body == ours, "{length}: {}", text(&answer));
    }
}

#[test]
fn what_had_no_room_is_sent_again_once_there_is_some() {
    let server = Server::configured("[serve]\nscratch_quota = 1M\n", &[]);
    let session = session(&server, "null");
    let data = of(7, 400_000);
    assert_eq!(ask(&server, &session, "first", "", &of(8, 700_000)).status, 200);
    for _ in 0..2 {
        assert_eq!(refused(&ask(&server, &session, "second", "", &data), 507), "storage-full");
    }
    assert_eq!(server.connect().delete("/v2/jobs/first").status, 204);
    let answer = ask(&server, &session, "second", "", &data);
    assert!(answer.status == 200 && answer.body == data, "{}", text(&answer));
}

#[test]
fn of_two_at_once_each_gets_its_own_or_none() {
    let server = Server::start();
    let session = session(&server, "null");
    const CLIENTS: usize = 4;
    let (mut given, mut refusals) = (0, 0);
    for length in [100, 70_000, 900_000] {
        for round in 0..12 {
            let id = format!("both-{length}-{round}");
            let barrier = Barrier::new(CLIENTS);
            let answers: Vec<_> = std::thread::scope(|scope| {
                let clients: Vec<_> = (0..CLIENTS)
                    .map(|client| {
                        let (barrier, server, session, id) = (&barrier, &server, &session, &id);
                        scope.spawn(move || {
                            // Two of them send the same.
                            let data = of(client / 2, length);
                            barrier.wait();
                            let answer = ask(server, session, id, "", &data);
                            (data, answer)
                        })
                    })
                    .collect();
                clients.into_iter().map(|client| client.join().unwrap()).collect()
            });
            for (data, answer) in answers {
                if answer.status == 200 {
                    assert!(answer.body == data, "{id}: another one's result");
                    given += 1;
                } else {
                    assert_eq!(refused(&answer, 409), "conflict", "{id}");
                    refusals += 1;
                }
            }
        }
    }
    assert_eq!((given, refusals), (3 * 12 * 2, 3 * 12 * 2));
}

#[test]
fn a_content_digest_decides_before_the_data_comes() {
    let server = Server::start();
    let gated = session(&server, "gated");
    let (ours, others) = (of(1, 200_000), of(2, 200_000));
    // Of a job whose data is not even there.
    let mut first = server.connect();
    let begun = head(&first, &gated, "mine", &digest(&ours));
    first.write(format!("{begun}Content-Length: {}\r\n\r\n", ours.len()).as_bytes());
    until("it is listed", || server.get("/v2/jobs/mine").status == 200);
    let without_data = |more: &str| {
        let mut connection = server.connect();
        let head = head(&connection, &gated, "mine", more);
        connection.write(format!("{head}Content-Length: 200000\r\n\r\n").as_bytes());
        connection.answer()
    };
    assert_eq!(refused(&without_data(&digest(&others)), 409), "conflict");
    server.open_gate();
    first.write(&ours);
    let answer = first.answer();
    assert!(answer.body == ours, "{}", answer.status);
    // And of one that ended.
    assert!(without_data(&digest(&ours)).body == ours);
    assert_eq!(refused(&without_data(&digest(&others)), 409), "conflict");
    // It must be true, and readable.
    for length in [1000, 200_000] {
        let (ours, others) = (of(1, length), of(2, length));
        let id = format!("wrong-{length}");
        let answer = ask(&server, &gated, &id, &digest(&others), &ours);
        assert_eq!(refused(&answer, 400), "usage");
        assert!(text(&answer).contains("Content-Digest"), "{}", text(&answer));
        let odd = "Content-Digest: sha-256=abc\r\n";
        assert_eq!(refused(&ask(&server, &gated, "odd", odd, &ours), 400), "usage");
        // Others than SHA-256 say nothing.
        let other =
            ask(&server, &gated, &format!("md-{length}"), "Content-Digest: md5=:YQ==:\r\n", &ours);
        assert!(other.body == ours);
    }
}

#[test]
fn data_that_comes_again_takes_no_room() {
    let server = Server::configured("[serve]\nscratch_quota = 2M\n", &[]);
    let session = session(&server, "null");
    let (ours, others) = (of(1, 1_500_000), of(2, 1_500_000));
    for _ in 0..3 {
        assert!(ask(&server, &session, "mine", "", &ours).body == ours);
        assert_eq!(refused(&ask(&server, &session, "mine", "", &others), 409), "conflict");
    }
}

#[test]
fn an_id_that_was_deleted_is_free() {
    let server = Server::start();
    let session = session(&server, "null");
    for number in 0..3 {
        let data = of(number, 100_000 + number);
        assert!(ask(&server, &session, "mine", "", &data).body == data);
        assert!(server.get("/v2/jobs/mine/result").body == data);
        assert_eq!(server.connect().delete("/v2/jobs/mine").status, 204);
        assert_eq!(server.get("/v2/jobs/mine/result").status, 404);
    }
    let results = server.home().path(".apyfal/host/scratch/results");
    assert_eq!(std::fs::read_dir(results).unwrap().count(), 0);
}

#[test]
fn what_was_acknowledged_is_told_apart_after_a_crash() {
    let server = Server::start();
    let gated = session(&server, "gated");
    let (ours, others) = (of(1, 300_000), of(2, 300_000));
    let submit = json!({"id": "mine", "mode": "submit", "output": true});
    let answer = job(&mut server.connect(), &gated, &submit, &ours);
    assert_eq!(answer.status, 202, "{}", text(&answer));
    let server = server.killed_and_started();
    server.open_gate();
    assert_eq!(server.get("/v2/jobs/mine").json()["state"], "interrupted");
    assert_eq!(refused(&ask(&server, &gated, "mine", "", &others), 409), "conflict");
    assert_eq!(server.get("/v2/jobs/mine").json()["state"], "interrupted");
    // The same runs anew.
    assert!(ask(&server, &gated, "mine", "", &ours).body == ours);
    assert!(server.get("/v2/jobs/mine/result").body == ours);
    let server = server.killed_and_started();
    assert_eq!(refused(&ask(&server, &gated, "mine", "", &others), 409), "conflict");
    assert!(ask(&server, &gated, "mine", "", &ours).body == ours);
}
