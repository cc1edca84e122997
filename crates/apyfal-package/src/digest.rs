//! SHA-256, by which a package is known.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// That of all that a reader has from here on.
    ///
    /// # Errors
    /// Reading failed, or it was cancelled.
    pub fn of(mut reader: impl Read, cancel: &Cancel) -> Result<Self> {
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 256 << 10];
        loop {
            cancel.check()?;
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => hasher.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Its first eight digits, which tell versions apart in names.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

/// Takes bytes, and gives their digest.
#[derive(Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", HEXLOWER.encode_display(&self.0))
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digest = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok();
        digest.and_then(|digest| digest.try_into().ok()).map(Self).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("'{text}' is no SHA-256"))
                .hint("it has 64 digits from 0 to 9 and a to f, as 'sha256sum' shows them")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_what_sha256sum_shows() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = Digest::of(&b""[..], &Cancel::default()).unwrap();
        assert_eq!(digest.to_string(), empty);
        assert_eq!(digest.short(), "e3b0c442");
        assert_eq!(empty.to_uppercase().parse::<Digest>().unwrap(), digest);
        for wrong in ["", "e3b0", &"é".repeat(32), &"+f".repeat(32)] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
