//! What a host may do in the account: a policy, the role that has it, and the instance profile by which
//! EC2 gives the role to a host.
//!
//! Names of IAM are those of the whole account. What somebody else made is used and not changed.

pub(crate) mod document;
mod policy;
mod profile;
mod role;
#[cfg(test)]
mod tests;

use apyfal_core::{Error, ErrorKind, Result};
use serde_json::Value;

use super::api::{Api, Params};
use super::element::Element;
use super::{failure, tags};

/// What the rights of a host are to be.
#[derive(Clone, Debug)]
pub(crate) struct RightsWishes {
    /// The name of the role.
    pub(crate) role: String,
    /// The name of the policy.
    pub(crate) policy: String,
    /// The name of the instance profile.
    pub(crate) profile: String,
    /// What the policy says: [`document::of_host`]. There is none where it would say nothing.
    pub(crate) policy_document: Option<Value>,
    /// Who may take up the role: [`document::of_trust`].
    pub(crate) trust_document: Value,
    /// Who asks: an installation of Apyfal, by its id.
    pub(crate) installation: String,
}

/// What gives a host its rights.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rights {
    /// The name of the instance profile.
    pub(crate) profile: String,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

/// Looks up what gives a host its rights, and makes what is missing.
///
/// # Errors
/// AWS refuses, or an instance profile of the name is in use for another role.
pub(crate) async fn rights(api: &Api, wishes: &RightsWishes) -> Result<Rights> {
    let rights = async {
        let (role, policy, profile) = tokio::try_join!(
            role::find_or_make(api, wishes),
            policy::find_or_make(api, wishes),
            profile::find_or_make(api, wishes),
        )?;
        let (lacking, ()) = tokio::try_join!(
            role::attach(api, wishes, &role, policy.as_ref()),
            profile::add(api, &profile, &role),
        )?;
        let of_policy = policy.and_then(|policy| policy.warning);
        let warnings = role.warning.into_iter().chain(lacking).chain(of_policy);
        Ok(Rights { profile: profile.name, warnings: warnings.collect() })
    };
    rights.await.map_err(|error: Error| error.as_reason().operation("set up the rights of a host"))
}

/// What IAM answers about something, where that is there.
async fn existing(api: &Api, action: &str, params: &Params) -> Result<Option<Element>> {
    match api.iam(action, params).await {
        Err(error) if failure::code(&error) == Some("NoSuchEntity") => Ok(None),
        answer => answer.map(Some),
    }
}

/// Asks IAM to make something; none where it is there already, as another process made it.
async fn make(api: &Api, action: &str, params: &Params) -> Result<Option<Element>> {
    match api.iam(action, params).await {
        Err(error) if failure::code(&error) == Some("EntityAlreadyExists") => Ok(None),
        answer => answer.map(Some),
    }
}

/// A name as it is written in a list, whatever its case.
async fn written(
    api: &Api,
    action: &str,
    set: &str,
    key: &str,
    name: &str,
) -> Result<Option<String>> {
    let listed = api.iam_all(action, &params(&[("MaxItems", "1000")]), set).await?;
    let mut names = listed.iter().filter_map(|element| element.text(key));
    Ok(names.find(|its| its.eq_ignore_ascii_case(name)).map(str::to_owned))
}

/// An error that passes: what was made a moment ago is not known everywhere yet.
fn settling(error: Error) -> Error {
    match failure::code(&error) {
        Some("NoSuchEntity") => error.with_kind(ErrorKind::Unavailable).retryable(),
        _ => error,
    }
}

fn params(params: &[(&str, &str)]) -> Params {
    params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The parameters of what is made, with its tag.
fn params_of_new(own: &[(&str, &str)], installation: &str) -> Params {
    let mut params = params(own);
    params.push(("Tags.member.1.Key".to_owned(), tags::INSTALLATION.to_owned()));
    params.push(("Tags.member.1.Value".to_owned(), installation.to_owned()));
    params
}

/// Whether this installation made something.
fn is_own(element: &Element, installation: &str) -> bool {
    let mut tags = element.items("Tags");
    tags.any(|tag| {
        tag.text("Key") == Some(tags::INSTALLATION) && tag.text("Value") == Some(installation)
    })
}
