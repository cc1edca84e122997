//! Running other programs.

use std::process::{Command, Stdio};

pub(crate) type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Cargo, as it is when a user calls it: what it tells this program of its package would be news to some build
/// scripts, and build a good part of the workspace anew.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let told = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name == "OUT_DIR"
        });
        if told {
            cargo.env_remove(name);
        }
    }
    cargo
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
