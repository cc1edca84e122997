//! The private bucket by which hosts get what they are made with: the agent, and packages of the user.

use std::path::Path;
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result, Secret};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqsign_core::hash::hex_sha256;
use reqsign_core::time::Timestamp;

use super::api::Api;
use super::call::Body;
use super::failure;

/// How long a URL is good, where the credentials that sign it are good for as long.
const GOOD_FOR: Duration = Duration::from_secs(3600);
/// Credentials that are good for less are to be replaced first: a machine takes a while to come up.
const TOO_SHORT: Duration = Duration::from_secs(900);

const OWNER: HeaderName = HeaderName::from_static("x-amz-expected-bucket-owner");
const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");

/// A bucket of the account in the region that is called. Anybody may take its name first, so every call
/// says whose it is to be.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    api: Api,
    name: String,
    account: HeaderValue,
}

/// A URL by which everybody who has it may fetch a file.
#[derive(Clone, Debug)]
pub(crate) struct SignedUrl {
    pub(crate) url: Secret,
    /// For how long, from its making on.
    pub(crate) good_for: Duration,
}

impl Bucket {
    /// The bucket of an account, which may not be there yet.
    ///
    /// # Errors
    /// The account has no number.
    pub(crate) fn of(api: &Api, account: &str) -> Result<Self> {
        let name = format!("apyfal-{account}-{}", api.region());
        let account = HeaderValue::from_str(account)
            .map_err(|_| Error::new(ErrorKind::Unavailable, "the account has no number"))?;
        Ok(Self { api: api.clone(), name, account })
    }

    /// Puts a file there, unless it is there already. `sha256` is its digest in hexadecimal digits.
    ///
    /// # Errors
    /// It cannot be read or is another one, or the bucket is somebody else's (`Conflict`); of kind
    /// `Security` where the caller may not use buckets.
    pub(crate) async fn put(&self, file: &Path, sha256: &str) -> Result<()> {
        let put = async {
            let len = tokio::fs::metadata(file).await?.len();
            let checksum = checksum(sha256)?;
            let path = path(sha256);
            match self.head("GetObject", &path).await {
                Ok(()) => return Ok(()),
                // Who may not list a bucket is not told that something is not in it.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Security) => {
                }
                Err(error) => return Err(error),
            }
            self.make().await?;
            let mut headers = self.headers();
            headers.insert(CHECKSUM, checksum);
            let body = Body::File { path: file.to_owned(), len, sha256: sha256.to_owned() };
            let put = self.api.s3("PutObject", Method::PUT, &self.name, &path, headers, body);
            put.await?;
            // Who may not fetch it signs URLs that fetch nothing.
            self.head("GetObject", &path).await
        };
        put.await.map_err(|error| {
            let error = error.context("bucket", &self.name);
            error.operation(format!("put '{}' where hosts can fetch it", file.display()))
        })
    }

    /// The URL of a file that was put there, for whoever has only that.
    ///
    /// # Errors
    /// There are no credentials.
    pub(crate) async fn url(&self, sha256: &str) -> Result<SignedUrl> {
        let life = |credential: &reqsign_aws_v4::Credential| {
            let left =
                credential.expires_in.map(|end| end.as_second() - Timestamp::now().as_second());
            // One second for the signing itself.
            left.map_or(GOOD_FOR, |left| Duration::from_secs(left.saturating_sub(1).max(1) as u64))
        };
        let mut credential = self.api.credential().await?;
        if life(&credential) < TOO_SHORT {
            let renewed = self.api.credentials.renew(&credential).await;
            credential = renewed.ok().flatten().unwrap_or(credential);
        }
        let good_for = life(&credential).min(GOOD_FOR);
        let (url, region) = self.api.bucket_url(&self.name)?;
        let request = http::Request::get(format!("{url}{}", path(sha256))).body(());
        let request = request.map_err(|error| {
            Error::new(ErrorKind::Configuration, error.to_string()).operation("sign a URL of S3")
        })?;
        // The owner is not among what is signed: who fetches would have to name it. What comes is
        // known by its digest.
        let (mut parts, ()) = request.into_parts();
        self.api.sign("s3", &region, &mut parts, &credential, Some(good_for)).await?;
        Ok(SignedUrl { url: Secret::new(parts.uri.to_string()), good_for })
    }

    /// Makes the bucket where it is not there.
    async fn make(&self) -> Result<()> {
        match self.head("ListBucket", "").await {
            Ok(()) => return Ok(()),
            // The answer to such a question has no text. Whether it is the bucket of others, or a right
            // is missing, is told to who makes it.
            Err(error) if is_unclear(&error) => {}
            Err(error) => return Err(error),
        }
        let place = self.api.region();
        let body = match place {
            "us-east-1" => String::new(),
            _ => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{place}</LocationConstraint></CreateBucketConfiguration>"
            ),
        };
        let body = Body::Bytes(body.into());
        let made = self.api.s3("CreateBucket", Method::PUT, &self.name, "", HeaderMap::new(), body);
        match made.await {
            Ok(_) => self.close().await,
            Err(error) => match failure::code(&error) {
                Some("BucketAlreadyOwnedByYou") => Ok(()),
                Some("BucketAlreadyExists") => Err(error
                    .with_kind(ErrorKind::Conflict)
                    .without_hints()
                    .prefixed("the bucket is another account's")
                    .hint("nothing is put there: its name can be guessed, and was taken")),
                _ => Err(error),
            },
        }
    }

    /// Has nothing in it ever be public.
    async fn close(&self) -> Result<()> {
        let all =
            ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];
        let all: String = all.iter().map(|name| format!("<{name}>true</{name}>")).collect();
        let body = format!(
            "<PublicAccessBlockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{all}\
             </PublicAccessBlockConfiguration>"
        );
        let mut headers = self.headers();
        headers.insert(CHECKSUM, checksum(&hex_sha256(body.as_bytes()))?);
        let (action, body) = ("PutBucketPublicAccessBlock", Body::Bytes(body.into()));
        let path = "?publicAccessBlock";
        match self.api.s3(action, Method::PUT, &self.name, path, headers, body).await {
            // New buckets are closed by themselves since 2023, so that one may go without the right.
            Err(error) if error.kind() != ErrorKind::Security => Err(error),
            _ => Ok(()),
        }
    }

    async fn head(&self, action: &str, path: &str) -> Result<()> {
        let nothing = Body::Bytes(bytes::Bytes::new());
        let (headers, name) = (self.headers(), &self.name);
        self.api.s3(action, Method::HEAD, name, path, headers, nothing).await.map(drop)
    }

    fn headers(&self) -> HeaderMap {
        [(OWNER, self.account.clone())].into_iter().collect()
    }
}

/// Whether a refusal without a text may mean that something is not there.
fn is_unclear(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Security | ErrorKind::Configuration)
}

/// Where a file is in the bucket.
fn path(sha256: &str) -> String {
    format!("/sha256/{sha256}")
}

/// A digest as S3 wants it, which then checks what comes.
fn checksum(sha256: &str) -> Result<HeaderValue> {
    let digest = HEXLOWER_PERMISSIVE.decode(sha256.as_bytes()).ok();
    let digest = digest.filter(|digest| digest.len() == 32);
    digest.and_then(|digest| HeaderValue::from_str(&BASE64.encode(&digest)).ok()).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("'{sha256}' is no SHA-256 in hexadecimal digits"))
    })
}

#[cfg(test)]
mod tests;
