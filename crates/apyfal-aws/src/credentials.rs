//! Credentials, fetched from where they are and kept as long as they are good.

use std::fmt;
use std::time::Duration;

use apyfal_core::{Environment, Error, ErrorKind, Result};
use http::Uri;
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, AssumeRoleWithWebIdentityCredentialProvider, Credential,
    ECSCredentialProvider, IMDSv2CredentialProvider, RequestSigner,
};
use reqsign_core::{Context, HttpSend, ProvideCredential, Signer, SigningCredential, StaticEnv};
use reqsign_file_read_tokio::TokioFileRead;
use tokio::sync::Mutex;

use crate::assume::{SendTo, SignFor};
use crate::{Role, Settings, Source, process};

/// The region of services that are asked without one.
const REGION: &str = "us-east-1";

/// The credentials that settings lead to.
pub struct Credentials {
    environment: Environment,
    context: Context,
    kept: Mutex<Kept>,
}

struct Kept {
    provider: Provider,
    credential: Option<Credential>,
}

impl Credentials {
    /// Those of the settings; nobody is asked for them yet. `http` is asked where a server has them.
    ///
    /// # Errors
    /// The settings are incomplete, or contradict themselves.
    pub fn new(settings: &Settings, http: impl HttpSend) -> Result<Self> {
        let variables = settings.environment.variables.iter();
        // One that is set to nothing counts as not set.
        let variables = variables.filter(|(_, value)| !value.is_empty()).cloned();
        let context =
            Context::new().with_file_read(TokioFileRead).with_http_send(http).with_env(StaticEnv {
                home_dir: settings.environment.home.clone(),
                envs: variables.collect(),
            });
        let kept = Kept { provider: Provider::of(settings)?, credential: None };
        Ok(Self { environment: settings.environment.clone(), context, kept: Mutex::new(kept) })
    }

    /// The credentials, where there are any. Good ones are kept.
    ///
    /// # Errors
    /// Where they should be they cannot be had from. Where there were some, that may pass.
    pub async fn get(&self) -> Result<Option<Credential>> {
        let mut kept = self.kept.lock().await;
        if !kept.credential.as_ref().is_some_and(Credential::is_valid) {
            let found = kept.provider.fetch(&self.context).await?;
            if found.is_none() && kept.credential.is_some() {
                let why = "those that there were have expired, and nobody tells new ones";
                return Err(Error::new(ErrorKind::Unavailable, why)
                    .operation("get credentials of AWS")
                    .retryable());
            }
            kept.credential = found;
        }
        Ok(kept.credential.clone())
    }

    /// Credentials in place of those that were refused, where there are others by now: the settings
    /// are read again, and who has them is asked again.
    ///
    /// # Errors
    /// The settings became wrong, or the credentials cannot be had.
    pub async fn renew(&self, refused: &Credential) -> Result<Option<Credential>> {
        let mut kept = self.kept.lock().await;
        // Another one may have done it meanwhile.
        if kept.credential.as_ref().is_none_or(|kept| is_same(kept, refused)) {
            kept.provider = Provider::of(&Settings::read(&self.environment)?)?;
            kept.credential = kept.provider.fetch(&self.context).await?;
        }
        Ok(kept.credential.clone().filter(|kept| !is_same(kept, refused)))
    }
}

fn is_same(one: &Credential, other: &Credential) -> bool {
    one.access_key_id == other.access_key_id
        && one.secret_access_key == other.secret_access_key
        && one.session_token == other.session_token
}

impl ProvideCredential for Credentials {
    type Credential = Credential;

