//! What a client knows of a host: where it is, and what proves each to the other.

use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Result, Secret};
use apyfal_tls::{Certificates, Fingerprint, Trust, token};
use serde_json::{Map, Value, json};

use crate::RemoteOptions;
use crate::configuration::expand;

/// Where a host is, and what proves each to the other.
#[derive(Clone, Debug)]
pub struct Pairing {
    /// Its address, as [`RemoteOptions::url`].
    pub url: String,
    /// The token that it asks for.
    pub token: Option<Secret>,
    /// The file that has the token, read whenever it is needed. The token goes before it.
    pub token_file: Option<PathBuf>,
    /// What its certificate is known by. It goes before the certificate.
    pub fingerprint: Option<Fingerprint>,
    /// Its certificate, or that there is none.
    pub certificate: Option<Certificate>,
}

/// What `ssl_cert_crt` says of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// The file that has its certificate, or that of who signed it.
    File(PathBuf),
    /// Connections are not encrypted, even where that shows the token to the network.
    None,
}

impl Pairing {
    /// A host of which nothing is known but where it is.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            token_file: None,
            fingerprint: None,
            certificate: None,
        }
    }

    /// What is missing here as it is known of the same host.
    pub(crate) fn or(self, known: Self) -> Self {
        let has_token = self.token.is_some() || self.token_file.is_some();
        let is_trusted = self.fingerprint.is_some() || self.certificate.is_some();
        Self {
            url: known.url,
            token: if has_token { self.token } else { known.token },
            token_file: if has_token { self.token_file } else { known.token_file },
            fingerprint: if is_trusted { self.fingerprint } else { known.fingerprint },
            certificate: if is_trusted { self.certificate } else { known.certificate },
        }
    }

    /// How to use the host. `home` is what `~` stands for.
    ///
    /// # Errors
    /// The file of the token or of the certificate cannot be read, or is none.
    pub fn options(&self, home: Option<&Path>) -> Result<RemoteOptions> {
        let file = |path: &Path| expand(&path.to_string_lossy(), home);
        let token = match (&self.token, &self.token_file) {
            (None, Some(path)) => Some(token::load(&file(path))?),
            (token, _) => token.clone(),
        };
        let trust = match (self.fingerprint, &self.certificate) {
            (Some(fingerprint), _) => Some(Trust::Pinned(fingerprint)),
            (None, Some(Certificate::File(path))) => {
                Some(Trust::Certificates(Certificates::load(&file(path))?))
            }
            (None, _) => None,
        };
        let plain = self.certificate == Some(Certificate::None);
        Ok(RemoteOptions { token, trust, plain, ..RemoteOptions::new(&self.url) })
    }

    /// As it is kept, the token included.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut kept = Map::new();
        let mut keep = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                kept.insert(key.to_owned(), value);
            }
        };
        keep("url", Some(self.url.as_str().into()));
        keep("token", self.token.as_ref().map(|token| token.expose().into()));
        keep("token_file", self.token_file.as_ref().map(|path| json!(path)));
        keep("fingerprint", self.fingerprint.map(|fingerprint| fingerprint.to_string().into()));
        keep(
            "ssl_cert_crt",
            self.certificate.as_ref().map(|certificate| match certificate {
                Certificate::File(path) => json!(path),
                Certificate::None => Value::Bool(false),
            }),
        );
        kept
    }

    /// What was kept.
    pub(super) fn from_json(kept: &Value) -> Result<Self> {
        let text = |key: &str| kept.get(key).and_then(Value::as_str);
        let url = text("url").ok_or_else(|| Error::new(ErrorKind::Conflict, "it has no url"))?;
        Ok(Self {
            url: url.to_owned(),
            token: text("token").map(Secret::new),
            token_file: text("token_file").map(PathBuf::from),
            fingerprint: text("fingerprint").map(str::parse).transpose()?,
            certificate: match kept.get("ssl_cert_crt") {
                Some(Value::Bool(false)) => Some(Certificate::None),
                Some(Value::String(path)) => Some(Certificate::File(path.into())),
                _ => None,
            },
        })
    }
}
