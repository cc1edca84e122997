//! The side of TLS that shows a certificate.

use std::sync::Arc;

use apyfal_core::{Error, ErrorKind, Result};
use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::sign::SingleCertAndKey;

use crate::identity::Identity;

/// TLS 1.2 and 1.3 for a host, with session tickets. `alpn` are the protocols that it speaks, the
/// one that it likes best first.
///
/// # Errors
/// The system gives no random numbers.
pub fn server_config(identity: &Identity, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>> {
    let failed = |error: rustls::Error| {
        Error::new(ErrorKind::Internal, error.to_string()).operation("set up TLS")
    };
    let mut config = ServerConfig::builder_with_provider(crate::provider())
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key.clone())));
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.ticketer = Ticketer::new().map_err(failed)?;
    Ok(Arc::new(config))
}
