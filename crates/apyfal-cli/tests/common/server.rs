//! The command `apyfal serve` in a home of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use apyfal_testkit::{until, until_some};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use crate::common::Home;
use crate::common::http::{Answer, Connection};

/// How long anything may take that should take a moment.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Accelerators for the tests, beside the built-in ones.
const CONFIGURATION: &str = r#"
[accelerator.nap]
command = ["sh", "-c", "sleep 1; cat"]

[accelerator.gated]
command = ["sh", "-c", "until [ -e \"$HOME/go\" ]; do sleep 0.05; done; cat"]
rerun_safe = True

[accelerator.long]
command = ["sh", "-c", "sleep 150; cat"]
rerun_safe = True

[accelerator.one]
command = ["cat"]
slots = 1

[accelerator.once]
command = ["sh", "-c", "sleep 150; cat"]
rerun_safe = False

[accelerator.one_long]
command = ["sh", "-c", "sleep 150; cat"]
slots = 1

[accelerator.fail]
command = ["sh", "-c", "cat > /dev/null; echo broken device >&2; exit 3"]

[accelerator.told]
command = ["sh", "-c", "printf %%s \"$0\"; cat", "{word}"]
parameters = {"word": {"type": "text", "default": "none"}}
"#;

/// A running server; it is killed when this is dropped.
pub struct Server {
    home: Home,
    words: Vec<String>,
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// A server whose default accelerator is `null`.
    pub fn start() -> Self {
        Self::with(&["--accelerator", "null"])
    }

    /// A server with these words on its command line.
    pub fn with(words: &[&str]) -> Self {
        Self::configured("", words)
    }

    /// A server with more in its configuration.
    pub fn configured(configuration: &str, words: &[&str]) -> Self {
        Self::in_home(Home::new(), configuration, words)
    }

    /// A server that can be [started again where it was](Killed::started).
    pub fn at_own_address(configuration: &str) -> Self {
        let home = Home::new();
        home.write("accelerator.conf", format!("{CONFIGURATION}\n{configuration}"));
        let listen = SocketAddr::new(apyfal_testkit::own_loopback(), 0);
        Self::serve(home, &listen.to_string(), vec!["--accelerator".into(), "null".into()])
    }

    /// A server that has the built-in accelerators only.
    pub fn plain() -> Self {
        Self::serve(Home::new(), "127.0.0.1:0", vec!["--accelerator".into(), "null".into()])
    }

    /// The same in a home that exists already.
    pub fn in_home(home: Home, configuration: &str, words: &[&str]) -> Self {
        home.write("accelerator.conf", format!("{CONFIGURATION}\n{configuration}"));
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self::serve(home, "127.0.0.1:0", words)
    }

    fn serve(home: Home, listen: &str, words: Vec<String>) -> Self {
        Self::of_command(home, &["serve", "--listen", listen], words)
    }

    /// Another command that serves.
    pub fn of_command(home: Home, command: &[&str], words: Vec<String>) -> Self {
        let log = Arc::new(Mutex::new(String::new()));
        let mut child = home
            .apyfal(command)
            .args(&words)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("apyfal runs");
        let stderr = child.stderr.take().expect("a pipe");
        let (found, ready) = mpsc::channel();
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("listening on ") {
                    let _ = found.send(url.split_once("://").unwrap().1.to_owned());
                }
                kept.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        let address = match ready.recv_timeout(PATIENCE) {
            Ok(address) => address,
            Err(error @ (RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) => {
                let _ = child.kill();
                panic!("no server: {error}\n{}", log.lock().unwrap());
            }
        };
        Self { home, words, child, address, log }
    }

    /// Ends it as a power cut would, and starts another one in the same home.
    pub fn killed_and_started(self) -> Self {
        let Killed { home, words, .. } = self.killed();
        Self::serve(home, "127.0.0.1:0", words)
    }

    /// Ends it as a power cut would.
    pub fn killed(mut self) -> Killed {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
        Killed {
            home: std::mem::replace(&mut self.home, Home::new()),
            words: std::mem::take(&mut self.words),
            address: std::mem::take(&mut self.address),
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }

    /// Has it write no file beyond so many bytes.
    pub fn limit_files(&self, bytes: u64) {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        let pid = Pid::from_child(&self.child);
        prlimit(Some(pid), Resource::Fsize, limit).expect("it is ours to limit");
    }

    /// Has it open no more than so many files, or as many as ever.
    pub fn limit_open_files(&self, count: Option<u64>) {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let limit = Rlimit { current: count.or(maximum), maximum };
        let pid = Pid::from_child(&self.child);
        prlimit(Some(pid), Resource::Nofile, limit).expect("it is ours to limit");
    }

    /// The number that the next file it opens gets: as many may be open for it to get none.
    pub fn next_file(&self) -> u64 {
        let file = |number: &u64| format!("/proc/{}/fd/{number}", self.child.id());
        let is_free = |number: &u64| std::fs::symlink_metadata(file(number)).is_err();
        (0..).find(is_free).expect("a number")
    }

    /// Waits until it ended by itself.
    pub fn ended(mut self) -> ExitStatus {
        until("the server ended", || self.child.try_wait().expect("a child").is_some());
        self.child.wait().expect("it ended")
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Lets jobs of the accelerator `gated` go on, which wait for this.
    pub fn open_gate(&self) {
        self.home.write("go", "");
    }

    /// Its address and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Where a browser finds a page of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn connect(&self) -> Connection {
        Connection::open(&self.address)
    }

    /// Asks once, on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        self.connect().get(path)
    }

    /// Runs a job in one request.
    pub fn run(&self, accelerator: &str, data: &[u8]) -> Answer {
        self.connect().post(&format!("/v2/run/{accelerator}"), "application/octet-stream", data)
    }

    /// The most memory that it ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// A process that ends with this.
pub struct Ending(pub Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that was killed.
pub struct Killed {
    pub home: Home,
    words: Vec<String>,
    address: String,
}

impl Killed {
    /// Starts another one where it was, which was [its own](Server::at_own_address).
    pub fn started(self) -> Server {
        Server::serve(self.home, &self.address, self.words)
    }

    /// Starts another one with more in its configuration.
    pub fn configured(self, configuration: &str) -> Server {
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        Server::in_home(self.home, configuration, &words)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
