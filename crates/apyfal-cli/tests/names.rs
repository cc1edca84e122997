//! Accelerators that are remembered by a name, across invocations.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::server::Server;
use common::{Home, peer, text, words};

#[test]
fn a_name_goes_through_its_life() {
    let home = Home::new();
    home.write("corpus.csv", "the,THE\n");
    home.write("in.txt", "the other the");
    home.ok(&["create", "--accelerator", "hyperfire", "--name", "words"]);
    home.ok(&["start", "--name", "words", "--src", "corpus.csv"]);
    // The session has a copy of what start was given.
    std::fs::remove_file(home.path("corpus.csv")).unwrap();
    home.ok(&["process", "--name", "words", "--src", "in.txt", "--dst", "out.txt"]);
    assert_eq!(home.read("out.txt"), b"THE other THE");
    home.ok(&["process", "-n", "words", "-i", "in.txt", "-o", "out2.txt"]);
    assert_eq!(home.read("out2.txt"), b"THE other THE");
    home.ok(&["stop", "--name", "words"]);
    let error = home.fails(6, &["process", "-n", "words", "-i", "in.txt", "-o", "out3.txt"]);
    assert!(error.contains("no accelerator is named 'words'"), "{error}");
}

#[test]
fn the_default_name_and_the_old_parameter_names_work() {
    let home = Home::new();
    home.write("in.txt", "text");
    home.ok(&["create", "-a", "sha3"]);
    home.ok(&["start"]);
    let digest = home.ok(&["process", "--src", "in.txt", "--type=shake-256", "--length", "512"]);
    let theirs = peer("openssl", &["dgst", "-shake256", "-xoflen", "64", "-r"], b"text");
    assert!(digest.contains(text(&theirs).split(' ').next().unwrap()));
    home.ok(&["create", "-a", "null"]);
    home.ok(&["start"]);
    home.ok(&["process", "--file_in", "in.txt", "--file_out", "out.txt"]);
    assert_eq!(home.read("out.txt"), b"text");
    home.ok(&["stop"]);
}

