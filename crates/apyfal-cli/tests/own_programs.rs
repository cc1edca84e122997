//! Accelerators that are the user's own programs, through the commands that live on between calls.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{Home, text};

/// A stand-in for an executable of the original's convention, which reverses what it processes. It
/// keeps a log of its calls.
const EXECUTABLE: &str = r#"#!/usr/bin/env python3
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
args = [arg for arg in sys.argv[1:] if arg != "-v4"]
given = dict(zip(args[::2], args[1::2]))
with open(here + "/log", "a") as log:
    print(given["-m"], *sorted(given), file=log)
sent = json.load(open(given["-j"]))["app"]["specific"] if "-j" in given else {}
app = {"status": 0, "msg": ""}
if sent.get("what") == "refuse":
    app = {"status": 7, "msg": "no such word"}
elif given["-m"] == "1":
    app["specific"] = {"digest": "ab"}
    open(given["-o"], "wb").write(open(given["-i"], "rb").read()[::-1])
json.dump({"app": app}, open(given["-p"], "w"))
"#;

const WORKER: &str = r#"
import json, os, sys
for line in sys.stdin:
    job = json.loads(line)
    open("workers", "a").write("%d\n" % os.getpid())
    open(job["dst"], "wb").write(open(job["src"], "rb").read().upper())
    print(json.dumps({"id": job["id"]}), flush=True)
"#;

/// A home with the accelerator `card`, whose lock stays in it.
fn home_with_card() -> Home {
    let home = Home::new();
    let program = home.write("card", EXECUTABLE);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(home.path("locks")).unwrap();
    home.write(
        "accelerator.conf",
        format!(
            "[accelerator.card]\nexecutable = {}\nlock_directory = {}\n",
            program.display(),
            home.path("locks").display()
        ),
    );
    home.write("in.txt", "abc");
    home
}

fn log(home: &Home) -> String {
    text(&home.read("log"))
}

#[test]
fn an_executable_is_started_processes_and_stops_across_calls() {
    let home = home_with_card();
    home.write("data", "corpus");
    home.ok(&["create", "-a", "card"]);
    home.ok(&["start", "--src", "data"]);
    for _ in 0..2 {
        let shown = home.ok(&["process", "--src", "in.txt", "--dst", "out.txt"]);
        assert!(shown.contains("digest: ab"), "{shown}");
        assert_eq!(home.read("out.txt"), b"cba");
    }
    home.ok(&["stop"]);
    assert_eq!(log(&home), "0 -i -j -m -p\n1 -i -j -m -o -p\n1 -i -j -m -o -p\n2 -m -p\n");
}

#[test]
fn a_status_other_than_0_is_a_failure_with_the_programs_message() {
    let home = home_with_card();
    home.ok(&["create", "-a", "card"]);
    home.ok(&["start"]);
    home.write("out.txt", "before");
    let call = ["process", "--src", "in.txt", "--dst", "out.txt", "--what", "refuse"];
    let output = home.apyfal(&call).output().unwrap();
    let error = text(&output.stderr);
    assert!(!output.status.success() && error.contains("no such word"), "{error}");
    assert_eq!(home.read("out.txt"), b"before");
    home.ok(&["process", "--src", "in.txt", "--dst", "out.txt"]);
    assert_eq!(home.read("out.txt"), b"cba");
    home.ok(&["stop"]);
}

#[test]
fn an_executable_without_a_lock_directory_locks_for_the_machine() {
    let home = home_with_card();
    let program = home.path("card");
    let section = format!("[accelerator.card]\nexecutable = {}\n", program.display());
    home.write("accelerator.conf", section);
    home.ok(&["create", "-a", "card"]);
    home.ok(&["start"]);
    home.ok(&["process", "--src", "in.txt", "--dst", "out.txt"]);
    // The lock names the session that owns the device, which is how this test finds its own.
    let own = |path: &std::path::PathBuf| {
        let is_lock = path.extension().is_some_and(|extension| extension == "lock");
        let owner = std::fs::read(path).unwrap_or_default();
        is_lock && text(&owner).contains(&*home.folder().to_string_lossy())
    };
    let places = [std::path::Path::new("/run/lock"), home.folder()];
    let entries = places.iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten();
    let locks: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(own).collect();
    home.ok(&["stop"]);
    assert_eq!(locks.len(), 1, "{locks:?}");
    std::fs::remove_file(&locks[0]).unwrap();
}

#[test]
fn a_worker_serves_each_call_that_needs_one() {
    let home = Home::new();
    home.write("worker.py", WORKER);
    home.write("accelerator.conf", "[accelerator.loud]\nworker = [\"python3\", \"worker.py\"]\n");
    home.write("in.txt", "abc");
    home.ok(&["create", "-a", "loud"]);
    home.ok(&["start"]);
    for _ in 0..2 {
        home.ok(&["process", "--src", "in.txt", "--dst", "out.txt"]);
        assert_eq!(home.read("out.txt"), b"ABC");
        std::fs::remove_file(home.path("out.txt")).unwrap();
    }
    home.ok(&["stop"]);
    let workers = text(&home.read("workers"));
    let pids: Vec<_> = workers.lines().collect();
    assert_eq!(pids.len(), 2);
    for pid in pids {
        assert!(!std::path::Path::new("/proc").join(pid).exists(), "worker {pid} still runs");
    }
}

#[test]
fn a_program_on_a_mount_without_programs_is_told_so() {
    let Some(words) = common::namespaces::mounts() else { return };
    let home = Home::new();
    let program = home.path("mounted/program");
    std::fs::create_dir(home.path("mounted")).unwrap();
    home.write(
        "accelerator.conf",
        format!("[accelerator.mine]\ncommand = [\"{}\"]\n", program.display()),
    );
    home.write("in.txt", "abc");
    let line = "mount -t tmpfs -o noexec tmpfs mounted && printf '#!/bin/sh\\ncat\\n' \
                >mounted/program && chmod +x mounted/program && \"$0\" run mine in.txt out.txt";
    let output = std::process::Command::new("unshare")
        .args(words)
        .args(["bash", "-c", line, env!("CARGO_BIN_EXE_apyfal")])
        .current_dir(home.folder())
        .env("HOME", home.folder())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{said}");
    assert!(said.contains("program' is on a file system that is mounted noexec"), "{said}");
    assert!(!said.contains("chmod"), "{said}");
}
