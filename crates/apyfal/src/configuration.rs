//! From `accelerator.conf` to what is made of it: accelerators, storages and parameters.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apyfal_core::{
    Configuration, EngineInfo, Error, ErrorKind, JobParameters, Result, Secret, config::read_value,
};
use apyfal_engines::Registry;
use apyfal_engines::exec::{Declaration, Exec};
use apyfal_storage::{AuthorizedDirs, Location, MountOptions, Storage, mounts_from_sections};
use apyfal_tls::{Certificates, Trust};
use serde_json::{Map, Value};

use crate::RemoteOptions;
use crate::call::read_parameters;

/// A configuration file is refused beyond this many bytes.
const FILE_LIMIT: usize = 64 << 20;
/// The variable that names the configuration file.
const FILE_VARIABLE: &str = "APYFAL_CONFIG_FILE";
const FILE_NAME: &str = "accelerator.conf";
/// The certificate that a client of the original made and its hosts used, below the home directory.
const SHARED_CERTIFICATE: &str = ".ssh/ApyfalCertificate.crt";

/// The surroundings of a process that configuration depends on.
///
/// The library never looks at them by itself; a program passes them in at its edge.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The environment variables.
    pub variables: Vec<(String, String)>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
}

impl Environment {
    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Reads the configuration: `explicit` (a path or any storage URL), else the file that
/// `APYFAL_CONFIG_FILE` names, else `./accelerator.conf`, else `~/accelerator.conf`, else nothing.
/// Variables `APYFAL__SECTION__KEY` go before the file.
///
/// # Errors
/// A file that was named cannot be read, or a file is wrong; the error has its line.
pub async fn load(explicit: Option<&str>, environment: &Environment) -> Result<Configuration> {
    let named = explicit.or_else(|| environment.variable(FILE_VARIABLE));
    let mut configuration = match named {
        Some(url) => read_named(url).await?,
        None => read_default(environment)?,
    };
    let variables = environment.variables.iter();
    configuration.apply_environment(variables.map(|(key, value)| (key.as_str(), value.as_str())));
    Ok(configuration)
}

async fn read_named(url: &str) -> Result<Configuration> {
    let location = Location::parse(url)?;
    let reading = |error: Error| {
        let named = Error::new(ErrorKind::Configuration, error.message())
            .operation(format!("read the configuration '{location}'"));
        error.hints().iter().fold(named, |named, hint| named.hint(hint))
    };
    let text = Storage::new().read(&location, FILE_LIMIT).await.map_err(reading)?;
    Configuration::parse(&text, &location.to_string())
}

fn read_default(environment: &Environment) -> Result<Configuration> {
    let here = PathBuf::from(FILE_NAME);
    let at_home = environment.home.as_ref().map(|home| home.join(FILE_NAME));
    for path in std::iter::once(here).chain(at_home) {
        match std::fs::read(&path) {
            Ok(text) => return Configuration::parse(&text, &path.to_string_lossy()),
            Err(error) if is_absent(&error) => {}
            Err(error) => {
                return Err(Error::new(ErrorKind::Configuration, Error::from(error).to_string())
                    .operation(format!("read the configuration '{}'", path.display())));
            }
        }
    }
    Ok(Configuration::default())
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The accelerators: the built-in ones, and those that the configuration declares.
///
/// A declaration that is wrong is an error for who asks for that accelerator, and for no other.
///
/// # Errors
/// The configuration cannot be interpolated.
pub fn registry(configuration: &Configuration) -> Result<Registry> {
    let mut registry = Registry::default();
    for name in configuration.subsections("accelerator") {
        let section = configuration.section(&format!("accelerator.{name}"));
        let mut values = Map::new();
        for (key, text) in section.entries()? {
            values.insert(key.to_owned(), read_value(&text));
        }
        match Declaration::new(name, &values) {
            Ok(declaration) => {
                registry.add(Arc::new(Exec::new(declaration, lock_directory())));
            }
            Err(error) => registry.add_broken(name, error),
        }
    }
    Ok(registry)
}

/// Where all users of a machine meet to share what is exclusive on it: `/run/lock`, where that
/// belongs to all as Debian has it, else the directory for temporary files. Root comes too where
/// the others do, so what counts is not what this user may do.
fn lock_directory() -> PathBuf {
    let machine = Path::new("/run/lock");
    match std::fs::metadata(machine) {
        Ok(found) if found.is_dir() && found.mode() & 0o1777 == 0o1777 => machine.to_owned(),
        _ => std::env::temp_dir(),
    }
}

/// The storages of the configuration: each `[storage…]` section, and those of configured hosts.
///
/// `home` is what `~` stands for in `authorized_host_dirs`.
///
/// # Errors
/// A section is wrong.
pub fn storage(configuration: &Configuration, home: Option<&Path>) -> Result<Storage> {
    let mut sections = Vec::new();
    for name in configuration.section_names() {
        if name != "storage" && !name.starts_with("storage.") {
            continue;
        }
        let section = configuration.section(name);
        let mut values = BTreeMap::new();
        for key in MountOptions::KEYS {
            if let Some(value) = section.get(key)? {
                values.insert(key.to_owned(), value);
            }
        }
        sections.push((name.to_owned(), values));
    }
    // Sections inherit from those of their host already; a kind without any does here.
    let inherited = |kind: &str, key: &str| {
        configuration.section(&format!("storage.{kind}")).get(key).ok().flatten()
    };
    let storage = Storage::for_host(authorized(configuration, home)?);
    for (name, options) in mounts_from_sections(sections, inherited)? {
        storage.mount(&name, options)?;
    }
    Ok(storage)
}

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

/// A path that may begin with `~`.
fn expand(text: &str, home: Option<&Path>) -> PathBuf {
    match (text.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            home.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(text),
    }
}

/// The directories that `host://` may reach.
fn authorized(configuration: &Configuration, home: Option<&Path>) -> Result<AuthorizedDirs> {
    let mut directories = configuration.section("security").get_list("authorized_host_dirs")?;
    if directories.is_empty() && home.is_some() {
        directories.push("~/shared".to_owned());
    }
    Ok(AuthorizedDirs::new(directories.iter().map(|text| expand(text, home))))
}

/// The default parameters of `start` (section `configuration`) or `process` for an accelerator.
pub(crate) async fn parameters(
    configuration: &Configuration,
    section: &str,
    info: &EngineInfo,
    storage: &Storage,
) -> Result<JobParameters> {
    let names: Vec<&str> =
        std::iter::once(&info.name).chain(&info.aliases).map(AsRef::as_ref).collect();
    let mut specific = configuration.parameters(section, &names)?;
    // What stands in the section for all accelerators need not suit this one.
    let general = configuration.parameters(section, &[])?;
    specific.retain(|key, value| {
        info.params.iter().any(|spec| spec.is_for(key)) || general.get(key) != Some(value)
    });
    let mut parameters = JobParameters::specific(specific);
    let named = names.iter().map(|name| format!("{section}.{name}"));
    for name in named.chain([section.to_owned()]) {
        if let Some(full) = configuration.section(&name).get_literal("parameters")? {
            let mut merged = read_parameters(full, storage).await?;
            std::mem::swap(&mut merged, &mut parameters);
            parameters.merge(merged);
            break;
        }
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use apyfal_core::config::schema;

    use super::*;

    #[test]
    fn what_is_known_is_what_is_read() {
        for (section, read) in
            [("storage", &MountOptions::KEYS[..]), ("accelerator", &Declaration::KEYS[..])]
        {
            let known = schema::section(section).unwrap().keys.iter().map(|key| key.name);
            let read: BTreeSet<_> = read.iter().copied().collect();
            assert_eq!(known.collect::<BTreeSet<_>>(), read, "[{section}]");
        }
    }
}
