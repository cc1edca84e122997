//! The first contact with a new host, which gives it what is its own.

use std::time::Instant;

use apyfal_api::v2::FirstContact;
use apyfal_core::{Error, ErrorKind, Result};
use http::{HeaderValue, Method, header};

use super::body::SendBody;
use super::connection::Ask;
use super::failure::silent;
use super::{ANSWER, Remote};

impl Remote {
    /// Gives a new host what is its own, by what both know of the first contact alone. From then on
    /// it shows another certificate and asks for another token, so that this is not to be used any
    /// more.
    ///
    /// # Errors
    /// It does not answer, is another one or no longer new, or takes nothing of this kind.
    pub async fn first_contact(&self, contact: &FirstContact) -> Result<()> {
        let body = serde_json::to_vec(contact).map_err(|error| {
            Error::new(ErrorKind::Internal, error.to_string()).operation("write the request")
        })?;
        let mut patience = self.0.patience().eager();
        loop {
            let mut ask = Ask::new(Method::POST, FirstContact::PATH.to_owned());
            ask.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            ask.body = SendBody::whole(body.clone());
            let (begin, connections) = (Instant::now(), &self.0.connections);
            let asked = tokio::time::timeout(ANSWER, connections.whole(ask)).await;
            let silence = || silent(&connections.address, &connections.contact, begin);
            match asked.unwrap_or_else(|_| Err(silence())) {
                Ok(_) => return Ok(()),
                Err(failure) => patience.wait(failure).await?,
            }
        }
    }
}
