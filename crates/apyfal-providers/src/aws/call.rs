//! One call of a service: signed, sent, and made again where that may help.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use apyfal_core::{Error, ErrorKind, Result, root_cause};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::hash::hex_sha256;
use reqsign_core::{Context, SignRequest};
use reqwest::Url;
use tokio_util::io::ReaderStream;

use super::api::Api;
use super::failure;

/// How often a server is tried that cannot be reached at all: it may be misspelt.
const UNREACHED: u32 = 3;
/// For how long a call is made again, whatever it fails with.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest pause before the first repetition; it doubles with each, up to the other.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// The least that a line is taken to carry in a second.
const SLOWEST: u64 = 32 << 10;

/// How much of a file is read at once.
const BLOCK: usize = 256 << 10;

const CONTENT_SHA_256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// What is asked of a service.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) service: &'static str,
    /// What it does, as policies name it: `RunInstances`.
    pub(super) action: &'a str,
    /// What it is given, where that is not a matter of its body.
    pub(super) params: &'a [(String, String)],
    pub(super) method: Method,
    pub(super) url: String,
    /// The region that it is signed for.
    pub(super) region: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// What a call sends.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Bytes(Bytes),
    /// A file, with the SHA-256 that it has.
    File {
        path: PathBuf,
        len: u64,
        sha256: String,
    },
}

/// What a service answers.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Its body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Api {
    /// Makes a call until it is answered. One that makes something has a token, or finds that it is
    /// there, so that it may be sent twice.
    ///
    /// # Errors
    /// It is refused, or nobody answers.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Answer> {
        let (since, set) = (Instant::now(), self.settings.max_attempts()?);
        let mut renewed = None;
        let (mut attempt, mut has_lost) = (1, false);
        loop {
            let credential = match renewed.clone() {
                Some(renewed) => Ok(renewed),
                None => self.credential().await,
            };
            let failed = match &credential {
                Ok(credential) => match self.attempt(call, credential).await {
                    Ok(answer) if answer.status.is_success() => return Ok(answer),
                    Ok(answer) => Failed::Refused(failure::refused(call, &answer)),
                    Err(failed) => failed,
                },
                // Though it is not made this time, an earlier answer may have got lost.
                Err(error) => Failed::Refused(error.duplicate()),
            };
            let limit = match failed {
                Failed::Unreached(_) => set.unwrap_or(UNREACHED),
                _ => set.unwrap_or(u32::MAX),
            };
            let is_lost = match &failed {
                Failed::Lost(_) => true,
                // What could not be signed was not asked.
                Failed::Refused(error) => credential.is_ok() && failure::is_in_doubt(error),
                Failed::Unreached(_) => false,
            };
            let (Failed::Refused(error) | Failed::Unreached(error) | Failed::Lost(error)) = failed;
            if error.kind() == ErrorKind::Authentication
                && renewed.is_none()
                && let Ok(credential) = &credential
            {
                // Keys that were replaced, or expired before their time; else the refusal stands.
                if let Ok(Some(other)) = self.credentials.renew(credential).await {
                    renewed = Some(other);
                    continue;
                }
            }
            let longest = self.pace.saturating_mul(1 << (attempt - 1).min(10)).min(LONGEST_PAUSE);
            let pause = longest.mul_f64(fastrand::f64());
            // What took long to send is worth another try too.
            let is_late = attempt > 1 && since.elapsed() + pause > PATIENCE;
            if !error.is_retryable() || attempt >= limit || is_late {
                return Err(match (attempt, has_lost) {
                    (1, _) => error,
                    (_, false) => error.context("attempts", attempt),
                    (_, true) => failure::after_lost(error.context("attempts", attempt)),
                });
            }
            has_lost |= is_lost;
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// What calls are signed with.
    pub(super) async fn credential(&self) -> Result<Credential> {
        self.credentials.get().await?.ok_or_else(|| {
            Error::new(ErrorKind::Authentication, "no credentials of AWS were found")
                .hint("set client_id and secret_id in section [host.AWS] of the configuration")
                .hint("or tell the tools of AWS: aws configure, or aws sso login")
        })
    }

    async fn attempt(&self, call: &Call<'_>, credential: &Credential) -> Result<Answer, Failed> {
        let request = self.request(call, credential).await.map_err(Failed::Refused)?;
        let url = request.url().clone();
        let answer = self.http.execute(request).await.map_err(|error| broken(error, &url))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| broken(error, &url))?;
        Ok(Answer { status, headers, body })
    }

    async fn request(&self, call: &Call<'_>, credential: &Credential) -> Result<reqwest::Request> {
        let mut request = http::Request::new(());
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call.url.parse().map_err(|error| {
            Error::new(ErrorKind::Configuration, format!("'{}' is no URL: {error}", call.url))
                .hint("look at the endpoints that the environment or the profile of AWS names")
        })?;
        let digest = HeaderValue::from_str(&call.body.sha256()).map_err(internal)?;
        let (mut parts, ()) = request.into_parts();
        parts.headers = call.headers.clone();
        parts.headers.insert(CONTENT_SHA_256, digest);
        self.sign(call.service, &call.region, &mut parts, credential, None).await?;
        let request = http::Request::from_parts(parts, call.body.open().await?);
        let mut request = reqwest::Request::try_from(request).map_err(internal)?;
        if let Body::File { len, .. } = call.body {
            *request.timeout_mut() = Some(PATIENCE + Duration::from_secs(len / SLOWEST));
            request.headers_mut().insert(http::header::CONTENT_LENGTH, len.into());
        }
        Ok(request)
    }

    /// Signs by headers, or by the query for as long as that is to be good.
    pub(super) async fn sign(
        &self,
        service: &str,
        region: &str,
        parts: &mut http::request::Parts,
        credential: &Credential,
        good_for: Option<Duration>,
    ) -> Result<()> {
        let signer = RequestSigner::new(service, region);
        signer.sign_request(&Context::new(), parts, Some(credential), good_for).await.map_err(
            |error| {
                Error::new(ErrorKind::Authentication, root_cause(&error))
                    .operation(format!("sign a request of {service}"))
                    .source(error)
            },
        )
    }
}

