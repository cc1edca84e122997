//! Sessions, and what the host tells of itself.

use super::*;
use crate::common::Home;

#[test]
fn the_host_tells_what_it_is() {
    let server = Server::start();
    let host = server.get("/v2/host").json();
    assert_eq!(host["protocols"], json!([2]));
    assert_eq!(host["default_accelerator"], "null");
    assert!(host["accelerators"].as_array().unwrap().contains(&json!("gzip")));
    let gzip = server.get("/v2/accelerators/cast_gzip").json();
    assert_eq!((&gzip["name"], &gzip["rerun_safe"]), (&json!("gzip"), &json!(true)));
    assert_eq!(refused(&server.get("/v2/accelerators/gzap"), 404), "not-found");
    let other = server.connect().bare("GET", "/v2/host", "apyfal-protocol: 3\r\n");
    assert_eq!(refused(&other, 400), "usage");
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn a_session_is_listed_until_it_is_stopped() {
    let server = Server::start();
    let id = session(&server, "sha3");
    let listed = server.get("/v2/sessions").json();
    assert_eq!(listed["sessions"][0]["id"].as_str(), Some(&*id));
    let path = format!("/v2/sessions/{id}");
    assert_eq!(server.get(&path).json()["accelerator"], "sha3");
    assert_eq!(server.connect().delete(&path).status, 200);
    assert_eq!(server.connect().delete(&path).status, 200, "again is no error");
    assert_eq!(refused(&server.get(&path), 404), "not-found");
    let never = server.connect().delete("/v2/sessions/session-NEVER0");
    assert_eq!(refused(&never, 404), "not-found");
    assert_eq!(server.get("/v2/sessions").json()["count"], 0);
}

#[test]
fn a_host_that_lives_for_ever_has_a_lease_without_limits() {
    let server = Server::start();
    let lease = server.get("/v2/lease");
    assert_eq!((lease.status, text(&lease)), (200, "{}".to_owned()));
    let extended = server.connect().bare("POST", "/v2/lease?seconds=1", "Content-Length: 0\r\n");
    assert_eq!(refused(&extended, 409), "conflict");
}

#[test]
fn a_session_has_its_data_and_its_secrets_stay() {
    let server = Server::start();
    let form = "--b\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n\
        {\"accelerator\": \"hyperfire\", \"parameters\": {\"env\": {\"client_secret\": \"hunter2\"}}}\r\n\
        --b\r\nContent-Disposition: form-data; name=\"data\"; filename=\"x\"\r\n\r\n\
        one,two\n\r\n--b--\r\n";
    let kind = "multipart/form-data; boundary=b";
    let answer = server.connect().post("/v2/sessions", kind, form.as_bytes());
    assert_eq!(answer.status, 201, "{}", text(&answer));
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let answer = job(&mut server.connect(), &id, &json!({}), b"one ones");
    assert_eq!(text(&answer), "two ones");
    assert!(!text(&server.get(&format!("/v2/sessions/{id}"))).contains("hunter2"));
    let journal = server.home().read(".apyfal/host/journal.db");
    let log = server.home().read(".apyfal/host/journal.db-wal");
    for bytes in [journal, log] {
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    }
}

#[test]
fn a_start_that_is_wrong_leaves_nothing() {
    let server = Server::start();
    let mut connection = server.connect();
    let mut start =
        |request: &str| connection.post("/v2/sessions", "application/json", request.as_bytes());
    assert_eq!(refused(&start("{"), 400), "usage");
    assert_eq!(refused(&start(r#"{"accelerator": "gzap"}"#), 404), "not-found");
    assert_eq!(refused(&start(r#"{"accelerator": "hyperfire"}"#), 400), "usage");
    assert_eq!(refused(&start(r#"{"acelerator": "gzip"}"#), 400), "usage");
    let deep = format!(r#"{{"parameters": {}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    assert_eq!(refused(&start(&deep), 400), "usage");
    assert_eq!(server.get("/v2/sessions").json()["count"], 0);
}

#[test]
fn a_host_whose_accelerator_nobody_knows_has_the_others() {
    let server = Server::configured("[serve]\naccelerator = of_nobody\n", &[]);
    let start = |asked: Value| {
        let body = asked.to_string();
        let answer = server.connect().post("/v2/sessions", "application/json", body.as_bytes());
        (answer.status, text(&answer))
    };
    assert_eq!(start(json!({"accelerator": "null"})).0, 201);
    let (status, told) = start(json!({}));
    assert!(status == 400 && told.contains("the request names none"), "{status} {told}");
    let (status, told) = start(json!({"accelerator": "of_nobody"}));
    assert!(status == 404 && told.contains("'of_nobody'"), "{status} {told}");
    // Who types one means it.
    let error = Home::new().fails(6, &["serve", "--accelerator", "of_nobody"]);
    assert!(error.contains("'of_nobody'"), "{error}");
}
