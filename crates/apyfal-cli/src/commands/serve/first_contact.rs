//! What `serve` does before its host was contacted for the first time, and what that brought.

use std::net::SocketAddr;
use std::path::Path;

use apyfal::{Configuration, Error, ErrorKind, Result};
use apyfal_server::{Ending, FirstContact, Lease};

use super::{from_here, ready};
use crate::commands::Context;
use crate::here::Listening;
use crate::listen::url;

/// Waits for it, where the host of this directory needs one. Returns why the host ends without it,
/// where it does.
pub(super) async fn made(
    data_dir: &Path,
    addresses: &[SocketAddr],
    lease: &Lease,
    context: &Context<'_>,
) -> Result<Option<Ending>> {
    let Some(contact) = FirstContact::of(data_dir)? else { return Ok(None) };
    let fingerprint = contact.fingerprint().to_string();
    let mut listening = None;
    let tell = |bound: &[SocketAddr]| {
        if let Some(first) = bound.first() {
            let here = url(from_here(*first), true);
            listening = Some(Listening::at(data_dir, &here, bound, Some(fingerprint))?);
        }
        for address in bound {
            let waits = format!("waiting on {} for the first contact", url(*address, true));
            context.printer.note(&waits);
        }
        ready();
        Ok(())
    };
    let cancelled = context.cancel.cancelled();
    let ending = contact.wait(addresses, lease, tell, cancelled).await?;
    if ending.is_none() {
        context.printer.note("the first contact is made");
    }
    Ok(ending)
}

/// Takes up what the first contact brought: it counts where the configuration that the host was
/// started with says nothing.
pub(super) fn add_configuration(configuration: &mut Configuration, data_dir: &Path) -> Result<()> {
    let path = FirstContact::configuration(data_dir);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(Error::from(error).operation(format!("read '{}'", path.display())));
        }
        Ok(text) => text,
    };
    let brought = Configuration::parse(&text, &path.display().to_string())?;
    for name in brought.section_names() {
        for (key, value) in brought.section(name).entries()? {
            if configuration.section(name).get(key)?.is_none() {
                configuration.set(name, key, Some(&value));
            }
        }
    }
    Ok(())
}

/// Refuses to say how clients are paired with a host that nobody contacted yet.
pub(super) fn check(data_dir: &Path) -> Result<()> {
    if !FirstContact::is_awaited(data_dir) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, "it waits for its first contact")
        .operation("pair a client with this host")
        .hint("who started its machine makes it: 'apyfal host add', as 'user-data' said"))
}
