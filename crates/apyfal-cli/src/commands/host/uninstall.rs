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
    /// Remove the configuration, token, certificate, packages and results too.
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
    // First: what is no longer whole is no longer marked.
    remove(&machine.marker())?;
    if arguments.root.is_here() && machine.has_systemd() && machine.unit().exists() {
        systemctl(&["disable", "--now", "apyfal.service"]).await?;
    } else if arguments.root.is_here() {
        serving::end(&machine, context).await?;
    }
    remove(&machine.unit())?;
    if arguments.purge {
        // A service of a user of its own has its directory in the second place, with a link to it in
        // the first. Other links are removed, and not what they lead to.
        let data_dirs = [machine.data_dir(), machine.private_data_dir()];
        for path in data_dirs.into_iter().chain([machine.packages(), machine.configuration()]) {
            remove(&path)?;
        }
    }
    if arguments.root.is_here() && machine.has_systemd() {
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
