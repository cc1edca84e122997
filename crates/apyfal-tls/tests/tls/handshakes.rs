use std::sync::Arc;

use apyfal_core::{Error, ErrorKind};
use apyfal_tls::{Fingerprint, Identity, Trust, client_config, mismatch_from, server_config};
use rustls::crypto::ring;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::*;

/// A server that presents one identity's certificate and signs with another's key.
pub(super) fn impostor(
    shown: &Identity,
    own: &Identity,
    version: &'static SupportedProtocolVersion,
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from_pem_slice(own.key_pem().expose().as_bytes()).unwrap();
    let key = ring::sign::any_supported_type(&key).unwrap();
    let certified = CertifiedKey::new(vec![shown.certificate().clone()], key);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    Arc::new(config)
}

/// The same server, with one version of the protocol only.
fn only(identity: &Identity, version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
    impostor(identity, identity, version)
}

#[test]
fn a_pinned_host_is_trusted_under_any_name() {
    let host = Identity::generate().unwrap();
    let server = server_config(&host, &[]).unwrap();
    let fingerprint: Fingerprint = host.fingerprint().to_string().parse().unwrap();
    let client = trusting(&Trust::Pinned(fingerprint));
    for name in ["127.0.0.1", "::1", "localhost", "host.example", "10.0.0.1"] {
        assert_eq!(meet(&server, &client, name).unwrap().version, ProtocolVersion::TLSv1_3);
    }
}

#[test]
fn both_versions_of_the_protocol_are_spoken() {
    let host = Identity::generate().unwrap();
    let trust = Trust::Pinned(host.fingerprint());
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let met = meet(&only(&host, version), &trusting(&trust), "127.0.0.1").unwrap();
        assert_eq!(met.version, name);
    }
}

#[test]
fn the_first_protocol_of_the_host_is_chosen() {
    let host = Identity::generate().unwrap();
    let trust = Trust::Pinned(host.fingerprint());
    let server = server_config(&host, &[b"h2", b"http/1.1"]).unwrap();
    for (offered, chosen) in [
        (&[&b"http/1.1"[..], b"h2"][..], Some(&b"h2"[..])),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let client = client_config(&trust, offered).unwrap();
        let met = meet(&server, &client, "127.0.0.1").unwrap();
        assert_eq!(met.alpn.as_deref(), chosen);
    }
}

#[test]
fn sessions_are_resumed() {
    let host = Identity::generate().unwrap();
    let server = server_config(&host, &[]).unwrap();
    let client = trusting(&Trust::Pinned(host.fingerprint()));
    let kinds: Vec<_> = (0..3).map(|_| meet(&server, &client, "127.0.0.1").unwrap().kind).collect();
    assert_eq!(kinds[0], HandshakeKind::Full);
    assert_eq!(kinds[1..], [HandshakeKind::Resumed, HandshakeKind::Resumed]);
    // Another client has sessions of its own, and checks for itself.
    let stranger = trusting(&Trust::Pinned(Identity::generate().unwrap().fingerprint()));
    assert!(meet(&server, &stranger, "127.0.0.1").is_err());
}

#[test]
fn another_certificate_is_refused_with_both_fingerprints() {
    let (expected, presented) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    for version in [&TLS12, &TLS13] {
        let refused = refusal(
            &only(&presented, version),
            &Trust::Pinned(expected.fingerprint()),
            "127.0.0.1",
        );
        let text = refused.to_string();
        assert!(text.starts_with("cannot trust '127.0.0.1': "), "{text}");
        assert!(text.contains(&format!("expected {}", expected.fingerprint())), "{text}");
        assert!(text.contains(&format!("presented {}", presented.fingerprint())), "{text}");
        let hints = refused.hints().concat();
        assert!(hints.contains("pair with the line") && hints.contains("in between"), "{hints}");
    }
}

/// A certificate is public. Who shows it without having its key is somebody else.
#[test]
fn the_right_certificate_without_its_key_is_refused() {
    let (host, attacker) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let given = apyfal_tls::Certificates::from_pem(host.certificate_pem().as_bytes(), "x").unwrap();
    for trust in [Trust::Pinned(host.fingerprint()), Trust::Certificates(given)] {
        for version in [&TLS12, &TLS13] {
            let refused = refusal(&impostor(&host, &attacker, version), &trust, "127.0.0.1");
            assert!(refused.to_string().contains("does not have the key"), "{refused}");
            assert!(refused.to_string().contains(&host.fingerprint().to_string()), "{refused}");
        }
    }
}

#[test]
fn the_system_trusts_no_certificate_that_signs_itself() {
    let host = Identity::generate().unwrap();
    let server = server_config(&host, &[]).unwrap();
    let trust = match client_config(&Trust::System, &[]) {
        Ok(_) => Trust::System,
        // A system without authorities says so.
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.hints().concat().contains("ca-certificates"), "{error:?}");
            return;
        }
    };
    for name in ["127.0.0.1", "host.example"] {
        let refused = refusal(&server, &trust, name);
        let text = refused.to_string();
        assert!(text.contains("no authority that this system trusts"), "{text}");
        assert!(text.contains(&format!("presented {}", host.fingerprint())), "{text}");
        assert!(refused.hints().concat().contains("apyfal host add"), "{refused:?}");
    }
}

/// However many layers a client of HTTP puts around it.
#[test]
fn the_reason_comes_out_of_every_wrapping() {
    #[derive(Debug)]
    struct Layer(Box<dyn std::error::Error + Send + Sync>);
    impl std::fmt::Display for Layer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a layer")
        }
    }
    impl std::error::Error for Layer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&*self.0)
        }
    }
    let (host, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let server = server_config(&host, &[]).unwrap();
    let client = trusting(&Trust::Pinned(other.fingerprint()));
    let error = meet(&server, &client, "127.0.0.1").unwrap_err();
    let wrapped = Layer(Box::new(std::io::Error::other(Layer(Box::new(error)))));
    let found = mismatch_from(&wrapped).unwrap();
    assert!(found.to_string().contains(&host.fingerprint().to_string()), "{found}");

    for unrelated in [std::io::Error::other("x"), std::io::ErrorKind::TimedOut.into()] {
        assert!(mismatch_from(&unrelated).is_none());
    }
    let expired = rustls::Error::from(rustls::CertificateError::Expired);
    assert!(mismatch_from(&expired).is_none());
    let other_kind = Error::new(ErrorKind::Usage, "not about trust").into_io();
    assert!(mismatch_from(&other_kind).is_none());
}
