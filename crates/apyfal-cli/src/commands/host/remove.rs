//! `apyfal host remove`: forget a host.

use apyfal::{Error, ErrorKind, Result};
use clap::Args;

use super::users;
use crate::commands::Context;

/// Forget a host: its name, and what was known of it. The host itself goes on.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Its name, or its address.
    #[arg(value_name = "HOST")]
    host: String,
}

pub(crate) fn run(arguments: &Arguments, context: &Context<'_>) -> Result<()> {
    let (name, known) = (&arguments.host, context.known_hosts()?);
    // One whose file is damaged is of no use to anybody.
    if let Ok(Some(host)) = known.find(name) {
        let users = users(&host, context)?;
        if let Some(first) = users.first() {
            let accelerators: Vec<_> = users.iter().map(|name| format!("'{name}'")).collect();
            let why = format!("the accelerator {} is there", accelerators.join(", "));
            return Err(Error::new(ErrorKind::Conflict, why)
                .operation(format!("forget the host '{name}'"))
                .hint(format!("stop what is there first: apyfal stop --name {first}")));
        }
    }
    known.remove(name, &context.cancel)?;
    context.printer.note(&format!("the host '{name}' is forgotten"));
    Ok(())
}
