//! Signed calls of AWS.

use std::sync::Arc;

use apyfal_aws::{Credentials, Settings};
use apyfal_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use reqsign_aws_v4::RequestSigner;
use reqsign_core::{Context, SignRequest};
use serde_json::Value;

use super::element::Element;

/// What a call is given: names on the wire and values, such as `Filter.1.Name`.
pub(crate) type Params = Vec<(String, String)>;

/// Calls the services of one region. Transport faults and throttling are tried again here; all else is
/// answered at once.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    settings: Arc<Settings>,
    credentials: Arc<Credentials>,
    http: reqwest::Client,
    region: String,
}

impl Api {
    pub(crate) fn new(
        settings: Arc<Settings>,
        credentials: Arc<Credentials>,
        http: reqwest::Client,
        region: String,
    ) -> Self {
        Self { settings, credentials, http, region }
    }

    /// The region that is called.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// An action of EC2.
    ///
    /// # Errors
    /// It is refused, with the code of AWS in the error's details, or nobody answers.
    pub(crate) async fn ec2(&self, action: &str, params: &Params) -> Result<Element> {
        self.query("ec2", "2016-11-15", action, params).await
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
        let (mut all, mut params) = (Vec::new(), params.clone());
        loop {
            let page = self.ec2(action, &params).await?;
            let next = page.text("nextToken").map(str::to_owned);
            all.extend(page.into_items(set));
            let Some(next) = next else { return Ok(all) };
            params.retain(|(name, _)| name != "NextToken");
            params.push(("NextToken".to_owned(), next));
        }
    }

    /// An action of IAM.
    ///
    /// # Errors
    /// As of [`ec2`](Self::ec2).
    pub(crate) async fn iam(&self, action: &str, params: &Params) -> Result<Element> {
        self.query("iam", "2010-05-08", action, params).await
    }

    /// An action of STS.
    ///
    /// # Errors
    /// As of [`ec2`](Self::ec2).
    pub(crate) async fn sts(&self, action: &str, params: &Params) -> Result<Element> {
        self.query("sts", "2011-06-15", action, params).await
    }

    /// An action of SSM.
    ///
    /// # Errors
    /// As of [`ec2`](Self::ec2).
    pub(crate) async fn ssm(&self, action: &str, body: &Value) -> Result<Value> {
        let _ = (action, body);
        Err(Error::new(ErrorKind::Internal, "not there yet"))
    }

    async fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        params: &Params,
    ) -> Result<Element> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("Action", action).append_pair("Version", version).extend_pairs(params);
        let endpoint = self.settings.endpoint(service)?.map(str::to_owned);
        let endpoint =
            endpoint.unwrap_or_else(|| format!("https://{service}.{}.amazonaws.com", self.region));
        let internal = |error: String| Error::new(ErrorKind::Internal, error);
        let request = http::Request::post(format!("{}/", endpoint.trim_end_matches('/')))
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(())
            .map_err(|error| internal(error.to_string()))?;
        let (mut parts, ()) = request.into_parts();
        let credential = self.credentials.get().await?;
        RequestSigner::new(service, &self.region)
            .sign_request(&Context::new(), &mut parts, credential.as_ref(), None)
            .await
            .map_err(|error| internal(error.to_string()))?;
        let body = Bytes::from(body.finish());
        let request = reqwest::Request::try_from(http::Request::from_parts(parts, body))
            .map_err(|error| internal(error.to_string()))?;
        let unavailable = |error: reqwest::Error| {
            Error::new(ErrorKind::Unavailable, error.without_url().to_string())
        };
        let answer = self.http.execute(request).await.map_err(unavailable)?;
        let is_fine = answer.status().is_success();
        let text = answer.text().await.map_err(unavailable)?;
        let element = Element::parse(&text)?;
        match is_fine {
            true => Ok(element),
            false => Err(Error::new(ErrorKind::Unavailable, text)),
        }
    }
}
