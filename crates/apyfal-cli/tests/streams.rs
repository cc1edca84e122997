//! The standard streams, wherever they lead, and the limits on what is written.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs::File;
use std::process::{Command, Output, Stdio};

use common::server::Server;
use common::{Home, peer, text, words};

/// Runs a line of shell in a home, in which `$APYFAL` is the command.
fn line(home: &Home, line: &str) -> Output {
    Command::new("bash")
        .args(["-c", line])
        .current_dir(home.folder())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.folder())
        .env("TMPDIR", home.folder())
        .env("APYFAL", env!("CARGO_BIN_EXE_apyfal"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// How a line ended, and what it said.
fn ended(home: &Home, words: &str) -> (Option<i32>, String) {
    let output = line(home, words);
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_result_without_a_stream_to_take_it_is_an_error() {
    let home = Home::new();
    home.write("in", "text");
    for words in [
        "run gzip in - >&-",
        "run gzip in >&-",
        "run sha3 in >&-",
        "run sha3 in --json >&-",
        "copy in - >&-",
        "copy in /dev/stdout >&-",
        "accelerators >&-",
        "accelerators gzip --json >&-",
        "completions bash >&-",
        "--help >&-",
        "run --help >&-",
        "--version >&-",
        // Open, and of no use.
        "run gzip in - 1</dev/null",
        "accelerators 1</dev/null",
    ] {
        let (code, said) = ended(&home, &format!("\"$APYFAL\" {words}"));
        assert_eq!(code, Some(24), "{words}: {said}");
        assert!(said.contains("cannot write to standard output: it is "), "{words}: {said}");
    }
    for words in ["run gzip - out <&-", "run gzip <&- >out", "copy - out <&-", "copy - out 0>&1"] {
        let (code, said) = ended(&home, &format!("\"$APYFAL\" {words} 1>file"));
        assert_eq!(code, Some(24), "{words}: {said}");
        assert!(said.contains("cannot read standard input: it is "), "{words}: {said}");
    }
    // Asked for, and for standard error since the data is on standard output.
    assert_eq!(ended(&home, "\"$APYFAL\" run gzip in - --json >out 2>&-").0, Some(24));
    assert_eq!(ended(&home, "\"$APYFAL\" run gzip in - --json >out 2>/dev/full").0, Some(23));
    // Streams that nothing goes to or comes from need not be there.
    let (code, said) = ended(&home, "\"$APYFAL\" run gzip in out.gz <&- >&- 2>&-");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(peer("gzip", &["-dc"], &home.read("out.gz")), b"text");
}

#[test]
fn what_throws_a_result_away_takes_it() {
    let home = Home::new();
    home.write("in", "text");
    // As Python's subprocess.DEVNULL is opened, and as a shell opens it.
    let both = || File::options().read(true).write(true).open("/dev/null").unwrap();
    let one = || File::options().write(true).open("/dev/null").unwrap();
    for words in [
        &["run", "gzip", "in", "-"][..],
        &["run", "gzip", "-", "-"],
        &["run", "sha3", "in"],
        &["copy", "in", "-"],
        &["accelerators"],
        &["--version"],
    ] {
        for null in [both, one] {
            let mut command = home.apyfal(words);
            let command = command.stdin(both()).stdout(null()).stderr(null());
            assert_eq!(command.status().unwrap().code(), Some(0), "{words:?}");
        }
    }
}

#[test]
fn a_full_standard_output_is_an_error_in_every_command() {
    let home = Home::new();
    home.write("in", "text");
    for words in [
        "run gzip in -",
        "run sha3 in",
        "run sha3 in --json",
        "copy in -",
        "accelerators",
        "completions zsh",
        "--help",
        "run --help",
        "--version",
    ] {
        let (code, said) = ended(&home, &format!("\"$APYFAL\" {words} >/dev/full"));
        let expected = "cannot write to standard output: no space left on device";
        assert_eq!(code, Some(23), "{words}: {said}");
        assert_eq!(said.matches(expected).count(), 1, "{words}: {said}");
    }
}

#[test]
fn a_file_is_not_read_while_it_is_written() {
    let home = Home::new();
    for words in [
        "run gzip in - >>in",
        "run gzip - - <in >>in",
        "copy in - >>in",
        "copy in /dev/stdout >>in",
    ] {
        home.write("in", "text");
        let (code, said) = ended(&home, &format!("\"$APYFAL\" {words}"));
        assert_eq!(code, Some(2), "{words}: {said}");
        assert!(said.contains("source and destination"), "{words}: {said}");
        assert_eq!(home.read("in"), b"text");
    }
    // A result takes the place of its source when it is complete.
    assert_eq!(ended(&home, "\"$APYFAL\" run gzip in in").0, Some(0));
    assert_eq!(peer("gzip", &["-dc"], &home.read("in")), b"text");
}

#[test]
fn an_archive_does_not_hold_itself_wherever_it_goes() {
    let home = Home::new();
    std::fs::create_dir(home.path("tree")).unwrap();
    home.write("tree/a", "text");
    let list = |name: &str| text(&peer("tar", &["-tzf", home.path(name).to_str().unwrap()], b""));
    for (words, result) in [
        ("run targz . - >inside", "tree/inside"),
        ("run targz . - >>inside", "tree/inside"),
        ("run targz . >inside", "tree/inside"),
        ("run targz . /dev/stdout >inside", "tree/inside"),
        ("run targz . /dev/fd/3 3>inside", "tree/inside"),
        ("run targz . inside", "tree/inside"),
        // The earlier archive is in the tree too, under two names and behind a link.
        ("run targz . inside && ln inside other && \"$APYFAL\" run targz . inside", "tree/inside"),
        ("run targz . inside && ln -s inside link && \"$APYFAL\" run targz . link", "tree/inside"),
    ] {
        let (code, said) = ended(&home, &format!("cd tree && \"$APYFAL\" {words}"));
        assert_eq!(code, Some(0), "{words}: {said}");
        let link = if words.contains("ln -s") { "tree/link\n" } else { "" };
        assert_eq!(list(result), format!("tree/\ntree/a\n{link}"), "{words}");
        for name in ["inside", "other", "link"] {
            let _ = std::fs::remove_file(home.path("tree").join(name));
        }
    }
}

#[test]
fn a_file_beyond_the_limit_is_an_error_that_names_both() {
    let home = Home::new();
    // Random, so that it stays as long.
    home.ok(&["run", "trng", "in", "--nbBytes", "3000000"]);
    home.write("out", "the old one");
    for (words, place) in [
        ("run gzip in out", "'out'"),
        ("run null in out", "'out'"),
        ("copy in out", "'out'"),
        ("run gzip in - >file", "standard output"),
        ("copy in - >file", "standard output"),
        ("run trng new --nbBytes 2000000", "'new'"),
        // In a temporary file first: an archive has lengths before contents.
        ("run targz - new.tgz <in", "a file in '"),
    ] {
        let (code, said) = ended(&home, &format!("ulimit -f 1000; \"$APYFAL\" {words}"));
        assert_eq!(code, Some(23), "{words}: {said}");
        assert!(said.starts_with(&format!("apyfal: cannot write to {place}")), "{words}: {said}");
        assert!(said.contains("(limit in bytes 1024000)\n  hint: "), "{words}: {said}");
    }
    assert_eq!(home.read("out"), b"the old one");
}

#[test]
fn programs_are_started_with_the_signals_of_any_program() {
    let home = Home::new();
    home.write(
        "accelerator.conf",
        "[accelerator.signals]\ncommand = [\"grep\", \"^SigIgn\", \"/proc/self/status\"]\n",
    );
    let run = "env --default-signal=PIPE,XFSZ \"$APYFAL\" -q run signals -";
    let output = line(&home, run);
    let shown = text(&output.stdout);
    let ignored = shown.trim().strip_prefix("SigIgn:").unwrap_or_else(|| {
        panic!("{shown}{}", text(&output.stderr));
    });
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    let of = |signal: rustix::process::Signal| 1 << (signal.as_raw() - 1);
    use rustix::process::Signal;
    assert_eq!(ignored & (of(Signal::PIPE) | of(Signal::XFSZ)), 0, "{shown}");
}

#[test]
fn a_host_survives_a_file_beyond_its_limit() {
    let server = Server::configured("[security]\nauthorized_host_dirs = ~\n", &[]);
    let home = Home::new();
    home.write("in", words(3_000_000, 5));
    server.limit_files(1_000_000);
    let there = format!("host://{}", server.home().path("out").display());
    let run = |words: &[&str]| {
        let host = ["--host_ip", server.address()];
        home.apyfal(&[words, &host[..]].concat()).output().unwrap()
    };
    let output = run(&["run", "null", "in", &there]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(23), "{said}");
    assert!(said.contains("out'") && said.contains("limit in bytes 1000000"), "{said}");
    assert!(!server.home().path("out").exists());
    // The jobs of others go on.
    let output = run(&["run", "sha3", "in"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}
