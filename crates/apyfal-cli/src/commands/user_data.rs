//! `apyfal user-data`: the script that makes a new machine a host.

use std::path::PathBuf;
use std::time::Duration;

use apyfal::catalog::{self, Artifact};
use apyfal::user_data::{UserData, has_secrets, without_secrets};
use apyfal::{Configuration, Error, ErrorKind, KnownHosts, Location, Result};
use apyfal_tls::{Identity, token};
use clap::Args;

use crate::commands::{Context, requirements};
use crate::quantity::limit;
use crate::words::words;

/// A text is refused beyond this many bytes; user data has less.
const LIMIT: usize = 1 << 20;

/// Print the script that makes a new machine a host: hand it to a cloud as user data.
///
/// The machine gets the agent and the accelerator's package by URL and SHA-256, a token and a
/// certificate, and ends itself where it is not used. How to pair a client is said on standard
/// error.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The accelerator.
    #[arg(long, short)]
    accelerator: String,
    /// The type of host. That of the configuration if unset.
    #[arg(long = "host_type", alias = "host-type", value_name = "TYPE")]
    host_type: Option<String>,
    /// The region. That of the configuration if unset.
    #[arg(long)]
    region: Option<String>,
    /// The architecture of the machine.
    #[arg(long, value_name = "NAME", default_value = std::env::consts::ARCH)]
    architecture: String,
    /// Where the machine gets the agent: a URL. That of the catalog if unset.
    #[arg(long, value_name = "URL", requires = "agent_sha256")]
    agent: Option<String>,
    /// The SHA-256 of the agent.
    #[arg(
        long = "agent_sha256",
        alias = "agent-sha256",
        value_name = "SHA256",
        requires = "agent"
    )]
    agent_sha256: Option<String>,
    /// The configuration to send: a file or URL, or True for the one that is used here, without the
    /// keys of clouds, hosts and the catalog.
    #[arg(long = "init_config", alias = "init-config", value_name = "FILE")]
    init_config: Option<String>,
    /// A script that the machine runs last: by the program on its first line, else by bash.
    #[arg(long = "init_script", alias = "init-script", value_name = "FILE")]
    init_script: Option<String>,
    /// The host's certificate. One is made, and used again, if unset.
    #[arg(
        long = "ssl_cert_crt",
        alias = "ssl-cert-crt",
        value_name = "FILE",
        requires = "ssl_cert_key"
    )]
    ssl_cert_crt: Option<PathBuf>,
    /// The certificate's private key.
    #[arg(
        long = "ssl_cert_key",
        alias = "ssl-cert-key",
        value_name = "FILE",
        requires = "ssl_cert_crt"
    )]
    ssl_cert_key: Option<PathBuf>,
    /// File with the token of the host. One is made, and used again, if unset.
    #[arg(long = "token_file", alias = "token-file", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where the host listens.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8000")]
    listen: String,
    /// End the machine after so long without jobs and clients; none for never.
    #[arg(long = "idle_timeout", alias = "idle-timeout", value_name = "TIME", default_value = "30m", value_parser = lease)]
    idle_timeout: Lease,
    /// End the machine after so long; none for never.
    #[arg(long = "max_lifetime", alias = "max-lifetime", value_name = "TIME", default_value = "12h", value_parser = lease)]
    max_lifetime: Lease,
    /// The command that ends the machine.
    #[arg(
        long = "shutdown_command",
        alias = "shutdown-command",
        value_name = "COMMAND",
        default_value = "shutdown -P now"
    )]
    shutdown_command: String,
    /// The catalog: a file or a URL.
    #[arg(long, value_name = "FILE")]
    catalog: Option<String>,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
}

/// A limit, or that there is none.
#[derive(Clone, Copy, Debug)]
struct Lease(Option<Duration>);

