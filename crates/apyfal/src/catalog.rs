//! Where the catalog is found: an argument, the configuration, the environment, a file, the
//! built-in one.

use std::path::{Path, PathBuf};

use apyfal_catalog::Kept;
use apyfal_catalog::client::Server;
use apyfal_core::{Configuration, Error, ErrorKind, Result, Secret};
use apyfal_storage::{Location, Storage};
use apyfal_tls::{Certificates, Trust};

pub use apyfal_catalog::{
    Accelerator, Artifact, Catalog, HostRequirements, Image, Requirements, Stale,
};

use crate::configuration::{Environment, expand, storage};

/// What the built-in catalog is called.
const BUILT_IN: &str = "built-in";
/// The variable that names a catalog: a file or a URL.
const VARIABLE: &str = "APYFAL_CATALOG";
const FILE_NAME: &str = "catalog.toml";
/// A catalog file is refused beyond this many bytes.
const LIMIT: usize = 64 << 20;

/// A catalog and where it came from.
#[derive(Clone, Debug)]
pub struct Found {
    /// The catalog.
    pub catalog: Catalog,
    /// Where it came from, for people.
    pub origin: String,
    is_built_in: bool,
    /// Where its server could not be reached and the last answer of it was used.
    pub stale: Option<Stale>,
}

impl Found {
    /// Whether it is the built-in one.
    pub fn is_built_in(&self) -> bool {
        self.is_built_in
    }
}

/// Which catalog is used.
#[derive(Debug)]
enum Source {
    Server(Server, String),
    /// As it is shown, and as it was written, which may hold a secret.
    Url(Location, String),
    File(PathBuf),
    BuiltIn,
}

/// Finds the catalog: `explicit` (a path or URL), else `catalog` or `server` of section
/// `[accelize]`, else what `APYFAL_CATALOG` names, else `./catalog.toml`, else
/// `~/.apyfal/catalog.toml`, else the built-in one.
///
/// A server or URL that cannot be reached is answered for by its last good answer, unless
/// `stale_catalog = False` in section `[accelize]`.
///
/// # Errors
/// What was named cannot be read or is wrong, or a server refuses the credentials.
pub async fn find(
    explicit: Option<&str>,
    configuration: &Configuration,
    environment: &Environment,
) -> Result<Found> {
    let home = environment.home.as_deref();
    let section = configuration.section("accelize");
    let keeps = section.get_bool("stale_catalog")?.unwrap_or(true);
    let kept = home.filter(|_| keeps).map(|home| home.join(".apyfal/catalogs"));
    match place(explicit, configuration, environment)? {
        Source::BuiltIn => {
            let engines = apyfal_engines::built_in();
            let catalog =
                Catalog::built_in(engines.iter().map(|engine| &*engine.accelerator().name))?;
            Ok(Found { catalog, origin: BUILT_IN.to_owned(), is_built_in: true, stale: None })
        }
        Source::File(path) => {
            let name = path.display().to_string();
            let directory = path.parent().unwrap_or(Path::new(""));
            let catalog = beside(Catalog::load(&path)?, |file| {
                directory.join(file).to_string_lossy().into_owned()
            });
            Ok(Found { catalog, origin: name, is_built_in: false, stale: None })
        }
        Source::Url(location, url) => {
            let origin = location.to_string();
            let fetch = async {
                let failed = |error: Error| error.operation(format!("read the catalog '{origin}'"));
                let storage = storage(configuration, environment)?;
                let text = storage.read(&location, LIMIT).await.map_err(failed)?;
                let no_text = || Error::new(ErrorKind::Configuration, "it is no text");
                let text = String::from_utf8(text).map_err(|_| failed(no_text()))?;
                // A query belongs to the catalog alone.
                let path = url.split(['?', '#']).next().unwrap_or(&url);
                let folder = path.rfind('/').map_or("", |slash| &path[..=slash]);
                Ok(beside(Catalog::parse(&text, &origin)?, |file| format!("{folder}{file}")))
            };
            let (catalog, stale) = Kept::at(kept.as_deref(), &url, "").or_last(fetch).await?;
            Ok(Found { catalog, origin, is_built_in: false, stale })
        }
        Source::Server(server, origin) => {
            let client_id = section.get("client_id")?.unwrap_or_default();
            let kept = Kept::at(kept.as_deref(), &origin, &client_id);
            let (catalog, stale) = kept.or_last(server.fetch()).await?;
            Ok(Found { catalog, origin, is_built_in: false, stale })
        }
    }
}

