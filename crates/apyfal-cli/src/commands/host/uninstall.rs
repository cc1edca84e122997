//! `apyfal host uninstall`: make a host an ordinary machine again.

use std::fs;
use std::io::ErrorKind as Io;
use std::path::Path;

use apyfal::package::Store;
use apyfal::{Error, ErrorKind, Result};
use clap::Args;

use super::{Root, serving, systemctl};
use crate::commands::Context;

/// Make this machine no host any more. What it remembers stays, unless told otherwise.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Remove all else too: configuration, token, certificate, packages, results, and the binary.
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    root: Root,
}

pub(crate) async fn run(arguments: &Arguments, context: &Context<'_>) -> Result<()> {
    let machine = arguments.root.machine();
    let mut removed = 0;
    let mut remove = |path: &Path| -> Result<()> {
        let gone = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match gone {
            Ok(()) => {
                removed += 1;
                context.printer.note(&format!("removed {}", path.display()));
                Ok(())
            }
            Err(error) if error.kind() == Io::NotFound => Ok(()),
            Err(error) => {
                let error = Error::from(error).operation(format!("remove '{}'", path.display()));
                Err(match error.kind() {
                    ErrorKind::Security => error.hint("root can: sudo apyfal host uninstall"),
                    _ => error,
                })
            }
        }
    };
    // First: what is no longer whole is no longer marked, and what is no host has no lease.
    remove(&machine.marker())?;
    let has_systemd = arguments.root.is_here() && machine.has_systemd();
    let [script, service, timer] = machine.end();
    if has_systemd && timer.exists() {
        systemctl(&["disable", "--now", "apyfal-end.timer"]).await?;
    }
    if has_systemd && machine.unit().exists() {
        systemctl(&["disable", "--now", "apyfal.service"]).await?;
    } else if arguments.root.is_here() && !has_systemd {
        serving::end(&machine, context).await?;
    }
    for path in [machine.unit(), timer, service, script] {
        remove(&path)?;
    }
    // A link leads to where systemd has it, or else out of the machine.
    let lease = Some(machine.data_dir()).filter(|path| !path.is_symlink());
    let lease = lease.map(|path| path.join("lease"));
    for path in machine.lease().into_iter().chain(lease) {
        remove(&path)?;
    }
    if arguments.purge {
        let [socket, ..] = machine.devices();
        if has_systemd && socket.exists() {
            systemctl(&["disable", "--now", "apyfal-device.socket"]).await?;
        }
        // Links are removed, and not what they lead to.
        for path in machine.rest() {
            remove(&path)?;
        }
    }
    if has_systemd {
        systemctl(&["daemon-reload"]).await?;
    }
    let packages = Store::new(machine.packages());
    if !packages.is_empty()? {
        context.printer.note(&format!(
            "packages stay in {}, and accelerators run here by themselves: --purge removes them",
            packages.root().display()
        ));
    }
    if removed == 0 {
        context.printer.note("nothing to remove: this machine is no host");
    }
    Ok(())
}
