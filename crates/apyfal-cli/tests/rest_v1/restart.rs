//! A host that ends without warning, and starts again.

use serde_json::json;

use crate::client::{Client, app, none, text};
use crate::common::server::Server;
use crate::common::words;

#[test]
fn after_a_crash_what_was_told_still_holds() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let path = client.path_of(&url);
    let data = words(3 << 20, 1);
    let sent = client.submit(&url, none(), Some(&data));
    let finished = client.ended(&sent);
    let deleted = client.submit(&url, none(), Some(b"gone"));
    let deleted = client.ended(&deleted);
    client.delete(&deleted);
    let mut long = Client::of(&server, "long");
    let long_url = text(&long.start(none(), None), "url").to_owned();
    let running = long.submit(&long_url, none(), Some(b"x"));
    assert_eq!(running["processed"], false);

    let server = server.killed_and_started();
    let mut client = Client::new(&server);
    let told = client.ended(&finished);
    assert_eq!(
        (&told["id"], &told["parametersresult"]),
        (&finished["id"], &finished["parametersresult"])
    );
    assert!(client.result(&told) == data);
    client.get(&format!("process/{}", deleted["id"])).refused(404);

    let mut long = Client::of(&server, "long");
    let told = long.ended(&running);
    assert_ne!(app(&told)["status"], 0, "{told}");
    assert!(!text(app(&told), "msg").is_empty());
    long.delete(&told);

    // What was started is still there, and new ones get new numbers.
    let list = client.get("configuration/").well();
    let url = text(&list["results"][0], "url").to_owned();
    assert_eq!((client.path_of(&url), &list["results"][0]["used"]), (path, &json!(true)));
    let sent = client.submit(&url, none(), Some(b"again"));
    let newest = running["id"].as_u64().max(deleted["id"].as_u64()).max(finished["id"].as_u64());
    assert!(sent["id"].as_u64() > newest, "{sent}");
    let told = client.ended(&sent);
    assert_eq!(client.result(&told), b"again");
    let before = list["results"][0]["id"].as_u64();
    assert!(client.start(none(), None)["id"].as_u64() > before);
}

#[test]
fn numbers_of_what_was_deleted_are_not_used_again() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let mut last = 0;
    for _ in 0..3 {
        let sent = client.submit(&url, none(), Some(b"x"));
        let told = client.ended(&sent);
        client.delete(&told);
        last = told["id"].as_u64().unwrap();
    }
    let server = server.killed_and_started();
    let mut client = Client::new(&server);
    let path = text(&client.get("configuration/").well()["results"][0], "url").to_owned();
    let sent = client.submit(&path, none(), Some(b"x"));
    assert!(sent["id"].as_u64().unwrap() > last, "{sent} after {last}");
}