/// A token of the catalog's server, which knows the account of section `[accelize]` by it.
///
/// # Errors
/// No server or no account is configured, or the server refuses it or cannot be reached.
pub async fn access_token(
    configuration: &Configuration,
    environment: &Environment,
) -> Result<Secret> {
    let section = configuration.section("accelize");
    let Some(url) = section.get("server")? else {
        return Err(Error::new(ErrorKind::Authentication, "no server knows this account")
            .operation("get a token of the catalog's server")
            .hint("name the catalog's server: server in section [accelize]"));
    };
    server(configuration, environment.home.as_deref(), &url)?.token().await
}

/// Where a new machine fetches a file that a catalog or a configuration names: before it has anything of
/// ours, and with others looking on.
///
/// # Errors
/// Its SHA-256 is none, or its URL holds a secret.
pub fn fetched_from(artifact: &Artifact) -> Result<Location> {
    let location = Location::parse(&artifact.url)?;
    let wrong = |kind, why: &str| {
        Error::new(kind, why).operation(format!("have a new machine fetch '{location}'"))
    };
    if artifact.sha256.len() != 64 || !artifact.sha256.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Err(wrong(ErrorKind::Usage, "its SHA-256 is not 64 hexadecimal digits"));
    }
    if location.has_lasting_secret() {
        return Err(wrong(
            ErrorKind::Security,
            "its address holds a secret, which all would see who read what the machine is told",
        )
        .hint("name what it is by a URL that was signed for it, or put it where no password is asked for")
        .hint("what lies beside a catalog is named by the address of that: write it without user and password"));
    }
    Ok(location)
}

fn place(
    explicit: Option<&str>,
    configuration: &Configuration,
    environment: &Environment,
) -> Result<Source> {
    let section = configuration.section("accelize");
    let home = environment.home.as_deref();
    let named = |text: &str| -> Result<Source> {
        Ok(match Location::parse(text)? {
            Location::File(path) => Source::File(expand(&path.to_string_lossy(), home)),
            location => Source::Url(location, text.to_owned()),
        })
    };
    if let Some(text) = explicit {
        return named(text);
    }
    if let Some(text) = section.get("catalog")? {
        return named(&text);
    }
    if let Some(url) = section.get("server")? {
        return server(configuration, home, &url).map(|server| Source::Server(server, url));
    }
    if let Some(text) = environment.variable(VARIABLE) {
        return named(text);
    }
    let at_home = home.map(|home| home.join(".apyfal").join(FILE_NAME));
    let files = std::iter::once(PathBuf::from(FILE_NAME)).chain(at_home);
    // One that is there and cannot be read is an error, not passed over. An empty one says nothing:
    // mostly it is what a shell is about to write into.
    let there = files.into_iter().find(|path| {
        path.symlink_metadata().is_ok() && path.metadata().map_or(true, |found| found.len() > 0)
    });
    Ok(there.map_or(Source::BuiltIn, Source::File))
}

fn server(configuration: &Configuration, home: Option<&Path>, url: &str) -> Result<Server> {
    let section = configuration.section("accelize");
    let (Some(client_id), Some(secret)) = (section.get("client_id")?, section.get("secret_id")?)
    else {
        return Err(section
            .error("server", "it asks for an account, and none is configured")
            .hint("set client_id and secret_id beside it"));
    };
    let trust = trust(configuration, home)?.unwrap_or(Trust::System);
    let plain = section.get_bool("unsecure")?.unwrap_or(false);
    Server::new(url, &client_id, Secret::new(secret), &trust, plain)
}

/// How the catalog's server is known, where that is said.
fn trust(configuration: &Configuration, home: Option<&Path>) -> Result<Option<Trust>> {
    let section = configuration.section("accelize");
    Ok(match (section.get("fingerprint")?, section.get("ssl_cert_crt")?) {
        (Some(fingerprint), _) => Some(Trust::Pinned(fingerprint.parse()?)),
        (None, Some(path)) => Some(Trust::Certificates(Certificates::load(&expand(&path, home))?)),
        (None, None) => None,
    })
}

/// Has a storage know the catalog's server as the catalog's client does: what the catalog names may
/// be there too.
pub(crate) fn know_server(
    storage: &Storage,
    configuration: &Configuration,
    home: Option<&Path>,
) -> Result<()> {
    let section = configuration.section("accelize");
    // Of both the first is where the catalog is.
    let Some(url) = section.get("catalog")?.or(section.get("server")?) else { return Ok(()) };
    if let (Ok(location), Some(trust)) =
        (Location::parse(&url), trust(configuration, home).transpose())
    {
        storage.know(&location, trust);
    }
    Ok(())
}

