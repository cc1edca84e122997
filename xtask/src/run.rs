//! Running other programs.

use std::process::{Command, Stdio};

pub(crate) type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

// Not by its crate, which takes long to build.
#[allow(unreachable_pub, reason = "it is the tests' as well")]
#[path = "../../crates/apyfal-testkit/src/cargo.rs"]
mod cargo;

/// Cargo, as it is when a user calls it.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("cargo");
    cargo::by_a_user(&mut command);
    command
}

/// Runs a command to its end, its output shown.
pub(crate) fn shown(command: &mut Command) -> Result {
    println!("+ {}", line(command));
    let status = command.status().map_err(|error| format!("{}: {error}", line(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", line(command)).into())
    }
}

/// Runs a command to its end and returns its standard output; its errors are shown.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{}: {error}", line(command)))?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", line(command), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command to its end; its output is shown only where it fails.
pub(crate) fn quiet(command: &mut Command) -> Result {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", line(command)))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{} ended with {}\n{}{}",
        line(command),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
