//! The IAM Identity Center, which a person has signed in to: `aws sso login` leaves a token in a file. It is good
//! for hours, and mostly comes with what it takes to get another one without the person.
//!
//! Sources: the APIs `CreateToken` of IAM Identity Center OIDC and `GetRoleCredentials` of its portal; `tokens.py` of
//! botocore for what is in the file, which the tools of AWS share.

use std::path::PathBuf;
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result, unix_time};
use apyfal_machine::private;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_aws_v4::Credential;
use reqsign_core::Context;
use reqsign_core::hash::hex_sha1;
use reqsign_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::credentials::failed;

/// A token that is good for no longer than this is renewed.
const RENEWED: Duration = Duration::from_secs(5 * 60);

/// Which role a person has by signing in, and who gives its credentials.
#[derive(Clone, Debug)]
pub struct SignOn {
    /// The account.
    pub account: String,
    /// The role in it.
    pub role: String,
    /// What the token is kept under: the name of a session, or where the person signs in.
    pub token: String,
    /// The URL of the server that gives credentials.
    pub portal: String,
    /// The URL of the server that gives tokens.
    pub oidc: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    role_credentials: RoleCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    /// In milliseconds since 1970.
    expiration: i64,
}

impl SignOn {
    /// The credentials of the role.
    ///
    /// # Errors
    /// Nobody is signed in, or has that role.
    pub(crate) async fn credential(&self, context: &Context) -> Result<Credential> {
        let token = self.token(context).await?;
        let escaped = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (role, account) = (escaped(&self.role), escaped(&self.account));
        let path = format!("federation/credentials?role_name={role}&account_id={account}");
        let asked = request(Method::GET, &self.portal, &path)
            .header("x-amz-sso_bearer_token", token)
            .body(Bytes::new());
        let answer = self.send(context, asked).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => {
                return Err(self.signed_out("the sign-in is not valid any more"));
            }
            status => {
                let why = said(&answer).unwrap_or_else(|| format!("it answered {status}"));
                let error = self.failed(format!("the IAM Identity Center refuses: {why}"));
                return Err(
                    match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                        true => error.with_kind(ErrorKind::Unavailable).retryable(),
                        false => error.hint(format!(
                            "sso_role_name has to be a role of account {} that is yours",
                            self.account
                        )),
                    },
                );
            }
        }
        // What serde says of wrong text may quote it.
        let given: Given = serde_json::from_slice(answer.body())
            .map_err(|_| self.failed("the IAM Identity Center answers something else"))?;
        let RoleCredentials { access_key_id, secret_access_key, session_token, expiration } =
            given.role_credentials;
        Ok(Credential {
            access_key_id,
            secret_access_key,
            session_token: Some(session_token),
            expires_in: Timestamp::from_millisecond(expiration).ok(),
        })
    }

    /// The token of who is signed in.
    async fn token(&self, context: &Context) -> Result<String> {
        let kept = self.kept(context).await?;
        if is_good(&kept, RENEWED) {
            return self.access_token(&kept);
        }
        match self.renew(context, &kept).await {
            Ok(Some(renewed)) => self.access_token(&renewed),
            // Another process may have renewed it meanwhile, by which what was in the file before is spent.
            renewed => {
                let kept = self.kept(context).await?;
                if is_good(&kept, Duration::ZERO) {
                    return self.access_token(&kept);
                }
                renewed?;
                Err(self.signed_out("the sign-in has expired"))
            }
        }
    }

    fn access_token(&self, token: &Map<String, Value>) -> Result<String> {
        let found = text(token, "accessToken").map(str::to_owned);
        found.ok_or_else(|| self.signed_out("nobody is signed in"))
    }

    /// What `aws sso login` has left.
    async fn kept(&self, context: &Context) -> Result<Map<String, Value>> {
        let path = self.path(context)?;
        let Ok(kept) = context.file_read(&path.to_string_lossy()).await else {
            return Err(self.signed_out("nobody is signed in"));
        };
        serde_json::from_slice(&kept)
            .map_err(|_| self.signed_out(&format!("'{}' is no token", path.display())))
    }

    fn path(&self, context: &Context) -> Result<PathBuf> {
        let home = context.home_dir().ok_or_else(|| self.failed("there is no home directory"))?;
        let name = hex_sha1(self.token.as_bytes());
        Ok(home.join(".aws/sso/cache").join(format!("{name}.json")))
    }

    /// A token in place of one, which is left to the tools of AWS as well. None where nobody gives another one
    /// unless the person signs in.
    async fn renew(
        &self,
        context: &Context,
        kept: &Map<String, Value>,
    ) -> Result<Option<Map<String, Value>>> {
        let (Some(id), Some(secret), Some(refresh)) =
            (text(kept, "clientId"), text(kept, "clientSecret"), text(kept, "refreshToken"))
        else {
            return Ok(None);
        };
        if !is_until(kept, "registrationExpiresAt", Duration::ZERO) {
            return Ok(None);
        }
        let wanted = json!({
            "clientId": id, "clientSecret": secret, "refreshToken": refresh,
            "grantType": "refresh_token",
        });
        let asked = request(Method::POST, &self.oidc, "token")
            .header("content-type", "application/json")
            .body(Bytes::from(wanted.to_string()));
        let answer = self.send(context, asked).await?;
        match answer.status() {
            StatusCode::OK => {}
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(self
                    .failed(format!("the IAM Identity Center answers {status}"))
                    .with_kind(ErrorKind::Unavailable)
                    .retryable());
            }
            _ => return Ok(None),
        }
        let given: Map<String, Value> = serde_json::from_slice(answer.body()).map_err(|_| {
            self.failed("the IAM Identity Center gives something else than a token")
        })?;
        let mut renewed = kept.clone();
        for name in ["accessToken", "refreshToken"] {
            if let Some(value) = given.get(name) {
                renewed.insert(name.to_owned(), value.clone());
            }
        }
        let seconds = given.get("expiresIn").and_then(Value::as_u64).unwrap_or_default();
        let ends = i64::try_from(unix_time().as_secs() + seconds).unwrap_or(i64::MAX);
        if let Ok(ends) = Timestamp::from_second(ends) {
            renewed.insert("expiresAt".to_owned(), json!(ends.format_rfc3339_zulu()));
        }
        let path = self.path(context)?;
        // Where it cannot be written it is good all the same.
        let _ = private::replace(&path, Value::from(renewed.clone()).to_string().as_bytes());
        Ok(Some(renewed))
    }

    async fn send(
        &self,
        context: &Context,
        asked: http::Result<Request<Bytes>>,
    ) -> Result<Response<Bytes>> {
        let asked = asked.map_err(|error| self.failed(error.to_string()))?;
        context.http_send(asked).await.map_err(|error| {
            let error = self.failed(error.to_string());
            error.with_kind(ErrorKind::Unavailable).retryable()
        })
    }

    fn signed_out(&self, why: &str) -> Error {
        self.failed(why).hint("sign in: aws sso login, with the --profile that is meant")
    }

    fn failed(&self, why: impl Into<String>) -> Error {
        failed(why, &self.role)
    }
}

fn request(method: Method, server: &str, path: &str) -> http::request::Builder {
    let server = server.trim_end_matches('/');
    Request::builder().method(method).uri(format!("{server}/{path}"))
}

/// What an answer says of why.
fn said(answer: &Response<Bytes>) -> Option<String> {
    let said: Value = serde_json::from_slice(answer.body()).ok()?;
    Some(said.get("message")?.as_str()?.to_owned())
}

fn text<'a>(token: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    token.get(name)?.as_str()
}

/// Whether a token is good for a while.
fn is_good(token: &Map<String, Value>, time: Duration) -> bool {
    is_until(token, "expiresAt", time)
}

fn is_until(token: &Map<String, Value>, name: &str, time: Duration) -> bool {
    let ends: Option<Timestamp> = text(token, name).and_then(|text| text.parse().ok());
    ends.is_some_and(|ends| ends > Timestamp::now() + time)
}
