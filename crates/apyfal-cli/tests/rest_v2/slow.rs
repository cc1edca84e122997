//! Clients that are slow, or gone.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use super::*;
use crate::common::server::{until, until_some};

/// A server that loses its patience soon, with an accelerator of one slot.
fn impatient() -> Server {
    Server::configured("[serve]\nclient_timeout = 1s\n", &[])
}

#[test]
fn a_client_that_stops_sending_frees_its_slot() {
    let server = impatient();
    let session = session(&server, "one");
    let mut silent = server.connect();
    send_job(&mut silent, &session, &json!({"output": true}), 10_000_000);
    silent.write(&data(10_000));
    let answer = job(&mut server.connect(), &session, &json!({"output": true}), b"next");
    assert_eq!((answer.status, text(&answer)), (200, "next".to_owned()));
    assert_eq!(refused(&silent.answer(), 408), "timeout");
}

#[test]
fn clients_that_send_slowly_hold_no_slot_that_others_wait_for() {
    let server = Server::configured("[serve]\nclient_timeout = 5m\nthreads = 1\n", &[]);
    let session = session(&server, "null");
    let sent = data(1_000_000);
    let mut slow = [server.connect(), server.connect()];
    for slow in &mut slow {
        send_job(slow, &session, &json!({"output": true}), sent.len());
        slow.write(&sent[..70_000]);
    }
    until("one has the slot", || {
        text(&server.get("/metrics")).contains("apyfal_jobs_running{accelerator=\"null\"} 1\n")
    });
    let answer = job(&mut server.connect(), &session, &json!({"output": true}), b"next");
    assert_eq!((answer.status, text(&answer)), (200, "next".to_owned()));
    for mut slow in slow {
        slow.write(&sent[70_000..]);
        let answer = slow.answer();
        assert!(answer.status == 200 && answer.body == sent, "{}", text(&answer));
    }
}

#[test]
fn a_web_server_may_not_drip() {
    let configuration = "[serve]\nclient_timeout = 2s\n[security]\nallowed_networks = 127.0.0.1\n";
    let server = Server::configured(configuration, &[]);
    let session = session(&server, "null");
    let dripping = TcpListener::bind("127.0.0.1:0").unwrap();
    let src = format!("http://{}/drip", dripping.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut asking, _) = dripping.accept().unwrap();
        let _ = asking.read(&mut [0; 4096]);
        let _ = asking.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while asking.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let answer = job(&mut server.connect(), &session, &json!({"src": src}), b"");
    let why = text(&answer);
    assert!(why.contains("the server sent only ") && why.contains(" in 2 s"), "{why}");
}

#[test]
fn a_client_that_goes_away_ends_its_job() {
    let server = Server::start();
    let session = session(&server, "long");
    let mut gone = server.connect();
    send_job(&mut gone, &session, &json!({}), 1);
    gone.write(b"x");
    let running = || server.get("/v2/host").status == 200 && live(&server) == 1;
    until("it runs", running);
    drop(gone);
    until("it ended", || live(&server) == 0);
}

/// How many programs of the accelerator `long` run for this server.
fn live(server: &Server) -> usize {
    let root = server.home().folder().to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| {
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&format!("HOME={root}"))
                && String::from_utf8_lossy(&command).contains("sleep 150")
        })
        .count()
        .min(1)
}

#[test]
fn a_client_that_reads_late_does_not_hold_the_slot() {
    let server = Server::start();
    let session = session(&server, "one");
    let sent = data(20_000_000);
    let mut late = server.connect();
    send_job(&mut late, &session, &json!({"output": true}), sent.len());
    late.write(&sent);
    let answer = job(&mut server.connect(), &session, &json!({"output": true}), b"next");
    assert_eq!(text(&answer), "next");
    assert!(late.answer().body == sent);
}

#[test]
fn a_client_that_takes_nothing_for_too_long_is_given_up() {
    let server = Server::configured("[serve]\ntake_timeout = 1s\n", &[]);
    let session = session(&server, "null");
    let sent = data(20_000_000);
    let mut never = server.connect();
    send_job(&mut never, &session, &json!({"output": true}), sent.len());
    never.write(&sent);
    let head = never.answer_head();
    let id = head.header("apyfal-job").unwrap().to_owned();
    let why = "the client took nothing of the answer for 1 s";
    until("it is given up", || server.log().contains(why));
    // Where the last of the result was in scratch before the answer began, it had ended well.
    let job = until_some("it ended", || {
        let job = server.get(&format!("/v2/jobs/{id}")).json();
        ["done", "failed"].iter().any(|state| job["state"] == *state).then_some(job)
    });
    if job["state"] == "failed" {
        assert_eq!(job["error"]["kind"], "timeout", "{job}");
        assert!(job["error"]["message"].as_str().unwrap().contains(why), "{job}");
    }
    let is_free = || text(&server.get("/metrics")).contains("apyfal_scratch_bytes 0\n");
    until("its space is free", is_free);
}

#[test]
fn a_client_may_send_slowly_and_not_drip() {
    let server = Server::configured("[serve]\nclient_timeout = 3s\n", &[]);
    let session = session(&server, "null");
    // Below and above what is taken in before the job begins.
    std::thread::scope(|scope| {
        for piece in [2000, 20_000] {
            let (server, session) = (&server, &session);
            scope.spawn(move || {
                let sent = data(12 * piece);
                let mut slow = server.connect();
                send_job(&mut slow, session, &json!({"output": true}), sent.len());
                for piece in sent.chunks(piece) {
                    std::thread::sleep(Duration::from_millis(400));
                    slow.write(piece);
                }
                let answer = slow.answer();
                assert!(answer.status == 200 && answer.body == sent, "{}", text(&answer));
            });
        }
        for length in [60_000, 1_000_000] {
            let (server, session) = (&server, &session);
            scope.spawn(move || {
                let mut drip = server.connect();
                send_job(&mut drip, session, &json!({"output": true}), length);
                until("it is ended", || {
                    std::thread::sleep(Duration::from_millis(100));
                    drip.try_write(b"x");
                    drip.has_come()
                });
                let answer = drip.answer();
                assert_eq!(refused(&answer, 408), "timeout");
                let why = text(&answer);
                assert!(why.contains("the client sent only ") && why.contains("in 3 s"), "{why}");
            });
        }
    });
}
