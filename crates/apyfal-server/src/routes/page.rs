//! The page at `/` and what it shows, `/status`. Neither needs a token, since nothing private is on
//! it.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use crate::answer::Routed;
use crate::host::Host;
use crate::overview::Parts;

/// All of it: style and script too.
const PAGE: &str = include_str!("page.html");

/// Lets the browser run the page's own script and nothing else, and lets that speak to this host
/// alone.
static POLICY: LazyLock<HeaderMap> = LazyLock::new(|| {
    let (style, script) = (hash_of("style"), hash_of("script"));
    let policy = format!(
        "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut headers = HeaderMap::new();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers
});

/// The hash of what stands within an element of the page, as a source of a policy.
fn hash_of(element: &str) -> String {
    let (begin, end) = (format!("<{element}>"), format!("</{element}>"));
    let within = PAGE.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end));
    let text = within.map_or("", |(text, _)| text);
    format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

pub(crate) async fn page() -> Response {
    (POLICY.clone(), Html(PAGE)).into_response()
}

pub(crate) async fn status(State(host): State<Arc<Host>>) -> Routed {
    const HEADERS: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    let parts = Parts {
        agent: &host.agent,
        live: &host.live,
        metrics: &host.metrics,
        scratch: &host.scratch,
        throughput: &host.throughput,
        journal: &host.journal,
        lease: &host.lease,
        draining: &host.draining,
        began: host.began,
        cores: host.cores,
    };
    Ok((HEADERS, host.shown.overview(parts).await?).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_style_and_one_script_and_nothing_from_elsewhere() {
        for element in ["style", "script"] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1, "{element}");
            assert!(PAGE.contains(&format!("<{element}>")), "{element}");
        }
        for not in ["src=", " style=", "onclick", "onload", "innerHTML", "@import", "url("] {
            assert!(!PAGE.contains(not), "{not}");
        }
        let outside =
            PAGE.matches("://").count() - PAGE.matches("http://www.w3.org/2000/svg").count();
        assert_eq!(outside, 0);
    }
}
