//! The server that gives the credentials of roles, where another than that of AWS is named.

use std::time::Duration;

use http::Uri;
use http::request::Parts;
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, Error, HttpSend, Result, SignRequest};

/// Signs requests for another server than they are made for.
#[derive(Debug)]
pub(crate) struct SignFor {
    pub(crate) server: Option<Uri>,
    pub(crate) signer: RequestSigner,
}

impl SignRequest for SignFor {
    type Credential = Credential;

    fn required_valid_until(&self, credential: &Credential, time: Option<Duration>) -> Timestamp {
        self.signer.required_valid_until(credential, time)
    }

    async fn sign_request(
        &self,
        context: &Context,
        request: &mut Parts,
        credential: Option<&Credential>,
        time: Option<Duration>,
    ) -> Result<()> {
        let meant = request.uri.clone();
        if let Some(server) = &self.server {
            request.uri = at(server, &meant)?;
        }
        let signed = self.signer.sign_request(context, request, credential, time).await;
        if signed.is_err() {
            request.uri = meant;
        }
        signed
    }
}

/// Sends requests to another server than they are made for.
#[derive(Debug)]
pub(crate) struct SendTo {
    pub(crate) server: Uri,
    pub(crate) context: Context,
}

impl HttpSend for SendTo {
    async fn http_send(
        &self,
        mut request: http::Request<bytes::Bytes>,
    ) -> Result<http::Response<bytes::Bytes>> {
        *request.uri_mut() = at(&self.server, request.uri())?;
        self.context.http_send(request).await
    }
}

/// The same request of another server.
fn at(server: &Uri, request: &Uri) -> Result<Uri> {
    let mut parts = server.clone().into_parts();
    parts.path_and_query = request.path_and_query().cloned();
    Uri::from_parts(parts)
        .map_err(|error| Error::config_invalid("the URL is wrong").with_source(error))
}