impl Body {
    /// Its SHA-256 in hexadecimal digits.
    fn sha256(&self) -> String {
        match self {
            Self::Bytes(bytes) => hex_sha256(bytes),
            Self::File { sha256, .. } => sha256.clone(),
        }
    }

    async fn open(&self) -> Result<reqwest::Body> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone().into()),
            Self::File { path, .. } => {
                let file = tokio::fs::File::open(path).await.map_err(|error| {
                    Error::from_io(error).operation(format!("read '{}'", path.display()))
                })?;
                Ok(reqwest::Body::wrap_stream(ReaderStream::with_capacity(file, BLOCK)))
            }
        }
    }
}

/// Why there is no good answer.
#[derive(Debug)]
enum Failed {
    /// The service says so, or nobody was asked.
    Refused(Error),
    /// There is no connection.
    Unreached(Error),
    /// Nobody knows what became of it.
    Lost(Error),
}

fn broken(error: reqwest::Error, url: &Url) -> Failed {
    let error = error.without_url();
    let at = |error: Error| error.context("server", url.origin().ascii_serialization());
    if let Some(mismatch) = apyfal_tls::mismatch_from(&error) {
        let mismatch = mismatch.without_operation().without_hints();
        return Failed::Refused(
            at(mismatch).hint("where that is meant, name its authority: AWS_CA_BUNDLE"),
        );
    }
    let is_connect = error.is_connect();
    let why = match error.is_timeout() {
        true if is_connect => "it could not be reached in time".to_owned(),
        true => "it did not answer in time".to_owned(),
        false => root_cause(&error),
    };
    let failed = at(Error::new(ErrorKind::Unavailable, why).source(error)).retryable();
    match is_connect {
        true => Failed::Unreached(failed.hint("look at the region, the network and its proxies")),
        false => Failed::Lost(failed),
    }
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, error.to_string()).operation("make a request").source(error)
}

#[cfg(test)]
mod tests;
