//! A machine that systemd runs: a Debian in a container, with a disk of its own that is lost with it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::server::{PATIENCE, until, until_some};
use crate::common::text;

/// Set where a test machine gives nobody a namespace.
const WITHOUT: &str = "APYFAL_TEST_WITHOUT_NAMESPACES";

/// What it takes to be root of a machine.
const TRY: &str = "mount -t tmpfs tmpfs /mnt";

/// Where systemd keeps its groups of processes: in version 2, or in both versions side by side.
const GROUPS: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/// Makes a disk of size $4 in $3: the tree $2 with $1 over it, and what is written. It is there until
/// the input ends.
const DISK: &str = r#"
set -e
disk=$3/disk
mkdir "$disk" "$3/kept"
mount -t tmpfs -o "size=$4,mode=755" tmpfs "$disk"
mkdir "$disk/upper" "$disk/work" "$disk/root"
mount -t overlay overlay -o "lowerdir=$1:$2,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"
echo made
cat
"#;

/// Boots the disk in $1 with the network $2, again whenever it restarts. systemd has a group of
/// processes to itself, of version 2 and with programs of the kernel: what units say of addresses is so.
const BOOT: &str = r#"
set -e
for group in $3; do
    if [ -e "$group/cgroup.procs" ]; then
        mkdir "$group/apyfal-test-$$"
        echo $$ > "$group/apyfal-test-$$/cgroup.procs"
    fi
done
status=133
while [ $status = 133 ]; do
    status=0
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --system-call-filter=bpf \
        --capability=CAP_BPF,CAP_NET_ADMIN --register=no --keep-unit "$2" --boot --resolv-conf=off \
        --bind="$1/kept:/mnt" --directory="$1/disk/root" --machine=apyfal-test-$$ --console=read-only || status=$?
done
exit $status
"#;

/// A machine. It is killed when this is dropped.
pub struct Debian {
    disk: Child,
    /// Its end is the disk's end.
    _stdin: ChildStdin,
    running: Option<Child>,
    network: String,
    folder: tempfile::TempDir,
    /// What it has beside Debian.
    _layer: tempfile::TempDir,
}

impl Debian {
    /// Boots one that has the program `apyfal` and nothing else of ours, and no network. None where
    /// that cannot be done here, which is told.
    pub fn boot() -> Option<Self> {
        let binary = Path::new(env!("CARGO_BIN_EXE_apyfal"));
        let mut machine = Self::new("64M", "--private-network", |layer| {
            let place = layer.join("usr/local/bin");
            std::fs::create_dir_all(&place).unwrap();
            std::fs::hard_link(binary, place.join("apyfal")).unwrap();
        })?;
        machine.power_on();
        machine.wait_until_up(None);
        Some(machine)
    }

    /// One that is off, with what `fill` puts on its disk. `network` is the option of systemd-nspawn.
    pub fn new(size: &str, network: &str, fill: impl FnOnce(&Path)) -> Option<Self> {
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
        fill(layer.path());
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Command::new("unshare")
            .args(["--mount", "bash", "-c", DISK, "disk"])
            .args([layer.path(), &debian, folder.path()])
            .arg(size)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut said = String::new();
        let stdout = disk.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut said).expect("a line");
        assert_eq!(said, "made\n");
        let stdin = disk.stdin.take().expect("a pipe");
        let network = network.to_owned();
        Some(Self { disk, _stdin: stdin, running: None, network, folder, _layer: layer })
    }

    /// Starts it, with the disk as it is.
    pub fn power_on(&mut self) {
        let console = self.folder.path().join("console");
        let console = std::fs::File::options().create(true).append(true).open(console).unwrap();
        let boot = Command::new("nsenter")
            .arg(format!("--target={}", self.disk.id()))
            .args(["--mount", "bash", "-c", BOOT, "boot"])
            .arg(self.folder.path())
            .args([&self.network, &GROUPS.join(" ")])
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .spawn()
            .expect("nsenter runs");
        self.running = Some(boot);
    }

    /// Ends all that runs on it; the disk stays.
    pub fn power_off(&mut self) {
        // With the first process all others of the machine are killed.
        let first = self.first().and_then(|first| Pid::from_raw(first.cast_signed()));
        let Some(mut running) = self.running.take() else { return };
        let _ = running.kill();
        if let Some(first) = first {
            let _ = kill_process(first, Signal::KILL);
        }
        let _ = running.wait();
        for group in GROUPS {
            let group = Path::new(group).join(format!("apyfal-test-{}", running.id()));
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

    /// How it ended, where it did so by itself.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.running.as_mut()?.try_wait().unwrap()
    }

    /// Waits until it has started, as another one than `before`.
    fn wait_until_up(&mut self, before: Option<u32>) {
        until("the machine is up", || {
            let ended = self.has_ended();
            assert!(ended.is_none(), "it ended: {}", self.console());
            // One that is going down is not asked: see `bash`.
            self.first().is_some_and(|first| Some(first) != before) && {
                let state = self.bash("systemctl is-system-running").stdout;
                ["running\n", "degraded\n"].contains(&&*text(&state))
            }
        });
    }

    /// What it wrote into a file in `/mnt`, which outlives it.
    pub fn kept(&self, name: &str) -> String {
        let kept = std::fs::read(self.kept_at(name));
        text(&kept.unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    /// Where that is.
    pub fn kept_at(&self, name: &str) -> PathBuf {
        self.folder.path().join("kept").join(name)
    }

    /// What it said on its console.
    pub fn console(&self) -> String {
        text(&std::fs::read(self.folder.path().join("console")).unwrap())
    }

    /// The first process of the machine, in numbers of this one.
    fn first(&self) -> Option<u32> {
        let nspawn = children(self.running.as_ref()?.id());
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
    pub fn bash(&self, script: &str) -> Output {
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
    pub fn ok(&self, script: &str) -> String {
        let output = self.bash(script);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{script}: {said}{}", text(&output.stdout));
        text(&output.stdout)
    }

    /// Starts it again.
    pub fn reboot(&mut self) {
        let before = self.first();
        self.bash("systemctl reboot");
        self.wait_until_up(before);
    }

    /// Waits until it ended by itself.
    pub fn ended(&mut self) {
        let status: ExitStatus = until_some("the machine ends", || self.has_ended());
        assert!(status.success(), "{status}: {}", self.console());
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        self.power_off();
        let _ = self.disk.kill();
        let _ = self.disk.wait();
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
