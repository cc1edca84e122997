//! A machine as a cloud starts it: a system of its own with nothing of ours on it, beside its
//! network.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use crate::common::machine::{Machine, Namespace};
use crate::common::server::until;

/// Makes the disk, which is there until the input ends.
const DISK: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs "$1"
cd "$1"
mkdir -p .local .sbin etc var run root tmp proc dev opt home usr mnt
cp -L /etc/passwd /etc/group /etc/ld.so.cache etc/
echo '127.0.0.1 localhost' > etc/hosts
# What shuts down ends the first process.
printf '#!/bin/sh\nkill -TERM 1\n' > .sbin/shutdown
chmod 755 .sbin/shutdown
echo made
cat
"#;

/// Makes the root directory of it: beside what is on the disk the programs of the system that the
/// tests run on, which cannot be changed. Then stays until its input ends or it is told to end, the
/// first process of the machine.
const BOOT: &str = r#"
set -e
cd "$1"
mount --rbind /usr usr
mount -o remount,bind,ro usr
mount --bind .local usr/local
for name in bin sbin lib lib32 lib64; do
    if [ -L /$name ]; then
        ln -sfn "$(readlink /$name)" $name
    elif [ -d /$name ]; then
        mkdir -p $name && mount --rbind /$name $name && mount -o remount,bind,ro $name
    fi
done
mount -t overlay -o "lowerdir=$1/.sbin:/usr/sbin" overlay usr/sbin
mount --rbind /dev dev
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
exec chroot . /bin/sh -c 'trap "exit 0" TERM; exec 3<&0; echo booted; cat <&3 & wait'
"#;

/// A machine; all that runs on it is killed when this is dropped.
pub struct BareMachine {
    disk: Child,
    /// Its end is the disk's end.
    _disk_stdin: ChildStdin,
    running: Option<Running>,
    root: tempfile::TempDir,
    network: Namespace,
}

/// What is there while it is on.
struct Running {
    first: Child,
    /// Its end is the machine's end.
    _stdin: ChildStdin,
    pid: u32,
}

impl BareMachine {
    /// Starts a new one in the network of another.
    pub fn boot(network: &Machine) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let mut unshare = network.enter();
        unshare.args(["unshare", "--mount", "bash", "-c", DISK, "disk"]).arg(root.path());
        let (disk, stdin) = said(&mut unshare, "made");
        let mut machine =
            Self { disk, _disk_stdin: stdin, running: None, root, network: network.namespace() };
        machine.power_on();
        machine
    }

    /// Starts it once more, with the disk as it is.
    pub fn power_on(&mut self) {
        let mut boot = self.network.enter();
        boot.arg("nsenter")
            .arg(format!("--target={}", self.disk.id()))
            .args(["--mount", "unshare", "--mount", "--pid", "--fork", "--kill-child"])
            .args(["bash", "-c", BOOT, "boot"])
            .arg(self.root.path());
        // Said from within: from there on its root is its own.
        let (first, stdin) = said(&mut boot, "booted");
        // The process that was started waits for the machine's first one.
        let children = format!("/proc/{0}/task/{0}/children", first.id());
        let pid = std::fs::read_to_string(children).expect("a child");
        let pid = pid.trim().parse().expect("one child");
        self.running = Some(Running { first, _stdin: stdin, pid });
    }

    /// Ends all that runs on it; the disk stays.
    pub fn power_off(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        let _ = running.first.kill();
        let _ = running.first.wait();
        let process = PathBuf::from(format!("/proc/{}", running.pid));
        until("the machine is off", || !process.exists());
    }

    /// Whether it runs, and did not shut down.
    pub fn is_on(&mut self) -> bool {
        let on = self.running.as_mut().is_some_and(|running| {
            running.first.try_wait().expect("a child of this process").is_none()
        });
        if !on {
            self.running = None;
        }
        on
    }

    /// A file of the machine, as this process sees it.
    pub fn path(&self, path: &str) -> PathBuf {
        let root = match &self.running {
            Some(running) => PathBuf::from(format!("/proc/{}/root", running.pid)),
            None => {
                let disk = self.root.path().strip_prefix("/").expect("a path from the root");
                Path::new(&format!("/proc/{}/root", self.disk.id())).join(disk)
            }
        };
        root.join(path.trim_start_matches('/'))
    }

    /// Runs user data, as cloud-init does.
    pub fn first_start(&self, user_data: &str) -> Output {
        std::fs::write(self.path("/run/user-data"), user_data).expect("a written file");
        self.bash("bash /run/user-data")
    }

    /// Runs a script as root, as a person who logged in does.
    pub fn bash(&self, script: &str) -> Output {
        self.command(script).output().expect("nsenter runs")
    }

    /// What runs a script as root.
    pub fn command(&self, script: &str) -> Command {
        let running = self.running.as_ref().expect("a machine that is on");
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", running.pid))
            .args(["--net", "--mount", "--pid", "--root"]);
        if self.network.has_user() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command
            .arg(format!("--wd={}", self.path("/root").display()))
            .args(["/bin/bash", "-c", script])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .stdin(Stdio::null());
        command
    }
}

/// Starts what says a word once it is there, and ends with its input.
fn said(command: &mut Command, word: &str) -> (Child, ChildStdin) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("nsenter runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert_eq!(line.trim(), word);
    let stdin = child.stdin.take().expect("a pipe");
    (child, stdin)
}

impl Drop for BareMachine {
    fn drop(&mut self) {
        self.power_off();
        let _ = self.disk.kill();
        let _ = self.disk.wait();
    }
}
