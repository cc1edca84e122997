//! What a machine is asked for with.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What becomes of a machine that shuts itself down, as it does when the lease of its host ran out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AtShutdown {
    /// It is deleted.
    Terminate,
    /// It stays, stopped, and can be started again.
    Stop,
}

/// The machine that is asked for. The same one, asked for again with the same [`Token`], is the same
/// machine; so all of it is settled before it is asked for the first time.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HostSpec {
    /// What it is called at the provider.
    pub name: String,
    /// The accelerator of clients that name none.
    pub accelerator: String,
    /// Who asks: an installation of Apyfal, by its id.
    pub installation: String,
    /// The kind of machine; the provider's choice if there is none.
    pub instance_type: Option<String>,
    /// The image of its disk; the provider's choice if there is none.
    pub image: Option<String>,
    /// What becomes of it when it shuts itself down.
    pub at_shutdown: AtShutdown,
    /// How long its host lives without jobs and clients.
    pub idle_timeout: Option<Duration>,
    /// How long its host lives in all.
    pub max_lifetime: Option<Duration>,
    /// What is in the directory of its host from the start: names and texts. No secret.
    pub files: Vec<(String, String)>,
}

impl fmt::Debug for HostSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSpec")
            .field("name", &self.name)
            .field("accelerator", &self.accelerator)
            .field("instance_type", &self.instance_type)
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

/// What makes asking twice for a machine get one. Each attempt has its own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Token(pub String);
