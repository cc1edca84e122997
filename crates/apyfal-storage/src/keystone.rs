//! Tokens for Swift from the OpenStack identity service, version 3.
//!
//! The exchange is the one of the
//! [Identity API](https://docs.openstack.org/api-ref/identity/v3/#password-authentication-with-scoped-authorization).

use std::time::{Duration, SystemTime};

use apyfal_core::{Error, ErrorKind, Result, Secret, root_cause};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Value, json};

use crate::bucket::missing;
use crate::location::Location;
use crate::mount::{MountOptions, server_url};
use crate::transport::Transport;

/// How long a token is used at most. Most clouds let them live for an hour or longer.
const USED_FOR: Duration = Duration::from_secs(30 * 60);

/// Permission to use an object store for a while.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// The text to send.
    pub(crate) secret: Secret,
    /// The account's URL in the object store.
    pub(crate) endpoint: String,
    renew: SystemTime,
}

impl Token {
    /// Whether a new one should be fetched before the next use.
    pub(crate) fn is_stale(&self) -> bool {
        SystemTime::now() >= self.renew
    }

    /// Asks the identity service for a token.
    pub(crate) async fn fetch(options: &MountOptions, transport: &Transport) -> Result<Self> {
        let set =
            |key: &str, value: &Option<String>| value.clone().ok_or_else(|| missing(key, options));
        let url = tokens_url(&set("auth_url", &options.auth_url)?, options.unsecure)?;
        let user = set("client_id", &options.client_id)?;
        let password = options.secret_id.as_ref().ok_or_else(|| missing("secret_id", options))?;
        let project = set("project_id", &options.project_id)?;
        let domain = options.user_domain_name.as_deref().unwrap_or("Default");
        let body = request(&user, domain, password, &project);

        let shown = Location::parse(&url)?;
        let failed = |kind, message: String| {
            Error::new(kind, message).operation(format!("get a token from '{shown}'"))
        };
        let address = Url::parse(&url);
        let explained = |error| match &address {
            Ok(address) => transport.explain(error, address),
            Err(_) => error,
        };
        let answer = transport
            .post(&url)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .map_err(|error| {
                let error = error.without_url();
                explained(failed(ErrorKind::Storage, root_cause(&error)).retryable())
            })?;
        let status = answer.status();
        if !status.is_success() {
            let kind = match status.as_u16() {
                401 | 403 => ErrorKind::StorageAuthentication,
                404 => ErrorKind::StorageConfiguration,
                _ => ErrorKind::Storage,
            };
            return Err(failed(kind, format!("the server answered {status}")).hint(
                "check auth_url, client_id, secret_id and project_id in section [storage.OpenStack]",
            ));
        }
        let token = answer.headers().get("x-subject-token").and_then(|value| value.to_str().ok());
        let token = token.map(Secret::new);
        let text = answer.text().await.map_err(|error| {
            failed(ErrorKind::Storage, error.without_url().to_string()).retryable()
        })?;
        let about = serde_json::from_str::<Value>(&text).unwrap_or_default();
        let endpoint = match &options.endpoint {
            Some(_) => Some(options.server("")?),
            // The token goes there, and is as good as the password.
            None => object_store(&about, options.region.as_deref())
                .map(|store| server_url(&store, options.unsecure))
                .transpose()
                .map_err(|error| error.operation("connect to swift://"))?,
        };
        match (token, endpoint) {
            (Some(secret), Some(endpoint)) => {
                Ok(Self { secret, endpoint, renew: SystemTime::now() + used_for(&about) })
            }
            (None, _) => Err(failed(ErrorKind::Storage, "the answer has no token".into())),
            (_, None) => Err(failed(
                ErrorKind::StorageConfiguration,
                "the catalog has no public object store in this region".into(),
            )
            .hint("set region or endpoint in section [storage.OpenStack]")),
        }
    }
}

