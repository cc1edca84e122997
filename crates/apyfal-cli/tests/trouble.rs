//! What goes wrong: each with its message and its code, and nothing lost or left behind.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Home, peer, text, words};

#[test]
fn a_missing_source_leaves_no_destination() {
    let home = Home::new();
    let error = home.fails(20, &["run", "gzip", "missing.txt", "out.gz"]);
    assert!(error.contains("missing.txt"), "{error}");
    assert_eq!(home.files(), [] as [&str; 0]);
}

#[test]
fn wrong_names_are_answered_with_the_nearest() {
    let home = Home::new();
    home.write("in", "x");
    let error = home.fails(6, &["run", "gzpi", "in", "out"]);
    assert!(error.contains("did you mean 'gzip'?"), "{error}");
    let error = home.fails(2, &["run", "gzip", "in", "out", "--levle", "9"]);
    assert!(error.contains("did you mean 'level'?"), "{error}");
    let error = home.fails(2, &["run", "gzip", "in", "out", "--level", "fats"]);
    assert!(error.contains("did you mean 'fast'?"), "{error}");
    let error = home.fails(2, &["rum", "gzip"]);
    assert!(error.contains("run"), "{error}");
    assert_eq!(home.files(), ["in"]);
}

#[test]
fn corrupt_and_cut_off_input_leaves_the_old_destination() {
    let home = Home::new();
    let packed = peer("gzip", &["-c"], &words(400_000, 1));
    home.write("out", "the old one");
    home.write("cut.gz", &packed[..packed.len() / 2]);
    home.fails(7, &["run", "gunzip", "cut.gz", "out"]);
    let mut flipped = packed.clone();
    flipped[packed.len() / 2] ^= 0x10;
    home.write("flipped.gz", flipped);
    home.fails(7, &["run", "gunzip", "flipped.gz", "out"]);
    home.write("text.gz", "this is no gzip at all");
    home.fails(7, &["run", "gunzip", "text.gz", "out"]);
    home.fails(7, &["run", "jpegenc", "text.gz", "out"]);
    assert_eq!(home.read("out"), b"the old one");
    assert_eq!(home.files(), ["cut.gz", "flipped.gz", "out", "text.gz"]);
}

#[test]
fn the_empty_file_goes_through_everything() {
    let home = Home::new();
    home.write("empty", "");
    home.write("words.csv", "a,b\n");
    home.ok(&["run", "gzip", "empty", "empty.gz"]);
    assert_eq!(peer("gzip", &["-dc"], &home.read("empty.gz")), b"");
    home.ok(&["run", "gunzip", "empty.gz", "back"]);
    home.ok(&["run", "hyperfire", "--start-src", "words.csv", "empty", "replaced"]);
    home.ok(&["run", "null", "empty", "copied"]);
    home.ok(&["run", "trng", "random", "--nbBytes", "0"]);
    for name in ["back", "replaced", "copied", "random"] {
        assert_eq!(home.read(name), b"", "{name}");
    }
    assert!(home.ok(&["run", "sha3", "empty"]).starts_with("digest: a7ffc6f8bf1ed766"));
    home.ok(&["run", "targz", "empty", "empty.tgz"]);
    assert_eq!(text(&peer("tar", &["-tzf", "-"], &home.read("empty.tgz"))), "empty\n");
    home.fails(7, &["run", "jpegenc", "empty", "empty.jpg"]);
}

#[test]
fn a_full_device_is_named() {
    let home = Home::new();
    home.write("in", words(100_000, 2));
    let error = home.fails(23, &["run", "null", "in", "/dev/full"]);
    assert!(error.contains("no space left"), "{error}");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = home.apyfal(&["run", "null", "in", "-"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(23), "{}", text(&output.stderr));
}

#[test]
fn a_destination_that_cannot_be_is_named() {
    let home = Home::new();
    home.write("in", "x");
    std::fs::create_dir(home.path("folder")).unwrap();
    let error = home.fails(20, &["run", "null", "in", "nowhere/out"]);
    assert!(error.contains("nowhere"), "{error}");
    let output = home.apyfal(&["run", "null", "in", "folder"]).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("directory"), "{}", text(&output.stderr));
    let error = home.fails(22, &["run", "null", "in", "s4://bucket/key"]);
    assert!(error.contains("s3"), "{error}");
}

#[test]
fn a_loop_of_links_is_no_destination() {
    let home = Home::new();
    home.write("in", "x");
    std::os::unix::fs::symlink("two", home.path("one")).unwrap();
    std::os::unix::fs::symlink("one", home.path("two")).unwrap();
    let output = home.apyfal(&["run", "null", "in", "one"]).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("levels of symbolic links"), "{}", text(&output.stderr));
    assert!(home.path("one").is_symlink());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::new();
    home.write("in", words(4_000_000, 3));
    let mut child = spawn(&home, &["run", "null", "in", "-"]);
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(text(&output.stderr), "");
}

