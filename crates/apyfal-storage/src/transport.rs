//! One HTTP client for everything, with limits on how long a server may be silent.

use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Environment, Error, ErrorKind, Result};
use apyfal_net::Proxies;
use apyfal_tls::{Trust, client_config};
use opendal::{Buffer, HttpBody, HttpTransport, OperationContext};
use opendal_http_transport_reqwest::ReqwestTransport;
use reqwest::{Client, ClientBuilder, Proxy, RequestBuilder, Url};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::guard::{Guard, same_server};

const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may be silent while we read.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a server may take to answer a request that changes something. It includes the time to
/// send a part, which must not end transfers over a slow line.
const CHANGE: Duration = Duration::from_secs(600);

/// The clients for requests that read and for those that write.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    reads: Client,
    writes: Client,
    guard: Option<Guard>,
    proxies: Proxies,
    silence: Duration,
    patience: Option<Duration>,
}

impl Transport {
    /// Clients that reach all that there is, by the proxies of the environment where it names any.
    pub(crate) fn new(environment: &Environment) -> Result<Self> {
        let tls = tls().map_err(setup)?;
        Self::build(|client| client, tls, None, Proxies::of(environment), SILENCE)
    }

    /// Clients for a server that is known in this way.
    pub(crate) fn trusting(trust: &Trust, environment: &Environment) -> Result<Self> {
        let tls = client_config(trust, &[b"http/1.1"])?;
        Self::build(|client| client, (*tls).clone(), None, Proxies::of(environment), SILENCE)
    }

    /// The same, with another limit on how long a server may be silent while we read.
    #[cfg(test)]
    pub(crate) fn impatient(silence: Duration) -> Result<Self> {
        let tls = tls().map_err(setup)?;
        Self::build(|client| client, tls, None, Proxies::default(), silence)
    }

    /// Clients for the object stores of a host that serves others.
    pub(crate) fn for_stores(environment: &Environment) -> Result<Self> {
        let reach = |client: ClientBuilder| client.redirect(same_server());
        Self::build(reach, tls().map_err(setup)?, None, Proxies::of(environment), SILENCE)
    }

    /// Clients that reach what a guard lets them, without any proxy.
    pub(crate) fn guarded(guard: Guard) -> Result<Self> {
        let names = Arc::new(guard.clone());
        let reach =
            |client: ClientBuilder| client.dns_resolver(names.clone()).redirect(names.redirects());
        Self::build(reach, tls().map_err(setup)?, Some(guard), Proxies::default(), SILENCE)
    }

    fn build(
        reach: impl Fn(ClientBuilder) -> ClientBuilder,
        tls: ClientConfig,
        guard: Option<Guard>,
        proxies: Proxies,
        silence: Duration,
    ) -> Result<Self> {
        let client = |silence| {
            let proxies = proxies.clone();
            let proxy = Proxy::custom(move |url| proxies.of_url(url).ok().flatten().cloned());
            reach(Client::builder())
                .no_proxy()
                .proxy(proxy)
                .tls_backend_preconfigured(tls.clone())
                .user_agent(concat!("apyfal/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .read_timeout(silence)
                // It counts a server that does not read yet as one that is gone.
                .tcp_user_timeout(silence)
                // What is stored is what is read, whatever features other crates turn on.
                .no_gzip()
                .no_brotli()
                .no_deflate()
                .no_zstd()
                .build()
                .map_err(setup)
        };
        let (reads, writes, patience) = (client(silence)?, client(CHANGE)?, None);
        Ok(Self { reads, writes, guard, proxies, silence, patience })
    }

    /// The same clients, which a server may keep waiting for no more than so long at a time for
    /// [the least that counts](apyfal_core::Patience).
    pub(crate) fn within(self, patience: Option<Duration>) -> Self {
        Self { patience, ..self }
    }

    /// How long a server may take to send something, where that is not as long as it is not
    /// [silent](Self::silence).
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// How long a server may be silent while we read.
    pub(crate) fn silence(&self) -> Duration {
        self.silence
    }

    /// The same clients for OpenDAL.
    pub(crate) fn context(&self) -> OperationContext {
        OperationContext::new().with_http_transport(opendal::HttpTransporter::new(ByMethod {
            reads: self.reads.clone().into(),
            writes: self.writes.clone().into(),
        }))
    }

    /// A request that sends something.
    pub(crate) fn post(&self, url: &str) -> RequestBuilder {
        self.reads.post(url)
    }

    /// A request that reads.
    ///
    /// # Errors
    /// The server's address is forbidden, or its proxy is none.
    pub(crate) fn get(&self, url: Url) -> Result<RequestBuilder> {
        if let Some(guard) = &self.guard {
            guard.check(&url)?;
        }
        self.check_proxy(&url)?;
        Ok(self.reads.get(url))
    }

    /// The server of a URL, and by which proxy it is reached, as they may be shown.
    ///
    /// # Errors
    /// It is no URL, or its proxy is none.
    pub(crate) fn route(&self, url: &str) -> Result<Vec<(&'static str, String)>> {
        let url = Url::parse(url).map_err(|error| {
            Error::new(ErrorKind::StorageConfiguration, format!("'{url}': {error}"))
        })?;
        self.check_proxy(&url)?;
        let proxy = self.proxies.shown(&url).map(|proxy| ("proxy", proxy));
        Ok([("server", url.origin().ascii_serialization())].into_iter().chain(proxy).collect())
    }

    fn check_proxy(&self, url: &Url) -> Result<()> {
        let proxy = self.proxies.of_url(url);
        proxy.map(drop).map_err(|error| error.with_kind(ErrorKind::StorageConfiguration))
    }

    /// The client, for what asks servers by itself.
    pub(crate) fn client(&self) -> &Client {
        &self.reads
    }

    /// Adds to an error by which proxy a server was to be reached.
    pub(crate) fn explain(&self, error: Error, url: &Url) -> Error {
        match self.proxies.shown(url) {
            Some(proxy) => error.context("proxy", proxy),
            None => error,
        }
    }
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(match builder.clone().with_platform_verifier() {
        Ok(builder) => builder.with_no_client_auth(),
        // A system without root certificates can still use plain HTTP; HTTPS then trusts nobody.
        Err(_) => builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    })
}

fn setup(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Storage, error.to_string())
        .operation("set up the HTTP client")
        .source(error)
}

struct ByMethod {
    reads: ReqwestTransport,
    writes: ReqwestTransport,
}

impl HttpTransport for ByMethod {
    async fn fetch(
        &self,
        request: http::Request<Buffer>,
    ) -> opendal::Result<http::Response<HttpBody>> {
        if request.method().is_safe() {
            self.reads.fetch(request).await
        } else {
            self.writes.fetch(request).await
        }
    }
}
