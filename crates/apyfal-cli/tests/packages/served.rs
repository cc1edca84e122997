//! Packages on hosts.

use apyfal_testkit::Nginx;

use crate::common::server::Server;
use crate::common::{Home, peer, text};
use crate::{packed, shown, version};

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

/// A catalog with the package `shown` behind a certificate that openssl made, and the URL of the
/// package.
fn catalog() -> (Server, String) {
    let home = Home::new();
    let package = version(&home, "1.0.0");
    let sum = text(&peer("sha256sum", &[home.path(&package).to_str().unwrap()], b""));
    let sha256 = sum.split(' ').next().unwrap().to_owned();
    let entry = format!("package = {{ url = '{package}', sha256 = '{sha256}' }}");
    home.write("catalog.toml", format!("[accelerator.shown]\n{entry}\n"));
    let words = ["catalog", "account", "add", "me", "--secret_stdin"];
    assert!(home.piped(&words, b"a secret of many characters\n").status.success());
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here"])
        .args(["-keyout", "key.pem", "-out", "crt.pem"])
        .current_dir(home.folder())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let words = ["--ssl_cert_crt", "crt.pem", "--ssl_cert_key", "key.pem"].map(String::from);
    let command = ["catalog", "serve", "--listen", "127.0.0.1:0"];
    let server = Server::of_command(home, &command, words.to_vec());
    let url = format!("https://{}/files/{sha256}/{package}", server.address());
    (server, url)
}

#[test]
fn the_certificate_of_the_catalog_is_known_for_its_packages_too() {
    let (server, url) = catalog();
    let crt = server.home().path("crt.pem");
    let words = ["x509", "-in", crt.to_str().unwrap(), "-noout", "-fingerprint", "-sha256"];
    let said = text(&peer("openssl", &words, b""));
    let fingerprint = said.trim().split_once('=').unwrap().1.replace(':', "").to_lowercase();
    let client = |trust: &str| {
        let home = Home::new();
        let account = "client_id = me\nsecret_id = a secret of many characters";
        let server = format!("server = https://{}", server.address());
        home.write("accelerator.conf", format!("[accelize]\n{server}\n{account}\n{trust}\n"));
        home
    };
    for trust in
        [format!("ssl_cert_crt = {}", crt.display()), format!("fingerprint = sha256:{fingerprint}")]
    {
        let home = client(&trust);
        home.ok(&["create", "--accelerator", "shown"]);
        assert_eq!(shown(&home), "1.0.0", "{trust}");
        let home = client(&trust);
        home.ok(&["install", &url]);
        home.ok(&["copy", &url, "copy"]);
        assert_eq!(shown(&home), "1.0.0", "{trust}");
    }
    let other = format!("sha256:{}", "0".repeat(64));
    let home = client(&format!("fingerprint = {other}"));
    let said = home.fails(5, &["install", &url]);
    assert!(said.contains(&other) && said.contains(&fingerprint), "{said}");
    // One that cannot be read is in the way of nobody else.
    let home = client("ssl_cert_crt = nowhere");
    home.write("in", "x");
    home.ok(&["run", "null", "in", "out"]);
    let said = home.fails(20, &["install", &url]);
    assert!(said.contains("'nowhere'"), "{said}");
    let home = client("");
    let said = home.fails(24, &["install", &url]);
    assert!(said.contains("certificate"), "{said}");
}
