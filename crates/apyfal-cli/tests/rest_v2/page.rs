//! The examples of the page about this protocol.

use super::*;
use crate::common::page::Page;
use crate::common::{peer, words};

#[test]
fn the_page_is_right() {
    let server = Server::configured("[serve]\nmax_lifetime = 12h\n", &[]);
    let home = server.home();
    let notes = words(200_000, 1);
    home.write("notes.txt", &notes);
    home.write("in.txt", "one two");
    home.write("words.csv", "one,1\n");
    Page::read("docs/reference/rest-v2.md")
        .replace("http://127.0.0.1:8000", format!("http://{}", server.address()))
        .check(
            "curl -s -T notes.txt 'http://127.0.0.1:8000/v2/run/gzip?level=best' -o notes.txt.gz",
            |_| assert!(peer("gzip", &["-dc"], &home.read("notes.txt.gz")) == notes),
        )
        .check("curl -s -T notes.txt 'http://127.0.0.1:8000/v2/run/sha3?type=sha3-256'", |told| {
            assert!(told.contains("\"digest\""), "{told}");
        })
        .check(
            "curl -s -T in.txt \"http://127.0.0.1:8000/v2/sessions/$session/jobs\" -o out.txt",
            |_| {
                assert_eq!(home.read("out.txt"), b"1 two");
            },
        )
        .check(
            "cat notes.txt | curl -s -T - http://127.0.0.1:8000/v2/run/gzip > notes.txt.gz",
            |_| {
                assert!(peer("gzip", &["-dc"], &home.read("notes.txt.gz")) == notes);
                std::fs::remove_file(home.path("notes.txt.gz")).unwrap();
            },
        )
        .check("curl -s 'http://127.0.0.1:8000/v2/jobs/mine?wait=30'", |told| {
            assert!(told.contains("\"state\":\"done\""), "{told}");
        })
        .check("curl -s http://127.0.0.1:8000/v2/jobs/mine/result -o notes.txt.gz", |_| {
            assert!(peer("gzip", &["-dc"], &home.read("notes.txt.gz")) == notes);
        })
        .check("curl -s -r 100-199 http://127.0.0.1:8000/v2/jobs/mine/result -o part", |_| {
            assert_eq!(home.read("part"), home.read("notes.txt.gz")[100..200]);
        })
        .check("curl -s http://127.0.0.1:8000/v2/lease", |told| {
            assert!(told.contains("\"max_lifetime\":43200.0,"), "{told}");
        })
        .check("curl -s -X POST 'http://127.0.0.1:8000/v2/lease?seconds=50400'", |told| {
            assert!(told.contains("\"life_left\":50") || told.contains("50400"), "{told}");
        })
        .run(home);
    assert_eq!(server.get("/v2/sessions").json()["count"], 1, "one is deleted, and one is not");
}
