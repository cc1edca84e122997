//! Where a host is: what a user writes as `host_ip`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use apyfal_core::{Error, ErrorKind, Result};
use http::Uri;
use http::uri::Authority;

/// Where hosts listen unless they are told otherwise.
const PORT: u16 = 8000;

/// A host's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether connections are encrypted.
    pub tls: bool,
    /// A name or an IP address, the latter without brackets. One of a link has its zone, such as
    /// `fe80::1%eth0`.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Address {
    /// Reads `http(s)://host:port` or `host:port`, where the port may be missing. Without a scheme
    /// connections are encrypted where `tls` says so of this address.
    ///
    /// # Errors
    /// It is no such address.
    pub fn parse(text: &str, tls: impl FnOnce(&Self) -> bool) -> Result<Self> {
        // What stands before an '@' may be a password.
        let shown = text.rsplit('@').next().unwrap_or_default();
        let wrong = |why: &str| {
            Error::new(ErrorKind::Usage, why)
                .operation(format!("use '{shown}' as the address of a host"))
                .hint("write it as host:port, http://host:port or https://host:port")
        };
        let trimmed = text.trim();
        let (scheme, rest) = match trimmed.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, trimmed),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !path.is_empty() {
            return Err(wrong("a host has no path"));
        }
        if authority.contains('@') {
            return Err(wrong("a host has no user name or password")
                .hint("give the token that the host printed: --token"));
        }
        // A zone is no part of what an authority may be; it is put back to the address.
        let (authority, zone) = without_zone(authority, scheme.is_some());
        if zone.is_some_and(|zone| !zone.chars().all(|c| c.is_ascii_graphic() && c != '%')) {
            return Err(wrong("its zone is no name of an interface"));
        }
        // An IPv6 address alone needs no brackets.
        let (host, port) = match authority.parse::<IpAddr>() {
            Ok(ip) => (ip.to_string(), None),
            Err(_) => {
                let authority: Authority =
                    authority.parse().map_err(|_| wrong("it is no address"))?;
                let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
                    None => None,
                    Some("") => return Err(wrong("it has no port")),
                    Some(port) => {
                        Some(port.parse().map_err(|_| wrong("its port is no such number"))?)
                    }
                };
                (authority.host().trim_matches(['[', ']']).to_owned(), port)
            }
        };
        if host.is_empty() {
            return Err(wrong("it is empty"));
        }
        let host = match zone {
            None => host,
            Some(zone) if host.parse::<Ipv6Addr>().is_ok() => format!("{host}%{zone}"),
            Some(_) => return Err(wrong("only an IPv6 address has a zone")),
        };
        let mut address = Self { tls: false, host, port: port.unwrap_or(PORT) };
        address.tls = match scheme.as_deref() {
            None => tls(&address),
            Some("http") => false,
            Some("https") => true,
            Some(other) => return Err(wrong(&format!("'{other}' is no scheme of hosts"))),
        };
        if scheme.as_deref() == Some("https") && port.is_none() {
            address.port = 443;
        }
        // What is left of the text must do in requests.
        address.authority().parse::<Uri>().map_err(|_| wrong("it is no address"))?;
        Ok(address)
    }

    /// Reads the address of a host of which more is known. Without a scheme connections are encrypted
    /// where the host shows a certificate, and where a token would be shown to others.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn of(text: &str, has_token: bool, is_trusted: bool, plain: bool) -> Result<Self> {
        Self::parse(text, |address| !plain && (is_trusted || has_token && !address.is_loopback()))
    }

    /// Whether both lead to the same port of the same machine, as far as the text tells.
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }

    /// Whether it is this machine, as far as the address alone tells.
    pub fn is_loopback(&self) -> bool {
        let name = self.name().trim_end_matches('.');
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }

    /// The name or address without a zone, which means something on this machine alone.
    pub fn name(&self) -> &str {
        self.host.split_once('%').map_or(&self.host, |(address, _)| address)
    }

    /// The zone of an address, which is an interface of this machine.
    pub(super) fn zone(&self) -> Option<&str> {
        self.host.split_once('%').map(|(_, zone)| zone)
    }

    /// `host:port`, for the host itself.
    pub fn authority(&self) -> String {
        with_port(self.name(), self.port)
    }

    /// `host:port`, as users write it.
    pub fn place(&self) -> String {
        with_port(&self.host, self.port)
    }
}

