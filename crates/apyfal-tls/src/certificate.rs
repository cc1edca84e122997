//! What stands in certificates.

use std::path::Path;
use std::time::SystemTime;

use apyfal_core::{Error, ErrorKind, Result};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Result, BERReader, Tag, parse_der};

use crate::fingerprint::Fingerprint;

/// The extension with the names that a certificate is for.
const SUBJECT_ALT_NAME: [u64; 4] = [2, 5, 29, 17];
/// Longer files are not read: they hold something else.
const FILE_LIMIT: usize = 1 << 20;

/// Certificates that a user trusts: that of one host, or those of authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates(Vec<CertificateDer<'static>>);

impl Certificates {
    /// Reads a PEM file (`ssl_cert_crt`).
    ///
    /// # Errors
    /// It cannot be read, or is no certificate.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_pem(&read(path)?, &path.to_string_lossy())
    }

    /// Reads the text of a PEM file; `name` is what messages call it.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn from_pem(text: &[u8], name: &str) -> Result<Self> {
        let wrong = |why: String| {
            Error::new(ErrorKind::Configuration, why)
                .operation(format!("read the certificate '{name}'"))
                .hint("it must be in PEM form, beginning with '-----BEGIN CERTIFICATE-----'")
        };
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(text)
                .collect::<Result<_, _>>()
                .map_err(|error| wrong(format!("it is damaged: {error}").to_lowercase()))?;
        if certificates.is_empty() {
            return Err(wrong("there is no certificate in it".to_owned()));
        }
        for certificate in &certificates {
            Contents::read(certificate).map_err(|error| wrong(error.message().to_owned()))?;
        }
        Ok(Self(certificates))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.0.iter()
    }

    /// The fingerprint of the first one.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0[0])
    }

    pub(crate) fn into_chain(self) -> Vec<CertificateDer<'static>> {
        self.0
    }
}

/// Reads a file of certificates or keys.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let operation = || format!("read '{}'", path.display());
    let text = std::fs::read(path).map_err(|error| Error::from(error).operation(operation()))?;
    match text.len() {
        0..=FILE_LIMIT => Ok(text),
        _ => Err(Error::new(ErrorKind::Configuration, "it is too large for what it should be")
            .operation(operation())),
    }
}

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: SystemTime,
    /// The last one.
    pub not_after: SystemTime,
}

impl Validity {
    /// The validity of a certificate.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self> {
        Ok(Contents::read(certificate)?.validity)
    }

    /// What a user should be told about it at a time, if anything. A certificate that is known by
    /// its fingerprint counts all the same; other clients will refuse it.
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        let date = |time: SystemTime| OffsetDateTime::from(time).date();
        if now < self.not_before {
            let begins = date(self.not_before);
            Some(format!("the certificate is valid from {begins} on: is the clock right?"))
        } else if now > self.not_after {
            Some(format!("the certificate expired on {}", date(self.not_after)))
        } else {
            None
        }
    }
}

/// What is needed out of a certificate.
pub(crate) struct Contents {
    pub(crate) validity: Validity,
    pub(crate) dns_names: Vec<String>,
}

impl Contents {
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Result<Self> {
        let contents = parse_der(certificate, |reader| {
            reader.read_sequence(|reader| {
                let contents = to_be_signed(reader.next())?;
                reader.next().read_der()?;
                reader.next().read_der()?;
                Ok(contents)
            })
        });
        contents.map_err(|_| Error::new(ErrorKind::Configuration, "it is no X.509 certificate"))
    }

    /// Whether it is for any host: its only name is `*`.
    pub(crate) fn is_wildcard(&self) -> bool {
        self.dns_names == ["*"]
    }
}

/// The inner part of a certificate, in the order of
/// [RFC 5280, section 4.1](https://www.rfc-editor.org/rfc/rfc5280#section-4.1).
fn to_be_signed(reader: BERReader<'_, '_>) -> ASN1Result<Contents> {
    reader.read_sequence(|reader| {
        // Version, serial number, algorithm, issuer.
        reader.read_optional(|reader| {
            reader.read_tagged(Tag::context(0), |reader| reader.read_der())
        })?;
        for _ in 0..3 {
            reader.next().read_der()?;
        }
        let validity = reader.next().read_sequence(|reader| {
            let not_before = moment(reader.next())?;
            Ok(Validity { not_before, not_after: moment(reader.next())? })
        })?;
        // Subject, key, and the two identifiers that nobody uses.
        for _ in 0..2 {
            reader.next().read_der()?;
        }
        for tag in [1, 2] {
            reader.read_optional(|reader| {
                reader.read_tagged_implicit(Tag::context(tag), |reader| reader.read_bitvec_bytes())
            })?;
        }
        let extensions = reader.read_optional(|reader| {
            reader.read_tagged(Tag::context(3), |reader| reader.collect_sequence_of(extension))
        })?;
        let wanted = ObjectIdentifier::from_slice(&SUBJECT_ALT_NAME);
        let mut dns_names = Vec::new();
        for (identifier, value) in extensions.unwrap_or_default() {
            if identifier == wanted {
                dns_names.extend(parse_der(&value, names)?);
            }
        }
        Ok(Contents { validity, dns_names })
    })
}

fn extension(reader: BERReader<'_, '_>) -> ASN1Result<(ObjectIdentifier, Vec<u8>)> {
    reader.read_sequence(|reader| {
        let identifier = reader.next().read_oid()?;
        reader.read_optional(|reader| reader.read_bool())?;
        Ok((identifier, reader.next().read_bytes()?))
    })
}

fn names(reader: BERReader<'_, '_>) -> ASN1Result<Vec<String>> {
    let names = reader.collect_sequence_of(|reader| reader.read_tagged_der())?;
    let dns_names = names.iter().filter(|name| name.tag() == Tag::context(2));
    Ok(dns_names.map(|name| String::from_utf8_lossy(name.value()).into_owned()).collect())
}

fn moment(reader: BERReader<'_, '_>) -> ASN1Result<SystemTime> {
    Ok(match reader.lookahead_tag()? {
        yasna::tags::TAG_UTCTIME => (*reader.read_utctime()?.datetime()).into(),
        _ => (*reader.read_generalized_time()?.datetime()).into(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_warning_says_the_date() {
        let at = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
        let validity = Validity { not_before: at(365), not_after: at(730) };
        assert_eq!(validity.warning(at(365)), None);
        assert_eq!(validity.warning(at(730)), None);
        let early = validity.warning(at(364)).unwrap();
        assert!(early.contains("from 1971-01-01"), "{early}");
        let late = validity.warning(at(731)).unwrap();
        assert_eq!(late, "the certificate expired on 1972-01-01");
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let certificate = |body: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
        };
        for (text, reason) in [
            (String::new(), "no certificate"),
            ("hello".to_owned(), "no certificate"),
            (certificate("!!!!"), "damaged"),
            (certificate("AAAA"), "X.509"),
            (certificate(""), "X.509"),
            ("-----BEGIN CERTIFICATE-----\nAAAA".to_owned(), "damaged"),
        ] {
            let error = Certificates::from_pem(text.as_bytes(), "host.crt").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("'host.crt'"), "{error}");
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
    }

    /// Whatever an attacker sends as a certificate is an error and nothing worse.
    #[test]
    fn no_damage_breaks_the_reader() {
        let whole = crate::Identity::generate().unwrap().certificate().to_vec();
        for index in 0..whole.len() {
            let _ = Contents::read(&whole[..index].into());
            for value in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = whole.clone();
                damaged[index] = value;
                let _ = Contents::read(&damaged.into());
            }
        }
    }
}
