//! Two machines with a cable between them, as far as their network is concerned.

use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::common::{Home, namespaces};

/// The address of the first machine.
pub(crate) const HOST: &str = "10.77.0.1";

/// Two network namespaces, and a cable.
pub(crate) struct TwoMachines {
    pub(crate) host: Machine,
    pub(crate) client: Machine,
}

impl TwoMachines {
    /// None where the environment says that there can be none, which is told.
    pub(crate) fn new() -> Option<Self> {
        let words = namespaces::network()?;
        let has_user = words.len() > 1;
        let mut unshare = Command::new("unshare");
        unshare.args(words);
        let host = Machine::hold(unshare, has_user);
        // The second one is of the same user namespace, or no cable could be laid.
        let mut unshare = host.enter();
        unshare.args(["unshare", "--net"]);
        let client = Machine::hold(unshare, has_user);
        let peer = client.pid.to_string();
        host.ip(&["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", &peer]);
        for (machine, address) in [(&host, "10.77.0.1/24"), (&client, "10.77.0.2/24")] {
            machine.ip(&["link", "set", "lo", "up"]);
            machine.ip(&["address", "add", address, "dev", "cable"]);
            machine.ip(&["link", "set", "cable", "up"]);
        }
        Some(Self { host, client })
    }

    /// From now on nothing comes through, and neither system knows.
    pub(crate) fn pull_the_cable(&self) {
        for (machine, other) in [(&self.host, "10.77.0.2"), (&self.client, "10.77.0.1")] {
            let nobody = ["lladdr", "02:00:00:00:00:99", "nud", "permanent"];
            machine.ip(&[&["neighbour", "replace", other, "dev", "cable"], &nobody[..]].concat());
        }
    }
}

fn tried_well(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// A namespace, which is there as long as this is.
pub(crate) struct Machine {
    holder: Child,
    /// Its end is the holder's end.
    _stdin: ChildStdin,
    pid: u32,
    has_user: bool,
}

impl Machine {
    fn hold(mut inside: Command, has_user: bool) -> Self {
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
        Self { _stdin: holder.stdin.take().expect("a pipe"), holder, pid, has_user }
    }

    /// What runs a command on this machine.
    pub(crate) fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.pid)).arg("--net");
        if self.has_user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command
    }

    /// Whether it is of a user namespace of its own.
    pub(crate) fn has_user(&self) -> bool {
        self.has_user
    }

    fn ip(&self, words: &[&str]) {
        assert!(tried_well(self.enter().arg("ip").args(words)), "ip {words:?} (of iproute2)");
    }

    /// A command on this machine, in a home.
    pub(crate) fn command(&self, home: &Home, program: &str, words: &[&str]) -> Command {
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
