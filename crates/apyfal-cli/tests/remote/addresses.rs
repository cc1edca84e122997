//! How a host may be written.

use super::*;

#[test]
fn scheme_and_port_may_be_written_or_not() {
    let (home, server) = (Home::new(), Server::start());
    home.write("in", "x");
    let port = server.address().rsplit(':').next().unwrap();
    for address in [
        server.address().to_owned(),
        format!("http://{}", server.address()),
        format!("http://{}/", server.address()),
        format!("HTTP://localhost:{port}"),
        format!("localhost:{port}"),
    ] {
        home.ok(&["run", "null", "in", "out", "--host_ip", &address]);
        home.ok(&["run", "null", "in", "out", &format!("--host_ip={address}")]);
        home.ok(&["create", "-a", "null", "--host_ip", &address]);
    }
    for wrong in ["ftp://127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "a b", "http://"] {
        let error = home.fails(2, &["run", "null", "in", "out", "--host_ip", wrong]);
        assert!(error.contains("hint: write it as host:port"), "{error}");
    }
    let error = home.fails(2, &["run", "null", "in", "out", "--host_ip", "me:secret@127.0.0.1"]);
    assert!(error.contains("--token") && !error.contains("secret"), "{error}");
    // Without a port it is the one where hosts listen, on which there may be none.
    let output =
        home.apyfal(&["run", "null", "in", "out", "--host_ip", "127.0.0.2"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() || error.contains("127.0.0.2:8000"), "{error}");
}

#[test]
fn an_address_of_ipv6_works() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return; // This system has no IPv6.
    }
    let (home, server) = (Home::new(), Server::with(&["--listen", "[::1]:0"]));
    home.write("in", "x");
    let address = common::server::until_some("it listens", || {
        let log = server.log();
        let line = log.lines().find(|line| line.contains("http://[::1]:"))?;
        Some(line.split_once("http://").unwrap().1.to_owned())
    });
    for address in [address.clone(), format!("http://{address}")] {
        home.ok(&["run", "null", "in", "out", "--host_ip", &address]);
    }
    assert_eq!(home.read("out"), b"x");
}
