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

/// An agent, and what it needs of its machine.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) fetched: Fetched,
    pub(super) needs: AgentNeeds,
}

impl Agent {
    /// The one that is named, else that of the catalog, else the one that was built for any machine and
    /// lies beside the program, else the program itself.
    ///
    /// # Errors
    /// None is known, or it cannot be read.
    pub(super) fn find(
        named: Option<&Artifact>,
        of_catalog: Option<&Artifact>,
        program: Option<&Path>,
        cancel: &Cancel,
    ) -> Result<Self> {
        let architecture = Some(std::env::consts::ARCH.to_owned());
        if let Some(named) = named {
            return Ok(Self { fetched: Fetched::of(named)?, needs: AgentNeeds::default() });
        }
        if let Some(known) = of_catalog {
            let needs = AgentNeeds { architecture, glibc: None };
            return Ok(Self { fetched: Fetched::of(known)?, needs });
        }
        let program = program.and_then(|program| std::fs::canonicalize(program).ok());
        let path = program.map(|program| built_for_any(&program).unwrap_or(program));
        let path = path.ok_or_else(|| {
            Error::new(ErrorKind::Configuration, "no binary 'apyfal' is known")
                .operation("find the agent for a new machine")
                .hint("a program passes in Surroundings::of_process()")
                .hint("or name one: agent and agent_sha256 in section [host]")
        })?;
        let reading = |error: Error| error.operation(format!("read '{}'", path.display()));
        let glibc = glibc(&path).map_err(reading)?;
        let fetched = Fetched::file(path.clone(), cancel).map_err(reading)?;
        Ok(Self { fetched, needs: AgentNeeds { architecture, glibc } })
    }
}

/// The static program of this version that lies beside one, as `cargo xtask dist` names it.
fn built_for_any(program: &Path) -> Option<PathBuf> {
    let name = concat!("apyfal-", env!("CARGO_PKG_VERSION"));
    let name = format!("{name}-{}", std::env::consts::ARCH);
    let folder = program.parent()?;
    let folders = [Some(folder.to_owned()), folder.parent().map(|target| target.join("dist"))];
    folders.into_iter().flatten().map(|folder| folder.join(&name)).find(|path| path.is_file())
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
        let find = || Agent::find(None, None, Some(&program), &Cancel::default()).unwrap();
        let path = |agent: Agent| agent.fetched.here().unwrap().path.clone();
        let canonical = |path: PathBuf| std::fs::canonicalize(path).unwrap();
        assert_eq!(path(find()), canonical(program.clone()));
        let name = format!("dist/apyfal-{}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
        let any = write(&name);
        assert_eq!(path(find()), canonical(any));
        let named = Artifact { url: "https://x.example/a".into(), sha256: "0".repeat(64) };
        let found = Agent::find(Some(&named), None, Some(&program), &Cancel::default()).unwrap();
        assert_eq!(found.fetched.url(), "https://x.example/a");
        assert!(Agent::find(None, None, None, &Cancel::default()).is_err());
    }
}
