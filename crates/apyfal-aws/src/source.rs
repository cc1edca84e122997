//! Where credentials come from, decided from the settings alone: nobody is asked yet.

use apyfal_core::{Error, ErrorKind, Result, Secret};

use crate::files::Section;
use crate::{Settings, SignOn};

/// Where credentials come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// They are written down.
    Keys(Keys),
    /// A program prints them.
    Process(String),
    /// Who has others may take on a role.
    Role(Box<Role>),
    /// A file has a token that is good for a role.
    WebIdentity {
        /// The role's ARN.
        role: String,
        /// The file.
        token_file: String,
        /// What the session is called.
        session_name: Option<String>,
    },
    /// The IAM Identity Center, which a person has signed in to: `aws sso login`.
    SignOn(SignOn),
    /// The container, which says where to ask.
    Container,
    /// The machine, which may have a role.
    Machine,
    /// Nowhere: not even the machine may be asked.
    Nowhere,
}

/// An access key.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Its public part.
    pub id: String,
    /// Its secret part.
    pub secret: Secret,
    /// What goes with it where it is temporary.
    pub token: Option<Secret>,
}

/// A role and who takes it on.
#[derive(Clone, Debug)]
pub struct Role {
    /// The role's ARN.
    pub arn: String,
    /// Where the credentials are that the role is asked for with.
    pub source: Source,
    /// What the session is called.
    pub session_name: Option<String>,
    /// What the role's owner wants to be told.
    pub external_id: Option<String>,
    /// For how long, in seconds.
    pub duration: Option<u32>,
}

impl Settings {
    /// Where the credentials of this profile come from, in the order in which boto3 looks.
    ///
    /// # Errors
    /// The settings are incomplete, or contradict themselves.
    pub fn source(&self) -> Result<Source> {
        if let Some(keys) = self.keys_of_environment()? {
            return Ok(Source::Keys(keys));
        }
        if self.section().is_some_and(has_role) {
            return self.role(&self.profile, &mut vec![self.profile.clone()]);
        }
        Ok(match self.of_profile(&self.profile, true)? {
            Some(source) => source,
            None if self.is_container() => Source::Container,
            None => self.machine(),
        })
    }

    fn keys_of_environment(&self) -> Result<Option<Keys>> {
        let variable = |name| self.environment.variable(name);
        let Some(id) = variable("AWS_ACCESS_KEY_ID") else { return Ok(None) };
        let secret = variable("AWS_SECRET_ACCESS_KEY").ok_or_else(|| {
            incomplete("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not")
        })?;
        let token = variable("AWS_SECURITY_TOKEN").or_else(|| variable("AWS_SESSION_TOKEN"));
        let (id, secret, token) = (id.to_owned(), Secret::new(secret), token.map(Secret::new));
        Ok(Some(Keys { id, secret, token }))
    }

    /// What a profile has by itself. Only the profile in use is helped by the environment.
    fn of_profile(&self, name: &str, in_use: bool) -> Result<Option<Source>> {
        let nothing = Section::default();
        let profile = self.files.profiles.get(name).unwrap_or(&nothing);
        if let Some(source) = self.web_identity(name, profile, in_use)? {
            return Ok(Some(source));
        }
        if let Some(source) = self.sign_on(name, profile)? {
            return Ok(Some(source));
        }
        if let Some(keys) = keys(name, self.files.credentials.get(name))? {
            return Ok(Some(Source::Keys(keys)));
        }
        if let Some(command) = profile.text("credential_process") {
            return Ok(Some(Source::Process(command.to_owned())));
        }
        Ok(keys(name, self.files.config.get(name))?.map(Source::Keys))
    }

    fn web_identity(&self, name: &str, profile: &Section, in_use: bool) -> Result<Option<Source>> {
        let text = |variable, key| {
            let variable = self.environment.variable(variable).filter(|_| in_use);
            variable.or_else(|| profile.text(key)).map(str::to_owned)
        };
        let token_file = text("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file");
        let Some(token_file) = token_file.filter(|file| !file.is_empty()) else { return Ok(None) };
        let role = text("AWS_ROLE_ARN", "role_arn")
            .ok_or_else(|| incomplete(&format!("profile '{name}' has a token and no role_arn")))?;
        let session_name = text("AWS_ROLE_SESSION_NAME", "role_session_name");
        Ok(Some(Source::WebIdentity { role, token_file, session_name }))
    }