fn lease(text: &str) -> Result<Lease, String> {
    let limit = limit(text).ok_or("it is neither a duration such as 30m nor none")?;
    Ok(Lease(limit))
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let configuration = context.configuration(arguments.config.as_deref()).await?;
    let found = catalog::find(
        arguments.catalog.as_deref(),
        &configuration,
        &context.surroundings.environment,
    );
    let found = context.cancel.or_cancelled(found).await?;
    requirements::tell_age(context, &found);
    let host_type =
        arguments.host_type.clone().or(configuration.section("host").get("host_type")?);
    let host_type = host_type.unwrap_or_else(|| "localhost".to_owned());
    let configured = configuration.section(&format!("host.{host_type}")).get("region")?;
    let region = arguments.region.clone().or(configured);
    let needs = found.catalog.requirements(&host_type, &arguments.accelerator)?;
    let fpgaimage = match needs.region(region.as_deref()) {
        Ok(there) => there.fpgaimage.clone(),
        // Only what differs by region needs one.
        Err(_) if needs.regions.values().all(|there| there.fpgaimage.is_none()) => None,
        Err(error) => return Err(error),
    };
    let (_, entry) = found.catalog.accelerator(&arguments.accelerator)?;
    let (identity, token) = proofs(&arguments, context)?;
    let fingerprint = identity.fingerprint();
    let listen = crate::listen::address(&arguments.listen)?;
    let own_script = configuration.section("host").get("init_script")?;
    let data = UserData {
        agent: agent(&arguments, found.catalog.agents.get(&arguments.architecture))?,
        package: entry.package.clone().map(fetched).transpose()?,
        identity: Some((identity.certificate_pem().to_owned(), identity.key_pem().clone())),
        token: token.clone(),
        configuration: sent(&arguments, &configuration, context).await?,
        listen: listen.to_string(),
        idle_timeout: arguments.idle_timeout.0,
        max_lifetime: arguments.max_lifetime.0,
        shutdown_command: words(&arguments.shutdown_command)
            .map_err(|why| Error::new(ErrorKind::Usage, why).operation("use --shutdown_command"))?,
        fpgaimage,
        init_script: match arguments.init_script.clone().or(own_script) {
            Some(url) => Some(bytes(&url, &configuration, context).await?),
            None => None,
        },
        accelerator: needs.accelerator,
    };
    warn_of_own_trust(&configuration, &data, context)?;
    let (address, port) = (listen.ip(), listen.port());
    if address.is_loopback() {
        return Err(Error::new(ErrorKind::Usage, "nobody else would reach it")
            .operation(format!("have a new machine listen on {listen}"))
            .hint("leave --listen out, or name a port: --listen 8443"));
    }
    let script = data.script()?;
    context.printer.note("once the machine has its address, on the client:");
    context.printer.note(&format!(
        "  apyfal host add {} https://ADDRESS:{port} --token {} --fingerprint {fingerprint}",
        KnownHosts::name_for(&data.accelerator),
        token.expose()
    ));
    context.printer.result(script.trim_end())
}

/// Tells of a server that the machine will not trust, because only this client was told to.
fn warn_of_own_trust(
    configuration: &Configuration,
    data: &UserData,
    context: &Context<'_>,
) -> Result<()> {
    let section = configuration.section("accelize");
    let Some(server) = section.get("server")? else { return Ok(()) };
    let is_own = ["fingerprint", "ssl_cert_crt"].iter().any(|key| section.keys().contains(key));
    let artifacts = std::iter::once(&data.agent).chain(&data.package);
    // As locations, so that it does not matter how scheme and name are written.
    let address = |url: &str| Location::parse(url).map(|location| location.to_string());
    let base = address(&server)?;
    let is_there = |artifact: &Artifact| {
        address(&artifact.url).is_ok_and(|url| url.starts_with(base.trim_end_matches('/')))
    };
    if is_own && base.starts_with("https:") && artifacts.into_iter().any(is_there) {
        context.printer.warning(
            "the machine fetches from the catalog server, whose certificate no authority signed: it \
             has to trust it by itself, or the files have to be elsewhere",
        );
    }
    Ok(())
}

