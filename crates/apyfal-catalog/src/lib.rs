//! What an accelerator needs on which host: images, instance types, FPGA images and packages.
//!
//! A [`Catalog`] comes from a file ([`Catalog::parse`]), from a catalog server ([`client`]), or is
//! the built-in one. [`server`] is that server: it speaks the protocol of the original's, and hands
//! out packages and the agent too.

mod built_in;
mod catalog;
pub mod client;
mod file;
mod kept;
mod original;
mod requirements;
pub mod server;

pub use apyfal_core::Image;
pub use catalog::{Accelerator, Artifact, Catalog};
pub use kept::{Kept, Stale};
pub use requirements::{EVERY_REGION, HostRequirements, Requirements};
