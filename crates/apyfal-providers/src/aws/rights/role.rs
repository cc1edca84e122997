//! The role of hosts.

use apyfal_core::Result;

use super::policy::Policy;
use super::{
    RightsWishes, document, existing, is_own, make, params, params_of_new, settling, written,
};
use crate::aws::api::Api;
use crate::aws::element::Element;

/// A role, and what it has.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) name: String,
    /// The policies that it has.
    policies: Vec<String>,
    /// Whether this installation made it.
    is_own: bool,
    pub(super) warning: Option<String>,
}

/// The role of a name, in whatever case it is written there; made where there is none.
pub(super) async fn find_or_make(api: &Api, wishes: &RightsWishes) -> Result<Role> {
    if let Some(found) = find(api, wishes, &wishes.role).await? {
        return Ok(found);
    }
    let name = written(api, "ListRoles", "Roles", "RoleName", &wishes.role).await?;
    if let Some(name) = name
        && let Some(found) = find(api, wishes, &name).await?
    {
        return Ok(found);
    }
    let trust = wishes.trust_document.to_string();
    let own = [
        ("RoleName", wishes.role.as_str()),
        ("Description", "What hosts of Apyfal may do"),
        ("AssumeRolePolicyDocument", &trust),
    ];
    let made = make(api, "CreateRole", &params_of_new(&own, &wishes.installation)).await?;
    if made.is_none()
        && let Some(found) = find(api, wishes, &wishes.role).await?
    {
        return Ok(found);
    }
    Ok(Role { name: wishes.role.clone(), policies: Vec::new(), is_own: true, warning: None })
}

async fn find(api: &Api, wishes: &RightsWishes, name: &str) -> Result<Option<Role>> {
    let params = params(&[("RoleName", name)]);
    let (role, policies) = tokio::try_join!(
        existing(api, "GetRole", &params),
        existing(api, "ListAttachedRolePolicies", &params),
    )?;
    let Some(role) = role.as_ref().and_then(|answer| answer.at("GetRoleResult/Role")) else {
        return Ok(None);
    };
    let policies = policies
        .into_iter()
        .flat_map(|answer| answer.into_items("ListAttachedRolePoliciesResult/AttachedPolicies"));
    let arn = |policy: Element| policy.text("PolicyArn").map(str::to_owned);
    Ok(Some(Role {
        name: role.text("RoleName").unwrap_or(name).to_owned(),
        policies: policies.filter_map(arn).collect(),
        is_own: is_own(role, &wishes.installation),
        warning: entrust(api, wishes, role).await?,
    }))
}

/// Lets machines of EC2 take up a role, if it is our own; else a warning where they may not.
async fn entrust(api: &Api, wishes: &RightsWishes, role: &Element) -> Result<Option<String>> {
    let name = role.text("RoleName").unwrap_or_default();
    let trust = role.text("AssumeRolePolicyDocument").and_then(document::read);
    if trust.as_ref() == Some(&wishes.trust_document) {
        return Ok(None);
    }
    if !is_own(role, &wishes.installation) {
        let is_fit = trust.is_some_and(|trust| trust.to_string().contains("\"ec2.amazonaws.com"));
        return Ok((!is_fit).then(|| {
            format!("hosts cannot take up the role '{name}', which somebody else made for others than ec2.amazonaws.com")
        }));
    }
    let trust = wishes.trust_document.to_string();
    let params = params(&[("RoleName", name), ("PolicyDocument", &trust)]);
    api.iam("UpdateAssumeRolePolicy", &params).await.map_err(settling)?;
    Ok(None)
}

/// Gives a role of ours a policy, unless it has it; what the user should know of the role.
pub(super) async fn attach(
    api: &Api,
    wishes: &RightsWishes,
    role: &Role,
    policy: Option<&Policy>,
) -> Result<Option<String>> {
    let Role { name, policies, is_own, .. } = role;
    let Some(policy) = policy.filter(|policy| !policies.contains(&policy.arn)) else {
        return Ok(None);
    };
    if !is_own {
        return Ok(Some(format!(
            "the role '{name}', which somebody else made, does not have the policy '{}' and stays as it \
             is: what hosts may do is what it says",
            wishes.policy
        )));
    }
    let params = params(&[("RoleName", name), ("PolicyArn", &policy.arn)]);
    api.iam("AttachRolePolicy", &params).await.map_err(settling)?;
    Ok(None)
}
