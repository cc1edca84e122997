//! What a package needs of the machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;

use apyfal_core::{Error, ErrorKind, Result};

use super::table::Table;
use super::{Device, Image, Manifest};

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
pub struct MachineFacts {
    /// Its architecture, as Linux calls it: `x86_64`.
    pub architecture: String,
    /// The search path for programs.
    pub path: OsString,
    /// The devices that it has.
    pub devices: Vec<Device>,
}

impl MachineFacts {
    /// This one. The search path is that of the process's environment, which only the caller reads,
    /// and only the caller knows devices.
    pub fn here(path: impl Into<OsString>, devices: Vec<Device>) -> Self {
        Self { architecture: std::env::consts::ARCH.to_owned(), path: path.into(), devices }
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

/// The program of a package that is looked for on the search path, where that is so and the path is the
/// machine's.
fn own(manifest: &Manifest) -> Option<&str> {
    let section = &manifest.section;
    if section.get("env").is_some_and(|variables| variables.get("PATH").is_some()) {
        return None;
    }
    if manifest.is_sudo() {
        // It looks for the program itself, on a path of its own.
        return Some("sudo");
    }
    let list = section.get("command").or_else(|| section.get("worker"));
    let word = list.and_then(|words| words.get(0)).or_else(|| section.get("executable"));
    word?.as_str().filter(|word| !word.contains(['/', '{']))
}

/// Refuses a machine that the package cannot run on.
pub(super) fn check(manifest: &Manifest, machine: &MachineFacts) -> Result<()> {
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
    let is_here = |image: &Image| machine.devices.contains(&image.device);
    if manifest.requires.device && !manifest.images.iter().any(is_here) {
        return Err(manifest.lacks_device());
    }
    let named = manifest.requires.system.iter().map(String::as_str);
    let mut missing: Vec<_> = named.filter(|program| !machine.has(program)).collect();
    let own = own(manifest).filter(|own| !missing.contains(own) && !machine.has(own));
    missing.extend(own);
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