/// Where tokens are, from the address as people write it: with or without version.
fn tokens_url(auth_url: &str, unsecure: bool) -> Result<String> {
    let auth_url =
        server_url(auth_url, unsecure).map_err(|error| error.operation("connect to swift://"))?;
    let base = auth_url.trim_end_matches('/');
    let base = base.strip_suffix("/v2.0").unwrap_or(base);
    Ok(if base.ends_with("/v3") {
        format!("{base}/auth/tokens")
    } else {
        format!("{base}/v3/auth/tokens")
    })
}

fn request(user: &str, domain: &str, password: &Secret, project: &str) -> Value {
    json!({"auth": {
        "identity": {
            "methods": ["password"],
            "password": {"user": {
                "name": user, "domain": {"name": domain}, "password": password.expose(),
            }},
        },
        "scope": {"project": {"id": project}},
    }})
}

/// How long a token is used: no more than half of its life, so that what begins with it has time to
/// end with it. The two times are of the server's clock alone, whatever the one here shows.
fn used_for(about: &Value) -> Duration {
    let time = |key: &str| about["token"][key].as_str()?.parse::<Timestamp>().ok();
    let Some(end) = time("expires_at") else { return USED_FOR };
    let life = end.duration_since(time("issued_at").unwrap_or_else(Timestamp::now));
    // One that is over already is used for no time at all.
    USED_FOR.min(Duration::try_from(life).unwrap_or_default() / 2)
}

/// The public URL of the object store in a token's catalog.
fn object_store(token: &Value, region: Option<&str>) -> Option<String> {
    let services = token["token"]["catalog"].as_array()?;
    let store = services.iter().find(|service| service["type"] == "object-store")?;
    let endpoint = store["endpoints"].as_array()?.iter().find(|endpoint| {
        endpoint["interface"] == "public"
            && region.is_none_or(|region| {
                endpoint["region"] == region || endpoint["region_id"] == region
            })
    })?;
    Some(endpoint["url"].as_str()?.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_may_have_a_version() {
        for given in ["https://id/v3", "https://id/v3/", "https://id", "https://id/v2.0"] {
            assert_eq!(tokens_url(given, false).unwrap(), "https://id/v3/auth/tokens");
        }
        assert_eq!(tokens_url("id:5000/v3", false).unwrap(), "https://id:5000/v3/auth/tokens");
        for plain in ["http://id", "HTTP://id", "Http://id"] {
            let error = tokens_url(plain, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageConfiguration, "{error}");
            assert!(error.to_string().contains("plain HTTP"), "{error}");
            assert_eq!(tokens_url(plain, true).unwrap(), "http://id/v3/auth/tokens");
        }
        assert!(tokens_url("ftp://id", true).is_err());
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let used = |token: Value| used_for(&json!({ "token": token })).as_secs();
        let lives = |end: &str| {
            used(json!({"issued_at": "2026-03-01T12:00:00.000000Z", "expires_at": end}))
        };
        assert_eq!(lives("2026-03-01T12:15:00.000000Z"), 450);
        assert_eq!(lives("2026-03-02T12:00:00.000000Z"), USED_FOR.as_secs());
        assert_eq!(lives("2026-03-01T11:00:00.000000Z"), 0, "it is over");
        assert_eq!(used(json!({"expires_at": "2026-03-01T12:00:00Z"})), 0, "it is over");
        for unknown in [json!({}), json!({"expires_at": null}), json!({"expires_at": "soon"})] {
            assert_eq!(used(unknown), USED_FOR.as_secs());
        }
    }

    #[test]
    fn the_catalog_names_the_store_of_the_region() {
        let endpoint = |interface: &str, region: &str| json!({"interface": interface, "region": region, "url": format!("https://{interface}.{region}/v1/AUTH_p/")});
        let catalog = json!({"token": {"catalog": [
            {"type": "compute", "endpoints": [endpoint("public", "a")]},
            {"type": "object-store", "endpoints": [
                endpoint("internal", "a"), endpoint("public", "a"), endpoint("public", "b"),
            ]},
        ]}});
        let found = |region| object_store(&catalog, region);
        assert_eq!(found(Some("b")).as_deref(), Some("https://public.b/v1/AUTH_p"));
        assert_eq!(found(None).as_deref(), Some("https://public.a/v1/AUTH_p"));
        assert_eq!(found(Some("c")), None);
    }
}
