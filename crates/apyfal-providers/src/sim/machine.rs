//! One machine of the simulated cloud: its directory and its process.

use std::fs::{self, File};
use std::io::ErrorKind as Io;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use apyfal_core::{Configuration, Error, ErrorKind, Result, unix_time};
use apyfal_machine::lock::{Lock, Mode, try_lock};
use apyfal_machine::{not_started, private};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use super::write;
use crate::provider::{Instance, InstanceDetails, InstanceId, InstanceState};
use crate::spec::{AtShutdown, HostSpec, Token};

const RECORD: &str = "instance.json";
/// Its process has this locked for as long as it lives.
const ALIVE: &str = "alive";
const PID: &str = "pid";
const PAUSE: Duration = Duration::from_millis(5);
/// Begins a program, once it has written down its number.
const BEGIN: &str = r#"echo $$ >"$1"; shift; exec "$@""#;
const PORT: u16 = 8000;

/// What whoever controls a machine wants of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wanted {
    Running,
    Stopped,
    Ended,
}

/// A machine, as its directory tells of it.
pub(super) struct SimMachine {
    directory: PathBuf,
    record: Record,
}

#[derive(Deserialize, Serialize)]
struct Record {
    id: InstanceId,
    token: Token,
    spec: HostSpec,
    created: f64,
    at_shutdown: AtShutdown,
    wanted: Wanted,
    /// Whether it was switched on, since that is wanted.
    is_on: bool,
}

impl SimMachine {
    /// Makes one, whole or not at all. It is not switched on yet.
    pub(super) fn make(
        directory: &Path,
        id: &InstanceId,
        spec: &HostSpec,
        token: &Token,
    ) -> Result<()> {
        let parent = directory.parent().unwrap_or(Path::new("."));
        let begun = parent.join(format!(".{id}"));
        let make = || -> std::io::Result<()> {
            if begun.exists() {
                // One that was interrupted.
                fs::remove_dir_all(&begun)?;
            }
            private::make_directory(&begun.join("data"))
        };
        make().map_err(|error| Error::from(error).operation("make the directory of a machine"))?;
        for (name, text) in spec.boot.files() {
            let path = begun.join("data").join(name);
            private::make_directory(path.parent().unwrap_or(&begun))?;
            write(&path, text)?;
        }
        write(&begun.join("host.conf"), &configuration(directory, token, spec).write()?)?;
        let machine = Self {
            directory: begun.clone(),
            record: Record {
                id: id.clone(),
                token: token.clone(),
                spec: spec.clone(),
                created: unix_time().as_secs_f64(),
                at_shutdown: spec.at_shutdown,
                wanted: Wanted::Running,
                is_on: false,
            },
        };
        machine.save()?;
        fs::rename(&begun, directory)?;
        Ok(())
    }

