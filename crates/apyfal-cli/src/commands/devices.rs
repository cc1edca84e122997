//! `apyfal devices`: the FPGA devices of this machine, and who uses them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use apyfal::{Error, Result};
use apyfal_core::unix_time;
use apyfal_devices::{Access, Pool, PoolOptions, SlotState, Tools, detect, helper};
use clap::Args;
use serde_json::{Value, json};

use crate::commands::Context;
use crate::printer::seconds;
use crate::table::table;

/// List the FPGA devices of this machine: their slots, what is loaded, and who uses it.
///
/// What a slot has is asked of its maker's tools, which need privileges: they are run by the device
/// helper where its socket is, else directly as root, else with `sudo -n`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The socket of the device helper [default: /run/apyfal-device.sock, where it exists].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The directory of the locks of slots [default: that which all users of the machine share].
    #[arg(long, value_name = "DIRECTORY")]
    lock_directory: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let access = match arguments.socket {
        Some(path) => Access::Socket(path),
        None => {
            let is_root = rustix::process::geteuid().is_root();
            Access::choose(Path::new(helper::SOCKET), is_root, std::env::current_exe()?)
        }
    };
    let locks = arguments.lock_directory.unwrap_or_else(apyfal::configuration::lock_directory);
    let options = PoolOptions { locks, wait: Duration::ZERO, what: String::new() };
    let pools = detect(&tools(context), &access)
        .into_iter()
        .map(|device| Pool::new(device, options.clone()));
    let mut found = Vec::new();
    for pool in pools {
        let slots = pool.look(&context.cancel);
        if let Err(error) = &slots {
            if error.is_cancelled() {
                return Err(Error::cancelled());
            }
            context.printer.warning(error);
            for hint in error.hints() {
                context.printer.note(&format!("  hint: {hint}"));
            }
        }
        found.push((pool.kind().name(), slots));
    }
    if context.printer.json() {
        let all: Vec<_> = found.iter().map(|(kind, slots)| as_json(kind, slots)).collect();
        return context.printer.result(&format!("{:#}", Value::from(all)));
    }
    if found.is_empty() {
        context.printer.note("There are no tools of FPGA devices on the search path.");
        return Ok(());
    }
    let slots = found.iter().flat_map(|(kind, slots)| {
        slots.iter().flatten().map(|state| row(kind, state)).collect::<Vec<_>>()
    });
    let header = ["DEVICE", "SLOT", "IMAGE", "STATE", "USED BY"];
    context.printer.result(&table(&header, slots.collect()))
}

/// The tools on the search path.
pub(crate) fn tools(context: &Context<'_>) -> Tools {
    Tools::new(context.variable("PATH").unwrap_or_default())
}

fn row(kind: &str, state: &SlotState) -> Vec<String> {
    let (image, what) = match &state.loaded {
        Ok(loaded) => (loaded.image.clone().unwrap_or("-".to_owned()), loaded.state.clone()),
        Err(error) => ("-".to_owned(), error.to_string()),
    };
    let by = match &state.holder {
        Some(holder) if state.in_use => {
            let since = seconds(unix_time().as_secs().saturating_sub(holder.since) as f64);
            format!("{}, process {}, for {since}", holder.what, holder.pid)
        }
        Some(holder) => {
            format!("nobody; {} did not end well, so it will be cleared", holder.what)
        }
        None if state.in_use => "somebody".to_owned(),
        None => "-".to_owned(),
    };
    vec![kind.to_owned(), state.slot.clone(), image, what, by]
}

fn as_json(kind: &str, slots: &Result<Vec<SlotState>>) -> Value {
    let slot = |state: &SlotState| {
        let loaded = state.loaded.as_ref().ok();
        json!({
            "slot": state.slot,
            "image": loaded.and_then(|loaded| loaded.image.as_deref()),
            "state": loaded.map(|loaded| loaded.state.as_str()),
            "ready": loaded.is_some_and(|loaded| loaded.ready),
            "error": state.loaded.as_ref().err().map(ToString::to_string),
            "in_use": state.in_use,
            "to_be_cleared": state.is_left_over(),
            "holder": state.holder,
        })
    };
    match slots {
        Ok(slots) => json!({"device": kind, "slots": slots.iter().map(slot).collect::<Vec<_>>()}),
        Err(error) => json!({"device": kind, "slots": [], "error": error.to_string()}),
    }
}
