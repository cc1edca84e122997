//! What is served.

use std::sync::Arc;
use std::time::Duration;

use apyfal_core::Error;
use apyfal_net::Source;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use super::Shared;
use crate::client::{CATALOG, ORIGINAL, TOKEN};

/// How long the form of a token request may be, in bytes.
const FORM: usize = 16 << 10;

type Served = State<Arc<Shared>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let slashless = |route: &'static str| route.trim_end_matches('/');
    Router::new()
        .route(TOKEN, post(token))
        .route(slashless(TOKEN), post(token))
        .route(ORIGINAL, get(original))
        .route(slashless(ORIGINAL), get(original))
        .route(CATALOG, get(catalog))
        .route("/files/{sha256}/{name}", get(file))
        .route("/healthz", get(async || "ok\n"))
        .layer(DefaultBodyLimit::max(FORM))
        .with_state(shared)
}

/// `POST /o/token/`: client credentials for a token.
///
/// Source: RFC 6749, sections 2.3.1, 4.4 and 5.
async fn token(
    State(shared): Served,
    Extension(from): Extension<Source>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let field = |name: &str| {
        let mut fields = form_urlencoded::parse(&form);
        fields.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    if field("grant_type").as_deref() != Some("client_credentials") {
        return oauth(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let in_form = || Some((field("client_id")?, field("client_secret")?));
    let Some((client_id, secret)) = basic(&headers).or_else(in_form) else {
        return oauth(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    if let Err(wait) = shared.failures.begin(from, &client_id) {
        return wait_first(wait);
    }
    let accounts = shared.accounts.now();
    let tried = client_id.clone();
    let check = move || {
        let is_right = accounts.is_right(&tried, secret.as_bytes());
        accounts.find(&tried).filter(|_| is_right).cloned()
    };
    let is_known = shared.failures.was_right(from, &client_id);
    let account = match shared.checks.make(from, is_known, check).await {
        Some(Some(account)) => account,
        Some(None) => return oauth(StatusCode::UNAUTHORIZED, "invalid_client"),
        None => {
            shared.failures.take_back(from, &client_id);
            return wait_first(Duration::from_secs(1));
        }
    };
    shared.failures.forgive(from, &client_id);
    match shared.tokens.give(account) {
        Ok(token) => (
            [(header::CACHE_CONTROL, "no-store")],
            Json(json!({
                "access_token": token.expose(),
                "token_type": "Bearer",
                "expires_in": shared.tokens.ttl().as_secs(),
            })),
        )
            .into_response(),
        Err(error) => failed(&error),
    }
}

/// The catalog for the original's clients.
async fn original(State(shared): Served, headers: HeaderMap) -> Response {
    with_token(&shared, &headers, || shared.catalog.now().to_original())
}

/// The whole catalog; files of this server are named by where it hands them out.
async fn catalog(State(shared): Served, headers: HeaderMap) -> Response {
    with_token(&shared, &headers, || {
        let mut catalog = (*shared.catalog.now()).clone();
        for artifact in catalog.artifacts_mut() {
            if artifact.below(&shared.files).is_some() {
                artifact.url = artifact.served_at();
            }
        }
        serde_json::to_value(catalog).unwrap_or_default()
    })
}

/// A file that the catalog names, to anyone who knows its digest.
async fn file(State(shared): Served, Path((sha256, name)): Path<(String, String)>) -> Response {
    let catalog = shared.catalog.now();
    let mut named = catalog.artifacts().filter(|artifact| {
        artifact.sha256.eq_ignore_ascii_case(&sha256) && artifact.file_name() == name
    });
    let Some(path) = named.find_map(|artifact| artifact.below(&shared.files)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let opened = async {
        let file = tokio::fs::File::open(&path).await?;
        let length = file.metadata().await?.len();
        std::io::Result::Ok((file, length))
    };
    match opened.await {
        Ok((file, length)) => (
            [
                (header::CONTENT_LENGTH, HeaderValue::from(length)),
                (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
            ],
            Body::from_stream(ReaderStream::with_capacity(file, 256 << 10)),
        )
            .into_response(),
        Err(error) => failed(&Error::from(error)),
    }
}

fn with_token(shared: &Shared, headers: &HeaderMap, answer: impl FnOnce() -> Value) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let owner = given.and_then(|token| shared.tokens.owner(token));
    // An account that was removed has no tokens left.
    if owner.is_none_or(|owner| !shared.accounts.now().has_still(&owner)) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
        let why = json!({"detail": "the token is missing, unknown or has expired"});
        return (StatusCode::UNAUTHORIZED, challenge, Json(why)).into_response();
    }
    Json(answer()).into_response()
}

/// Name and secret of HTTP Basic authentication (RFC 7617).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let text =
        STANDARD.decode(encoded.trim()).ok().and_then(|text| String::from_utf8(text).ok())?;
    let (name, secret) = text.split_once(':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| (name.to_owned(), secret.to_owned()))
}

fn wait_first(wait: Duration) -> Response {
    let mut answer = oauth(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    answer.headers_mut().insert(header::RETRY_AFTER, seconds);
    answer
}

fn oauth(status: StatusCode, error: &str) -> Response {
    let mut answer = (status, Json(json!({"error": error}))).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"catalog\"");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    answer
}

pub(super) fn bad_request(error: &Error) -> Response {
    told(StatusCode::BAD_REQUEST, error)
}

fn failed(error: &Error) -> Response {
    told(StatusCode::INTERNAL_SERVER_ERROR, error)
}

fn told(status: StatusCode, error: &Error) -> Response {
    (status, Json(json!({"detail": error.message()}))).into_response()
}
