//! The proxies that the environment names, read as curl and Python's requests read them.
//!
//! * `http_proxy`, `https_proxy` and `all_proxy`, in small letters or, where those are not set, in
//!   capitals. A proxy without a scheme is one of `http://`.
//! * `no_proxy` has names, which stand for what is below them too, addresses and networks, each with
//!   or without a port, between commas or spaces; `*` is everything.

use std::fmt;
use std::net::IpAddr;

use apyfal_core::{Environment, Error, ErrorKind, Result};
use ipnet::IpNet;
use url::Url;

/// The proxies that requests go through.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<Exception>,
}

/// A proxy, or why the variable that names it names none.
#[derive(Clone)]
struct Proxy {
    variable: String,
    url: Result<Url, &'static str>,
}

#[derive(Clone, Debug, PartialEq)]
struct Exception {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq)]
enum Host {
    Every,
    Network(IpNet),
    /// A name and what is below it.
    Domain(String),
}

impl Proxies {
    /// Those of the environment.
    pub fn of(environment: &Environment) -> Self {
        // A web server hands the header `Proxy` of a stranger on under this name.
        let is_cgi = environment.variable("REQUEST_METHOD").is_some();
        let named = |name: &str| {
            let capitals = name.to_ascii_uppercase();
            let names = [name.to_owned(), capitals];
            let set = names.into_iter().find_map(|name| {
                let text = environment.set(&name)?.trim().to_owned();
                (!(is_cgi && name == "HTTP_PROXY")).then_some((name, text))
            });
            set.filter(|(_, text)| !text.is_empty())
        };
        let proxy =
            |name| named(name).map(|(variable, text)| Proxy { variable, url: parse(&text) });
        let exceptions = named("no_proxy").map(|(_, text)| text).unwrap_or_default();
        Self {
            http: proxy("http_proxy").or_else(|| proxy("all_proxy")),
            https: proxy("https_proxy").or_else(|| proxy("all_proxy")),
            exceptions: exceptions.split([',', ' ', '\t']).filter_map(Exception::parse).collect(),
        }
    }

    /// Looks whether what is named are proxies, whatever may be reached by them.
    ///
    /// # Errors
    /// One is none.
    pub fn check(&self) -> Result<()> {
        [&self.http, &self.https].into_iter().flatten().try_for_each(|proxy| proxy.url().map(drop))
    }

    /// The proxy by which a URL is reached, where there is one.
    ///
    /// # Errors
    /// What is named is no proxy.
    pub fn of_url(&self, url: &Url) -> Result<Option<&Url>> {
        let proxy = match url.scheme() {
            "http" => self.http.as_ref(),
            "https" => self.https.as_ref(),
            _ => None,
        };
        let is_excepted = |_: &&Proxy| self.exceptions.iter().any(|exception| exception.is(url));
        proxy.filter(|proxy| !is_excepted(proxy)).map(Proxy::url).transpose()
    }

    /// The proxy of a URL as it may be shown.
    pub fn shown(&self, url: &Url) -> Option<String> {
        let proxy = self.of_url(url).ok()??;
        let port = proxy.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}://{}{port}", proxy.scheme(), proxy.host_str()?))
    }
}

impl Proxy {
    fn url(&self) -> Result<&Url> {
        self.url.as_ref().map_err(|why| {
            Error::new(ErrorKind::Configuration, *why)
                .operation(format!("use the proxy of {}", self.variable))
                .hint("name one such as http://proxy.example:3128")
        })
    }
}

fn parse(text: &str) -> Result<Url, &'static str> {
    let text = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let url = Url::parse(&text).map_err(|_| "it is no URL")?;
    match url.scheme() {
        "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h" => Ok(url),
        _ => Err("its scheme is none of proxies"),
    }
}

