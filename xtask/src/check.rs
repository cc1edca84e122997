//! The checks beside the tests: format, lints, documentation, licences, and who may depend on whom.

use crate::run::{self, Result};
use crate::setup;

const DENY_VERSION: &str = "0.20.2";

/// Which crates of the workspace a crate may depend on. Dependencies point downwards only.
const EDGES: [(&str, &[&str]); 22] = [
    ("apyfal-core", &[]),
    ("apyfal-machine", &["apyfal-core"]),
    ("apyfal-database", &["apyfal-core", "apyfal-machine"]),
    ("apyfal-api", &["apyfal-core"]),
    ("apyfal-tls", &["apyfal-core"]),
    ("apyfal-net", &["apyfal-core"]),
    ("apyfal-client", &["apyfal-api", "apyfal-core", "apyfal-net", "apyfal-tls"]),
    ("apyfal-catalog", &["apyfal-core", "apyfal-machine", "apyfal-net", "apyfal-tls"]),
    ("apyfal-aws", &["apyfal-core", "apyfal-machine"]),
    (
        "apyfal-storage",
        &["apyfal-aws", "apyfal-core", "apyfal-machine", "apyfal-net", "apyfal-tls"],
    ),
    ("apyfal-deflate", &[]),
    ("apyfal-engines", &["apyfal-core", "apyfal-deflate", "apyfal-machine"]),
    ("apyfal-devices", &["apyfal-core", "apyfal-machine"]),
    ("apyfal-package", &["apyfal-core", "apyfal-engines", "apyfal-machine"]),
    (
        "apyfal-providers",
        &["apyfal-aws", "apyfal-core", "apyfal-machine", "apyfal-net", "apyfal-tls"],
    ),
    (
        "apyfal-hosts",
        &[
            "apyfal-api",
            "apyfal-catalog",
            "apyfal-client",
            "apyfal-core",
            "apyfal-database",
            "apyfal-machine",
            "apyfal-package",
            "apyfal-providers",
            "apyfal-tls",
        ],
    ),
    ("apyfal-agent", &["apyfal-core", "apyfal-engines", "apyfal-machine", "apyfal-storage"]),
    (
        "apyfal-server",
        &[
            "apyfal-agent",
            "apyfal-api",
            "apyfal-core",
            "apyfal-database",
            "apyfal-engines",
            "apyfal-machine",
            "apyfal-net",
            "apyfal-storage",
            "apyfal-tls",
        ],
    ),
    (
        "apyfal",
        &[
            "apyfal-agent",
            "apyfal-catalog",
            "apyfal-client",
            "apyfal-core",
            "apyfal-devices",
            "apyfal-engines",
            "apyfal-hosts",
            "apyfal-machine",
            "apyfal-package",
            "apyfal-providers",
            "apyfal-storage",
            "apyfal-tls",
        ],
    ),
    (
        "apyfal-cli",
        &[
            "apyfal",
            "apyfal-api",
            "apyfal-catalog",
            "apyfal-core",
            "apyfal-devices",
            "apyfal-machine",
            "apyfal-server",
            "apyfal-tls",
        ],
    ),
    ("apyfal-python", &["apyfal"]),
    ("apyfal-testkit", &["apyfal-core", "apyfal-providers"]),
];

/// Runs every check.
pub(crate) fn all() -> Result {
    run::shown(run::cargo().args(["fmt", "--all", "--check"]))?;
    run::shown(run::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--features=xtask/peers",
        "--locked",
        "--",
        "--deny=warnings",
    ]))?;
    run::shown(
        run::cargo()
            .args(["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"])
            .env("RUSTDOCFLAGS", "--deny=warnings"),
    )?;
    edges()?;
    deny()
}

/// Holds the arrows of ARCHITECTURE.md.
fn edges() -> Result {
    let output =
        run::cargo().args(["metadata", "--format-version=1", "--no-deps", "--locked"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        if name == "xtask" {
            continue;
        }
        let Some((_, allowed)) = EDGES.iter().find(|(crate_name, _)| *crate_name == name) else {
            wrong.push(format!("{name} is not listed in xtask/src/check.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            let is_for_tests = dependency["kind"] == "dev";
            if to.starts_with("apyfal") && !is_for_tests && !allowed.contains(&to) {
                wrong.push(format!("{name} must not depend on {to}"));
            }
        }
    }
    if wrong.is_empty() {
        println!("dependency edges: ok");
        return Ok(());
    }
    Err(wrong.join("\n").into())
}

fn deny() -> Result {
    let home = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let installed = home.is_some_and(|home| home.join("bin/cargo-deny").is_file());
    if !installed && !setup::is_on_path("cargo-deny") {
        println!("installing cargo-deny {DENY_VERSION}");
        run::quiet(run::cargo().args([
            "install",
            "cargo-deny",
            "--locked",
            "--version",
            DENY_VERSION,
        ]))?;
    }
    run::shown(run::cargo().args(["deny", "check", "bans", "licenses", "sources"]))
}
