//! `apyfal host add`: pair with a host, and know it by a name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use apyfal::{
    Certificate, Configuration, Error, ErrorKind, FirstContact, KnownHosts, Pairing, Remote, Result,
};
use apyfal_tls::token;
use clap::Args;

use crate::commands::{Context, Proofs};
use crate::paths::{is_read_once, remembered};

/// How long a host may take to answer. It is known all the same where it does not.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a new machine may take until it is a host.
const BOOT: Duration = Duration::from_secs(20 * 60);

/// Pair with a host: know it by a name until it is removed.
///
/// The line that 'apyfal serve' prints there does it. From then on --host_ip and host_ip in the
/// configuration take the name, and find by its address too what was given here. It is kept in
/// ~/.apyfal, readable by you alone. Called again for the same host, it pairs anew.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// What to call it: letters, digits, '-' and '_'.
    name: String,
    /// Where it is: host:port or http(s)://host:port.
    address: String,
    #[command(flatten)]
    proofs: Proofs,
    /// Contact a new host for the first time, by the file that 'apyfal user-data' named: it then has
    /// a token and a certificate of its own. Waits until it is up.
    #[arg(
        long = "first_contact",
        alias = "first-contact",
        value_name = "FILE",
        conflicts_with_all = ["token", "token_file", "fingerprint", "ssl_cert_crt"]
    )]
    first_contact: Option<PathBuf>,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let Arguments { name, address, proofs, first_contact } = arguments;
    let known = context.known_hosts()?;
    if let Some(path) = first_contact {
        return contact(&name, &address, &path, &known, context).await;
    }
    let mut configuration = Configuration::default();
    configuration.set("host", "host_ip", Some(&address));
    proofs.apply(&mut configuration);
    let mut pairings = apyfal::configuration::pairings(&configuration)?;
    let (Some(pairing), true) = (pairings.pop(), pairings.is_empty()) else {
        return Err(Error::new(ErrorKind::Usage, format!("'{address}' is not one address"))
            .operation(format!("call a host '{name}'"))
            .hint("each host has a name of its own: add one after the other"));
    };
    let pairing = kept(pairing)?;
    check(&pairing, context).await?;
    let host = known.add(&name, pairing, &context.cancel)?;
    context.printer.note(&format!("the host at {} is known as {name}", host.pairing.url));
    Ok(())
}

/// Makes the first contact with a new host. What it takes is there until the host is known.
async fn contact(
    name: &str,
    address: &str,
    path: &Path,
    known: &KnownHosts,
    context: &Context<'_>,
) -> Result<()> {
    let contact = FirstContact::load(path)?;
    context.printer.note("waiting for the host to come up");
    context.cancel.or_cancelled(contact.make(address, BOOT)).await?;
    let pairing = Pairing {
        token: Some(contact.token().clone()),
        fingerprint: Some(contact.fingerprint()),
        ..Pairing::new(address)
    };
    let host = known.add(name, pairing, &context.cancel)?;
    std::fs::remove_file(path).map_err(|error| {
        Error::from(error)
            .operation(format!("remove '{}', which is of no more use", path.display()))
    })?;
    context.printer.note(&format!("the host at {} is known as {name}", host.pairing.url));
    Ok(())
}

/// The same with files that can still be found from elsewhere and later. What can be read only once
/// is read now.
pub(crate) fn kept(mut pairing: Pairing) -> Result<Pairing> {
    let remembered = |path: PathBuf| remembered(&path.to_string_lossy()).map(PathBuf::from);
    if let (None, Some(path)) = (&pairing.token, pairing.token_file.take()) {
        match is_read_once(&path) {
            true => pairing.token = Some(token::load(&path)?),
            false => pairing.token_file = Some(remembered(path)?),
        }
    }
    if let Some(Certificate::File(path)) = pairing.certificate {
        pairing.certificate = Some(Certificate::File(remembered(path)?));
    }
    Ok(pairing)
}

/// Asks the host whether it is the one that is meant. One that does not answer may not be up yet.
async fn check(pairing: &Pairing, context: &Context<'_>) -> Result<()> {
    let host = Remote::new(pairing.options(context.surroundings.home())?)?;
    let asking = tokio::time::timeout(PATIENCE, host.host());
    let why = match context.cancel.or_cancelled(async { Ok(asking.await) }).await? {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) if error.kind() == ErrorKind::Unavailable => error,
        Ok(Err(error)) => return Err(error),
        Err(_) => Error::new(ErrorKind::Unavailable, "it does not answer")
            .operation(format!("reach '{}'", host.url())),
    };
    context.printer.warning(why);
    Ok(())
}
