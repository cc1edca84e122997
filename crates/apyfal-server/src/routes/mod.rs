//! What is served: one file per resource.

mod health;
mod metrics;
mod page;
mod query;
pub(crate) mod v1;
mod v2;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use apyfal_api::v2::{PROTOCOL, VERSION};
use apyfal_core::{Error, ErrorKind, Owner, Result, shorten};
use apyfal_net::{Connection, Service};
use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header,
};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use tower::ServiceExt;

use crate::access::Peer;
use crate::answer::{Refusal, Refused, Routed};
use crate::coding;
use crate::data::Data;
use crate::host::Host;
use crate::taken;

const METRICS: &str = "/metrics";

/// What is served at one address.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) routes: Routes,
    pub(crate) needs_token: bool,
}

impl Service for Listener {
    type Body = Body;

    async fn answer(self, connection: Connection, request: Request<Incoming>) -> Response {
        self.routes.serve(connection, self.needs_token, request).await
    }

    fn asks_for_owner(&self) -> bool {
        !self.needs_token && self.routes.host.access.asks_for_owner()
    }

    fn connected(&self) -> impl Send {
        Connected::new(self.routes.host.clone())
    }

    fn cannot_accept(&self, error: &std::io::Error) {
        self.routes.host.logs.host(&format!("cannot accept a connection: {error}"));
    }
}

/// A connection, counted for as long as it lives.
struct Connected(Arc<Host>);

