//! The certificate of a host and its key.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use apyfal_core::{Error, ErrorKind, Result, Secret};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa};
use rcgen::{KeyPair, KeyUsagePurpose};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificate::{Certificates, Validity, read};
use crate::fingerprint::Fingerprint;
use crate::private_file::{Maker, PRIVATE, PUBLIC, make_directory};

/// How long a certificate is valid. Clients of Apple take none for longer.
const LIFE: Duration = Duration::from_secs(825 * 24 * 3600);
/// How far the clock of a client may be behind that of the host.
const SKEW: Duration = Duration::from_secs(3600);

/// Who a host is: its certificate, what else it has to show with it, and the key.
#[derive(Clone)]
pub struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    validity: Validity,
    certificate_pem: String,
    key_pem: Secret,
}

impl Identity {
    /// A new certificate that signs itself, for hosts of any name, and a new key (ECDSA P-256).
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<Self> {
        let failed = |error: rcgen::Error| {
            Error::new(ErrorKind::Internal, error.to_string().to_lowercase())
                .operation("make a certificate")
        };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(["*".to_owned()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "Apyfal host");
        params.not_before = (SystemTime::now() - SKEW).into();
        params.not_after = params.not_before + LIFE;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.self_signed(&key).map_err(failed)?;
        Self::from_pem(certificate.pem(), Secret::new(key.serialize_pem()), "certificate", "key")
    }

    /// Reads a certificate, with the rest of its chain behind it, and its key, both in PEM form.
    /// RSA, ECDSA and Ed25519 keys will do.
    ///
    /// # Errors
    /// A file cannot be read or holds something else, or the key is not that of the certificate.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self> {
        let key_text = String::from_utf8(read(key)?).unwrap_or_default();
        let certificate_text = String::from_utf8(read(certificate)?).unwrap_or_default();
        let (certificate, key) = (certificate.to_string_lossy(), key.to_string_lossy());
        Self::from_pem(certificate_text, Secret::new(key_text), &certificate, &key)
    }

    /// Reads the certificate and key of these files, or makes both where there is neither. Of
    /// several processes that do so at a time one makes them, and all get the same.
    ///
    /// # Errors
    /// As [`load`](Self::load); one of the two exists without the other; or they cannot be written.
    pub fn load_or_generate(certificate: &Path, key: &Path) -> Result<Self> {
        let maker = Maker::at(key)?;
        match (certificate.exists(), key.exists()) {
            (true, true) => Self::load(certificate, key),
            (true, false) => Err(half("key", key, certificate)),
            (false, true) => Err(half("certificate", certificate, key)),
            (false, false) => {
                let made = Self::generate()?;
                // The key comes first: whoever sees the certificate finds its key.
                maker.create(key, made.key_pem.expose().as_bytes(), PRIVATE)?;
                let written = make_directory(certificate).and_then(|()| {
                    maker.create(certificate, made.certificate_pem.as_bytes(), PUBLIC)
                });
                if written.is_err() {
                    // A key without certificate would stand in the way of the next try.
                    let _ = std::fs::remove_file(key);
                }
                written.map(|()| made)
            }
        }
    }

    /// Reads a certificate, with the rest of its chain behind it, and its key, both in PEM form, which
    /// errors call as is said here.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_pem(
        certificate_pem: String,
        key_pem: Secret,
        certificate_name: &str,
        key_name: &str,
    ) -> Result<Self> {
        let chain = Certificates::from_pem(certificate_pem.as_bytes(), certificate_name)?;
        let chain = chain.into_chain();
        let wrong = |why: &str| {
            Error::new(ErrorKind::Configuration, why)
                .operation(format!("read the private key '{key_name}'"))
        };
        // What is wrong with a key is not shown: it might be part of one.
        let key = PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes()).map_err(|_| {
            wrong("there is no private key in it").hint(
                "it must be in PEM form and without a password, such as '-----BEGIN PRIVATE KEY-----'",
            )
        })?;
        let key = crate::provider().key_provider.load_private_key(key).map_err(|_| {
            wrong("it is damaged or of a kind that is not known")
                .hint("RSA from 2048 bits, ECDSA on P-256 or P-384, and Ed25519 will do")
        })?;
        let validity = Validity::of(&chain[0])?;
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|_| {
            wrong("it is not the key of the certificate")
                .context("certificate", certificate_name)
                .hint("give the two that belong together, or move both away to have new ones made")
        })?;
        Ok(Self { key: Arc::new(key), validity, certificate_pem, key_pem })
    }

    /// The host's own certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.key.cert[0]
    }

    /// What clients know the host by.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.certificate())
    }

    /// From when to when the certificate is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The certificate and the rest of its chain in PEM form.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key in PEM form.
    pub fn key_pem(&self) -> &Secret {
        &self.key_pem
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("fingerprint", &self.fingerprint())
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

fn half(what: &str, missing: &Path, present: &Path) -> Error {
    let (missing, present) = (missing.display(), present.display());
    Error::new(ErrorKind::Configuration, format!("there is '{present}', but no {what} for it"))
        .operation(format!("read '{missing}'"))
        .hint(format!("put '{missing}' back, or move '{present}' away to have both made anew"))
}
