//! A host that faults are put upon: its process, disk, clock and link.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use rustix::process::{Pid, Signal, kill_process};

use super::link::Link;
use super::model::{Broken, Held, Troubles};
use crate::common::Home;
use crate::common::server::PATIENCE;
use crate::common::wire::{self, Ask};

/// A host may write no more than so much.
const DISK: &str = "size=64m";

/// Accelerators whose results are easily foretold. `once` writes down that it ran, and for what.
const CONFIGURATION: &str = r#"
[serve]
data_dir = DISK/host
result_ttl = 1h
client_timeout = 30s
take_timeout = 30s

[accelerator.said]
command = ["sh", "-c", "printf %%s \"$0\"; sleep \"$1\"; cat", "{word}", "{pause}"]
parameters = {"word": "none", "pause": "0"}
rerun_safe = True

[accelerator.once]
command = ["sh", "-c", "IFS= read -r name; echo ran >> \"$0/$name\"; printf '%%s\\n' \"$name\"; sleep \"$1\"; cat", "RAN", "{pause}"]
parameters = {"pause": "0"}
rerun_safe = False
"#;

/// A host of a run.
pub(crate) struct Host {
    pub(crate) number: usize,
    folder: PathBuf,
    has_disk: bool,
    clock: PathBuf,
    /// What its clock is loaded from.
    preload: PathBuf,
    process: Mutex<Option<Child>>,
    address: OnceLock<SocketAddr>,
    link: OnceLock<Link>,
    pub(crate) troubles: Troubles,
}

impl Host {
    /// Makes one that is not there yet. `ran` is where its programs write down that they ran; where
    /// there is `has_disk` its disk can be filled.
    pub(crate) fn new(home: &Home, number: usize, ran: &Path, has_disk: bool) -> Self {
        let folder = home.path(&format!("host-{number}"));
        let disk = folder.join("disk");
        fs::create_dir_all(&disk).expect("a directory");
        if has_disk {
            let disk = disk.as_os_str();
            run(
                "mount",
                &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), DISK.as_ref(), disk, disk],
            );
        }
        let configuration = CONFIGURATION
            .replace("DISK", disk.to_str().expect("a path that is text"))
            .replace("RAN", ran.to_str().expect("a path that is text"));
        fs::write(folder.join("accelerator.conf"), configuration).expect("a configuration");
        let clock = folder.join("clock");
        fs::write(&clock, 0_i64.to_ne_bytes()).expect("a clock");
        Self {
            number,
            clock,
            preload: home.path("clock.so"),
            folder,
            has_disk,
            process: Mutex::default(),
            address: OnceLock::new(),
            link: OnceLock::new(),
            troubles: Troubles::default(),
        }
    }

    /// Starts it, where it was if it was there before.
    pub(crate) fn start(&self, home: &Home) -> Held {
        let log = self.log();
        let before = fs::read(&log).unwrap_or_default().len();
        let stderr = OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let own = || SocketAddr::new(apyfal_testkit::own_loopback(), 0);
        let listen = self.address.get().copied().unwrap_or_else(own);
        let mut child = home
            .apyfal(&["serve", "--accelerator", "null", "--listen", &listen.to_string()])
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .env("LD_PRELOAD", &self.preload)
            .env("APYFAL_TEST_CLOCK", &self.clock)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("apyfal runs");
        let begin = std::time::Instant::now();
        let address = loop {
            let told = fs::read(&log).unwrap_or_default();
            let told = String::from_utf8_lossy(&told[before..]).into_owned();
            let mut lines = told.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            if let Some((_, url)) = lines.find_map(|line| line.split_once("listening on http://")) {
                break url.parse().expect("an address");
            }
            let has_ended = child.try_wait().expect("a child").is_some();
            if has_ended || begin.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Broken::new(format!("host {} does not start: {told}", self.number)));
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        self.address.get_or_init(|| address);
        self.link.get_or_init(|| Link::to(address));
        *self.process.lock().unwrap() = Some(child);
        Ok(())
    }

    /// Ends it as a power cut would, but for what the system has.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            child.kill().expect("it is killed");
            child.wait().expect("it ends");
        }
    }

    /// Tells it to end, which it does.
    pub(crate) fn drain(&self) -> Held {
        self.signal(Signal::TERM);
        let mut process = self.process.lock().unwrap();
        let Some(child) = process.as_mut() else { return Ok(()) };
        let begin = std::time::Instant::now();
        loop {
            match child.try_wait().expect("a child") {
                Some(status) if status.success() => break,
                Some(status) => {
                    return Err(Broken::new(format!("host {} ended with {status}", self.number)));
                }
                None if begin.elapsed() > PATIENCE => {
                    return Err(Broken::new(format!("host {} does not end", self.number)));
                }
                None => std::thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
        *process = None;
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(child) = &*self.process.lock().unwrap() {
            kill_process(Pid::from_child(child), signal).expect("it is there");
        }
    }

    pub(crate) fn has_disk(&self) -> bool {
        self.has_disk
    }

    /// Fills its disk to the last byte.
    pub(crate) fn fill_disk(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file");
        for length in [1 << 20, 1 << 12, 1] {
            let zeros = vec![0; length];
            while ballast.write_all(&zeros).is_ok() {}
        }
    }

    pub(crate) fn free_disk(&self) {
        fs::remove_file(self.ballast()).expect("a file");
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("disk/ballast")
    }

    /// Sets its clock of the day to what it would be in so many seconds.
    pub(crate) fn set_clock(&self, seconds: i64) {
        let mut clock = OpenOptions::new().write(true).open(&self.clock).expect("a clock");
        clock.seek(SeekFrom::Start(0)).expect("a file");
        clock.write_all(&seconds.to_ne_bytes()).expect("a file");
    }

    /// Waits until it takes work of all kinds.
    pub(crate) fn becomes_ready(&self) -> Held {
        let begin = std::time::Instant::now();
        loop {
            let answer = wire::ask(&self.address(), &Ask::new("GET", "/readyz"));
            match answer {
                Ok(answer) if answer.status == 200 => return Ok(()),
                told if begin.elapsed() > PATIENCE => {
                    let told = format!("host {} does not become ready: {told:?}", self.number);
                    return Err(Broken::new(told));
                }
                _ => std::thread::sleep(std::time::Duration::from_millis(20)),
            }
        }
    }

    pub(crate) fn address(&self) -> String {
        self.address.get().expect("it was started").to_string()
    }

    pub(crate) fn link(&self) -> &Link {
        self.link.get().expect("it was started")
    }

    /// Where all of its lives write what they say.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What is below its directory of results.
    pub(crate) fn scratch(&self, name: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.join("disk/host/scratch").join(name));
        entries.expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
        if self.has_disk {
            run("umount", &["--lazy".as_ref(), self.folder.join("disk").as_os_str()]);
        }
    }
}

/// Makes what a host's clock is loaded from.
pub(crate) fn build_clock(home: &Home) {
    let source = home.write("clock.c", include_str!("clock.c"));
    let object = home.path("clock.so");
    let words = ["-shared", "-fPIC", "-O1", "-o"].map(AsRef::as_ref);
    run("cc", &[&words[..], &[object.as_os_str(), source.as_os_str()]].concat());
}

fn run(program: &str, words: &[&std::ffi::OsStr]) {
    let status = Command::new(program).args(words).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} {words:?} failed");
}
