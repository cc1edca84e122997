//! `apyfal clear`: forget all names.

use apyfal::Result;
use clap::Args;

use crate::commands::Context;

/// Forget all names, and stop nothing.
#[derive(Args, Debug)]
pub(crate) struct Arguments {}

pub(crate) fn run(_arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let count = context.names.clear()?;
    context
        .printer
        .note(&format!("forgot {count} accelerator{}", if count == 1 { "" } else { "s" }));
    Ok(())
}
