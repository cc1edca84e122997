//! Who is served.

mod browsers;
mod tokens;
mod users;

use std::net::SocketAddr;

use apyfal_core::{Error, ErrorKind, Owner, Result, Secret};
use apyfal_tls::token::TokenHash;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

use browsers::plain;

pub(crate) use tokens::Tokens;

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
    pub(crate) program: apyfal_net::Owner,
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
    /// Further ones, which have names and can be revoked.
    pub(crate) tokens: Tokens,
    rest_v1: bool,
    /// Names of this host beside those that every machine has.
    names: Vec<String>,
    /// Who is served on loopback without a token, beside this user and root.
    users: LocalUsers,
}

/// Whether a client showed that it may use the host.
enum Shown {
    Right(Owner),
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
        Self { token: token.map(TokenHash::of), tokens: Tokens::default(), rest_v1, names, users }
    }

    /// Who asks, where that one may use REST v2.
    ///
    /// # Errors
    /// It may not.
    pub(crate) fn check(&self, peer: &Peer, headers: &HeaderMap) -> Result<Owner> {
        match self.shown(headers) {
            Shown::Right(owner) => Ok(owner),
            _ if !peer.needs_token => self.by_user(peer, headers),
            Shown::Wrong => Err(wrong_token()),
            Shown::Nothing => Err(not_without("the host asks for its token")),
        }
    }

    /// Who asks, where that one may use REST v1.0, which knows no tokens.
    ///
    /// # Errors
    /// It may not.
    pub(crate) fn check_v1(&self, peer: &Peer, headers: &HeaderMap) -> Result<Owner> {
        match self.shown(headers) {
            Shown::Right(owner) => Ok(owner),
            _ if !peer.needs_token && peer.is_loopback() => self.by_user(peer, headers),
            _ if self.rest_v1 => {
                self.not_by_a_web_page(peer, headers)?;
                Ok(Owner::Anyone)
            }
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

    /// Who asks without a token.
    fn by_user(&self, peer: &Peer, headers: &HeaderMap) -> Result<Owner> {
        let user = self.check_user(peer.program)?;
        self.not_by_a_web_page(peer, headers)?;
        Ok(user)
    }

    /// Whether more than one may be told apart by what they show or who they are.
    pub(crate) fn has_several_owners(&self) -> bool {
        !self.tokens.is_empty()
            || matches!(&self.users, LocalUsers::Only(users) if !users.is_empty())
    }

    /// Whether an owner decides about the tokens of others.
    pub(crate) fn may_manage(&self, owner: &Owner) -> Result<()> {
        let own = users::own_user();
        match owner {
            Owner::Host => Ok(()),
            Owner::User(user) if *user == 0 || *user == own => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Security,
                "that is for who has the host's own token alone",
            )
            .operation("manage the tokens of this host")
            .hint("show that one, which 'apyfal serve' printed, or ask who has it")),
        }
    }

    /// Looks at the token that a client shows.
    fn shown(&self, headers: &HeaderMap) -> Shown {
        let Some(given) = headers.get(header::AUTHORIZATION) else { return Shown::Nothing };
        let Some((scheme, given)) = given.as_bytes().split_at_checked(7) else {
            return Shown::Nothing;
        };
        if !scheme.eq_ignore_ascii_case(b"Bearer ") {
            return Shown::Nothing;
        }
        let given = TokenHash::of_bytes(given);
        if self.token.as_ref().is_some_and(|token| token.is(&given)) {
            return Shown::Right(Owner::Host);
        }
        self.tokens.find(&given).map_or(Shown::Wrong, |name| Shown::Right(Owner::Token(name)))
    }
}

fn wrong_token() -> Error {
    not_without("the token is none of this host")
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
    use crate::journal::TokenRecord;

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
        let program = apyfal_net::Owner::User(0);
        Peer { local, needs_token, is_encrypted: false, program, host }
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
        use apyfal_net::Owner as Program;
        let of = |program| Peer { program, ..here("localhost") };
        let access = |users| Access { users, ..access(true, &[]) };
        let only = access(LocalUsers::Only(vec![33]));
        for user in [own, 0, 33] {
            let program = of(Program::User(user));
            assert_eq!(only.check(&program, &headers(&[])).unwrap(), Owner::User(user));
            assert_eq!(only.check_v1(&program, &headers(&[])).unwrap(), Owner::User(user));
        }
        for owner in [
            Program::User(34),
            Program::User(65_534),
            Program::Nobody,
            Program::Unknown,
            Program::NotAsked,
        ] {
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
            let shown = only.check(&of(owner), &headers(&[RIGHT])).unwrap();
            assert_eq!(shown, Owner::Host, "the token decides");
            let all = access(LocalUsers::All).check(&of(owner), &headers(&[])).unwrap();
            assert_eq!(all, Owner::Anyone, "{owner:?}");
        }
    }

    #[test]
    fn tokens_with_names_say_who_asks_until_they_are_revoked() {
        let access = access(false, &[]);
        let there = peer("10.0.0.1:1", "10.0.0.1:1");
        let check = || access.check(&there, &headers(&[("authorization", "Bearer of-anna")]));
        let token = |text: &str| TokenRecord {
            name: "anna".to_owned(),
            hash: TokenHash::of(&Secret::new(text)),
            created: 0.0,
        };
        assert!(check().is_err());
        access.tokens.add(&token("of-anna"));
        assert_eq!(check().unwrap(), Owner::Token("anna".into()));
        assert_eq!(access.check(&there, &headers(&[RIGHT])).unwrap(), Owner::Host);
        assert!(access.may_manage(&check().unwrap()).is_err());
        assert!(access.may_manage(&Owner::Anyone).is_err());
        assert!(
            access.may_manage(&Owner::Host).is_ok() && access.may_manage(&Owner::User(0)).is_ok()
        );
        access.tokens.add(&token("another-of-anna"));
        assert!(check().is_err(), "a name has one token");
        access.tokens.add(&token("of-anna"));
        access.tokens.remove("anna");
        assert_eq!(check().unwrap_err().kind(), ErrorKind::Authentication);
    }
}
