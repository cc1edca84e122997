//! From `accelerator.conf` to what is made of it: accelerators, hosts, storages and parameters.

mod hosts;
mod paths;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use apyfal_core::Environment;
use apyfal_core::{AcceleratorInfo, Configuration, Error, ErrorKind, JobParameters, Result};
use apyfal_engines::Registry;
use apyfal_engines::exec::{Declaration, Exec};
use apyfal_package::Store;
use apyfal_package::signature::PublicKey;
use apyfal_storage::{
    AllowedNetworks, AuthorizedDirs, Location, MountOptions, Storage, StorageType,
    mounts_from_sections,
};
use serde_json::Map;

use crate::call::read_parameters;
use crate::package::trusted_keys;
use crate::{Devices, catalog};

pub use hosts::{PROOFS, forget_other_hosts, hosts, pairings};

/// A configuration file is refused beyond this many bytes.
const FILE_LIMIT: usize = 64 << 20;
/// The variable that names the configuration file.
const FILE_VARIABLE: &str = "APYFAL_CONFIG_FILE";
const FILE_NAME: &str = "accelerator.conf";

/// Reads the configuration: `explicit` (a path or any storage URL), else the file that
/// `APYFAL_CONFIG_FILE` names, else `./accelerator.conf`, else `~/accelerator.conf`, else nothing.
/// Variables `APYFAL__SECTION__KEY` go before the file.
///
/// A relative path in the file is looked for beside it, then, with a warning, in the working
/// directory, as the original did.
///
/// # Errors
/// A file that was named cannot be read, or a file is wrong; the error has its line.
pub async fn load(explicit: Option<&str>, environment: &Environment) -> Result<Configuration> {
    let named = explicit.or_else(|| environment.variable(FILE_VARIABLE));
    let mut configuration = match named {
        Some(url) => Box::pin(read_named(url, environment)).await?,
        None => read_default(environment)?,
    };
    let variables = environment.variables.iter();
    configuration.apply_environment(variables.map(|(key, value)| (key.as_str(), value.as_str())));
    Ok(configuration)
}

/// The file that [`load`] reads where none is named, as far as that depends on more than whose process it is: the
/// one that `APYFAL_CONFIG_FILE` names, else `./accelerator.conf` where it is there.
pub fn found(environment: &Environment) -> Option<String> {
    let named = environment.variable(FILE_VARIABLE).map(str::to_owned);
    named.or_else(|| Path::new(FILE_NAME).exists().then(|| FILE_NAME.to_owned()))
}

async fn read_named(url: &str, environment: &Environment) -> Result<Configuration> {
    let location = Location::parse(url)?;
    let reading = |error: Error| {
        let operation = format!("read the configuration '{location}'");
        error.with_kind(ErrorKind::Configuration).without_operation().operation(operation)
    };
    let storage = Storage::new().with_environment(environment.clone());
    let text = storage.read(&location, FILE_LIMIT).await.map_err(reading)?;
    let mut configuration = Configuration::parse(&text, &location.to_string())?;
    if let Location::File(path) = &location {
        paths::place(&mut configuration, path);
    }
    Ok(configuration)
}

