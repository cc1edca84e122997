//! Start, process, stop: what each answer tells.

use serde_json::{Value, json};

use crate::client::{Client, app, none, process_parameters, text};
use crate::common::server::{Server, until};
use crate::common::{peer, words};
use crate::form::Form;

/// Whether this is a date of ISO 8601 in UTC.
fn is_date(value: &Value) -> bool {
    let shape: String = value
        .as_str()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00.000000Z"
}

#[test]
fn a_start_is_told_with_all_its_fields() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let started = client.start(none(), None);
    assert!(started["id"].is_u64() && started["id"] != 0, "{started}");
    assert_eq!((&started["used"], &started["processed"]), (&json!(true), &json!(true)));
    assert!(is_date(&started["created"]) && is_date(&started["processed_date"]), "{started}");
    assert_eq!((&started["errorcode"], &started["datafile"]), (&json!(0), &Value::Null));
    assert_eq!((&app(&started)["status"], text(app(&started), "msg")), (&json!(0), ""));
    assert_eq!(started["parameters"]["app"]["reload"], true);
    let path = client.path_of(text(&started, "url"));
    assert_eq!(client.connection.get(&path).well(), started);
}

#[test]
fn a_process_is_told_with_all_its_fields() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let configuration = client.start(none(), None);
    let url = text(&configuration, "url");
    let sent = client.submit(url, none(), Some(b"some data"));
    assert!(sent["id"].is_u64() && sent["id"] != 0 && sent["processed"].is_boolean(), "{sent}");
    let told = client.ended(&sent);
    assert_eq!(told["id"], sent["id"]);
    assert_eq!(text(&told, "configuration"), url);
    assert!(is_date(&told["processed_date"]), "{told}");
    assert_eq!(told["errorcode"], 0);
    assert_eq!(told["parameters"]["app"]["logging"]["verbosity"], 4);
    assert!(told.get("used").is_none() && told.get("created").is_none(), "{told}");
    let profiling = &app(&told)["profiling"];
    assert_eq!(
        (&profiling["total-bytes-read"], &profiling["total-bytes-written"]),
        (&json!(9), &json!(9))
    );
    assert!(profiling["wall-clock-time"].is_f64() && app(&told)["specific"].is_object(), "{told}");
    assert_eq!(client.result(&told), b"some data");
    // Once more, and part of it: it is there until it is deleted.
    assert_eq!(client.result(&told), b"some data");
    let path = client.path_of(text(&told, "datafileresult"));
    let part = client.connection.bare("GET", &path, "Range: bytes=5-\r\n");
    assert_eq!((part.status, part.body.as_slice()), (206, &b"data"[..]));
    assert_eq!(part.header("content-range"), Some("bytes 5-8/9"));
    let part = client.connection.bare("GET", &path, "Range: bytes=9-\r\n");
    assert_eq!(part.status, 416);
    client.delete(&told);
    client.get(&format!("process/{}", told["id"])).refused(404);
    client.connection.get(&path).refused(404);
}

#[test]
fn the_accelerators_own_result_comes_without_a_file() {
    let server = Server::with(&["--accelerator", "sha3"]);
    let mut client = Client::new(&server);
    let configuration = client.start(none(), None);
    let data = words(100_000, 1);
    let specific = json!({"type": "sha3-384"});
    let sent = client.submit(text(&configuration, "url"), specific, Some(&data));
    let told = client.ended(&sent);
    let expected = String::from_utf8(peer("openssl", &["dgst", "-sha3-384", "-r"], &data)).unwrap();
    assert_eq!(app(&told)["specific"]["digest"], expected.split(' ').next().unwrap());
    assert_eq!(told["datafileresult"], Value::Null);
    client.get(&format!("process/{}/datafileresult", told["id"])).refused(404);
    client.delete(&told);
}

#[test]
fn data_of_a_start_reaches_every_process() {
    let server = Server::with(&["--accelerator", "hyperfire"]);
    let mut client = Client::new(&server);
    let configuration = client.start(none(), Some(b"the,THE\nhe,she\n"));
    assert_eq!(configuration["datafile"], "src");
    let url = text(&configuration, "url");
    for _ in 0..2 {
        assert_eq!(client.process(url, none(), b"he has the key").1, b"she has THE key");
    }
}

#[test]
fn a_transaction_goes_over_several_processes() {
    let server = Server::with(&["--accelerator", "targz"]);
    let mut client = Client::new(&server);
    let configuration = client.start(none(), None);
    let url = text(&configuration, "url");
    let add = |client: &mut Client, start: u8, end: u8, name: &str, data: &[u8]| {
        let specific = json!({"startOfTx": start, "endOfTx": end, "name": name});
        let sent = client.submit(url, specific, Some(data));
        let told = client.ended(&sent);
        assert_eq!(app(&told)["status"], 0, "{told}");
        told
    };
    // Before the end there is nothing to fetch, and whether anything is fetched is the client's.
    add(&mut client, 1, 0, "a", b"first");
    add(&mut client, 0, 0, "b", b"second");
    let ended = add(&mut client, 0, 1, "c", b"third");
    let archive = client.result(&ended);
    assert_eq!(peer("tar", &["-xzOf", "-"], &archive), b"firstsecondthird");
}

