//! Files of the host, which it reads and writes by itself.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::client::{Client, app, none, text};
use crate::common::server::Server;
use crate::common::{peer, words};

/// A server with the authorized directories `in` and `out`, and files beside them.
fn server(accelerator: &str) -> Server {
    let server = Server::configured(
        "[security]\nauthorized_host_dirs =\n    ~/in\n    ~/out\n",
        &["--accelerator", accelerator],
    );
    let home = server.home();
    for folder in ["in", "out", "elsewhere"] {
        std::fs::create_dir(home.path(folder)).unwrap();
    }
    home.write("in/words.txt", words(100_000, 1));
    home.write("in/table.csv", "the,THE\n");
    home.write("elsewhere/private", "not for others");
    symlink(home.path("elsewhere/private"), home.path("in/link")).unwrap();
    symlink(home.path("elsewhere"), home.path("in/away")).unwrap();
    server
}

/// Parameters with a source or destination of the host, under both of its names as it was sent.
fn with(names: [&str; 2], url: &str) -> Value {
    json!({(names[0]): url, (names[1]): url})
}

const SOURCE: [&str; 2] = ["src", "file_in"];
const DESTINATION: [&str; 2] = ["dst", "file_out"];

fn both(source: &str, destination: &str) -> Value {
    let mut specific = with(SOURCE, source);
    let more = with(DESTINATION, destination);
    specific.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    specific
}

#[test]
fn the_host_reads_and_writes_its_own_files() {
    let server = server("gzip");
    let home = server.home();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();

    let specific = both("host://words.txt", &format!("host://{}/a.gz", home.path("out").display()));
    let sent = client.submit(&url, specific, None);
    let told = client.ended(&sent);
    assert_eq!(
        (&app(&told)["status"], &told["datafileresult"]),
        (&json!(0), &Value::Null),
        "{told}"
    );
    assert!(peer("gzip", &["-dc"], &home.read("out/a.gz")) == words(100_000, 1));
    client.delete(&told);
    assert!(home.path("out/a.gz").exists());

    // One of the two alone, and the other one over the connection.
    let sent = client.submit(&url, with(SOURCE, "host://words.txt"), None);
    let told = client.ended(&sent);
    assert!(peer("gzip", &["-dc"], &client.result(&told)) == words(100_000, 1));
    let destination = format!("host://{}/b.gz", home.path("out").display());
    let sent = client.submit(&url, with(DESTINATION, &destination), Some(b"sent"));
    let told = client.ended(&sent);
    assert_eq!(
        (&app(&told)["status"], &told["datafileresult"]),
        (&json!(0), &Value::Null),
        "{told}"
    );
    assert_eq!(peer("gzip", &["-dc"], &home.read("out/b.gz")), b"sent");
}

#[test]
fn a_start_may_read_a_file_of_the_host() {
    let server = server("hyperfire");
    let mut client = Client::new(&server);
    let configuration = client.start(with(["src", "datafile"], "host://table.csv"), None);
    let url = text(&configuration, "url");
    assert_eq!(client.process(url, none(), b"the end").1, b"THE end");
}

#[test]
fn nothing_outside_of_the_authorized_directories_is_reached() {
    let server = server("null");
    let home = server.home();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let outside = home.path("elsewhere/private");
    let outside = outside.display();
    for source in [
        format!("host://{outside}"),
        "host:///etc/passwd".to_owned(),
        "host://../elsewhere/private".to_owned(),
        "host://%2e%2e/elsewhere/private".to_owned(),
        "host://link".to_owned(),
        "host://away/private".to_owned(),
        format!("host://{}/../elsewhere/private", home.path("in").display()),
        // These are the client's own, which it would have sent.
        format!("file://{outside}"),
        outside.to_string(),
        "/etc/passwd".to_owned(),
    ] {
        let message = client.fails(&url, with(SOURCE, &source), None);
        assert!(!message.contains("not for others"), "{message}");
        let started =
            Client::of(&server, "hyperfire").try_start(with(["src", "datafile"], &source), None);
        assert_ne!(app(&started)["status"], 0, "{source}");
    }
    for destination in [
        format!("host://{}/new", home.path("elsewhere").display()),
        "host://away/new".to_owned(),
        "host://../elsewhere/new".to_owned(),
        format!("{}/new", home.path("elsewhere").display()),
    ] {
        client.fails(&url, with(DESTINATION, &destination), Some(b"x"));
    }
    let left: Vec<_> = std::fs::read_dir(home.path("elsewhere")).unwrap().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(home.read("elsewhere/private"), b"not for others");
}