    pub(super) fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(RECORD);
        let text = match fs::read(&path) {
            Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => {
                return Ok(None);
            }
            text => text?,
        };
        let record = serde_json::from_slice(&text).map_err(|error| {
            Error::new(ErrorKind::Conflict, format!("it is damaged: {error}"))
                .operation(format!("read '{}'", path.display()))
        })?;
        Ok(Some(Self { directory: directory.to_owned(), record }))
    }

    fn save(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.record)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        write(&self.directory.join(RECORD), &text)
    }

    pub(super) fn is_of(&self, spec: &HostSpec) -> bool {
        self.record.spec == *spec
    }

    pub(super) fn is_by(&self, installation: &str) -> bool {
        self.record.spec.installation == installation
    }

    pub(super) fn is_asked_by(&self, token: &Token) -> bool {
        self.record.token == *token
    }

    pub(super) fn created(&self) -> f64 {
        self.record.created
    }

    fn is_alive(&self) -> bool {
        let file = File::options().write(true).open(self.directory.join(ALIVE));
        let tried = file.map(|file| Lock::try_on(file, Mode::Exclusive));
        matches!(tried, Ok(Ok(None)))
    }

    /// Brings it to where it is by now: switched on where it should be, off where it ended itself.
    pub(super) fn go_on(&mut self, program: &Path) -> Result<()> {
        if self.record.wanted != Wanted::Running || self.is_alive() {
            return Ok(());
        }
        if !self.record.is_on {
            return self.switch_on(program);
        }
        match self.record.at_shutdown {
            AtShutdown::Terminate => self.delete(),
            AtShutdown::Stop => {
                self.record.wanted = Wanted::Stopped;
                self.save()
            }
        }
    }

    pub(super) fn want(&mut self, wanted: Wanted, program: &Path) -> Result<()> {
        match (self.record.wanted, wanted) {
            (Wanted::Ended, Wanted::Running | Wanted::Stopped) => {
                Err(Error::new(ErrorKind::Conflict, "it has ended")
                    .operation(format!("start or stop the instance '{}'", self.record.id)))
            }
            (_, Wanted::Ended) => self.delete(),
            (Wanted::Running, Wanted::Stopped) => {
                self.record.wanted = wanted;
                self.save()?;
                self.signal(|pid| kill_process(pid, Signal::TERM));
                Ok(())
            }
            (Wanted::Stopped, Wanted::Running) => {
                if self.is_alive() {
                    return Err(Error::new(ErrorKind::Conflict, "it still goes down")
                        .operation(format!("start the instance '{}'", self.record.id))
                        .retryable());
                }
                (self.record.wanted, self.record.is_on) = (wanted, false);
                self.save()?;
                self.go_on(program)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn set_at_shutdown(&mut self, mode: AtShutdown) -> Result<()> {
        if self.record.wanted == Wanted::Ended {
            return Err(Error::new(ErrorKind::Conflict, "it has ended").operation(format!(
                "say what becomes of '{}' when it shuts down",
                self.record.id
            )));
        }
        self.record.at_shutdown = mode;
        self.save()
    }

    pub(super) fn instance(&self) -> Instance {
        let Record { id, token, spec, created, wanted, .. } = &self.record;
        let state = match (wanted, self.is_alive()) {
            (Wanted::Running, true) => InstanceState::Running,
            (Wanted::Running, false) => InstanceState::Pending,
            (Wanted::Stopped, true) => InstanceState::Stopping,
            (Wanted::Stopped, false) => InstanceState::Stopped,
            (Wanted::Ended, true) => InstanceState::Ending,
            (Wanted::Ended, false) => InstanceState::Ended,
        };
        let is_up = state == InstanceState::Running;
        Instance {
            id: id.clone(),
            name: spec.name.clone(),
            token: token.clone(),
            state,
            url: is_up.then(|| format!("https://{}:{PORT}", address(token))),
            created: *created,
            ended_by: None,
            details: InstanceDetails {
                instance_type: spec.instance_type.clone(),
                image: spec.image.as_ref().map(ToString::to_string),
                ..InstanceDetails::default()
            },
        }
    }

    /// What it held goes with it; that it was there is remembered, so that its token gets no other.
    fn delete(&mut self) -> Result<()> {
        self.record.wanted = Wanted::Ended;
        self.save()?;
        self.signal(|pid| kill_process_group(pid, Signal::KILL));
        match fs::remove_dir_all(self.directory.join("data")) {
            Err(error) if error.kind() != Io::NotFound => Err(Error::from(error)
                .operation(format!("delete what is in '{}'", self.directory.display()))),
            _ => Ok(()),
        }
    }

    /// Its number is its own as long as it lives, and written down by the process itself.
    fn signal(&self, send: impl Fn(Pid) -> rustix::io::Result<()>) {
        let written = || fs::read_to_string(self.directory.join(PID)).ok()?.trim().parse().ok();
        while self.is_alive() {
            if let Some(pid) = written().and_then(Pid::from_raw) {
                // It may have ended just now.
                let _ = send(pid);
                return;
            }
            // It was begun a moment ago.
            std::thread::sleep(PAUSE);
        }
    }

    fn switch_on(&mut self, program: &Path) -> Result<()> {
        let open = |name: &str| {
            let mut options = File::options();
            options.create(true).append(true).open(self.directory.join(name))
        };
        let alive = open(ALIVE)?;
        if !try_lock(&alive, Mode::Exclusive)? {
            // The one before goes down still.
            return Ok(());
        }
        let pid = self.directory.join(PID);
        match fs::remove_file(&pid) {
            Err(error) if error.kind() != Io::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", BEGIN, "sh"])
            .arg(pid)
            .arg(program)
            .arg("serve")
            .arg("--config")
            .arg(self.directory.join("host.conf"))
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.directory.join("data"))
            // The lock is the process's from here on, however it ends.
            .stdin(Stdio::from(alive))
            .stdout(Stdio::null())
            .stderr(open("log")?)
            .process_group(0);
        // Before it runs: else one whose maker is killed now would come back once it has ended.
        self.record.is_on = true;
        self.save()?;
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                self.record.is_on = false;
                self.save()?;
                return Err(not_started(program, error).operation("switch a machine on"));
            }
        };
        // Nobody else waits for it.
        std::thread::spawn(move || child.wait());
        Ok(())
    }
}

/// An address of the loopback network that no other machine has.
fn address(token: &Token) -> Ipv4Addr {
    let mut bytes = [0_u8; 3];
    for (index, byte) in token.0.bytes().enumerate() {
        let sum = &mut bytes[index % 3];
        *sum = sum.wrapping_mul(31).wrapping_add(byte);
    }
    let [a, b, c] = bytes;
    Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254))
}

/// What its host is told: all that it has is in its directory, and it asks everybody for the token.
fn configuration(directory: &Path, token: &Token, spec: &HostSpec) -> Configuration {
    let mut configuration = Configuration::default();
    let mut set = |key: &str, value: &str| configuration.set("serve", key, Some(value));
    let data = directory.join("data");
    set("listen", &format!("{}:{PORT}", address(token)));
    set("data_dir", &data.to_string_lossy());
    for (key, name) in
        [("token_file", "token"), ("ssl_cert_crt", "host.crt"), ("ssl_cert_key", "host.key")]
    {
        set(key, &data.join(name).to_string_lossy());
    }
    set("accelerator", &spec.accelerator);
    for (key, time) in [("idle_timeout", spec.idle_timeout), ("max_lifetime", spec.max_lifetime)] {
        if let Some(time) = time {
            set(key, &format!("{}s", time.as_secs_f64()));
        }
    }
    configuration
}
