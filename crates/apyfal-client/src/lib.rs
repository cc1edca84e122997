//! Hosts far away as [`Client`](apyfal_core::Client)s: [`Remote`] is one, [`Pool`] several as one.
//!
//! It knows the protocol and what can go wrong on the way, and nothing of accelerators, storages or
//! configurations.

mod pool;
mod remote;

pub use pool::{HostLoad, Pool};
pub use remote::{Address, Remote, RemoteOptions};
