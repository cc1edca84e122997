//! Destinations that can be written and not replaced, or that have no room.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use common::{Home, peer, text};

/// A user who owns nothing.
const NOBODY: u32 = 65_534;

/// Runs lines of shell in a home of its own.
struct Shell {
    home: Home,
    runner: Vec<String>,
    program: PathBuf,
}

impl Shell {
    /// With mounts of its own. None where the environment says that there can be none.
    fn with_mounts() -> Option<Self> {
        let words = common::namespaces::mounts()?;
        let runner = ["unshare"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        Some(Self { home: Home::new(), runner, program: env!("CARGO_BIN_EXE_apyfal").into() })
    }

    /// For a user to whom the modes of files mean something: not root.
    fn unprivileged() -> Self {
        let home = Home::new();
        let mut shell = Self { home, runner: vec![], program: env!("CARGO_BIN_EXE_apyfal").into() };
        if is_root() {
            // Where others may go: the folder of the build need not be.
            fs::set_permissions(shell.home.folder(), Permissions::from_mode(0o755)).unwrap();
            let own = shell.home.path("apyfal");
            if fs::hard_link(&shell.program, &own).is_err() {
                fs::copy(&shell.program, &own).unwrap();
            }
            shell.program = own;
            let id = |what: &str| format!("--{what}={NOBODY}");
            shell.runner =
                vec!["setpriv".into(), id("reuid"), id("regid"), "--clear-groups".into()];
            fs::create_dir(shell.home.path("tmp")).unwrap();
            fs::set_permissions(shell.home.path("tmp"), Permissions::from_mode(0o1777)).unwrap();
        } else {
            fs::create_dir(shell.home.path("tmp")).unwrap();
        }
        shell
    }

    /// Runs lines of shell, in which `apyfal` is the command.
    fn run(&self, lines: &str) -> Output {
        let lines = format!("apyfal() {{ '{}' \"$@\"; }}\n{lines}", self.program.display());
        let tmp = self.home.path("tmp");
        let tmp = if tmp.is_dir() { tmp } else { self.home.folder().to_owned() };
        let words = self.runner.iter().map(String::as_str).chain(["bash", "-c", &lines]);
        let words: Vec<_> = words.collect();
        Command::new(words[0])
            .args(&words[1..])
            .current_dir(self.home.folder())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &tmp)
            .env("TMPDIR", &tmp)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs them; they must end well. What they said.
    fn ok(&self, lines: &str) -> String {
        let output = self.run(lines);
        assert!(output.status.success(), "{lines}: {}", text(&output.stderr));
        text(&output.stderr)
    }

    /// Runs them; they must end so. What they said.
    fn fails(&self, code: i32, lines: &str) -> String {
        let output = self.run(lines);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{lines}: {said}");
        said
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.home.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn unpacked(&self, name: &str) -> Vec<u8> {
        peer("gzip", &["-dc"], &self.home.read(name))
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_mounted_file_gets_the_result() {
    let Some(shell) = Shell::with_mounts() else { return };
    shell.home.write("in", "text");
    shell.home.write("behind", "the old one, which is longer than what comes");
    let before = fs::metadata(shell.home.path("behind")).unwrap();
    let mounted = "touch here && mount --bind behind here && ";
    let said = shell.ok(&format!("{mounted}apyfal run gzip in here"));
    assert!(
        said.contains(
            "the result was copied into 'here', which cannot be replaced: it is a mount point"
        ),
        "{said}"
    );
    assert_eq!(shell.unpacked("behind"), b"text");
    let after = fs::metadata(shell.home.path("behind")).unwrap();
    assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()));
    // What was set for another content does not stay.
    shell.mode("behind", 0o6755);
    shell.ok(&format!("{mounted}apyfal run gzip in here"));
    let after = fs::metadata(shell.home.path("behind")).unwrap();
    assert_eq!((before.ino(), after.mode() & 0o7777), (after.ino(), 0o755));
    // Where the report goes elsewhere it says so there.
    let output = shell.run(&format!("{mounted}apyfal --json run gzip in here"));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let note = report["app"]["destination-note"].as_str().unwrap();
    assert!(note.contains("mount point"), "{note}");
    let output = shell.run(&format!("{mounted}apyfal --json copy in here"));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["destination-note"].as_str().unwrap().contains("'here'"), "{report}");
    assert_eq!(shell.home.read("behind"), b"text");
    // A job that fails leaves it as it was, and one that reads it reads what was there.
    shell.fails(7, &format!("{mounted}apyfal run gunzip in here"));
    assert_eq!(shell.home.read("behind"), b"text");
    shell.ok(&format!("{mounted}ln -s here link && apyfal run gzip link link"));
    assert_eq!(shell.unpacked("behind"), b"text");
    // A larger file, an empty one, and the same as an archive's destination.
    shell.ok(&format!("{mounted}apyfal run trng here --nbBytes 3000000"));
    assert_eq!(shell.home.read("behind").len(), 3_000_000);
    shell.ok(&format!("{mounted}apyfal run trng here --nbBytes 0"));
    assert_eq!(shell.home.read("behind"), b"");
}

#[test]
fn a_mounted_file_that_cannot_be_written_is_refused_before_the_work() {
    let Some(shell) = Shell::with_mounts() else { return };
    shell.home.write("in", "text");
    shell.home.write("behind", "the old one");
    let said = shell.fails(
        5,
        "touch here && mount --bind behind here && mount -o remount,bind,ro here && \
         apyfal run gzip in here",
    );
    assert!(said.contains("cannot write 'here': read-only file system"), "{said}");
    // Somebody else may be writing it, too.
    let said = shell.fails(
        8,
        "touch here && mount --bind behind here && flock here bash -c \
         \"$(declare -f apyfal); apyfal run gzip in here\"",
    );
    assert!(said.contains("cannot write 'here': another process writes to it"), "{said}");
    assert!(said.contains("nor can it be replaced: it is a mount point"), "{said}");
    assert_eq!(shell.home.read("behind"), b"the old one");
}

#[test]
fn a_file_in_a_directory_that_cannot_be_written_gets_the_result() {
    let shell = Shell::unprivileged();
    fs::create_dir(shell.home.path("closed")).unwrap();
    shell.home.write("in", "text");
    shell.home.write("closed/out", "the old one");
    shell.mode("closed/out", 0o666);
    std::os::unix::fs::symlink("closed/out", shell.home.path("link")).unwrap();
    shell.mode("closed", 0o555);
    let said = shell.ok("apyfal run gzip in closed/out");
    assert!(said.contains("its directory cannot be written: permission denied"), "{said}");
    assert_eq!(shell.unpacked("closed/out"), b"text");
    shell.fails(7, "apyfal run gunzip in closed/out");
    assert_eq!(shell.unpacked("closed/out"), b"text");
    shell.ok("apyfal copy in link");
    assert_eq!(shell.home.read("closed/out"), b"text");
    // With the path of a file, as programs of one's own get it.
    let configured = "printf '[accelerator.up]\\ncommand = [\"sh\", \"-c\", \
                      \"tr a-z A-Z <$0 >$1\", \"{src}\", \"{dst}\"]\\n' >tmp/up.conf && ";
    shell.ok(&format!("{configured}apyfal run up in link -c tmp/up.conf"));
    assert_eq!(shell.home.read("closed/out"), b"TEXT");
    // Neither can a new file be made there, nor one written that is not ours to write.
    shell.fails(5, "apyfal run gzip in closed/new");
    shell.mode("closed/out", 0o444);
    shell.fails(5, "apyfal run gzip in closed/out");
    assert_eq!(shell.home.read("closed/out"), b"TEXT");
    shell.mode("closed", 0o755);
    assert_eq!(fs::read_dir(shell.home.path("closed")).unwrap().count(), 1);
}

#[test]
fn a_program_that_runs_is_refused_before_the_work_where_it_cannot_be_replaced() {
    let shell = Shell::unprivileged();
    fs::create_dir(shell.home.path("closed")).unwrap();
    let sleep = String::from_utf8(peer("which", &["sleep"], b"")).unwrap();
    fs::copy(sleep.trim(), shell.home.path("closed/program")).unwrap();
    shell.mode("closed/program", 0o777);
    shell.mode("closed", 0o555);
    let said = shell.fails(
        24,
        "closed/program 1000 & apyfal run trng closed/program --nbBytes 5\n\
         status=$?; kill %1; exit $status",
    );
    assert!(said.contains("cannot write 'closed/program': text file busy"), "{said}");
    assert!(said.contains("nor can it be replaced: its directory cannot be written"), "{said}");
    // In a directory where it can be, it is.
    shell.mode("closed", 0o777);
    shell.ok("closed/program 1000 & apyfal run trng closed/program --nbBytes 5; kill %1");
    assert_eq!(shell.home.read("closed/program").len(), 5);
}

#[test]
fn another_users_file_in_a_directory_for_all_gets_the_result() {
    if !is_root() {
        // Only root can make another user's file.
        return;
    }
    let shell = Shell::unprivileged();
    shell.home.write("in", "text");
    fs::create_dir(shell.home.path("all")).unwrap();
    shell.mode("all", 0o1777);
    shell.home.write("all/out", "the old one");
    // Linux may refuse even to open it with O_CREAT (fs.protected_regular), which is not done.
    shell.mode("all/out", 0o666);
    let said = shell.ok("apyfal run gzip in all/out");
    assert!(said.contains("it is another user's, in a directory where each may replace"), "{said}");
    assert_eq!(shell.unpacked("all/out"), b"text");
    assert_eq!(fs::metadata(shell.home.path("all/out")).unwrap().uid(), 0);
    assert_eq!(fs::read_dir(shell.home.path("all")).unwrap().count(), 1);
    // One's own is replaced there as everywhere.
    let said = shell.ok("touch all/own && apyfal run gzip in all/own");
    assert!(!said.contains("copied into"), "{said}");
}

#[test]
fn a_full_disk_is_named_once() {
    let Some(shell) = Shell::with_mounts() else { return };
    shell.home.ok(&["run", "trng", "in", "--nbBytes", "3000000"]);
    fs::create_dir(shell.home.path("full")).unwrap();
    let full = "mount -t tmpfs -o size=1m tmpfs full && ";
    for (words, errors_call_it) in [
        ("apyfal run gzip in full/out", "'full/out'"),
        ("apyfal run targz in full/out", "'full/out'"),
        ("apyfal run trng full/out --nbBytes 2000000", "'full/out'"),
        ("apyfal copy in full/out", "'full/out'"),
        ("apyfal copy in - >full/out", "standard output"),
        ("apyfal run null in - >full/out", "standard output"),
        ("TMPDIR=$PWD/full apyfal run targz - out <in", "a file in '"),
    ] {
        let said = shell.fails(23, &format!("{full}{words}"));
        assert!(said.starts_with(&format!("apyfal: cannot write to {errors_call_it}")), "{said}");
        assert!(said.ends_with(": no space left on device\n"), "{said}");
        let named = if errors_call_it.contains("full") { 1 } else { 0 };
        assert_eq!(said.matches("full/out").count(), named, "{said}");
    }
    // What cannot be replaced stays as it is where the result has no room.
    let said = shell.fails(
        23,
        "mount -t tmpfs -o size=4m tmpfs full && echo old >full/behind && touch full/here && \
         mount --bind full/behind full/here && head -c 2500000 in >full/other && \
         TMPDIR=$HOME apyfal run trng full/here --nbBytes 1200000; \
         status=$?; cat full/behind >&2; exit $status",
    );
    assert!(said.contains("no space left on device") && said.ends_with("old\n"), "{said}");
}
