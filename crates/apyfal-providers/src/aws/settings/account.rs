//! Which account is used, in which region, and by which server.

use apyfal_aws::{Keys, Settings};
use apyfal_core::config::Section;
use apyfal_core::{Environment, Error, ErrorKind, Result, Secret, shorten};

use super::keywords::Keywords;

/// What in an environment leads to keys. Nobody looks at it where a profile is named by an argument.
const OF_KEYS: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
];

/// What the configuration says of them. It goes before the environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    keys: Option<Keys>,
    profile: Option<String>,
    region: Option<String>,
    endpoint: Option<String>,
}

impl Account {
    pub(super) fn read(
        section: &Section<'_>,
        session: &Keywords<'_>,
        client: &Keywords<'_>,
    ) -> Result<Self> {
        let keys = match keys(client)? {
            None => keys(session)?,
            keys => keys,
        };
        let region = match client.text("region_name")? {
            None => session.text("region_name")?,
            region => region,
        };
        let account = Self {
            keys: match keys {
                None => own_keys(section)?,
                keys => keys,
            },
            profile: session.text("profile_name")?,
            region: match region {
                None => section.get("region")?.map(|region| region.trim().to_owned()),
                region => region,
            },
            endpoint: client.text("endpoint_url")?,
        };
        if let Some(endpoint) = &account.endpoint
            && !endpoint.starts_with("http://")
            && !endpoint.starts_with("https://")
        {
            return Err(client.error("endpoint_url", "takes a URL, with http:// or https://"));
        }
        Ok(account)
    }

    /// Has an environment say all of it.
    pub(super) fn apply(&self, environment: &mut Environment) {
        if let Some(profile) = &self.profile {
            OF_KEYS.iter().for_each(|name| environment.assign(name, None));
            environment.assign("AWS_DEFAULT_PROFILE", None);
            environment.assign("AWS_PROFILE", Some(profile));
        }
        if let Some(keys) = &self.keys {
            let token = keys.token.as_ref().map(Secret::expose);
            environment.assign("AWS_ACCESS_KEY_ID", Some(&keys.id));
            environment.assign("AWS_SECRET_ACCESS_KEY", Some(keys.secret.expose()));
            environment.assign("AWS_SESSION_TOKEN", token);
            environment.assign("AWS_SECURITY_TOKEN", None);
        }
        if let Some(region) = &self.region {
            environment.assign("AWS_DEFAULT_REGION", Some(region));
        }
        if let Some(endpoint) = &self.endpoint {
            environment.variables.retain(|(name, _)| !name.starts_with("AWS_ENDPOINT_URL"));
            environment.assign("AWS_ENDPOINT_URL", Some(endpoint));
            // A profile may say otherwise.
            environment.assign("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", Some("false"));
        }
    }
}

/// The region that settings name.
///
/// # Errors
/// They name none, or what is none.
pub(crate) fn region(settings: &Settings) -> Result<String> {
    let wrong = |why: String| Error::new(ErrorKind::Configuration, why).operation("use AWS");
    let Some(region) = settings.region() else {
        return Err(wrong("no region is named".to_owned())
            .hint("write 'region = us-east-1' in [host.AWS], or another one")
            .hint("or set AWS_DEFAULT_REGION, or the region of the profile: aws configure"));
    };
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_region = region.contains('-') && region.chars().all(is_plain);
    match region.strip_suffix(|c: char| c.is_ascii_lowercase()) {
        Some(of) if is_region && of.ends_with(|c: char| c.is_ascii_digit()) => {
            Err(wrong(format!("'{region}' is a zone, and no region"))
                .hint(format!("write 'region = {of}' and 'availability_zone = {region}'")))
        }
        _ if is_region => Ok(region.to_owned()),
        _ => Err(wrong(format!("'{}' is no region", shorten(region)))
            .hint("a region is written as us-east-1 is")),
    }
}

/// The keys among arguments of boto3.
fn keys(given: &Keywords<'_>) -> Result<Option<Keys>> {
    let token = given.text("aws_session_token")?.map(Secret::new);
    let secret = given.text("aws_secret_access_key")?.map(Secret::new);
    match (given.text("aws_access_key_id")?, secret, token) {
        (Some(id), Some(secret), token) => Ok(Some(Keys { id, secret, token })),
        (None, None, None) => Ok(None),
        (None, ..) => Err(given.error("aws_access_key_id", "is missing")),
        (_, None, _) => Err(given.error("aws_secret_access_key", "is missing")),
    }
}

/// The keys that the section has itself.
fn own_keys(section: &Section<'_>) -> Result<Option<Keys>> {
    let secret = section.get("secret_id")?.map(Secret::new);
    match (section.get("client_id")?, secret) {
        (Some(id), Some(secret)) => Ok(Some(Keys { id, secret, token: None })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(section.error("client_id", "there is no secret_id with it")),
        (None, Some(_)) => Err(section.error("secret_id", "there is no client_id with it")),
    }
}
