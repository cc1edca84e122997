//! What a new machine and its owner know of each other before they first talk.
//!
//! User data is no place for secrets. So a machine is told what its owner is known by, the hash of a
//! token, and shows a certificate that is good for one exchange: in that the owner gives it a token
//! and a certificate of its own, and what else is secret.

use std::path::Path;
use std::time::Duration;

use apyfal_api::v2;
use apyfal_client::{Remote, RemoteOptions};
use apyfal_core::{Configuration, Error, ErrorKind, Result, Secret};
use apyfal_machine::private;
use apyfal_tls::token::{self, TokenHash};
use apyfal_tls::{Fingerprint, Identity, Trust};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long a host may take from its first contact until it serves.
const SERVES: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// The keys of `[serve]` that each host has for itself.
const OWN: [&str; 10] = [
    "listen",
    "data_dir",
    "accelerator",
    "token",
    "token_file",
    "ssl_cert_crt",
    "ssl_cert_key",
    "idle_timeout",
    "max_lifetime",
    "shutdown_command",
];

/// The keys of `[host]` that lead to a host which runs already: not to the machine that is told.
const OTHER_HOST: [&str; 4] = ["host_ip", "token", "token_file", "fingerprint"];

/// The owner's side of a first contact, and what the host has from then on.
#[derive(Clone, Debug)]
pub struct FirstContact {
    /// What is shown to the machine, which knows its hash.
    first_token: Secret,
    /// What the machine shows.
    first_identity: Identity,
    /// What the host asks for and shows from then on.
    token: Secret,
    identity: Identity,
    /// What it is configured by.
    configuration: Option<String>,
}

impl FirstContact {
    /// One for a new machine. The host that it becomes shows `identity`, or one that is made, and is
    /// configured by `configuration` beside what it needs to serve.
    ///
    /// # Errors
    /// The system gives no random numbers, or the configuration cannot be written.
    pub fn new(identity: Option<Identity>, configuration: Option<&Configuration>) -> Result<Self> {
        Ok(Self {
            first_token: token::generate()?,
            first_identity: Identity::generate()?,
            token: token::generate()?,
            identity: identity.map_or_else(Identity::generate, Ok)?,
            configuration: configuration.map(served).transpose()?,
        })
    }

    /// What the machine is told of it: names of files in the host's directory, and their texts.
    pub fn files(&self) -> [(&'static str, String); 3] {
        [
            ("first-contact/token.sha256", TokenHash::of(&self.first_token).to_string()),
            ("first-contact/host.crt", self.first_identity.certificate_pem().to_owned()),
            ("first-contact/host.key", self.first_identity.key_pem().expose().to_owned()),
        ]
    }

    /// What it is told apart by from all others. No secret.
    pub(crate) fn id(&self) -> String {
        TokenHash::of(&self.first_token).to_string()
    }

    /// What the host is known by once it is made.
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint()
    }

    /// The token that the host asks for once it is made.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// How to use the host at an address once it is made.
    pub fn host(&self, url: &str) -> RemoteOptions {
        RemoteOptions {
            token: Some(self.token.clone()),
            trust: Some(Trust::Pinned(self.fingerprint())),
            is_known: true,
            ..RemoteOptions::new(url)
        }
    }

