//! The examples of the page about hosts.

use super::*;
use crate::common::page::Page;
use crate::common::{peer, words};
use crate::paired::paired;

#[test]
fn the_page_is_right() {
    let (home, here) = (Home::new(), leased());
    let [one, two] = ["worker1", "worker2"].map(|name| {
        let (server, line) = paired();
        let words = line.iter().enumerate().map(|(at, word)| if at == 2 { name } else { word });
        home.ok(&words.collect::<Vec<_>>());
        server
    });
    let notes = words(200_000, 1);
    home.write("notes.txt", &notes);
    std::fs::create_dir_all(home.path("photos/2026")).unwrap();
    home.write("photos/a", words(1000, 2));
    home.write("photos/2026/b", words(2000, 3));
    let sharing = "apyfal map gzip photos packed --host_ip 192.0.2.7:8000,192.0.2.8:8000";
    Page::read("docs/guides/host.md")
        .skip("apyfal serve")
        .replace("127.0.0.1:8000", here.address())
        .replace("192.0.2.7:8000", one.address())
        .replace("192.0.2.8:8000", two.address())
        .check("apyfal run gzip notes.txt notes.txt.gz --host_ip 127.0.0.1:8000", |_| {
            assert!(peer("gzip", &["-dc"], &home.read("notes.txt.gz")) == notes);
        })
        .check("apyfal run gzip notes.txt there.gz --host_ip worker1", |_| {
            assert!(peer("gzip", &["-dc"], &home.read("there.gz")) == notes);
        })
        .check("apyfal host list", |told| {
            assert!(told.contains("worker1") && !told.contains("apyfal_"), "{told}");
        })
        .check("apyfal process --name there --src notes.txt", |told| {
            assert!(told.contains("digest"), "{told}");
        })
        .check(sharing, |_| {
            let unpacked = peer("gzip", &["-dc"], &home.read("packed/2026/b.gz"));
            assert!(unpacked == home.read("photos/2026/b"));
            std::fs::remove_dir_all(home.path("packed")).unwrap();
        })
        .check("apyfal map gzip photos packed --host_ip worker1,worker2", |_| {
            assert!(home.path("packed/2026/b.gz").exists());
        })
        .check("apyfal map gunzip 'packed/**/*.gz' unpacked", |_| {
            assert!(home.read("unpacked/2026/b") == home.read("photos/2026/b"));
        })
        .check("apyfal host status --host_ip 127.0.0.1:8000", |told| {
            assert!(told.contains("(idle_timeout 30 min)"), "{told}");
        })
        .check("apyfal host extend 14h --host_ip 127.0.0.1:8000", |told| {
            assert!(told.contains("lives for 14 h"), "{told}");
        })
        .run(&home);
    assert_eq!(sessions(&here), 0);
}

/// A host as the page says.
fn leased() -> Server {
    let lease = "[serve]\nidle_timeout = 30m\nmax_lifetime = 12h\n";
    Server::configured(lease, &[])
}
