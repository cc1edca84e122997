//! Opens locations.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use apyfal_core::{Environment, Error, ErrorKind, Input, Output, Result, Source, nearest, shorten};
use apyfal_tls::Trust;
use parking_lot::Mutex;
use reqwest::Url;

use crate::bucket::Bucket;
use crate::guard::{AllowedNetworks, Guard};
use crate::local::{self, AuthorizedDirs};
use crate::location::{Location, ObjectLocation};
use crate::mount::{MountOptions, StorageType, check_scheme};
use crate::mounted::Mount;
use crate::transport::Transport;
use crate::{Destination, object, web};

/// All that can be reached by URL. Clones share their mounts and connections.
#[derive(Clone, Debug)]
pub struct Storage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mounts: Mutex<BTreeMap<String, Arc<Mount>>>,
    /// For web servers and, where there is no guard, for stores.
    transport: Connections,
    /// For stores where there is a guard.
    stores: Connections,
    guard: Option<Guard>,
    /// Web servers that are known otherwise than by the authorities of the system.
    known: Mutex<HashMap<String, Arc<KnownServer>>>,
    authorized: Option<AuthorizedDirs>,
    environment: Environment,
    /// How long a web server may take to send something.
    patience: Option<Duration>,
}

/// A web server, and how it is known.
#[derive(Debug)]
struct KnownServer {
    trust: Result<Trust>,
    transport: Connections,
}

/// Clients that are made when first needed: reading the system's certificates takes a while.
type Connections = OnceLock<Transport>;

/// What is known of a location without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The length in bytes; none where it is known only by reading.
    pub len: Option<u64>,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Changes with the content, where that can be known: [that of a file](crate::file_version), or
    /// what a store or web server tells.
    pub version: Option<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self::new()
    }
}

impl Storage {
    /// A storage with `s3`, `oss` and `swift` mounted without options, and no access to `host://`.
    pub fn new() -> Self {
        Self::build(None)
    }

    /// The storage of a host, on which `host://` names files in these directories.
    pub fn for_host(authorized: AuthorizedDirs) -> Self {
        Self::build(Some(authorized))
    }

    fn build(authorized: Option<AuthorizedDirs>) -> Self {
        let mounts = StorageType::ALL
            .map(|kind| (kind.scheme().to_owned(), Mount::new(MountOptions::new(kind))))
            .into();
        Self::assemble(mounts, None, authorized, Environment::default(), None)
    }

    /// This storage in a process with these surroundings: by the proxies that they name, and with
    /// what they tell the tools of AWS where a mount of S3 has no keys. It begins with the mounts
    /// that this storage has.
    #[must_use]
    pub fn with_environment(&self, environment: Environment) -> Self {
        let (guard, authorized) = (self.0.guard.clone(), self.0.authorized.clone());
        Self::assemble(self.mounts_again(), guard, authorized, environment, self.0.patience)
    }

    /// This storage for the requests of others. Its web addresses lead to the public network and to
    /// what is allowed, and nowhere else: not to the machine itself, its networks, or the addresses
    /// at which clouds answer machines about themselves. Neither do names, redirects or proxies of
    /// the environment, which are not used.
    ///
    /// Stores are mounted by who runs the host, not by its callers, so they may be anywhere; but
    /// they cannot redirect to another server. It begins with the mounts that this storage has.
    #[must_use]
    pub fn guarded(&self, allowed: AllowedNetworks) -> Self {
        let guard = (!allowed.is_all()).then(|| Guard::new(allowed));
        let (authorized, environment) = (self.0.authorized.clone(), self.0.environment.clone());
        Self::assemble(self.mounts_again(), guard, authorized, environment, self.0.patience)
    }

    /// This storage for jobs that others wait for: over any such time of waiting a web server must send
    /// [as much as a client](apyfal_core::Patience), however long it may be silent else. It begins with
    /// the mounts that this storage has.
    #[must_use]
    pub fn within(&self, patience: Duration) -> Self {
        let Inner { guard, authorized, environment, .. } = &*self.0;
        let (guard, authorized) = (guard.clone(), authorized.clone());
        let (mounts, patience) = (self.mounts_again(), Some(patience));
        Self::assemble(mounts, guard, authorized, environment.clone(), patience)
    }

    /// Not the same mounts: they keep connections, and those of another storage have its rules.
    fn mounts_again(&self) -> BTreeMap<String, Arc<Mount>> {
        let again = |(name, mount): (&String, &Arc<Mount>)| {
            (name.clone(), Mount::new(mount.options.clone()))
        };
        self.0.mounts.lock().iter().map(again).collect()
    }

