//! The agent that a new machine gets: the program that makes it a host.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use apyfal_catalog::Artifact;
use apyfal_core::{Cancel, Error, ErrorKind, Result};
use apyfal_package::Digest;
use apyfal_providers::AgentNeeds;

use super::fetched::Fetched;

/// Before the number of a version of the C library, in a program that needs it.
const VERSION: &[u8] = b"GLIBC_2.";
/// What a program begins with, where it says what it is for, and what that number means. Source: elf(5),
/// `e_machine`.
const MAGIC: &[u8] = b"\x7fELF";
const MACHINE: usize = 18;
const MACHINES: [(u16, &str); 3] = [(3, "x86"), (62, "x86_64"), (183, "aarch64")];

/// An agent, and what it needs of its machine.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) fetched: Fetched,
    pub(super) needs: AgentNeeds,
}

impl Agent {
    /// The one that is named, else that of the catalog, else the one that was built for any machine of the
    /// architecture and lies beside the program, else the program itself where it is for that.
    ///
    /// # Errors
    /// None is known, or it cannot be read.
    pub(super) fn find(
        named: Option<&Artifact>,
        of_catalog: Option<&Artifact>,
        program: Option<&Path>,
        architecture: &str,
        cancel: &Cancel,
    ) -> Result<Self> {
        if let Some(named) = named {
            let fetched = Fetched::of(named)?;
            let needs = match fetched.here() {
                Some(file) => needs(&file.path)?,
                None => AgentNeeds::default(),
            };
            return Ok(Self { fetched, needs });
        }
        if let Some(known) = of_catalog {
            let needs = AgentNeeds { architecture: Some(architecture.to_owned()), glibc: None };
            return Ok(Self { fetched: Fetched::of(known)?, needs });
        }
        let program = program.and_then(|program| std::fs::canonicalize(program).ok());
        let unknown = |why: String| {
            Error::new(ErrorKind::Configuration, why)
                .operation(format!("find the agent for a new machine of {architecture}"))
        };
        let program = program.ok_or_else(|| {
            unknown("no binary 'apyfal' is known".to_owned())
                .hint("a program passes in Surroundings::of_process()")
                .hint("or name one: agent and agent_sha256 in section [host]")
        })?;
        let path = built_for_any(&program, architecture).unwrap_or(program);
        let needs = needs(&path)?;
        if let Some(own) = needs.architecture.as_deref().filter(|own| *own != architecture) {
            return Err(unknown(format!(
                "nobody names one, and '{}' is for {own}",
                path.display()
            ))
            .hint(format!("build one on a machine of {architecture}: cargo xtask dist"))
            .hint("then name it: agent and agent_sha256 in section [host]")
            .hint(format!("or in a catalog, for all: [agent.{architecture}]"))
            .hint(format!("or name an instance_type and an image_id for {own}")));
        }
        let fetched = Fetched::file(path.clone(), cancel).map_err(|error| reading(error, &path))?;
        Ok(Self { fetched, needs })
    }
}

fn reading(error: Error, path: &Path) -> Error {
    error.operation(format!("read '{}'", path.display()))
}

/// The static program of this version that lies beside one, as `cargo xtask dist` names it.
fn built_for_any(program: &Path, architecture: &str) -> Option<PathBuf> {
    let name = concat!("apyfal-", env!("CARGO_PKG_VERSION"));
    let name = format!("{name}-{architecture}");
    let folder = program.parent()?;
    let folders = [Some(folder.to_owned()), folder.parent().map(|target| target.join("dist"))];
    folders.into_iter().flatten().map(|folder| folder.join(&name)).find(|path| path.is_file())
}

/// What a program needs of its machine, as far as its file tells.
fn needs(path: &Path) -> Result<AgentNeeds> {
    let read = || Ok(AgentNeeds { architecture: architecture(path)?, glibc: glibc(path)? });
    read().map_err(|error| reading(error, path))
}

/// For which architecture a program is, where it is one of those of Linux.
fn architecture(path: &Path) -> Result<Option<String>> {
    let mut begin = Vec::new();
    File::open(path)?.take(MACHINE as u64 + 2).read_to_end(&mut begin)?;
    let machine = match begin.get(MACHINE..) {
        Some(&[low, high]) if begin.starts_with(MAGIC) => u16::from_le_bytes([low, high]),
        _ => return Ok(None),
    };
    let known = MACHINES.iter().find(|(number, _)| *number == machine);
    Ok(Some(known.map_or_else(|| format!("machine {machine}"), |(_, name)| (*name).to_owned())))
}

