//! What a crash leaves: everything that was promised, and no more.

use super::*;
use crate::common::server::until;

#[test]
fn finished_results_survive_and_running_jobs_are_interrupted() {
    let server = Server::start();
    let (null, once) = (session(&server, "null"), session(&server, "once"));
    let long = session(&server, "long");
    let sent = data(200_000);
    let done = job(&mut server.connect(), &null, &json!({"id": "done"}), &sent);
    assert_eq!(done.status, 200);
    let running = json!({"id": "running", "mode": "submit"});
    let other = json!({"id": "other", "mode": "submit"});
    assert_eq!(job(&mut server.connect(), &once, &running, b"x").status, 202);
    assert_eq!(job(&mut server.connect(), &long, &other, b"x").status, 202);
    for id in ["running", "other"] {
        let path = format!("/v2/jobs/{id}");
        until("it runs", || server.get(&path).json()["state"] == "running");
    }
    let number = |server: &Server| {
        let answer = job(&mut server.connect(), &null, &json!({}), b"x");
        assert_eq!(answer.status, 200, "{}", text(&answer));
        let id = answer.header("apyfal-job").unwrap().to_owned();
        id.strip_prefix("job-").unwrap().parse::<u64>().unwrap()
    };
    let before = number(&server);

    let server = server.killed_and_started();
    assert!(number(&server) > before, "an id was used again");
    assert!(server.get("/v2/jobs/done/result").body == sent);
    let interrupted = server.get("/v2/jobs/running").json();
    assert_eq!(interrupted["state"], "interrupted", "{interrupted}");
    assert_eq!(interrupted["error"]["retryable"], true);
    // Sent again it is not run again, since it ended; its session is still there.
    let again = job(&mut server.connect(), &null, &json!({"id": "done"}), &sent);
    assert!(again.body == sent);
    assert_eq!(server.get("/v2/sessions").json()["count"], 3);
    // An interrupted one may run anew where that is safe.
    assert_eq!(job(&mut server.connect(), &long, &other, b"x").status, 202);
    until("it runs", || server.get("/v2/jobs/other").json()["state"] == "running");
    let refused = job(&mut server.connect(), &once, &running, b"x").json();
    assert_eq!(refused["state"], "interrupted", "{refused}");
}

/// The directories of sessions that are on the disk.
fn sessions_of(server: &Server) -> usize {
    let sessions = server.home().path(".apyfal/host/sessions");
    std::fs::read_dir(sessions).map_or(0, Iterator::count)
}

#[test]
fn nothing_is_left_of_sessions_that_a_crash_cut_off() {
    let server = Server::start();
    let kept = session(&server, "null");
    // A start whose source does not end, and a job alone that does not either.
    let mut starting = server.connect();
    let head = starting.head("POST", "/v2/sessions");
    let request = r#"Apyfal-Request: {"accelerator": "hyperfire"}"#;
    starting.write(format!("{head}{request}\r\nContent-Length: 100\r\n\r\none,1\n").as_bytes());
    let mut alone = server.connect();
    let head = alone.head("POST", "/v2/run/null");
    alone.write(format!("{head}Content-Length: 100000\r\n\r\n").as_bytes());
    alone.write(&data(50_000));
    until("all have a directory", || sessions_of(&server) == 3);
    // What a program read, in a session that stays.
    let copy = format!(".apyfal/host/sessions/{kept}/src-AbCdEf");
    server.home().write(&copy, data(100));
    let server = server.killed_and_started();
    assert_eq!(sessions_of(&server), 1);
    assert!(!server.home().path(&copy).exists());
    let answer = job(&mut server.connect(), &kept, &json!({}), b"x");
    assert_eq!(text(&answer), "x");
}

#[test]
fn a_session_that_cannot_be_opened_any_more_can_be_ended() {
    let server = Server::configured("[accelerator.gone]\ncommand = ['cat']\n", &[]);
    let session = session(&server, "gone");
    let server = server.killed();
    let server = server.configured("");
    let answer = job(&mut server.connect(), &session, &json!({}), b"x");
    assert_eq!(refused(&answer, 404), "not-found");
    assert_eq!(server.connect().delete(&format!("/v2/sessions/{session}")).status, 200);
    assert_eq!(server.get("/v2/sessions").json()["count"], 0);
    assert_eq!(sessions_of(&server), 0);
}

/// What is set aside: names and contents.
fn aside(server: &Server) -> Vec<(String, Vec<u8>)> {
    let folder = server.home().path(".apyfal/host/scratch/aside");
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap_or_default())
    };
    entries.map(read).collect()
}

#[test]
fn results_that_the_journal_lost_are_set_aside() {
    for is_lost in [true, false] {
        let server = Server::configured("[serve]\nresult_ttl = 1h\n", &["--accelerator", "null"]);
        let kept = session(&server, "null");
        let sent = data(200_000);
        let done = job(&mut server.connect(), &kept, &json!({"id": "mine"}), &sent);
        assert_eq!(done.status, 200);
        let killed = server.killed();
        let log = killed.home.path(".apyfal/host/journal.db-wal");
        match is_lost {
            true => std::fs::remove_file(log).unwrap(),
            false => {
                let len = std::fs::metadata(&log).unwrap().len();
                std::fs::write(&log, vec![0xa5; len as usize]).unwrap();
            }
        }
        let server = killed.configured("[serve]\nresult_ttl = 1h\n");
        assert_eq!(refused(&server.get("/v2/jobs/mine/result"), 404), "not-found");
        let set_aside = aside(&server);
        let [(name, content)] = &set_aside[..] else { panic!("{set_aside:?}") };
        assert!(name.ends_with(".mine") && *content == sent, "{name}");
        assert!(server.log().contains("set aside in '"), "{}", server.log());
        let used = server.get("/status").json()["scratch_used"].as_u64().unwrap();
        assert_eq!(used, 200_000);
        // It goes in time, and not at once.
        let server = server.killed_and_started();
        assert_eq!(aside(&server).len(), 1);
        let server = server.killed().configured("[serve]\nresult_ttl = 1s\n");
        until("it is gone", || aside(&server).is_empty());
    }
}