    async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Credential>> {
        self.get().await.map_err(theirs)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// How servers are reached.
#[derive(Clone, Debug)]
struct Reach {
    region: Option<String>,
    /// The server that gives roles, where another is named than that of AWS.
    sts: Option<Uri>,
    /// The server by which a machine tells of itself, where the profile names one.
    metadata: Option<String>,
    /// How long that may take to answer: where there is none, nobody does.
    timeout: Duration,
}

/// A source with what it takes to ask it.
#[derive(Clone, Debug)]
struct Provider {
    source: Source,
    reach: Reach,
}

impl Provider {
    fn of(settings: &Settings) -> Result<Self> {
        let sts = settings.endpoint("sts")?.map(|url| {
            url.trim_end_matches('/').parse().map_err(|_| {
                Error::new(ErrorKind::Configuration, format!("'{url}' is no URL"))
                    .operation("use it as the endpoint of STS")
            })
        });
        let timeout = settings.environment.variable("AWS_METADATA_SERVICE_TIMEOUT");
        let timeout = timeout.or_else(|| settings.text("metadata_service_timeout"));
        let reach = Reach {
            region: settings.region().map(str::to_owned),
            sts: sts.transpose()?,
            metadata: settings.text("ec2_metadata_service_endpoint").map(str::to_owned),
            timeout: Duration::from_secs(timeout.and_then(|text| text.parse().ok()).unwrap_or(1)),
        };
        Ok(Self { source: settings.source()?, reach })
    }

    async fn fetch(&self, context: &Context) -> Result<Option<Credential>> {
        let region = self.reach.region.clone().unwrap_or_else(|| REGION.to_owned());
        match &self.source {
            Source::Nowhere => Ok(None),
            Source::Keys(keys) => Ok(Some(Credential {
                access_key_id: keys.id.clone(),
                secret_access_key: keys.secret.expose().to_owned(),
                session_token: keys.token.as_ref().map(|token| token.expose().to_owned()),
                expires_in: None,
            })),
            Source::Process(command) => process::run(command).await.map(Some),
            Source::Role(role) => self.assume(role, region, context).await,
            Source::WebIdentity { role, token_file, session_name } => {
                let mut provider = AssumeRoleWithWebIdentityCredentialProvider::with_config(
                    role.clone(),
                    token_file.into(),
                )
                .with_region(region)
                .with_regional_sts_endpoint();
                if let Some(name) = session_name {
                    provider = provider.with_role_session_name(name.clone());
                }
                let context = match &self.reach.sts {
                    None => context.clone(),
                    Some(server) => {
                        let (server, inner) = (server.clone(), context.clone());
                        context.clone().with_http_send(SendTo { server, context: inner })
                    }
                };
                ours(provider.provide_credential(&context).await, role)
            }
            Source::SignOn(sign_on) => sign_on.credential(context).await.map(Some),
            Source::Container => {
                let mut provider = ECSCredentialProvider::new();
                if let Some(place) = context.env_var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
                    provider = provider.with_relative_uri(place);
                }
                ours(provider.provide_credential(context).await, "the container")
            }
            Source::Machine => {
                let mut provider = IMDSv2CredentialProvider::new();
                let named = context.env_var("AWS_EC2_METADATA_SERVICE_ENDPOINT");
                if let Some(server) = named.or_else(|| self.reach.metadata.clone()) {
                    provider = provider.with_endpoint(server.trim_end_matches('/'));
                }
                // Most machines are in no cloud, and most of those in one have no role.
                let asked = provider.provide_credential(context);
                let answer = tokio::time::timeout(self.reach.timeout, asked).await;
                Ok(answer.ok().and_then(Result::ok).flatten())
            }
        }
    }

    async fn assume(
        &self,
        role: &Role,
        region: String,
        context: &Context,
    ) -> Result<Option<Credential>> {
        let source = Self { source: role.source.clone(), reach: self.reach.clone() };
        // Asked for here, so that why there are none is told.
        let found = Box::pin(source.fetch(context)).await?;
        let found = found.ok_or_else(|| failed("its source has no credentials", &role.arn))?;
        let signer = RequestSigner::new("sts", &region);
        let signer = SignFor { server: self.reach.sts.clone(), signer };
        let signer = Signer::new(context.clone(), Given(found), signer);
        let mut provider = AssumeRoleCredentialProvider::new(role.arn.clone(), signer)
            .with_region(region)
            .with_regional_sts_endpoint();
        if let Some(name) = &role.session_name {
            provider = provider.with_role_session_name(name.clone());
        }
        if let Some(id) = &role.external_id {
            provider = provider.with_external_id(id.clone());
        }
        if let Some(seconds) = role.duration {
            provider = provider.with_duration_seconds(seconds);
        }
        ours(provider.provide_credential(context).await, &role.arn)
    }
}

/// Credentials that are there.
#[derive(Debug)]
struct Given(Credential);

impl ProvideCredential for Given {
    type Credential = Credential;

    async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Credential>> {
        Ok(Some(self.0.clone()))
    }
}

fn ours<T>(result: reqsign_core::Result<T>, of: &str) -> Result<T> {
    result.map_err(|error| failed(error.to_string(), of).source(error))
}

fn theirs(error: Error) -> reqsign_core::Error {
    reqsign_core::Error::credential_invalid(error.to_string()).with_source(error)
}

pub(crate) fn failed(why: impl Into<String>, of: &str) -> Error {
    Error::new(ErrorKind::Authentication, why)
        .operation(format!("get the credentials of AWS for '{of}'"))
}
