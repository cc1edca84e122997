//! Namespaces of Linux: a network of a test's own.

use std::process::{Command, Stdio};

/// Set where a test machine gives nobody a network namespace.
const WITHOUT: &str = "APYFAL_TEST_WITHOUT_NAMESPACES";

/// The words of `unshare` that make a network namespace, as root or with a user namespace around it.
/// None where the environment says that there can be none, which is told.
pub fn unshare() -> Option<&'static [&'static str]> {
    let works = |words: &&&[&str]| {
        let mut tried = Command::new("unshare");
        tried.args(**words).arg("true").stderr(Stdio::null());
        tried.status().is_ok_and(|status| status.success())
    };
    let kinds: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];
    let found = kinds.iter().find(works).copied();
    if found.is_none() {
        assert!(
            std::env::var_os(WITHOUT).is_some(),
            "no network namespace can be made here: it takes root, or user namespaces (sysctl \
             kernel.unprivileged_userns_clone=1); {WITHOUT}=1 leaves these tests out"
        );
        #[allow(clippy::print_stderr)] // Whoever reads the run is to know.
        {
            eprintln!("left out, as {WITHOUT} says: a test with a network of its own");
        }
    }
    found
}
