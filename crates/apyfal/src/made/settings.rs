//! What the configuration says of a host that is to be made, whoever makes it.

use std::path::Path;
use std::time::Duration;

use apyfal_catalog::Artifact;
use apyfal_core::{Cancel, Configuration, Error, Result, limit};
use apyfal_hosts::StopMode;
use apyfal_hosts::user_data::without_secrets;
use apyfal_package::Digest;
use apyfal_providers::InstanceId;
use apyfal_storage::Location;
use apyfal_tls::Identity;
use serde_json::{Value, json};

use crate::configuration::expand;

/// How long a host lives without jobs and clients, and in all, where nobody says so.
const IDLE: Duration = Duration::from_secs(30 * 60);
const LIFE: Duration = Duration::from_secs(12 * 3600);

/// What `init_config` is where it means the configuration that is used here.
const THIS_ONE: &str = "True";

/// What the configuration says of a host that is to be made.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(super) stop_mode: StopMode,
    /// What a provider calls a machine that is there, and is to be used.
    pub(super) instance: Option<InstanceId>,
    pub(super) prefix: Option<String>,
    pub(super) instance_type: Option<String>,
    pub(super) image: Option<String>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) identity: Option<Identity>,
    /// What configuration is sent to it: True for this one, or a path or URL.
    pub(super) init_config: Option<String>,
    /// The agent and its SHA-256, where one is named.
    pub(super) agent: Option<Artifact>,
    /// The user's own script, which the host runs last when it first starts.
    pub(super) init_script: Option<String>,
}

impl Settings {
    pub(crate) fn of(configuration: &Configuration, home: &Path) -> Result<Self> {
        let kind = configuration.section("host").get("host_type")?.unwrap_or_default();
        let section = configuration.host(&kind);
        let time = |key: &str, default: Duration| match section.get(key)? {
            None => Ok(Some(default)),
            Some(text) => limit(text.trim()).ok_or_else(|| {
                section
                    .error(key, format!("it cannot be '{text}'"))
                    .hint("a duration such as 30m or 12h, or none")
            }),
        };
        let instance = section.get("instance_id")?.map(|id| InstanceId(id.trim().to_owned()));
        let stop_mode = match section.get("stop_mode")? {
            // It was there before.
            None if instance.is_some() => StopMode::Keep,
            None => StopMode::Term,
            Some(text) => text
                .parse()
                .map_err(|error: Error| section.error("stop_mode", error.message().to_owned()))?,
        };
        let file = |key: &str| match section.get_literal(key) {
            Ok(Some(Value::String(path))) => Ok(Some(expand(&path, Some(home)))),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        };
        let identity = match (file("ssl_cert_crt")?, file("ssl_cert_key")?) {
            (Some(certificate), Some(key)) => Some(Identity::load(&certificate, &key)?),
            _ => None,
        };
        let init_config = match section.get_literal("init_config")? {
            Some(Value::Bool(true)) => Some(THIS_ONE.to_owned()),
            Some(Value::String(text)) => Some(match Location::parse(&text)? {
                Location::File(path) => {
                    expand(&path.to_string_lossy(), Some(home)).to_string_lossy().into_owned()
                }
                _ => text,
            }),
            _ => None,
        };
        let agent = match (section.get("agent")?, section.get("agent_sha256")?) {
            (Some(url), Some(sha256)) => Some(Artifact { url, sha256 }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(section.error("agent", "it needs its SHA-256 beside it: agent_sha256"));
            }
            (None, Some(_)) => {
                return Err(section.error("agent_sha256", "it needs the agent beside it: agent"));
            }
        };
        Ok(Self {
            stop_mode,
            instance,
            prefix: section.get("host_name_prefix")?,
            instance_type: section.get("instance_type")?,
            image: section.get("image_id")?,
            idle_timeout: time("idle_timeout", IDLE)?,
            max_lifetime: time("max_lifetime", LIFE)?,
            identity,
            init_config,
            agent,
            init_script: section.get("init_script")?,
        })
    }

    /// What tells hosts apart that are made without a name, though not what it is: who asks for the same
    /// may take over one whose process died. All that is configured of hosts counts, and what is sent.
    ///
    /// # Errors
    /// The configuration cannot be interpolated, or written.
    pub(crate) fn wish(
        &self,
        configuration: &Configuration,
        (host_type, region): (&str, Option<&str>),
        accelerator: &str,
    ) -> Result<String> {
        let mut entries = configuration.host(host_type).entries()?;
        // What becomes of it later is no part of what it is.
        entries.retain(|(key, _)| *key != "stop_mode");
        entries.sort_unstable();
        // What is at a URL is known by its name alone: it may change by itself.
        let sent = match self.init_config.as_deref() {
            Some(THIS_ONE) => Some(without_secrets(configuration).write()?.into_bytes()),
            Some(named) => std::fs::read(named).ok(),
            None => None,
        };
        let shows = self.identity.as_ref().map(|identity| identity.fingerprint().to_string());
        let whole = json!([entries, sent, shows, region]).to_string();
        let digest = Digest::of(whole.as_bytes(), &Cancel::default())?;
        Ok(format!("{accelerator} on {host_type}: {digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_to_send_is_named_by_a_path_or_a_url() {
        let of = |init_config: &str| {
            let text = format!("[host]\nhost_type = sim\ninit_config = {init_config}\n");
            let configuration = Configuration::parse(text.as_bytes(), "a.conf").unwrap();
            let settings = Settings::of(&configuration, Path::new("/home/me")).unwrap();
            settings.wish(&configuration, ("sim", None), "gzip").unwrap();
            settings.init_config
        };
        for (given, named) in [
            ("True", Some("True")),
            ("False", None),
            ("https://h.example/a.conf", Some("https://h.example/a.conf")),
            ("s3://bucket/a.conf", Some("s3://bucket/a.conf")),
            ("~/a.conf", Some("/home/me/a.conf")),
        ] {
            assert_eq!(of(given).as_deref(), named, "{given}");
        }
    }

    #[test]
    fn hosts_are_told_apart_by_what_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sent.conf");
        let text = format!("[host]\nhost_type = sim\ninit_config = {}\n", path.display());
        let configuration = Configuration::parse(text.as_bytes(), "a.conf").unwrap();
        let settings = Settings::of(&configuration, folder.path()).unwrap();
        let wish = |sent: &str| {
            std::fs::write(&path, sent).unwrap();
            settings.wish(&configuration, ("sim", None), "gzip").unwrap()
        };
        let one = wish("[serve]\n");
        assert_ne!(one, wish("[serve]\nnames = n.example\n"));
        assert_eq!(one, wish("[serve]\n"));
    }
}
