//! Who is served.

mod browsers;
mod users;

use std::net::SocketAddr;

use apyfal_core::{Error, ErrorKind, Result, Secret};
use apyfal_net::Owner;
use apyfal_tls::token::TokenHash;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

use browsers::plain;

pub use users::LocalUsers;

/// How a request came in.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The address of this end.
    pub(crate) local: SocketAddr,
    /// Whether the client must present the token.
    pub(crate) needs_token: bool,
    pub(crate) is_encrypted: bool,
    /// Whose program the client is.
    pub(crate) owner: Owner,
    /// What the client calls this host.
    pub(crate) host: Option<Authority>,
}

impl Peer {
    /// Whether the connection came in by loopback.
    fn is_loopback(&self) -> bool {
        self.local.ip().to_canonical().is_loopback()
    }
}

/// Decides who is served.
#[derive(Debug)]
pub(crate) struct Access {
    token: Option<TokenHash>,
    rest_v1: bool,
    /// Names of this host beside those that every machine has.
    names: Vec<String>,
    /// Who is served on loopback without a token, beside this user and root.
    users: LocalUsers,
}

/// Whether a client showed that it may use the host.
enum Shown {
    Right,
    Wrong,
    Nothing,
}

impl Access {
    pub(crate) fn new(
        token: Option<&Secret>,
        rest_v1: bool,
        names: &[String],
        users: LocalUsers,
    ) -> Self {
        let names = names.iter().map(|name| plain(name)).collect();
        Self { token: token.map(TokenHash::of), rest_v1, names, users }
    }

    /// Whether the client may use REST v2.
    pub(crate) fn check(&self, peer: &Peer, headers: &HeaderMap) -> Result<()> {
        match self.shown(headers) {
            Shown::Right => Ok(()),
            _ if !peer.needs_token => {
                self.check_user(peer.owner)?;
                self.not_by_a_web_page(peer, headers)
            }
            Shown::Wrong => Err(wrong_token()),
            Shown::Nothing => Err(not_without("the host asks for its token")),
        }
    }

    /// Whether the client may use REST v1.0, which knows no tokens.
    pub(crate) fn check_v1(&self, peer: &Peer, headers: &HeaderMap) -> Result<()> {
        match self.shown(headers) {
            Shown::Right => Ok(()),
            _ if !peer.needs_token && peer.is_loopback() => {
                self.check_user(peer.owner)?;
                self.not_by_a_web_page(peer, headers)
            }
            _ if self.rest_v1 => self.not_by_a_web_page(peer, headers),
            Shown::Wrong => Err(wrong_token()),
            Shown::Nothing => Err(Error::new(
                ErrorKind::Security,
                "its clients carry no token, so it is served only where none is asked for",
            )
            .operation("use REST v1.0 over the network")
            .hint(
                "set rest_v1 = True in section [serve] of the host's configuration to serve \
                 everybody who can reach it",
            )
            .hint("or use a client of this version, which speaks REST v2")),
        }
    }

    /// Looks at the token that a client shows.
    fn shown(&self, headers: &HeaderMap) -> Shown {
        let Some(given) = headers.get(header::AUTHORIZATION) else { return Shown::Nothing };
        let Some((scheme, given)) = given.as_bytes().split_at_checked(7) else {
            return Shown::Nothing;
        };
        match &self.token {
            _ if !scheme.eq_ignore_ascii_case(b"Bearer ") => Shown::Nothing,
            Some(token) if token.matches(given) => Shown::Right,
            _ => Shown::Wrong,
        }
    }
}

fn wrong_token() -> Error {
    not_without("the token is not the one of this host")
}

