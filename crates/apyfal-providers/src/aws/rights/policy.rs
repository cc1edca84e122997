//! The policy of hosts.

use apyfal_core::{Error, ErrorKind, Result};
use serde_json::Value;

use super::{RightsWishes, document, is_own, make, params, params_of_new, settling};
use crate::aws::api::Api;
use crate::aws::element::Element;
use crate::aws::failure;

/// A policy.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) arn: String,
    pub(super) warning: Option<String>,
}

/// The policy of a name, in whatever case it is written there, saying what it is to say; made where
/// there is none. None where it would say nothing.
pub(super) async fn find_or_make(api: &Api, wishes: &RightsWishes) -> Result<Option<Policy>> {
    let Some(document) = &wishes.policy_document else { return Ok(None) };
    let unseen = || {
        let why =
            format!("the policy '{}' was made a moment ago, and is not found yet", wishes.policy);
        Error::new(ErrorKind::Unavailable, why).retryable()
    };
    let found = match find(api, &wishes.policy).await? {
        Some(found) => found,
        None => {
            let text = document.to_string();
            let own = [
                ("PolicyName", wishes.policy.as_str()),
                ("Description", "What hosts of Apyfal may do"),
                ("PolicyDocument", &text),
            ];
            match make(api, "CreatePolicy", &params_of_new(&own, &wishes.installation)).await? {
                Some(made) => {
                    let arn = made.at("CreatePolicyResult/Policy").and_then(arn);
                    return Ok(Some(Policy { arn: arn.ok_or_else(unseen)?, warning: None }));
                }
                // Another process made it at the same time, and may need something else.
                None => find(api, &wishes.policy).await?.ok_or_else(unseen)?,
            }
        }
    };
    bring_up_to_date(api, wishes, &found, document).await.map(Some)
}

fn arn(policy: &Element) -> Option<String> {
    policy.text("Arn").map(str::to_owned)
}

async fn find(api: &Api, name: &str) -> Result<Option<Element>> {
    let own = params(&[("Scope", "Local"), ("MaxItems", "1000")]);
    let policies = api.iam_all("ListPolicies", &own, "Policies").await?;
    let is_meant = |policy: &Element| {
        policy.text("PolicyName").is_some_and(|its| its.eq_ignore_ascii_case(name))
    };
    Ok(policies.into_iter().find(is_meant))
}

/// Has a policy say what it is to say beside what it says, if it is our own; else there is a warning.
async fn bring_up_to_date(
    api: &Api,
    wishes: &RightsWishes,
    policy: &Element,
    document: &Value,
) -> Result<Policy> {
    let unclear = |what| {
        Error::new(
            ErrorKind::Unavailable,
            format!("AWS tells no {what} of the policy '{}'", wishes.policy),
        )
    };
    let arn = arn(policy).ok_or_else(|| unclear("ARN"))?;
    let mut version = policy.text("DefaultVersionId").and_then(number);
    let (mut needed, mut is_known_as_own) = (document.clone(), false);
    loop {
        let base = version.ok_or_else(|| unclear("version"))?;
        let said = said(api, &arn, base).await.map_err(settling)?;
        // Other hosts may need what it says already.
        let joined = document::joined(said.as_ref(), &needed);
        if said.as_ref() == Some(&joined) {
            return Ok(Policy { arn, warning: None });
        }
        if !is_known_as_own && !is_ours(api, &arn, wishes).await? {
            let warning = format!(
                "the policy '{}' stays as it is, as it is not of this installation, and does not say what hosts need: \
                 if they lack rights, name another one: policy = MyPolicy",
                wishes.policy
            );
            return Ok(Policy { arn, warning: Some(warning) });
        }
        is_known_as_own = true;
        let made = add_version(api, &arn, &joined.to_string()).await?;
        let made = made.ok_or_else(|| unclear("version"))?;
        if made <= base + 1 {
            return Ok(Policy { arn, warning: None });
        }
        // Others made theirs of the same one at the same time, and what they need counts no more.
        for between in base + 1..made {
            if let Some(theirs) = said_by_another(api, &arn, between).await? {
                needed = document::joined(Some(&needed), &theirs);
            }
        }
        version = Some(made);
    }
}

async fn is_ours(api: &Api, arn: &str, wishes: &RightsWishes) -> Result<bool> {
    let whole = api.iam("GetPolicy", &params(&[("PolicyArn", arn)])).await.map_err(settling)?;
    let whole = whole.at("GetPolicyResult/Policy");
    Ok(whole.is_some_and(|policy| is_own(policy, &wishes.installation)))
}

/// What a version of a policy says.
async fn said(api: &Api, arn: &str, version: u64) -> Result<Option<Value>> {
    let id = format!("v{version}");
    let said =
        api.iam("GetPolicyVersion", &params(&[("PolicyArn", arn), ("VersionId", &id)])).await?;
    let said = said.text("GetPolicyVersionResult/PolicyVersion/Document");
    Ok(said.and_then(document::read))
}

/// The same of one that may have made way for others already, which say what it said.
async fn said_by_another(api: &Api, arn: &str, version: u64) -> Result<Option<Value>> {
    match said(api, arn, version).await {
        Err(error) if failure::code(&error) == Some("NoSuchEntity") => Ok(None),
        said => said,
    }
}

/// The number of a version: `v3`. Each new one has the next.
fn number(id: &str) -> Option<u64> {
    id.trim_start_matches('v').parse().ok()
}

/// Makes a new version of a policy the one that counts, in place of the oldest one where there are as
/// many as may be; its number.
async fn add_version(api: &Api, arn: &str, document: &str) -> Result<Option<u64>> {
    let new = params(&[("PolicyArn", arn), ("PolicyDocument", document), ("SetAsDefault", "true")]);
    let made = match api.iam("CreatePolicyVersion", &new).await {
        Err(error) if failure::code(&error) == Some("LimitExceeded") => {
            let versions = api
                .iam_all("ListPolicyVersions", &params(&[("PolicyArn", arn)]), "Versions")
                .await?;
            let Some(oldest) = oldest(&versions) else { return Err(error) };
            let old = params(&[("PolicyArn", arn), ("VersionId", oldest)]);
            match api.iam("DeletePolicyVersion", &old).await {
                // Another process deleted it.
                Err(error) if failure::code(&error) != Some("NoSuchEntity") => return Err(error),
                _ => {}
            }
            api.iam("CreatePolicyVersion", &new).await?
        }
        made => made?,
    };
    Ok(made.text("CreatePolicyVersionResult/PolicyVersion/VersionId").and_then(number))
}

/// The oldest version that does not count.
fn oldest(versions: &[Element]) -> Option<&str> {
    let others = versions.iter().filter(|version| version.text("IsDefaultVersion") != Some("true"));
    let ids = others.filter_map(|version| version.text("VersionId"));
    ids.min_by_key(|id| number(id).unwrap_or(u64::MAX))
}
