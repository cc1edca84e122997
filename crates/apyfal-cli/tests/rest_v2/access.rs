//! Who is served.

use std::process::Command;

use super::*;
use crate::common::server::until;

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

#[test]
fn what_a_browser_sends_for_another_site_is_not_served() {
    let server = Server::start();
    let status = |path: &str, site: &str, more: &str| {
        let headers = format!("Sec-Fetch-Site: {site}\r\n{more}");
        server.connect().bare("GET", path, &headers).status
    };
    let link = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let frame = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n";
    for path in [
        "/v2/host",
        "/v2/openapi.json",
        "/status",
        "/healthz",
        "/metrics",
        "/null",
        "/v1.0/configuration/",
    ] {
        for site in ["cross-site", "same-site"] {
            for more in ["", link, frame, "Sec-Fetch-Mode: no-cors\r\n"] {
                assert_eq!(status(path, site, more), 403, "{path} {site} {more}");
            }
        }
        assert_eq!(status(path, "same-origin", ""), 200, "{path}");
        assert_eq!(status(path, "none", link), 200, "{path}");
    }
    // A link may lead to the page, and no further.
    assert_eq!(status("/", "cross-site", link), 200);
    assert_eq!(status("//", "cross-site", link), 200);
    assert_eq!(status("/", "cross-site", frame), 403);
    assert_eq!(status("/", "same-site", ""), 403);
    let posted =
        server.connect().bare("POST", "/", &format!("Sec-Fetch-Site: cross-site\r\n{link}"));
    assert_eq!(posted.status, 403);
}

#[test]
fn no_answer_is_for_the_pages_of_others() {
    let server = Server::start();
    let check = |what: &str, answer: &Answer| {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
        let policy = answer.header("cross-origin-resource-policy");
        assert_eq!(policy, Some("same-origin"), "{what}");
    };
    for path in [
        "/",
        "/status",
        "/healthz",
        "/metrics",
        "/v2/host",
        "/v2/openapi.json",
        "/v2/jobs?page=x",
        "/v2/jobs/none/result",
        "/nothing/here",
        "/null",
        "/v1.0/schema/",
        "/v1.0/process/7/datafileresult",
        "/v1.0/nothing",
    ] {
        check(path, &server.get(path));
    }
    check("a job", &server.run("null", b"data"));
    check("a failed one", &server.run("fail", b"data"));
    check("a method", &server.connect().bare("PATCH", "/v2/host", ""));
    check("a foreign page", &server.connect().bare("GET", "/v2/host", "Origin: http://evil\r\n"));
    check("a wrong name", &server.connect().called("intranet").get("/v2/host"));
    let mut connection = server.connect();
    connection.write(b"GET / HTTP/1.1\r\n\r\n");
    check("no name", &connection.answer());
}

/// How long the host may live without another use, in seconds.
fn left(server: &Server) -> f64 {
    server.get("/v2/lease").json()["idle_left"].as_f64().unwrap()
}

#[test]
fn what_is_refused_is_no_use_of_the_host() {
    let server = Server::configured("[serve]\nidle_timeout = 1h\n", &["--accelerator", "null"]);
    until("some time passed", || left(&server) < 3599.5);
    let before = left(&server);
    let site = "Sec-Fetch-Site: cross-site\r\n";
    let mut statuses = Vec::new();
    for (method, path, more) in [
        ("POST", "/v2/run/null", site),
        ("GET", "/v2/jobs/none/result", site),
        ("POST", "/v1.0/configuration/", site),
        ("POST", "/v2/run/null", "Origin: http://evil.example\r\n"),
        ("POST", "/v2/run/null", "apyfal-protocol: 1000\r\n"),
        ("POST", "/v2/run/unknown", ""),
        ("GET", "/v2/jobs/none/result", ""),
        ("DELETE", "/v2/jobs/none", ""),
        ("PATCH", "/v2/sessions", ""),
        ("PATCH", "/v2/sessions/none/jobs", ""),
        ("POST", "/v2/sessions/none/jobs", ""),
        ("POST", "/v2/nothing", ""),
        ("POST", "/v2/lease?seconds=x", ""),
        ("GET", "/v1.0/process/none", ""),
        ("GET", "/v1.0/process/7/datafileresult", ""),
        ("PATCH", "/v1.0/process/", ""),
        ("POST", "/v1.0/process/", ""),
    ] {
        let more = format!("{more}Content-Length: 0\r\n");
        let status = server.connect().bare(method, path, &more).status;
        assert!((400..500).contains(&status), "{method} {path}: {status}");
        statuses.push(status);
        assert!(left(&server) <= before, "{method} {path} with {status} was a use");
    }
    for status in [400, 403, 404, 405] {
        assert!(statuses.contains(&status), "{statuses:?}");
    }
    until("a job is one", || {
        assert_eq!(server.run("null", b"data").status, 200);
        left(&server) > before
    });
}

