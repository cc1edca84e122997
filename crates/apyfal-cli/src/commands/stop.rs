//! `apyfal stop`: end the accelerator of a name.

use apyfal::hosts::StopMode;
use apyfal::names::Record;
use apyfal::{Accelerator, Result};
use clap::Args;
use serde_json::Value;

use crate::commands::{Context, Name};

/// Stop the accelerator of a name, after its running jobs, and forget the name.
///
/// A host that was made for it is given back. The name is forgotten once that has ended, so that
/// nothing is left behind that costs.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    name: Name,
    /// What becomes of a host that was made for it: term (it is deleted), stop or keep. As
    /// configured if unset.
    #[arg(long = "stop_mode", alias = "stop-mode", value_name = "MODE")]
    stop_mode: Option<String>,
    /// Stop all names, and delete every host that this installation has made.
    #[arg(long, conflicts_with_all = ["name", "stop_mode"])]
    all: bool,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    if arguments.all {
        return stop_all(context).await;
    }
    let mode = arguments.stop_mode.as_deref().map(str::parse).transpose()?;
    let name = arguments.name.name;
    let _lock = context.names.lock(&name, &context.cancel).await?;
    let mut record = context.record(&name)?;
    if let Some(mode) = arguments.stop_mode {
        record.host.insert("stop_mode".to_owned(), Value::String(mode));
    }
    let accelerator = context.accelerator(&name, &record).await;
    stop(context, &name, &record, &accelerator, mode).await
}

/// Ends all that a name stands for, and forgets it.
async fn stop(
    context: &Context<'_>,
    name: &str,
    record: &Record,
    accelerator: &Result<Accelerator>,
    mode: Option<StopMode>,
) -> Result<()> {
    let has_host = accelerator.as_ref().is_ok_and(Accelerator::has_host_of_its_own);
    let ended = match accelerator {
        Ok(accelerator) if has_host || record.session.is_some() => {
            let ended = accelerator.stop().await;
            context.tell_of_host(accelerator);
            ended.map(drop)
        }
        Err(error) if record.session.is_some() => Err(error.duplicate()),
        _ => Ok(()),
    };
    // The name goes even where its program failed to stop in order, but not as long as its host
    // lives.
    match has_host {
        true if ended.is_err() => return ended,
        true => {}
        false => end_left(context, name, record, mode).await?,
    }
    context.names.forget(name)?;
    ended
}

/// Ends the host that was made for a name, where the configuration does not say any more that it has
/// one.
async fn end_left(
    context: &Context<'_>,
    name: &str,
    record: &Record,
    mode: Option<StopMode>,
) -> Result<()> {
    let Some(hosts) = context.made_hosts(Some(record)).await? else { return Ok(()) };
    for host in hosts.end_named(name, mode, &context.cancel).await? {
        context.printer.note(&format!("gave back the host {host}"));
    }
    Ok(())
}

async fn stop_all(context: &Context<'_>) -> Result<()> {
    let mut failed = None;
    for (name, record) in context.names.list()? {
        let _lock = context.names.lock(&name, &context.cancel).await?;
        let stopped = match record {
            Ok(record) => {
                let accelerator = context.accelerator(&name, &record).await;
                // A machine that was named may be somebody else's: what is to become of it was said, and
                // those that were made here end below.
                if let Ok(accelerator) = &accelerator
                    && !accelerator.names_instance()
                {
                    accelerator.set_stop_mode(StopMode::Term);
                }
                stop(context, &name, &record, &accelerator, Some(StopMode::Term)).await
            }
            Err(error) => Err(error),
        };
        match stopped {
            Ok(()) => context.printer.note(&format!("stopped {name}")),
            Err(error) => {
                context.printer.warning(&error);
                failed = failed.or(Some(error));
            }
        }
    }
    if let Some(hosts) = context.made_hosts(None).await? {
        for ended in hosts.end_all(&context.cancel).await {
            match ended {
                Ok(name) => context.printer.note(&format!("ended the host {name}")),
                Err(error) => {
                    context.printer.warning(&error);
                    failed = failed.or(Some(error));
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Ends what a name stands for, which is to stand for something else. That its program cannot be
/// stopped in order is worth a warning, but no reason to be stuck with it.
///
/// # Errors
/// The host that was made for it has not ended.
pub(crate) async fn end_for_another(
    context: &Context<'_>,
    name: &str,
    earlier: &Record,
) -> Result<()> {
    let accelerator = context.accelerator(name, earlier).await;
    if let Ok(accelerator) = &accelerator
        && accelerator.has_host_of_its_own()
    {
        accelerator.stop().await?;
        context.tell_of_host(accelerator);
        return Ok(());
    }
    replace(context, name, earlier).await;
    end_left(context, name, earlier, None).await
}

/// Ends the session that a new one takes the place of, with the same forbearance.
pub(crate) async fn replace(context: &Context<'_>, name: &str, earlier: &Record) {
    let Some(session) = &earlier.session else { return };
    let ended = async { context.accelerator(name, earlier).await?.stop_session().await };
    if let Err(error) = ended.await {
        context.printer.warning(error);
        context.names.remove_session(name, session);
    }
}
