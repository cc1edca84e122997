//! Requests for spare capacity that outlive their machines.
//!
//! Machines that Apyfal made say by a tag whether theirs does. So only who asks for persistent ones needs
//! the rights to look at requests and to cancel them.

use apyfal_core::Result;

use super::api::{Api, Params};
use super::element::Element;
use super::{failure, host_tags};

/// Cancels the open request by which a machine was made: else AWS makes another one in its place, with
/// the same user data. One that is not open any more is fine, and a machine that was made otherwise.
///
/// # Errors
/// AWS refuses, and may make another machine.
pub(crate) async fn cancel(api: &Api, instance: &Element) -> Result<()> {
    match open(api, instance).await? {
        Some(request) => {
            api.ec2("CancelSpotInstanceRequests", &request).await.map(drop).or_else(gone)
        }
        None => Ok(()),
    }
}

/// Whether AWS would make another machine in place of one.
///
/// # Errors
/// AWS does not tell.
pub(crate) async fn would_replace(api: &Api, instance: &Element) -> Result<bool> {
    Ok(open(api, instance).await?.is_some())
}

/// The open request by which a machine was made, where that makes more than one.
async fn open(api: &Api, instance: &Element) -> Result<Option<Params>> {
    let Some(id) = instance.text("spotInstanceRequestId") else { return Ok(None) };
    // Of a machine that somebody else made only AWS knows.
    let is_ours = instance.tag(host_tags::INSTALLATION).is_some();
    if is_ours && instance.tag(host_tags::SPOT).is_none() {
        return Ok(None);
    }
    let request: Params = vec![("SpotInstanceRequestId.1".to_owned(), id.to_owned())];
    let found = api
        .ec2_all("DescribeSpotInstanceRequests", &request, "spotInstanceRequestSet")
        .await
        .or_else(gone)?;
    let is_open = |request: &Element| {
        request.text("type") == Some("persistent")
            && matches!(request.text("state"), Some("open" | "active" | "disabled"))
    };
    Ok(found.iter().any(is_open).then_some(request))
}

/// One that is not there makes nothing.
fn gone<T: Default>(error: apyfal_core::Error) -> Result<T> {
    match failure::code(&error) {
        Some("InvalidSpotInstanceRequestID.NotFound") => Ok(T::default()),
        _ => Err(error),
    }
}
