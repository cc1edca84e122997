//! How the servers that give credentials are asked.

use apyfal_core::root_cause;
use bytes::Bytes;
use reqsign_core::{Error, HttpSend, Result};
use reqwest::{Client, Request};

/// Asks by this client.
#[derive(Clone, Debug)]
pub struct Http(pub Client);

impl HttpSend for Http {
    async fn http_send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>> {
        let failed = |error: reqwest::Error| Error::unexpected(root_cause(&error.without_url()));
        let request = Request::try_from(request).map_err(failed)?;
        let answer = self.0.execute(request).await.map_err(failed)?;
        let mut response = http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        Ok(response.body(answer.bytes().await.map_err(failed)?)?)
    }
}
