//! `apyfal serve`: make this machine a host that others use.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use apyfal::package::Digest;
use apyfal::{Error, ErrorKind, Result};
use apyfal_core::one_line;
use apyfal_server::{Ending, Lease, LogLine, Server, Settings};
use clap::Args;

use crate::commands::{Context, allow_open_files};
use crate::here::{self, Listening};
use crate::listen::url;

pub(crate) use access::make_private;

use access::Access;
use package::is_package;

mod access;
mod first_contact;
mod own_address;
mod package;
pub(crate) mod settings;
mod users;

/// How much is shown of what the command said that failed to end the machine, in bytes.
const SAID: usize = 1000;
/// How long the end of a host waits for its last words to be taken.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Make this machine a host: run the jobs of anyone who reaches it and may use it.
///
/// On loopback its own user and root may, and those that the configuration names in `local_users`.
/// On other addresses clients need the host's token, and connections are encrypted: both are made when they are first needed, and the line to paste on
/// the client is printed. SIGTERM lets the running jobs end; a second one does not.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Where to listen: address:port, or just the address or port. May be given several times.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// The accelerator of clients that name none, such as those of REST v1.0. A package, by its path
    /// or URL, is installed first.
    #[arg(long, short, value_name = "NAME")]
    accelerator: Option<String>,
    /// The SHA-256 that the package must have.
    #[arg(long, value_name = "SHA256")]
    sha256: Option<Digest>,
    /// The configuration file; its section serve has further settings.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
    /// Where sessions, results and the journal are; ~/.apyfal/host if unset.
    #[arg(long, alias = "data_dir", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// File with the token that clients must present, on loopback too.
    #[arg(long, alias = "token_file", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Serve REST v1.0, whose clients have no token, off loopback too.
    #[arg(long, alias = "rest_v1")]
    rest_v1: bool,
    /// Print the line that pairs a client with this host, and end.
    #[arg(long)]
    pair: bool,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<u8> {
    let mut configuration = context.configuration(arguments.config.as_deref()).await?;
    let home = context.surroundings.home();
    let data_dir = here::data_dir(arguments.data_dir, &configuration, home)?;
    // First: whatever goes wrong from here on, the machine ends with its lease.
    let lease = match arguments.pair {
        true => Lease::default(),
        false => settings::lease(&data_dir, &configuration, context)?,
    };
    let is_typed = arguments.accelerator.is_some();
    let named = arguments.accelerator.or(configuration.section("serve").get("accelerator")?);
    if arguments.sha256.is_some() && !named.as_deref().is_some_and(is_package) {
        let why = match &named {
            Some(name) => format!("'{name}' is no package, so it has no SHA-256"),
            None => "--sha256 is that of a package, and none is named".to_owned(),
        };
        return Err(Error::new(ErrorKind::Usage, why)
            .hint("name the package by its path or URL: --accelerator ./NAME-1.0.0.apyfal"));
    }
    let addresses = match arguments.pair && arguments.listen.is_empty() {
        // One that serves was told where, maybe on its command line.
        true => here::addresses(&data_dir),
        false => Vec::new(),
    };
    let addresses = match addresses.is_empty() {
        true => settings::addresses(arguments.listen, &configuration)?,
        false => addresses,
    };
    let is_open = addresses.iter().all(|address| address.ip().is_loopback());
    if arguments.pair {
        first_contact::check(&data_dir)?;
    } else if let Some(ending) = first_contact::made(&data_dir, &addresses, &lease, context).await?
    {
        let shutdown = settings::shutdown(&configuration)?;
        return Ok(ended(Ok(ending), &shutdown, context).await);
    }
    first_contact::add_configuration(&mut configuration, &data_dir)?;
    let section = configuration.section("serve");
    let access = Access::of(arguments.token_file, &configuration, &data_dir, is_open)?;
    if arguments.pair {
        if is_open {
            context.printer.warning(
                "this host listens on this machine only: for others, say where with --listen or in \
                 section [serve]",
            );
        }
        context.printer.result(&access.line(&addresses))?;
        return Ok(0);
    }
    let line = (access.is_new && !is_open).then(|| access.line(&addresses));
    let default_accelerator = match &named {
        Some(url) if is_package(url) => {
            Some(package::installed(url, arguments.sha256, &configuration, context).await?)
        }
        named => (*named).clone(),
    };
    let registry = context.surroundings.registry(&configuration)?;
    let default_accelerator = default_accelerator.filter(|name| match registry.find(name) {
        // A machine may be made for what no catalog has: it is a host all the same, of all else.
        Err(error) if error.kind() == ErrorKind::NotFound && !is_typed => {
            let error = error.operation("use 'accelerator' of section [serve]");
            context.printer.warning(format!("{error}; clients have to name one"));
            false
        }
        _ => true,
    });
    let settings = Settings {
        listen: access.listen(&addresses),
        data_dir: data_dir.clone(),
        registry,
        storage: apyfal::configuration::served_storage(
            &configuration,
            &context.surroundings.environment,
        )?,
        default_accelerator,
        token: access.token,
        identity: access.identity,
        rest_v1: arguments.rest_v1 || section.get_bool("rest_v1")?.unwrap_or(false),
        names: settings::names(&configuration)?,
        local_users: users::local_users(&configuration)?,
        threads: settings::threads(&configuration)?,
        limits: settings::limits(&configuration)?,
        lease,
    };
    let shutdown = settings::shutdown(&configuration)?;
    allow_open_files();
    let schemes: Vec<_> = settings.listen.iter().map(|listen| listen.tls).collect();
    let fingerprint = settings.identity.as_ref().map(|identity| identity.fingerprint().to_string());
    let server = Server::bind(settings, show).await?;
    let addresses = server.addresses()?;
    // Who reads that it listens may look for it at once.
    let first = addresses.iter().zip(&schemes).next();
    let _listening = match first {
        Some((&address, &tls)) => {
            let fingerprint = fingerprint.filter(|_| tls);
            let url = url(from_here(address), tls);
            match Listening::at(&data_dir, &url, &addresses, fingerprint) {
                // On a full disk it serves all the same, so that room can be made.
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    context.printer.warning(format!("{error}; commands here do not find it"));
                    None
                }
                listening => Some(listening?),
            }
        }
        None => None,
    };
    for (address, tls) in addresses.iter().zip(&schemes) {
        context.printer.note(&format!("listening on {}", url(*address, *tls)));
    }
    if let Some(line) = line {
        say_how_to_pair(context, &line);
    }
    ready();
    let cancel = context.cancel.clone();
    let ending = server
        .serve(async move {
            cancel.cancelled().await;
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        })
        .await;
    Ok(ended(ending, &shutdown, context).await)
}

