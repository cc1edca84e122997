//! Namespaces of Linux: a network or mounts of a test's own.

use std::process::{Command, Stdio};

/// Set where a test machine gives nobody a namespace.
const WITHOUT: &str = "APYFAL_TEST_WITHOUT_NAMESPACES";

/// The words of `unshare` that make a network namespace, as root or with a user namespace around it.
/// None where the environment says that there can be none, which is told.
pub fn network() -> Option<&'static [&'static str]> {
    of(&[&["--net"], &["--user", "--map-root-user", "--net"]], &["true"])
}

/// The same with mounts of one's own.
pub fn mounts() -> Option<&'static [&'static str]> {
    let mounts = ["mount", "-t", "tmpfs", "x", "/mnt"];
    of(&[&["--mount"], &["--mount", "--user", "--map-root-user"]], &mounts)
}

/// The first of several kinds of namespace in which a command works.
fn of(kinds: &[&'static [&'static str]], command: &[&str]) -> Option<&'static [&'static str]> {
    let works = |words: &&&[&str]| {
        let mut tried = Command::new("unshare");
        tried.args(**words).args(command).stderr(Stdio::null());
        tried.status().is_ok_and(|status| status.success())
    };
    let found = kinds.iter().find(works).copied();
    if found.is_none() {
        assert!(
            std::env::var_os(WITHOUT).is_some(),
            "no namespace can be made here: it takes root, or user namespaces (sysctl \
             kernel.unprivileged_userns_clone=1); {WITHOUT}=1 leaves these tests out"
        );
        #[allow(clippy::print_stderr)] // Whoever reads the run is to know.
        {
            eprintln!("left out, as {WITHOUT} says: a test with a namespace of its own");
        }
    }
    found
}
