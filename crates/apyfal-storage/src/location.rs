//! What a URL means.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use apyfal_core::{Error, ErrorKind, Result};
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::masking::{has_user, is_signature, masked};

/// Where data is, as a URL names it. Displayed without any credentials that the URL holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `-`: standard input or standard output.
    Standard,
    /// A file of the client.
    File(PathBuf),
    /// `host://path`: a file of the host, inside its authorized directories.
    Host(PathBuf),
    /// `http://…` or `https://…`.
    Http(Url),
    /// An object in a store.
    Object(ObjectLocation),
}

/// `scheme://container/key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectLocation {
    /// The name of the mount, in lower case.
    pub scheme: String,
    /// The bucket or container.
    pub container: String,
    /// The object's name, taken as it is written.
    pub key: String,
}

/// The longest URL or path, in bytes: more than any server or system takes.
const LONGEST: usize = 16 << 10;

impl Location {
    /// Reads a URL or a path.
    ///
    /// Only what starts with a scheme and `://` is a URL, so `a:b` and `C:\data` are files.
    ///
    /// ```
    /// use apyfal_storage::Location;
    /// assert!(Location::parse("results:1.txt")?.is_local());
    /// assert_eq!(Location::parse("s3://bucket/a/b.gz")?.name().as_deref(), Some("b.gz"));
    /// # Ok::<(), apyfal_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::StorageConfiguration`]: the text is empty, or the part behind the scheme is not
    /// of the form that the scheme needs, or it is too long.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST {
            // It may hold a secret anywhere, so nothing of it is shown.
            return Err(malformed("a text", format!("it has more than {LONGEST} bytes")));
        }
        if text == "-" {
            return Ok(Self::Standard);
        }
        if text.is_empty() {
            return Err(malformed(text, "it is empty"));
        }
        let Some((scheme, rest)) = split_scheme(text) else {
            return Ok(Self::File(text.into()));
        };
        match scheme.as_str() {
            "file" => {
                let rest =
                    rest.strip_prefix("localhost").filter(|r| r.starts_with('/')).unwrap_or(rest);
                Ok(Self::File(decoded_path(rest, text)?))
            }
            "host" => Ok(Self::Host(decoded_path(rest, text)?)),
            "http" | "https" => match Url::parse(text) {
                Ok(url) => Ok(Self::Http(url)),
                Err(error) => Err(malformed("the web address", error)),
            },
            scheme => ObjectLocation::parse(scheme, rest).map(Self::Object),
        }
    }

    /// The scheme of a URL, in lower case; none of what is a path.
    pub fn scheme_of(text: &str) -> Option<String> {
        split_scheme(text).map(|(scheme, _)| scheme)
    }

    /// A file of the client, whatever characters its path has.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    /// Whether it holds a secret, which is not shown.
    pub fn has_secret(&self) -> bool {
        matches!(self, Self::Http(url) if masked(url).as_str() != url.as_str())
    }

    /// Whether it holds a secret other than what a signed URL has, which is good for that alone and for
    /// a while.
    pub fn has_lasting_secret(&self) -> bool {
        let Self::Http(url) = self else { return false };
        let is_signed = || url.query_pairs().any(|(key, _)| is_signature(&key));
        self.has_secret() && (has_user(url) || !is_signed())
    }

    /// Whether the client itself moves the data: its own files and its standard streams. All else
    /// travels as text, and the host reads or writes it.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Standard | Self::File(_))
    }

    /// The last part of the path, where there is one.
    pub fn name(&self) -> Option<String> {
        let last =
            |path: &str| path.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned);
        match self {
            Self::Standard => None,
            Self::File(path) | Self::Host(path) => {
                path.file_name().map(|name| name.to_string_lossy().into_owned())
            }
            Self::Http(url) => {
                last(&percent_decode_str(url.path().rsplit('/').next()?).decode_utf8_lossy())
            }
            Self::Object(object) => last(&object.key),
        }
    }
}

