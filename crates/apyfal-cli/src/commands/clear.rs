//! `apyfal clear`: forget all names, or all that is remembered.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use apyfal::hosts::{HostRecord, MadeHosts, Usage};
use apyfal::names::Cleared;
use apyfal::user_data::quoted;
use apyfal::{Configuration, Error, ErrorKind, Result};
use apyfal_machine::lock::{Lock, Mode};
use clap::Args;

use crate::commands::Context;

/// Forget all names, and stop nothing.
///
/// Those whose hosts were made and live are kept: by them the hosts are ended.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Remove all that is below ~/.apyfal: hosts and their tokens, packages, what this user's own host
    /// remembers. Refused while something there is open or in use. What stays is by what 'list' and 'stop
    /// --all' find machines that this user's hosts were made of.
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context<'_>) -> Result<()> {
    if arguments.all {
        return clear_all(context);
    }
    let Cleared { forgotten: count, in_use } = context.names.clear(&kept(context)?)?;
    for name in in_use {
        context.printer.warning(format!("the accelerator '{name}' is in use, and is kept"));
    }
    context
        .printer
        .note(&format!("forgot {count} accelerator{}", if count == 1 { "" } else { "s" }));
    Ok(())
}

/// The names that have hosts which live: they are how those are ended. Says which hosts live on.
fn kept(context: &Context<'_>) -> Result<Vec<String>> {
    let hosts = MadeHosts::of(&Configuration::default(), &context.surroundings);
    let hosts = hosts.map(|hosts| hosts.remembered()).transpose()?.unwrap_or_default();
    let mut kept = Vec::new();
    for HostRecord { usage, name: host, .. } in hosts {
        context.printer.warning(match usage {
            Usage::Named(name) => {
                let stop = format!("apyfal stop --name {} --stop_mode term", quoted(&name));
                kept.push(name);
                format!("the host {host} lives on, and its name is kept: {stop}")
            }
            Usage::Unnamed(_) => format!("the host {host} lives on: apyfal stop --all"),
        });
    }
    Ok(kept)
}

fn clear_all(context: &Context<'_>) -> Result<()> {
    let home = context.surroundings.environment.home.as_ref();
    let home = home.ok_or_else(|| refused("there is no home directory".to_owned()))?;
    let folder = home.join(".apyfal");
    if let Some((name, _)) = context.names.list()?.into_iter().next() {
        return Err(refused(format!("the accelerator '{name}' is open"))
            .hint(format!("stop it: apyfal stop --name {}", quoted(&name)))
            .hint("or forget all names, and stop nothing: apyfal clear"));
    }
    let removing = |error: io::Error| {
        Error::from(error).operation(format!("remove what is in '{}'", folder.display()))
    };
    if let Some(hosts) = MadeHosts::of(&Configuration::default(), &context.surroundings)
        && let Some(host) = hosts.remembered()?.first()
    {
        return Err(
            refused(format!("the host {} lives", host.name)).hint("end it: apyfal stop --all")
        );
    }
    if let Some(path) = in_use(&folder).map_err(removing)? {
        return Err(refused(format!("'{}' is in use", path.display()))
            .hint("end the command or host that uses it"));
    }
    let sessions = folder.join("host/sessions");
    if entries(&sessions).map_err(removing)?.next().is_some() {
        return Err(refused("this user's own host has open sessions".to_owned())
            .hint("start it and have its clients stop them: apyfal serve")
            .hint(format!("or remove '{}'", sessions.display())));
    }
    let mut count = 0;
    let (installation, mut doomed) = (folder.join(INSTALLATION), Vec::new());
    for path in entries(&folder).map_err(removing)? {
        match installation.starts_with(&path) && installation.exists() {
            true => doomed
                .extend(entries(&path).map_err(removing)?.filter(|within| *within != installation)),
            false => doomed.push(path),
        }
    }
    for path in doomed {
        let removed = match path.is_symlink() || !path.is_dir() {
            true => fs::remove_file(&path),
            false => fs::remove_dir_all(&path),
        };
        removed.map_err(removing)?;
        count += 1;
    }
    if count == 0 {
        context.printer.note("nothing is remembered");
    } else {
        context.printer.note(&format!("removed all that was in {}", folder.display()));
    }
    // Where it is a link, or somebody uses it again by now, it stays.
    let _ = fs::remove_dir(&folder);
    Ok(())
}

/// What machines are tagged with, below the directory.
const INSTALLATION: &str = "hosts/installation";

fn refused(why: String) -> Error {
    Error::new(ErrorKind::Conflict, why).operation("remove all that is remembered")
}

/// What a directory has, as paths. Nothing where there is none.
fn entries(folder: &Path) -> io::Result<impl Iterator<Item = PathBuf> + use<>> {
    let found = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        found => Some(found?),
    };
    Ok(found.into_iter().flatten().flatten().map(|entry| entry.path()))
}

/// A file below a directory that another process holds locked, as all do that work there.
fn in_use(folder: &Path) -> io::Result<Option<PathBuf>> {
    for path in entries(folder)? {
        let kind = fs::symlink_metadata(&path).map(|found| found.file_type());
        match kind {
            Ok(kind) if kind.is_dir() => {
                if let Some(path) = in_use(&path)? {
                    return Ok(Some(path));
                }
            }
            Ok(kind) if kind.is_file() => {
                let lock =
                    fs::File::open(&path).and_then(|file| Lock::try_on(file, Mode::Exclusive));
                if matches!(lock, Ok(None)) {
                    return Ok(Some(path));
                }
            }
            _ => {}
        }
    }
    Ok(None)
}
