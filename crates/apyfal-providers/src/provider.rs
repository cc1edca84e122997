//! What every provider does.

use std::fmt;
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Image, Result};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::spec::{AtShutdown, HostSpec, Prepared, Request, Token};

/// What a provider is.
#[derive(Clone, Debug)]
pub struct ProviderInfo {
    /// What users call it: `host_type`.
    pub name: &'static str,
    /// Where it makes machines, where it has several such places.
    pub region: Option<String>,
    /// How long it may take until what was made is found by everybody: until then "not found" means
    /// "not yet".
    pub settles: Duration,
    /// Its machines run a script when they first start; without this the provider writes the files of
    /// their hosts.
    pub runs_scripts: bool,
    /// Its hosts have rights of their own there, which what runs on them may use.
    pub gives_rights: bool,
    /// A script of the user's that its settings name, for hosts to run last.
    pub user_script: Option<String>,
    /// What the user should know of its settings.
    pub warnings: Vec<String>,
}

impl ProviderInfo {
    /// One that has no regions, takes effect at once and writes files.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            region: None,
            settles: Duration::ZERO,
            runs_scripts: false,
            gives_rights: false,
            user_script: None,
            warnings: Vec::new(),
        }
    }
}

/// What a provider calls a machine.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct InstanceId(pub String);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a machine is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InstanceState {
    /// It comes up.
    Pending,
    /// It runs.
    Running,
    /// It goes down, and stays.
    Stopping,
    /// It is down, and can be started.
    Stopped,
    /// It is being deleted.
    Ending,
    /// It is no more.
    Ended,
}

impl InstanceState {
    /// Whether it is there, and may cost.
    pub fn is_alive(self) -> bool {
        !matches!(self, Self::Ending | Self::Ended)
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Ending => "ending",
            Self::Ended => "ended",
        })
    }
}

/// A machine, as its provider tells of it.
#[derive(Clone, Debug)]
pub struct Instance {
    /// What the provider calls it.
    pub id: InstanceId,
    /// What whoever asked for it called it.
    pub name: String,
    /// By which token it was asked for.
    pub token: Token,
    /// How it is.
    pub state: InstanceState,
    /// Where its host is, once it has an address: `https://host:port`.
    pub url: Option<String>,
    /// When it was made, in seconds since 1970.
    pub created: f64,
    /// Why it stopped or ended, as a sentence, where the provider says so.
    pub ended_by: Option<String>,
    /// What kind of machine it is.
    pub details: InstanceDetails,
}

/// What kind of machine one is, as far as its provider tells.
#[derive(Clone, Debug, Default)]
pub struct InstanceDetails {
    /// Its type.
    pub instance_type: Option<String>,
    /// The id of the image that it started from.
    pub image: Option<String>,
    /// The key pair of those who log in to it.
    pub key_pair: Option<String>,
    /// The name of its security group, the first one where it has several.
    pub security_group: Option<String>,
    /// Its address in its network.
    pub private_address: Option<String>,
}

/// Which machines are meant.
#[derive(Clone, Debug, Default)]
pub struct HostFilter {
    /// Those of this installation.
    pub installation: Option<String>,
    /// That which was asked for by this token.
    pub token: Option<Token>,
}

impl HostFilter {
    /// All that was made for one token.
    pub fn asked_by(token: &Token) -> Self {
        Self { token: Some(token.clone()), ..Self::default() }
    }
}

/// Makes machines for hosts, and ends them. Every call returns at once, and may be made again.
///
/// Errors have the kinds by which the caller decides what to do: `Authentication`, `Security`,
/// `Quota`, `Configuration` and `Usage` stay what they are, `Capacity` may be different elsewhere,
/// and after `Unavailable` nobody knows what became of the call.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// What it is.
    fn info(&self) -> &ProviderInfo;

    /// Settles the exact request for a machine, and has there be what machines share: keys, a
    /// firewall, a place for files. Nothing of that costs anything, and it may stay. What this installation
    /// needs no more is taken back, but for what other hosts of it [hold](Prepared::holds): `held`.
    ///
    /// # Errors
    /// What is wanted cannot be had, as far as that can be told without asking for it.
    async fn prepare(&self, spec: &HostSpec, held: &[String]) -> Result<Prepared>;

    /// For which architecture a program has to be that runs on a new machine, such as `x86_64`; none where
    /// that is the one of this machine.
    ///
    /// # Errors
    /// There is no such type or image.
    async fn architecture(
        &self,
        _instance_type: Option<&str>,
        _image: Option<&Image>,
    ) -> Result<Option<String>> {
        Ok(None)
    }

    /// What it calls an image, however that is named.
    ///
    /// # Errors
    /// There is none.
    async fn image_id(&self, image: &Image) -> Result<String> {
        image.as_id().ok_or_else(|| {
            let why = "hosts of this type are made of no images that are looked for by name";
            Error::new(ErrorKind::Usage, why).operation(format!("find the image '{image}'"))
        })
    }

    /// Asks for a machine. With the token of one that was asked for before it is that one, whatever
    /// became of it.
    ///
    /// # Errors
    /// It is refused; `Conflict` where the token was used for another request, `NotFound` where what it
    /// made is no more. One that can be tried again may be taken later.
    async fn create(&self, request: &Request, token: &Token) -> Result<InstanceId>;

    /// Which account it is, where there are several.
    ///
    /// # Errors
    /// The provider does not tell.
    async fn account(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// Lets this machine reach the hosts of an installation, wherever it is by now.
    ///
    /// # Errors
    /// It is refused.
    async fn admit(&self, _installation: &str) -> Result<()> {
        Ok(())
    }

    /// A machine; none where there is none, or not yet, or no more.
    ///
    /// # Errors
    /// The provider does not tell.
    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>>;

    /// All machines that are meant, those that ended lately included.
    ///
    /// # Errors
    /// The provider does not tell.
    async fn list(&self, filter: &HostFilter) -> Result<Vec<Instance>>;

    /// Starts one that is stopped.
    ///
    /// # Errors
    /// It is refused.
    async fn start(&self, id: &InstanceId) -> Result<()>;

    /// Stops one, so that it can be started again.
    ///
    /// # Errors
    /// It is refused.
    async fn stop(&self, id: &InstanceId) -> Result<()>;

    /// Takes back a request that was sent with a token and makes further machines, in place of one that ends. That there
    /// is none is fine.
    ///
    /// # Errors
    /// It is refused.
    async fn withdraw(&self, _request: &Request, _token: &Token) -> Result<()> {
        Ok(())
    }

    /// Deletes one. That it is gone already is fine.
    ///
    /// # Errors
    /// It is refused.
    async fn terminate(&self, id: &InstanceId) -> Result<()>;

    /// What becomes of one that shuts itself down, from now on.
    ///
    /// # Errors
    /// It is refused.
    async fn set_at_shutdown(&self, id: &InstanceId, mode: AtShutdown) -> Result<()>;

    /// The end of what it said on its console, where that is kept.
    ///
    /// # Errors
    /// The provider does not tell.
    async fn console(&self, id: &InstanceId) -> Result<Option<String>>;
}
