//! The tests in Python, which pytest runs on the core that was just built, with a host of their own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "../../crates/apyfal/tests/common/mod.rs"]
mod common;

/// The package as it is installed: its Python part, and the core beside it.
fn installed(place: &Path) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("apyfal");
    let package = place.join("apyfal");
    std::fs::create_dir(&package).unwrap();
    for entry in std::fs::read_dir(&sources).unwrap() {
        let entry = entry.unwrap();
        std::os::unix::fs::symlink(entry.path(), package.join(entry.file_name())).unwrap();
    }
    // Cargo puts it beside the tests of its package.
    let tests = std::env::current_exe().unwrap();
    let core = tests.with_file_name("lib_apyfal.so");
    std::os::unix::fs::symlink(core, package.join("_apyfal.abi3.so")).unwrap();
    place.to_owned()
}

/// The directory of the binary `apyfal`, which hosts that are made run. Cargo builds it for the tests of
/// its own package alone; where all are run, which `cargo xtask test` says, it is there.
fn programs() -> PathBuf {
    if std::env::var_os("APYFAL_TEST_ALL").is_none() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--package", "apyfal-cli"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        let built = apyfal_testkit::by_a_user(&mut cargo).status().unwrap();
        assert!(built.success(), "the binary apyfal cannot be built");
    }
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pytest_is_content() {
    // Those of Ctrl-C fail where whoever runs this ignores it.
    apyfal_testkit::default_signals();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("host");
    std::fs::create_dir(&data).unwrap();
    let host = common::Host::start(&data).await;
    let site = folder.path().join("site");
    std::fs::create_dir(&site).unwrap();
    let found = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(programs()).chain(std::env::split_paths(&found));
    let mut pytest = Command::new("python3");
    pytest
        .args(["-X", "dev", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
        .args(std::env::var("APYFAL_PYTEST").iter().flat_map(|given| given.split_whitespace()))
        .current_dir(folder.path())
        .env("PYTHONPATH", installed(&site))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("HOME", folder.path())
        .env("APYFAL_TEST_HOST", host.url())
        .env_remove("APYFAL_CONFIG_FILE");
    let ended = tokio::task::spawn_blocking(move || pytest.status()).await.unwrap();
    let status = ended.expect("python3 cannot be run");
    host.end().await;
    assert!(status.success(), "pytest, which 'cargo xtask test' installs, ended with {status}");
}
