//! Where data comes from and goes to: URLs, mounts, and copies between any two of them.
//!
//! A [`Location`] is what a URL means. A [`Storage`] opens it: [`Storage::open_input`] gives an
//! [`Input`](apyfal_core::Input) for an engine to read, [`Storage::create_output`] a
//! [`Destination`] that appears whole once it is committed, or not at all.
//!
//! | URL | where |
//! | --- | --- |
//! | `path`, `file://path` | a file of the client |
//! | `-` | the standard streams |
//! | `host://path` | a file of the host, inside its [authorized directories](AuthorizedDirs) |
//! | `http://…`, `https://…` | a web server; cannot be written |
//! | `s3://bucket/key`, `oss://bucket/key`, `swift://container/object` | an object store |
//! | `name://bucket/key` | the object store [mounted](MountOptions) under that name |
//!
//! Object stores are reached through OpenDAL. Web servers are not: its HTTP service has no query
//! strings, refuses answers of unknown length, and takes a whole answer for the part it asked for.
//!
//! A host that serves others [guards](Storage::guarded) what web addresses of theirs may lead to.
//!
//! Proxies, and what the tools of AWS know, come from the [environment](Storage::with_environment) that
//! a storage is given. Besides what OpenDAL reads for OSS without keys, and the TLS library for root
//! certificates, nothing here depends on the process.
//!
//! Everything here works inside a Tokio runtime with I/O and time enabled. The streams that it
//! gives are for threads that may block: they wait at most 50 ms before they answer
//! [`WouldBlock`](std::io::ErrorKind::WouldBlock), so that a job can notice that it was cancelled.

mod account;
mod bridge;
mod bucket;
mod copy;
mod destination;
mod error;
mod guard;
mod keystone;
mod list;
mod local;
mod location;
mod masking;
mod mount;
mod mounted;
mod object;
mod storage;
mod stream;
mod transport;
mod version;
mod web;

pub use destination::{Destination, Placed};
pub use guard::AllowedNetworks;
pub use list::Listed;
pub use local::{AuthorizedDirs, file_version, standard};
pub use location::{Location, ObjectLocation};
pub use mount::{MountOptions, StorageType, mounts_from_sections};
pub use storage::{Metadata, Storage};
pub use stream::reader;
