//! `apyfal logs`: what a host and its jobs said.

use std::time::Duration;

use apyfal::{Configuration, ErrorKind, Remote, RemoteOptions, Result};
use apyfal_api::v1::date;
use apyfal_api::v2::LogLine;
use apyfal_core::one_line;
use clap::Args;

use crate::commands::{Context, HostArguments};
use crate::here;

/// How long a host waits for a line before it answers that there is none.
const WAIT: Duration = Duration::from_secs(20);
/// The same for the lines of a job, which is looked at meanwhile.
const JOB_WAIT: Duration = Duration::from_secs(1);

/// Show what a host and the programs of its jobs said.
///
/// Without a host in the configuration it is the one on this machine. Hosts keep the latest lines
/// since their start.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// A host, as --host_ip names it, or the id of a job: what is no name of 'apyfal host list' and
    /// has neither ':' nor '.' is an id.
    #[arg(value_name = "HOST|JOB")]
    target: Option<String>,
    /// Go on with what is said from now on; of a job, until it ends.
    #[arg(long, short)]
    follow: bool,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
    #[command(flatten)]
    host: HostArguments,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let (host, job) = match arguments.target {
        Some(target) if is_host(&target, context) => (arguments.host.or_at(Some(target)), None),
        job => (arguments.host, job),
    };
    let configuration = context.configuration_with(arguments.config.as_deref(), host).await?;
    let hosts = hosts(&configuration, context)?;
    let shows_host = hosts.len() > 1;
    let said = hosts.into_iter().map(|options| {
        let job = job.as_deref();
        async move {
            let host = Remote::new(options)?;
            Said { prefix: shows_host.then(|| host.url()), host, job, context }
                .show(arguments.follow)
                .await
        }
    });
    let shown = context.cancel.or_cancelled(futures::future::try_join_all(said)).await;
    match shown {
        // Following has no other end.
        Err(error) if arguments.follow && error.is_cancelled() => Ok(()),
        shown => shown.map(drop),
    }
}

/// Whether hosts are named: by addresses, or as they are known.
fn is_host(target: &str, context: &Context<'_>) -> bool {
    let is_known = |name: &str| {
        let known = context.known_hosts().and_then(|known| known.find(name));
        known.is_ok_and(|host| host.is_some())
    };
    target.split(',').all(|host| host.contains([':', '.']) || host == "localhost" || is_known(host))
}

/// The hosts of the configuration, or the one on this machine.
fn hosts(configuration: &Configuration, context: &Context<'_>) -> Result<Vec<RemoteOptions>> {
    let named = context.hosts(configuration)?;
    if !named.is_empty() {
        return Ok(named);
    }
    let data_dir = here::data_dir(None, configuration, context.surroundings.home())?;
    Ok(vec![here::find(&data_dir)?])
}

/// What one host or one of its jobs said.
struct Said<'a> {
    host: Remote,
    job: Option<&'a str>,
    /// What tells it from that of other hosts.
    prefix: Option<String>,
    context: &'a Context<'a>,
}

impl Said<'_> {
    async fn show(&self, follow: bool) -> Result<()> {
        let mut before = None;
        loop {
            // Looked at before the lines, so that none is missed of a job that ended.
            let (has_ended, unknown) = match self.job {
                Some(job) => match self.host.job(job).await {
                    Ok(job) => (job.state.is_final(), None),
                    // Not every plain job is recorded, but what it said is kept all the same.
                    Err(error) if error.kind() == ErrorKind::NotFound => (true, Some(error)),
                    Err(error) => return Err(error),
                },
                None => (false, None),
            };
            let wait = match self.job {
                _ if !follow || has_ended => Duration::ZERO,
                Some(_) => JOB_WAIT,
                None => WAIT,
            };
            let said = self.host.logs(before.as_ref(), self.job, wait).await?;
            if before.is_none()
                && said.lines.is_empty()
                && let Some(unknown) = unknown
            {
                return Err(unknown);
            }
            for line in &said.lines {
                self.context.printer.result(&self.text(line))?;
            }
            if !follow || has_ended && said.lines.is_empty() {
                return Ok(());
            }
            before = Some(said);
        }
    }

    fn text(&self, line: &LogLine) -> String {
        if self.context.printer.json() {
            return serde_json::to_string(line).unwrap_or_default();
        }
        let time = date(line.time);
        let time = time.split('.').next().unwrap_or_default();
        let who = line.job.as_deref().unwrap_or("host");
        let prefix = self.prefix.as_ref().map(|host| format!("{host} ")).unwrap_or_default();
        format!("{prefix}{time}Z {who}: {}", one_line(&line.text, usize::MAX))
    }
}