/// Asks with curl as another user; its status and answer.
fn as_user(user: u32, server: &Server, path: &str, words: &[&str]) -> (u16, String) {
    let user = user.to_string();
    let output = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"])
        .args(["curl", "-sS", "--noproxy", "*", "-w", "\n%{http_code}"])
        .args(words)
        .arg(server.url(path))
        .current_dir("/")
        .output()
        .unwrap();
    let said = common::text(&output.stdout);
    let (body, status) = said.rsplit_once('\n').expect("a status");
    assert!(output.status.success(), "{}", common::text(&output.stderr));
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn other_users_of_the_machine_are_not_served_without_a_token() {
    // Only root can ask as others.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    const OTHER: u32 = 61_234;
    let private = ["/v2/jobs", "/metrics", "/v1.0/configuration/", "/gzip/v1.0/process/"];
    let server = Server::start();
    for path in private {
        let (status, said) = as_user(OTHER, &server, path, &[]);
        assert_eq!(status, 401, "{path}: {said}");
        assert!(said.contains("61234") && said.contains("token"), "{said}");
    }
    for words in [["-d", "data"], ["-X", "POST"]] {
        let (status, said) = as_user(OTHER, &server, "/v2/run/null", &words);
        assert_eq!(status, 401, "{said}");
        assert!(said.contains("local_users = 61234") && said.contains("--token_file"), "{said}");
    }
    for path in ["/", "/status", "/healthz", "/v2/openapi.json"] {
        assert_eq!(as_user(OTHER, &server, path, &[]).0, 200, "{path} is for everybody");
    }
    for path in private {
        assert_eq!(as_user(0, &server, path, &[]).0, 200, "{path}");
        // One connection is asked about once, and serves on.
        let mut connection = server.connect();
        assert!((0..3).all(|_| connection.get(path).status == 200), "{path}");
    }

    for (users, others) in [("61234", 401), ("61234, nobody", 401), ("all", 200)] {
        let server = Server::configured(&format!("[serve]\nlocal_users = {users}\n"), &[]);
        assert_eq!(as_user(OTHER, &server, "/v2/jobs", &[]).0, 200, "{users}");
        assert_eq!(as_user(OTHER + 1, &server, "/v2/jobs", &[]).0, others, "{users}");
        let nobody = if users == "61234" { 401 } else { 200 };
        assert_eq!(as_user(65_534, &server, "/v2/jobs", &[]).0, nobody, "{users}");
    }

    // Where there is a token it decides, whoever asks.
    let home = common::Home::new();
    home.write("token", "a-token-of-some-length\n");
    let file = home.path("token").to_string_lossy().into_owned();
    let server = Server::configured("", &["--token-file", &file]);
    let shown = ["-H", "Authorization: Bearer a-token-of-some-length"];
    for user in [0, OTHER] {
        assert_eq!(as_user(user, &server, "/v2/jobs", &shown).0, 200, "{user}");
        assert_eq!(as_user(user, &server, "/v2/jobs", &[]).0, 401, "{user}");
    }

    for unknown in ["no-such-user", "-n", "1x", "99999999999"] {
        home.write("accelerator.conf", format!("[serve]\nlocal_users = {unknown}\n"));
        let said = home.fails(3, &["serve", "--listen", "127.0.0.1:0"]);
        assert!(said.contains(&format!("'{unknown}'")), "{said}");
    }
}
