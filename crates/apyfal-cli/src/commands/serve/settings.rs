//! The settings of section `[serve]`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;

use apyfal::{Configuration, Result};
use apyfal_core::size;
use apyfal_server::{Lease, LeaseLimits, Limits};

use crate::commands::Context;
use crate::listen::address;
use crate::words::words;
use apyfal_core::{duration, limit};

const DEFAULT_LISTEN: &str = "127.0.0.1:8000";

/// Where to listen: as `given`, else as configured, else on loopback.
pub(super) fn addresses(
    given: Vec<String>,
    configuration: &Configuration,
) -> Result<Vec<SocketAddr>> {
    let mut listen = given;
    if listen.is_empty() {
        listen = configuration.section("serve").get_list("listen")?;
    }
    if listen.is_empty() {
        listen.push(DEFAULT_LISTEN.to_owned());
    }
    listen.iter().map(|text| address(text)).collect()
}

/// What clients may call this host.
pub(super) fn names(configuration: &Configuration) -> Result<Vec<String>> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let section = configuration.section("serve");
    let lines = section.get_list("names")?;
    let names =
        lines.iter().flat_map(|line| line.split([',', ' '])).filter(|name| !name.is_empty());
    let names = names.map(|name| match name.chars().all(is_of_name) {
        true => Ok(name.to_owned()),
        false => Err(section
            .error("names", format!("'{name}' is no name of a host"))
            .hint("give names as they stand in URLs, without scheme and port: host.example.org")),
    });
    names.collect()
}

/// What bounds the work of the host.
pub(super) fn limits(configuration: &Configuration) -> Result<Limits> {
    let default = Limits::default();
    let number = |text: &str| text.parse().ok();
    Ok(Limits {
        waiting: parsed(configuration, "max_waiting", number)?.unwrap_or(default.waiting),
        connections: parsed(configuration, "max_connections", number)?
            .filter(|count| *count > 0)
            .unwrap_or(default.connections),
        scratch: parsed(configuration, "scratch_quota", size)?.unwrap_or(default.scratch),
        results: parsed(configuration, "max_results", number)?.unwrap_or(default.results),
        result_ttl: parsed(configuration, "result_ttl", duration)?.unwrap_or(default.result_ttl),
        job_timeout: parsed(configuration, "job_timeout", duration)?,
        client_timeout: parsed(configuration, "client_timeout", duration)?
            .unwrap_or(default.client_timeout),
        take_timeout: parsed(configuration, "take_timeout", duration)?
            .unwrap_or(default.take_timeout),
    })
}

/// When the host is to end.
pub(crate) fn lease_limits(configuration: &Configuration) -> Result<LeaseLimits> {
    Ok(LeaseLimits {
        idle_timeout: parsed(configuration, "idle_timeout", limit)?.flatten(),
        max_lifetime: parsed(configuration, "max_lifetime", limit)?.flatten(),
    })
}

/// The lease of the host that serves from a directory.
pub(super) fn lease(
    data_dir: &Path,
    configuration: &Configuration,
    context: &Context<'_>,
) -> Result<Lease> {
    // Where the service manager makes one, it is there as long as the system runs.
    let memory = context.variable("RUNTIME_DIRECTORY").and_then(|paths| paths.split(':').next());
    let memory = memory.filter(|path| !path.is_empty()).map(Path::new);
    let (lease, written) = Lease::open(data_dir, memory, lease_limits(configuration)?);
    if let Err(error) = written {
        context.printer.warning(format!("{error}; it runs all the same"));
    }
    Ok(lease)
}

/// The command that ends this machine; empty where there is none.
pub(super) fn shutdown(configuration: &Configuration) -> Result<Vec<String>> {
    let section = configuration.section("serve");
    match section.get("shutdown_command")? {
        Some(text) => words(&text).map_err(|why| section.error("shutdown_command", why)),
        None => Ok(Vec::new()),
    }
}

/// How many threads the host has for its connections, where that is set.
pub(super) fn threads(configuration: &Configuration) -> Result<Option<NonZeroUsize>> {
    parsed(configuration, "threads", |text| text.parse().ok())
}

/// A setting that is no plain text.
fn parsed<T>(
    configuration: &Configuration,
    key: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>> {
    let section = configuration.section("serve");
    let Some(text) = section.get(key)? else { return Ok(None) };
    match read(text.trim()) {
        Some(value) => Ok(Some(value)),
        None => Err(section
            .error(key, format!("it cannot be '{text}'"))
            .hint("a number, with a unit where one fits: 500M or 64G bytes, 10s, 5m, 2h or 7d")),
    }
}
