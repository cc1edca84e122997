//! The hosts that a configuration names.

use std::path::Path;

use apyfal_core::{Configuration, Result, Secret};
use apyfal_tls::{Certificates, Trust};
use serde_json::Value;

use super::expand;
use crate::RemoteOptions;

/// The certificate that a client of the original made and its hosts used, below the home directory.
const SHARED_CERTIFICATE: &str = ".ssh/ApyfalCertificate.crt";

/// The hosts that the configuration names: `host_ip` of section `[host]`, several with commas in
/// between. None where jobs run on this machine.
///
/// `token` and `fingerprint` are those of all hosts, or one for each. `home` is where the
/// certificate is looked for that hosts of the original used to share.
///
/// # Errors
/// The section is wrong, or a file that it names cannot be read.
pub fn hosts(configuration: &Configuration, home: Option<&Path>) -> Result<Vec<RemoteOptions>> {
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
    let from_file = match section.get("token_file")? {
        Some(path) if tokens.iter().all(Option::is_none) => {
            Some(apyfal_tls::token::load(&expand(&path, home))?)
        }
        _ => None,
    };
    let (mut plain, mut certificates) = (false, None);
    match section.get_literal("ssl_cert_crt")? {
        Some(Value::Bool(false)) => plain = true,
        Some(Value::String(path)) => {
            certificates = Some(Trust::Certificates(Certificates::load(&expand(&path, home))?));
        }
        None | Some(Value::Null) => {
            let shared = home.map(|home| home.join(SHARED_CERTIFICATE));
            if let Some(shared) = shared.filter(|path| path.exists()) {
                certificates = Some(Trust::Certificates(Certificates::load(&shared)?));
            }
        }
        Some(other) => {
            return Err(section.error("ssl_cert_crt", format!("it cannot be {other}")));
        }
    }
    let options = urls.into_iter().zip(tokens).zip(fingerprints);
    let options = options.map(|((url, token), fingerprint)| {
        let pinned = fingerprint.map(|text| text.parse().map(Trust::Pinned)).transpose()?;
        Ok(RemoteOptions {
            token: token.map(Secret::new).or_else(|| from_file.clone()),
            trust: pinned.or_else(|| certificates.clone()),
            plain,
            ..RemoteOptions::new(url)
        })
    });
    options.collect()
}

/// Texts with commas in between.
fn words(text: Option<String>) -> Vec<String> {
    let text = text.unwrap_or_default();
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}