impl Connected {
    fn new(host: Arc<Host>) -> Self {
        host.metrics.connections.fetch_add(1, Ordering::Relaxed);
        Self(host)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All that is served, and who may use it.
#[derive(Clone)]
pub(crate) struct Routes {
    host: Arc<Host>,
    router: Router,
}

impl Routes {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        let router = Router::new()
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/", get(page::page))
            .route("/status", get(page::status))
            .route(METRICS, get(metrics::read))
            .merge(v2::router())
            .merge(v1::router())
            .fallback(nothing_here)
            .method_not_allowed_fallback(other_method)
            .with_state(host.clone());
        Self { host, router }
    }

    /// Answers a request. What holds for all of them is done here and not in layers of the router,
    /// each of which would cost as much as a small job.
    async fn serve(
        self,
        connection: Connection,
        needs_token: bool,
        request: Request<Incoming>,
    ) -> Response {
        self.host.metrics.requests.fetch_add(1, Ordering::Relaxed);
        let (mut parts, body) = request.into_parts();
        one_slash(&mut parts.uri);
        let named = apyfal_net::authority(&parts).and_then(|host| {
            self.host.access.check_site(&parts)?;
            Ok(host)
        });
        let is_original = v1::is_at(parts.uri.path());
        let Connection { local, is_encrypted, owner: program, .. } = connection;
        let version = parts.version;
        let answer = match named {
            Ok(host) => {
                let peer = Peer { local, needs_token, is_encrypted, program, host };
                self.answer(&connection, peer, &mut parts, Body::new(body)).await
            }
            Err(error) => {
                Data::of_body(&parts.headers, Body::new(body)).drain();
                if is_original { Ok(v1::refuse(error)) } else { Err(error.into()) }
            }
        };
        let mut response = answer.unwrap_or_else(IntoResponse::into_response);
        if let Some(Refused(kind)) = response.extensions().get() {
            self.host.metrics.refusals.count(*kind);
        }
        // The original's clients know nothing of it, and reading a header takes them 12 us, four
        // times for each job.
        if !is_original {
            let version = const { HeaderName::from_static(PROTOCOL) };
            response.headers_mut().insert(version, HeaderValue::from(VERSION));
        }
        // Where others share the connection, it goes on.
        let connection = (version < Version::HTTP_2).then_some(connection);
        let Host { limits, logs, recent, .. } = &*self.host;
        taken::watched(limits.take_timeout, logs, recent, connection, response)
    }

    async fn answer(
        &self,
        connection: &Connection,
        peer: Peer,
        parts: &mut Parts,
        body: Body,
    ) -> Routed {
        let path = parts.uri.path();
        let mut using = None;
        let mut owner = Owner::Anyone;
        // REST v1.0 has rules of its own, and all else is for everybody.
        if v2::is_private(path) || path == METRICS {
            let allowed = self.host.access.check(&peer, &parts.headers);
            match allowed.and_then(|owner| only_our_version(&parts.headers).map(|()| owner)) {
                Ok(asking) => owner = asking,
                Err(error) => {
                    Data::of_body(&parts.headers, body).drain();
                    return Err(error.into());
                }
            }
            connection.welcome();
            if let Err((status, error)) = coding::check(&parts.headers) {
                Data::of_body(&parts.headers, body).drain();
                return Err(Refusal::new(status, error));
            }
            // Who only looks, be it at its metrics or at how long it lives, does not use it.
            if !matches!(parts.method, Method::GET | Method::HEAD) || path.ends_with("/result") {
                using = Some(self.host.uses.begin());
            }
        }
        // Jobs come by the thousand, so they do not even go through the router.
        let answered = match v2::jobs_of(path).map(str::to_owned) {
            Some(session) if matches!(parts.method, Method::POST | Method::PUT) => {
                v2::in_session(&self.host, connection, &owner, session, parts, body).await
            }
            Some(_) => {
                let refused = other_method(parts.method.clone(), parts.uri.clone()).await;
                Ok(([(header::ALLOW, "POST, PUT")], refused).into_response())
            }
            None => {
                parts.extensions.insert(peer);
                parts.extensions.insert(owner);
                parts.extensions.insert(connection.clone());
                let parts = std::mem::replace(parts, Request::new(()).into_parts().0);
                let routed = self.router.clone().oneshot(Request::from_parts(parts, body));
                let answered = Box::pin(routed).await;
                Ok(answered.unwrap_or_else(|never| match never {}))
            }
        };
        if let Some(using) = using {
            using.answered(answered.as_ref().map_or_else(Refusal::status, Response::status));
        }
        answered
    }
}

/// Refuses clients of a protocol that is not spoken here.
fn only_our_version(headers: &HeaderMap) -> Result<()> {
    let Some(wanted) = headers.get(PROTOCOL) else { return Ok(()) };
    let wanted = wanted.to_str().unwrap_or("?").trim();
    if wanted == VERSION.to_string() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, format!("it is not version '{}'", shorten(wanted)))
        .operation("speak the client's protocol")
        .hint(format!("this host speaks version {VERSION}; use a client of its version")))
}

/// A host's URL that was given with a slash at its end makes the original's client ask for
/// `//v1.0/…`.
fn one_slash(uri: &mut Uri) {
    if !uri.path().starts_with("//") {
        return;
    }
    let text = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let text = format!("/{}", text.trim_start_matches('/'));
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = text.parse().ok();
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

async fn nothing_here(uri: Uri) -> Refusal {
    Error::new(ErrorKind::NotFound, format!("there is nothing at '{}'", shorten(uri.path())))
        .hint("/v2/openapi.json lists what there is")
        .into()
}

async fn other_method(method: Method, uri: Uri) -> Refusal {
    let why = format!("'{}' does not take {}", shorten(uri.path()), shorten(method));
    let error = Error::new(ErrorKind::Usage, why);
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_front_become_one() {
        for (given, meant) in [
            ("//v1.0/process/?page=2", "/v1.0/process/?page=2"),
            ("/v1.0//", "/v1.0//"),
            ("///", "/"),
        ] {
            let mut uri: Uri = format!("http://h{given}").parse().unwrap();
            one_slash(&mut uri);
            assert_eq!(uri.path_and_query().unwrap().as_str(), meant);
            let mut uri: Uri = given.parse().unwrap_or_default();
            one_slash(&mut uri);
            assert_eq!(uri.path_and_query().unwrap().as_str(), meant, "origin form");
        }
    }
}