/// What is left to do once the host has ended; the exit status.
async fn ended(ending: Result<Ending>, shutdown: &[String], context: &Context<'_>) -> u8 {
    match ending {
        Ok(Ending::Asked) => 0,
        Err(error) => {
            let status = crate::exit::code(error.kind());
            last_words(context, error);
            status
        }
        Ok(Ending::LeaseEnded) => {
            // Where it fails, whoever started this process may still end the machine.
            if let Err(error) = end_machine(shutdown).await {
                last_words(context, error);
            }
            crate::exit::LEASE_ENDED
        }
    }
}

/// Runs the command that ends this machine. Without one whoever started this process does so, which
/// its exit status tells.
async fn end_machine(command: &[String]) -> Result<()> {
    let Some((program, words)) = command.split_first() else { return Ok(()) };
    let doing = || format!("end this machine by '{program}'");
    // What it says is taken in: the standard error of the host may be one that takes nothing.
    let ended = tokio::process::Command::new(program).args(words).output().await;
    let ended = ended
        .map_err(|error| apyfal_machine::not_started(program.as_ref(), error).operation(doing()))?;
    if ended.status.success() {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Engine, format!("it failed: {}", ended.status))
        .operation(doing())
        .hint("see shutdown_command in section [serve]");
    match one_line(String::from_utf8_lossy(&ended.stderr).trim(), SAID) {
        said if said.is_empty() => Err(error),
        said => Err(error.context("stderr", said)),
    }
}

/// The address by which this machine reaches what listens there.
fn from_here(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            address.set_ip(Ipv4Addr::LOCALHOST.into())
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(Ipv6Addr::LOCALHOST.into())
        }
        _ => {}
    }
    address
}

fn say_how_to_pair(context: &Context<'_>, line: &str) {
    let mut variables = context.surroundings.environment.variables.iter();
    // A journal keeps what it gets, and others read it: no place for a token.
    if variables.any(|(name, _)| name == "JOURNAL_STREAM") {
        context.printer.note("to pair a client: apyfal serve --pair");
        return;
    }
    context.printer.note("on the client, paste:");
    context.printer.note(&format!("  {line}"));
}

/// Tells the service manager, where there is one, that clients are welcome.
fn ready() {
    // Without one this does nothing.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

/// Says what went wrong at the end of a host. Its standard error may take nothing any more, which
/// keeps the host from its end for a moment only.
fn last_words(context: &Context<'_>, error: Error) {
    let printer = context.printer.clone();
    let (said, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        printer.error(&error);
        let _ = said.send(());
    });
    let _ = told.recv_timeout(LAST_WORDS);
}

fn show(line: &LogLine) {
    use std::io::Write;
    let job = line.job.as_deref().unwrap_or("host");
    // Nothing can be done about a standard error that is closed.
    let _ = writeln!(std::io::stderr(), "{job}: {}", line.text);
}