/// Names the files that are beside a catalog by where they are.
fn beside(mut catalog: Catalog, place: impl Fn(&str) -> String) -> Catalog {
    for artifact in catalog.artifacts_mut() {
        if !artifact.url.contains("://") && !artifact.url.starts_with('/') {
            artifact.url = place(&artifact.url);
        }
    }
    catalog
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(text: &str) -> Configuration {
        Configuration::parse(text.as_bytes(), "accelerator.conf").unwrap()
    }

    fn at(home: &Path, variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        Environment { variables: variables.collect(), home: Some(home.to_owned()) }
    }

    #[tokio::test]
    async fn what_is_named_first_is_used() {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = home.path().join(format!("{name}.toml"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let package = format!("{{ url = 'p', sha256 = '{}' }}", "0".repeat(64));
            let text =
                format!("[accelerator.{}]\npackage = {package}", name.replace(['/', '.'], ""));
            std::fs::write(&path, text).unwrap();
            path.to_string_lossy().into_owned()
        };
        let (argument, file, variable) = (write("argument"), write("file"), write("variable"));
        let origin = async |explicit: Option<&str>, conf: &str, variables: &[(&str, &str)]| {
            let found = find(explicit, &configured(conf), &at(home.path(), variables)).await;
            found.unwrap().origin
        };
        let conf = format!("[accelize]\ncatalog = {file}\nserver = https://localhost:1\n");
        let variables = [(VARIABLE, variable.as_str())];
        assert_eq!(origin(Some(&argument), &conf, &variables).await, argument);
        assert_eq!(origin(None, &conf, &variables).await, file);
        assert_eq!(origin(None, "", &variables).await, variable);
        assert_eq!(origin(None, "", &[]).await, "built-in");
        let at_home = write(".apyfal/catalog");
        assert_eq!(origin(None, "", &[]).await, at_home);
        let found =
            find(Some("~/file.toml"), &configured(""), &at(home.path(), &[])).await.unwrap();
        let (_, entry) = found.catalog.accelerator("file").unwrap();
        let package = entry.package.as_ref().unwrap();
        assert_eq!(package.url, home.path().join("p").to_string_lossy(), "beside the catalog");
    }

    #[test]
    fn a_new_machine_is_told_no_secret() {
        let from = |url: &str| {
            let catalog = beside(
                Catalog::parse(
                    &format!(
                        "[accelerator.a]\npackage = {{ url = 'p', sha256 = '{}' }}",
                        "0".repeat(64)
                    ),
                    "catalog.toml",
                )
                .unwrap(),
                |file| format!("{url}{file}"),
            );
            fetched_from(catalog.accelerator("a").unwrap().1.package.as_ref().unwrap())
        };
        for url in ["https://me:topsecret@h/", "https://topsecret@h/", "https://h/?token=topsecret"]
        {
            let error = from(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Security, "{error}");
            assert!(!format!("{error} {error:?}").contains("topsecret"), "{error}");
        }
        for url in ["https://h/", "https://h/?X-Amz-Signature=", "/folder/"] {
            from(url).unwrap();
        }
        let without_digest = Artifact { url: "https://h/p".into(), sha256: "0".repeat(63) };
        assert!(fetched_from(&without_digest).is_err());
    }

    #[tokio::test]
    async fn what_is_named_must_be_there() {
        let home = tempfile::tempdir().unwrap();
        let find = async |explicit: Option<&str>, conf: &str| {
            find(explicit, &configured(conf), &at(home.path(), &[])).await.unwrap_err()
        };
        let error = find(Some("/nowhere/c.toml"), "").await;
        assert_eq!(
            error.to_string(),
            "cannot read the catalog '/nowhere/c.toml': no such file or directory"
        );
        let error = find(None, "[accelize]\nserver = https://localhost:1\n").await;
        assert!(error.to_string().contains("asks for an account"), "{error}");
        let account = "client_id = a\nsecret_id = topsecret\n";
        let error = find(None, &format!("[accelize]\nserver = http://192.0.2.1\n{account}")).await;
        assert_eq!(error.kind(), ErrorKind::Security);
        assert!(!format!("{error} {error:?}").contains("topsecret"));
    }
}
