//! `apyfal serve`: make this machine a host that others use.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use apyfal::package::{Digest, Outcome};
use apyfal::user_data::quoted;
use apyfal::{Configuration, Error, ErrorKind, Location, Result};
use apyfal_core::Secret;
use apyfal_server::{Ending, LeaseLimits, Limits, Listen, LogLine, Server, Settings};
use apyfal_tls::{Identity, token};
use clap::Args;

use crate::commands::{Context, install};
use crate::here::{self, Listening};
use crate::listen::{address, url};
use crate::quantity::{duration, limit, size};
use crate::words::words;

const DEFAULT_LISTEN: &str = "127.0.0.1:8000";

/// Make this machine a host: run the jobs of anyone who reaches it and may use it.
///
/// On loopback everyone on this machine may. On other addresses clients need the host's token, and
/// connections are encrypted: both are made when they are first needed, and the line to paste on
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
    let configuration = context.configuration(arguments.config.as_deref()).await?;
    let section = configuration.section("serve");
    let home = context.environment.home.as_deref();
    let data_dir = here::data_dir(arguments.data_dir.clone(), &configuration, home)?;
    let paths = Paths { data_dir: &data_dir };
    let addresses = addresses(&arguments, &configuration)?;
    let is_open = addresses.iter().all(|address| address.ip().is_loopback());
    let access = Access::of(&arguments, &configuration, &paths, is_open && !arguments.pair)?;
    let named = arguments.accelerator.clone().or(section.get("accelerator")?);
    // A package is not installed yet, and any accelerator shows that the pairing works.
    let paired = named.as_deref().filter(|name| !is_package(name)).unwrap_or("gzip");
    if arguments.pair {
        context.printer.result(&access.line(&addresses, paired))?;
        return Ok(0);
    }
    let listen = addresses
        .iter()
        .map(|&address| Listen {
            address,
            tls: access.identity.is_some() && (access.is_chosen_tls || !address.ip().is_loopback()),
            token: access.token.is_some()
                && (access.is_chosen_token || !address.ip().is_loopback()),
        })
        .collect();
    let line = (access.is_new && !is_open).then(|| access.line(&addresses, paired));
    let default_accelerator = match &named {
        Some(url) if is_package(url) => {
            Some(installed(url, arguments.sha256, &configuration, context).await?)
        }
        named => (*named).clone(),
    };
    let settings = Settings {
        listen,
        data_dir: data_dir.clone(),
        registry: apyfal::configuration::registry(
            &configuration,
            &context.packages(),
            &context.devices(),
        )?,
        storage: apyfal::configuration::served_storage(
            &configuration,
            context.environment.home.as_deref(),
        )?,
        default_accelerator,
        token: access.token,
        identity: access.identity,
        rest_v1: arguments.rest_v1 || section.get_bool("rest_v1")?.unwrap_or(false),
        threads: parsed(&configuration, "threads", |text| text.parse().ok())?,
        limits: limits(&configuration)?,
        lease: LeaseLimits {
            idle_timeout: parsed(&configuration, "idle_timeout", limit)?.flatten(),
            max_lifetime: parsed(&configuration, "max_lifetime", limit)?.flatten(),
        },
    };
    let shutdown = match section.get("shutdown_command")? {
        Some(text) => words(&text).map_err(|why| section.error("shutdown_command", why))?,
        None => Vec::new(),
    };
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
            Some(Listening::at(&data_dir, &url(from_here(address), tls), fingerprint)?)
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
        .await?;
    match ending {
        Ending::Asked => Ok(0),
        Ending::LeaseEnded => {
            // Where it fails, whoever started this process may still end the machine.
            if let Err(error) = end_machine(&shutdown).await {
                context.printer.error(&error);
            }
            Ok(crate::exit::LEASE_ENDED)
        }
    }
}