fn spawn(home: &Home, words: &[&str]) -> Child {
    home.apyfal(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A job in the middle of its input, which ends only by a signal.
fn in_the_middle(home: &Home) -> Child {
    let mut child = spawn(home, &["run", "gzip", "-", "out.gz"]);
    child.stdin.as_mut().unwrap().write_all(&words(3_000_000, 4)).unwrap();
    child
}

#[test]
fn an_interrupt_ends_a_job_that_waits_for_input() {
    let home = Home::new();
    home.write("out.gz", "the old one");
    let mut child = in_the_middle(&home);
    let stdin = child.stdin.take();
    peer("kill", &["-INT", &child.id().to_string()], b"");
    let begin = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(60));
    drop(stdin);
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cancelled"));
    assert_eq!(home.read("out.gz"), b"the old one");
    assert_eq!(home.files(), ["out.gz"]);
}

/// A command that another program becomes, after it did something.
fn through(home: &Home, program: [&str; 4], words: &[&str]) -> Command {
    let apyfal = home.apyfal(words);
    let mut command = Command::new(program[0]);
    command
        .args(&program[1..])
        .arg(apyfal.get_program())
        .args(words)
        .current_dir(home.folder())
        .env_clear()
        .envs(apyfal.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[test]
fn signals_that_are_ignored_stay_so() {
    let home = Home::new();
    let ignoring = ["sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh"];
    let mut child = through(&home, ignoring, &["run", "gzip", "-", "out.gz"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than a pipe holds, so that it runs.
    let data = words(3_000_000, 4);
    stdin.write_all(&data).unwrap();
    for signal in ["-INT", "-HUP", "-INT"] {
        peer("kill", &[signal, &child.id().to_string()], b"");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert!(peer("gzip", &["-dc"], &home.read("out.gz")) == data);
}

#[test]
fn programs_run_where_the_ends_of_children_are_ignored() {
    let home = Home::new();
    home.write("accelerator.conf", "[accelerator.cat]\ncommand = ['cat']\n");
    home.write("in", "data");
    let ignoring = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); \
                    os.execv(sys.argv[1], sys.argv[1:])";
    let ignoring = ["python3", "-I", "-c", ignoring];
    let output = through(&home, ignoring, &["run", "cat", "in", "out"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(home.read("out"), b"data");
}

#[test]
fn a_kill_leaves_the_old_destination() {
    let home = Home::new();
    home.write("out.gz", "the old one");
    let mut child = in_the_middle(&home);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(home.read("out.gz"), b"the old one");
    // What a killed process leaves is its session in the temporary directory; nothing beside the
    // destination could be taken for a result.
    assert!(home.files().iter().all(|name| name == "out.gz" || name.starts_with("apyfal-")));
}

#[test]
fn names_of_files_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let home = Home::new();
    let name = |bytes: &'static [u8]| std::ffi::OsStr::from_bytes(bytes);
    std::fs::write(home.folder().join(name(b"in \xff")), "x").unwrap();
    let output = home
        .apyfal(&["run", "null"])
        .args([name(b"in \xff"), name(b"out\n\xfe")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(home.folder().join(name(b"out\n\xfe"))).unwrap(), b"x");
}

#[test]
fn the_stored_name_is_the_files_own_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let home = Home::new();
    for name in [&b"caf\xe9"[..], "caf\u{e9}".as_bytes(), b"\xff\xfe"] {
        let name = std::ffi::OsStr::from_bytes(name);
        std::fs::write(home.folder().join(name), "x").unwrap();
        let mut command = home.apyfal(&["run", "gzip", "--store_name"]);
        let output = command.arg(name).arg("out.gz").output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let mut gzip = std::process::Command::new("gzip");
        let theirs = gzip.args(["-Nkc"]).arg(home.folder().join(name)).output().unwrap().stdout;
        // Ten bytes before it tell no name.
        let stored = |packed: &[u8]| packed[10..].split(|byte| *byte == 0).next().unwrap().to_vec();
        assert_eq!(stored(&home.read("out.gz")), name.as_bytes());
        assert_eq!(stored(&home.read("out.gz")), stored(&theirs));
    }
}

#[test]
fn errors_are_json_where_asked_for() {
    let home = Home::new();
    let error = home.fails(6, &["run", "gzpi", "a", "b", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&error).unwrap();
    assert_eq!(error["error"]["kind"], "not-found");
    for words in [&["rum", "--json"][..], &["run", "--json"], &["stop", "--json", "-x"]] {
        let error: serde_json::Value = serde_json::from_str(&home.fails(2, words)).unwrap();
        assert_eq!(error["error"]["kind"], "usage");
    }
}

#[test]
fn a_broken_configuration_points_at_its_line() {
    let home = Home::new();
    home.write("in", "x");
    home.write("accelerator.conf", "[host]\nregion = here\nregion = there\n");
    let error = home.fails(3, &["run", "null", "in", "out"]);
    assert!(error.contains("accelerator.conf") && error.contains("line 3"), "{error}");
    home.fails(3, &["run", "null", "in", "out", "-c", "missing.conf"]);
    home.write("accelerator.conf", "[host]\nregoin = here\n");
    let output = home.apyfal(&["run", "null", "in", "out"]).output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("'region'"), "{}", text(&output.stderr));
}

#[test]
fn parameters_that_nobody_reads_are_told_once() {
    let home = Home::new();
    home.write("in", "x");
    home.write("full.json", r#"{"app": {"level": 9, "specific": {}}, "mode": "hush"}"#);
    for words in [
        &["run", "gzip", "in", "out", "-j", "full.json"][..],
        &["run", "sha3", "in", "in", "-j", "full.json"],
        &["map", "gzip", "in", "folder", "-j", "full.json"],
        &["start", "-a", "gzip", "-j", "full.json"],
        &["process", "-i", "in", "-o", "out", "-j", "full.json"],
    ] {
        let said = home.apyfal(words).output().unwrap();
        assert!(said.status.success(), "{words:?}: {}", text(&said.stderr));
        let said = text(&said.stderr);
        let told = "apyfal: warning: 'mode' and 'app.level' of the parameters are ignored";
        assert_eq!((said.matches(told).count(), said.matches("hush").count()), (1, 0), "{said}");
    }
    home.write("wrong.json", r#"{"app": {"reset": "hush"}}"#);
    let error = home.fails(2, &["run", "gzip", "in", "out", "-j", "wrong.json"]);
    assert!(error.contains("'app.reset' of the parameters must be true or false, not a text"));
    assert!(!error.contains("hush"), "{error}");
}
