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
