//! Who a host is and who may use it: certificates, the checks of certificates, and bearer tokens.
//!
//! A host has an [`Identity`]: a certificate that signs itself, and its key. A client knows the host
//! by its [`Fingerprint`], by the certificate itself, or by the authorities of its system:
//! [`Trust`]. Between the two is TLS 1.2 or 1.3 by rustls, with the cryptography of ring:
//! [`server_config`] and [`client_config`]. What a client refuses comes back out of the layers in
//! between by [`mismatch_from`].
//!
//! A client proves who it is by a bearer token: [`token`].

mod certificate;
mod client;
mod fingerprint;
mod identity;
mod private_file;
mod refusal;
mod server;
pub mod token;
mod verifier;

pub use certificate::{Certificates, Validity};
pub use client::{Trust, client_config};
pub use fingerprint::Fingerprint;
pub use identity::Identity;
pub use refusal::mismatch_from;
pub use server::server_config;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