    fn assemble(
        mounts: BTreeMap<String, Arc<Mount>>,
        guard: Option<Guard>,
        authorized: Option<AuthorizedDirs>,
        environment: Environment,
        patience: Option<Duration>,
    ) -> Self {
        Self(Arc::new(Inner {
            mounts: Mutex::new(mounts),
            transport: OnceLock::new(),
            stores: OnceLock::new(),
            guard,
            known: Mutex::default(),
            authorized,
            environment,
            patience,
        }))
    }

    /// Makes a store reachable as `name://`, in place of what had this name before.
    ///
    /// # Errors
    /// [`ErrorKind::StorageConfiguration`]: the name cannot be a scheme.
    pub fn mount(&self, name: &str, options: MountOptions) -> Result<()> {
        check_scheme(name)?;
        self.0.mounts.lock().insert(canonical(name), Mount::new(options));
        Ok(())
    }

    /// Knows the web server of a location by this, instead of by the authorities of the system. Where
    /// it cannot be said how, that is an error for who reads from there.
    ///
    /// A [guarded](Self::guarded) storage does not have it: what its callers may rely on is not what
    /// who runs it does.
    pub fn know(&self, location: &Location, trust: Result<Trust>) {
        if let Location::Http(url) = location {
            let server = KnownServer { trust, transport: OnceLock::new() };
            self.0.known.lock().insert(url.origin().ascii_serialization(), Arc::new(server));
        }
    }

    /// The names under which stores are mounted.
    pub fn mounts(&self) -> Vec<String> {
        self.0.mounts.lock().keys().cloned().collect()
    }

    /// Opens a location for reading.
    ///
    /// # Errors
    /// It does not exist, may not be read, or cannot be reached.
    pub async fn open_input(&self, location: &Location) -> Result<Input> {
        let input = match location {
            Location::Standard => return local::standard::input(),
            Location::File(path) => return local::open(path),
            Location::Host(path) => return self.authorized(location)?.open(path),
            // Boxed, here and below: what reads a file need not find room for all that these might need.
            Location::Http(url) => Box::pin(web::open(&self.web_of(location, url)?, url)).await?,
            Location::Object(object) => Box::pin(self.open_object(object)).await?,
        };
        Ok(match location.name() {
            Some(name) => input.with_name(name),
            None => input,
        })
    }

    /// Begins to write a location.
    ///
    /// # Errors
    /// It may not be written, or cannot be reached.
    pub async fn create_output(&self, location: &Location) -> Result<Destination> {
        match location {
            Location::Standard => local::standard::output().map(Destination::local),
            Location::File(path) => local::create(path).map(Destination::local),
            Location::Host(path) => self.authorized(location)?.create(path).map(Destination::local),
            Location::Http(_) => {
                Err(Error::new(ErrorKind::StorageConfiguration, "web servers can only be read")
                    .operation(format!("write '{location}'"))
                    .hint("write to a file or to an object store such as s3://"))
            }
            Location::Object(object) => {
                let (upload, output) = Box::pin(self.create_object(object)).await?;
                let output = match location.name() {
                    Some(name) => output.with_name(name),
                    None => output,
                };
                Ok(Destination::object((upload, output)))
            }
        }
    }

    async fn open_object(&self, object: &ObjectLocation) -> Result<Input> {
        object::open(&self.bucket(object).await?, object).await
    }

    async fn create_object(&self, object: &ObjectLocation) -> Result<(object::Upload, Output)> {
        object::Upload::create(&self.bucket(object).await?, object).await
    }

    /// What is known of a location without reading it.
    ///
    /// # Errors
    /// As [`open_input`](Self::open_input).
    pub async fn stat(&self, location: &Location) -> Result<Metadata> {
        match location {
            Location::Http(url) => {
                let transport = self.web_of(location, url)?;
                let (len, version) = Box::pin(web::stat(&transport, url)).await?;
                Ok(Metadata { len, is_directory: false, version })
            }
            Location::Object(object) => {
                let found = Box::pin(self.object_metadata(object)).await?;
                let (len, version) = (found.content_length(), object::version(&found));
                Ok(Metadata { len: Some(len), is_directory: false, version })
            }
            local => {
                let input = self.open_input(local).await?;
                let is_directory = matches!(input.source(), Source::Directory(_));
                let version = match input.source() {
                    Source::File { file, .. } => Some(local::file_version(&file.metadata()?)),
                    _ => None,
                };
                Ok(Metadata { len: input.len(), is_directory, version })
            }
        }
    }

    async fn object_metadata(&self, object: &ObjectLocation) -> Result<opendal::Metadata> {
        object::metadata(&self.bucket(object).await?, object).await
    }

