//! Certificates of another make.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Runs `openssl` in a folder and gives what it prints.
pub(super) fn run(folder: &TempDir, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("openssl is missing: apt-get install openssl");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A certificate that signs itself: `kind` is what `-newkey` takes, `name` the DNS name.
pub(super) fn self_signed(
    folder: &TempDir,
    file: &str,
    kind: &[&str],
    name: &str,
) -> (PathBuf, PathBuf) {
    let (crt, key) = (format!("{file}.crt"), format!("{file}.key"));
    let name = format!("subjectAltName=DNS:{name}");
    let mut arguments = vec!["req", "-x509", "-sha256", "-nodes", "-days", "825", "-newkey"];
    arguments.extend(kind);
    arguments.extend(["-subj", "/CN=host", "-addext", &name]);
    arguments.extend(["-keyout", &key, "-out", &crt]);
    run(folder, &arguments);
    (folder.path().join(crt), folder.path().join(key))
}