#[test]
fn a_name_keeps_the_configuration_that_it_was_made_with() {
    let home = Home::new();
    home.write("in.txt", "text");
    for (folder, file) in [("one", "one/accelerator.conf"), ("two", "two/other.conf")] {
        std::fs::create_dir(home.path(folder)).unwrap();
        home.write(file, format!("[accelerator.mine]\ncommand = ['sh', '-c', 'echo {folder}']\n"));
    }
    let done = |folder: &str, words: &[&str]| {
        let mut command = home.apyfal(words);
        command.current_dir(home.path(folder)).env("APYFAL_CONFIG_FILE", "");
        if folder == "two" {
            command.env("APYFAL_CONFIG_FILE", "other.conf");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    done("one", &["create", "-a", "mine", "-n", "created"]);
    done("one", &["start", "-n", "created"]);
    done("two", &["start", "-a", "mine", "-n", "started"]);
    for (name, said) in [("created", "one"), ("started", "two")] {
        let out = format!("{name}.txt");
        done(".", &["process", "-n", name, "-i", "in.txt", "-o", &out]);
        assert_eq!(text(&home.read(&out)).trim(), said);
        done(".", &["stop", "-n", name]);
    }
    assert!(done(".", &["list"]).is_empty());
}

#[test]
fn parameters_of_start_hold_until_process_overrides_them() {
    let home = Home::new();
    home.write("in.txt", words(300_000, 1));
    home.ok(&["create", "-a", "gzip"]);
    home.ok(&["start", "--level", "1"]);
    home.ok(&["process", "-i", "in.txt", "-o", "one.gz"]);
    home.ok(&["process", "-i", "in.txt", "-o", "best.gz", "--level", "best"]);
    home.ok(&["run", "gzip", "in.txt", "run.gz", "--level", "1"]);
    assert!(home.read("one.gz") == home.read("run.gz"));
    assert!(home.read("best.gz").len() < home.read("one.gz").len());
}

#[test]
fn parameters_come_as_json_text_or_file() {
    let home = Home::new();
    home.write("in.txt", "text");
    home.write("p.json", r#"{"app": {"specific": {"type": "sha3-384", "length": null}}}"#);
    home.ok(&["create", "-a", "sha3"]);
    home.ok(&["start"]);
    let from_file = home.ok(&["process", "-i", "in.txt", "-j", "p.json"]);
    let text = r#"{"app": {"specific": {"type": "sha3-384"}}}"#;
    assert_eq!(from_file, home.ok(&["process", "-i", "in.txt", "-j", text]));
    // A keyword wins over the file.
    let wins = home.ok(&["process", "-i", "in.txt", "-j", "p.json", "--type", "sha3-224"]);
    assert_eq!(wins.trim().len(), "digest: ".len() + 56);
    home.fails(20, &["process", "-i", "in.txt", "-j", "missing.json"]);
    home.fails(2, &["process", "-i", "in.txt", "-j", "{\"app\": 1"]);
}

#[test]
fn a_transaction_lives_across_invocations() {
    let home = Home::new();
    home.write("a", "first");
    home.write("b", words(100_000, 2));
    home.ok(&["create", "-a", "aclz_tgz"]);
    home.ok(&["start", "--mode", "3"]);
    home.ok(&["process", "-i", "a", "--startOfTx", "1", "--set", "name=first"]);
    let error = home.fails(8, &["process", "-i", "a", "--startOfTx", "1"]);
    assert!(error.contains("hint"), "{error}");
    home.ok(&["process", "-i", "b", "--endOfTx", "1", "-o", "out.tgz"]);
    let names = peer("tar", &["-tzf", "-"], &home.read("out.tgz"));
    assert_eq!(text(&names), "first\nb\n");
}

#[test]
fn several_names_live_at_once_and_clear_forgets_them() {
    let home = Home::new();
    home.write("in", "x");
    for name in ["one", "two words", "../three"] {
        home.ok(&["create", "-a", "null", "-n", name]);
        home.ok(&["start", "-n", name]);
    }
    for name in ["one", "two words", "../three"] {
        home.ok(&["process", "-n", name, "-i", "in", "-o", "out"]);
    }
    home.ok(&["clear"]);
    home.fails(6, &["process", "-n", "one", "-i", "in", "-o", "out"]);
    home.ok(&["clear"]);
}

#[test]
fn all_that_is_remembered_is_removed_unless_it_is_open() {
    let home = Home::new();
    let refused = |home: &Home, why: &str, hint: &str| {
        let said = home.fails(8, &["clear", "--all"]);
        assert!(said.contains(why) && said.contains(hint), "{said}");
        assert!(home.path(".apyfal").exists());
    };
    // A name,
    home.ok(&["create", "-a", "null", "-n", "my words"]);
    refused(&home, "the accelerator 'my words' is open", "apyfal stop --name 'my words'");
    home.ok(&["start", "-n", "my words"]);
    refused(&home, "the accelerator 'my words' is open", "apyfal clear");
    home.ok(&["stop", "-n", "my words"]);
    home.ok(&["clear"]);
    // a host that runs,
    let server = Server::in_home(home, "", &[]);
    let session =
        server.connect().post("/v2/sessions", "application/json", br#"{"accelerator": "null"}"#);
    assert_eq!(session.status, 201, "{session:?}");
    refused(server.home(), "is in use", "end the command or host");
    // and a session that it comes back to.
    let home = server.killed().home;
    refused(&home, "has open sessions", "apyfal serve");
    std::fs::remove_dir_all(home.path(".apyfal/host/sessions")).unwrap();

    home.ok(&["clear", "--all"]);
    assert!(!home.path(".apyfal").exists());
    home.ok(&["clear", "--all"]);
}

#[test]
fn an_empty_name_is_refused_and_harms_nobody() {
    let home = Home::new();
    home.write("in", "x");
    home.ok(&["start", "-a", "null", "-n", "other"]);
    for command in ["create", "start", "stop", "process"] {
        home.fails(2, &[command, "-n", ""]);
    }
    home.fails(2, &["create", "-a", "null", "-n", ""]);
    home.ok(&["process", "-n", "other", "-i", "in", "-o", "out"]);
}

#[test]
fn a_damaged_record_is_created_anew() {
    let home = Home::new();
    home.ok(&["create", "-a", "null"]);
    home.write(".apyfal/command_line/accelerators/default.json", "{");
    let error = home.fails(8, &["start"]);
    assert!(error.contains("hint: create the accelerator again"), "{error}");
    home.ok(&["create", "-a", "null"]);
    home.ok(&["start"]);
}

#[test]
fn stop_knows_its_options() {
    let home = Home::new();
    home.ok(&["start", "-a", "null"]);
    home.fails(2, &["stop", "--nmae", "words"]);
    home.ok(&["stop"]);
}

#[test]
fn a_start_that_fails_leaves_the_session_as_it_was() {
    let home = Home::new();
    home.write("good.csv", "a,b\n");
    home.write("bad.csv", "a\n");
    home.write("in", "a");
    home.ok(&["create", "-a", "hyperfire"]);
    home.ok(&["start", "-i", "good.csv"]);
    home.fails(7, &["start", "-i", "bad.csv"]);
    home.ok(&["process", "-i", "in", "-o", "out"]);
    assert_eq!(home.read("out"), b"b");
    // Starting once more, or as another accelerator, leaves one session on disk.
    home.ok(&["start", "-i", "good.csv"]);
    home.ok(&["start", "-a", "null"]);
    let sessions = home.path(".apyfal/command_line/accelerators/default");
    assert_eq!(std::fs::read_dir(sessions).unwrap().count(), 1);
}

#[test]
fn many_commands_on_one_name_do_not_disturb_each_other() {
    let home = Home::new();
    home.write("in", words(20_000, 3));
    home.ok(&["create", "-a", "null"]);
    home.ok(&["start"]);
    let spawn = |words: &[&str]| home.apyfal(words).spawn().unwrap();
    let mut children: Vec<_> = (0..6).map(|_| spawn(&["start", "-q"])).collect();
    children.extend((0..6).map(|_| spawn(&["create", "-a", "null", "-n", "second"])));
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    home.ok(&["process", "-i", "in", "-o", "out"]);
    assert!(home.read("out") == home.read("in"));
    let sessions = home.path(".apyfal/command_line/accelerators/default");
    assert_eq!(std::fs::read_dir(sessions).unwrap().count(), 1);
}

#[test]
fn jobs_go_on_while_their_name_is_started_again() {
    let home = Home::new();
    home.write("corpus.csv", "the,THE\n");
    home.write("in", words(50_000, 9));
    home.ok(&["start", "-a", "hyperfire", "-i", "corpus.csv"]);
    let mut children = Vec::new();
    for number in 0..10 {
        let out = format!("out{number}");
        children.push(home.apyfal(&["process", "-q", "-i", "in", "-o", &out]).spawn().unwrap());
        let start = home.apyfal(&["start", "-q", "-i", "corpus.csv"]).spawn().unwrap();
        children.push(start);
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert!((1..10).all(|number| home.read(&format!("out{number}")) == home.read("out0")));
    let sessions = home.path(".apyfal/command_line/accelerators/default");
    assert_eq!(std::fs::read_dir(sessions).unwrap().count(), 1);
}

#[test]
fn state_is_private_to_its_owner() {
    let home = Home::new();
    home.write("corpus.csv", "a,b\n");
    home.ok(&["create", "-a", "hyperfire"]);
    home.ok(&["start", "-i", "corpus.csv"]);
    let names = home.path(".apyfal/command_line/accelerators");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&names) & 0o777, 0o700);
    assert_eq!(mode(&names.join("default.json")) & 0o777, 0o600);
}

#[test]
fn process_needs_a_start() {
    let home = Home::new();
    home.ok(&["create", "-a", "null"]);
    let error = home.fails(8, &["process", "-i", "in", "-o", "out"]);
    assert!(error.contains("apyfal start --name default"), "{error}");
}

#[test]
fn start_names_its_accelerator_where_nothing_was_created() {
    let home = Home::new();
    home.write("in", "x");
    home.ok(&["start", "-a", "null", "-n", "quick"]);
    home.ok(&["process", "-n", "quick", "-i", "in", "-o", "out"]);
    assert_eq!(home.read("out"), b"x");
}

#[test]
fn the_original_options_work() {
    let home = Home::new();
    home.write("in", "x");
    home.ok(&["create", "--name=a", "--accelerator=null", "--accelize_client_id", "C"]);
    let started = home.ok(&["start", "--name", "a", "--info_dict"]);
    assert!(started.contains("\"status\": 0"), "{started}");
    let info = home.ok(&["process", "-n", "a", "-i", "in", "-o", "out", "--info_dict"]);
    assert!(info.contains("\"total-bytes-read\": 1"), "{info}");
    home.ok(&["stop", "--name", "a", "--stop_mode", "term"]);
}

#[test]
fn what_is_open_is_listed() {
    let home = Home::new();
    assert_eq!(home.ok(&["list"]), "");
    assert_eq!(
        home.ok(&["list", "--json"]).replace([' ', '\n'], ""),
        "{\"names\":[],\"hosts\":[]}"
    );
    home.ok(&["create", "-a", "cast_gzip", "-n", "../two words"]);
    home.ok(&["start", "-a", "null"]);
    let listed = home.ok(&["list"]);
    let rows: Vec<_> =
        listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(
        rows,
        [
            &["NAME", "ACCELERATOR", "STATE", "HOST"][..],
            &["../two", "words", "gzip", "created", "-"],
            &["default", "null", "started", "-"],
        ]
    );
    // One that is damaged is in nobody's way.
    home.write(".apyfal/command_line/accelerators/broken.json", "{");
    let output = home.apyfal(&["list", "--json"]).output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("it is damaged"), "{}", text(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["names"][1]["name"], "default");
    assert_eq!(told["names"][1]["state"], "started");
    home.ok(&["stop"]);
    home.ok(&["stop", "-n", "../two words"]);
    home.ok(&["clear"]);
    assert_eq!(home.ok(&["list"]), "");
}

#[test]
fn a_start_that_was_killed_leaves_nothing_behind_the_next_one() {
    let home = Home::new();
    home.ok(&["start", "--name", "x", "-a", "null"]);
    let pipe = home.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut start = home
        .apyfal(&["start", "--name", "x", "-a", "hyperfire", "-i", "pipe"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // It is open at both ends once it is read.
    let _writer = std::fs::File::options().write(true).open(&pipe).unwrap();
    let sessions = || {
        let root = home.path(".apyfal/command_line/accelerators/x");
        std::fs::read_dir(root).unwrap().count()
    };
    common::server::until("it has a session under way", || sessions() == 2);
    start.kill().unwrap();
    start.wait().unwrap();
    assert_eq!(sessions(), 2);
    home.ok(&["start", "--name", "x", "-a", "null"]);
    assert_eq!(sessions(), 1);
}

#[test]
fn an_accelerator_that_is_gone_leaves_no_session_behind_the_next_start() {
    let home = Home::new();
    home.write("accelerator.conf", "[accelerator.gone]\ncommand = ['cat']\n");
    home.ok(&["start", "--name", "x", "-a", "gone"]);
    home.write("accelerator.conf", "");
    home.ok(&["start", "--name", "x", "-a", "null"]);
    let root = home.path(".apyfal/command_line/accelerators/x");
    assert_eq!(std::fs::read_dir(root).unwrap().count(), 1);
}
