//! The ways to the host: slashes, accelerators, names.

use serde_json::{Value, json};

use crate::client::{Client, none, process_parameters, start_parameters, text};
use crate::common::peer;
use crate::common::server::Server;
use crate::form::Form;

#[test]
fn every_path_has_both_slash_forms_and_may_begin_with_two() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let mut ids = Vec::new();
    for path in ["/v1.0/process/", "/v1.0/process", "//v1.0/process/", "//v1.0/process"] {
        let form = Form::new().parameters(&process_parameters(none())).text("configuration", &url);
        let form = form.data(b"data");
        let sent = client.connection.post(path, &form.kind(), &form.body()).well();
        client.ended(&sent);
        ids.push(sent["id"].clone());
    }
    for id in &ids {
        for path in [format!("/v1.0/process/{id}"), format!("//v1.0/process/{id}/")] {
            assert_eq!(client.connection.get(&path).well()["id"], *id);
        }
    }
    for path in [
        "/v1.0/configuration",
        "//v1.0/configuration/",
        "/v1.0/configuration/?page=1",
        "/v1.0/configuration?page=1",
    ] {
        assert_eq!(client.connection.get(path).well()["count"], 1, "{path}");
    }
    let start = Form::new().parameters(&start_parameters(none()));
    for path in ["/v1.0/configuration", "//v1.0/configuration/"] {
        client.connection.post(path, &start.kind(), &start.body()).well();
    }
    for path in ["/v1.0/stop", "/v1.0/stop/", "//v1.0/stop/"] {
        client.connection.get(path).well();
    }
    let answer = client.connection.delete(&format!("//v1.0/process/{}/", ids[0]));
    assert_eq!(answer.status, 204);
}

#[test]
fn urls_have_the_name_that_the_client_calls_the_host() {
    let server = Server::configured("[serve]\nnames = accelerator\naccelerator = null\n", &[]);
    for name in ["accelerator:8080", "localhost:8080", "127.0.0.1", "[::1]:80"] {
        let mut client = Client::new(&server).called(name);
        let configuration = client.start(none(), None);
        let url = text(&configuration, "url");
        assert!(url.starts_with(&format!("http://{name}/v1.0/")), "{url}");
        let sent = client.submit(url, none(), Some(b"data"));
        let told = client.ended(&sent);
        assert_eq!(client.result(&told), b"data");
        client.path_of(text(&told, "configuration"));
        client.path_of(text(&told, "url"));
    }
}

#[test]
fn each_accelerator_has_paths_of_its_own() {
    let server = Server::start();
    let mut default = Client::new(&server);
    let plain = default.start(none(), None);
    // An original name means the same, and stays in the URLs of who uses it.
    for name in ["gzip", "cast_gzip"] {
        let mut client = Client::of(&server, name);
        let configuration = client.start(none(), None);
        let url = text(&configuration, "url").to_owned();
        let packed = client.process(&url, none(), b"some text").1;
        assert_eq!(peer("gzip", &["-dc"], &packed), b"some text");
        // Who started nothing finds the accelerator's own.
        let list = client.get("configuration/").well();
        assert_eq!(list["results"][0]["id"], configuration["id"]);
        client.path_of(text(&list["results"][0], "url"));
        assert!(list["results"].as_array().unwrap().iter().all(|item| item["id"] != plain["id"]));
    }
    let list = default.get("configuration/").well();
    assert_eq!(list["results"][0]["id"], plain["id"], "{list}");
    assert_eq!(list["count"], 1);

    let message = server.get("/gzap/v1.0/configuration/").refused(404);
    assert!(message.contains("gzip"), "{message}");
}

#[test]
fn the_only_accelerator_of_ones_own_is_not_taken_for_the_default_one() {
    // Several are built in, so a host that names no default has none to guess.
    let server = Server::with(&[]);
    let message = server.get("/v1.0/configuration/").refused(404);
    assert!(message.contains("--accelerator"), "{message}");
    let mut client = Client::of(&server, "null");
    let url = text(&client.start(none(), None), "url").to_owned();
    assert_eq!(client.process(&url, none(), b"data").1, b"data");
}

#[test]
fn the_root_answers_at_once_and_stop_is_told() {
    let server = Server::start();
    for path in ["/", "//"] {
        let answer = server.get(path);
        assert!(answer.status < 400, "{path}: {answer:?}");
        assert_eq!(answer.header("content-encoding"), None);
    }
    let stopped = server.get("/v1.0/stop/").well();
    assert_eq!((&stopped["app"]["status"], &stopped["app"]["msg"]), (&0.into(), &Value::from("")));
}

#[test]
fn what_is_not_there_is_refused_as_this_protocol_refuses() {
    let server = Server::start();
    let mut client = Client::new(&server);
    client.start(none(), None);
    for path in [
        "/v1.0/",
        "/v1.0/nothing/",
        "/v1.0/configuration/0",
        "/v1.0/configuration/999999",
        "/v1.0/configuration/x",
        "/v1.0/process/1",
        "/v1.0/process/18446744073709551616",
        "/v1.0/process/-1",
        "/v1.0/process/1/datafileresult",
        "/v1.0/process/%2e%2e",
        "/null/v1.0/process/1/2/3",
    ] {
        client.connection.get(path).refused(404);
    }
    client.connection.delete("/v1.0/process/7").refused(404);
    for (method, path) in [
        ("PUT", "/v1.0/process/"),
        ("DELETE", "/v1.0/process/"),
        ("PATCH", "/v1.0/configuration/1"),
        ("POST", "/v1.0/process/1"),
    ] {
        let answer = client.connection.bare(method, path, "Content-Length: 0\r\n");
        answer.refused(405);
        assert!(
            answer.header("allow").is_some_and(|allowed| allowed.contains("GET")),
            "{answer:?}"
        );
    }
}

#[test]
fn where_a_token_is_asked_for_it_is_served_only_to_those_who_have_it_or_where_that_is_set() {
    let server = Server::configured("[serve]\ntoken = hunter2\naccelerator = null\n", &[]);
    for path in ["/v1.0/configuration/", "/v1.0/stop/", "/null/v1.0/process/", "/v1.0/process/1"] {
        let message = server.get(path).refused(403);
        assert!(message.contains("rest_v1 = True"), "{message}");
    }
    let form = Form::new().parameters(&start_parameters(none()));
    server.connect().post("/v1.0/configuration/", &form.kind(), &form.body()).refused(403);
    server.connect().called("x y").get("/v1.0/configuration/").refused(400);
    assert!(server.get("/").status < 400);
    let mut connection = server.connect();
    let with = |token| format!("Authorization: Bearer {token}\r\n");
    connection.bare("GET", "/v1.0/configuration/", &with("hunter2")).well();
    connection.bare("GET", "/v1.0/configuration/", &with("hunter3")).refused(401);
    assert!(server.log().contains("GET /v1.0/configuration/ was refused"), "{}", server.log());

    let server = Server::configured(
        "[serve]\ntoken = hunter2\nrest_v1 = True\n",
        &["--accelerator", "null"],
    );
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    assert_eq!(client.process(&url, none(), b"data").1, b"data");
    assert_eq!(client.get("configuration/").well()["count"], json!(1));
}
