//! What tests and benchmarks need beside Rust: programs of Debian and packages of PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{self, Result};

/// A program, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 23] = [
    ("bsdtar", "libarchive-tools"),
    ("cc", "gcc"),
    ("chromedriver", "chromium-driver"),
    ("chromium", "chromium"),
    ("cjpeg", "libjpeg-turbo-progs"),
    ("curl", "curl"),
    ("debootstrap", "debootstrap"),
    ("gzip", "gzip"),
    ("igzip", "isal"),
    ("ip", "iproute2"),
    ("libdeflate-gzip", "libdeflate-tools"),
    ("make", "make"),
    ("nft", "nftables"),
    ("nginx", "nginx-light"),
    ("openssl", "openssl"),
    ("perl", "perl"),
    ("pigz", "pigz"),
    ("sed", "sed"),
    ("ssh", "openssh-client"),
    ("systemd-analyze", "systemd"),
    ("systemd-nspawn", "systemd-container"),
    ("tar", "tar"),
    ("zstd", "zstd"),
];

/// What benchmarks need: what they compare with, what loads hosts, and what counts.
const BENCH_PROGRAMS: [(&str, &str); 20] = [
    ("cc", "gcc"),
    ("cjpeg", "libjpeg-turbo-progs"),
    ("curl", "curl"),
    ("djpeg", "libjpeg-turbo-progs"),
    ("gunzip", "gzip"),
    ("gzip", "gzip"),
    ("h2load", "nghttp2-client"),
    ("igzip", "isal"),
    ("libdeflate-gunzip", "libdeflate-tools"),
    ("libdeflate-gzip", "libdeflate-tools"),
    ("nginx", "nginx-light"),
    ("openssl", "openssl"),
    ("perl", "perl"),
    ("pigz", "pigz"),
    ("sed", "sed"),
    ("strace", "strace"),
    ("tar", "tar"),
    ("taskset", "util-linux"),
    ("valgrind", "valgrind"),
    ("wrk", "wrk"),
];

/// Packages of the Debian that tests boot, beside the least of it.
const DEBIAN_PACKAGES: &str = "systemd-sysv,curl,openssh-server";

/// Packages of PyPI that tests import or run, at tested versions.
const PYTHON_PACKAGES: [&str; 11] = [
    "boto3==1.43.11",
    "cryptography-vectors==45.0.3",
    "hatchling==1.27.0",
    "moto[server,s3]==5.2.5",
    "mypy==2.4.1",
    "numpy==2.4.6",
    "pyright==1.1.414",
    "pytest==9.2.0",
    "requests==2.32.3",
    "requests-toolbelt==1.0.0",
    "schemathesis==4.32.5",
];

/// Installs the programs that tests need, or says how to.
pub(crate) fn programs() -> Result {
    let missing = missing(&PROGRAMS);
    match missing.is_empty() || can_install() {
        true => install(&missing),
        false => {
            let packages = missing.join(" ");
            Err(format!("the tests need more programs: sudo apt-get install {packages}").into())
        }
    }
}

/// Installs the programs that benchmarks compare with. Where that cannot be, their rows say so.
pub(crate) fn bench_programs() -> Result {
    match can_install() {
        true => install(&missing(&BENCH_PROGRAMS)),
        false => Ok(()),
    }
}

/// The package of a program that benchmarks need and that is not here.
pub(crate) fn missing_package(program: &str) -> Option<&'static str> {
    let (_, package) = BENCH_PROGRAMS.iter().find(|(known, _)| *known == program)?;
    (!is_on_path(program)).then_some(package)
}

fn missing(programs: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    programs
        .iter()
        .filter(|(program, _)| !is_on_path(program))
        .map(|(_, package)| *package)
        .collect()
}

fn can_install() -> bool {
    is_on_path("apt-get") && is_root()
}

fn install(packages: &[&str]) -> Result {
    if packages.is_empty() {
        return Ok(());
    }
    println!("installing {}", packages.join(" "));
    run::quiet(Command::new("apt-get").args(["update", "-q"]))?;
    let _quiet = NoServices::begin()?;
    run::quiet(
        Command::new("apt-get")
            .args(["install", "-q", "-y", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Keeps the servers of packages from starting by themselves when they are installed, in Debian's
/// way: a policy that answers 101, "not allowed". One that exists already stays as it is.
struct NoServices {
    is_ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn begin() -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::File::options();
        match options.write(true).create_new(true).mode(0o755).open(POLICY) {
            Ok(mut policy) => {
                std::io::Write::write_all(&mut policy, b"#!/bin/sh\nexit 101\n")?;
                Ok(Self { is_ours: true })
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(Self { is_ours: false })
            }
            Err(error) => Err(format!("{POLICY}: {error}").into()),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}

/// A virtual environment with what the tests import; returns the directory of its programs.
pub(crate) fn python(target: &Path) -> Result<PathBuf> {
    let environment = target.join("test-python");
    let programs = environment.join("bin");
    let stamp = environment.join("installed");
    let wanted = PYTHON_PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    println!("installing {} for Python", PYTHON_PACKAGES.join(" "));
    run::quiet(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    run::quiet(
        Command::new(programs.join("python"))
            .args(["-m", "pip", "install", "-q", "--disable-pip-version-check"])
            .args(PYTHON_PACKAGES),
    )?;
    std::fs::write(stamp, wanted)?;
    Ok(programs)
}

/// A Debian that tests boot, from where this machine has its own.
pub(crate) fn debian(target: &Path) -> Result {
    let tree = target.join("test-debian");
    let stamp = target.join("test-debian.installed");
    let is_there = || std::fs::read_to_string(&stamp).is_ok_and(|made| made == DEBIAN_PACKAGES);
    if !is_root() || tree.exists() && is_there() {
        return Ok(());
    }
    let release = std::fs::read_to_string("/etc/os-release")?;
    let release = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let release = release.ok_or("/etc/os-release names no release")?;
    let listed = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(RELEASE) $(COMPONENT) $(SITE)",
            "Created-By: Packages",
        ])
        .output()?;
    let listed = String::from_utf8(listed.stdout)?;
    let mirror = listed.lines().find_map(|line| line.strip_prefix(&format!("{release} main ")));
    let mirror = mirror.ok_or("apt has no mirror of this release")?;
    println!("installing a Debian for tests of the service");
    let new = target.join("test-debian.new");
    for old in [&new, &tree] {
        if old.exists() {
            std::fs::remove_dir_all(old)?;
        }
    }
    run::quiet(
        Command::new("debootstrap")
            .arg("--variant=minbase")
            .args([&format!("--include={DEBIAN_PACKAGES}"), release])
            .arg(&new)
            .arg(mirror),
    )?;
    // Each machine makes its own, and is reached by nobody until then.
    let own = "rm /etc/ssh/ssh_host_*; systemctl disable -q ssh";
    run::quiet(Command::new("chroot").arg(&new).args(["sh", "-c", own]))?;
    // As a whole, or not at all.
    std::fs::rename(new, tree)?;
    std::fs::write(stamp, DEBIAN_PACKAGES)?;
    Ok(())
}

pub(crate) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}
