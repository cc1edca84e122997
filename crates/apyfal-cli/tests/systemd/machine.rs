//! A machine that systemd runs: a Debian in a container, with a disk of its own that is lost with it.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::server::{PATIENCE, until, until_some};
use crate::common::text;

/// Set where a test machine gives nobody a namespace.
const WITHOUT: &str = "APYFAL_TEST_WITHOUT_NAMESPACES";

/// What it takes to be root of a machine.
const TRY: &str = "mount -t tmpfs tmpfs /mnt";

/// Where systemd keeps its groups of processes: in version 2, or in both versions side by side.
const GROUPS: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/// Boots the tree $2 with $1 over it, and on top of them an empty disk of 64 MB, again whenever it
/// restarts. systemd has a group of processes to itself.
const BOOT: &str = r#"
set -e
disk=$3/disk
mkdir "$disk" "$3/kept"
for group in $4; do
    if [ -e "$group/cgroup.procs" ]; then
        mkdir "$group/apyfal-test-$$"
        echo $$ > "$group/apyfal-test-$$/cgroup.procs"
    fi
done
mount -t tmpfs -o size=64M,mode=755 tmpfs "$disk"
mkdir "$disk/upper" "$disk/work" "$disk/root"
mount -t overlay overlay -o "lowerdir=$1:$2,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"
status=133
while [ $status = 133 ]; do
    status=0
    systemd-nspawn --quiet --register=no --keep-unit --private-network --boot \
        --bind="$3/kept:/mnt" --directory="$disk/root" --machine=apyfal-test-$$ --console=pipe || status=$?
done
exit $status
"#;

/// A running machine. It is killed when this is dropped.
pub(crate) struct Machine {
    holder: Child,
    folder: tempfile::TempDir,
    /// What it has beside Debian.
    _layer: tempfile::TempDir,
}

impl Machine {
    /// Boots one that has the program `apyfal` and nothing else of ours. None where that cannot be
    /// done here, which is told.
    pub(crate) fn boot() -> Option<Self> {
        if let Some(why) = cannot() {
            #[allow(clippy::print_stderr)] // Whoever reads the run is to know.
            {
                eprintln!("left out: tests of a machine that systemd runs: {why}");
            }
            return None;
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_apyfal"));
        let target = binary.ancestors().nth(2).expect("a target directory");
        let debian = target.join("test-debian");
        assert!(debian.exists(), "'cargo xtask test' makes {}", debian.display());
        // Beside the binary, so that a link does for a copy.
        let layer = tempfile::Builder::new().prefix("test-layer").tempdir_in(target).unwrap();
        let place = layer.path().join("usr/local/bin");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::hard_link(binary, place.join("apyfal")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let console = std::fs::File::create(folder.path().join("console")).unwrap();
        let holder = Command::new("unshare")
            .args(["--mount", "bash", "-c", BOOT, "boot"])
            .args([layer.path(), &debian, folder.path()])
            .arg(GROUPS.join(" "))
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .spawn()
            .expect("unshare runs");
        let mut machine = Self { holder, folder, _layer: layer };
        machine.wait_until_up(None);
        Some(machine)
    }

    /// Waits until it has started, as another one than `before`.
    fn wait_until_up(&mut self, before: Option<u32>) {
        until("the machine is up", || {
            let ended = self.holder.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", self.console());
            // One that is going down is not asked: see `bash`.
            self.first().is_some_and(|first| Some(first) != before) && {
                let state = self.bash("systemctl is-system-running").stdout;
                ["running\n", "degraded\n"].contains(&&*text(&state))
            }
        });
    }

    /// What it wrote into a file in `/mnt`, which outlives it.
    pub(crate) fn kept(&self, name: &str) -> String {
        let kept = std::fs::read(self.folder.path().join("kept").join(name));
        text(&kept.unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    /// What it said when it started.
    fn console(&self) -> String {
        text(&std::fs::read(self.folder.path().join("console")).unwrap())
    }

    /// The first process of the machine, in numbers of this one.
    fn first(&self) -> Option<u32> {
        let nspawn = children(self.holder.id());
        let processes = nspawn.into_iter().flat_map(children);
        processes.into_iter().find(|process| {
            let status = std::fs::read_to_string(format!("/proc/{process}/status"));
            let numbers = status.unwrap_or_default();
            let numbers = numbers.lines().find_map(|line| line.strip_prefix("NSpid:"));
            numbers.is_some_and(|numbers| numbers.split_whitespace().nth(1) == Some("1"))
        })
    }

    /// Runs a script as root, as a person who logged in does, for as long as anything may take.
    ///
    /// A machine that goes down first stops all its processes, and then lets them go on. `nsenter`
    /// stops itself with its script, and nobody lets it go on but `timeout`.
    pub(crate) fn bash(&self, script: &str) -> Output {
        let first = self.first().map_or_else(String::new, |first| first.to_string());
        Command::new("timeout")
            .args(["--kill-after=1", &PATIENCE.as_secs().to_string(), "nsenter"])
            .args(["--target", &first, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"])
            .args(["--root", "--wd", "/bin/bash", "-c", script])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .stdin(Stdio::null())
            .output()
            .expect("timeout runs")
    }

    /// The same, which must succeed; returns what it printed.
    pub(crate) fn ok(&self, script: &str) -> String {
        let output = self.bash(script);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{script}: {said}{}", text(&output.stdout));
        text(&output.stdout)
    }

    /// Starts it again.
    pub(crate) fn reboot(&mut self) {
        let before = self.first();
        self.bash("systemctl reboot");
        self.wait_until_up(before);
    }

    /// Waits until it ended by itself.
    pub(crate) fn ended(&mut self) {
        let status: ExitStatus = until_some("the machine ends", || self.holder.try_wait().unwrap());
        assert!(status.success(), "{status}: {}", self.console());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With the first process all others of the machine are killed.
        let first = self.first().and_then(|first| Pid::from_raw(first.cast_signed()));
        let _ = self.holder.kill();
        if let Some(first) = first {
            let _ = kill_process(first, Signal::KILL);
        }
        let _ = self.holder.wait();
        for group in GROUPS {
            let group = Path::new(group).join(format!("apyfal-test-{}", self.holder.id()));
            let removing = ["-depth", "-type", "d", "-delete"];
            let mut remove = Command::new("find");
            let remove = remove.arg(&group).args(removing).stderr(Stdio::null());
            // Not until the last process is gone.
            for _ in 0..200 {
                let _ = remove.status();
                if !group.exists() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }
}

fn children(of: u32) -> Vec<u32> {
    let found = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children"));
    found.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Why no machine can be started here.
fn cannot() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it takes root".to_owned());
    }
    let tried = Command::new("unshare").args(["--mount", "sh", "-c", TRY]).output();
    let tried = tried.expect("unshare runs");
    if tried.status.success() {
        return None;
    }
    let said = text(&tried.stderr);
    assert!(
        std::env::var_os(WITHOUT).is_some(),
        "no machine can be started here: {said}; {WITHOUT}=1 leaves these tests out"
    );
    Some(format!("{WITHOUT} says so, and {said}"))
}
