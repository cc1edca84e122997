//! Requests that are too much.

use super::*;

#[test]
fn more_jobs_than_may_wait_are_refused_for_now() {
    let server = Server::configured("[serve]\nmax_waiting = 1\n", &[]);
    let session = session(&server, "one_long");
    let submit = || job(&mut server.connect(), &session, &json!({"mode": "submit"}), b"x");
    let states: Vec<_> = (0..4).map(|_| submit()).collect();
    assert!(states.iter().all(|answer| answer.status == 202));
    let busy = common::server::until_some("one is refused", || {
        let answer = job(&mut server.connect(), &session, &json!({}), b"x");
        (answer.status == 429).then_some(answer)
    });
    assert_eq!(refused(&busy, 429), "busy");
    assert!(busy.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
}

#[test]
fn a_full_scratch_refuses_results_and_goes_on() {
    let server = Server::configured("[serve]\nscratch_quota = 1M\n", &[]);
    let session = session(&server, "null");
    let kept = json!({"id": "large"});
    let answer = job(&mut server.connect(), &session, &kept, &data(2_000_000));
    assert_eq!(refused(&answer, 507), "storage-full");
    let answer = job(&mut server.connect(), &session, &json!({"id": "small"}), b"x");
    assert_eq!(text(&answer), "x");
}

#[test]
fn heads_that_are_too_long_are_refused() {
    let server = Server::start();
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(300_000));
    for more in [many, long] {
        let mut connection = server.connect();
        let head = connection.head("GET", "/v2/host");
        connection.try_write(format!("{head}{more}\r\n").as_bytes());
        let status = connection.answer().status;
        assert!((400..500).contains(&status), "{status}");
    }
    assert_eq!(server.get("/v2/host").status, 200);
}

#[test]
fn unknown_places_and_methods_are_errors_in_our_form() {
    let server = Server::start();
    assert_eq!(refused(&server.get("/nothing/here"), 404), "not-found");
    assert_eq!(refused(&server.connect().bare("PATCH", "/v2/host", ""), 405), "usage");
    assert_eq!(refused(&server.get("/v2/jobs?page=x"), 400), "usage");
    assert_eq!(refused(&server.get("/v2/jobs/%ff"), 400), "usage");
    for wait in ["-1", "NaN", "inf", "1e400"] {
        let status = server.get(&format!("/v2/jobs/none?wait={wait}")).status;
        assert!(status == 404 || status == 400, "{wait}: {status}");
    }
}
