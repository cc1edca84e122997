//! The catalog server: requirements, packages and the agent for those who have an account.
//!
//! It speaks the protocol of the original's server, so that the original's clients can use it, and
//! gives ours the whole catalog. A file is handed out to anyone who knows its digest, which only the
//! catalog tells: a machine that is being set up has no credentials.

mod accounts;
mod checks;
mod failures;
mod files;
mod routes;
mod tokens;
mod watched;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_net::{Accepting, Connection, Service, Source};
use apyfal_tls::Identity;
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tower::ServiceExt;

pub use accounts::{Account, Accounts};
pub use files::check_files;

use crate::Catalog;
use checks::Checks;
use failures::Failures;
use tokens::Tokens;
use watched::Watched;

/// How many clients are served at a time.
const CONNECTIONS: usize = 1024;
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many secrets are checked at a time, at most as many as there are cores.
const CHECKS: usize = 2;

/// What a catalog server is made of.
#[derive(Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// The catalog file. Files that it names without a scheme are beside it.
    pub catalog: PathBuf,
    /// The file of [`Accounts`].
    pub accounts: PathBuf,
    /// What proves that it is itself. None on loopback, or behind a proxy that encrypts.
    pub identity: Option<Identity>,
    /// Whether to listen off loopback without an identity.
    pub plain: bool,
    /// How long a token is good for.
    pub token_ttl: Duration,
}

/// A catalog server that listens.
#[derive(Debug)]
pub struct CatalogServer {
    shared: Arc<Shared>,
    listeners: Vec<TcpListener>,
    tls: Option<Arc<ServerConfig>>,
}

#[derive(Debug)]
struct Shared {
    catalog: Watched<Catalog>,
    accounts: Watched<Accounts>,
    files: PathBuf,
    tokens: Tokens,
    failures: Failures,
    checks: Checks,
}

impl CatalogServer {
    /// Reads catalog and accounts, and listens. `show` is given what happens later.
    ///
    /// # Errors
    /// A file is wrong or missing, an address is taken, or secrets would be sent unencrypted.
    pub async fn bind(
        settings: Settings,
        show: impl Fn(&str) + Clone + Send + Sync + 'static,
    ) -> Result<Self> {
        let Settings { listen, catalog, accounts, identity, plain, token_ttl } = settings;
        for address in &listen {
            if identity.is_none() && !plain && !address.ip().is_loopback() {
                return Err(Error::new(
                    ErrorKind::Security,
                    "off loopback secrets would be sent unencrypted",
                )
                .operation(format!("listen on {address}"))
                .hint("give --ssl_cert_crt and --ssl_cert_key")
                .hint("or --plain, where a proxy in front of it encrypts"));
            }
        }
        let files = catalog.parent().map(PathBuf::from).unwrap_or_default();
        let tls =
            identity.map(|identity| apyfal_tls::server_config(&identity, &[b"h2", b"http/1.1"]));
        let shared = Shared {
            catalog: Watched::open(catalog, show.clone(), Catalog::parse)?,
            accounts: Watched::open(accounts, show, Accounts::parse)?,
            files,
            tokens: Tokens::new(token_ttl),
            failures: Failures::default(),
            checks: Checks::start(
                std::thread::available_parallelism().map_or(1, |cores| cores.get().min(CHECKS)),
            )?,
        };
        let mut listeners = Vec::new();
        for address in listen {
            listeners.push(apyfal_net::bind(address).await?);
        }
        Ok(Self { shared: Arc::new(shared), listeners, tls: tls.transpose()? })
    }

    /// The addresses that it listens on.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>> {
        self.listeners.iter().map(|listener| Ok(listener.local_addr()?)).collect()
    }

    /// Serves until `shutdown` is ready.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let router = routes::router(self.shared);
        let mut accepting = Accepting::new(CONNECTIONS);
        for listener in self.listeners {
            accepting.add(listener, self.tls.clone(), Served { router: router.clone() });
        }
        shutdown.await;
        accepting.end().await;
    }
}

#[derive(Clone)]
struct Served {
    router: Router,
}

impl Service for Served {
    type Body = Body;

    async fn answer(self, connection: Connection, request: Request<Incoming>) -> Response {
        let (parts, body) = request.into_parts();
        if let Err(error) = apyfal_net::authority(&parts) {
            return routes::bad_request(&error);
        }
        let mut request = Request::from_parts(parts, Body::new(body));
        request.extensions_mut().insert(Source::of(connection.remote.ip()));
        match tokio::time::timeout(PATIENCE, self.router.oneshot(request)).await {
            Ok(answer) => {
                let answer = answer.unwrap_or_else(|never| match never {});
                // It has an account, or knows what only those with one are told.
                if answer.status().is_success() {
                    connection.welcome();
                }
                answer
            }
            Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
        }
    }
}
