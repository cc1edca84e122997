//! The host of a machine: it serves from the first start on, until the machine is no host any more.

use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use apyfal::{Error, ErrorKind, Machine, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::systemctl;
use crate::commands::Context;
use crate::here;

/// How often is looked whether it answers, 20 times a second.
const TRIES: usize = 600;
/// How often, once the host that this process began has ended.
const TRIES_OF_ANOTHER: usize = 60;

/// Has this host serve, if this machine is one and does not: the service where systemd runs the
/// machine, else a process of its own.
///
/// # Errors
/// It cannot be started.
pub(crate) async fn ensure(context: &Context<'_>) -> Result<()> {
    let machine = Machine::default();
    let is_root = rustix::process::geteuid().is_root();
    // The directory of the service is for root's eyes.
    if !machine.is_marked() || !is_root && !machine.has_systemd() {
        return Ok(());
    }
    if machine.has_systemd() {
        if systemctl(&["is-active", "--quiet", "apyfal.service"]).await.is_ok() {
            return Ok(());
        }
        if is_root {
            systemctl(&["start", "apyfal.service"]).await?;
        } else {
            context.printer.note("to have this host serve: sudo systemctl start apyfal");
            return Ok(());
        }
    } else {
        if here::find(&machine.data_dir()).is_ok_and(|host| answers(&host.url)) {
            return Ok(());
        }
        let mut host = begin(&machine)?;
        let mut tries = 0..TRIES;
        while !here::find(&machine.data_dir()).is_ok_and(|host| answers(&host.url)) {
            // It ends where another one was begun at the same time, which may still come up.
            if host.try_wait()?.is_some() && tries.len() > TRIES_OF_ANOTHER {
                tries = 0..TRIES_OF_ANOTHER;
            }
            if tries.next().is_none() {
                let log = machine.data_dir().join("log");
                return Err(Error::new(ErrorKind::Unavailable, "it does not answer")
                    .operation("start this host")
                    .hint(format!("'{}' says why", log.display())));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    context.printer.note("this host serves");
    Ok(())
}

/// Ends the host of a machine without systemd: as SIGTERM does, once its jobs have ended.
///
/// # Errors
/// It may not be ended, or waiting for it was cancelled.
pub(crate) async fn end(machine: &Machine, context: &Context<'_>) -> Result<()> {
    // Another process may have got the number of one that was killed.
    let is_it = |pid: Pid| {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == machine.binary())
    };
    let Some(pid) = here::process(&machine.data_dir()).filter(|pid| is_it(*pid)) else {
        return Ok(());
    };
    kill_process(pid, Signal::TERM)
        .map_err(|error| Error::from(std::io::Error::from(error)).operation("end this host"))?;
    context.printer.note("this host ends once its jobs have");
    while is_it(pid) {
        context.cancel.check()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Whether something listens at an address.
pub(super) fn answers(url: &str) -> bool {
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    std::net::TcpStream::connect(address).is_ok()
}

/// Starts the host as a process that outlives this one.
fn begin(machine: &Machine) -> Result<Child> {
    let starting = |error: std::io::Error| Error::from(error).operation("start this host");
    let log = machine.data_dir().join("log");
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(starting)?;
    let mut command = std::process::Command::new(machine.binary());
    command
        .arg("serve")
        .arg("--config")
        .arg(machine.configuration())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Ctrl-C in this terminal is not for it.
        .process_group(0);
    command.spawn().map_err(|error| {
        apyfal_machine::not_started(&machine.binary(), error).operation("start this host")
    })
}