fn with_port(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// An authority without the zone of its IPv6 address, and that. In URLs its `%` is written as `%25`,
/// and often elsewhere too, where a number is that of the interface.
fn without_zone(authority: &str, is_url: bool) -> (String, Option<&str>) {
    let Some((address, rest)) = authority.split_once('%') else {
        return (authority.to_owned(), None);
    };
    let (zone, rest) = rest.split_at(rest.find(']').unwrap_or(rest.len()));
    let is_encoded = is_url || !zone.bytes().all(|byte| byte.is_ascii_digit());
    let decoded = zone.strip_prefix("25").filter(|zone| is_encoded && !zone.is_empty());
    let zone = decoded.unwrap_or(zone);
    (format!("{address}{rest}"), Some(zone))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        match self.zone() {
            // It would be taken for an encoded '%'.
            Some(zone) if zone.starts_with("25") => {
                let host = format!("{}%25{zone}", self.name());
                write!(f, "{scheme}://{}", with_port(&host, self.port))
            }
            _ => write!(f, "{scheme}://{}", self.place()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_short() {
        for (text, meant) in [
            ("10.0.0.1", "http://10.0.0.1:8000"),
            ("10.0.0.1:81", "http://10.0.0.1:81"),
            ("host.example", "http://host.example:8000"),
            ("http://host.example/", "http://host.example:8000"),
            ("https://host.example", "https://host.example:443"),
            ("HTTPS://host.example:8443/", "https://host.example:8443"),
            ("::1", "http://[::1]:8000"),
            ("[::1]:81", "http://[::1]:81"),
            (" localhost:8000 ", "http://localhost:8000"),
            ("fe80::1%eth0", "http://[fe80::1%eth0]:8000"),
            ("[fe80::1%eth0]:81", "http://[fe80::1%eth0]:81"),
            ("https://[fe80::1%25eth0]", "https://[fe80::1%eth0]:443"),
            ("[fe80::1%2]:81", "http://[fe80::1%2]:81"),
            ("fe80::1%25eth0", "http://[fe80::1%eth0]:8000"),
            // The interface with the number 251.
            ("fe80::1%251", "http://[fe80::1%25251]:8000"),
            ("http://[fe80::1%25251]", "http://[fe80::1%25251]:8000"),
        ] {
            assert_eq!(Address::parse(text, |_| false).unwrap().to_string(), meant, "{text}");
        }
        // Who is asked knows nothing of the zone.
        let zoned = Address::parse("fe80::1%eth0", |_| false).unwrap();
        assert_eq!((zoned.name(), zoned.authority().as_str()), ("fe80::1", "[fe80::1]:8000"));
        assert_eq!(Address::parse("a", |_| true).unwrap().to_string(), "https://a:8000");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "http://",
            "a:b",
            "a:99999",
            "a:",
            "ftp://a",
            "http://a/path",
            "u:p@a",
            "a b",
            "a%eth0",
            "1.2.3.4%eth0",
            "fe80::1%eth 0",
            "fe80::1%eth\0",
            "::%2525:%2525",
        ] {
            let error = Address::parse(text, |_| false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
            assert!(!error.to_string().contains("u:p"), "{error}");
        }
    }

    #[test]
    fn any_text_is_an_address_or_refused() {
        bolero::check!().with_iterations(2_000).with_max_len(128).for_each(|bytes: &[u8]| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            if let Ok(address) = Address::parse(text, |_| false) {
                let again = Address::parse(&address.to_string(), |_| false).unwrap();
                assert_eq!(again, address);
            }
        });
    }
}