/// The version of the GNU C library that a program needs: the newest of those whose symbols it names.
fn glibc(path: &Path) -> Result<Option<(u32, u32)>> {
    let mut program = BufReader::with_capacity(1 << 20, File::open(path)?);
    let (mut newest, mut kept) = (None, Vec::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = program.read(&mut buffer)?;
        kept.extend_from_slice(&buffer[..count]);
        newest = newest.max(newest_in(&kept));
        if count == 0 {
            return Ok(newest.map(|minor| (2, minor)));
        }
        // What is cut in two here is whole in the next part.
        kept.drain(..kept.len().saturating_sub(VERSION.len() + 8));
    }
}

fn newest_in(bytes: &[u8]) -> Option<u32> {
    let starts = bytes.windows(VERSION.len()).enumerate().filter(|(_, part)| *part == VERSION);
    let minor = |(at, _): (usize, _)| {
        let digits = bytes[at + VERSION.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.map(|digit| char::from(*digit)).collect::<String>().parse().ok()
    };
    starts.filter_map(minor).max()
}

/// What something is known by, in hexadecimal digits.
pub(super) fn sha256(path: &Path, cancel: &Cancel) -> Result<String> {
    Ok(Digest::of(File::open(path)?, cancel)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_names_the_c_library_that_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let needs = |bytes: &[u8]| {
            let path = folder.path().join("program");
            std::fs::write(&path, bytes).unwrap();
            glibc(&path).unwrap()
        };
        assert_eq!(needs(b"GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.4\0"), Some((2, 34)));
        assert_eq!(needs(b"\x7fELF static GLIBC_PRIVATE"), None);
        // On the border between two parts.
        let mut long = vec![b'x'; (1 << 20) - 6];
        long.extend_from_slice(b"GLIBC_2.39\0");
        assert_eq!(needs(&long), Some((2, 39)));
    }

    #[test]
    fn what_was_built_for_any_machine_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, name).unwrap();
            path
        };
        let program = write("release/apyfal");
        let (own, never) = (std::env::consts::ARCH, Cancel::default());
        let find = || Agent::find(None, None, Some(&program), own, &never).unwrap();
        let path = |agent: Agent| agent.fetched.here().unwrap().path.clone();
        let canonical = |path: PathBuf| std::fs::canonicalize(path).unwrap();
        assert_eq!(path(find()), canonical(program.clone()));
        let name = format!("dist/apyfal-{}-{own}", env!("CARGO_PKG_VERSION"));
        let any = write(&name);
        assert_eq!(path(find()), canonical(any));
        let named = Artifact { url: "https://x.example/a".into(), sha256: "0".repeat(64) };
        let found = Agent::find(Some(&named), None, Some(&program), own, &never).unwrap();
        assert_eq!(found.fetched.url(), "https://x.example/a");
        assert!(Agent::find(None, None, None, own, &never).is_err());
    }

    #[test]
    fn it_is_for_the_architecture_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, machine: u8| {
            let mut program = [MAGIC, &[0; 16]].concat();
            program[MACHINE] = machine;
            let path = folder.path().join(name);
            std::fs::write(&path, program).unwrap();
            std::fs::canonicalize(path).unwrap()
        };
        let (program, never) = (write("apyfal", 62), Cancel::default());
        let find = |named, known, wanted| Agent::find(named, known, Some(&program), wanted, &never);
        let path = |agent: Agent| agent.fetched.here().unwrap().path.clone();
        assert_eq!(path(find(None, None, "x86_64").unwrap()), program);
        let error = find(None, None, "aarch64").unwrap_err();
        let why = format!("nobody names one, and '{}' is for x86_64", program.display());
        assert_eq!(error.message(), why);
        assert!(error.hints().iter().any(|hint| hint.contains("[agent.aarch64]")), "{error:?}");
        let known = Artifact { url: "https://x.example/a".into(), sha256: "0".repeat(64) };
        let of_catalog = find(None, Some(&known), "aarch64").unwrap();
        assert_eq!(of_catalog.needs.architecture.as_deref(), Some("aarch64"));
        let named = Artifact { url: program.display().to_string(), sha256: known.sha256.clone() };
        let named = find(Some(&named), None, "aarch64").unwrap();
        assert_eq!(named.needs.architecture.as_deref(), Some("x86_64"), "which is told");
        let any = write(concat!("apyfal-", env!("CARGO_PKG_VERSION"), "-aarch64"), 183);
        assert_eq!(path(find(None, None, "aarch64").unwrap()), any);
    }
}
