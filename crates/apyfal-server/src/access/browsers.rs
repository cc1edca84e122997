//! What browsers send for pages from elsewhere. Pages can reach loopback too, and without a token
//! nothing else would tell them from the user's own programs.

use std::net::IpAddr;

use apyfal_core::{Error, ErrorKind, Result};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, header};

use super::{Access, Peer, Shown};

/// What a browser tells of a request. Pages cannot set these.
///
/// Source: Fetch Metadata Request Headers, W3C.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");

const DOING: &str = "use this host without its token";

impl Access {
    /// Refuses what a browser says is for a page of another site, or of another server of this
    /// machine. Such a page may lead to that of the host.
    pub(crate) fn check_site(&self, request: &Parts) -> Result<()> {
        let Some(site) = request.headers.get(SITE) else { return Ok(()) };
        let is = |name: HeaderName, value: &str| {
            request.headers.get(name).is_some_and(|given| given == value)
        };
        let is_link = || is(MODE, "navigate") && is(DESTINATION, "document");
        let is_page = || request.method == Method::GET && request.uri.path() == "/";
        if site == "same-origin" || site == "none" || is_page() && is_link() {
            return Ok(());
        }
        match self.shown(&request.headers) {
            Shown::Right(_) => Ok(()),
            _ => Err(foreign()),
        }
    }

    /// Refuses what older browsers send for a page from elsewhere, or under a name of its own.
    pub(super) fn not_by_a_web_page(&self, peer: &Peer, headers: &HeaderMap) -> Result<()> {
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            let host = peer.host.as_ref().map(Authority::as_str);
            if host.is_none() || origin.map(|(_, origin)| origin) != host {
                return Err(foreign());
            }
        }
        // A name that was made to mean loopback could have led a browser here.
        match &peer.host {
            Some(host) if peer.is_loopback() && !self.is_of_this_machine(host.host()) => {
                let name = host.host();
                Err(Error::new(ErrorKind::Security, format!("'{name}' is no name of this host"))
                    .operation(DOING)
                    .hint(format!(
                        "if it is one, as behind a proxy, set names = {name} in section [serve] \
                         of the host's configuration"
                    ))
                    .hint("or show the host's token, or call it by its address"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a name can mean nothing but this machine, or is one that this host was given.
    fn is_of_this_machine(&self, host: &str) -> bool {
        // As most say it.
        if is_address(host) {
            return true;
        }
        let name = plain(host);
        name == "localhost"
            || name.ends_with(".localhost")
            || is_address(&name)
            || self.names.contains(&name)
            || plain(&rustix::system::uname().nodename().to_string_lossy()) == name
    }
}

fn foreign() -> Error {
    Error::new(ErrorKind::Security, "a web page from elsewhere asks")
        .operation(DOING)
        .hint("send requests from a program, or give the host a token")
}

/// A name as it is compared.
pub(super) fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether it is an address: nobody else can say where that leads.
fn is_address(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // Behind the percent sign is the interface, as in fe80::1%eth0.
        Some(host) => host.split('%').next().is_some_and(|host| host.parse::<IpAddr>().is_ok()),
        None => host.parse::<IpAddr>().is_ok(),
    }
}