fn read_default(environment: &Environment) -> Result<Configuration> {
    let here = PathBuf::from(FILE_NAME);
    let at_home = environment.home.as_ref().map(|home| home.join(FILE_NAME));
    for path in std::iter::once(here).chain(at_home) {
        match std::fs::read(&path) {
            Ok(text) => {
                let mut configuration = Configuration::parse(&text, &path.to_string_lossy())?;
                paths::place(&mut configuration, &path);
                return Ok(configuration);
            }
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

/// The accelerators: the built-in ones, those of installed packages, and those that the
/// configuration declares. Of several with one name, the later in this order is meant.
///
/// A declaration or package that is wrong is an error for who asks for that accelerator, and for no
/// other. So is a package that none of the keys signed that the configuration trusts, where it has
/// any. `home` is what `~` stands for in their paths.
///
/// # Errors
/// The configuration cannot be interpolated.
pub fn registry(
    configuration: &Configuration,
    packages: &[Store],
    devices: &Devices,
    home: Option<&Path>,
) -> Result<Registry> {
    let mut registry = Registry::default();
    let (declared, keys) =
        (configuration.subsections("accelerator"), trusted_keys(configuration, home));
    let served = configuration.section("serve");
    let fpga_image = served.get("accelerator")?.zip(served.get("fpgaimage")?);
    for packages in packages {
        add_packages(&mut registry, packages, devices, &declared, fpga_image.as_ref(), &keys);
    }
    for name in configuration.subsections("accelerator") {
        let section = configuration.section(&format!("accelerator.{name}"));
        let read =
            |(key, _): (&str, _)| Ok((key.to_owned(), section.get_json(key)?.unwrap_or_default()));
        let values: Result<Map<_, _>> = section.entries()?.into_iter().map(read).collect();
        match values.and_then(|values| Declaration::new(name, &values)) {
            Ok(declaration) => {
                registry.add(Arc::new(Exec::new(declaration, lock_directory())));
            }
            Err(error) => registry.add_broken(name, error),
        }
    }
    Ok(registry)
}

/// Adds what is installed, but for the names that the configuration has too. `fpga_image` is an
/// accelerator and the image at AWS that its device is loaded with.
fn add_packages(
    registry: &mut Registry,
    packages: &Store,
    devices: &Devices,
    declared: &[&str],
    fpga_image: Option<&(String, String)>,
    keys: &Result<Vec<PublicKey>>,
) {
    let list = match packages.list() {
        Ok(list) => list,
        // What is in there cannot be told; all else can be used.
        Err(error) => return registry.add_broken("packages", error),
    };
    for (name, found) in list {
        if declared.iter().any(|declared| declared.eq_ignore_ascii_case(&name)) {
            continue;
        }
        let engines = found.and_then(|installed| {
            // Where it is unknown who is trusted, nobody is.
            let keys = keys.as_ref().map_err(Error::duplicate)?;
            installed.must_be_signed(keys)?;
            // Who made this machine a host may have said which image it is to load.
            let image = fpga_image.filter(|(served, _)| served.eq_ignore_ascii_case(&name));
            devices.engines(installed, image.map(|(_, image)| image.as_str()))
        });
        let added = engines.and_then(|engines| {
            let mut engines = engines.into_iter();
            engines.next().into_iter().for_each(|engine| registry.add(engine));
            engines.try_for_each(|better| registry.add_engine(better))
        });
        if let Err(error) = added {
            registry.add_broken(name, error);
        }
    }
}

/// Where all users of a machine meet to share what is exclusive on it: `/run/lock`, where that
/// belongs to all as Debian has it, else the directory for temporary files. Root comes too where
/// the others do, so what counts is not what this user may do.
pub fn lock_directory() -> PathBuf {
    let machine = Path::new("/run/lock");
    match std::fs::metadata(machine) {
        Ok(found) if found.is_dir() && found.mode() & 0o1777 == 0o1777 => machine.to_owned(),
        _ => std::env::temp_dir(),
    }
}

/// The storages of the configuration: each `[storage…]` section, and those of configured hosts. The
/// catalog's server is known by its certificate, where `[accelize]` names that.
///
/// The home directory is what `~` stands for in `authorized_host_dirs`.
///
/// # Errors
/// A section is wrong.
pub fn storage(configuration: &Configuration, environment: &Environment) -> Result<Storage> {
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
    let of_kinds = StorageType::ALL.map(|kind| {
        let name = kind.host_type();
        (name, configuration.section(&format!("storage.{name}")))
    });
    let inherited = |kind: &str, key: &str| {
        let (_, section) = of_kinds.iter().find(|(name, _)| *name == kind)?;
        section.get(key).ok().flatten()
    };
    let storage = Storage::for_host(authorized(configuration, environment.home.as_deref())?)
        .with_environment(environment.clone());
    for (name, options) in mounts_from_sections(sections, inherited)? {
        storage.mount(&name, options)?;
    }
    catalog::know_server(&storage, configuration, environment.home.as_deref())?;
    Ok(storage)
}

/// The storages of the configuration for a host that serves others: what
/// [`storage`] gives, except that web addresses lead only to the public network and to
/// `allowed_networks`. A user's own jobs on this machine need no such guard.
///
/// # Errors
/// As [`storage`].
pub fn served_storage(configuration: &Configuration, environment: &Environment) -> Result<Storage> {
    let allowed = configuration.section("security").get_list("allowed_networks")?;
    let allowed = AllowedNetworks::parse(allowed.iter().map(String::as_str))
        .map_err(|error| error.context("section", "[security]"))?;
    Ok(storage(configuration, environment)?.guarded(allowed))
}

/// A path that may begin with `~`.
pub(crate) fn expand(text: &str, home: Option<&Path>) -> PathBuf {
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
    info: &AcceleratorInfo,
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
        if let Some(full) = configuration.section(&name).get_json("parameters")? {
            let mut merged = Box::pin(read_parameters(full, storage)).await?;
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
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use apyfal_core::config::schema;

    use super::*;

    fn configured(text: &str) -> Configuration {
        Configuration::parse(text.as_bytes(), "accelerator.conf").unwrap()
    }

    #[tokio::test]
    async fn only_a_served_host_is_guarded() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = Location::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere");
            }
        });
        let reads = async |storage: Result<Storage>| match storage.unwrap().exists(&here).await {
            Ok(found) => found,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Security, "{error}");
                false
            }
        };
        for (allowed, served_reads) in [
            ("", false),
            ("allowed_networks =\n    10.0.0.0/8\n    private\n", false),
            ("allowed_networks =\n    private\n    127.0.0.1\n", true),
            ("allowed_networks = all\n", true),
        ] {
            let configuration = configured(&format!("[security]\n{allowed}"));
            assert_eq!(
                reads(served_storage(&configuration, &Environment::default())).await,
                served_reads,
                "{allowed}"
            );
            assert!(reads(storage(&configuration, &Environment::default())).await, "{allowed}");
        }
        let wrong = configured("[security]\nallowed_networks = nowhere\n");
        let error = served_storage(&wrong, &Environment::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("'nowhere' of allowed_networks"), "{error}");
        assert!(error.to_string().contains("[security]"), "{error}");
    }

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
