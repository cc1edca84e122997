//! What a job tells beside its output.

use apyfal_core as core;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// What a `start`, a job or a stop tells beside its output.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Report {
    /// The job's or session's id.
    #[serde(default)]
    pub id: String,
    /// The accelerator.
    pub accelerator: String,
    /// The engine that did it.
    pub engine: String,
    /// The accelerator's own result.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub specific: Map<String, Value>,
    /// Times and amounts: seconds as `wall-clock-time`, bytes as `total-bytes-read` and
    /// `total-bytes-written`, bytes per second as `input-bandwidth`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub profiling: core::Profiling,
    /// The same done by plain software, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub comparison: Option<core::Comparison>,
    /// More that the accelerator told.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub app: Map<String, Value>,
}

impl From<core::Report> for Report {
    fn from(report: core::Report) -> Self {
        let core::Report { id, accelerator, engine, specific, profiling, comparison, app } = report;
        Self { id, accelerator, engine, specific, profiling, comparison, app }
    }
}

impl From<Report> for core::Report {
    fn from(report: Report) -> Self {
        let Report { id, accelerator, engine, specific, profiling, comparison, app } = report;
        Self { id, accelerator, engine, specific, profiling, comparison, app }
    }
}
