//! `apyfal devices` and the device helper, over stand-ins for the tools of AWS.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use common::server::{PATIENCE, until};
use common::{Home, text};
use serde_json::{Value, json};

const AGFI: &str = "agfi-0123456789abcdef0";
/// A card's address, and the shell that an image was built for.
const BDF: &str = "0000:b3:00.1";
const UUID: &str = "10111213-1415-1617-1819-1a1b1c1d1e1f";

/// A home with the tools of AWS, two slots of which the first has an image.
struct Machine(Home);

impl Machine {
    fn new() -> Self {
        let aws = include_str!("../../apyfal-devices/tests/devices/aws.sh");
        let tools = [
            "fpga-describe-local-image-slots",
            "fpga-describe-local-image",
            "fpga-load-local-image",
            "fpga-clear-local-image",
        ];
        let machine = Self::with(&tools, "0 1", aws);
        machine.0.write("state/slot-0", format!("{AGFI} loaded\n"));
        machine
    }

    /// A home with other tools.
    fn with(tools: &[&str], slots: &str, script: &str) -> Self {
        let home = Home::new();
        for folder in ["bin", "state", "locks"] {
            std::fs::create_dir(home.path(folder)).unwrap();
        }
        let script = format!(
            "#!/bin/sh\nS='{}'; SLOTS='{slots}'\nnote() {{ echo \"$*\" >>\"$S/log\"; }}\n\
             obey() {{ if [ -e \"$S/fail-$1\" ]; then cat \"$S/fail-$1\"; exit 5; fi; }}\n{script}",
            home.path("state").display(),
        );
        for tool in tools {
            executable(&home, &format!("bin/{tool}"), &script);
        }
        // For who is not root.
        executable(
            &home,
            "bin/sudo",
            "#!/bin/sh\n[ \"$1 $2\" = '-n --' ] && shift 2 && SUDO_UID=$(id -u) exec \"$@\"\n",
        );
        Self(home)
    }

