//! How servers are talked to.

use std::time::Duration;

use apyfal_core::{Environment, Result};
use serde_json::Value;

use super::keywords::Keywords;

/// The API of EC2 whose requests are made here.
const API_VERSION: &str = "2016-11-15";

/// What `boto3_client_kwargs` says of it, for every service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ClientOptions {
    /// The file of certificates that servers are checked by.
    certificates: Option<String>,
    /// How often a call is made at most.
    attempts: Option<u32>,
    /// The proxies of `http://` and `https://`, instead of those of the environment.
    proxies: Option<[Option<String>; 2]>,
    /// How long a connection may take to come about.
    pub(crate) connect_timeout: Option<Duration>,
    /// How long an answer may take.
    pub(crate) read_timeout: Option<Duration>,
}

impl ClientOptions {
    pub(super) fn read(client: &Keywords<'_>) -> Result<Self> {
        let is_plain = client.text("endpoint_url")?.is_some_and(|url| url.starts_with("http://"));
        let certificates = match client.value("verify") {
            None | Some(Value::Bool(true)) => None,
            Some(Value::Bool(false)) if is_plain => None,
            Some(Value::Bool(false)) => {
                return Err(client
                    .error("verify", "cannot be False: servers are sent what is secret")
                    .hint("name the certificate of the server, or of who signed it: a path"));
            }
            Some(Value::String(path)) => Some(path.clone()),
            Some(_) => return Err(client.error("verify", "takes a path, or True")),
        };
        if client.truth("use_ssl")? == Some(false) && !is_plain {
            return Err(client
                .error("use_ssl", "cannot be False: servers are sent what is secret")
                .hint("a server of your own may have an endpoint_url that begins with http://"));
        }
        if client.text("api_version")?.is_some_and(|version| version != API_VERSION) {
            let rule = format!("can be '{API_VERSION}' only");
            return Err(client.error("api_version", &rule));
        }
        if client.value("config").is_some_and(|config| !config.is_object()) {
            return Err(client
                .error("config", "takes a dictionary, and no object of botocore")
                .hint("write what is within botocore.config.Config(…): {'read_timeout': 60}"));
        }
        let config =
            client.within("config", &["connect_timeout", "read_timeout", "retries", "proxies"])?;
        let retries = config.within("retries", &["max_attempts", "total_max_attempts", "mode"])?;
        // How they are spread over time is the same in every mode.
        retries.text("mode")?;
        let attempts = match retries.count("total_max_attempts")? {
            Some(0) => return Err(retries.error("total_max_attempts", "takes an integer from 1")),
            None => retries.count("max_attempts")?.map(|count| count.saturating_add(1)),
            attempts => attempts,
        };
        let proxies = config.within("proxies", &["http", "https"])?;
        let of_schemes = [proxies.text("http")?, proxies.text("https")?];
        Ok(Self {
            certificates,
            attempts,
            proxies: config.value("proxies").map(|_| of_schemes),
            connect_timeout: config.seconds("connect_timeout")?,
            read_timeout: config.seconds("read_timeout")?,
        })
    }

    /// Has an environment say all of it but for how long things may take.
    pub(super) fn apply(&self, environment: &mut Environment) {
        if let Some(certificates) = &self.certificates {
            environment.assign("AWS_CA_BUNDLE", Some(certificates));
        }
        if let Some(attempts) = self.attempts {
            environment.assign("AWS_MAX_ATTEMPTS", Some(&attempts.to_string()));
        }
        if let Some([http, https]) = &self.proxies {
            let text = |proxy: &Option<String>| proxy.clone().unwrap_or_default();
            environment.assign("http_proxy", Some(&text(http)));
            environment.assign("https_proxy", Some(&text(https)));
            environment.assign("all_proxy", Some(""));
            environment.assign("no_proxy", Some(""));
        }
    }
}
