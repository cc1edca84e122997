//! How servers are talked to.

use std::path::PathBuf;
use std::time::Duration;

use apyfal_core::Result;
use serde_json::Value;

use super::keywords::Keywords;

/// The API of EC2 whose requests are made here.
const API_VERSION: &str = "2016-11-15";

/// What `boto3_client_kwargs` says of it, for every service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ClientOptions {
    /// Whose word is taken for who a server is.
    pub(crate) verify: Verify,
    /// Whether the servers of AWS are talked to in the clear.
    pub(crate) is_plain: bool,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) read_timeout: Option<Duration>,
    /// How often a call is made at most.
    pub(crate) attempts: Option<u32>,
    /// The proxy for each scheme of URLs.
    pub(crate) proxies: Vec<(String, String)>,
}

/// Whose word is taken for who a server is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Verify {
    /// That of the system's authorities.
    #[default]
    System,
    /// That of the authorities in a file.
    File(PathBuf),
    /// Nobody's: the server is believed.
    Nobody,
}

impl ClientOptions {
    pub(super) fn read(client: &Keywords<'_>) -> Result<Self> {
        let verify = match client.value("verify") {
            None | Some(Value::Bool(true)) => Verify::System,
            Some(Value::Bool(false)) => Verify::Nobody,
            Some(Value::String(path)) => Verify::File(path.into()),
            Some(_) => return Err(client.error("verify", "takes True, False or a path")),
        };
        if client.text("api_version")?.is_some_and(|version| version != API_VERSION) {
            let rule = format!("can be '{API_VERSION}' only");
            return Err(client.error("api_version", &rule));
        }
        if client.value("config").is_some_and(|config| !config.is_object()) {
            let error = client.error("config", "takes a dictionary, and no object of botocore");
            return Err(
                error.hint("write what is within botocore.config.Config(…): {'read_timeout': 60}")
            );
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
        let proxy =
            |scheme: &str| Ok(proxies.text(scheme)?.map(|proxy| (scheme.to_owned(), proxy)));
        let proxies: Result<Vec<_>> = ["http", "https"].into_iter().map(proxy).collect();
        Ok(Self {
            verify,
            is_plain: client.truth("use_ssl")? == Some(false),
            connect_timeout: config.seconds("connect_timeout")?,
            read_timeout: config.seconds("read_timeout")?,
            attempts,
            proxies: proxies?.into_iter().flatten().collect(),
        })
    }
}
