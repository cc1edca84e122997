//! What a client calls the server.

use std::str::FromStr;

use apyfal_core::{Error, ErrorKind, Result};
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Version};

/// The name and port by which a request calls the server. None where an old client gives none.
///
/// Source: RFC 9112, section 3.2; RFC 9113, section 8.3.1.
///
/// # Errors
/// It gives none though it has to, several, or what is none. Different servers would take such a
/// request for different things.
pub fn authority(request: &Parts) -> Result<Option<Authority>> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(refused("it has more than one header 'Host'"));
    }
    let host = host.map(name).transpose()?;
    match request.uri.authority() {
        Some(target) if is_name(target) => Ok(Some(target.clone())),
        Some(_) => Err(refused("its target is no name or address")),
        None if host.is_none() && request.version >= Version::HTTP_11 => {
            Err(refused("it has no header 'Host'"))
        }
        None => Ok(host),
    }
}

fn name(value: &HeaderValue) -> Result<Authority> {
    let name = value.to_str().ok().and_then(|text| Authority::from_str(text).ok());
    let name = name.filter(is_name);
    name.ok_or_else(|| refused("its header 'Host' is no name or address"))
}

/// The longest name that DNS knows, with the dot at its end.
const LONGEST: usize = 254;

/// Whether it is a host, and a port where there is one, and nothing else.
fn is_name(authority: &Authority) -> bool {
    let (text, host) = (authority.as_str(), authority.host());
    let port = text.strip_prefix(host).map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    (1..=LONGEST).contains(&host.len()) && port.is_some_and(|port| port.is_empty() || is_port(port))
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Usage, why)
        .operation("read the request")
        .hint("name this server once, as in the request's URL")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn of(version: Version, uri: &str, hosts: &[&[u8]]) -> Result<Option<String>> {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(HOST, HeaderValue::from_bytes(host).unwrap());
        }
        let parts = request.body(()).unwrap().into_parts().0;
        authority(&parts).map(|name| name.map(|name| name.to_string()))
    }

    #[test]
    fn a_request_names_the_server_once() {
        let of_11 = |hosts: &[&[u8]]| of(Version::HTTP_11, "/", hosts);
        for good in ["h", "h:80", "h:", "a.b.c.:1", "127.0.0.1:8000", "[::1]", "[::1]:80", "a_b"] {
            assert_eq!(of_11(&[good.as_bytes()]).unwrap().as_deref(), Some(good));
        }
        for bad in [
            "",
            ":80",
            "a b",
            "h:x",
            "h:-1",
            "h:65536",
            "h:1:2",
            "u@h",
            "u:p@h",
            "@h",
            "h/",
            "h?",
            "h#",
            "http://h",
            "[::1",
            "::1",
            "[::1]x",
            "[::1].evil",
            "a%zz",
            "h:80 ",
            "h\\x",
        ] {
            assert!(of_11(&[bad.as_bytes()]).is_err(), "'{bad}' passed");
        }
        assert!(of_11(&[b"\xff"]).is_err() && of_11(&[&[b'a'; 255]]).is_err());
        assert!(of_11(&[]).is_err());
        assert!(of_11(&[b"h", b"h"]).is_err());
        assert!(of_11(&[b"h", b"x"]).is_err());
    }

    #[test]
    fn who_speaks_an_older_or_newer_protocol_names_it_in_another_way() {
        assert_eq!(of(Version::HTTP_10, "/", &[]).unwrap(), None);
        assert_eq!(of(Version::HTTP_10, "/", &[b"h"]).unwrap().as_deref(), Some("h"));
        assert_eq!(of(Version::HTTP_2, "http://h:1/", &[]).unwrap().as_deref(), Some("h:1"));
        assert!(of(Version::HTTP_2, "/", &[]).is_err());
        assert!(of(Version::HTTP_2, "http://u@h/", &[]).is_err());
        // What a request is for counts, and not what its header says.
        assert_eq!(of(Version::HTTP_11, "http://a/", &[b"b"]).unwrap().as_deref(), Some("a"));
        assert!(of(Version::HTTP_11, "http://a/", &[b"b", b"c"]).is_err());
    }

    #[test]
    fn any_name_is_one_or_refused() {
        bolero::check!().with_iterations(2_000).with_max_len(128).for_each(|bytes: &[u8]| {
            let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
            let request = Request::builder().uri("/").header(HOST, value);
            let parts = request.body(()).unwrap().into_parts().0;
            if let Ok(Some(name)) = authority(&parts) {
                let shown = name.as_str();
                assert!(!shown.is_empty() && !shown.contains(['@', '/', '?', ' ']), "{shown}");
                assert_eq!(shown.as_bytes(), bytes.trim_ascii());
            }
        });
    }
}