fn not_without(why: &str) -> Error {
    Error::new(ErrorKind::Authentication, why)
        .operation("use this host")
        .hint("give the token that 'apyfal serve' printed: --token, or token in section [host]")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const RIGHT: (&str, &str) = ("authorization", "Bearer abc");
    const WRONG: (&str, &str) = ("authorization", "Bearer abcd");
    /// A page that its browser takes for one of another origin.
    const FOREIGN: (&str, &str) = ("origin", "http://evil.example");

    fn headers(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let header =
            |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        headers.iter().copied().map(header).collect()
    }

    fn peer(local: &str, host: &str) -> Peer {
        let local: SocketAddr = local.parse().unwrap();
        let needs_token = !local.ip().is_loopback();
        let host = (!host.is_empty()).then(|| host.parse().unwrap());
        Peer { local, needs_token, is_encrypted: false, owner: Owner::User(0), host }
    }

    fn here(host: &str) -> Peer {
        peer("127.0.0.1:8000", host)
    }

    fn access(rest_v1: bool, names: &[&str]) -> Access {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        Access::new(Some(&Secret::new("abc")), rest_v1, &names, LocalUsers::default())
    }

    fn open(rest_v1: bool, names: &[&str]) -> Access {
        Access { token: None, ..access(rest_v1, names) }
    }

    #[test]
    fn a_token_must_be_the_right_one() {
        let access = access(false, &[]);
        let there = peer("10.0.0.1:1", "10.0.0.1:1");
        let check = |value| access.check(&there, &headers(&[("authorization", value)])).is_ok();
        assert!(check("Bearer abc") && check("bearer abc"));
        for wrong in ["", "abc", "Bearer ab", "Bearer abcd", "Basic abc", "Bearer"] {
            assert!(!check(wrong), "{wrong}");
        }
        assert!(access.check(&there, &headers(&[])).is_err());
        assert!(access.check(&here("127.0.0.1:1"), &headers(&[])).is_ok());
    }

    #[test]
    fn pages_from_elsewhere_are_refused() {
        let access = open(false, &[]);
        let check =
            |host, origin| access.check(&here(host), &headers(&[("origin", origin)])).is_ok();
        assert!(check("localhost:8000", "http://localhost:8000"));
        assert!(!check("localhost:8000", "http://evil.example"));
        assert!(!check("localhost:8000", "http://localhost:8001"));
        assert!(!check("localhost:8000", "null"));
        assert!(!check("", "null"));
    }

    #[test]
    fn only_names_that_nobody_else_can_give_mean_this_machine() {
        let access = open(false, &["Acc.Example.", "short"]);
        let check = |host: &str| access.check(&here(host), &headers(&[]));
        let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
        for host in [
            "",
            "127.0.0.1:8000",
            "[::1]:8000",
            "[fe80::1%25eth0]",
            "10.1.2.3",
            "localhost",
            "LOCALHOST.:80",
            "a.localhost",
            &own,
            "acc.example:443",
            "ACC.EXAMPLE.",
            "short",
        ] {
            assert!(check(host).is_ok(), "{host}");
        }
        for host in [
            "rebound.example:8000",
            "evil",
            "evil:8000",
            "accelerator",
            "short.evil.example",
            "x.acc.example",
            "acc.example.evil",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "0x7f000001.evil",
            "2130706433",
            "127.1",
        ] {
            let name: Authority = host.parse().unwrap();
            let error = check(host).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Security, "{host}");
            let hint = format!("names = {}", name.host());
            assert!(error.hints()[0].contains(&hint), "{error:?}");
        }
    }

    #[test]
    fn who_shows_the_right_token_is_not_asked_for_a_name() {
        for access in [access(false, &[]), access(true, &[])] {
            let public = here("acc.example");
            for right in [&[RIGHT][..], &[RIGHT, FOREIGN]] {
                assert!(access.check(&public, &headers(right)).is_ok());
                assert!(access.check_v1(&public, &headers(right)).is_ok());
            }
            for other in [&[][..], &[WRONG], &[("authorization", "Basic abc")]] {
                assert!(access.check(&public, &headers(other)).is_err());
                assert!(access.check_v1(&public, &headers(other)).is_err());
            }
        }
        let named = access(false, &["acc.example"]);
        assert!(named.check(&here("acc.example:443"), &headers(&[])).is_ok());
        assert!(named.check_v1(&here("acc.example:443"), &headers(&[])).is_ok());
    }

    #[test]
    fn the_original_protocol_stays_on_this_machine() {
        let there = peer("10.0.0.1:1", "acc.example");
        let closed = access(false, &[]);
        assert!(closed.check_v1(&here("localhost"), &headers(&[])).is_ok());
        let error = closed.check_v1(&there, &headers(&[])).unwrap_err();
        assert!(error.hints()[0].contains("rest_v1"));
        assert!(closed.check_v1(&there, &headers(&[RIGHT])).is_ok());
        let error = closed.check_v1(&there, &headers(&[WRONG])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(open(true, &[]).check_v1(&there, &headers(&[])).is_ok());
    }

    #[test]
    fn other_sites_are_refused_but_for_a_link_to_the_page() {
        let access = access(false, &[]);
        let check = |path: &str, headers: &[(&'static str, &'static str)]| {
            let mut request = axum::http::Request::get(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            access.check_site(&request.body(()).unwrap().into_parts().0).is_ok()
        };
        const LINK: [(&str, &str); 2] =
            [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        const FRAME: [(&str, &str); 2] =
            [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        for path in ["/", "/status", "/healthz", "/v2/jobs/a/result", "/null/v1.0/process/"] {
            for own in
                [&[][..], &[("sec-fetch-site", "none")], &[("sec-fetch-site", "same-origin")]]
            {
                assert!(check(path, own), "{path} {own:?}");
            }
            for site in ["cross-site", "same-site", "of-the-future", ""] {
                let site = ("sec-fetch-site", site);
                assert!(
                    !check(path, &[site]) && !check(path, &[site, FRAME[0], FRAME[1]]),
                    "{path}"
                );
                assert_eq!(check(path, &[site, LINK[0], LINK[1]]), path == "/", "{path} {site:?}");
                assert!(check(path, &[site, RIGHT]) && !check(path, &[site, WRONG]), "{path}");
            }
        }
    }

    #[test]
    fn users_of_this_machine_are_told_apart_where_no_token_does() {
        let own = rustix::process::geteuid().as_raw();
        let of = |owner| Peer { owner, ..here("localhost") };
        let access = |users| Access { users, ..access(true, &[]) };
        let only = access(LocalUsers::Only(vec![33]));
        for owner in [Owner::User(own), Owner::User(0), Owner::User(33)] {
            assert!(only.check(&of(owner), &headers(&[])).is_ok(), "{owner:?}");
            assert!(only.check_v1(&of(owner), &headers(&[])).is_ok(), "{owner:?}");
        }
        for owner in
            [Owner::User(34), Owner::User(65_534), Owner::Nobody, Owner::Unknown, Owner::NotAsked]
        {
            for error in [
                only.check(&of(owner), &headers(&[])).unwrap_err(),
                only.check_v1(&of(owner), &headers(&[])).unwrap_err(),
                only.check(&of(owner), &headers(&[WRONG])).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Authentication, "{owner:?}");
                let hints = error.hints();
                assert!(
                    hints[0].contains("token") && hints[1].contains("local_users"),
                    "{hints:?}"
                );
            }
            assert!(only.check(&of(owner), &headers(&[RIGHT])).is_ok(), "the token decides");
            assert!(access(LocalUsers::All).check(&of(owner), &headers(&[])).is_ok(), "{owner:?}");
        }
    }
}
