//! Packages on hosts.

use apyfal_testkit::Nginx;

use crate::common::server::Server;
use crate::common::{Home, peer, text};
use crate::{packed, version};

/// What the program of the host shows.
fn output(server: &Server, source: &[u8]) -> String {
    let answer = server.run("shown", source);
    assert_eq!(answer.status, 200);
    text(&answer.body)
}

#[test]
fn a_host_serves_a_package_by_its_path_or_url() {
    let home = Home::new();
    let package = packed(&home, "1.0.0", "cat; printf 1.0.0", "");
    let nginx = Nginx::start(home.folder()).unwrap();
    for place in [home.path(&package).to_string_lossy().into_owned(), nginx.url(&package)] {
        let server = Server::with(&["--accelerator", &place]);
        assert!(server.log().contains("accelerator: shown 1.0.0"), "{}", server.log());
        assert_eq!(output(&server, b"job "), "job 1.0.0");
        let server = server.killed_and_started();
        assert_eq!(output(&server, b"job "), "job 1.0.0");
    }
}

#[test]
fn a_host_starts_again_where_its_source_is_gone() {
    let home = Home::new();
    let package = packed(&home, "1.0.0", "cat; printf 1.0.0", "");
    let sums = text(&peer("sha256sum", &[&home.path(&package).to_string_lossy()], b""));
    for more in [&[][..], &["--sha256", &sums[..64]]] {
        let nginx = Nginx::start(home.folder()).unwrap();
        let url = nginx.url(&package);
        let server = Server::with(&[&["--accelerator", &url], more].concat());
        drop(nginx);
        let server = server.killed_and_started();
        assert_eq!(server.log().contains("the installed one serves"), more.is_empty());
        assert_eq!(output(&server, b"job "), "job 1.0.0");
    }
}

#[test]
fn a_digest_without_a_package_is_refused() {
    let home = Home::new();
    let digest = "0".repeat(64);
    let error = home.fails(2, &["serve", "--accelerator", "gzip", "--sha256", &digest]);
    assert!(error.contains("'gzip' is no package, so it has no SHA-256"), "{error}");
    let error = home.fails(2, &["serve", "--sha256", &digest]);
    assert!(error.contains("none is named"), "{error}");
    assert!(home.files().is_empty());
}

#[test]
fn a_host_serves_nothing_that_no_trusted_key_signed() {
    let home = Home::new();
    home.ok(&["install", &version(&home, "1.0.0")]);
    let key = minisign::KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
    let configuration = format!("[security]\npackage_keys = {key}\n");
    let server = Server::in_home(home, &configuration, &[]);
    assert!(!text(&server.get("/v2/accelerators").body).contains("shown"));
    let answer = server.run("shown", b"");
    assert_eq!(answer.status, 403, "{}", text(&answer.body));
}

#[test]
fn a_host_goes_on_with_its_version_through_upgrades() {
    let home = Home::new();
    let packages: Vec<_> = (1..=4).map(|n| version(&home, &format!("{n}.0.0"))).collect();
    home.ok(&["install", &packages[0]]);
    let server = Server::in_home(home, "", &[]);
    let host = server.url("");
    let process = || {
        server.home().ok(&["process", "--dst", "out.txt"]);
        String::from_utf8(server.home().read("out.txt")).unwrap()
    };
    server.home().ok(&["create", "--accelerator", "shown", "--host_ip", &host]);
    server.home().ok(&["start"]);
    assert_eq!(process(), "1.0.0");
    server.home().ok(&["install", &packages[1]]);
    server.home().ok(&["install", &packages[2]]);
    assert_eq!(process(), "1.0.0", "its files stay, though two versions came since");
    server.home().ok(&["uninstall", "shown"]);
    assert_eq!(process(), "1.0.0");
    server.home().ok(&["install", &packages[3]]);
    let server = server.killed_and_started();
    assert_eq!(output(&server, b""), "4.0.0");
}
