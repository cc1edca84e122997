//! `apyfal uninstall`: remove a package.

use apyfal::Result;
use clap::Args;

use crate::commands::{Context, install};

/// Remove an installed package, all its versions.
///
/// Jobs and hosts that use it go on as they are.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The accelerator.
    name: String,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let name = arguments.name;
    let store = install::store(context)?;
    let removed = store.uninstall(&name, &context.cancel)?;
    context.printer.note(&match removed.is_used {
        true => format!("uninstalled {name}; its files stay while jobs or a host use them"),
        false => format!("uninstalled {name}"),
    });
    install::take_up(&store, context).await
}
