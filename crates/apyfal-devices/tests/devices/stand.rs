//! Stand-ins for the tools of devices: scripts that keep state, and fail and hang when told to.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal_core::{Cancel, Result};
use apyfal_devices::{
    Access, CardSlotGuard, Device, Image, Kind, Pool, PoolOptions, Tools, device,
};

/// How long anything may take that should take a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a tool may take in tests of tools that hang; the others must not take that long.
pub(crate) const SHORT: Duration = Duration::from_secs(4);

const PRELUDE: &str = r#"
note() { echo "$(basename "$0") $*" >>"$S/log"; }
obey() {
  if [ -e "$S/hang-$1" ]; then echo $(ps -o pgid= -p $$) >>"$S/hanging"; sleep 500; fi
  if [ -e "$S/fail-$1" ]; then cat "$S/fail-$1"; exit 5; fi
}
"#;

/// A device of a kind with two slots, all of it in a directory.
pub(crate) struct Stand {
    folder: PathBuf,
    _owned: Option<tempfile::TempDir>,
    pub(crate) kind: Kind,
    pub(crate) limit: Duration,
}

impl Stand {
    pub(crate) fn new(kind: Kind, slots: usize) -> Self {
        let owned = tempfile::tempdir().unwrap();
        let folder = owned.path().to_owned();
        for name in ["bin", "state", "locks", "images"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let (names, script): (&[&str], _) = match kind {
            Kind::AwsF2 => (
                &[
                    "fpga-describe-local-image-slots",
                    "fpga-describe-local-image",
                    "fpga-load-local-image",
                    "fpga-clear-local-image",
                ],
                include_str!("aws.sh"),
            ),
            Kind::Xrt => (&["xrt-smi"], include_str!("xrt.sh")),
            Kind::Opae => (&["fpgainfo", "fpgaconf"], include_str!("opae.sh")),
        };
        let state = folder.join("state");
        let slots = Self::names(kind)[..slots].join(" ");
        let text =
            format!("#!/bin/sh\nS='{}'; SLOTS='{slots}'\n{PRELUDE}{script}", state.display());
        for name in names {
            executable(&folder.join("bin").join(name), &text);
        }
        fs::write(folder.join("images/a"), container(kind, 0x1a)).unwrap();
        fs::write(folder.join("images/b"), container(kind, 0x2b)).unwrap();
        Self { folder, _owned: Some(owned), kind, limit: PATIENCE }
    }

    /// The same one, in another process.
    pub(crate) fn at(folder: &Path, kind: Kind) -> Self {
        Self { folder: folder.to_owned(), _owned: None, kind, limit: PATIENCE }
    }

    pub(crate) fn names(kind: Kind) -> [&'static str; 2] {
        match kind {
            Kind::AwsF2 => ["0", "1"],
            Kind::Xrt => ["0000:b3:00.1", "0000:d8:00.1"],
            Kind::Opae => ["0000:5e:00.0", "0000:be:00.0"],
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn tools(&self) -> Tools {
        let mut path = self.path("bin").into_os_string();
        path.push(":/usr/bin:/bin");
        let mut tools = Tools::new(path);
        (tools.look, tools.change) = (self.limit, self.limit);
        tools
    }

    pub(crate) fn device(&self, access: &Access) -> Arc<dyn Device> {
        device(self.kind, &self.tools(), access)
    }

    pub(crate) fn pool_by(&self, access: &Access, wait: Duration) -> Pool {
        let (locks, what) = (self.path("locks"), "gzip_fpga".to_owned());
        Pool::new(self.device(access), PoolOptions { locks, wait, what })
    }

    pub(crate) fn pool(&self) -> Pool {
        self.pool_by(&Access::Direct, PATIENCE)
    }

    /// The image `a` or `b`.
    pub(crate) fn image(&self, name: &str) -> Image {
        match (self.kind, name) {
            (Kind::AwsF2, "a") => Image::agfi("agfi-0aaaaaaaaaaaaaaaa").unwrap(),
            (Kind::AwsF2, _) => Image::agfi("agfi-0bbbbbbbbbbbbbbbb").unwrap(),
            (kind, name) => Image::file(kind, &self.path("images").join(name)).unwrap(),
        }
    }

    pub(crate) fn acquire(&self, name: &str) -> Result<CardSlotGuard> {
        self.pool().acquire(&self.image(name), &Cancel::default())
    }

    /// Tells the tools to fail or hang: `fail-load`, `hang-clear`.
    pub(crate) fn tell(&self, what: &str, text: &str) {
        fs::write(self.path("state").join(what), text).unwrap();
    }

    pub(crate) fn untell(&self, what: &str) {
        fs::remove_file(self.path("state").join(what)).unwrap();
    }

    /// What is in a slot, by the tools' own state.
    pub(crate) fn loaded(&self, slot: &str) -> Option<String> {
        let text = fs::read_to_string(self.path("state").join(format!("slot-{slot}"))).ok()?;
        let id = text.split_whitespace().next().unwrap().to_ascii_lowercase();
        (id != "none").then_some(id)
    }

    /// The calls of tools that change something, since the last look.
    pub(crate) fn changes(&self) -> Vec<&'static str> {
        let text = fs::read_to_string(self.path("state/log")).unwrap_or_default();
        let _ = fs::remove_file(self.path("state/log"));
        let verb = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["fpga-load-local-image", .., "-P"] => Some("prefetch"),
            ["fpga-load-local-image" | "fpgaconf", ..] | ["xrt-smi", "program", ..] => Some("load"),
            ["fpga-clear-local-image", ..] | ["xrt-smi", "reset", ..] => Some("clear"),
            _ => None,
        };
        text.lines().filter_map(verb).collect()
    }

    /// What is called where a slot is cleared and loaded: OPAE has nothing to clear with.
    pub(crate) fn clear_and_load(&self) -> Vec<&'static str> {
        if self.kind == Kind::Opae { vec!["load"] } else { vec!["clear", "load"] }
    }

