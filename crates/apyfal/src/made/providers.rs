//! Who makes hosts.

use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Cancel, Configuration, Error, ErrorKind, Result};
use apyfal_hosts::{Lifecycle, Limits, ledger_of};
use apyfal_providers::{Aws, Provider, Sim};

use crate::known_hosts::KnownHosts;
use crate::surroundings::Surroundings;

/// The types of hosts that are made.
const PROVIDERS: [&str; 2] = [Aws::NAME, Sim::NAME];
/// At which step of the simulated cloud this process is killed, for tests.
const KILL_AT: &str = "APYFAL_SIM_KILL_AT";
/// The fact of an error that says who makes the host.
const PROVIDER: &str = "provider";

/// Whether this version makes hosts of a type.
pub(crate) fn makes(host_type: &str) -> bool {
    PROVIDERS.iter().any(|known| known.eq_ignore_ascii_case(host_type))
}

/// The hosts of a type, in a region where one is named, else where the configuration says.
///
/// # Errors
/// Nobody makes them, or what that one needs is missing.
pub(crate) fn lifecycle(
    host_type: &str,
    region: Option<&str>,
    configuration: &Configuration,
    surroundings: &Surroundings,
) -> Result<Lifecycle> {
    let home = surroundings.home().ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "there is no home directory")
            .operation("find the ledger of the hosts that are made")
            .hint("say where it is: HOME")
    })?;
    let mut limits = Limits::default();
    let provider: Arc<dyn Provider> = match host_type {
        sim if sim.eq_ignore_ascii_case(Sim::NAME) => {
            // It has nobody to spare.
            limits.pause = Duration::from_millis(50);
            let program = surroundings.program.clone().ok_or_else(|| {
                Error::new(ErrorKind::Configuration, "no binary 'apyfal' is known")
                    .operation("make a host of type sim")
                    .hint("a program passes in Surroundings::of_process()")
            })?;
            let kill_at = surroundings.environment.variable(KILL_AT);
            let kill_at = kill_at.and_then(|step| step.parse().ok());
            Arc::new(Sim::new(home.join(".apyfal/sim"), program).kill_at(kill_at))
        }
        aws if aws.eq_ignore_ascii_case(Aws::NAME) => {
            Arc::new(Aws::new(configuration, &surroundings.environment, region)?)
        }
        _ => {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("this version makes no hosts of type {host_type}"),
            )
            .hint("name a host that runs 'apyfal serve': host_ip")
            .hint("host_type = sim makes hosts of processes of this machine, to try it out"));
        }
    };
    let known = KnownHosts::below(home);
    Ok(Lifecycle::new(provider, ledger_of(home), limits).forgetting(Arc::new(move |url| {
        // It may have been forgotten, or be known by a name that somebody gave it.
        let _ = known.remove(url, &Cancel::default());
    })))
}

/// Says whose host an error is about.
pub(crate) fn of_provider(error: Error, host_type: &str) -> Error {
    match error.is_cancelled() || is_of_provider(&error) {
        true => error,
        false => error.context(PROVIDER, host_type),
    }
}

/// Whether an error is about a host that is made, and not about what is done there.
pub(crate) fn is_of_provider(error: &Error) -> bool {
    error.facts().iter().any(|(key, _)| key == PROVIDER)
}
