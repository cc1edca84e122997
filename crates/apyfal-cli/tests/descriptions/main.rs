//! The two OpenAPI documents of a host against the host itself, by schemathesis: requests that fit
//! them and requests that do not, and every answer as they have it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

use std::path::Path;
use std::process::Command;

use common::server::Server;
use common::text;

/// Asks a new host everything that the document at a path describes.
fn check(document: &str) {
    let server = Server::plain();
    let configuration =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/descriptions/schemathesis.toml");
    let output = Command::new("schemathesis")
        .arg("--config-file")
        .arg(configuration)
        .args(["run", &server.url(document), "--url", &server.url("/")])
        .current_dir(server.home().folder())
        .env("HOME", server.home().folder())
        .output()
        .unwrap_or_else(|error| {
            panic!("schemathesis: {error}; 'cargo xtask test' installs it, and has it on its PATH")
        });
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    // A description that is not understood has nothing that could fail.
    let tested = said.lines().find_map(|line| line.trim().strip_prefix("Tested:"));
    assert!(tested.is_some_and(|count| count.trim().parse::<u32>().unwrap() >= 10), "{said}");
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn rest_v1_is_as_it_is_described() {
    check("/v1.0/schema/");
}

#[test]
fn rest_v2_is_as_it_is_described() {
    check("/v2/openapi.json");
}

#[test]
fn the_description_needs_no_token() {
    let server = Server::configured("[serve]\ntoken = hunter2\n", &[]);
    let description = server.get("/v2/openapi.json");
    assert_eq!(description.status, 200);
    assert_eq!(description.json()["openapi"], "3.1.0");
    assert_eq!(server.get("/v2/host").status, 401);
}
