//! The examples of the page about accelerators of one's own.

use minisign::KeyPair;

use crate::common::page::Page;
use crate::common::server::Server;
use crate::common::{Home, text};

#[test]
fn the_page_is_right() {
    let maker = Home::new();
    maker.ok(&["init", "loud"]);
    // What the page shows of the manifest stands in the file.
    let manifest = text(&maker.read("loud/accelerator.toml"));
    let page = std::fs::read_to_string(
        crate::common::page::root().join("docs/guides/your-own-accelerator.md"),
    );
    let page = page.unwrap();
    let shown = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    for line in shown.lines() {
        assert!(manifest.lines().any(|found| found == line), "{line}");
    }

    maker.ok(&["pack", "loud"]);
    let package = maker.path("loud-0.1.0.apyfal");
    let server = Server::with(&["--accelerator", &package.to_string_lossy()]);
    let home = Home::new();
    home.write("notes.txt", "Some Notes\n");
    let pair = KeyPair::generate_unencrypted_keypair().unwrap();
    home.write("minisign.pub", pair.pk.to_box().unwrap().into_string());
    home.write("minisign.key", pair.sk.to_box(None).unwrap().into_string());
    let is = |name: &'static str, content: &'static str| {
        let home = &home;
        move |_: &str| assert_eq!(text(&home.read(name)), content)
    };
    Page::read("docs/guides/your-own-accelerator.md")
        // It serves already.
        .skip("apyfal serve --accelerator loud-0.1.0.apyfal")
        .replace("127.0.0.1:8000", server.address())
        .check("apyfal accelerators loud", |told| {
            assert!(told.contains("Package: 0.1.0"), "{told}")
        })
        .check("apyfal run loud notes.txt loud.txt", is("loud.txt", "SOME NOTES\n"))
        .check("apyfal run loud notes.txt quiet.txt --case lower", is("quiet.txt", "some notes\n"))
        .check("apyfal run fast notes.txt fast.txt", is("fast.txt", "SOME NOTES\n"))
        .check(
            "apyfal run loud notes.txt there.txt --host_ip 127.0.0.1:8000",
            is("there.txt", "SOME NOTES\n"),
        )
        .check("apyfal install loud-0.2.0.apyfal", |_| {
            assert!(home.ok(&["accelerators", "loud"]).contains("Package: 0.2.0"));
        })
        .check("apyfal install --previous loud", |_| {
            assert!(home.ok(&["accelerators", "loud"]).contains("Package: 0.1.0"));
        })
        .check("apyfal uninstall loud", |_| {
            home.fails(6, &["accelerators", "loud"]);
        })
        .run(&home);
}