/// What the host proves itself by, and its clients themselves.
fn proofs(arguments: &Arguments, context: &Context<'_>) -> Result<(Identity, apyfal_core::Secret)> {
    let own =
        context.surroundings.environment.home.as_ref().map(|home| home.join(".apyfal/user-data"));
    let own = own.ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "there is no home directory")
            .operation("find a place for the certificate of new hosts")
            .hint("name them: --ssl_cert_crt, --ssl_cert_key and --token_file")
    });
    let identity = match (&arguments.ssl_cert_crt, &arguments.ssl_cert_key) {
        (Some(certificate), Some(key)) => Identity::load(certificate, key)?,
        _ => {
            let own = own.as_ref().map_err(Error::duplicate)?;
            super::serve::make_private(own)?;
            Identity::load_or_generate(&own.join("host.crt"), &own.join("host.key"))?
        }
    };
    let token = match &arguments.token_file {
        Some(path) => token::load(path)?,
        None => {
            let own = own?;
            super::serve::make_private(&own)?;
            token::load_or_generate(&own.join("token"))?
        }
    };
    Ok((identity, token))
}

fn agent(arguments: &Arguments, of_catalog: Option<&Artifact>) -> Result<Artifact> {
    let given = arguments.agent.clone().zip(arguments.agent_sha256.clone());
    let given = given.map(|(url, sha256)| Artifact { url, sha256 });
    let agent = given.or_else(|| of_catalog.cloned()).ok_or_else(|| {
        let why = format!("the catalog names none for {}", arguments.architecture);
        Error::new(ErrorKind::NotFound, why)
            .operation("tell the machine where to get the agent")
            .hint("make one, and put it where the machine reaches it: cargo xtask dist")
            .hint(
                "then name it: --agent URL --agent_sha256 SHA256, or [agent.x86_64] in the catalog",
            )
    })?;
    fetched(agent)
}

/// What a machine can fetch before it has anything of ours.
fn fetched(artifact: Artifact) -> Result<Artifact> {
    let is_digest =
        artifact.sha256.len() == 64 && artifact.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    let shown = Location::parse(&artifact.url)?;
    let is_web = matches!(shown, Location::Http(_));
    let wrong = |why: &str| {
        Error::new(ErrorKind::Usage, why).operation(format!("have a new machine fetch '{shown}'"))
    };
    match (is_web, is_digest) {
        (true, true) => Ok(artifact),
        (false, _) => Err(wrong("it is no web address")
            .hint("'apyfal catalog serve' hands out the files that a catalog names")),
        (_, false) => Err(wrong("its SHA-256 is not 64 hexadecimal digits")),
    }
}

/// The configuration that the host gets.
async fn sent(
    arguments: &Arguments,
    configuration: &Configuration,
    context: &Context<'_>,
) -> Result<Configuration> {
    let named = arguments.init_config.clone();
    let named = match named.or(configuration.section("host").get("init_config")?) {
        None => return Ok(Configuration::default()),
        Some(named) if named.eq_ignore_ascii_case("true") => {
            return Ok(without_secrets(configuration));
        }
        Some(named) if named.eq_ignore_ascii_case("false") => return Ok(Configuration::default()),
        Some(named) => named,
    };
    let text = text(&named, configuration, context).await?;
    let sent = Configuration::parse(text.as_bytes(), &named)?;
    if has_secrets(&sent) {
        context.printer.warning(format!(
            "'{named}' holds keys of a cloud or a host, which the machine gets as \
             user data"
        ));
    }
    Ok(sent)
}

async fn bytes(url: &str, configuration: &Configuration, context: &Context<'_>) -> Result<Vec<u8>> {
    let location = Location::parse(url)?;
    let storage = context.surroundings.storage(configuration)?;
    context.cancel.or_cancelled(storage.read(&location, LIMIT)).await
}

async fn text(url: &str, configuration: &Configuration, context: &Context<'_>) -> Result<String> {
    let bytes = bytes(url, configuration, context).await?;
    let location = Location::parse(url)?;
    String::from_utf8(bytes).map_err(|_| {
        Error::new(ErrorKind::InvalidData, "it is no text").operation(format!("read '{location}'"))
    })
}
