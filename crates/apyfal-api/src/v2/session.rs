//! Sessions.

use serde::{Deserialize, Serialize};
use serde_json::Value;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::Report;

/// A request to open a session.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// The accelerator; the host's default one where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<String>,
    /// Its parameters, in the shape of the original: `{"app": {"specific": {…}}, "env": {…}}`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub parameters: Value,
    /// A source that the host reads by itself: `s3://…`, `https://…`, `host://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// What the data is called: the name of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_name: Option<String>,
}

/// An open session.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The accelerator.
    pub accelerator: String,
    /// Who opened it, as of a [`Job`](super::Job).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When it was opened, in seconds since 1970.
    pub created: f64,
    /// What opening it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// A page of sessions, the newest first.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Sessions {
    /// How many there are on all pages.
    pub count: u64,
    /// Those of this page.
    pub sessions: Vec<Session>,
}