    /// The process groups of the tools that hang, or hung.
    pub(crate) fn hanging(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.path("state/hanging")).unwrap_or_default();
        text.lines().map(|group| group.parse().unwrap()).collect()
    }
}

/// Writes a script. Another process does it, so that no program which a test beside this one starts
/// at the moment has it open for writing, and it can be run.
pub(crate) fn executable(path: &Path, text: &str) {
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
}

/// The file of an image whose identity is made of this byte.
fn container(kind: Kind, byte: u8) -> Vec<u8> {
    if kind == Kind::Opae {
        let json = format!(
            "{{\"version\": 1, \"afu-image\": {{\"accelerator-clusters\": [{{\"name\": \"it\", \
             \"accelerator-type-uuid\": \"{byte:02x}0adcc2-6ceb-4b22-9722-d43375b61c66\"}}]}}}}"
        );
        let length = (json.len() as u32).to_le_bytes();
        return [b"XeonFPGA\xb7GBSv001", &length[..], json.as_bytes(), b"\nbits"].concat();
    }
    let mut bytes = b"xclbin2\0".to_vec();
    bytes.resize(416, 0);
    bytes.resize(432, byte);
    bytes
}

/// Runs something for each kind of device.
pub(crate) fn each(run: impl Fn(Kind)) {
    for kind in Kind::ALL {
        run(kind);
    }
}

pub(crate) fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether any process of a group runs; zombies do not.
pub(crate) fn group_runs(group: u32) -> bool {
    let listed = Command::new("ps").args(["-eo", "pgid=,stat="]).output().unwrap();
    String::from_utf8_lossy(&listed.stdout).lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(&group.to_string())
            && words.next().is_some_and(|s| !s.starts_with('Z'))
    })
}
