//! The hosts that a configuration names.

use std::path::{Path, PathBuf};

use apyfal_core::{Configuration, Result, Secret};
use apyfal_tls::{Certificates, Trust, token};
use serde_json::Value;

use super::expand;
use crate::RemoteOptions;
use crate::known_hosts::{Certificate, KnownHosts, Pairing};

/// The settings of a host that prove a client and it to each other.
pub const PROOFS: [&str; 4] = ["token", "token_file", "fingerprint", "ssl_cert_crt"];
/// The certificate that a client of the original made and its hosts used, below the home directory.
const SHARED_CERTIFICATE: &str = ".ssh/ApyfalCertificate.crt";

/// The hosts that the configuration names, and how to use them. None where jobs run on this machine.
///
/// Each is named by its address, or by what [`KnownHosts`] of the user call it. What the
/// configuration does not say of a host that is known is what is known of it. `home` is the home
/// directory of the user: also for the certificate that hosts of the original used to share.
///
/// # Errors
/// The section is wrong, or a file that it names cannot be read.
pub fn hosts(configuration: &Configuration, home: Option<&Path>) -> Result<Vec<RemoteOptions>> {
    let mut given = pairings(configuration)?;
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let known = home.map(KnownHosts::below);
    let known = known.as_ref().map(KnownHosts::all).transpose()?;
    let trusted = read_once(&mut given, home)?;
    let mut shared = None;
    let mut hosts = Vec::new();
    for given in given {
        let is_pinned = given.fingerprint.is_some();
        let pairing = match &known {
            Some(known) => known.completed(given)?,
            None => given,
        };
        // What is no name of a host that is known is taken for that of a machine.
        let is_mistaken = KnownHosts::is_name(&pairing.url);
        let advice =
            known.as_ref().filter(|_| is_mistaken).and_then(|known| known.advice(&pairing.url));
        let mut options = RemoteOptions { advice, ..pairing.options(home)? };
        if let Some(trust) = trusted.as_ref().filter(|_| !is_pinned) {
            (options.trust, options.plain) = (Some(trust.clone()), false);
        }
        if options.trust.is_none() && !options.plain {
            if shared.is_none() {
                shared = Some(shared_certificate(home)?);
            }
            options.trust = shared.clone().flatten();
        }
        hosts.push(options);
    }
    Ok(hosts)
}

/// Forgets what proves other hosts than the one at an address, before that one is set by a caller: it is
/// not for this one, least of all the token.
///
/// # Errors
/// The configuration cannot be interpolated.
pub fn forget_other_hosts(configuration: &mut Configuration, address: &str) -> Result<()> {
    let kind = configuration.section("host").get("host_type")?.unwrap_or_default();
    for section in ["host".to_owned(), format!("host.{kind}")] {
        let configured = configuration.section(&section).get("host_ip")?;
        if configured.is_some_and(|configured| configured != address) {
            for key in PROOFS {
                configuration.unset("host", key);
            }
        }
    }
    Ok(())
}

/// Reads the token and the certificate of all hosts, where files hold them: once, for they may be
/// pipes. Returns the certificate.
fn read_once(given: &mut [Pairing], home: Option<&Path>) -> Result<Option<Trust>> {
    let Some(first) = given.first() else { return Ok(None) };
    let file = |path: &Path| expand(&path.to_string_lossy(), home);
    let token = first.token_file.as_deref().map(|path| token::load(&file(path))).transpose()?;
    let trusted = match &first.certificate {
        Some(Certificate::File(path)) => Some(Certificates::load(&file(path))?),
        Some(Certificate::None) | None => None,
    };
    for host in given {
        host.token_file = None;
        host.token = host.token.take().or_else(|| token.clone());
        host.certificate.take_if(|certificate| *certificate != Certificate::None);
    }
    Ok(trusted.map(Trust::Certificates))
}

/// What a configuration itself says of the hosts that it names: `host_ip` of section `[host]`,
/// several with commas in between.
///
/// `token` and `fingerprint` are those of all hosts, or one for each.
///
/// # Errors
/// The section is wrong.
pub fn pairings(configuration: &Configuration) -> Result<Vec<Pairing>> {
    let kind = configuration.section("host").get("host_type")?.unwrap_or_default();
    let name = if kind.is_empty() { "host".to_owned() } else { format!("host.{kind}") };
    let section = configuration.section(&name);
    let urls = words(section.get("host_ip")?);
    let each = |key: &str| -> Result<Vec<Option<String>>> {
        let values = words(section.get(key)?);
        match values.len() {
            0 => Ok(vec![None; urls.len()]),
            1 => Ok(vec![values.into_iter().next(); urls.len()]),
            count if count == urls.len() => Ok(values.into_iter().map(Some).collect()),
            count => Err(section
                .error(key, format!("it has {count} values for {} hosts", urls.len()))
                .hint("give one for all hosts, or one for each")),
        }
    };
    if urls.is_empty() {
        return Ok(Vec::new());
    }
    let (tokens, fingerprints) = (each("token")?, each("fingerprint")?);
    let token_file = match section.get("token_file")? {
        Some(path) if tokens.iter().all(Option::is_none) => Some(PathBuf::from(path)),
        _ => None,
    };
    let certificate = match section.get_literal("ssl_cert_crt")? {
        Some(Value::Bool(false)) => Some(Certificate::None),
        Some(Value::String(path)) => Some(Certificate::File(path.into())),
        None | Some(Value::Null) => None,
        Some(other) => {
            return Err(section.error("ssl_cert_crt", format!("it cannot be {other}")));
        }
    };
    let pairings = urls.into_iter().zip(tokens).zip(fingerprints);
    let pairings = pairings.map(|((url, token), fingerprint)| {
        Ok(Pairing {
            url,
            token: token.map(Secret::new),
            token_file: token_file.clone(),
            fingerprint: fingerprint.map(|text| text.parse()).transpose()?,
            certificate: certificate.clone(),
        })
    });
    pairings.collect()
}

fn shared_certificate(home: Option<&Path>) -> Result<Option<Trust>> {
    let shared = home.map(|home| home.join(SHARED_CERTIFICATE));
    let shared = shared.filter(|path| path.exists());
    shared.map(|path| Certificates::load(&path).map(Trust::Certificates)).transpose()
}

/// Texts with commas in between.
fn words(text: Option<String>) -> Vec<String> {
    let text = text.unwrap_or_default();
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}
