//! What a machine is asked for with.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use apyfal_core::{Error, ErrorKind, Image, Result};

/// What becomes of a machine that shuts itself down, as it does when the lease of its host ran out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AtShutdown {
    /// It is deleted.
    Terminate,
    /// It stays, stopped, and can be started again.
    Stop,
}

/// The machine that is wanted.
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
    pub image: Option<Image>,
    /// The image of the FPGA that it is to have, where it needs one.
    pub fpga_image: Option<String>,
    /// What becomes of it when it shuts itself down.
    pub at_shutdown: AtShutdown,
    /// How long its host lives without jobs and clients.
    pub idle_timeout: Option<Duration>,
    /// How long its host lives in all.
    pub max_lifetime: Option<Duration>,
    /// What makes it a host.
    pub boot: Boot,
}

impl fmt::Debug for HostSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSpec")
            .field("name", &self.name)
            .field("accelerator", &self.accelerator)
            .field("instance_type", &self.instance_type)
            .field("image", &self.image.as_ref().map(ToString::to_string))
            .finish_non_exhaustive()
    }
}

/// What makes a machine a host. Nothing in it is a secret for longer than until the first contact.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// What is in the directory of its host from the start: names and texts.
    Files(Vec<(String, String)>),
    /// What it runs when it first starts.
    Script(Script),
}

impl fmt::Debug for Boot {
    /// Without the texts, which hold what is secret until the first contact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files(_) => "Files",
            Self::Script(_) => "Script",
        })
    }
}

impl Boot {
    /// The files, where it is files.
    pub fn files(&self) -> &[(String, String)] {
        match self {
            Self::Files(files) => files,
            Self::Script(_) => &[],
        }
    }
}

/// What user data may be in the clouds that there are, in bytes. Source: EC2, "Run commands when you launch an
/// EC2 instance".
pub const LONGEST_USER_DATA: usize = 16 << 10;

/// A script that makes a machine a host when it first starts: its user data.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Its text. Each of the artifacts is named in it by its [`place`](Artifact::place). It has a function
    /// `pushed`, which waits for a file of a SHA-256 that is sent by ssh, and prints where it is.
    pub text: String,
    /// Files of this machine that it fetches.
    pub artifacts: Vec<Artifact>,
    /// What the agent needs of the machine, where that is known.
    pub agent: AgentNeeds,
}

impl fmt::Debug for Script {
    /// Without its text, which holds what is secret until the first contact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("artifacts", &self.artifacts)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// A file of this machine that a provider puts where a new machine gets it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Where it is.
    pub path: PathBuf,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Artifact {
    /// What stands for its URL in a script, until the provider has one.
    pub fn place(&self) -> String {
        format!("https://artifact.invalid/{}", self.sha256)
    }

    /// The word of a script in its stead that waits until it was sent by ssh.
    pub(crate) fn pushed(&self) -> String {
        format!("\"$(pushed {})\"", self.sha256)
    }
}

/// What a program needs of the machine that it runs on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AgentNeeds {
    /// The architecture, such as `x86_64`, where it is known.
    pub architecture: Option<String>,
    /// The oldest version of the GNU C library that will do, unless it needs none.
    pub glibc: Option<(u32, u32)>,
}

/// What a provider has settled for a machine before it is asked for.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What is going to be asked for.
    pub request: Request,
    /// For how long it may be sent, where what is in it does not last.
    pub good_for: Option<Duration>,
    /// How people log in to the machine, where they can.
    pub login: Option<Login>,
    /// What the machine waits for until it is sent by ssh: there is no place from which it could fetch it.
    pub pushed: Vec<Artifact>,
    /// The account that it is asked for in, where there are several.
    pub account: Option<String>,
    /// What it needs of what machines share, in words of its provider, for as long as it lives.
    pub holds: Vec<String>,
    /// What the user should know of it.
    pub warnings: Vec<String>,
}

impl From<Request> for Prepared {
    fn from(request: Request) -> Self {
        Self {
            request,
            good_for: None,
            login: None,
            pushed: Vec::new(),
            account: None,
            holds: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// How people log in to a machine, by ssh.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The user of its image.
    pub user: String,
    /// What the provider calls the key pair.
    pub key_pair: String,
    /// The file with the private key, where that is here.
    pub private_key: Option<PathBuf>,
}

/// The exact request for a machine, as its provider understands it. Sent again with the same [`Token`]
/// it gets the same machine. It may hold what is secret until the first contact.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Request(serde_json::Value);

impl Request {
    /// What a provider asks for.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn of(request: &impl Serialize) -> Result<Self> {
        serde_json::to_value(request)
            .map(Self)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
    }

    /// What was written down.
    ///
    /// # Errors
    /// It is of another provider, or of another version.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.0).map_err(|error| {
            Error::new(ErrorKind::Conflict, error.to_string())
                .operation("read the request for a machine")
        })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

/// What makes asking twice for a machine get one. Each attempt has its own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Token(pub String);
