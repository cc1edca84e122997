//! What a new host gets from its owner, once.

use serde::{Deserialize, Serialize};

/// What a host has from its first contact on. Sent once, by who shows the token of that, to a host
/// that shows the certificate of that; the answer has no content.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FirstContact {
    /// The host's own token.
    pub token: String,
    /// The host's own certificate, as PEM.
    pub certificate: String,
    /// The key of that, as PEM.
    pub key: String,
    /// What the host is configured by beside what it was started with: the text of an
    /// `accelerator.conf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
}

impl FirstContact {
    /// The path that a host which waits for it serves, and none else.
    pub const PATH: &str = "/v2/first-contact";
}

impl std::fmt::Debug for FirstContact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstContact")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}
