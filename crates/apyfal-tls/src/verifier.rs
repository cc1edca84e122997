//! Checks the certificate that a host presents.

use std::sync::Arc;

use apyfal_core::{Error, ErrorKind, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::{Certificates, Contents};
use crate::client::Trust;
use crate::fingerprint::Fingerprint;
use crate::refusal;

/// Checks a certificate in the way that [`Trust`] says, and in every way that the handshake is
/// signed by its key: a certificate is public, so showing it proves nothing.
#[derive(Debug)]
pub(crate) struct Verifier {
    check: Check,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Check {
    Pinned(Fingerprint),
    Certificates { given: Certificates, any_host: RootCertStore, named_host: RootCertStore },
    System(rustls_platform_verifier::Verifier),
}

impl Verifier {
    pub(crate) fn new(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Self> {
        let check = match trust {
            Trust::Pinned(fingerprint) => Check::Pinned(*fingerprint),
            Trust::Certificates(given) => {
                let (mut any_host, mut named_host) =
                    (RootCertStore::empty(), RootCertStore::empty());
                for certificate in given.iter() {
                    let wildcard = Contents::read(certificate)?.is_wildcard();
                    let store = if wildcard { &mut any_host } else { &mut named_host };
                    // One that can sign nothing may still be the host's own.
                    let _ = store.add(certificate.clone());
                }
                Check::Certificates { given: given.clone(), any_host, named_host }
            }
            Trust::System => {
                let system = rustls_platform_verifier::Verifier::new(provider.clone());
                Check::System(system.map_err(|error| {
                    Error::new(ErrorKind::Configuration, error.to_string().to_lowercase())
                        .operation("read the system's certificates")
                        .hint("install the package 'ca-certificates'")
                        .hint("or pair with the host: set fingerprint or ssl_cert_crt in section [host]")
                })?)
            }
        };
        Ok(Self { check, algorithms: provider.signature_verification_algorithms })
    }

    fn chain(
        &self,
        roots: &RootCertStore,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let leaf = ParsedCertificate::try_from(leaf)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, roots, intermediates, now, algorithms)?;
        name.map_or(Ok(()), |name| verify_server_name(&leaf, name))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented = Fingerprint::of(leaf);
        match &self.check {
            Check::Pinned(expected) if *expected == presented => {}
            Check::Pinned(expected) => {
                return Err(refusal::other_certificate(name, *expected, presented));
            }
            Check::Certificates { given, .. } if given.iter().any(|given| given == leaf) => {}
            Check::Certificates { given, any_host, named_host } => {
                let expected = given.fingerprint();
                self.chain(any_host, leaf, intermediates, None, now)
                    .or_else(|any| {
                        self.chain(named_host, leaf, intermediates, Some(name), now)
                            .map_err(|named| if named_host.is_empty() { any } else { named })
                    })
                    .map_err(|error| refusal::untrusted(name, Some(expected), presented, error))?;
            }
            Check::System(system) => {
                system
                    .verify_server_cert(leaf, intermediates, name, ocsp_response, now)
                    .map_err(|error| refusal::untrusted(name, None, presented, error))?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, leaf, signature, &self.algorithms)
            .map_err(|error| refusal::unproven(Fingerprint::of(leaf), error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
            .map_err(|error| refusal::unproven(Fingerprint::of(leaf), error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
