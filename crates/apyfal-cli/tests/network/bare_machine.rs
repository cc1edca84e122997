//! A machine as a cloud starts it: a system of its own with nothing of ours on it, beside its
//! network.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use crate::two_machines::Machine;

/// Makes the root directory: the programs of the system that the tests run on, which cannot be
/// changed, and all else empty. Then stays until its input ends, the first process of the machine.
const BOOT: &str = r#"
set -e
root=$1
mount -t tmpfs tmpfs "$root"
cd "$root"
mkdir -p etc var run root tmp proc dev opt home usr mnt
mount --rbind /usr usr
mount -o remount,bind,ro usr
mount -t tmpfs tmpfs usr/local
for name in bin sbin lib lib32 lib64; do
    if [ -L /$name ]; then
        ln -s "$(readlink /$name)" $name
    elif [ -d /$name ]; then
        mkdir $name && mount --rbind /$name $name && mount -o remount,bind,ro $name
    fi
done
mount --rbind /dev dev
mount -t proc proc proc
cp -L /etc/passwd /etc/group /etc/ld.so.cache etc/
echo '127.0.0.1 localhost' > etc/hosts
chmod 1777 tmp
exec chroot . /bin/sh -c 'echo booted; cat'
"#;

/// A running machine; all that runs on it is killed when this is dropped.
pub(crate) struct BareMachine {
    first: Child,
    /// Its end is the machine's end.
    _stdin: ChildStdin,
    pid: u32,
    root: tempfile::TempDir,
    has_user: bool,
}

impl BareMachine {
    /// Starts it in the network of another.
    pub(crate) fn boot(network: &Machine) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let mut first = network
            .enter()
            .args([
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "bash",
                "-c",
                BOOT,
                "boot",
            ])
            .arg(root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut said = String::new();
        let stdout = first.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut said).expect("a line");
        // Said from within: from here on its root is its own.
        assert_eq!(said.trim(), "booted");
        // The process that was started waits for the machine's first one.
        let children = format!("/proc/{0}/task/{0}/children", first.id());
        let pid = std::fs::read_to_string(children).expect("a child");
        let pid = pid.trim().parse().expect("one child");
        Self {
            _stdin: first.stdin.take().expect("a pipe"),
            first,
            pid,
            root,
            has_user: network.has_user(),
        }
    }

    /// A file of the machine, as this process sees it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.pid)).join(path.trim_start_matches('/'))
    }

    /// Runs user data, as cloud-init does.
    pub(crate) fn first_start(&self, user_data: &str) -> Output {
        std::fs::write(self.path("/run/user-data"), user_data).expect("a written file");
        self.bash("bash /run/user-data")
    }

    /// Runs a script as root, as a person who logged in does.
    pub(crate) fn bash(&self, script: &str) -> Output {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.pid)).args(["--net", "--mount", "--pid", "--root"]);
        if self.has_user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command
            .arg(format!("--wd={}", self.path("/root").display()))
            .args(["/bin/bash", "-c", script])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .stdin(Stdio::null())
            .output()
            .expect("nsenter runs")
    }
}

impl Drop for BareMachine {
    fn drop(&mut self) {
        let _ = self.first.kill();
        let _ = self.first.wait();
        let _ = self.root.path();
    }
}
