//! `apyfal host add`: pair with a host, and know it by a name.

use std::path::PathBuf;
use std::time::Duration;

use apyfal::{Certificate, Configuration, Error, ErrorKind, Pairing, Remote, Result};
use apyfal_tls::token;
use clap::Args;

use crate::commands::{Context, Proofs};
use crate::paths::{is_read_once, remembered};

/// How long a host may take to answer. It is known all the same where it does not.
const PATIENCE: Duration = Duration::from_secs(5);

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
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let Arguments { name, address, proofs } = arguments;
    let known = context.known_hosts()?;
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