impl ObjectLocation {
    pub(crate) fn parse(scheme: &str, rest: &str) -> Result<Self> {
        let (container, key) = rest.split_once('/').unwrap_or((rest, ""));
        if container.contains(['@', ':']) {
            return Err(malformed(format!("{scheme}://***"), "it holds credentials").hint(format!(
                "put them in section [storage.{scheme}] of the configuration as client_id and secret_id"
            )));
        }
        let location = Self {
            scheme: scheme.to_owned(),
            container: container.to_owned(),
            key: key.to_owned(),
        };
        if container.is_empty() || !container.chars().all(is_container_char) {
            return Err(malformed(&location, "it does not name a bucket"));
        }
        if key.is_empty() || key.ends_with('/') {
            return Err(malformed(&location, "it does not name an object")
                .hint(format!("add one: {scheme}://{container}/{key}name")));
        }
        // On their way to the server such names would become others: `..` is resolved in every URL,
        // and the client library folds slashes and trims spaces.
        if key.trim() != key || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(malformed(
                &location,
                "an object's name must have no part that is empty, '.' or '..', and no space at its ends",
            ));
        }
        Ok(location)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("-"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Host(path) => write!(f, "host://{}", path.display()),
            Self::Http(url) => f.write_str(masked(url).as_str()),
            Self::Object(object) => object.fmt(f),
        }
    }
}

impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.scheme, self.container, self.key)
    }
}

/// The scheme of a URL, in lower case, and what stands behind `://`.
pub(crate) fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme))?;
    Some((scheme.to_ascii_lowercase(), rest))
}

/// Whether a text may stand before `://`. More lenient than RFC 3986: a mount may be named `my_data`.
pub(crate) fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'))
}

fn is_container_char(c: char) -> bool {
    !c.is_control() && !c.is_whitespace() && !matches!(c, '?' | '#' | '%' | '\\')
}

fn decoded_path(text: &str, url: &str) -> Result<PathBuf> {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(malformed(url, "it does not name a file"));
    }
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

