//! The digest of a job's data: two jobs with one id are the same only if it is.

use std::fmt;

use apyfal_core::{Error, ErrorKind, Result};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};

/// Where a client tells it (RFC 9530).
const HEADER: &str = "content-digest";

/// It is SHA-256, since two data with one digest must not be found by who wants to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// That of no data at all, which is something else than empty data.
    pub(crate) const NO_DATA: Self = Self([0; 32]);

    pub(crate) fn of(data: &[u8]) -> Self {
        let mut digesting = Digesting::default();
        digesting.update(data);
        digesting.digest()
    }

    /// One that was written as it is shown.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// What the client says that it is of the body. Algorithms other than SHA-256 do not count.
    ///
    /// # Errors
    /// It is not written as it must be.
    pub(crate) fn stated(headers: &HeaderMap) -> Result<Option<Self>> {
        let mut stated = None;
        for line in headers.get_all(HEADER) {
            let members = line.to_str().unwrap_or("?").split(',').map(str::trim);
            for member in members.filter(|member| !member.is_empty()) {
                let (key, value) = member.split_once('=').ok_or_else(unreadable)?;
                if key == "sha-256" {
                    // Of two the last one counts.
                    stated = Some(Self::from_item(value).ok_or_else(unreadable)?);
                }
            }
        }
        Ok(stated)
    }

    /// `:BASE64:`, which may have parameters behind it.
    fn from_item(item: &str) -> Option<Self> {
        let (encoded, parameters) = item.strip_prefix(':')?.split_once(':')?;
        let is_end = parameters.is_empty() || parameters.trim_start().starts_with(';');
        let bytes = STANDARD.decode(encoded).ok().filter(|_| is_end)?;
        bytes.try_into().ok().map(Self)
    }
}

/// In hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", HEXLOWER.encode_display(&self.0))
    }
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Usage, "its 'Content-Digest' is not of the form")
        .operation("read the request")
        .hint("it is 'sha-256=:BASE64:', the digest of the body (RFC 9530)")
}

/// A digest that is made while data comes in.
#[derive(Clone)]
pub(crate) struct Digesting(Context);

impl Default for Digesting {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Digesting {
    pub(crate) fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// Of all that came so far.
    pub(crate) fn digest(self) -> Digest {
        let digest = self.0.finish();
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Digest(bytes)
    }
}

/// Whether data is what its client told before it came; its digest is there where all of it came.
///
/// # Errors
/// It is something else.
pub(crate) fn check_stated(stated: Digest, digest: Option<Digest>) -> Result<()> {
    if digest == Some(stated) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "the data is not what its 'Content-Digest' says")
        .operation("read the request")
        .hint("it was changed on its way, or the digest is that of something else"))
}

/// An id was used for something else.
pub(crate) fn another_job(id: &str) -> Error {
    Error::new(ErrorKind::Conflict, "its id stands for another job")
        .operation(format!("run job '{id}'"))
        .hint("use a new id for each job, and the old one only with the same data and parameters")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn stated(lines: &[&'static str]) -> Result<Option<Digest>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HEADER, HeaderValue::from_static(line));
        }
        Digest::stated(&headers)
    }

    #[test]
    fn a_digest_is_that_of_the_standard() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        assert_eq!(Digest::parse(abc), Some(Digest::of(b"abc")));
        assert_eq!(Digest::parse(&abc[1..]), None);
        let mut pieces = Digesting::default();
        b"abc".iter().for_each(|byte| pieces.update(&[*byte]));
        assert_eq!(pieces.digest(), Digest::of(b"abc"));
    }

    #[test]
    fn content_digest_is_read_as_rfc_9530_has_it() {
        // The example of the RFC.
        let example = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
        let of_example = Digest::of(b"{\"hello\": \"world\"}");
        assert_eq!(stated(&[example]).unwrap(), Some(of_example));
        let abc = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
        for lines in [
            &["sha-512=:YWJj:, sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"][..],
            &["sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:;x=1 , unixsum=1"],
            &["sha-512=:YWJj:", "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"],
            &[example, abc],
        ] {
            assert_eq!(stated(lines).unwrap(), Some(Digest::of(b"abc")), "{lines:?}");
        }
        for nothing in [&[][..], &[""], &["sha-512=:YWJj:"]] {
            assert_eq!(stated(nothing).unwrap(), None, "{nothing:?}");
        }
        for wrong in
            ["sha-256", "sha-256=ungW", "sha-256=:ungW:", "sha-256=:!:", "sha-256=:YWJj", "?\u{7f}"]
        {
            let Ok(value) = HeaderValue::from_bytes(wrong.as_bytes()) else { continue };
            let headers = HeaderMap::from_iter([(HEADER.parse().unwrap(), value)]);
            let error = Digest::stated(&headers).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{wrong}");
        }
    }
}
