//! `apyfal serve` as a service: its unit, what it tells the service manager, how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use common::http::Answer;
use common::server::{PATIENCE, Server, until};
use common::{Home, text};
use rustix::process::Signal;

fn unit() -> String {
    deployed("apyfal.service")
}

fn deployed(name: &str) -> String {
    std::fs::read_to_string(common::page::root().join("deploy").join(name)).unwrap()
}

/// A unit with a program that is here.
fn present(home: &Home, name: &str, as_name: &str) -> PathBuf {
    let unit = deployed(name).replace("/usr/local/bin/apyfal", env!("CARGO_BIN_EXE_apyfal"));
    home.write(as_name, unit)
}

/// What systemd has to say of units.
fn verified(units: &[&PathBuf]) {
    let paths = units.iter().map(|path| path.to_str().unwrap());
    let verified = analyze(&std::iter::once("verify").chain(paths).collect::<Vec<_>>());
    let said = text(&verified.stdout) + &text(&verified.stderr);
    // Files of other packages are none of ours.
    let ours: Vec<_> = said.lines().filter(|line| line.contains("apyfal")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{said}");
}

fn analyze(words: &[&str]) -> Output {
    Command::new("systemd-analyze").args(words).output().unwrap_or_else(|error| {
        panic!("systemd-analyze: {error}; install the package systemd, as 'cargo xtask test' does")
    })
}

#[test]
fn the_unit_is_right_and_exposes_little() {
    let home = Home::new();
    let unit = present(&home, "apyfal.service", "apyfal.service");
    verified(&[&unit]);
    // In tenths: 2.0 of 10.
    let path = unit.to_str().unwrap();
    let rated = analyze(&["security", "--offline=true", "--threshold=20", path]);
    assert!(rated.status.success(), "{}", text(&rated.stdout));
}

#[test]
fn the_units_of_the_device_helper_are_right() {
    let home = Home::new();
    let socket = present(&home, "apyfal-device.socket", "apyfal-device.socket");
    present(&home, "apyfal-device@.service", "apyfal-device@.service");
    let helper = present(&home, "apyfal-device@.service", "apyfal-device@1.service");
    verified(&[&socket, &helper]);
    // The host that uses it, with the drop-in that lets it.
    let host = present(&home, "apyfal.service", "apyfal.service");
    std::fs::create_dir(home.path("apyfal.service.d")).unwrap();
    present(&home, "apyfal-device.conf", "apyfal.service.d/device.conf");
    verified(&[&host, &socket]);
    // Both name the socket and the group, and the command is there.
    let (socket, helper) = (deployed("apyfal-device.socket"), deployed("apyfal-device@.service"));
    let path = socket.lines().find_map(|line| line.strip_prefix("ListenStream=")).unwrap();
    assert!(home.ok(&["devices", "--help"]).contains(path), "{path}");
    let group = socket.lines().find_map(|line| line.strip_prefix("SocketGroup=")).unwrap();
    let drop_in = deployed("apyfal-device.conf");
    assert!(drop_in.contains(&format!("SupplementaryGroups={group}\n")), "{group}");
    let line = helper.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words: Vec<_> = line.split_whitespace().skip(1).collect();
    let help = home.ok(&[words[0], "--help"]);
    for option in words.iter().filter(|word| word.starts_with("--")) {
        assert!(help.contains(&format!("{option} <")), "{option}: {help}");
    }
}

#[test]
fn the_units_that_end_the_machine_are_right() {
    let home = Home::new();
    let timer = present(&home, "apyfal-end.timer", "apyfal-end.timer");
    let service = present(&home, "apyfal-end.service", "apyfal-end.service");
    verified(&[&timer, &service]);
}

/// Milliseconds since that machine was started.
const NOW: i64 = 100_000_000;

/// What ends the machine, on one that is only a directory.
struct Ending(Home);

impl Ending {
    fn new() -> Self {
        let home = Home::new();
        for folder in ["run/apyfal-host", "var/lib/apyfal", "etc/apyfal", "bin"] {
            std::fs::create_dir_all(home.path(folder)).unwrap();
        }
        let uptime = home.write("uptime", format!("{}.25 1.00\n", NOW / 1000));
        let mut script = deployed("apyfal-end.sh");
        script = script.replace("/proc/uptime", uptime.to_str().unwrap());
        for folder in ["/run/", "/var/lib/", "/etc/apyfal/"] {
            assert!(script.contains(folder));
            let here = home.path(folder.trim_start_matches('/'));
            script = script.replace(folder, &format!("{}/", here.display()));
        }
        home.write("end.sh", script);
        // Never those of the system.
        for program in ["bin/systemctl", "bin/poweroff", "etc/apyfal/shut-down"] {
            let name = program.rsplit('/').next().unwrap();
            let path = home.write(program, format!("#!/bin/sh\necho \"called {name}\" $@\n"));
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        Self(home)
    }

    /// Writes a lease down, with times beside that of now, in seconds.
    fn lease(&self, folder: &str, boot: &str, agent: u32, idle: i64, life: i64) {
        let at = |seconds: i64| match seconds {
            0 => 0,
            _ => NOW + seconds * 1000,
        };
        let text = format!(
            "boot {boot}\nagent {agent}\nidle_timeout 60000\nmax_lifetime 120000\n\
             idle_ends {}\nlife_ends {}\nextended 0\n\n\n",
            at(idle),
            at(life)
        );
        self.0.write(&format!("{folder}/lease"), text);
    }

    /// What it says when it looks.
    fn looks(&self, words: &[&str]) -> String {
        let path = format!("{}:/usr/bin:/bin", self.0.path("bin").display());
        let mut script = Command::new("sh");
        let output = script.arg(self.0.path("end.sh")).args(words).env("PATH", path).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn ends(&self) -> bool {
        let said = self.looks(&[]);
        assert!(said.is_empty() || said.ends_with("\ncalled shut-down\n"), "{said}");
        !said.is_empty()
    }
}

#[test]
fn a_machine_is_ended_when_its_lease_ran_out_and_never_without_one() {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let (boot, own) = (boot.trim(), std::process::id());
    let machine = Ending::new();
    let (memory, disk) = ("run/apyfal-host", "var/lib/apyfal");
    assert!(!machine.ends(), "there is no lease");
    for (agent, idle, life, ends) in [
        (0, 0, 0, false),
        (0, 300, 300, false),
        // The host has a moment to end by itself,
        (0, -30, 300, false),
        (0, -90, 300, true),
        (own, -90, 300, true),
        (0, 300, -30, false),
        (0, 300, -90, true),
        // and where it is there, time for its jobs.
        (own, 300, -90, false),
        (own, 300, -900, false),
        (own, 300, -1000, true),
    ] {
        for folder in [memory, disk] {
            machine.lease(folder, boot, agent, idle, life);
            assert_eq!(machine.ends(), ends, "{folder} {agent} {idle} {life}");
            std::fs::remove_file(machine.0.path(folder).join("lease")).unwrap();
        }
    }
    // What is in memory counts, unless it is no lease.
    machine.lease(disk, boot, 0, -90, 0);
    machine.lease(memory, boot, 0, 300, 0);
    assert!(!machine.ends());
    for damaged in ["", "boot\n", "idle_ends x\n", "idle_ends -1\n", "idle_ends 1$(reboot)\n"] {
        machine.0.write("run/apyfal-host/lease", damaged);
        assert!(machine.ends(), "{damaged}");
    }
    machine.0.write("var/lib/apyfal/lease", format!("idle_ends {}\n", u64::MAX));
    assert!(!machine.ends(), "nothing is left to go by");
}

#[test]
fn a_lease_of_an_earlier_start_is_counted_from_the_first_look() {
    let machine = Ending::new();
    machine.lease("var/lib/apyfal", "another", std::process::id(), -9000, -9000);
    assert!(!machine.ends());
    let began = || text(&machine.0.read("run/apyfal-end/began")).trim().parse::<i64>().unwrap();
    let first = began();
    assert!(!machine.ends());
    assert_eq!(began(), first);
    for (past, ends) in [(100_000, false), (130_000, true)] {
        machine.0.write("run/apyfal-end/began", (NOW - past).to_string());
        assert_eq!(machine.ends(), ends, "{past}");
    }
}

#[test]
fn a_machine_whose_own_end_fails_is_powered_off() {
    let machine = Ending::new();
    assert!(machine.looks(&["now"]).ends_with("called shut-down\n"));
    machine.0.write("etc/apyfal/shut-down", "#!/bin/sh\nexit 1\n");
    assert!(machine.looks(&["now"]).ends_with("ran out\ncalled systemctl poweroff\n"));
    std::fs::remove_file(machine.0.path("etc/apyfal/shut-down")).unwrap();
    machine.0.write("bin/systemctl", "#!/bin/sh\nexit 1\n");
    assert!(machine.looks(&["now"]).ends_with("ran out\ncalled poweroff -f\n"));
}

#[test]
fn the_unit_runs_what_there_is() {
    let unit = unit();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words: Vec<_> = line.split_whitespace().skip(1).collect();
    assert_eq!(words[0], "serve");
    let help = Home::new().ok(&["serve", "--help"]);
    let options: Vec<_> = words.iter().filter(|word| word.starts_with("--")).collect();
    assert!(!options.is_empty());
    for option in options {
        assert!(help.contains(&format!("{option} <")), "{option}: {help}");
    }
}

#[test]
fn the_service_manager_is_told_when_it_is_ready_and_when_it_ends() {
    let home = Home::new();
    let path = home.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut buffer = [0; 1024];
        let length = manager.recv(&mut buffer).expect("a message");
        text(&buffer[..length])
    };
    let mut host = home
        .apyfal(&["serve", "--listen", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", &path)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(heard().trim_end(), "READY=1");
    // It listens by now, and has said where.
    let said: serde_json::Value =
        serde_json::from_slice(&home.read(".apyfal/host/listening.json")).unwrap();
    let address = said["url"].as_str().unwrap().strip_prefix("http://").unwrap();
    assert_eq!(common::http::Connection::open(address).get("/readyz").status, 200);
    let pid = rustix::process::Pid::from_child(&host);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(heard().trim_end(), "STOPPING=1");
    assert!(host.wait().unwrap().success());
    assert!(!home.path(".apyfal/host/listening.json").exists());
}

/// The rest of a slow job, once it has begun.
fn slow_job(server: &Server, accelerator: &'static str) -> std::thread::JoinHandle<Option<Answer>> {
    let mut connection = server.connect();
    let head = connection.head("POST", &format!("/v2/run/{accelerator}"));
    connection.write(format!("{head}Content-Length: 1\r\n\r\nx").as_bytes());
    // The start of its session runs in a slot too, and is no job yet.
    until("the job runs", || {
        let status = server.get("/status").json();
        status["live"] == 1 && status["running"] == 1
    });
    std::thread::spawn(move || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| connection.answer())).ok()
    })
}

#[test]
fn sigterm_lets_running_jobs_end_and_refuses_new_ones() {
    let server = Server::start();
    let running = slow_job(&server, "gated");
    let mut waiting = server.connect();
    server.signal(Signal::TERM);
    until("it ends", || waiting.get("/readyz").status == 503);
    let refused = waiting.post("/v2/run/null", "application/octet-stream", b"x");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.json()["error"]["kind"], "unavailable");
    assert_eq!(refused.json()["error"]["retryable"], true);
    server.open_gate();
    let answer = running.join().unwrap().expect("an answer");
    assert_eq!((answer.status, answer.body), (200, b"x".to_vec()));
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once_with_its_programs() {
    let server = Server::start();
    let home = server.home().folder().to_string_lossy().into_owned();
    let running = slow_job(&server, "long");
    let programs = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let of_ours = processes.filter(|process| {
            let read = |name| std::fs::read(process.path().join(name)).unwrap_or_default();
            text(&read("environ")).contains(&home) && text(&read("cmdline")).contains("sleep 150")
        });
        of_ours.count()
    };
    until("its program runs", || programs() > 0);
    let mut waiting = server.connect();
    server.signal(Signal::TERM);
    until("it ends", || waiting.get("/readyz").status == 503);
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(130));
    until("its programs ended", || programs() == 0);
    assert!(running.join().unwrap().is_none());
}
