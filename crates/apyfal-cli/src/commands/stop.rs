//! `apyfal stop`: end the accelerator of a name.

use apyfal::Result;
use apyfal::names::Record;
use clap::Args;

use crate::commands::{Context, Name};

/// Stop the accelerator of a name, after its running jobs, and forget the name.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    name: Name,
    /// What happens to a host: term, stop or keep; without meaning on this machine.
    #[arg(long = "stop_mode", alias = "stop-mode", default_value = "term")]
    stop_mode: String,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let name = arguments.name.name;
    let _lock = context.names.lock(&name, &context.cancel).await?;
    let record = context.record(&name)?;
    let ended = end(context, &name, &record).await;
    // The name goes even where its program failed to stop in order.
    context.names.forget(&name)?;
    ended
}

/// Ends the session of a name, where it has one.
pub(crate) async fn end(context: &Context<'_>, name: &str, record: &Record) -> Result<()> {
    if record.session.is_some() {
        context.accelerator(name, record).await?.stop().await?;
    }
    Ok(())
}

/// Ends the session that a new one takes the place of. That it cannot be stopped in order is worth
/// a warning, but no reason to be stuck with it.
pub(crate) async fn replace(context: &Context<'_>, name: &str, earlier: &Record) {
    if let Err(error) = end(context, name, earlier).await {
        context.printer.warning(error);
        if let Some(session) = &earlier.session {
            context.names.remove_session(name, session);
        }
    }
}