    fn path(&self) -> OsString {
        let mut path = self.0.path("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        path
    }

    fn devices(&self, words: &[&str]) -> String {
        let mut command = self.0.apyfal(&["devices", "--lock-directory", "locks"]);
        let output = command.args(words).env("PATH", self.path()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    }
}

/// A package that has images for two devices, and does without them too.
fn package(requires: &str) -> Home {
    let home = Home::new();
    std::fs::create_dir(home.path("loud")).unwrap();
    let mut container = b"xclbin2\0".to_vec();
    container.resize(416, 0);
    container.extend([0x1a; 16]);
    home.write("loud/loud.xclbin", container);
    home.write("loud/loud.sh", "echo \"on $APYFAL_DEVICE $APYFAL_SLOT\" >&2; tr a-z A-Z\n");
    home.write("loud/in.txt", "test");
    home.write("loud/out.txt", "TEST");
    home.write(
        "loud/accelerator.toml",
        format!(
            "name = 'loud'\nversion = '1.0.0'\ncommand = ['sh', './loud.sh']\n\
             rerun_safe = true\n[requires]\n{requires}\n[test]\nsrc = 'in.txt'\nexpect = 'out.txt'\n\
             [[image]]\ndevice = 'aws-f2'\nagfi = '{AGFI}'\n\
             [[image]]\ndevice = 'xrt'\nfile = 'loud.xclbin'\n\
             platform = '{UUID}'\n"
        ),
    );
    home.ok(&["pack", "loud"]);
    home
}

impl Machine {
    fn run(&self, words: &[&str]) -> std::process::Output {
        self.0.apyfal(words).env("PATH", self.path()).output().unwrap()
    }

    fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }
}

#[test]
fn one_package_runs_on_each_device_and_without() {
    let packed = package("");
    let package = packed.path("loud-1.0.0.apyfal");
    let package = package.to_str().unwrap();
    let notes = common::words(200_000, 1);
    let xrt = include_str!("../../apyfal-devices/tests/devices/xrt.sh");
    let aws = Machine::new();
    aws.0.write("state/slot-0", "agfi-0aaaaaaaaaaaaaaaa loaded\n");
    let machines = [aws, Machine::with(&["xrt-smi"], BDF, xrt), Machine::with(&[], "", "")];
    for (machine, device) in machines.iter().zip(["aws-f2 ", "xrt ", ""]) {
        machine.0.write("notes.txt", &notes);
        machine.ok(&["install", package]);
        machine.ok(&["run", "loud", "notes.txt", "loud.txt"]);
        assert!(machine.0.read("loud.txt") == notes.to_ascii_uppercase(), "{device}");
    }
    let listed = machines[0].devices(&[]);
    assert!(listed.contains(AGFI), "it was loaded: {listed}");
    // The image that who made a host named for its accelerator goes before the package's own.
    let named = "agfi-0fedcba9876543210";
    let conf = format!("[serve]\naccelerator = loud\nfpgaimage = {named}\n");
    machines[0].0.write("served.conf", conf);
    machines[0].ok(&["run", "loud", "notes.txt", "loud.txt", "--config", "served.conf"]);
    let listed = machines[0].devices(&[]);
    assert!(listed.contains(named), "{listed}");
    let loaded = text(&machines[1].0.read(&format!("state/slot-{BDF}")));
    assert_eq!(loaded.trim().to_lowercase(), "1a1a1a1a-1a1a-1a1a-1a1a-1a1a1a1a1a1a");
}

#[test]
fn a_package_that_needs_a_device_says_so() {
    let packed = package("device = true");
    let package = packed.path("loud-1.0.0.apyfal");
    let bare = Machine::with(&[], "", "");
    bare.0.write("notes.txt", "quiet");
    let lacks = "needs a device that this machine lacks: aws-f2 or xrt";
    let output = bare.run(&["install", "--skip_test", package.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(10));
    assert!(text(&output.stderr).contains(lacks), "{}", text(&output.stderr));
    // One that had the device when it was installed.
    let tool = "bin/fpga-describe-local-image-slots";
    executable(&bare.0, tool, "#!/bin/sh\n");
    bare.ok(&["install", "--skip_test", package.to_str().unwrap()]);
    std::fs::remove_file(bare.0.path(tool)).unwrap();
    let output = bare.run(&["run", "loud", "notes.txt", "loud.txt"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{said}");
    assert!(said.contains(lacks), "{said}");
    assert!(!bare.0.path("loud.txt").exists());
}

#[test]
fn a_card_that_breaks_leaves_the_job_to_what_does_without() {
    let packed = package("");
    let package = packed.path("loud-1.0.0.apyfal");
    let machine = Machine::new();
    machine.0.write("notes.txt", "quiet");
    machine.ok(&["install", package.to_str().unwrap()]);
    let run = |words: &[&str]| {
        let output = machine.run(&[&["run", "loud", "notes.txt", "loud.txt"], words].concat());
        let said = text(&output.stderr);
        assert!(output.status.success() && machine.0.read("loud.txt") == b"QUIET", "{said}");
        said
    };
    assert!(!run(&[]).contains("took over"));
    machine.0.write("state/slot-0", "agfi-0aaaaaaaaaaaaaaaa loaded\n");
    machine.0.write("state/slot-1", "agfi-0aaaaaaaaaaaaaaaa loaded\n");
    machine.0.write("state/fail-load", "the card is on fire\n");
    let said = run(&[]);
    assert!(said.contains("the engine 'aws-f2' failed, so 'sh' took over"), "{said}");
    let (listed, before) = (machine.ok(&["accelerators", "loud"]), machine.0.read("state/log"));
    assert!(listed.contains("aws-f2") && listed.contains("sh"), "{listed}");
    // Who asks for one gets that one.
    assert!(!run(&["--engine", "sh"]).contains("took over"));
    assert!(machine.0.read("state/log") == before, "no card is asked for anything");
    let output = machine.run(&["run", "loud", "notes.txt", "o.txt", "--engine", "aws-f2"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{said}");
    assert!(said.contains("on fire"), "{said}");
}

#[test]
fn a_card_that_takes_another_image_fails_the_job() {
    let packed = package("device = true");
    let package = packed.path("loud-1.0.0.apyfal");
    let xrt = include_str!("../../apyfal-devices/tests/devices/xrt.sh");
    let machine = Machine::with(&["xrt-smi"], "0000:b4:00.1", xrt);
    machine.0.write("notes.txt", "quiet");
    machine.ok(&["install", package.to_str().unwrap()]);
    std::fs::remove_file(machine.0.path("state/slot-0000:b4:00.1")).ok();
    machine.0.write("state/wrong", "0B0B0B0B-0000-4000-8000-000000000000");
    let output = machine.run(&["run", "loud", "notes.txt", "loud.txt"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{said}");
    assert!(said.contains("0b0b0b0b-0000"), "{said}");
    assert!(!machine.0.path("loud.txt").exists());
}

/// Writes a script. Another process does it, so that no program which a test beside this one starts
/// at the moment has it open for writing, and it can be run.
fn executable(home: &Home, name: &str, content: &str) {
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(home.path(name))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(content.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
}

#[test]
fn slots_are_listed_with_what_they_have_and_who_uses_them() {
    let machine = Machine::new();
    let listed: Value = serde_json::from_str(&machine.devices(&["--json"])).unwrap();
    let slot = |name: &str, image: Value, state: &str, ready: bool| {
        json!({
            "slot": name, "image": image, "state": state, "ready": ready, "error": null,
            "in_use": false, "to_be_cleared": false, "holder": null,
        })
    };
    let slots = [slot("0", AGFI.into(), "loaded", true), slot("1", Value::Null, "cleared", false)];
    assert_eq!(listed, json!([{"device": "aws-f2", "slots": slots}]));

    let holder = json!({"pid": 4242, "uid": 0, "what": "gzip_fpga", "since": 1});
    let record = json!({"state": "busy", "holder": holder});
    let path = machine.0.path("locks/apyfal-aws-f2-0.lock");
    std::fs::write(&path, record.to_string()).unwrap();
    let lock = std::fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    let shown = machine.devices(&[]);
    let mut lines = shown.lines();
    assert_eq!(
        lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["DEVICE", "SLOT", "IMAGE", "STATE", "USED", "BY"]
    );
    let first = lines.next().unwrap();
    assert!(first.contains(AGFI) && first.contains("gzip_fpga, process 4242, for"), "{shown}");
    lock.unlock().unwrap();
    let shown = machine.devices(&[]);
    assert!(shown.contains("gzip_fpga did not end well"), "{shown}");
}

#[test]
fn a_device_that_fails_is_told_and_the_rest_is_listed() {
    let machine = Machine::new();
    machine.0.write("state/fail-describe", "Error: (19) hardware-busy\n");
    let listed: Value = serde_json::from_str(&machine.devices(&["--json"])).unwrap();
    let error = listed[0]["slots"][0]["error"].as_str().unwrap();
    assert!(error.contains("hardware-busy"), "{error}");
    machine.0.write("state/fail-slots", "Error: sudo or root privileges are required\n");
    let shown = machine.devices(&[]);
    assert!(shown.contains("warning: cannot list the slots of aws-f2"), "{shown}");
}

#[test]
fn a_machine_without_devices_says_so() {
    let home = Home::new();
    let output = home.apyfal(&["devices"]).env("PATH", "/nonexistent").output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(text(&output.stderr).contains("no tools of FPGA devices"), "{output:?}");
    let output = home.apyfal(&["devices", "--json"]).env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(text(&output.stdout).trim(), "[]");
}

/// systemd's own socket activation, without a service manager.
struct Activated(Child);

impl Activated {
    fn start(machine: &Machine) -> Self {
        let listening = machine.0.path("device.sock");
        let child = Command::new("systemd-socket-activate")
            .args(["--accept", "--inetd", "-l"])
            .arg(&listening)
            .args(["-E", &format!("PATH={}", machine.path().to_str().unwrap())])
            .args([env!("CARGO_BIN_EXE_apyfal"), "device-helper", "--images"])
            .arg(machine.0.path("images"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("systemd-socket-activate, of the package systemd");
        let activated = Self(child);
        until("it listens", || UnixStream::connect(&listening).is_ok());
        activated
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_helper_answers_on_the_socket_of_systemd() {
    let machine = Machine::new();
    let _activated = Activated::start(&machine);
    let shown = machine.devices(&["--socket", "device.sock"]);
    assert!(shown.contains(AGFI), "{shown}");
    let ask = |request: Value| {
        let mut stream = UnixStream::connect(machine.0.path("device.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()
    };
    let other = "agfi-0aaaaaaaaaaaaaaaa";
    let load = json!({"verb": "load", "device": "aws-f2", "slot": "1", "image": {"agfi": other}});
    assert_eq!(ask(load), json!({"done": true}));
    assert!(machine.devices(&["--socket", "device.sock"]).contains(other));
    let wrong = json!({"verb": "clear", "device": "aws-f2", "slot": "1; reboot"});
    assert_eq!(ask(wrong)["error"]["kind"], "usage");
}

#[test]
fn the_helper_is_no_command_for_people() {
    let home = Home::new();
    assert!(!home.ok(&["--help"]).contains("device-helper"));
    let output = home.piped(&["device-helper"], b"reboot\n");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["error"]["kind"], "usage");
}
