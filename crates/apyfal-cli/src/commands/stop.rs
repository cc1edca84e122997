//! `apyfal stop`: end the accelerator of a name.

use std::cell::RefCell;

use apyfal::hosts::{HostRecord, HostState, StopMode, Usage};
use apyfal::names::Record;
use apyfal::user_data::quoted;
use apyfal::{Accelerator, Error, ErrorKind, Result};
use clap::Args;
use futures::future::join;
use futures::stream::{self, StreamExt};
use serde_json::Value;

use crate::commands::{Context, Name};

/// How many names are stopped at once.
const AT_ONCE: usize = 32;

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
    let mut record = match context.record(&name) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return end_forgotten(context, &name, mode, error).await;
        }
        record => record?,
    };
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
        Err(error) if record.session.is_some() => Err(error
            .duplicate()
            .hint(format!("'{name}' is forgotten, and its session was not told that it ends"))),
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

/// Ends the host of a name that is forgotten, as it was stopped or kept. What is meant has to be said: a
/// program that stops twice must not delete what it kept.
async fn end_forgotten(
    context: &Context<'_>,
    name: &str,
    mode: Option<StopMode>,
    unknown: Error,
) -> Result<()> {
    let Some(hosts) = context.made_hosts(None).await? else { return Err(unknown) };
    let mut found = hosts.remembered()?.into_iter().filter(|host| is_meant(host, name));
    let Some(mut host) = found.next() else { return Err(unknown) };
    let Some(mode) = mode else {
        let why = match host.usage.is_of(name) {
            true => format!("'{name}' was stopped, and its host {} was not deleted", host.name),
            false => format!("no accelerator is named '{name}': it is a host, and lives"),
        };
        return Err(Error::new(ErrorKind::NotFound, why)
            .hint(format!("delete it: apyfal stop --name {} --stop_mode term", quoted(name)))
            .hint(format!("or use it again: {}", again(&host))));
    };
    hosts.end(&mut host, mode, &context.cancel).await?;
    if host.state == HostState::Ended {
        context.printer.note(&format!("gave back the host {}", host.name));
    }
    Ok(())
}

/// Whether a host is meant by a name: that of its accelerator, its own, or its machine's id.
pub(crate) fn is_meant(host: &HostRecord, name: &str) -> bool {
    host.usage.is_of(name)
        || host.name == name
        || host.instance.as_ref().is_some_and(|id| id.0 == name)
}

/// The commands that take up a host that was stopped or kept.
pub(crate) fn again(host: &HostRecord) -> String {
    let HostRecord { accelerator, provider, region, usage, instance, .. } = host;
    let (name, of_instance) = match (usage, instance) {
        (Usage::Named(name), _) => (quoted(name), String::new()),
        (Usage::Unnamed(_), Some(id)) => {
            ("default".to_owned(), format!(" --instance_id {}", quoted(&id.0)))
        }
        (Usage::Unnamed(_), None) => ("default".to_owned(), String::new()),
    };
    let region = region.as_ref().map_or_else(String::new, |region| format!(" --region {region}"));
    format!(
        "apyfal create --name {name} --accelerator {} --host_type {provider}{region}{of_instance} && \
         apyfal start --name {name}",
        quoted(accelerator)
    )
}

/// Names that no command uses come first. Those that one uses follow once it has ended, and meanwhile
/// the other hosts end: a long job keeps no more than its own.
async fn stop_all(context: &Context<'_>) -> Result<()> {
    let failed = RefCell::new(None);
    let tell = |done: Result<String>| match done {
        Ok(done) => context.printer.note(&done),
        Err(error) => {
            context.printer.warning(&error);
            failed.borrow_mut().get_or_insert(error);
        }
    };
    let names = context.names.list().unwrap_or_else(|error| {
        tell(Err(error));
        Vec::new()
    });
    let in_use = RefCell::new(Vec::new());
    let at_once = stream::iter(names).for_each_concurrent(AT_ONCE, async |(name, _)| match context
        .names
        .try_lock(&name)
    {
        Ok(Some(_lock)) => tell(stop_for_good(context, &name).await),
        Ok(None) => in_use.borrow_mut().push(name),
        Err(error) => tell(Err(error)),
    });
    at_once.await;
    let in_use = in_use.into_inner();
    let later = stream::iter(&in_use).for_each_concurrent(None, async |name| {
        tell(match context.names.lock(name, &context.cancel).await {
            Ok(_lock) => stop_for_good(context, name).await,
            Err(error) => Err(error),
        });
    });
    let hosts = async {
        match context.made_hosts(None).await {
            Ok(None) => {}
            Ok(Some(hosts)) => {
                for ended in hosts.end_all(&in_use, &context.cancel).await {
                    tell(ended.map(|name| format!("ended the host {name}")));
                }
            }
            Err(error) => tell(Err(error)),
        }
    };
    join(later, hosts).await;
    failed.into_inner().map_or(Ok(()), Err)
}

/// Stops a name that is locked, and deletes its host; says so.
async fn stop_for_good(context: &Context<'_>, name: &str) -> Result<String> {
    // Whoever had it locked before may have stopped it.
    if let Some(record) = context.names.read(name)? {
        let accelerator = context.accelerator(name, &record).await;
        // A machine that was named may be somebody else's: what is to become of it was said, and
        // those that were made here end with all others.
        if let Ok(accelerator) = &accelerator
            && !accelerator.names_instance()
        {
            accelerator.set_stop_mode(StopMode::Term);
        }
        stop(context, name, &record, &accelerator, Some(StopMode::Term)).await?;
    }
    Ok(format!("stopped {name}"))
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
        match earlier.session {
            Some(_) => accelerator.stop().await.map(drop)?,
            // What was left for later, or was named and not taken up, is nothing of it.
            None => accelerator.undo_start(false).await?,
        }
        context.tell_of_host(accelerator);
        tell_of_end(context, name, earlier);
        return Ok(());
    }
    replace(context, name, earlier).await;
    tell_of_end(context, name, earlier);
    end_left(context, name, earlier, None).await
}

/// Says that what a name stood for has ended, where it was started.
fn tell_of_end(context: &Context<'_>, name: &str, earlier: &Record) {
    if earlier.session.is_some() {
        let accelerator = &earlier.accelerator;
        context.printer.note(&format!("'{name}' was {accelerator}, which is stopped"));
    }
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
