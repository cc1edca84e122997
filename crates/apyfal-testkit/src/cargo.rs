//! Cargo within what cargo runs.

use std::process::Command;

/// Has a command run cargo as a user does: what cargo tells a program or test of its package would be news to some
/// build scripts, which would build a good part of the workspace anew.
pub fn by_a_user(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text == "OUT_DIR"
        {
            command.env_remove(&name);
        }
    }
    command
}
