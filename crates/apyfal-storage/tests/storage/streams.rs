//! The standard streams, by way of the example program `copy`.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::noise;

/// `copy - -`.
fn copy() -> Command {
    copy_between("-", "-")
}

fn copy_between(src: &str, dst: &str) -> Command {
    let mut program: PathBuf = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    let mut command = Command::new(program.join("examples/copy"));
    command.args([src, dst]);
    command
}

#[test]
fn pipes_are_read_and_written() {
    for len in [0, 1, 5_000_000] {
        let data = noise(len, 40);
        let mut child = copy().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let sent = data.clone();
        let sending = std::thread::spawn(move || input.write_all(&sent).unwrap());
        let mut received = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut received).unwrap();
        sending.join().unwrap();
        assert!(child.wait().unwrap().success());
        assert!(received == data, "{len} bytes differ");
    }
}

#[test]
fn redirected_files_are_read_and_appended_to() {
    let directory = TempDir::new().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    let data = noise(3_000_000, 41);
    std::fs::write(&from, &data).unwrap();
    std::fs::write(&to, "head").unwrap();
    let to_file = File::options().append(true).open(&to).unwrap();
    let status = copy().stdin(File::open(&from).unwrap()).stdout(to_file).status().unwrap();
    assert!(status.success());
    let written = std::fs::read(&to).unwrap();
    assert!(written.strip_prefix(b"head").unwrap() == data);
}

#[test]
fn standard_streams_have_names_too() {
    let directory = TempDir::new().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    let data = noise(300_000, 42);
    std::fs::write(&from, &data).unwrap();
    let mut shared = File::create(&to).unwrap();
    for (src, dst) in [("/dev/stdin", "/dev/stdout"), ("/dev/fd/0", "/proc/self/fd/1")] {
        let mut command = copy_between(src, dst);
        command.stdin(File::open(&from).unwrap()).stdout(shared.try_clone().unwrap());
        assert!(command.status().unwrap().success(), "{src} to {dst}");
        shared.write_all(b"|").unwrap();
    }
    let written = std::fs::read(&to).unwrap();
    assert!(written == [&data[..], b"|", &data[..], b"|"].concat());
}

#[test]
fn a_reader_that_goes_away_is_an_error() {
    let mut child = copy()
        .stdin(File::open("/dev/zero").unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).to_lowercase().contains("broken pipe"));
}
