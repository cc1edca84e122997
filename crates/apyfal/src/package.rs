//! Packages: accelerators of the user's own, from anywhere that a URL leads to.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use apyfal_core::{Cancel, Configuration, Error, ErrorKind, JobContext, Progress, Result, Source};
use apyfal_storage::{Location, Storage};

use crate::configuration::{expand, lock_directory};

pub use apyfal_package::archive::{Limits, Packed, pack};
pub use apyfal_package::signature::{PublicKey, SUFFIX, Signer};
pub use apyfal_package::{
    Device, Digest, Image, Installed, Language, MachineFacts, Manifest, Outcome, Packaged, Record,
    Requires, Store, Terms, Test, Uninstalled, create_project,
};

/// A signature is refused beyond this many bytes.
const SIGNATURE_LIMIT: usize = 64 << 10;

/// The store of a user, below the home directory.
pub fn store(home: &Path) -> Store {
    Store::new(home.join(".apyfal/packages"))
}

/// How a package is installed.
#[derive(Clone, Debug)]
pub struct InstallOptions {
    /// The accelerator that it must be.
    pub name: Option<String>,
    /// The digest that the archive must have.
    pub sha256: Option<Digest>,
    /// The keys one of which must have signed it; where there are none, nobody needs to have.
    pub keys: Vec<PublicKey>,
    /// The machine it is to run on.
    pub machine: MachineFacts,
    /// How much it may hold.
    pub limits: Limits,
    /// Whether its self-test must succeed.
    pub test: bool,
}

impl InstallOptions {
    /// Those that are usual on a machine: the self-test must succeed.
    pub fn new(machine: MachineFacts) -> Self {
        Self {
            name: None,
            sha256: None,
            keys: Vec::new(),
            machine,
            limits: Limits::default(),
            test: true,
        }
    }
}

/// Installs the package at a URL or path. One that is there with the digest that is expected is not
/// fetched.
///
/// # Errors
/// It cannot be read, is not as it was made or signed, cannot run here, or its self-test fails. The
/// store is then as it was.
pub async fn install_from(
    url: &str,
    options: InstallOptions,
    store: &Store,
    storage: &Storage,
    cancel: &Cancel,
    progress: &Arc<Progress>,
) -> Result<Outcome> {
    let location = match Location::parse(url)? {
        // As it is remembered, it means the same in another directory.
        Location::File(path) => Location::File(std::path::absolute(path)?),
        location => location,
    };
    let installing = |error: Error| error.operation(format!("install '{location}'"));
    // What is known by its digest need not be fetched to be known again. A signature is looked at
    // anew: it may not have been asked for when the package was installed.
    if let (Some(digest), true) = (options.sha256, options.keys.is_empty())
        && let Some(current) =
            store.with_digest(digest, options.name.as_deref()).map_err(installing)?
    {
        return Ok(Outcome::Unchanged(current));
    }
    // First, since it is small: a package that is not signed need not be fetched.
    let signature = match options.keys.is_empty() {
        true => None,
        false => Some(cancel.or_cancelled(signature(&location, storage)).await?),
    };
    let input = cancel.or_cancelled(storage.open_input(&location)).await.map_err(installing)?;
    if let Source::Directory(path) = input.source() {
        return Err(installing(Error::new(ErrorKind::Usage, "it is a directory"))
            .hint(format!("make a package of it first: apyfal pack {}", path.display())));
    }
    let (store, cancel) = (store.clone(), cancel.clone());
    let ctx = JobContext::new(cancel.clone(), progress.clone(), store.root(), NonZeroUsize::MIN);
    let source = location.to_string();
    let work = move || {
        let InstallOptions { name, sha256, keys, machine, limits, test } = options;
        let reader = ctx.reader(input)?;
        let mut incoming = store.receive(reader, &limits, sha256.as_ref(), &cancel)?;
        if let Some(signature) = signature {
            incoming.verify(&signature, &keys)?;
        }
        let terms = Terms { name, machine, limits, locks: lock_directory(), test, source };
        store.install(incoming, &terms, &cancel)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(installing),
        Err(_) => Err(installing(Error::new(ErrorKind::Internal, "the thread panicked"))),
    }
}

/// The signature beside a package.
async fn signature(package: &Location, storage: &Storage) -> Result<String> {
    let mut beside = package.clone();
    match &mut beside {
        Location::Standard => {
            return Err(Error::new(ErrorKind::Usage, "there is no place beside standard input")
                .operation("find the package's signature")
                .hint("save the package first, its signature beside it"));
        }
        Location::File(path) | Location::Host(path) => path.as_mut_os_string().push(SUFFIX),
        Location::Http(url) => {
            let path = format!("{}{SUFFIX}", url.path());
            url.set_path(&path);
        }
        Location::Object(object) => object.key.push_str(SUFFIX),
    }
    let text = storage.read(&beside, SIGNATURE_LIMIT).await.map_err(|error| {
        if error.kind() != ErrorKind::StorageNotFound {
            return error;
        }
        Error::new(ErrorKind::Security, format!("it is not signed: there is no '{beside}'"))
            .operation(format!("install '{package}'"))
            .hint("have it signed with a key that is trusted here: apyfal pack --sign KEY")
    })?;
    String::from_utf8(text).map_err(|_| {
        Error::new(ErrorKind::Security, "it is not text")
            .operation(format!("read the signature '{beside}'"))
    })
}

/// The keys that `package_keys` of section `[security]` trusts: each is a key, or the path of a file
/// that has it.
///
/// # Errors
/// A key is none, or its file cannot be read.
pub fn trusted_keys(configuration: &Configuration, home: Option<&Path>) -> Result<Vec<PublicKey>> {
    let section = configuration.section("security");
    let keys = section.get_list("package_keys")?;
    keys.iter().map(|key| read_key(key, home)).collect()
}

/// Reads a public key: the key itself, or the path of a file that has it.
///
/// # Errors
/// It is no key, or its file cannot be read.
pub fn read_key(text: &str, home: Option<&Path>) -> Result<PublicKey> {
    if let Ok(key) = PublicKey::parse(text) {
        return Ok(key);
    }
    let path = expand(text, home);
    let reading = || format!("read the public key '{text}'");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Error::new(ErrorKind::Configuration, Error::from(error).message()).operation(reading())
    })?;
    PublicKey::parse(&text).map_err(|error| error.operation(reading()))
}
