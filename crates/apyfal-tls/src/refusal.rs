//! Why a host is not trusted, on its way through the layers of TLS.

use std::error::Error as StdError;
use std::sync::Arc;

use apyfal_core::{Error, ErrorKind, causes};
use rustls::{CertificateError, OtherError};
use rustls_pki_types::ServerName;

use crate::fingerprint::Fingerprint;

/// The reason why a client of [`client_config`](crate::client_config) refused a host, out of
/// whatever error its connection failed with. None if it failed for another reason.
///
/// The error is of kind [`ErrorKind::Security`] and has the fingerprint that was expected, where
/// there is one, and the one of the certificate that was presented.
pub fn mismatch_from(error: &(dyn StdError + 'static)) -> Option<Error> {
    causes(error).find_map(|cause| match cause.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(ours)))) => {
            ours.downcast_ref().map(Error::duplicate)
        }
        _ => None,
    })
}

/// The certificate is another than the one that is known.
pub(crate) fn other_certificate(
    host: &ServerName<'_>,
    expected: Fingerprint,
    presented: Fingerprint,
) -> rustls::Error {
    let why = "its certificate is not the expected one";
    travelling(pairing_advice(refusal(host, why, Some(expected), presented)))
}

/// The certificate is signed by none who is trusted, or is not valid here and now.
pub(crate) fn untrusted(
    host: &ServerName<'_>,
    expected: Option<Fingerprint>,
    presented: Fingerprint,
    error: rustls::Error,
) -> rustls::Error {
    use CertificateError as Why;
    let why = match &error {
        rustls::Error::InvalidCertificate(why) => match why {
            Why::Expired | Why::ExpiredContext { .. } => "its certificate has expired".to_owned(),
            Why::NotValidYet | Why::NotValidYetContext { .. } => {
                "its certificate is not valid yet: is the clock right?".to_owned()
            }
            Why::NotValidForName | Why::NotValidForNameContext { .. } => {
                "its certificate is for another name".to_owned()
            }
            // Others are those that sign themselves, which are of no authority.
            Why::UnknownIssuer | Why::BadSignature | Why::Other(_) if expected.is_some() => {
                "its certificate is neither the expected one nor signed by it".to_owned()
            }
            Why::UnknownIssuer | Why::Other(_) => {
                "its certificate is signed by no authority that this system trusts".to_owned()
            }
            why => format!("its certificate is not valid: {why}"),
        },
        other => other.to_string(),
    };
    travelling(pairing_advice(refusal(host, &why, expected, presented)))
}

/// The certificate is the right one, but whoever presents it does not have its key.
pub(crate) fn unproven(presented: Fingerprint, error: rustls::Error) -> rustls::Error {
    let refused = Error::new(
        ErrorKind::Security,
        "it shows the right certificate but does not have the key of it",
    )
    .operation("trust the host")
    .context("presented", presented)
    .hint("somebody may be in between: do not send anything to this address")
    .source(error);
    travelling(refused)
}

fn refusal(
    host: &ServerName<'_>,
    why: &str,
    expected: Option<Fingerprint>,
    presented: Fingerprint,
) -> Error {
    let refused =
        Error::new(ErrorKind::Security, why).operation(format!("trust '{}'", host.to_str()));
    let refused = match expected {
        Some(expected) => refused.context("expected", expected),
        None => refused,
    };
    refused.context("presented", presented)
}

fn pairing_advice(refused: Error) -> Error {
    refused
        .hint("if the host is new or was set up again, pair with the line that it prints: apyfal host add NAME …")
        .hint("if not, somebody may be in between: compare the fingerprint on the host itself first")
}

fn travelling(refused: Error) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(refused))).into()
}
