//! Devices through the privileged helper: over a socket, as systemd starts it, and through `sudo`.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use apyfal_core::{Cancel, ErrorKind};
use apyfal_devices::helper::Helper;
use apyfal_devices::{Access, Kind};
use serde_json::{Value, json};

use crate::stand::{PATIENCE, SHORT, Stand, each, executable, group_runs, until};

fn helper(stand: &Stand) -> Helper {
    Helper { tools: stand.tools(), folders: vec![stand.path("images")], owner: None }
}

/// Answers each connection with a helper, as the units of systemd do.
fn listen(stand: &Stand) -> PathBuf {
    let path = stand.path("helper.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let helper = helper(stand);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, helper) = (stream.unwrap(), helper.clone());
            std::thread::spawn(move || helper.serve(&stream, &stream, &Cancel::default()));
        }
    });
    path
}

/// What the helper answers to a line.
fn ask(stand: &Stand, line: &str) -> Value {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    ours.write_all(line.as_bytes()).unwrap();
    helper(stand).serve(&theirs, &theirs, &Cancel::default()).unwrap();
    drop(theirs);
    let mut answer = String::new();
    ours.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with('\n'), "{answer}");
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn all_verbs_go_through_the_socket() {
    each(|kind| {
        let stand = Stand::new(kind, 2);
        let access = Access::Socket(listen(&stand));
        let pool = stand.pool_by(&access, PATIENCE);
        let never = Cancel::default();
        let guard = pool.acquire(&stand.image("a"), &never).unwrap();
        assert_eq!(stand.loaded(guard.slot()).as_deref(), Some(stand.image("a").id()));
        drop(guard);
        stand.changes();
        let slot = Stand::names(kind)[0];
        stand.device(&access).clear(slot, &never).unwrap();
        let fetched = stand.device(&access).prefetch(slot, &stand.image("b"), &never).unwrap();
        assert_eq!(fetched, kind == Kind::AwsF2);
        stand.tell("fail-load", "Error: (17) power-violation\n");
        let direct = stand.device(&Access::Direct).load(slot, &stand.image("b"), &never);
        let helped = stand.device(&access).load(slot, &stand.image("b"), &never);
        let (direct, helped) = (direct.unwrap_err(), helped.unwrap_err());
        assert_eq!(helped.kind(), direct.kind());
        assert_eq!(helped.message(), direct.message());
        assert!(helped.to_string().contains("power-violation"), "{helped}");
    });
}

#[test]
fn who_goes_away_takes_the_tool_along() {
    let mut stand = Stand::new(Kind::AwsF2, 1);
    // Its limit must not be what ends the tool.
    stand.limit = PATIENCE * 3;
    let device = stand.device(&Access::Socket(listen(&stand)));
    stand.tell("hang-load", "");
    let cancel = Cancel::default();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| device.load("0", &stand.image("a"), &cancel));
        until("the tool hangs", || !stand.hanging().is_empty());
        cancel.cancel();
        assert!(load.join().unwrap().unwrap_err().is_cancelled());
    });
    until("the tool is gone", || !group_runs(stand.hanging()[0]));
}

