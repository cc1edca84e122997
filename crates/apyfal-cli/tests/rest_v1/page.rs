//! The examples of the page about this protocol.

use crate::common::page::Page;
use crate::common::server::Server;
use crate::common::{peer, words};

#[test]
fn the_page_is_right() {
    let server = Server::with(&["--accelerator", "gzip"]);
    let home = server.home();
    let notes = words(200_000, 1);
    home.write("notes.txt", &notes);
    // Its numbers are not those of a new host.
    server.run("null", b"x");
    Page::read("docs/reference/rest-v1.md")
        .replace("http://127.0.0.1:8000", format!("http://{}", server.address()))
        .check("curl -s \"$process\"", |told| {
            assert!(told.contains("\"processed\":true") && told.contains("\"status\":0"), "{told}");
        })
        .check("curl -s -o notes.txt.gz \"$process/datafileresult\"", |_| {
            assert!(peer("gzip", &["-dc"], &home.read("notes.txt.gz")) == notes);
        })
        .check("curl -s \"$hashed\"", |told| {
            assert!(told.contains("\"digest\":"), "{told}");
        })
        .run(home);
}