    /// Makes it with the machine at an address, which may take so long to come up. Where it was made
    /// before, and the answer got lost, that is fine.
    ///
    /// # Errors
    /// It does not come up, refuses, or was contacted by another: then the machine is to be ended.
    pub async fn make(&self, url: &str, patience: Duration) -> Result<RemoteOptions> {
        let options = RemoteOptions {
            token: Some(self.first_token.clone()),
            trust: Some(Trust::Pinned(self.first_identity.fingerprint())),
            is_known: true,
            patience,
            ..RemoteOptions::new(url)
        };
        let refused = Remote::new(options)?.first_contact(&self.message()).await.err();
        let (within, refused) = match refused {
            Some(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            None => (SERVES, None),
            Some(error) => (Duration::ZERO, Some(error)),
        };
        let options = self.host(url);
        let end = Instant::now() + within;
        loop {
            // What a host turned out not to be it stays, so each look is a new one.
            let looked = Remote::new(options.clone())?.host().await;
            match (looked, &refused) {
                (Ok(_), _) => return Ok(options),
                (Err(error), Some(_)) if error.kind() == ErrorKind::Unavailable => {
                    return Err(error);
                }
                (Err(_), Some(refused)) => return Err(taken_by_another(url, refused)),
                (Err(error), None) if Instant::now() > end => return Err(error),
                (Err(_), None) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn message(&self) -> v2::FirstContact {
        v2::FirstContact {
            token: self.token.expose().to_owned(),
            certificate: self.identity.certificate_pem().to_owned(),
            key: self.identity.key_pem().expose().to_owned(),
            configuration: self.configuration.clone(),
        }
    }

    /// Writes it down for its owner alone, until it is made.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = format!("{:#}\n", self.to_json());
        private::replace(path, text.as_bytes())
            .map_err(|error| Error::from(error).operation(format!("write '{}'", path.display())))
    }

    /// Reads what was written down.
    ///
    /// # Errors
    /// The file cannot be read, or is none of these.
    pub fn load(path: &Path) -> Result<Self> {
        let reading = || format!("read the first contact '{}'", path.display());
        let text = std::fs::read(path).map_err(|error| {
            let is_gone = error.kind() == std::io::ErrorKind::NotFound;
            let error = Error::from(error).operation(reading());
            match is_gone {
                true => error
                    .hint("once it is made it is gone, and 'apyfal host list' has the host")
                    .hint("further clients get a token of their own: apyfal host token add"),
                false => error,
            }
        })?;
        let kept = serde_json::from_slice(&text).map_err(|error| {
            Error::new(ErrorKind::InvalidData, error.to_string()).operation(reading())
        })?;
        Self::from_json(&kept).map_err(|error| error.operation(reading()))
    }

    /// All of it, secrets included.
    pub fn to_json(&self) -> Value {
        let identity = |identity: &Identity| json!({"certificate": identity.certificate_pem(), "key": identity.key_pem().expose()});
        json!({
            "token": self.first_token.expose(),
            "shows": identity(&self.first_identity),
            "host": {
                "token": self.token.expose(),
                "shows": identity(&self.identity),
                "configuration": self.configuration,
            },
        })
    }

    /// What [`to_json`](Self::to_json) made.
    ///
    /// # Errors
    /// It is none of these.
    pub fn from_json(kept: &Value) -> Result<Self> {
        let text = |path: &str| {
            kept.pointer(path).and_then(Value::as_str).ok_or_else(|| {
                Error::new(ErrorKind::InvalidData, format!("it has no '{}'", &path[1..]))
            })
        };
        let identity = |path: &str| {
            let part = |name| text(&format!("{path}/{name}"));
            let key = Secret::new(part("key")?);
            Identity::from_pem(part("certificate")?.to_owned(), key, "certificate", "key")
        };
        Ok(Self {
            first_token: Secret::new(text("/token")?),
            first_identity: identity("/shows")?,
            token: Secret::new(text("/host/token")?),
            identity: identity("/host/shows")?,
            configuration: text("/host/configuration").ok().map(str::to_owned),
        })
    }
}

fn taken_by_another(url: &str, refused: &Error) -> Error {
    Error::new(ErrorKind::Security, "another one made it, or it is another machine")
        .operation(format!("contact the new host '{url}' for the first time"))
        .context("refusal", refused.message())
        .hint("end the machine: whoever made the contact has it")
}

/// The text of a configuration without what each host has for itself, and what leads to others.
fn served(configuration: &Configuration) -> Result<String> {
    let mut served = configuration.clone();
    for key in OWN {
        served.unset("serve", key);
    }
    for key in OTHER_HOST {
        served.unset("host", key);
    }
    served.write()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_is_told_opens_nothing_later() {
        let contact = FirstContact::new(None, None).unwrap();
        let told = contact.files().map(|(_, text)| text).concat();
        for secret in [&contact.first_token, &contact.token, contact.identity.key_pem()] {
            assert!(!told.contains(secret.expose().trim()), "{told}");
        }
        assert!(told.contains(&TokenHash::of(&contact.first_token).to_string()));
        assert_ne!(contact.first_identity.fingerprint(), contact.identity.fingerprint());
        let shown = format!("{contact:?}");
        assert!(!shown.contains("apyfal_") && !shown.contains("PRIVATE"), "{shown}");
    }

    #[test]
    fn it_is_written_down_for_its_owner_until_it_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contact.json");
        let text = b"[serve]\nlisten = 127.0.0.1\nrest_v1 = True\n[host]\ntoken = of_another\n\
                     [storage.AWS]\nsecret_id = needed\n";
        let configuration = Configuration::parse(text, "c").unwrap();
        let own = Identity::generate().unwrap();
        let contact = FirstContact::new(Some(own.clone()), Some(&configuration)).unwrap();
        contact.save(&path).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&path).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
        let read = FirstContact::load(&path).unwrap();
        assert_eq!(read.message(), contact.message());
        assert_eq!(read.first_token.expose(), contact.first_token.expose());
        assert_eq!(read.fingerprint(), own.fingerprint());
        let sent = read.message().configuration.unwrap();
        assert!(sent.contains("rest_v1 = True") && sent.contains("needed"), "{sent}");
        assert!(!sent.contains("listen") && !sent.contains("of_another"), "{sent}");
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(FirstContact::load(&path).unwrap_err().message(), "it has no 'token'");
        std::fs::remove_file(&path).unwrap();
        let error = FirstContact::load(&path).unwrap_err();
        assert!(error.hints()[1].contains("token add"), "{error:?}");
    }
}
