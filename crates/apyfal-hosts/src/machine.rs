//! This machine: whether it was made a host, and whose it is.

use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_package::Store;

/// The original's executable, whose presence made a machine a host.
const ORIGINAL: &str = "opt/accelize/accelerator/accelerator";
/// What each provider's machines say of themselves, below `sys/class/dmi/id`.
const VENDORS: [(&str, &str, &str); 5] = [
    ("AWS", "sys_vendor", "Amazon EC2"),
    ("OpenStack", "sys_vendor", "OpenStack Foundation"),
    ("OpenStack", "product_name", "OpenStack Nova"),
    ("OpenStack", "product_name", "OpenStack Compute"),
    ("Alibaba", "sys_vendor", "Alibaba Cloud"),
];

/// Where a host has what on a machine.
///
/// | path | is |
/// | --- | --- |
/// | `/usr/local/bin/apyfal` | the binary |
/// | `/usr/local/lib/apyfal/packages` | installed accelerators, for all users |
/// | `/etc/apyfal/accelerator.conf` | the host's configuration |
/// | `/etc/apyfal/host` | the marker: this machine is a host |
/// | `/etc/apyfal/shut-down` | what ends the machine with its lease, where that is not `poweroff` |
/// | `/etc/systemd/system/apyfal.service` | the service |
/// | `/etc/systemd/system/apyfal-end.*` | the timer that ends the machine with its lease |
/// | `/usr/local/lib/apyfal/apyfal-end.sh` | how that does so |
/// | `/var/lib/apyfal` | what the host remembers, its token and certificate |
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    /// The machine whose root directory this is.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The binary.
    pub fn binary(&self) -> PathBuf {
        self.root.join("usr/local/bin/apyfal")
    }

    /// The packages of all users.
    pub fn packages(&self) -> PathBuf {
        self.root.join("usr/local/lib/apyfal/packages")
    }

    /// The host's configuration.
    pub fn configuration(&self) -> PathBuf {
        self.root.join("etc/apyfal/accelerator.conf")
    }

    /// What says that this machine is a host.
    pub fn marker(&self) -> PathBuf {
        self.root.join("etc/apyfal/host")
    }

    /// The unit of systemd.
    pub fn unit(&self) -> PathBuf {
        self.root.join("etc/systemd/system/apyfal.service")
    }

    /// What ends the machine with its lease where the host does not: a script, and the service and
    /// the timer that run it.
    pub fn end(&self) -> [PathBuf; 3] {
        [
            "usr/local/lib/apyfal/apyfal-end.sh",
            "etc/systemd/system/apyfal-end.service",
            "etc/systemd/system/apyfal-end.timer",
        ]
        .map(|path| self.root.join(path))
    }

    /// What lets the host load images into FPGA devices: the socket and the service of the helper, and
    /// what the host's own unit needs for it.
    pub fn devices(&self) -> [PathBuf; 3] {
        [
            "etc/systemd/system/apyfal-device.socket",
            "etc/systemd/system/apyfal-device@.service",
            "etc/systemd/system/apyfal.service.d/device.conf",
        ]
        .map(|path| self.root.join(path))
    }

    /// What the host remembers.
    pub fn data_dir(&self) -> PathBuf {
        self.root.join("var/lib/apyfal")
    }

    /// What a host writes down of its lease, which outlives it, and what only lasts while the machine
    /// runs.
    pub fn lease(&self) -> [PathBuf; 3] {
        ["var/lib/private/apyfal/lease", "run/apyfal-host", "run/apyfal-end"]
            .map(|path| self.root.join(path))
    }

    /// All the rest that a host, its service and user data leave on a machine.
    pub fn rest(&self) -> Vec<PathBuf> {
        let paths = [
            "etc/apyfal",
            "etc/systemd/system/apyfal.service.d",
            "etc/systemd/system/apyfal-end.service.d",
            "etc/systemd/system/apyfal-end.timer.d",
            "etc/systemd/system/apyfal-device.socket",
            "etc/systemd/system/apyfal-device@.service",
            "run/apyfal",
            "run/private/apyfal-host",
            "usr/local/lib/apyfal",
            "var/lib/apyfal",
            // Where the service, as a user of its own, has its directory; the one above is a link.
            "var/lib/private/apyfal",
            "var/log/apyfal-user-data.log",
            // Last, since it may be what removes all this.
            "usr/local/bin/apyfal",
        ];
        paths.iter().map(|path| self.root.join(path)).collect()
    }

    /// Whether systemd runs it.
    pub fn has_systemd(&self) -> bool {
        self.root.join("run/systemd/system").is_dir()
    }

    /// Whether `apyfal host install` made it a host.
    pub fn is_marked(&self) -> bool {
        self.marker().exists()
    }

    /// Whether jobs run here by themselves: it was made a host, has an accelerator installed for all
    /// users, or the executable of the original.
    pub fn is_host(&self) -> bool {
        let has_package = || Store::new(self.packages()).is_empty().is_ok_and(|is_empty| !is_empty);
        self.is_marked() || has_package() || self.root.join(ORIGINAL).exists()
    }

    /// The provider that this machine is an instance of, as far as its firmware tells.
    pub fn provider(&self) -> Option<&'static str> {
        let says = |(_, file, vendor): &&(&str, &str, &str)| {
            let path = self.root.join("sys/class/dmi/id").join(file);
            std::fs::read_to_string(path).is_ok_and(|text| text.trim() == *vendor)
        };
        VENDORS.iter().find(says).map(|(provider, ..)| *provider)
    }

    /// Whether what is configured for `host_type` runs on this machine itself.
    ///
    /// # Errors
    /// It is an instance of that provider and no host. Whether it should be is not to be guessed: a
    /// wrong guess would buy another machine, or leave one idle.
    pub fn runs_here(&self, host_type: &str, prefer_self_hosted: bool) -> Result<bool> {
        if !prefer_self_hosted {
            return Ok(false);
        }
        if self.is_host() {
            return Ok(true);
        }
        match self.provider() {
            Some(provider) if provider.eq_ignore_ascii_case(host_type) => Err(Error::new(
                ErrorKind::Conflict,
                format!("this machine is an instance of {provider}, and no host"),
            )
            .operation(format!("find a host of type {host_type}"))
            .hint("to run it here, make this machine a host: sudo apyfal host install")
            .hint("to have it run on another one: prefer_self_hosted = False in section [host]")),
            _ => Ok(false),
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::at(Path::new("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let machine = Machine::at(root.path());
        (root, machine)
    }

    #[test]
    fn a_machine_is_a_host_where_it_was_made_one() {
        let (_root, bare) = machine(&[("usr/local/bin/apyfal", "")]);
        assert!(!bare.is_host() && !bare.runs_here("AWS", true).unwrap());
        for file in ["etc/apyfal/host", ORIGINAL] {
            let (_root, host) = machine(&[(file, "")]);
            assert!(host.runs_here("AWS", true).unwrap(), "{file}");
            assert!(!host.runs_here("AWS", false).unwrap(), "{file}");
        }
        // What is left of packages makes none.
        let packages = "usr/local/lib/apyfal/packages";
        let (root, host) = machine(&[(&format!("{packages}/.lock"), "")]);
        assert!(!host.is_host());
        std::fs::create_dir(root.path().join(packages).join("mine")).unwrap();
        std::os::unix::fs::symlink("1.0.0-0", root.path().join(packages).join("mine/current"))
            .unwrap();
        assert!(host.is_host());
    }

    #[test]
    fn nothing_is_bought_by_guess() {
        let (_root, instance) = machine(&[("sys/class/dmi/id/sys_vendor", "Amazon EC2\n")]);
        let error = instance.runs_here("aws", true).unwrap_err();
        assert!(error.hints()[0].contains("host install"), "{error}");
        assert!(error.hints()[1].contains("prefer_self_hosted = False"), "{error}");
        assert!(!instance.runs_here("aws", false).unwrap());
        assert!(!instance.runs_here("OpenStack", true).unwrap());
    }
}
