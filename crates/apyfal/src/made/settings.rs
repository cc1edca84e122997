//! What a host is made by: the provider, and what the configuration says of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Configuration, Error, ErrorKind, Result, limit};
use apyfal_hosts::user_data::without_secrets;
use apyfal_hosts::{FirstContact, Ledger, Lifecycle, Limits, StopMode, host_name, ledger_of};
use apyfal_providers::{AtShutdown, HostSpec, Provider, Sim};
use apyfal_tls::Identity;
use serde_json::{Value, json};

use crate::configuration::expand;
use crate::surroundings::Surroundings;

/// Who makes hosts.
pub(crate) const PROVIDERS: [&str; 1] = [Sim::NAME];
/// How long a host lives without jobs and clients, and in all, where nobody says so.
const IDLE: Duration = Duration::from_secs(30 * 60);
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// At which step of the simulated cloud this process is killed, for tests.
const KILL_AT: &str = "APYFAL_SIM_KILL_AT";

/// What the configuration says of a host that is to be made.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) stop_mode: StopMode,
    prefix: Option<String>,
    instance_type: Option<String>,
    image: Option<String>,
    idle_timeout: Option<Duration>,
    max_lifetime: Option<Duration>,
    identity: Option<Identity>,
    /// What is sent to it.
    configuration: Option<Configuration>,
}

impl Settings {
    pub(crate) fn of(configuration: &Configuration, home: &Path) -> Result<Self> {
        let kind = configuration.section("host").get("host_type")?.unwrap_or_default();
        let section = configuration.section(&format!("host.{kind}"));
        let time = |key: &str, default: Duration| match section.get(key)? {
            None => Ok(Some(default)),
            Some(text) => limit(text.trim()).ok_or_else(|| {
                section
                    .error(key, format!("it cannot be '{text}'"))
                    .hint("a duration such as 30m or 12h, or none")
            }),
        };
        let stop_mode = match section.get("stop_mode")? {
            None => StopMode::Term,
            Some(text) => stop_mode(text.trim())
                .map_err(|error| section.error("stop_mode", error.message().to_owned()))?,
        };
        let file = |key: &str| match section.get_literal(key) {
            Ok(Some(Value::String(path))) => Ok(Some(expand(&path, Some(home)))),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        };
        let identity = match (file("ssl_cert_crt")?, file("ssl_cert_key")?) {
            (Some(certificate), Some(key)) => Some(Identity::load(&certificate, &key)?),
            _ => None,
        };
        let sent = match section.get_literal("init_config")? {
            Some(Value::Bool(true)) => Some(without_secrets(configuration)),
            Some(Value::String(path)) => {
                let path = expand(&path, Some(home));
                let text = std::fs::read(&path).map_err(|error| {
                    Error::from(error).operation(format!("read init_config '{}'", path.display()))
                })?;
                Some(Configuration::parse(&text, &path.display().to_string())?)
            }
            _ => None,
        };
        Ok(Self {
            stop_mode,
            prefix: section.get("host_name_prefix")?,
            instance_type: section.get("instance_type")?,
            image: section.get("image_id")?,
            idle_timeout: time("idle_timeout", IDLE)?,
            max_lifetime: time("max_lifetime", LIFE)?,
            identity,
            configuration: sent,
        })
    }

    /// What tells hosts apart that are made without a name: who asks for the same may take over one
    /// whose process died.
    pub(crate) fn wish(&self, host_type: &str, accelerator: &str) -> String {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
        let times = [seconds(self.idle_timeout), seconds(self.max_lifetime)];
        let shows = self.identity.as_ref().map(|identity| identity.fingerprint().to_string());
        json!([host_type, accelerator, self.prefix, self.instance_type, self.image, times, shows])
            .to_string()
    }

    /// A new host, with all that it is asked for with.
    pub(crate) fn wanted(
        &self,
        accelerator: &str,
        ledger: &Ledger,
    ) -> Result<(HostSpec, FirstContact)> {
        let contact = FirstContact::new(self.identity.clone(), self.configuration.as_ref())?;
        let files = contact.files().map(|(name, text)| (name.to_owned(), text));
        let spec = HostSpec {
            name: host_name(self.prefix.as_deref(), accelerator),
            accelerator: accelerator.to_owned(),
            installation: ledger.installation()?,
            instance_type: self.instance_type.clone(),
            image: self.image.clone(),
            at_shutdown: match self.stop_mode {
                StopMode::Stop => AtShutdown::Stop,
                StopMode::Term | StopMode::Keep => AtShutdown::Terminate,
            },
            idle_timeout: self.idle_timeout,
            max_lifetime: self.max_lifetime,
            files: files.into(),
        };
        Ok((spec, contact))
    }
}

/// A stop mode, as users write it: also by the numbers of the original.
pub(crate) fn stop_mode(text: &str) -> Result<StopMode> {
    let mode = match text {
        "0" => Some(StopMode::Term),
        "1" => Some(StopMode::Stop),
        "2" => Some(StopMode::Keep),
        word => StopMode::from_word(&word.to_ascii_lowercase()),
    };
    mode.ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("a stop mode cannot be '{text}'"))
            .hint("it is term, stop or keep")
    })
}

/// Whether this version makes hosts of a type.
pub(crate) fn makes(host_type: &str) -> bool {
    PROVIDERS.iter().any(|known| known.eq_ignore_ascii_case(host_type))
}

/// Who makes hosts of a type.
fn provider(host_type: &str, surroundings: &Surroundings) -> Result<Option<Arc<dyn Provider>>> {
    if !makes(host_type) {
        return Ok(None);
    }
    let (Some(home), Some(program)) = (surroundings.home(), &surroundings.program) else {
        return Err(Error::new(ErrorKind::Configuration, "no binary 'apyfal' is known")
            .operation("make a host of type sim")
            .hint("a program passes in Surroundings::of_process()"));
    };
    let kill_at = surroundings.environment.variable(KILL_AT).and_then(|step| step.parse().ok());
    let sim = Sim::new(home.join(".apyfal/sim"), program.clone()).kill_at(kill_at);
    Ok(Some(Arc::new(sim)))
}

/// The hosts of a type.
///
/// # Errors
/// Nobody makes them, or what that one needs is missing.
pub(crate) fn lifecycle(host_type: &str, surroundings: &Surroundings) -> Result<Lifecycle> {
    let (Some(provider), Some(home)) = (provider(host_type, surroundings)?, surroundings.home())
    else {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("this version makes no hosts of type {host_type}"),
        )
        .hint("name a host that runs 'apyfal serve': host_ip")
        .hint("host_type = sim makes hosts of processes of this machine, to try it out"));
    };
    let mut limits = Limits::default();
    if provider.info().name == Sim::NAME {
        // It has nobody to spare.
        limits.pause = Duration::from_millis(50);
    }
    Ok(Lifecycle::new(provider, ledger_of(home), limits))
}