#[test]
fn the_newest_configuration_serves_who_started_nothing() {
    let server = Server::with(&["--accelerator", "told"]);
    let mut first = Client::new(&server);
    first.start(json!({"word": "old"}), None);
    first.start(json!({"word": "new"}), None);
    let mut second = Client::new(&server);
    let list = second.get("configuration/").well();
    let newest = &list["results"][0];
    assert_eq!(newest["used"], true, "{list}");
    let url = text(newest, "url").to_owned();
    assert_eq!(second.process(&url, none(), b"-data").1, b"new-data");
}

#[test]
fn lists_have_pages_with_the_newest_first() {
    let server = Server::start();
    let mut client = Client::new(&server);
    for rest in ["configuration/", "process/"] {
        let list = client.get(rest).well();
        let empty =
            json!({"count": 0, "next": null, "previous": null, "inerror": false, "results": []});
        assert_eq!(list, empty);
    }
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.insert(0, client.start(none(), None)["id"].clone());
    }
    let list = client.get("configuration/").well();
    let url = text(&list["results"][0], "url").to_owned();
    let listed: Vec<_> =
        list["results"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!((listed, &list["count"]), (ids, &json!(2)));

    let mut sent = Vec::new();
    for _ in 0..45 {
        let process = client.submit(&url, none(), Some(b"x"));
        client.ended(&process);
        sent.insert(0, process["id"].as_u64().unwrap());
    }
    assert!(sent.is_sorted_by(|newer, older| newer > older), "{sent:?}");
    let mut seen = Vec::new();
    let mut path = client.path("process/");
    let mut before = Value::Null;
    loop {
        let list = client.connection.get(&path).well();
        assert_eq!(list["count"], 45);
        assert_eq!(list["previous"].is_null(), before.is_null(), "{list}");
        for item in list["results"].as_array().unwrap() {
            assert!(item["inerror"] == false && item["processed"] == true, "{item}");
            seen.push(item["id"].as_u64().unwrap());
        }
        before = path.clone().into();
        match &list["next"] {
            Value::String(next) => path = client.path_of(next),
            _ => break,
        }
    }
    assert_eq!(seen, sent);
    for query in ["?page=0", "?page=x", "?page=1000000"] {
        client.get(&format!("process/{query}")).refused(404);
    }
}

#[test]
fn a_process_that_runs_is_waited_for_and_not_asked_about_in_a_loop() {
    let server = Server::with(&["--accelerator", "nap"]);
    let mut client = Client::new(&server);
    let configuration = client.start(none(), None);
    let sent = client.submit(text(&configuration, "url"), none(), Some(b"x"));
    assert_eq!(sent["processed"], false, "{sent}");
    assert_eq!((&sent["processed_date"], &sent["datafileresult"]), (&Value::Null, &Value::Null));
    let (told, count) = client.ended_with_count(&sent);
    assert!(count <= 10, "{count} requests for a process of a second");
    assert_eq!(client.result(&told), b"x");
}

#[test]
fn the_description_is_the_one_that_is_checked_in() {
    let server = Server::start();
    let description: Value =
        serde_json::from_str(include_str!("../../../../openapi/v1.json")).unwrap();
    for path in ["/v1.0/schema/", "/v1.0/schema", "/null/v1.0/schema/"] {
        assert_eq!(server.get(path).json(), description, "{path}");
    }
}

#[test]
fn what_nobody_uses_ends_in_time() {
    let server = Server::configured("[serve]\nresult_ttl = 2s\n", &["--accelerator", "null"]);
    let mut client = Client::new(&server);
    let first = client.start(none(), None);
    let sent = client.submit(text(&first, "url"), none(), Some(b"data"));
    let told = client.ended(&sent);
    let newest = client.start(none(), None);
    let url = text(&newest, "url").to_owned();
    until("only the newest configuration is left", || {
        let list = client.get("configuration/").well();
        list["count"] == 1 && list["results"][0]["id"] == newest["id"]
    });
    let ended = client.get(&format!("configuration/{}", first["id"])).well();
    assert_eq!(ended["used"], false, "{ended}");
    let path = client.path_of(text(&told, "datafileresult"));
    until("the result is gone", || client.connection.get(&path).status == 404);
    assert_eq!(client.process(&url, none(), b"data").1, b"data");
    let form = Form::new().parameters(&process_parameters(none()));
    client.post("process/", &form.text("configuration", text(&first, "url"))).refused(404);
}
