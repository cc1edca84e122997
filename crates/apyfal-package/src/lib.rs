//! Packages: accelerators of the user's own, each in one archive.
//!
//! * [`Manifest`] is what `accelerator.toml` says of one.
//! * [`archive`] makes the archive of a directory, the same bits for the same content, and unpacks
//!   one from anybody.
//! * [`signature`] signs archives and checks who signed them, as minisign does.
//! * [`Store`] keeps those that are installed: the current version of each, and the one before.
//!
//! How an archive gets here is the caller's: the crate reads files, and knows no URL.

pub mod archive;
mod digest;
mod engine;
mod files;
mod manifest;
mod project;
mod self_test;
pub mod signature;
mod store;

pub use digest::Digest;
pub use engine::Packaged;
pub use manifest::{Device, Image, MachineFacts, Manifest, Program, Requires, Test};
pub use project::{Language, create as create_project};
pub use store::{Incoming, Installed, Outcome, Record, Store, Terms, Uninstalled};
