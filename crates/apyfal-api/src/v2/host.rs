//! What a host is.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::Lease;

/// The version of the protocol that this crate describes.
pub const VERSION: u32 = 2;

/// What a host is: the answer to the first question of a client.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Host {
    /// The version of apyfal on it.
    pub version: String,
    /// The versions of the protocol that it speaks.
    pub protocols: Vec<u32>,
    /// The names of its accelerators.
    pub accelerators: Vec<String>,
    /// The one that a client means that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_accelerator: Option<String>,
    /// How many cores its jobs may keep busy.
    pub cores: usize,
    /// Seconds since the agent started.
    pub uptime: f64,
    /// What is left of its lease, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
}
