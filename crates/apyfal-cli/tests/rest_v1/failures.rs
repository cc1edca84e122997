//! Starts and processes that fail.

use serde_json::json;

use crate::client::{Client, app, none, text};
use crate::common::server::Server;

#[test]
fn a_start_that_fails_is_told_as_such() {
    let server = Server::start();
    let mut client = Client::of(&server, "hyperfire");
    let url = text(&client.start(none(), Some(b"a,b\n")), "url").to_owned();
    for (specific, data, why) in [
        (json!({"wrods": 1}), Some(&b"a,b\n"[..]), "wrods"),
        (none(), None, "source"),
        (none(), Some(&b"no comma"[..]), "comma"),
        (json!({"src": "host:///etc/passwd"}), None, "authorized"),
    ] {
        let started = client.try_start(specific, data);
        let told = app(&started);
        assert_ne!(told["status"], 0, "{started}");
        assert_ne!(started["errorcode"], 0, "{started}");
        assert_eq!(started["used"], false, "{started}");
        let message = text(told, "msg");
        assert!(message.contains(why), "{message}");
        let message = app(&client.get(&format!("configuration/{}", started["id"])).well()).clone();
        assert_eq!(message, *told);
    }
    // It takes nothing away from those who had started.
    let list = client.get("configuration/").well();
    assert_eq!(
        (&list["results"][0]["url"], &list["results"][0]["used"]),
        (&json!(url), &json!(true))
    );
    assert_eq!(client.process(&url, none(), b"a c").1, b"b c");
}

#[test]
fn a_process_that_fails_is_told_as_such() {
    let server = Server::with(&["--accelerator", "gunzip"]);
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let message = client.fails(&url, none(), Some(b"this is no gzip"));
    assert!(message.contains("gzip"), "{message}");
    let message = client.fails(&url, json!({"levle": 1}), Some(b"x"));
    assert!(message.contains("levle"), "{message}");
    let message = client.fails(&url, none(), None);
    assert!(message.contains("source"), "{message}");

    let sent = client.submit(&url, none(), Some(b"nor is this"));
    let told = client.ended(&sent);
    assert_eq!((&told["processed"], &told["datafileresult"]), (&json!(true), &json!(null)));
    assert!(told["errorcode"] != 0 && told["processed_date"].is_string(), "{told}");
    client.get(&format!("process/{}/datafileresult", told["id"])).refused(404);
    let list = client.get("process/").well();
    assert_eq!(list["results"][0], told);
    client.delete(&told);
}

#[test]
fn what_a_program_said_is_in_the_message() {
    let server = Server::with(&["--accelerator", "fail"]);
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let message = client.fails(&url, none(), Some(&[7; 100_000]));
    assert!(message.contains("broken device"), "{message}");
    assert!(message.contains('3'), "{message}");
}

#[test]
fn a_result_that_was_begun_is_gone_when_the_process_fails() {
    let server = Server::with(&["--accelerator", "gunzip"]);
    let mut gzip = Client::of(&server, "gzip");
    let url = text(&gzip.start(none(), None), "url").to_owned();
    let packed = gzip.process(&url, none(), &crate::common::words(4 << 20, 1)).1;
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let message = client.fails(&url, none(), Some(&packed[..packed.len() - 10]));
    assert!(message.contains("ends"), "{message}");
}

#[test]
fn a_process_may_be_ended_while_it_runs() {
    let server = Server::with(&["--accelerator", "long"]);
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let sent = client.submit(&url, none(), Some(b"x"));
    assert_eq!(sent["processed"], false);
    client.delete(&sent);
    client.get(&format!("process/{}", sent["id"])).refused(404);
}
