//! `apyfal host install`: make a machine a host.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use apyfal::{Configuration, Error, ErrorKind, Machine, Result};
use apyfal_tls::{Identity, token};
use clap::Args;

use super::{Root, for_all_users, systemctl};
use crate::commands::Context;
use crate::listen::address;
use crate::quantity::duration;

const UNIT: &str = include_str!("../../../../../deploy/apyfal.service");
const MARKER: &str = "\
# This machine is a host of Apyfal: jobs run here by themselves. 'apyfal host install' wrote this
# file, and 'apyfal host uninstall' removes it.
";

/// Make this machine a host: directories, configuration, token, certificate and service.
///
/// Run again, it changes only what is not as it should be. A configuration that is there stays.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Where to listen: address:port, or just the address or port. May be given several times.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8000")]
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
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["accelerator", "idle_timeout", "max_lifetime"])]
    config: Option<PathBuf>,
    /// Do not start the service.
    #[arg(long = "no_start", alias = "no-start")]
    no_start: bool,
    #[command(flatten)]
    root: Root,
}

fn time(text: &str) -> Result<String, String> {
    match duration(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("it is no duration such as 30m or 12h".to_owned()),
    }
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let machine = arguments.root.machine();
    let mut changes = Changes { context, count: 0 };
    let installed = set_up(&arguments, &machine, &mut changes);
    installed.map_err(|error| match error.kind() {
        ErrorKind::Security if arguments.root.is_here() => {
            error.hint("a machine is made a host by root: sudo apyfal host install")
        }
        _ => error,
    })?;
    let is_served = arguments.root.is_here() && machine.has_systemd();
    if is_served && !arguments.no_start {
        if changes.count > 0 {
            systemctl(&["daemon-reload"]).await?;
            systemctl(&["enable", "apyfal.service"]).await?;
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
    if !is_served {
        context.printer.note(&format!("to serve: apyfal serve --config {configuration}"));
    }
    context
        .printer
        .note(&format!("to pair a client: apyfal serve --pair --config {configuration}"));
    Ok(())
}

fn set_up(arguments: &Arguments, machine: &Machine, changes: &mut Changes<'_>) -> Result<()> {
    for_all_users();
    let listen = arguments.listen.iter().map(|text| address(text)).collect::<Result<Vec<_>>>()?;
    for path in [machine.configuration(), machine.marker(), machine.unit(), machine.binary()] {
        changes.directory(path.parent().unwrap_or(Path::new("/")), 0o755)?;
    }
    changes.directory(&machine.packages(), 0o755)?;
    let data_dir = machine.data_dir();
    changes.directory(data_dir.parent().unwrap_or(Path::new("/")), 0o755)?;
    // Once the service has run it is a link to where only root comes.
    changes.directory(&data_dir, 0o700)?;
    changes.mode(&data_dir, 0o700)?;
    changes.binary(&machine.binary())?;
    let configuration = machine.configuration();
    if let Some(given) = &arguments.config {
        let text = fs::read(given).map_err(|error| failed(error, "read", given))?;
        Configuration::parse(&text, &given.display().to_string())?;
        changes.file(&configuration, &text, 0o600)?;
    } else if !configuration.exists() {
        let text = configured(arguments, &listen).write()?;
        changes.file(&configuration, text.as_bytes(), 0o600)?;
    } else {
        changes.mode(&configuration, 0o600)?;
        let wanted = configured(arguments, &listen);
        let found =
            fs::read(&configuration).map_err(|error| failed(error, "read", &configuration))?;
        let found = Configuration::parse(&found, &configuration.display().to_string())?;
        // Nobody who runs it without options means them.
        let given = arguments.accelerator.is_some()
            || arguments.idle_timeout.is_some()
            || arguments.max_lifetime.is_some();
        if given && wanted.write()? != found.write()? {
            changes.context.printer.note(&format!(
                "{} is there and stays as it is: change it by hand, or give another with --config",
                configuration.display()
            ));
        }
    }
    let is_new = !data_dir.join("token").exists() || !data_dir.join("host.crt").exists();
    token::load_or_generate(&data_dir.join("token"))?;
    Identity::load_or_generate(&data_dir.join("host.crt"), &data_dir.join("host.key"))?;
    if is_new {
        changes.made("made a token and a certificate");
    }
    for secret in ["token", "host.key"] {
        changes.mode(&data_dir.join(secret), 0o600)?;
    }
    changes.file(&machine.unit(), UNIT.as_bytes(), 0o644)?;
    // Last: what is marked is whole.
    changes.file(&machine.marker(), MARKER.as_bytes(), 0o644)
}

fn configured(arguments: &Arguments, listen: &[std::net::SocketAddr]) -> Configuration {
    let mut configuration = Configuration::default();
    let listen: Vec<_> = listen.iter().map(ToString::to_string).collect();
    configuration.set("serve", "listen", Some(&listen.join("\n")));
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

/// Puts things where they belong, and says what it did.
struct Changes<'a> {
    context: &'a Context<'a>,
    count: usize,
}

impl Changes<'_> {
    fn made(&mut self, what: &str) {
        self.count += 1;
        self.context.printer.note(what);
    }

    fn directory(&mut self, path: &Path, mode: u32) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(mode)
            .create(path)
            .map_err(|error| failed(error, "make", path))?;
        self.made(&format!("made {}", path.display()));
        Ok(())
    }

    /// Gives a path the permissions that it must have.
    fn mode(&mut self, path: &Path, mode: u32) -> Result<()> {
        let found = fs::metadata(path).map_err(|error| failed(error, "look at", path))?;
        if found.permissions().mode() & 0o777 == mode {
            return Ok(());
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|error| failed(error, "change", path))?;
        self.made(&format!("changed who may use {}", path.display()));
        Ok(())
    }

    /// Writes a file as a whole, unless it is there and equal.
    fn file(&mut self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        if fs::read(path).is_ok_and(|found| found == content) {
            return Ok(());
        }
        put(path, mode, |file| file.write_all(content))?;
        self.made(&format!("wrote {}", path.display()));
        Ok(())
    }

    /// Copies the running program, unless it is that one.
    fn binary(&mut self, path: &Path) -> Result<()> {
        let running = std::env::current_exe()
            .map_err(|error| Error::from(error).operation("find the running program"))?;
        if is_same(&running, path) {
            return self.mode(path, 0o755);
        }
        let copy = |to: &mut fs::File| -> std::io::Result<()> {
            std::io::copy(&mut fs::File::open(&running)?, to).map(drop)
        };
        put(path, 0o755, copy)?;
        self.made(&format!("wrote {}", path.display()));
        Ok(())
    }
}

/// Whether two files are one, or have the same content.
fn is_same(one: &Path, other: &Path) -> bool {
    if let (Ok(one), Ok(other)) = (fs::canonicalize(one), fs::canonicalize(other))
        && one == other
    {
        return true;
    }
    let length = |path: &Path| fs::metadata(path).map(|found| found.len()).ok();
    length(one).is_some() && length(one) == length(other) && {
        let (one, other) = (fs::read(one).ok(), fs::read(other).ok());
        one.is_some() && one == other
    }
}

fn put(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut fs::File) -> std::io::Result<()>,
) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let put = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        write(file.as_file_mut())?;
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    put().map_err(|error| failed(error, "write", path))
}

fn failed(error: std::io::Error, what: &str, path: &Path) -> Error {
    Error::from(error).operation(format!("{what} '{}'", path.display()))
}

/// A path as it is called on the machine itself.
fn shown(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    Path::new("/").join(below).display().to_string()
}
