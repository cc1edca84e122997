//! The readers of configuration files and literals against Python's own, on a corpus of odd inputs
//! and on seeded random ones. Needs `python3`.

// The lint's exception for tests covers only the test functions themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod files;
mod literals;

use std::io::Write as _;
use std::process::{Command, Stdio};

use fastrand::Rng;
use serde_json::Value;

/// Asks Python for all answers at once.
fn python(requests: &[Value]) -> Vec<Value> {
    let mut child = Command::new("python3")
        .args(["-I", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configparser/readers.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test compares with python3: install it");
    let mut stdin = child.stdin.take().unwrap();
    // The script answers only after it has read everything, so neither side can block.
    for request in requests {
        writeln!(stdin, "{request}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the script failed");
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), requests.len());
    answers
}

/// Fails with the first differences, unless there are none.
fn refuse(wrong: &[String]) {
    let first = wrong[..wrong.len().min(20)].join("\n");
    assert!(wrong.is_empty(), "{} differ from Python, for example\n{first}", wrong.len());
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}
