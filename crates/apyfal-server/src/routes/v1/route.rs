//! What a path leads to, and how URLs are made for the one who used it.

use apyfal_api::v1;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::http::uri::Authority;

use crate::access::Peer;

/// The route by which a client came, through proxies too: its URLs lead back along it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// `http://address`, and `/<accelerator>` where the client named one.
    base: String,
    /// The accelerator's name as the client wrote it.
    pub(super) accelerator: Option<String>,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Configurations,
    Configuration(u64),
    Processes,
    Process(u64),
    Result(u64),
    Stop,
    Schema,
}

impl Route {
    pub(super) fn of(parts: &Parts, peer: &Peer) -> Self {
        let accelerator = split(parts.uri.path()).and_then(|(accelerator, _)| accelerator);
        let host = peer.host.as_ref().map_or("localhost", Authority::as_str);
        let scheme = match text(&parts.headers, "x-forwarded-proto") {
            // A server before this one took the encryption off.
            Some("https") => "https",
            _ if peer.is_encrypted => "https",
            _ => "http",
        };
        let mut base = format!("{scheme}://{host}");
        if let Some(accelerator) = accelerator {
            base = format!("{base}/{accelerator}");
        }
        Self { base, accelerator: accelerator.map(str::to_owned) }
    }

    pub(super) fn configurations(&self) -> String {
        format!("{}{}/configuration/", self.base, v1::ROOT)
    }

    pub(super) fn configuration(&self, id: u64) -> String {
        format!("{}{}/configuration/{id}", self.base, v1::ROOT)
    }

    pub(super) fn processes(&self) -> String {
        format!("{}{}/process/", self.base, v1::ROOT)
    }

    pub(super) fn process(&self, id: u64) -> String {
        format!("{}{}/process/{id}", self.base, v1::ROOT)
    }

    pub(super) fn result(&self, id: u64) -> String {
        format!("{}{}/process/{id}/datafileresult", self.base, v1::ROOT)
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Splits a path into the accelerator before it and what comes after `/v1.0/`.
pub(super) fn split(path: &str) -> Option<(Option<&str>, &str)> {
    let path = path.strip_prefix('/')?;
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    if first == &v1::ROOT[1..] {
        return Some((None, rest));
    }
    let (second, rest) = rest.split_once('/').unwrap_or((rest, ""));
    (second == &v1::ROOT[1..] && !first.is_empty()).then_some((Some(first), rest))
}

impl Resource {
    /// What a path leads to, with or without its last slash.
    pub(super) fn of(path: &str) -> Option<Self> {
        let (_, rest) = split(path)?;
        let mut words = rest.strip_suffix('/').unwrap_or(rest).split('/');
        let place = match (words.next()?, words.next(), words.next()) {
            ("configuration", None, _) => Self::Configurations,
            ("configuration", Some(id), None) => Self::Configuration(number(id)?),
            ("process", None, _) => Self::Processes,
            ("process", Some(id), None) => Self::Process(number(id)?),
            ("process", Some(id), Some("datafileresult")) => Self::Result(number(id)?),
            ("stop", None, _) => Self::Stop,
            ("schema", None, _) => Self::Schema,
            _ => return None,
        };
        words.next().is_none().then_some(place)
    }

    /// The number of the configuration that a URL names, by whatever way it was reached.
    pub(super) fn configuration_of(url: &str) -> Option<u64> {
        let url = url.trim();
        let path = match url.split_once("://") {
            Some((_, rest)) => &rest[rest.find('/')?..],
            None => url,
        };
        match Self::of(path)? {
            Self::Configuration(id) => Some(id),
            _ => None,
        }
    }

    /// The methods that it takes.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Configurations | Self::Processes => "GET, HEAD, POST",
            Self::Process(_) => "GET, HEAD, DELETE",
            _ => "GET, HEAD",
        }
    }
}

/// Ids are digits alone, as they were given out.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn paths_lead_to_places() {
        for (path, place) in [
            ("/v1.0/configuration/", Some(Resource::Configurations)),
            ("/gzip/v1.0/configuration", Some(Resource::Configurations)),
            ("/v1.0/configuration/7", Some(Resource::Configuration(7))),
            ("/a.b/v1.0/process/12/", Some(Resource::Process(12))),
            ("/v1.0/process/12/datafileresult", Some(Resource::Result(12))),
            ("/v1.0/stop/", Some(Resource::Stop)),
            ("/v1.0/schema", Some(Resource::Schema)),
            ("/v1.0/", None),
            ("/v1.0", None),
            ("/v1.0/process/+1", None),
            ("/v1.0/process/-1", None),
            ("/v1.0/process/99999999999999999999", None),
            ("/v1.0/process/1/x", None),
            ("/v1.0/process/1/datafileresult/x", None),
            ("/v1.0/stop/1", None),
            ("//v1.0/stop", None),
            ("/a/b/v1.0/stop", None),
        ] {
            assert_eq!(Resource::of(path), place, "{path}");
        }
    }

    #[test]
    fn a_configuration_is_named_by_any_url_of_it() {
        for url in [
            "http://h/v1.0/configuration/7",
            "https://h:1/gzip/v1.0/configuration/7/",
            "/v1.0/configuration/7",
            " http://[::1]:80/v1.0/configuration/7\n",
        ] {
            assert_eq!(Resource::configuration_of(url), Some(7), "{url}");
        }
        for url in ["", "7", "http://h", "http://h/v1.0/process/7", "/v1.0/configuration/"] {
            assert_eq!(Resource::configuration_of(url), None, "{url}");
        }
    }

    #[test]
    fn urls_lead_back_the_same_way() {
        let route = |path: &str, host: Option<&str>, proto: Option<&str>, is_encrypted| {
            let mut request = Request::builder().uri(path);
            if let Some(proto) = proto {
                request = request.header("x-forwarded-proto", proto);
            }
            let host = host.map(|host| host.parse().unwrap());
            let local = ([127, 0, 0, 1], 8080).into();
            let peer = Peer {
                local,
                needs_token: false,
                is_encrypted,
                program: apyfal_net::Owner::NotAsked,
                host,
            };
            Route::of(&request.body(()).unwrap().into_parts().0, &peer).process(3)
        };
        let host = Some("h:8080");
        assert_eq!(route("/v1.0/stop/", host, None, false), "http://h:8080/v1.0/process/3");
        assert_eq!(
            route("/gzip/v1.0/stop/", host, None, true),
            "https://h:8080/gzip/v1.0/process/3"
        );
        assert_eq!(route("/v1.0/stop/", None, None, false), "http://localhost/v1.0/process/3");
        let proxied = route("/v1.0/stop/", host, Some("https"), false);
        assert_eq!(proxied, "https://h:8080/v1.0/process/3");
    }
}