impl Exception {
    fn parse(text: &str) -> Option<Self> {
        let whole = |host| Some(Self { host, port: None });
        if let Ok(host) = text.parse() {
            return whole(Host::Network(host));
        }
        let bare =
            |text: &str| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if let Ok(address) = bare(text) {
            return whole(Host::Network(address.into()));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let host = match bare(host) {
            _ if host == "*" => Host::Every,
            Ok(address) => Host::Network(address.into()),
            Err(_) => Host::Domain(host.trim_matches('.').to_ascii_lowercase()),
        };
        Some(Self { host, port }).filter(|exception| exception.host != Host::Domain(String::new()))
    }

    fn is(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_host = match (&self.host, address) {
            (Host::Every, _) => true,
            (Host::Network(network), Ok(address)) => network.contains(&address),
            (Host::Domain(domain), Err(_)) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let above = host.strip_suffix(domain.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            _ => false,
        };
        is_host && self.port.is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

impl fmt::Debug for Proxies {
    /// Without the proxies, whose URLs may have passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("exceptions", &self.exceptions).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Proxies::of(&Environment { variables: variables.collect(), home: None })
    }

    fn shown(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.shown(&Url::parse(url).unwrap())
    }

    #[test]
    fn small_letters_go_first_and_a_scheme_is_not_needed() {
        let found = |variables: &[(&str, &str)]| {
            let proxies = proxies(variables);
            ["http://a/", "https://a/"].map(|url| shown(&proxies, url))
        };
        let at = |port: u16| Some(format!("http://p:{port}"));
        for (variables, expected) in [
            (&[("http_proxy", "http://p:1")][..], [at(1), None]),
            (&[("http_proxy", "p:1"), ("HTTPS_PROXY", "http://p:2/")], [at(1), at(2)]),
            (&[("HTTP_PROXY", "p:1"), ("http_proxy", "p:2")], [at(2), None]),
            (&[("HTTP_PROXY", "p:1"), ("http_proxy", "")], [None, None]),
            (&[("HTTP_PROXY", "p:1"), ("REQUEST_METHOD", "GET")], [None, None]),
            (&[("all_proxy", "p:1"), ("https_proxy", "p:2")], [at(1), at(2)]),
            (&[("ALL_PROXY", "HTTP://me:hunter2@p:1")], [at(1), at(1)]),
        ] {
            assert_eq!(found(variables), expected, "{variables:?}");
        }
        let url = Url::parse("http://a/").unwrap();
        let odd = proxies(&[("http_proxy", "ftp://me:hunter2@p:1")]);
        let error = odd.of_url(&url).unwrap_err();
        assert!(error.to_string().contains("http_proxy"), "{error}");
        assert!(odd.check().is_err() && proxies(&[("https_proxy", "p:1")]).check().is_ok());
        assert!(!format!("{error} {odd:?}").contains("hunter2"), "{error}");
    }

    #[test]
    fn no_proxy_is_for_names_addresses_networks_and_all() {
        for (no_proxy, direct, proxied) in [
            (
                "*",
                &["http://a/", "http://127.0.0.1/", "http://[::1]:8080/", "https://b.c/"][..],
                &[][..],
            ),
            ("a.example, *", &["http://127.0.0.1/"], &[]),
            ("127.0.0.1", &["http://127.0.0.1/", "http://127.0.0.1:8080/"], &["http://127.0.0.2/"]),
            (
                "10.0.0.0/8 192.168.7.0/24",
                &["http://10.1.2.3/", "http://192.168.7.9/"],
                &["http://11.0.0.1/", "http://192.168.8.1/"],
            ),
            ("::1,[fe80::1]", &["http://[::1]/", "http://[fe80::1]:1/"], &["http://[::2]/"]),
            ("fd00::/8", &["http://[fd12::1]/"], &["http://[fe80::1]/"]),
            (
                "Example.ORG",
                &["http://example.org/", "http://a.EXAMPLE.org/", "http://example.org./"],
                &["http://notexample.org/", "http://example.org.uk/"],
            ),
            (".example.org.", &["http://example.org/", "http://a.example.org/"], &["http://b/"]),
            (
                "localhost:8080,127.0.0.1:80",
                &["http://localhost:8080/", "http://127.0.0.1/"],
                &["http://localhost/", "http://127.0.0.1:81/", "https://127.0.0.1/"],
            ),
            (", ,", &[], &["http://a/"]),
            ("", &[], &["http://a/"]),
        ] {
            let proxies = proxies(&[("all_proxy", "p:1"), ("no_proxy", no_proxy)]);
            for url in direct {
                assert_eq!(shown(&proxies, url), None, "{no_proxy}: {url}");
            }
            for url in proxied {
                assert!(shown(&proxies, url).is_some(), "{no_proxy}: {url}");
            }
        }
    }
}
