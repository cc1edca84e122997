//! How long a host lives without its owner.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// What is left of a host's lease. What has no limit is missing.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Lease {
    /// How many seconds it may be without jobs and clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<f64>,
    /// After how many seconds without either it ends, counted from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_left: Option<f64>,
    /// How many seconds it may live in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lifetime: Option<f64>,
    /// In how many seconds it takes no more jobs, and ends when those that run have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_left: Option<f64>,
}

impl Lease {
    /// In how many seconds it ends at the soonest.
    pub fn left(&self) -> Option<f64> {
        [self.idle_left, self.life_left].into_iter().flatten().reduce(f64::min)
    }
}

/// Asks that a host lives on.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LeaseExtension {
    /// For how many seconds from now, at least. A lease is never made shorter.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 31_622_400))]
    pub seconds: f64,
}

impl LeaseExtension {
    /// No extension reaches further than so many seconds: a year.
    pub const FURTHEST: u64 = 366 * 24 * 3600;
}