    /// Whether there is something at a location.
    ///
    /// # Errors
    /// As [`open_input`](Self::open_input), except that nothing is there.
    pub async fn exists(&self, location: &Location) -> Result<bool> {
        match self.stat(location).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::StorageNotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads something small, such as parameters, as a whole.
    ///
    /// # Errors
    /// As [`open_input`](Self::open_input), and if there are more than `limit` bytes.
    pub async fn read(&self, location: &Location, limit: usize) -> Result<Vec<u8>> {
        let input = self.open_input(location).await?;
        let operation = format!("read '{location}'");
        if let Source::Directory(path) = input.source() {
            return Err(local::is_a_directory("read", path));
        }
        let mut reader = input.into_reader()?;
        let read = tokio::task::spawn_blocking(move || {
            let mut data = Vec::new();
            let mut chunk = [0; 16 << 10];
            loop {
                match reader.read(&mut chunk) {
                    Ok(0) => return Ok(data),
                    Ok(count) => data.extend_from_slice(&chunk[..count]),
                    Err(error)
                        if matches!(
                            error.kind(),
                            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                        ) => {}
                    Err(error) => return Err(Error::from_io(error)),
                }
                if data.len() > limit {
                    return Err(Error::new(
                        ErrorKind::InvalidData,
                        format!("it has more than {limit} bytes"),
                    ));
                }
            }
        });
        match read.await {
            Ok(data) => data.map_err(|error| error.operation(operation)),
            Err(_) => {
                Err(Error::new(ErrorKind::Internal, "the reader panicked").operation(operation))
            }
        }
    }

    /// The connection to the bucket of an object.
    pub(crate) async fn bucket(&self, location: &ObjectLocation) -> Result<Bucket> {
        let mount = self.find(location)?;
        mount.bucket(&location.container, self.stores()?, &self.0.environment).await
    }

    fn find(&self, location: &ObjectLocation) -> Result<Arc<Mount>> {
        let mounts = self.0.mounts.lock();
        let scheme = location.scheme.as_str();
        if let Some(mount) = mounts.get(&canonical(scheme)) {
            return Ok(mount.clone());
        }
        let schemes = ["file", "host", "http", "https"].into_iter();
        let known: Vec<_> = schemes.chain(mounts.keys().map(String::as_str)).collect();
        let error = Error::new(
            ErrorKind::StorageConfiguration,
            format!("no storage is mounted as '{}'", shorten(scheme)),
        )
        .operation(format!("use '{location}'"));
        Err(match nearest(scheme, known.iter().copied()) {
            Some(known) => error.hint(format!("did you mean '{known}://'?")),
            None => error.hint(format!("known are {}", known.join(", "))),
        })
    }

    /// The clients for a web address.
    fn web_of(&self, location: &Location, url: &Url) -> Result<Transport> {
        let origin = url.origin().ascii_serialization();
        let known = self.0.known.lock().get(&origin).cloned();
        let Some(known) = known else { return self.web().cloned() };
        let made = known.trust.as_ref().map_err(Error::duplicate).and_then(|trust| {
            connections(&known.transport, || Transport::trusting(trust, &self.0.environment))
                .cloned()
        });
        made.map_err(|error| error.operation(format!("read '{location}'")))
    }

    fn web(&self) -> Result<&Transport> {
        connections(&self.0.transport, || {
            let transport = match &self.0.guard {
                Some(guard) => Transport::guarded(guard.clone()),
                None => Transport::new(&self.0.environment),
            };
            Ok(transport?.within(self.0.patience))
        })
    }

    fn stores(&self) -> Result<&Transport> {
        match self.0.guard {
            Some(_) => connections(&self.0.stores, || Transport::for_stores(&self.0.environment)),
            None => self.web(),
        }
    }

    pub(crate) fn authorized(&self, location: &Location) -> Result<&AuthorizedDirs> {
        self.0.authorized.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::StorageConfiguration, "host:// names a file of a host")
                .operation(format!("use '{location}' here"))
                .hint("use it as source or destination of a job that runs on a host")
                .hint("a host sets authorized_host_dirs in section [security] of its configuration")
        })
    }
}

/// A store's name as mounts are kept: `AWS` is `s3`.
fn canonical(name: &str) -> String {
    match StorageType::from_name(name) {
        Some(kind) => kind.scheme().to_owned(),
        None => name.to_ascii_lowercase(),
    }
}

fn connections(made: &Connections, make: impl FnOnce() -> Result<Transport>) -> Result<&Transport> {
    if let Some(transport) = made.get() {
        return Ok(transport);
    }
    let transport = make()?;
    Ok(made.get_or_init(|| transport))
}
