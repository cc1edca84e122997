//! Machines as far as their network is concerned.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::common::Home;

/// A machine whose namespace is there as long as this is.
pub struct Machine {
    holder: Child,
    /// Its end is the holder's end.
    _stdin: ChildStdin,
    namespace: Namespace,
}

/// The namespace of a machine, as long as that holds it.
#[derive(Clone, Copy)]
pub struct Namespace {
    pid: u32,
    has_user: bool,
}

impl Namespace {
    /// What runs a command there.
    pub fn enter(self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.pid)).arg("--net");
        if self.has_user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command
    }

    /// Whether it is of a user namespace of its own.
    pub fn has_user(self) -> bool {
        self.has_user
    }
}

impl Machine {
    /// Starts the process that holds it; `inside` makes the namespace, and one of users where it
    /// `has_user`.
    pub fn hold(mut inside: Command, has_user: bool) -> Self {
        // It says that it is there, and stays until its input ends.
        let mut holder = inside
            .args(["sh", "-c", "echo $$; cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let stdout = holder.stdout.take().expect("a pipe");
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)
            .expect("a line");
        let pid = line.trim().parse().expect("the number of a process");
        let namespace = Namespace { pid, has_user };
        Self { _stdin: holder.stdin.take().expect("a pipe"), holder, namespace }
    }

    /// What runs a command on this machine.
    pub fn enter(&self) -> Command {
        self.namespace.enter()
    }

    /// Its namespace.
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// Its network, as a file.
    pub fn network(&self) -> String {
        format!("/proc/{}/ns/net", self.namespace.pid)
    }

    /// Whether it is of a user namespace of its own.
    pub fn has_user(&self) -> bool {
        self.namespace.has_user()
    }

    /// Sets up its network.
    pub fn ip(&self, words: &[&str]) {
        self.feed(&[&["ip"], words].concat(), "");
    }

    /// Runs a program in its network, which must succeed, with this input.
    pub fn feed(&self, words: &[&str], input: &str) {
        let mut child = self
            .enter()
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("nsenter runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("a program that reads");
        drop(stdin);
        let status = child.wait().expect("a child");
        assert!(status.success(), "{words:?} ('cargo xtask test' installs it): {input}");
    }

    /// Makes an interface on each of two machines of one user namespace: what goes into one comes
    /// out of the other.
    pub fn lay_cable(&self, here: &str, other: &Self, there: &str) {
        let there =
            ["type", "veth", "peer", "name", there, "netns", &other.namespace.pid.to_string()];
        self.ip(&[&["link", "add", here], &there[..]].concat());
    }

    /// A command on this machine, in a home.
    pub fn command(&self, home: &Home, program: &str, words: &[&str]) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_apyfal"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = binary.parent().map(Path::to_owned).into_iter();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&path)));
        let mut command = self.enter();
        command
            .arg(program)
            .args(words)
            .current_dir(home.folder())
            .env_clear()
            .env("PATH", path.expect("a search path"))
            .env("HOME", home.folder())
            .env("TMPDIR", home.folder())
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
