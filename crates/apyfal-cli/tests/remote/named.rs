//! `create`, `start`, `process` and `stop` on a host.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::common::server::until;
use crate::common::{peer, words};

#[test]
fn a_name_lives_on_a_host() {
    let (home, server) = (Home::new(), Server::start());
    home.write("words.csv", "the,THE\n");
    home.write("in.txt", "the other the");
    ok_at(&home, &server, &["create", "--name", "there", "--accelerator", "hyperfire"]);
    let output = home.apyfal(&["start", "--name", "there", "--src", "words.csv"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("Accelerator IP address: http://{}", server.address())));
    assert_eq!(sessions(&server), 1);
    for out in ["one", "two"] {
        home.ok(&["process", "--name", "there", "-i", "in.txt", "-o", out]);
        assert_eq!(home.read(out), b"THE other THE");
    }
    // Another session takes the place of the first, and goes with the name.
    home.ok(&["start", "--name", "there", "--src", "words.csv"]);
    assert_eq!(sessions(&server), 1);
    home.ok(&["stop", "--name", "there", "--stop_mode", "term"]);
    assert_eq!(sessions(&server), 0);
    // The host itself is none of ours.
    assert_eq!(server.get("/readyz").status, 200);
    home.fails(6, &["process", "--name", "there", "-i", "in.txt", "-o", "out"]);
}

#[test]
fn the_configuration_names_a_host_too() {
    let (home, server) = (Home::new(), Server::start());
    home.write("in", words(100_000, 1));
    home.write("accelerator.conf", format!("[host]\nhost_ip = {}\n", server.address()));
    home.ok(&["create", "-a", "gzip"]);
    home.ok(&["start"]);
    home.ok(&["process", "-i", "in", "-o", "out.gz"]);
    home.ok(&["stop"]);
    home.ok(&["run", "gzip", "in", "again.gz"]);
    assert!(home.read("out.gz") == home.read("again.gz"));
    until("its jobs are recorded", || server.get("/v2/jobs").json()["count"] == 2);
    let warned = |configuration: &str| {
        home.write("accelerator.conf", configuration);
        let output = home.apyfal(&["run", "null", "in", "out"]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap().contains("runs everything here")
    };
    // A kind of host that is not there yet is told of, unless there is an address.
    assert!(warned("[host]\nhost_type = OpenStack\n"));
    let named = format!("[host]\nhost_type = AWS\n[host.AWS]\nhost_ip = {}\n", server.address());
    assert!(!warned(&named));
    assert!(!warned("[host]\nhost_type = localhost\n"));
}

#[test]
fn a_transaction_goes_through_a_host() {
    let (home, server) = (Home::new(), Server::start());
    home.write("a", "first");
    home.write("b", words(100_000, 2));
    ok_at(&home, &server, &["create", "-a", "targz"]);
    home.ok(&["start"]);
    home.ok(&["process", "-i", "a", "--startOfTx", "1"]);
    home.ok(&["process", "-i", "b", "--endOfTx", "1", "-o", "out.tgz"]);
    assert_eq!(peer("tar", &["-tzf", "-"], &home.read("out.tgz")), b"a\nb\n");
    home.ok(&["stop"]);
}

#[test]
fn a_token_is_kept_private() {
    let home = Home::new();
    home.write("token", "0123456789012345678901234567");
    let token_file = home.path("token");
    std::fs::set_permissions(&token_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let server = Server::with(&["--token-file", token_file.to_str().unwrap()]);
    home.write("in", "x");
    let words = ["create", "-a", "null", "--token", "0123456789012345678901234567", "--json"];
    let mut all = ok_at(&home, &server, &words);
    all += &home.ok(&["start", "--json"]);
    all += &home.ok(&["process", "-i", "in", "-o", "out", "--json"]);
    assert!(!all.contains("012345678901"), "{all}");
    assert_eq!(home.read("out"), b"x");
    let record = home.path(".apyfal/command_line/accelerators/default.json");
    assert_eq!(std::fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
    home.ok(&["stop"]);

    // A file stays where it is, also seen from another directory.
    ok_at(&home, &server, &["create", "-a", "null", "--token_file", "token"]);
    home.ok(&["start"]);
    let text = std::fs::read_to_string(&record).unwrap();
    assert!(!text.contains("012345678901"), "{text}");
    let elsewhere = home.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let output = home
        .apyfal(&["process", "-i", "../in", "-o", "../out2"])
        .current_dir(elsewhere)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(home.read("out2"), b"x");
    assert!(!server.log().contains("012345678901"));
}
