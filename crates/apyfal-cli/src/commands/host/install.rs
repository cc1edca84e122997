//! `apyfal host install`: make a machine a host.

use std::fs;
use std::path::{Path, PathBuf};

use apyfal::{Configuration, Error, ErrorKind, Machine, Result};
use apyfal_server::{FirstContact, Lease, LeaseLimits};
use apyfal_tls::{Identity, token};
use clap::Args;

use super::changes::{Changes, failed};
use super::{Root, for_all_users, systemctl};
use crate::commands::Context;
use crate::commands::serve::settings::lease_limits;
use crate::listen::address;
use crate::quantity::duration_option;

const UNIT: &str = include_str!("../../../../../deploy/apyfal.service");
/// In the order of [`Machine::end`], with their permissions.
const END: [(&str, u32); 3] = [
    (include_str!("../../../../../deploy/apyfal-end.sh"), 0o755),
    (include_str!("../../../../../deploy/apyfal-end.service"), 0o644),
    (include_str!("../../../../../deploy/apyfal-end.timer"), 0o644),
];
/// In the order of [`Machine::devices`].
const DEVICES: [&str; 3] = [
    include_str!("../../../../../deploy/apyfal-device.socket"),
    include_str!("../../../../../deploy/apyfal-device@.service"),
    include_str!("../../../../../deploy/apyfal-device.conf"),
];
/// Whose members may load images into FPGA devices.
const DEVICE_GROUP: &str = "apyfal-device";
const EVERYWHERE: &str = "0.0.0.0:8000";
const MARKER: &str = "\
# This machine is a host of Apyfal: jobs run here by themselves. 'apyfal host install' wrote this
# file, and 'apyfal host uninstall' removes it.
";

/// Make this machine a host: directories, configuration, token, certificate and service.
///
/// Run again, it changes only what is not as it should be. A configuration that is there stays.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Where to listen: address:port, or just the address or port; everywhere on port 8000 if unset.
    /// May be given several times.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// The accelerator of clients that name none.
    #[arg(long, short, value_name = "NAME")]
    accelerator: Option<String>,
    /// End the machine after so long without jobs and clients: 30m.
    #[arg(long = "idle_timeout", alias = "idle-timeout", value_name = "TIME", value_parser = time)]
    idle_timeout: Option<String>,
    /// End the machine after so long: 12h.
    #[arg(long = "max_lifetime", alias = "max-lifetime", value_name = "TIME", value_parser = time)]
    max_lifetime: Option<String>,
    /// The host's configuration, instead of one made of these options.
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["listen", "accelerator", "idle_timeout", "max_lifetime"])]
    config: Option<PathBuf>,
    /// Let the host load images into FPGA devices, by a helper that has the right to.
    #[arg(long)]
    devices: bool,
    /// Do not start the service.
    #[arg(long = "no_start", alias = "no-start")]
    no_start: bool,
    #[command(flatten)]
    root: Root,
}

/// A duration, as it is written down.
fn time(text: &str) -> Result<String, String> {
    duration_option(text).map(|_| text.to_owned())
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let machine = arguments.root.machine();
    let changes = set_up(&arguments, &machine, context);
    let mut changes = changes.map_err(|error| match error.kind() {
        ErrorKind::Security if arguments.root.is_here() => {
            error.hint("a machine is made a host by root: sudo apyfal host install")
        }
        _ => error,
    })?;
    let is_served = arguments.root.is_here() && machine.has_systemd();
    if is_served && !arguments.no_start {
        // An earlier run may have left this to this one.
        systemctl(&["daemon-reload"]).await?;
        systemctl(&["enable", "--now", "apyfal-end.timer"]).await?;
        if arguments.devices {
            make_group().await?;
            systemctl(&["enable", "--now", "apyfal-device.socket"]).await?;
        }
        systemctl(&["enable", "apyfal.service"]).await?;
        if changes.count > 0 {
            systemctl(&["restart", "apyfal.service"]).await?;
            changes.made("started the service");
        } else {
            systemctl(&["start", "apyfal.service"]).await?;
        }
    }
    if changes.count == 0 {
        context.printer.note("nothing to change: this machine is a host");
    }
    let configuration = shown(arguments.root.root.as_path(), &machine.configuration());
    let has_lease = arguments.idle_timeout.is_some() || arguments.max_lifetime.is_some();
    if has_lease && arguments.root.is_here() && !is_served {
        context.printer.warning(
            "without systemd nothing ends this machine when its lease runs out: set \
             shutdown_command in section [serve]",
        );
    }
    if !is_served {
        context.printer.note(&format!("to serve: apyfal serve --config {configuration}"));
    }
    if !FirstContact::is_awaited(&machine.data_dir()) {
        context
            .printer
            .note(&format!("to pair a client: apyfal serve --pair --config {configuration}"));
    }
    Ok(())
}

