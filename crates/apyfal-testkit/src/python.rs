//! The Python that has moto.

use std::fs::File;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::missing;

/// The release of moto that the tests are written against.
const RELEASE: &str = "5.2.5";
pub(crate) const ADVICE: &str = "install python3 and python3-venv";

/// An interpreter that has moto, and boto3 with it. Where that on the search path has none, as that
/// of `cargo xtask test` has, it is installed first, which takes a minute.
///
/// # Errors
/// Python or the package cannot be had.
pub fn python() -> Result<PathBuf> {
    let ask = "from importlib.metadata import version; print(version('moto'))";
    let found = Command::new("python3").args(["-c", ask]).stderr(Stdio::null()).output();
    if found.is_ok_and(|found| String::from_utf8_lossy(&found.stdout).trim() == RELEASE) {
        return Ok("python3".into());
    }
    let package = format!("moto[server,s3]=={RELEASE}");
    let root = match std::env::var_os("APYFAL_TESTKIT_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/testkit"),
    };
    std::fs::create_dir_all(&root)?;
    // Tests start at the same time; the first one installs, the others wait for it.
    let lock = File::create(root.join("moto.lock"))?;
    lock.lock()?;
    let environment = root.join("moto");
    let python = environment.join("bin/python");
    let installed = environment.join("installed");
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == package) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", &package]))?;
    std::fs::write(&installed, package)?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(|error| missing("python3", ADVICE, error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(missing("python3", ADVICE, format!("{command:?}: {said}")));
    }
    Ok(())
}