fn malformed(url: impl fmt::Display, reason: impl fmt::Display) -> Error {
    Error::new(ErrorKind::StorageConfiguration, reason.to_string())
        .operation(format!("use '{url}' as a location"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn parse(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    #[test]
    fn what_has_no_scheme_is_a_file() {
        for text in
            ["a", "/a/b", "a:b", r"C:\a", "s3:/a", "://a", "1a://b", "é://b", "./-", "a b?#%20"]
        {
            assert_eq!(parse(text), Location::File(text.into()), "{text}");
            assert!(parse(text).is_local());
        }
        assert_eq!(parse("-"), Location::Standard);
        assert!(parse("-").is_local());
    }

    #[test]
    fn file_urls_are_decoded() {
        for (text, path) in [
            ("file:///a%20b", "/a b"),
            ("FILE://localhost/a", "/a"),
            ("file://a/b", "a/b"),
            ("file://localhostess", "localhostess"),
        ] {
            assert_eq!(parse(text), Location::File(path.into()), "{text}");
        }
        let Location::File(path) = parse("file:///%FF") else { panic!() };
        assert_eq!(path.as_os_str().as_bytes(), b"/\xff");
    }

    #[test]
    fn other_urls_are_not_local() {
        for text in ["host:///a", "http://h/a", "https://h", "s3://b/k", "my_data://b/k"] {
            assert!(!parse(text).is_local(), "{text}");
            assert!(parse(text).to_string().starts_with(text), "{text}");
        }
        let Location::Object(object) = parse("S3://bucket/a/b?c#d%20") else { panic!() };
        assert_eq!(
            (object.scheme.as_str(), object.container.as_str(), object.key.as_str()),
            ("s3", "bucket", "a/b?c#d%20")
        );
    }

    #[test]
    fn names_are_the_last_part() {
        for (text, name) in [
            ("/a/b.txt", Some("b.txt")),
            ("host://a/b", Some("b")),
            ("https://h/a/b%20c.gz?x=/y", Some("b c.gz")),
            ("https://h/", None),
            ("s3://b/x/y", Some("y")),
            ("-", None),
        ] {
            assert_eq!(parse(text).name().as_deref(), name, "{text}");
        }
    }

    #[test]
    fn what_is_longer_than_any_url_is_none() {
        for text in ["s3://bucket/", "http://h/", "/file/", "x://"] {
            let padded = |len: usize| text.to_owned() + &"y".repeat(len - text.len());
            assert!(Location::parse(&padded(LONGEST + 1)).is_err(), "{text}");
            assert!(Location::parse(&padded(15_000_000)).unwrap_err().to_string().len() < 200);
        }
        let long = "s3://bucket/".to_owned() + &"y".repeat(LONGEST - 12);
        assert!(Location::parse(&long).is_ok());
    }

    #[test]
    fn malformed_urls_are_refused() {
        for text in [
            "",
            "s3://",
            "s3://b",
            "s3://b/",
            "s3:///k",
            "s3://b/a/",
            "s3://b/../c/k",
            "s3://b/a//b",
            "s3://b/./a",
            "s3://b/a ",
            "s3://b?x/k",
            "http://",
            "http://h:x/",
            "file://",
            "host://a%00b",
        ] {
            let error = Location::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageConfiguration, "{text}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let shown = parse("https://me:hunter2@h/a?X-Amz-Signature=hunter2&b=c").to_string();
        assert_eq!(shown, "https://***@h/a?X-Amz-Signature=***&b=c");
        for text in ["https://hunter2@h/a", "https://hunter2:@h/a", "https://hunter2:word@h/a"] {
            let location = parse(text);
            assert_eq!(location.to_string(), "https://***@h/a");
            assert!(location.has_secret(), "{text}");
        }
        assert!(!parse("https://h/a?b=c").has_secret());
        for (text, is_lasting) in [
            ("https://h/a?b=c", false),
            ("https://h/a?X-Amz-Security-Token=t&X-Amz-Signature=s", false),
            ("https://h/a?sig=s", false),
            ("https://h/a?token=t", true),
            ("https://me@h/a?sig=s", true),
        ] {
            assert_eq!(parse(text).has_lasting_secret(), is_lasting, "{text}");
        }
        for text in
            ["s3://key:hunter2@bucket/k", "s3://key:hunter2/x@bucket/k", "http://me:hunter2@h:x/"]
        {
            let error = Location::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn whatever_is_a_location_is_the_same_as_it_is_shown() {
        const FRAGMENTS: [&str; 26] = [
            "://",
            "/",
            "//",
            ":",
            "@",
            "?",
            "#",
            "%",
            "%2f",
            "%00",
            "..",
            ".",
            "-",
            "~",
            "\\",
            "[::1]",
            "file",
            "host",
            "HTTP",
            "https",
            "s3",
            "my_data",
            "localhost",
            "user:password",
            "\u{e9}",
            " ",
        ];
        bolero::check!().with_iterations(20_000).with_type::<Vec<u8>>().for_each(|bytes| {
            let pieces = bytes.iter().map(|byte| FRAGMENTS[usize::from(*byte) % FRAGMENTS.len()]);
            let text: String = pieces.collect();
            let Ok(location) = Location::parse(&text) else { return };
            let shown = location.to_string();
            if let Location::Http(url) = &location {
                let shown = Url::parse(&shown).unwrap();
                assert!(matches!(shown.username(), "" | "***"), "{url}");
                assert_eq!(shown.password(), None, "{url}");
            }
            // Paths are shown decoded and secrets are masked; all else leads back.
            if let Location::Object(_) = location {
                assert_eq!(Location::parse(&shown).unwrap(), location, "{text}");
            }
            let _ = location.name();
        });
    }
}
