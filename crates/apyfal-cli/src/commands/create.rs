//! `apyfal create`: remember an accelerator by a name.

use std::path::Path;

use apyfal::configuration::PROOFS;
use apyfal::names::Record;
use apyfal::{Configuration, Error, ErrorKind, Machine, Pairing, Result};
use clap::Args;
use serde_json::{Map, Value};

use crate::commands::{Context, Name, host, host_settings, provide};
use crate::paths::{is_read_once, remembered};

/// Settings that need a value.
const VALUED: [&str; 4] = ["host_ip", "token", "token_file", "fingerprint"];

/// Remember an accelerator and its settings by a name, for start, process and stop. What the name stood
/// for before is stopped.
///
/// Every further `--key value` is a setting of the host, such as `--host_ip`: the name of a host that
/// 'apyfal host list' shows, or an address. What is given to reach it by, such as `--token` and
/// `--fingerprint`, is known from then on.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    name: Name,
    /// The accelerator.
    #[arg(long, short)]
    accelerator: String,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<()> {
    let name = arguments.name.name;
    let mut host = context.take_parameters().literal(host_settings::is_text);
    if let Some(key) = VALUED.iter().find(|key| host.get(**key) == Some(&Value::Bool(true))) {
        return Err(Error::new(ErrorKind::Usage, format!("'--{key}' needs a value")));
    }
    host_settings::check(host.keys())?;
    let pairings = given(&host)?;
    for key in ["token_file", "ssl_cert_crt"] {
        if let Some(Value::String(path)) = host.get_mut(key) {
            *path = remembered(path)?;
        }
    }
    let has_host = host.get("host_ip").is_some_and(|value| !value.is_null());
    let config = match arguments.config {
        Some(config) => Some(remembered_config(&config)?),
        None => found_config(context)?,
    };
    if !has_host {
        let mut configuration = context.configuration(config.as_deref()).await?;
        check_provider(&host, &configuration)?;
        for (key, value) in &host {
            configuration.set_value("host", key, value);
        }
        // First: where it is not to run here, nothing is installed.
        if context.chosen(&configuration)?.is_here() {
            provide::provide(&arguments.accelerator, &configuration, context).await?;
        }
    }
    let mut record = Record { accelerator: arguments.accelerator, config, host, session: None };
    let accelerator = context.accelerator(&name, &record).await?;
    record.accelerator = accelerator.called(&context.cancel).await?;
    if !pairings.is_empty() && context.surroundings.environment.home.is_some() {
        let known = context.known_hosts()?;
        for pairing in pairings {
            known.remember(known.completed(pairing)?, &context.cancel)?;
        }
        // It is kept in one place, where it can be renewed.
        record.host.retain(|key, _| !PROOFS.contains(&key.as_str()));
    }

    let _lock = context.names.lock(&name, &context.cancel).await?;
    // A name stands for one accelerator: an earlier one ends.
    match context.names.read(&name) {
        Ok(Some(earlier)) => super::stop::end_for_another(context, &name, &earlier).await?,
        Ok(None) => {}
        Err(error) => context.printer.warning(error),
    }
    context.names.forget(&name)?;
    context.names.write(&name, &record)
}

/// Checks that somebody makes the host that is asked for, or that this machine is it.
fn check_provider(host: &Map<String, Value>, configuration: &Configuration) -> Result<()> {
    let given = |key: &str| host.get(key).filter(|value| !value.is_null() && !is_localhost(value));
    let configured = configuration.section("host").get("host_type")?;
    let host_type = given("host_type").and_then(Value::as_str).or(configured.as_deref());
    if host_type.is_some_and(apyfal::hosts::is_made) {
        return Ok(());
    }
    if given("host_type").is_some() && !Machine::default().is_host() {
        return Err(Error::new(ErrorKind::Usage, "this version makes no such hosts")
            .operation("use '--host_type'")
            .hint("leave it out to run on this machine")
            .hint("name a host that runs 'apyfal serve': --host_ip")
            .hint("or have one made: --host_type AWS, or sim, a process of this machine"));
    }
    if given("instance_id").is_some() {
        let why = "nothing says whose machine it is: no host_type is named";
        return Err(Error::new(ErrorKind::Usage, why)
            .operation("use '--instance_id'")
            .hint("name it: --host_type AWS, and the region")
            .hint("a machine of nobody's cloud is used by its address: --host_ip"));
    }
    Ok(())
}

fn is_localhost(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("localhost"))
}

/// What is given of the hosts.
fn given(host: &Map<String, Value>) -> Result<Vec<Pairing>> {
    let mut configuration = Configuration::default();
    for (key, value) in host {
        configuration.set_value("host", key, value);
    }
    apyfal::configuration::pairings(&configuration)?.into_iter().map(host::kept).collect()
}

/// The configuration file where none is named, if that depends on where this runs: the commands that follow
/// read the same, wherever they run.
pub(crate) fn found_config(context: &Context<'_>) -> Result<Option<String>> {
    let found = apyfal::configuration::found(&context.surroundings.environment);
    let found = found.filter(|file| file != "-" && !is_read_once(Path::new(file)));
    found.map(|file| remembered(&file)).transpose()
}

/// The configuration file, which is read again by the commands that follow.
fn remembered_config(config: &str) -> Result<String> {
    if config == "-" || is_read_once(Path::new(config)) {
        return Err(Error::new(ErrorKind::Usage, "it can be read only once")
            .operation(format!("remember the configuration '{config}'"))
            .hint("save it to a file, and name that"));
    }
    remembered(config)
}
