//! Commands with mounts of their own.

use std::process::{Command, Stdio};

/// Set where a test machine gives nobody a namespace.
const WITHOUT: &str = "APYFAL_TEST_WITHOUT_NAMESPACES";

/// The words that a command begins with to have mounts of its own. None where the environment says
/// that there can be none.
pub fn unshared() -> Option<Vec<String>> {
    let runners = [&["unshare", "--mount"][..], &["unshare", "--mount", "--user", "-r"]];
    let works = |runner: &&&[&str]| {
        let mut tried = Command::new(runner[0]);
        let tried = tried.args(&runner[1..]).args(["mount", "-t", "tmpfs", "x", "/mnt"]);
        tried.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let found = runners.iter().find(works);
    assert!(
        found.is_some() || std::env::var_os(WITHOUT).is_some(),
        "no mount namespace can be made here; {WITHOUT}=1 leaves these tests out"
    );
    Some(found?.iter().map(|word| (*word).to_owned()).collect())
}
