//! Requests for spare capacity that outlive their machines.
//!
//! Machines that Apyfal made say by a tag whether theirs does. So only who asks for persistent ones needs
//! the rights to look at requests and to cancel them.

use apyfal_core::Result;

use super::api::{Api, Params};
use super::element::Element;
use super::{failure, host_tags};
use crate::spec::Token;

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

/// Cancels all that were asked for with a token and are open, whatever became of their machines.
///
/// # Errors
/// AWS refuses, and may make further machines.
pub(crate) async fn cancel_all(api: &Api, token: &Token) -> Result<()> {
    let asked = [
        ("Filter.1.Name", format!("tag:{}", host_tags::TOKEN)),
        ("Filter.1.Value.1", token.0.clone()),
    ];
    let asked = asked.map(|(name, value)| (name.to_owned(), value)).into();
    let found =
        api.ec2_all("DescribeSpotInstanceRequests", &asked, "spotInstanceRequestSet").await?;
    let open = found.iter().filter(|request| is_open(request));
    let ids = open.filter_map(|request| request.text("spotInstanceRequestId"));
    let ids: Params = ids
        .zip(1..)
        .map(|(id, at)| (format!("SpotInstanceRequestId.{at}"), id.to_owned()))
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    api.ec2("CancelSpotInstanceRequests", &ids).await.map(drop).or_else(gone)
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
    Ok(found.iter().any(is_open).then_some(request))
}

/// Whether a request makes further machines.
fn is_open(request: &Element) -> bool {
    request.text("type") == Some("persistent")
        && matches!(request.text("state"), Some("open" | "active" | "disabled"))
}

/// One that is not there makes nothing.
fn gone<T: Default>(error: apyfal_core::Error) -> Result<T> {
    match failure::code(&error) {
        Some("InvalidSpotInstanceRequestID.NotFound") => Ok(T::default()),
        _ => Err(error),
    }
}
