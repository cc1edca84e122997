//! What a package needs of the machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;

use apyfal_core::{Error, ErrorKind, Result};

use super::Manifest;
use super::table::Table;

/// Programs that must be there, and the system's packages that have them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requires {
    /// Whether it cannot do without a device that it has an image for.
    pub device: bool,
    /// Names of programs on the search path.
    pub system: Vec<String>,
    /// Names of packages, by the tool that installs them: `apt`, `dnf`.
    pub packages: BTreeMap<String, Vec<String>>,
}

/// The machine that a package is to run on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its architecture, as Linux calls it: `x86_64`.
    pub architecture: String,
    /// The search path for programs.
    pub path: OsString,
}

impl Machine {
    /// This one. The search path is that of the process's environment, which only the caller reads.
    pub fn here(path: impl Into<OsString>) -> Self {
        Self { architecture: std::env::consts::ARCH.to_owned(), path: path.into() }
    }

    fn has(&self, program: &str) -> bool {
        std::env::split_paths(&self.path).any(|folder| {
            let found = std::fs::metadata(folder.join(program));
            found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
    }
}

pub(super) fn read(table: Table<'_>) -> Result<Requires> {
    table.refuse_unknown(&["device", "system", "packages"])?;
    let system = table.texts("system")?;
    if let Some(name) = system.iter().find(|name| name.is_empty() || name.contains('/')) {
        return Err(table.error("system", format!("'{name}' is no name of a program")));
    }
    let mut packages = BTreeMap::new();
    if let Some(map) = table.table("packages")? {
        let tools = Table::new(map, table.lines, "requires.packages");
        for tool in map.keys() {
            packages.insert(tool.clone(), tools.texts(tool)?);
        }
    }
    Ok(Requires { device: table.flag("device")?, system, packages })
}

/// Refuses a machine that the package cannot run on.
pub(super) fn check(manifest: &Manifest, machine: &Machine) -> Result<()> {
    let architectures = &manifest.architectures;
    if !architectures.is_empty() && !architectures.contains(&machine.architecture) {
        return Err(Error::new(
            ErrorKind::Engine,
            format!(
                "it is for {}, and this machine is {}",
                architectures.join(" and "),
                machine.architecture
            ),
        )
        .hint("get the package that was made for this architecture"));
    }
    let missing: Vec<_> =
        manifest.requires.system.iter().filter(|program| !machine.has(program)).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let names = missing.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let what = if missing.len() == 1 { "a program" } else { "programs" };
    let mut error =
        Error::new(ErrorKind::Engine, format!("it needs {what} that this machine lacks: {names}"));
    // The tool of this machine is the one to name; of a machine with none, all are.
    let tools: Vec<_> = manifest.requires.packages.iter().collect();
    let here: Vec<_> = tools.iter().copied().filter(|(tool, _)| machine.has(tool)).collect();
    for (tool, packages) in if here.is_empty() { tools } else { here } {
        error = error.hint(format!("install it: sudo {tool} install {}", packages.join(" ")));
    }
    if error.hints().is_empty() {
        error = error.hint(format!("install '{first}', so that it is on the search path"));
    }
    Err(error)
}