#[test]
fn a_tool_that_hangs_is_killed_by_the_helper() {
    let mut stand = Stand::new(Kind::Xrt, 1);
    stand.limit = SHORT;
    let device = stand.device(&Access::Socket(listen(&stand)));
    stand.tell("hang-load", "");
    let error = device.load("0000:b3:00.1", &stand.image("a"), &Cancel::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    until("the tool is gone", || !group_runs(stand.hanging()[0]));
}

#[test]
fn nothing_but_checked_verbs_is_done() {
    let stand = Stand::new(Kind::Xrt, 1);
    let outside = stand.path("outside.xclbin");
    std::fs::copy(stand.path("images/a"), &outside).unwrap();
    let image = stand.path("images/a");
    let load = |slot: &str, file: &str| {
        json!({"verb": "load", "device": "xrt", "slot": slot, "image": {"file": file}}).to_string()
    };
    let slot = "0000:b3:00.1";
    let within = image.to_str().unwrap();
    for (line, why) in [
        (String::new(), "cannot be understood"),
        ("reboot".to_owned(), "cannot be understood"),
        (json!({"verb": "reboot", "device": "xrt"}).to_string(), "unknown variant"),
        (json!({"verb": "slots", "device": "gpu"}).to_string(), "unknown variant"),
        (json!({"verb": "slots", "device": "xrt", "args": ["-x"]}).to_string(), "unknown field"),
        (json!({"verb": "clear", "device": "xrt"}).to_string(), "names no slot"),
        (json!({"verb": "clear", "device": "xrt", "slot": "--force"}).to_string(), "no slot of"),
        (json!({"verb": "load", "device": "xrt", "slot": slot}).to_string(), "names no image"),
        (load("0000:b3:00.1; reboot", within), "no slot of"),
        (load("-d", within), "no slot of"),
        (load(slot, "--force"), "not absolute"),
        (load(slot, "images/a"), "not absolute"),
        (load(slot, outside.to_str().unwrap()), "takes no images from there"),
        (load(slot, stand.path("images/../outside.xclbin").to_str().unwrap()), "from there"),
        (load(slot, "/etc/passwd"), "from there"),
        (
            json!({"verb": "load", "device": "xrt", "slot": slot,
                "image": {"agfi": "agfi-0123456789abcdef0"}})
            .to_string(),
            "only aws-f2",
        ),
        (
            json!({"verb": "load", "device": "aws-f2", "slot": "0", "image": {"agfi": "-P"}})
                .to_string(),
            "is no AGFI",
        ),
    ] {
        let answer = ask(&stand, &format!("{line}\n"));
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(why), "{line}: {answer}");
    }
    assert_eq!(stand.changes(), [""; 0]);
    assert_eq!(stand.loaded(slot), None);
    assert_eq!(ask(&stand, &format!("{}\n", load(slot, within))), json!({"done": true}));
    assert_eq!(stand.changes(), ["load"]);
}

#[test]
fn a_line_that_does_not_end_is_no_request() {
    let stand = Stand::new(Kind::Xrt, 1);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let writer = std::thread::spawn(move || {
        let mut ours = ours;
        while ours.write_all(&[b'x'; 4096]).is_ok() {}
    });
    helper(&stand).serve(&theirs, &theirs, &Cancel::default()).unwrap();
    theirs.shutdown(Shutdown::Both).unwrap();
    writer.join().unwrap();
}

#[test]
fn sudo_runs_the_helper_or_says_why_not() {
    let stand = Stand::new(Kind::AwsF2, 1);
    let program = stand.path("apyfal");
    let access = Access::Sudo(program.clone());
    let device = || stand.device(&access);
    let error = device().slots(&Cancel::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security, "{error}");

    let bin = stand.path("bin");
    executable(&bin.join("sudo"), "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n");
    let error = device().slots(&Cancel::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security);
    assert!(error.to_string().contains("a password is required"), "{error}");
    assert!(error.hints().iter().any(|hint| hint.contains("deploy/README.md")));

    executable(&bin.join("sudo"), "#!/bin/sh\n[ \"$1 $2\" = '-n --' ] && shift 2 && exec \"$@\"\n");
    executable(
        &program,
        "#!/bin/sh\n[ \"$*\" = device-helper ] && read -r line && echo '{\"slots\":[\"7\"]}'\n",
    );
    assert_eq!(device().slots(&Cancel::default()).unwrap(), ["7"]);
}

#[test]
fn a_socket_that_nobody_serves_is_told() {
    let stand = Stand::new(Kind::AwsF2, 1);
    let path = stand.path("gone.sock");
    drop(UnixListener::bind(&path).unwrap());
    let access = Access::Socket(path);
    let error = stand.device(&access).slots(&Cancel::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.hints().iter().any(|hint| hint.contains("apyfal-device.socket")), "{error:?}");
}

#[test]
fn the_socket_goes_first_then_root_then_sudo() {
    let stand = Stand::new(Kind::AwsF2, 1);
    let (none, program) = (stand.path("none.sock"), PathBuf::from("/usr/local/bin/apyfal"));
    let there = listen(&stand);
    let choose = |socket: &PathBuf, root| Access::choose(socket, root, program.clone());
    assert_eq!(choose(&there, false), Access::Socket(there.clone()));
    assert_eq!(choose(&there, true), Access::Socket(there.clone()));
    assert_eq!(choose(&none, true), Access::Direct);
    assert_eq!(choose(&none, false), Access::Sudo(program.clone()));
}
