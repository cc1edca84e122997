//! `apyfal user-data`: the script that makes a new machine a host.

use std::path::PathBuf;
use std::time::Duration;

use apyfal::catalog::{self, Artifact};
use apyfal::user_data::{UserData, quoted};
use apyfal::{Configuration, Error, ErrorKind, FirstContact, KnownHosts, Location, Result, sent};
use apyfal_tls::Identity;
use clap::Args;

use crate::commands::{Context, requirements};
use crate::words::words;
use apyfal_core::limit;

/// Print the script that makes a new machine a host: hand it to a cloud as user data.
///
/// The machine gets the agent and the accelerator's package by URL and SHA-256, and ends itself where
/// it is not used. It is for one machine, and has no secret: token, certificate and configuration the
/// host gets in its first contact, for which the line on standard error is. Nobody else can make it.
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
    /// The host's certificate, which it gets with its first contact. One is made if unset.
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
    /// Where to keep what the first contact with the machine takes; in ~/.apyfal if unset. It holds
    /// secrets, and goes once the contact is made.
    #[arg(long = "first_contact", alias = "first-contact", value_name = "FILE")]
    first_contact: Option<PathBuf>,
    /// The machine gets rights at its provider, such as an instance profile, which jobs may use.
    #[arg(long)]
    role: bool,
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
    let listen = crate::listen::address(&arguments.listen)?;
    let own_script = configuration.section("host").get("init_script")?;
    let own_configuration = configuration.section("host").get("init_config")?;
    let (surroundings, cancel) = (&context.surroundings, &context.cancel);
    let sent = match arguments.init_config.clone().or(own_configuration) {
        Some(named) => sent::configuration(&named, &configuration, surroundings, cancel).await?,
        None => None,
    };
    sent.as_ref().and_then(sent::warning).iter().for_each(|told| context.printer.warning(told));
    let data = UserData {
        agent: agent(&arguments, found.catalog.agents.get(&arguments.architecture))?,
        package: entry.package.clone().map(fetched).transpose()?,
        first_contact: FirstContact::new(identity(&arguments)?, sent.as_ref())?,
        listen: listen.to_string(),
        idle_timeout: arguments.idle_timeout.0,
        max_lifetime: arguments.max_lifetime.0,
        shutdown_command: words(&arguments.shutdown_command)
            .map_err(|why| Error::new(ErrorKind::Usage, why).operation("use --shutdown_command"))?,
        has_role: arguments.role,
        fpgaimage,
        init_scripts: match arguments.init_script.clone().or(own_script) {
            Some(named) => {
                vec![sent::script(&named, &configuration, surroundings, cancel).await?]
            }
            None => Vec::new(),
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
    // It holds secrets, so it is kept only where there is a script that goes with it.
    let kept = keep(&data.first_contact, &arguments, context)?;
    context.printer.note("once the machine has its address, here:");
    context.printer.note(&format!(
        "  apyfal host add {} https://ADDRESS:{port} --first_contact {}",
        KnownHosts::name_for(&data.accelerator),
        quoted(&kept.to_string_lossy())
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

/// The certificate that the host is to show, where one is given.
fn identity(arguments: &Arguments) -> Result<Option<Identity>> {
    match (&arguments.ssl_cert_crt, &arguments.ssl_cert_key) {
        (Some(certificate), Some(key)) => Identity::load(certificate, key).map(Some),
        _ => Ok(None),
    }
}

/// Keeps what the first contact with the machine takes; where that is.
fn keep(contact: &FirstContact, arguments: &Arguments, context: &Context<'_>) -> Result<PathBuf> {
    let path = match (&arguments.first_contact, &context.surroundings.environment.home) {
        (Some(path), _) => std::path::absolute(path)?,
        (None, Some(home)) => {
            let folder = home.join(".apyfal/first-contacts");
            super::serve::make_private(&folder)?;
            // Of the many that there may be each has a name of its own, which tells nothing.
            let name = contact.fingerprint().to_string();
            folder.join(format!("{}.json", &name[name.len() - 16..]))
        }
        (None, None) => {
            return Err(Error::new(ErrorKind::Configuration, "there is no home directory")
                .operation("find a place for what the first contact takes")
                .hint("name one: --first_contact FILE"));
        }
    };
    contact.save(&path)?;
    Ok(path)
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
    match catalog::fetched_from(&artifact)? {
        Location::Http(_) => Ok(artifact),
        location => Err(Error::new(ErrorKind::Usage, "it is no web address")
            .operation(format!("have a new machine fetch '{location}'"))
            .hint("'apyfal catalog serve' hands out the files that a catalog names")),
    }
}