/// Runs the command that ends this machine. Without one whoever started this process does so, which
/// its exit status tells.
async fn end_machine(command: &[String]) -> Result<()> {
    let Some((program, words)) = command.split_first() else { return Ok(()) };
    let doing = || format!("end this machine by '{program}'");
    let status = tokio::process::Command::new(program).args(words).status().await;
    let status = status.map_err(|error| Error::from(error).operation(doing()))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Engine, format!("it failed: {status}"))
            .operation(doing())
            .hint("see shutdown_command in section [serve]")),
    }
}

/// Whether the name of an accelerator is that of a package: a path or a URL.
fn is_package(name: &str) -> bool {
    name.contains('/') || name.ends_with(".apyfal")
}

/// Whether a package cannot be had for now, which says nothing against the one that is installed.
fn is_gone(error: &Error) -> bool {
    use ErrorKind::{Storage, StorageAuthentication, StorageNotFound, Unavailable};
    matches!(error.kind(), Unavailable | Storage | StorageNotFound | StorageAuthentication)
}

/// Installs a package, unless it is. Returns its name.
async fn installed(
    url: &str,
    sha256: Option<Digest>,
    configuration: &Configuration,
    context: &Context<'_>,
) -> Result<String> {
    let mut options = install::options(context, configuration)?;
    options.sha256 = sha256;
    let store = install::store(context)?;
    let is_signed = !options.keys.is_empty();
    let found = match install::install(url, options, &store, configuration, context).await {
        Ok(Outcome::Installed(found) | Outcome::Unchanged(found)) => found,
        // A host that starts again does not depend on where its package once came from.
        Err(error) if is_gone(&error) && !is_signed && sha256.is_none() => {
            let source = Location::parse(url)?.to_string();
            let mut known = store.list()?.into_iter().filter_map(|(_, found)| found.ok());
            let Some(found) = known.find(|found| found.record.source == source) else {
                return Err(error);
            };
            context.printer.note(&format!("apyfal: warning: {error}; the installed one serves"));
            found
        }
        Err(error) => return Err(error),
    };
    context.printer.note(&format!("accelerator: {} {}", found.record.name, found.record.version));
    Ok(found.record.name.clone())
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
    let mut variables = context.environment.variables.iter();
    // A journal keeps what it gets, and others read it: no place for a token.
    if variables.any(|(name, _)| name == "JOURNAL_STREAM") {
        context.printer.note("to pair a client: apyfal serve --pair");
        return;
    }
    context.printer.note("on the client, paste:");
    context.printer.note(&format!("  {line}"));
}

/// Lets this process have as many files open as the system lets it: every connection is one, and
/// every session in use. What is usual, 1024, is for programs that wait with `select`.
fn allow_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused, fewer clients are served at once.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Tells the service manager, where there is one, that clients are welcome.
fn ready() {
    // Without one this does nothing.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

fn show(line: &LogLine) {
    use std::io::Write;
    let job = line.job.as_deref().unwrap_or("host");
    // Nothing can be done about a standard error that is closed.
    let _ = writeln!(std::io::stderr(), "{job}: {}", crate::printer::harmless(&line.text));
}

fn addresses(arguments: &Arguments, configuration: &Configuration) -> Result<Vec<SocketAddr>> {
    let mut listen = arguments.listen.clone();
    if listen.is_empty() {
        listen = configuration.section("serve").get_list("listen")?;
    }
    if listen.is_empty() {
        listen.push(DEFAULT_LISTEN.to_owned());
    }
    listen.iter().map(|text| address(text)).collect()
}

/// Where the host keeps what proves that it is itself.
struct Paths<'a> {
    data_dir: &'a Path,
}

/// Who may use the host, and how it proves that it is itself.
struct Access {
    token: Option<Secret>,
    identity: Option<Identity>,
    /// Whether the user named them, so that they count on loopback too.
    is_chosen_token: bool,
    is_chosen_tls: bool,
    /// Whether they were made just now.
    is_new: bool,
}

