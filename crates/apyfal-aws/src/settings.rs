//! What the environment and the files say of a profile.

use std::fmt;

use apyfal_core::{Environment, Error, ErrorKind, Result};

use crate::files::{Files, Section};

/// The settings of the profile that the environment names, or of the one called `default`.
///
/// An empty variable counts as one that is not set, except that an empty `AWS_CONFIG_FILE` or
/// `AWS_SHARED_CREDENTIALS_FILE` stands for no file.
pub struct Settings {
    pub(crate) environment: Environment,
    pub(crate) files: Files,
    pub(crate) profile: String,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// A file is wrong, or has no profile of the name that the environment gives.
    pub fn read(environment: &Environment) -> Result<Self> {
        let files = Files::read(environment)?;
        let named = ["AWS_DEFAULT_PROFILE", "AWS_PROFILE"]
            .into_iter()
            .find_map(|name| Some((name, environment.variable(name)?)));
        let profile = match named {
            None => "default",
            Some((_, name)) if files.profiles.contains_key(name) => name,
            Some((variable, name)) => {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    format!("there is no profile '{name}'"),
                )
                .operation(format!("use the profile of {variable}"))
                .hint("'aws configure list-profiles' lists those that exist"));
            }
        };
        Ok(Self { environment: environment.clone(), profile: profile.to_owned(), files })
    }

    /// The region, where one is named. `AWS_REGION`, which boto3 does not look at, comes last.
    pub fn region(&self) -> Option<&str> {
        let variable = |name| self.environment.variable(name);
        variable("AWS_DEFAULT_REGION").or_else(|| self.text("region")).or(variable("AWS_REGION"))
    }

    /// The URL of the server that stands for a service such as `s3` or `sts`, where one is named.
    ///
    /// # Errors
    /// The profile names a section of services that does not exist.
    pub fn endpoint(&self, service: &str) -> Result<Option<&str>> {
        if self.truth("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls") {
            return Ok(None);
        }
        let variable = |name: &str| self.environment.variable(name);
        let of_service = format!("AWS_ENDPOINT_URL_{}", service.to_ascii_uppercase());
        if let Some(url) = variable(&of_service).or_else(|| variable("AWS_ENDPOINT_URL")) {
            return Ok(Some(url));
        }
        let services = match self.section().and_then(|profile| profile.text("services")) {
            None => None,
            Some(name) => Some(self.files.services.get(name).ok_or_else(|| {
                Error::new(
                    ErrorKind::Configuration,
                    format!("there is no section [services {name}]"),
                )
                .operation(format!("use the services of profile '{}'", self.profile))
            })?),
        };
        let url = services.and_then(|services| services.within(service, "endpoint_url"));
        Ok(url.filter(|url| !url.is_empty()).or_else(|| self.text("endpoint_url")))
    }

    /// The file of certificates that servers are to be checked by, where the system's are not meant.
    pub fn ca_bundle(&self) -> Option<&str> {
        self.environment.variable("AWS_CA_BUNDLE").or_else(|| self.text("ca_bundle"))
    }

    /// How often a call is made before it counts as failed, where that is set.
    ///
    /// # Errors
    /// It is no number of times.
    pub fn max_attempts(&self) -> Result<Option<u32>> {
        let set =
            self.environment.variable("AWS_MAX_ATTEMPTS").or_else(|| self.text("max_attempts"));
        let Some(text) = set else { return Ok(None) };
        match text.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(Error::new(ErrorKind::Configuration, format!("'{text}' is no number from 1"))
                .operation("read 'max_attempts' of AWS")),
        }
    }

    /// A key of the profile that is set to something.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.section()?.text(key).filter(|text| !text.is_empty())
    }

    pub(crate) fn section(&self) -> Option<&Section> {
        self.files.profiles.get(&self.profile)
    }

    /// A truth value: the variable, even where it is empty, then the profile.
    pub(crate) fn truth(&self, variable: &str, key: &str) -> bool {
        let text = self.environment.set(variable).or_else(|| self.section()?.text(key));
        text.is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

impl fmt::Debug for Settings {
    /// Without the values, any of which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("profile", &self.profile).finish_non_exhaustive()
    }
}
