//! The services of AWS, as they are called.

use std::sync::Arc;
use std::time::Duration;

use apyfal_aws::{Credentials, Settings};
use apyfal_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::call::{Answer, Body, Call, FIRST_PAUSE};
use super::element::Element;

/// What a call is given: names on the wire and values, such as `Filter.1.Name`.
pub(crate) type Params = Vec<(String, String)>;

/// A service that is asked by forms, and the version of its actions.
type Service = (&'static str, &'static str);
const EC2: Service = ("ec2", "2016-11-15");
const IAM: Service = ("iam", "2010-05-08");
const STS: Service = ("sts", "2011-06-15");

const FORM: HeaderValue =
    HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// Calls the services of one region. Transport faults and throttling are tried again here; all else is
/// answered at once.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(super) settings: Arc<Settings>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) http: reqwest::Client,
    pub(super) region: String,
    pub(super) pace: Duration,
}

impl Api {
    pub(crate) fn new(
        settings: Arc<Settings>,
        credentials: Arc<Credentials>,
        http: reqwest::Client,
        region: String,
    ) -> Self {
        Self { settings, credentials, http, region, pace: FIRST_PAUSE }
    }

    /// The region that is called.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// An action of EC2.
    ///
    /// # Errors
    /// It is refused, with [a code](super::failure::code), or nobody answers.
    pub(crate) async fn ec2(&self, action: &str, params: &Params) -> Result<Element> {
        self.query(EC2, action, params).await
    }

    /// All elements of `set` that an action of EC2 lists, over all of its pages.
    ///
    /// # Errors
    /// As of [`ec2`](Self::ec2).
    pub(crate) async fn ec2_all(
        &self,
        action: &str,
        params: &Params,
        set: &str,
    ) -> Result<Vec<Element>> {
        let next = |page: &Element| page.text("nextToken").map(str::to_owned);
        self.all(EC2, action, params, set, ("NextToken", &next)).await
    }

    /// An action of IAM.
    ///
    /// # Errors
    /// As of [`ec2`](Self::ec2).
    pub(crate) async fn iam(&self, action: &str, params: &Params) -> Result<Element> {
        self.query(IAM, action, params).await
    }

    /// All elements of `set` that an action of IAM lists, over all of its pages.
    ///
    /// # Errors
    /// As of [`ec2`](Self::ec2).
    pub(crate) async fn iam_all(
        &self,
        action: &str,
        params: &Params,
        set: &str,
    ) -> Result<Vec<Element>> {
        let result = format!("{action}Result");
        let next = |page: &Element| {
            let is_last = page.text(&format!("{result}/IsTruncated")) != Some("true");
            page.text(&format!("{result}/Marker")).filter(|_| !is_last).map(str::to_owned)
        };
        let set = format!("{result}/{set}");
        self.all(IAM, action, params, &set, ("Marker", &next)).await
    }

    /// All elements of a set, page by page: by a parameter, which a page tells of the next one.
    async fn all(
        &self,
        service: Service,
        action: &str,
        params: &Params,
        set: &str,
        (parameter, next): (&str, &(impl Fn(&Element) -> Option<String> + Sync)),
    ) -> Result<Vec<Element>> {
        let (mut all, mut params) = (Vec::new(), params.clone());
        loop {
            let page = self.query(service, action, &params).await?;
            let next = next(&page);
            all.extend(page.into_items(set));
            let Some(next) = next else { return Ok(all) };
            params.retain(|(other, _)| other != parameter);
            params.push((parameter.to_owned(), next));
        }
    }

    /// An action of STS.
    ///
    /// # Errors
    /// As of [`ec2`](Self::ec2).
    pub(crate) async fn sts(&self, action: &str, params: &Params) -> Result<Element> {
        self.query(STS, action, params).await
    }

    /// An action of SSM.
    ///
    /// # Errors
    /// As of [`ec2`](Self::ec2).
    pub(crate) async fn ssm(&self, action: &str, body: &Value) -> Result<Value> {
        let (server, region) = self.server("ssm")?;
        let target = HeaderValue::from_str(&format!("AmazonSSM.{action}"));
        let target = target.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        let answer = self
            .send(&Call {
                service: "ssm",
                action,
                params: &[],
                method: Method::POST,
                url: format!("{server}/"),
                region,
                headers: [(CONTENT_TYPE, JSON), (TARGET, target)].into_iter().collect(),
                body: Body::Bytes(body.to_string().into()),
            })
            .await?;
        serde_json::from_slice(&answer.body).map_err(|error| strange(error, &server))
    }

    /// An action of S3 on what is at `path` of a bucket, which begins with a slash and may have a query.
    ///
    /// # Errors
    /// As of [`ec2`](Self::ec2).
    pub(super) async fn s3(
        &self,
        action: &str,
        method: Method,
        bucket: &str,
        path: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Answer> {
        let (url, region) = self.bucket_url(bucket)?;
        self.send(&Call {
            service: "s3",
            action,
            params: &[],
            method,
            url: format!("{url}{path}"),
            region,
            headers,
            body,
        })
        .await
    }

    /// The URL of a bucket, without a slash at its end, and the region that is signed for.
    pub(super) fn bucket_url(&self, bucket: &str) -> Result<(String, String)> {
        let (server, region) = self.server("s3")?;
        Ok(match (self.settings.endpoint("s3")?, server.split_once("://")) {
            // Servers that stand for S3 seldom have a name for each bucket.
            (None, Some((scheme, name))) => (format!("{scheme}://{bucket}.{name}"), region),
            _ => (format!("{server}/{bucket}"), region),
        })
    }

    /// The URL of a service, without a slash at its end, and the region that is signed for.
    fn server(&self, service: &str) -> Result<(String, String)> {
        if let Some(named) = self.settings.endpoint(service)? {
            return Ok((named.trim_end_matches('/').to_owned(), self.region.clone()));
        }
        let server = self.settings.server(service, &self.region);
        Ok((format!("https://{}", server.name), server.region))
    }

    async fn query(
        &self,
        (service, version): Service,
        action: &str,
        params: &Params,
    ) -> Result<Element> {
        let (server, region) = self.server(service)?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(params)
            .finish();
        let answer = self
            .send(&Call {
                service,
                action,
                params,
                method: Method::POST,
                url: format!("{server}/"),
                region,
                headers: [(CONTENT_TYPE, FORM)].into_iter().collect(),
                body: Body::Bytes(Bytes::from(form)),
            })
            .await?;
        Element::parse(&answer.text()).map_err(|error| strange(error.message(), &server))
    }
}

/// What answers is no service of AWS.
fn strange(why: impl std::fmt::Display, server: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the answer is not understood: {why}"))
        .context("server", server)
        .hint("look whether the endpoint is the one of AWS, and nothing between answers for it")
}
