//! Who is served.

use super::*;

#[test]
fn a_token_that_was_chosen_counts_on_loopback_too() {
    let home = common::Home::new();
    home.write("token", "a-token-of-some-length\n");
    let file = home.path("token").to_string_lossy().into_owned();
    let server = Server::configured("", &["--token-file", &file]);
    assert_eq!(refused(&server.get("/v2/host"), 401), "authentication");
    let wrong = server.connect().bare("GET", "/v2/host", "Authorization: Bearer nope\r\n");
    assert_eq!(refused(&wrong, 401), "authentication");
    let right = "Authorization: Bearer a-token-of-some-length\r\n";
    assert_eq!(server.connect().bare("GET", "/v2/host", right).status, 200);
    // Who watches the host needs none.
    assert_eq!(server.get("/healthz").status, 200);
    assert!(!server.log().contains("a-token-of-some-length"));
}

/// The status of an answer to a request that is sent as it is.
fn status_of(server: &Server, request: &str) -> u16 {
    let mut connection = server.connect();
    connection.write(request.as_bytes());
    connection.answer_head().status
}

#[test]
fn a_request_names_the_host_once() {
    let server = Server::start();
    for path in ["/v2/host", "/", "/healthz", "/v1.0/stop/", "/metrics"] {
        let status = |version: &str, hosts: &str| {
            status_of(&server, &format!("GET {path} HTTP/{version}\r\n{hosts}\r\n"))
        };
        assert_eq!(status("1.1", "Host: localhost\r\n"), 200, "{path}");
        for wrong in [
            "",
            "Host:\r\n",
            "Host: localhost\r\nHost: localhost\r\n",
            "Host: localhost\r\nhost: evil.example\r\n",
            "Host: evil example\r\n",
            "Host: user@localhost\r\n",
            "Host: localhost:99999\r\n",
            "Host: localhost/evil\r\n",
            "Host: \u{e9}\r\n",
        ] {
            assert_eq!(status("1.1", wrong), 400, "{path} {wrong:?}");
        }
    }
    let target = "GET http://evil.example/v2/host HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(status_of(&server, target), 403);
}

#[test]
fn a_name_without_a_dot_may_be_anybodys() {
    let server = Server::configured("[serve]\nnames = upstream, Accelerator.Example\n", &[]);
    let at = |name: &str| server.connect().called(name).get("/v2/jobs");
    for own in ["localhost", "127.0.0.1", "[::1]:1", "upstream:8000", "accelerator.example"] {
        assert_eq!(at(own).status, 200, "{own}");
    }
    for other in ["intranet", "intranet:8000", "accelerator", "upstream.example"] {
        let answer = at(other);
        assert_eq!(refused(&answer, 403), "security", "{other}");
        let name = other.split(':').next().unwrap();
        assert!(text(&answer).contains(&format!("names = {name}")), "{answer:?}");
    }
    let home = common::Home::new();
    home.write("accelerator.conf", "[serve]\nnames = https://accelerator.example\n");
    let said = home.fails(3, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(said.contains("'https://accelerator.example'"), "{said}");
}

#[test]
fn web_pages_from_elsewhere_are_not_served() {
    let server = Server::start();
    let evil = server.connect().bare("GET", "/v2/host", "Origin: http://evil.example\r\n");
    assert_eq!(refused(&evil, 403), "security");
    let rebound = server.connect().called("evil.example:80").get("/v2/host");
    assert_eq!(refused(&rebound, 403), "security");
    let own = format!("Origin: http://{}\r\n", server.address());
    assert_eq!(server.connect().bare("GET", "/v2/host", &own).status, 200);
}
