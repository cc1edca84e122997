//! Asking a catalog server: ours, or one of the original's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result, Secret, root_cause};
use apyfal_tls::{Trust, client_config};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::Value;

use crate::{Artifact, Catalog};

/// The route of the token, with HTTP Basic credentials.
pub(crate) const TOKEN: &str = "/o/token/";
/// The route of the catalog in the original's form.
pub(crate) const ORIGINAL: &str = "/auth/getlastcspconfiguration/";
/// The route of the catalog in ours.
pub(crate) const CATALOG: &str = "/v2/catalog";
/// What the original's clients accept.
const ORIGINAL_ACCEPT: &str = "application/vnd.accelize.v1+json";

/// How long a server may take for each answer, and how much it may say.
const PATIENCE: Duration = Duration::from_secs(10);
const LIMIT: usize = 64 << 20;

/// A catalog server and who asks.
#[derive(Clone)]
pub struct Server {
    url: Url,
    client_id: String,
    secret: Secret,
    client: Client,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

impl Server {
    /// A server at `url`. Credentials are sent over TLS, or to this machine, or where `plain` says
    /// that anybody on the way may read them.
    ///
    /// # Errors
    /// The URL is no web address, or would have the secret sent for all to read.
    pub fn new(
        url: &str,
        client_id: &str,
        secret: Secret,
        trust: &Trust,
        plain: bool,
    ) -> Result<Self> {
        // What stands before an '@' may be a secret.
        let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
        let wrong = |kind, why: &str| {
            Error::new(kind, why).operation(format!("use the catalog server '{shown}'"))
        };
        let url_of =
            Url::parse(url).map_err(|_| wrong(ErrorKind::Configuration, "it is no URL"))?;
        if !matches!(url_of.scheme(), "http" | "https") {
            return Err(wrong(ErrorKind::Configuration, "it is no web address"));
        }
        if !url_of.username().is_empty() || url_of.password().is_some() {
            return Err(wrong(ErrorKind::Configuration, "credentials do not stand in its address")
                .hint("set client_id and secret_id in section [accelize]"));
        }
        if url_of.scheme() == "http" && !plain && !is_here(&url_of) {
            return Err(wrong(ErrorKind::Security, "the secret would be sent unencrypted").hint(
                "use https, or set unsecure = True in section [accelize] if nobody else listens",
            ));
        }
        // Plain HTTP is there where a system knows no authorities.
        let tls = match url_of.scheme() {
            "https" => (*client_config(trust, &[b"http/1.1"])?).clone(),
            _ => nobody().map_err(|error| wrong(ErrorKind::Internal, &error.to_string()))?,
        };
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("apyfal/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            // Elsewhere nobody is to get the secret.
            .redirect(Policy::none())
            .build()
            .map_err(|error| wrong(ErrorKind::Internal, &error.to_string()))?;
        Ok(Self { url: url_of, client_id: client_id.to_owned(), secret, client })
    }

    /// Asks for the whole catalog.
    ///
    /// # Errors
    /// [`ErrorKind::Authentication`]: the credentials are refused. [`ErrorKind::Unavailable`]: the
    /// server cannot be reached, or is in trouble; the same call may work later.
    pub async fn fetch(&self) -> Result<Catalog> {
        self.ask()
            .await
            .map_err(|error| error.operation(format!("get the catalog from '{}'", self.url)))
    }

    /// Asks for a token, with which the server knows the account for a while.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub async fn token(&self) -> Result<Secret> {
        let asked = self.ask_token().await;
        asked.map_err(|error| error.operation(format!("get a token from '{}'", self.url)))
    }

    async fn ask_token(&self) -> Result<Secret> {
        let request = self
            .client
            .post(self.route(TOKEN))
            .basic_auth(&self.client_id, Some(self.secret.expose()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials");
        let answer = sent(request).await?;
        if answer.status() != StatusCode::OK {
            let error = |kind| Error::new(kind, format!("the server answered {}", answer.status()));
            return Err(match answer.status() {
                StatusCode::TOO_MANY_REQUESTS => error(ErrorKind::Busy).retryable(),
                StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    error(ErrorKind::Authentication)
                        .hint("check client_id and secret_id in section [accelize]")
                }
                status if status.is_server_error() => error(ErrorKind::Unavailable).retryable(),
                _ => error(ErrorKind::Configuration)
                    .hint("is it a catalog server? check 'server' in section [accelize]"),
            });
        }
        let token: Token = read(answer).await?;
        Ok(Secret::new(token.access_token))
    }

    async fn ask(&self) -> Result<Catalog> {
        let token = self.ask_token().await?;
        let ask = async |route, accept| {
            let request = self.client.get(self.route(route)).bearer_auth(token.expose());
            sent(request.header(ACCEPT, accept)).await
        };
        let answer = ask(CATALOG, "application/json").await?;
        if answer.status() == StatusCode::OK {
            let mut catalog: Catalog = read(answer).await?;
            self.resolve(&mut catalog);
            return Ok(catalog);
        }
        // A server of the original's kind knows its own route only.
        let answer = ask(ORIGINAL, ORIGINAL_ACCEPT).await?;
        if answer.status() != StatusCode::OK {
            let why = format!("the server answered {}", answer.status());
            return Err(Error::new(ErrorKind::Unavailable, why).retryable());
        }
        Ok(Catalog::from_original(&read::<Value>(answer).await?))
    }

    fn route(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url
    }

    /// Files beside the catalog are at the server.
    fn resolve(&self, catalog: &mut Catalog) {
        for Artifact { url, .. } in catalog.artifacts_mut() {
            if !url.contains("://") {
                *url = self.route(&format!("/{}", url.trim_start_matches('/'))).into();
            }
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url.as_str())
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// TLS that trusts nobody.
fn nobody() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn sent(request: reqwest::RequestBuilder) -> Result<Response> {
    request.send().await.map_err(|error| {
        // Somebody else in its place is worse than that it is down.
        if let Some(mismatch) = apyfal_tls::mismatch_from(&error) {
            return mismatch
                .without_operation()
                .without_hints()
                .hint("name what is trusted in section [accelize]: fingerprint, or ssl_cert_crt")
                .hint("if it was so, somebody may be in between: look at the server itself first");
        }
        let error = error.without_url();
        Error::new(ErrorKind::Unavailable, root_cause(&error)).retryable().source(error)
    })
}

async fn read<T: for<'de> Deserialize<'de>>(mut answer: Response) -> Result<T> {
    let mut body = Vec::new();
    let broken = |why: String| Error::new(ErrorKind::Unavailable, why).retryable();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LIMIT => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(broken("the server's answer does not end".to_owned())),
            Ok(None) => break,
            Err(_) => return Err(broken("the server broke off its answer".to_owned())),
        }
    }
    serde_json::from_slice(&body).map_err(|error| {
        broken("the server's answer is not what it should be".to_owned()).source(error)
    })
}
