//! Tokens beside the host's own, each for one who uses it.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// Asks for a token.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What it is to be called: 1 to 64 letters, digits, `-`, `_` and `.`, but not `host`.
    pub name: String,
}

/// A token that a host knows.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Token {
    /// What it is called.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub created: f64,
}

/// A token that was made just now. The host shows it this one time.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct NewToken {
    /// What it is called.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub created: f64,
    /// What its owner shows: `Authorization: Bearer TOKEN`.
    pub token: String,
}

impl std::fmt::Debug for NewToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewToken").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The tokens of a host, by name.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Tokens {
    /// Each of them.
    pub tokens: Vec<Token>,
}