    fn sign_on(&self, name: &str, profile: &Section) -> Result<Option<Source>> {
        if !profile.has("sso_account_id") && !profile.has("sso_role_name") {
            return Ok(None);
        }
        let session = profile.text("sso_session");
        let center = match session {
            None => profile,
            Some(session) => self.files.sso_sessions.get(session).ok_or_else(|| {
                incomplete(&format!("there is no section [sso-session {session}]"))
            })?,
        };
        let text = |key| {
            let text = profile.text(key).or_else(|| center.text(key)).map(str::to_owned);
            text.ok_or_else(|| incomplete(&format!("profile '{name}' has no {key}")))
        };
        let (account, role) = (text("sso_account_id")?, text("sso_role_name")?);
        let (region, start) = (text("sso_region")?, text("sso_start_url")?);
        let token = session.map_or(start, str::to_owned);
        let server = |endpoint, service| {
            let named = self.endpoint(endpoint)?.map(str::to_owned);
            let its = || format!("https://{}", self.server(service, &region).name);
            Ok::<_, Error>(named.unwrap_or_else(its))
        };
        let (portal, oidc) = (server("sso", "portal.sso")?, server("sso_oidc", "oidc")?);
        Ok(Some(Source::SignOn(SignOn { account, role, token, portal, oidc })))
    }

    fn role(&self, name: &str, visited: &mut Vec<String>) -> Result<Source> {
        let nothing = Section::default();
        let profile = self.files.profiles.get(name).unwrap_or(&nothing);
        let text = |key| profile.text(key).map(str::to_owned);
        if profile.has("mfa_serial") {
            return Err(incomplete(&format!(
                "the role of profile '{name}' asks for a code that nobody can be asked for"
            ))
            .hint("get temporary keys first: aws sts assume-role"));
        }
        let source = match (profile.text("source_profile"), profile.text("credential_source")) {
            (Some(source), None) => self.source_of_role(name, source, visited)?,
            (None, Some(source)) => self.named_source(name, source)?,
            (Some(_), Some(_)) => {
                return Err(incomplete(&format!(
                    "profile '{name}' has both source_profile and credential_source"
                )));
            }
            (None, None) => {
                return Err(incomplete(&format!(
                    "profile '{name}' has a role, and neither source_profile nor credential_source"
                )));
            }
        };
        Ok(Source::Role(Box::new(Role {
            arn: text("role_arn").unwrap_or_default(),
            source,
            session_name: text("role_session_name"),
            external_id: text("external_id"),
            duration: text("duration_seconds").and_then(|text| text.trim().parse().ok()),
        })))
    }

    fn source_of_role(
        &self,
        name: &str,
        source: &str,
        visited: &mut Vec<String>,
    ) -> Result<Source> {
        let Some(profile) = self.files.profiles.get(source) else {
            return Err(incomplete(&format!(
                "there is no profile '{source}', which '{name}' has as its source_profile"
            )));
        };
        let has_keys = profile.has("aws_access_key_id") || profile.has("aws_secret_access_key");
        // A profile may be its own source, where it has keys too.
        if visited.iter().any(|seen| seen == source) && !(source == name && has_keys) {
            return Err(incomplete(&format!("profile '{source}' is the source of itself")));
        }
        visited.push(source.to_owned());
        if !has_keys && has_role(profile) {
            return self.role(source, visited);
        }
        self.of_profile(source, false)?
            .ok_or_else(|| incomplete(&format!("profile '{source}' has no credentials")))
    }

    fn named_source(&self, name: &str, source: &str) -> Result<Source> {
        match source {
            "Environment" => self
                .keys_of_environment()?
                .map(Source::Keys)
                .ok_or_else(|| incomplete("AWS_ACCESS_KEY_ID is not set")),
            "EcsContainer" if self.is_container() => Ok(Source::Container),
            "EcsContainer" => Err(incomplete("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set")),
            "Ec2InstanceMetadata" => Ok(self.machine()),
            other => Err(incomplete(&format!(
                "'{other}', the credential_source of profile '{name}', is none"
            ))
            .hint("known are Environment, EcsContainer and Ec2InstanceMetadata")),
        }
    }

    fn is_container(&self) -> bool {
        ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]
            .into_iter()
            .any(|name| self.environment.variable(name).is_some())
    }

    fn machine(&self) -> Source {
        let disabled = self.environment.variable("AWS_EC2_METADATA_DISABLED");
        match disabled.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            true => Source::Nowhere,
            false => Source::Machine,
        }
    }
}

/// The keys that a profile has in one of the files.
fn keys(name: &str, profile: Option<&Section>) -> Result<Option<Keys>> {
    let Some(profile) = profile.filter(|profile| profile.has("aws_access_key_id")) else {
        return Ok(None);
    };
    let text = |key| profile.text(key).filter(|text| !text.is_empty()).map(str::to_owned);
    let missing = |key| incomplete(&format!("profile '{name}' has no {key}"));
    let id = text("aws_access_key_id").ok_or_else(|| missing("aws_access_key_id"))?;
    let secret = text("aws_secret_access_key").ok_or_else(|| missing("aws_secret_access_key"))?;
    let token = text("aws_security_token").or_else(|| text("aws_session_token"));
    Ok(Some(Keys { id, secret: Secret::new(secret), token: token.map(Secret::new) }))
}

/// Whether a profile is a role that is taken on with the credentials of another.
fn has_role(profile: &Section) -> bool {
    profile.has("role_arn") && !profile.has("web_identity_token_file")
}

fn incomplete(why: &str) -> Error {
    Error::new(ErrorKind::Authentication, why).operation("find the credentials of AWS")
}
