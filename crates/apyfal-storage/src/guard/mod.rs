//! Keeps a host from reaching, for others, what only the host should reach.
//!
//! A URL in a request of a remote caller may name any server, and the host is in a place from which
//! more can be reached than from the caller's: services of the machine itself, of its network, and
//! the addresses at which clouds hand out credentials. So addresses are checked where they are
//! used, at the moment of connecting:
//!
//! * names are resolved by a resolver that leaves out what is forbidden, and the connection is made
//!   to what it leaves; an answer that changes later (DNS rebinding) is checked again;
//! * what the machine itself is called, and what it reaches without a router, is asked of the system
//!   each time, since global addresses may be inside as well;
//! * addresses that stand in a URL, in any of their spellings, never come to a resolver. They are
//!   checked before each request and for each redirect;
//! * proxies of the environment are not used. They would resolve names themselves, and reach what
//!   they can reach.

mod address;
mod metadata;
mod networks;
mod own;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use apyfal_core::{Error, ErrorKind, Result, causes};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Action, Attempt, Policy};

pub use networks::AllowedNetworks;
use own::OwnNetworks;

/// How many redirects are followed.
const REDIRECTS: usize = 10;

/// Decides which addresses are reached.
#[derive(Clone)]
pub(crate) struct Guard {
    allowed: Arc<AllowedNetworks>,
    own: fn() -> io::Result<OwnNetworks>,
    resolver: Arc<dyn Resolve>,
}

impl Guard {
    /// A guard that resolves names as the system does.
    pub(crate) fn new(allowed: AllowedNetworks) -> Self {
        Self::with_resolver(allowed, Arc::new(System))
    }

    pub(crate) fn with_resolver(allowed: AllowedNetworks, resolver: Arc<dyn Resolve>) -> Self {
        Self { allowed: Arc::new(allowed), own: OwnNetworks::now, resolver }
    }

    /// Refuses a URL whose server is given by a forbidden address. One that is given by a name is
    /// checked when it is resolved.
    pub(crate) fn check(&self, url: &Url) -> Result<()> {
        // The URL's parser knows all the spellings: hexadecimal, octal, one number, two, a dot
        // behind.
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let Ok(address) = literal else { return Ok(()) };
        match self.allowed.forbids(address, &self.own_networks()?) {
            Some(class) => Err(forbidden(host, class)),
            None => Ok(()),
        }
    }

    /// Without them it is not known what is public.
    fn own_networks(&self) -> Result<OwnNetworks> {
        (self.own)().map_err(|error| Error::from(error).operation("tell this host's networks"))
    }

    /// The redirects that are followed: not to what is forbidden, and not out of an encrypted
    /// connection.
    pub(crate) fn redirects(&self) -> Policy {
        let guard = self.clone();
        Policy::custom(move |attempt| {
            let from = attempt.previous().last().map(Url::scheme);
            let checked = match (from, attempt.url().scheme()) {
                (Some("https"), "http") => Err(Error::new(
                    ErrorKind::Security,
                    "the server redirects from https:// to http://, where anybody could answer",
                )
                .hint("name the other address yourself, if you trust it")),
                _ => guard.check(attempt.url()),
            };
            follow(attempt, checked)
        })
    }

    async fn addresses(
        self,
        name: Name,
    ) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
        let host = name.as_str().to_owned();
        let own = self.own_networks()?;
        let mut found = None;
        let addresses: Vec<SocketAddr> = self
            .resolver
            .resolve(name)
            .await?
            .filter(|address| match self.allowed.forbids(address.ip(), &own) {
                Some(class) => {
                    found = Some(class);
                    false
                }
                None => true,
            })
            .collect();
        match found {
            // The address itself would tell more of the host's network than the caller knew.
            Some(class) if addresses.is_empty() => Err(forbidden(&host, class).into()),
            _ => Ok(Box::new(addresses.into_iter())),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(self.clone().addresses(name))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

/// The redirects of object stores on a host that serves others. Its administrator chose the server,
/// so that may be anywhere. What is stored there, by whomever, must not choose another.
pub(crate) fn same_server() -> Policy {
    let server = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
    Policy::custom(move |attempt| {
        let is_same = attempt.previous().first().map(server) == Some(server(attempt.url()));
        let checked = match is_same {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Security, "the store redirects to another server")
                .hint(
                    "set region or endpoint in its [storage] section of the host's configuration",
                )),
        };
        follow(attempt, checked)
    })
}

fn follow(attempt: Attempt<'_>, checked: Result<()>) -> Action {
    match checked {
        Err(error) => attempt.error(error),
        Ok(()) => Policy::limited(REDIRECTS).redirect(attempt),
    }
}

/// The refusal of a guard in what a client of HTTP failed with.
pub(crate) fn refusal_in(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<Error>())
        .find(|ours| ours.kind() == ErrorKind::Security)
        .map(Error::duplicate)
}

fn forbidden(host: &str, class: address::Class) -> Error {
    let by = match class {
        address::Class::Metadata => "the word metadata in allowed_networks",
        _ => "allowed_networks",
    };
    Error::new(
        ErrorKind::Security,
        format!("'{host}' is {class} address, which this host does not reach for others"),
    )
    .hint(format!(
        "the host's administrator can allow it by {by} in section [security] of the configuration"
    ))
}

/// Names as the system resolves them.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<_> = found.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
