//! The side of TLS that checks a certificate.

use std::sync::Arc;

use apyfal_core::{Error, ErrorKind, Result};
use rustls::ClientConfig;

use crate::certificate::Certificates;
use crate::fingerprint::Fingerprint;
use crate::verifier::Verifier;

/// How a client knows that a host is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Its certificate has this fingerprint. The host's name and the time do not matter: the
    /// certificate counts because it was shown to the user, not because of what it says.
    Pinned(Fingerprint),
    /// Its certificate is one of these, or is signed by one of these. In the second case the
    /// host's name must be in the certificate, unless the signer's only name is `*`.
    Certificates(Certificates),
    /// Its certificate is for its name and is signed by an authority that this system trusts.
    System,
}

/// TLS 1.2 and 1.3 for a client that trusts hosts in this way. `alpn` are the protocols that it
/// speaks, the one that it likes best first.
///
/// Sessions are resumed within one configuration only, so what was checked once was checked in this
/// same way.
///
/// # Errors
/// A certificate cannot be an authority, or the system has none.
pub fn client_config(trust: &Trust, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>> {
    let provider = crate::provider();
    let verifier = Verifier::new(trust, &provider)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            Error::new(ErrorKind::Internal, error.to_string()).operation("set up TLS")
        })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}