fn set_up<'a>(
    arguments: &Arguments,
    machine: &Machine,
    context: &'a Context<'a>,
) -> Result<Changes<'a>> {
    let root = &arguments.root.root;
    if !root.is_dir() {
        return Err(Error::new(ErrorKind::NotFound, "there is no such directory")
            .operation(format!("prepare the machine in '{}'", root.display()))
            .hint("--root names the root directory of a machine that is not running"));
    }
    for_all_users();
    let listen = arguments.listen.iter().map(|text| address(text)).collect::<Result<Vec<_>>>()?;
    let configuration = machine.configuration();
    let directory = configuration.parent().unwrap_or(Path::new("/"));
    let mut changes = Changes::begin(directory, context)?;
    let [script, ..] = machine.end();
    for path in [machine.marker(), machine.unit(), machine.binary(), script] {
        changes.directory(path.parent().unwrap_or(Path::new("/")), 0o755)?;
    }
    changes.directory(&machine.packages(), 0o755)?;
    let data_dir = machine.data_dir();
    changes.directory(data_dir.parent().unwrap_or(Path::new("/")), 0o755)?;
    changes.directory(&data_dir, 0o700)?;
    // Once the service has run it is a link to where only root comes.
    let data_dir =
        fs::canonicalize(&data_dir).map_err(|error| failed(error, "look at", &data_dir))?;
    changes.mode(&data_dir, 0o700)?;
    changes.binary(&machine.binary())?;
    let limits = configure(arguments, &listen, &configuration, &mut changes)?;
    proofs(&data_dir, &mut changes)?;
    changes.file(&machine.unit(), UNIT.as_bytes(), 0o644)?;
    for (path, (text, mode)) in machine.end().iter().zip(END) {
        changes.file(path, text.as_bytes(), mode)?;
    }
    if arguments.devices {
        for (path, text) in machine.devices().iter().zip(DEVICES) {
            changes.directory(path.parent().unwrap_or(Path::new("/")), 0o755)?;
            changes.file(path, text.as_bytes(), 0o644)?;
        }
    }
    // From here on the machine ends with its lease, whether the host ever serves or not.
    Lease::arm(&data_dir, limits)?;
    if limits != LeaseLimits::default() {
        changes.owner_of(&data_dir, &data_dir.join("lease"))?;
    }
    // Last: what is marked is whole.
    changes.file(&machine.marker(), MARKER.as_bytes(), 0o644)?;
    Ok(changes)
}

/// Makes the group of those who may load images.
async fn make_group() -> Result<()> {
    // One that is there is fine.
    let making = tokio::process::Command::new("groupadd")
        .args(["--force", "--system", DEVICE_GROUP])
        .status()
        .await;
    let failed = |why: String| {
        Error::new(ErrorKind::Engine, why)
            .operation(format!("make the group '{DEVICE_GROUP}'"))
            .hint(format!("make it by hand: groupadd --system {DEVICE_GROUP}"))
    };
    match making {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("groupadd ended with {status}"))),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Makes what the host proves itself by and asks clients for, unless it gets that with its first
/// contact.
fn proofs(data_dir: &Path, changes: &mut Changes<'_>) -> Result<()> {
    if FirstContact::is_awaited(data_dir) {
        for name in FirstContact::FILES {
            changes.mode(&data_dir.join(name), if name.contains('/') { 0o600 } else { 0o700 })?;
            changes.owner_of(data_dir, &data_dir.join(name))?;
        }
        return Ok(());
    }
    let is_new = !data_dir.join("token").exists() || !data_dir.join("host.crt").exists();
    token::load_or_generate(&data_dir.join("token"))?;
    Identity::load_or_generate(&data_dir.join("host.crt"), &data_dir.join("host.key"))?;
    if is_new {
        changes.made("made a token and a certificate");
    }
    for (name, mode) in [("token", 0o600), ("host.key", 0o600), ("host.crt", 0o644)] {
        changes.mode(&data_dir.join(name), mode)?;
        changes.owner_of(data_dir, &data_dir.join(name))?;
    }
    Ok(())
}

/// Writes the configuration, unless it is there. Returns the limits of the lease that it has.
fn configure(
    arguments: &Arguments,
    listen: &[std::net::SocketAddr],
    path: &Path,
    changes: &mut Changes<'_>,
) -> Result<LeaseLimits> {
    let parsed = |path: &Path| -> Result<_> {
        let text = fs::read(path).map_err(|error| failed(error, "read", path))?;
        let configuration = Configuration::parse(&text, &path.display().to_string())?;
        let limits = lease_limits(&configuration)?;
        Ok((text, configuration, limits))
    };
    if let Some(given) = &arguments.config {
        let (text, _, limits) = parsed(given)?;
        changes.file(path, &text, 0o600)?;
        return Ok(limits);
    }
    let wanted = configured(arguments, listen);
    if !path.exists() {
        changes.file(path, wanted.write()?.as_bytes(), 0o600)?;
        return lease_limits(&wanted);
    }
    changes.mode(path, 0o600)?;
    let (_, found, limits) = parsed(path)?;
    // Nobody who runs it without options means them.
    let given = !arguments.listen.is_empty()
        || arguments.accelerator.is_some()
        || arguments.idle_timeout.is_some()
        || arguments.max_lifetime.is_some();
    if given && wanted.write()? != found.write()? {
        changes.context.printer.note(&format!(
            "{} is there and stays as it is: change it by hand, or give another with --config",
            path.display()
        ));
    }
    Ok(limits)
}

fn configured(arguments: &Arguments, listen: &[std::net::SocketAddr]) -> Configuration {
    let mut configuration = Configuration::default();
    let listen: Vec<_> = listen.iter().map(ToString::to_string).collect();
    let listen = if listen.is_empty() { EVERYWHERE.to_owned() } else { listen.join("\n") };
    configuration.set("serve", "listen", Some(&listen));
    configuration.set("serve", "data_dir", Some("/var/lib/apyfal"));
    let Arguments { accelerator, idle_timeout, max_lifetime, .. } = arguments;
    for (key, value) in [
        ("accelerator", accelerator),
        ("idle_timeout", idle_timeout),
        ("max_lifetime", max_lifetime),
    ] {
        if let Some(value) = value {
            configuration.set("serve", key, Some(value));
        }
    }
    configuration
}

/// A path as it is called on the machine itself.
fn shown(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    Path::new("/").join(below).display().to_string()
}