impl Access {
    fn of(
        arguments: &Arguments,
        configuration: &Configuration,
        paths: &Paths<'_>,
        is_open: bool,
    ) -> Result<Self> {
        let section = configuration.section("serve");
        let mut is_new = false;
        let given = arguments.token_file.clone();
        let given = given.or(section.get("token_file")?.map(PathBuf::from));
        let (token, is_chosen_token) = match (given, section.get("token")?) {
            (Some(path), _) => (Some(token::load(&path)?), true),
            (None, Some(text)) => (Some(Secret::new(text)), true),
            (None, None) if is_open => (None, false),
            (None, None) => {
                let path = paths.data_dir.join("token");
                is_new = !path.exists();
                make_private(paths.data_dir)?;
                (Some(token::load_or_generate(&path)?), false)
            }
        };
        let certificate = section.get("ssl_cert_crt")?.map(PathBuf::from);
        let key = section.get("ssl_cert_key")?.map(PathBuf::from);
        let (identity, is_chosen_tls) = match (certificate, key) {
            (Some(certificate), Some(key)) => (Some(Identity::load(&certificate, &key)?), true),
            (None, None) if is_open => (None, false),
            (None, None) => {
                let (certificate, key) =
                    (paths.data_dir.join("host.crt"), paths.data_dir.join("host.key"));
                make_private(paths.data_dir)?;
                (Some(Identity::load_or_generate(&certificate, &key)?), false)
            }
            _ => {
                return Err(section
                    .error("ssl_cert_crt", "a certificate needs its key, and a key its certificate")
                    .hint("set both ssl_cert_crt and ssl_cert_key"));
            }
        };
        Ok(Self { token, identity, is_chosen_token, is_chosen_tls, is_new })
    }

    /// What to paste on a client.
    fn line(&self, addresses: &[SocketAddr], accelerator: &str) -> String {
        let outside = addresses.iter().find(|address| !address.ip().is_loopback());
        let mut address = *outside.or(addresses.first()).unwrap_or(&([127, 0, 0, 1], 8000).into());
        if address.ip().is_unspecified()
            && let Some(own) = own_address()
        {
            address.set_ip(own);
        }
        let mut line = format!("apyfal create --accelerator {} --host_ip ", quoted(accelerator));
        let scheme = if self.identity.is_some() { "https" } else { "http" };
        // Where even this machine does not know it, whoever pastes the line does.
        match address.ip().is_unspecified() {
            true => line += &format!("{scheme}://ADDRESS:{}", address.port()),
            false => line += &format!("{scheme}://{address}"),
        }
        if let Some(token) = &self.token {
            line += &format!(" --token {}", token.expose());
        }
        if let Some(identity) = &self.identity {
            line += &format!(" --fingerprint {}", identity.fingerprint());
        }
        line
    }
}

/// The address by which this machine would reach others. Nothing is sent.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Makes a directory that is this user's alone.
pub(crate) fn make_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        Error::from(error).operation(format!("make the directory '{}'", directory.display()))
    })
}

fn limits(configuration: &Configuration) -> Result<Limits> {
    let default = Limits::default();
    let number = |text: &str| text.parse().ok();
    Ok(Limits {
        waiting: parsed(configuration, "max_waiting", number)?.unwrap_or(default.waiting),
        connections: parsed(configuration, "max_connections", number)?
            .filter(|count| *count > 0)
            .unwrap_or(default.connections),
        scratch: parsed(configuration, "scratch_quota", size)?.unwrap_or(default.scratch),
        result_ttl: parsed(configuration, "result_ttl", duration)?.unwrap_or(default.result_ttl),
        job_timeout: parsed(configuration, "job_timeout", duration)?,
        client_timeout: parsed(configuration, "client_timeout", duration)?
            .unwrap_or(default.client_timeout),
    })
}

/// A setting that is no plain text.
fn parsed<T>(
    configuration: &Configuration,
    key: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>> {
    let section = configuration.section("serve");
    let Some(text) = section.get(key)? else { return Ok(None) };
    match read(text.trim()) {
        Some(value) => Ok(Some(value)),
        None => Err(section
            .error(key, format!("it cannot be '{text}'"))
            .hint("a number, with a unit where one fits: 500M or 64G bytes, 10s, 5m, 2h or 7d")),
    }
}
