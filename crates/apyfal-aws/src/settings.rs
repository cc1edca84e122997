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

    /// Where S3 is in a region unless another server is named: `s3.eu-west-1.amazonaws.com`.
    pub fn s3_server(&self, region: &str) -> String {
        let truth = |variable, key| self.truth(variable, key);
        let fips = truth("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint");
        let dual = truth("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint");
        // The part of the cloud that a region belongs to has a domain of its own.
        let domain = match region.rsplitn(3, '-').nth(2).unwrap_or(region) {
            "cn" => "amazonaws.com.cn",
            "eusc-de" => "amazonaws.eu",
            "us-iso" => "c2s.ic.gov",
            "us-isob" => "sc2s.sgov.gov",
            "us-isof" => "csp.hci.ic.gov",
            "eu-isoe" => "cloud.adc-e.uk",
            _ => "amazonaws.com",
        };
        let fips = if fips { "-fips" } else { "" };
        let dual = if dual { "dualstack." } else { "" };
        format!("s3{fips}.{dual}{region}.{domain}")
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
