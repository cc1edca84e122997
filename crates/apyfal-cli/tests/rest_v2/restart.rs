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
