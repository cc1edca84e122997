//! What a certificate is known by.

use std::fmt;
use std::str::FromStr;

use apyfal_core::{Error, ErrorKind};
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;

/// The SHA-256 of a certificate. Displayed as `sha256:` and 64 hexadecimal digits.
///
/// It is read with or without what stands before the digits, in any case, and with colons, so that
/// what other tools print will do as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, certificate).as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        write!(f, "{}", HEXLOWER.encode_display(&self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| {
            Error::new(ErrorKind::Usage, why)
                .operation(format!("read the fingerprint '{text}'"))
                .hint("it is sha256: and 64 hexadecimal digits, as the host prints it")
        };
        let lower = text.trim().to_ascii_lowercase();
        let digits = ["sha256 fingerprint=", "sha256:"]
            .into_iter()
            .find_map(|prefix| lower.strip_prefix(prefix))
            .unwrap_or(&lower);
        let mut values = Vec::with_capacity(64);
        for digit in digits.chars().filter(|digit| !matches!(digit, ':' | ' ')) {
            let value = digit.to_digit(16);
            values.push(value.ok_or_else(|| wrong(format!("'{digit}' is no digit of it")))? as u8);
        }
        let (pairs, _) = values.as_chunks::<2>();
        match <[[u8; 2]; 32]>::try_from(pairs) {
            Ok(pairs) if values.len() == 64 => Ok(Self(pairs.map(|[high, low]| high << 4 | low))),
            _ => Err(wrong(format!("it has {} digits instead of 64", values.len()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_spelling_is_read() {
        let fingerprint = Fingerprint::of(&CertificateDer::from(b"abc".to_vec()));
        let shown = fingerprint.to_string();
        assert_eq!(
            shown,
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let digits = &shown["sha256:".len()..];
        let pairs: Vec<_> =
            digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
        let colons = pairs.join(":").to_uppercase();
        for spelling in [
            shown.clone(),
            digits.to_owned(),
            colons.clone(),
            format!("SHA256:{colons}"),
            format!(" sha256 Fingerprint={colons}\n"),
        ] {
            assert_eq!(spelling.parse::<Fingerprint>().unwrap(), fingerprint, "{spelling}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "0 digits"),
            ("sha256:abcd", "4 digits"),
            (&"ab".repeat(33), "66 digits"),
            (&"a".repeat(65), "65 digits"),
            ("sha1:ab", "'s'"),
            ("sha256:xyz", "'x'"),
            ("é", "'é'"),
        ] {
            let error = text.parse::<Fingerprint>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().contains(reason), "{error}");
            assert!(error.hints().concat().contains("64 hexadecimal digits"));
        }
    }
}
