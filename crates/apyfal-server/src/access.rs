//! Who is served.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use apyfal_core::{Error, ErrorKind, Result, Secret};
use apyfal_tls::token::TokenHash;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

/// How a connection came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// The address of this end.
    pub(crate) local: SocketAddr,
    /// Whether the client must present the token.
    pub(crate) needs_token: bool,
    pub(crate) is_encrypted: bool,
}

impl Peer {
    /// Whether the connection came in by loopback.
    pub(crate) fn is_loopback(self) -> bool {
        self.local.ip().to_canonical().is_loopback()
    }
}

/// Decides who is served.
#[derive(Debug)]
pub(crate) struct Access {
    token: Option<TokenHash>,
    rest_v1: bool,
}

impl Access {
    pub(crate) fn new(token: Option<&Secret>, rest_v1: bool) -> Self {
        Self { token: token.map(TokenHash::of), rest_v1 }
    }

    /// Whether the client may use REST v2.
    pub(crate) fn check(&self, peer: Peer, request: &Parts) -> Result<()> {
        match &self.token {
            _ if !peer.needs_token => not_by_a_web_page(peer, request),
            Some(token) => check_token(token, &request.headers),
            None => Err(Error::new(ErrorKind::Internal, "the host has no token to ask for")),
        }
    }

    /// Whether the client may use REST v1.0, which knows no tokens.
    pub(crate) fn check_v1(&self, peer: Peer, request: &Parts) -> Result<()> {
        if self.rest_v1 || peer.is_loopback() && !peer.needs_token {
            return not_by_a_web_page(peer, request);
        }
        if let Some(token) = &self.token
            && request.headers.contains_key(header::AUTHORIZATION)
        {
            return check_token(token, &request.headers);
        }
        Err(Error::new(
            ErrorKind::Security,
            "its clients carry no token, so it is served only where none is asked for",
        )
        .operation("use REST v1.0 over the network")
        .hint("set rest_v1 = True in section [serve] of the host's configuration to serve everybody who can reach it")
        .hint("or use a client of this version, which speaks REST v2"))
    }
}

fn check_token(token: &TokenHash, headers: &HeaderMap) -> Result<()> {
    let given = headers.get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    let given = given.and_then(|value| {
        let (scheme, token) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
    });
    let why = match given {
        Some(given) if token.matches(given) => return Ok(()),
        Some(_) => "the token is not the one of this host",
        None => "the host asks for its token",
    };
    Err(Error::new(ErrorKind::Authentication, why)
        .operation("use this host")
        .hint("give the token that 'apyfal serve' printed: --token, or token in section [host]"))
}

/// Refuses what a browser sends for a page from elsewhere. Pages can reach loopback too, and
/// without a token nothing else would tell them from the user's own programs.
fn not_by_a_web_page(peer: Peer, request: &Parts) -> Result<()> {
    let host =
        request.uri.authority().cloned().or_else(|| {
            Authority::from_str(request.headers.get(header::HOST)?.to_str().ok()?).ok()
        });
    let refused = |what| {
        Error::new(ErrorKind::Security, what)
            .operation("use this host from a web page")
            .hint("send requests from a program, or give the host a token")
    };
    if let Some(origin) = request.headers.get(header::ORIGIN) {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        if origin.map(|(_, origin)| origin) != host.as_ref().map(Authority::as_str) {
            return Err(refused("it is of another origin"));
        }
    }
    // A name that was made to mean loopback could have led a browser here.
    match host {
        Some(host) if peer.is_loopback() && !is_of_this_machine(host.host()) => {
            Err(refused("it calls this machine by a name that is not its own"))
        }
        _ => Ok(()),
    }
}

fn is_of_this_machine(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || !name.contains('.') && !name.contains(':')
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/v2/host");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn peer(local: &str) -> Peer {
        let local: SocketAddr = local.parse().unwrap();
        Peer { local, needs_token: !local.ip().is_loopback(), is_encrypted: false }
    }

    #[test]
    fn a_token_must_be_the_right_one() {
        let access = Access::new(Some(&Secret::new("abc")), false);
        let check = |value: &str| {
            access.check(peer("10.0.0.1:1"), &parts(&[("authorization", value)])).is_ok()
        };
        assert!(check("Bearer abc") && check("bearer abc"));
        for wrong in ["", "abc", "Bearer ab", "Bearer abcd", "Basic abc", "Bearer"] {
            assert!(!check(wrong), "{wrong}");
        }
        assert!(access.check(peer("10.0.0.1:1"), &parts(&[])).is_err());
        assert!(access.check(peer("127.0.0.1:1"), &parts(&[])).is_ok());
    }

    #[test]
    fn pages_from_elsewhere_are_refused() {
        let access = Access::new(None, false);
        let check = |headers: &[(&str, &str)]| {
            access.check(peer("127.0.0.1:8000"), &parts(headers)).is_ok()
        };
        assert!(check(&[]));
        assert!(check(&[("host", "127.0.0.1:8000")]) && check(&[("host", "[::1]:8000")]));
        assert!(check(&[("host", "localhost:8000"), ("origin", "http://localhost:8000")]));
        assert!(!check(&[("host", "localhost:8000"), ("origin", "http://evil.example")]));
        assert!(!check(&[("host", "localhost:8000"), ("origin", "null")]));
        assert!(!check(&[("host", "rebound.example:8000")]));
    }

    #[test]
    fn the_original_protocol_stays_on_this_machine() {
        let (here, there) = (peer("127.0.0.1:1"), peer("10.0.0.1:1"));
        let closed = Access::new(Some(&Secret::new("abc")), false);
        assert!(closed.check_v1(here, &parts(&[])).is_ok());
        let error = closed.check_v1(there, &parts(&[])).unwrap_err();
        assert!(error.hints()[0].contains("rest_v1"));
        assert!(closed.check_v1(there, &parts(&[("authorization", "Bearer abc")])).is_ok());
        assert!(Access::new(None, true).check_v1(there, &parts(&[])).is_ok());
    }
}
