//! The instance profile, by which a machine of EC2 has a role.

use apyfal_core::{Error, ErrorKind, Result};

use super::role::Role;
use super::{RightsWishes, existing, make, params, params_of_new, settling, written};
use crate::aws::api::Api;
use crate::aws::element::Element;
use crate::aws::failure;

/// An instance profile. It has one role at most.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) name: String,
    role: Option<String>,
}

/// The instance profile of a name, in whatever case it is written there; made where there is none. Where
/// it has another role, it is the one that is called after both.
///
/// # Errors
/// That one has another role as well, or AWS refuses.
pub(super) async fn find_or_make(api: &Api, wishes: &RightsWishes) -> Result<Profile> {
    let of_both = format!("{}-{}", wishes.profile, wishes.role);
    for name in [&wishes.profile, &of_both] {
        let profile = match find(api, name).await? {
            Some(found) => found,
            None => {
                let own = [("InstanceProfileName", name.as_str())];
                make(api, "CreateInstanceProfile", &params_of_new(&own, &wishes.installation))
                    .await?;
                Profile { name: name.clone(), role: None }
            }
        };
        if profile.role.as_ref().is_none_or(|role| role.eq_ignore_ascii_case(&wishes.role)) {
            return Ok(profile);
        }
    }
    let why = format!("the instance profile '{of_both}' has another role than '{}'", wishes.role);
    Err(Error::new(ErrorKind::Conflict, why)
        .hint(format!("aws iam get-instance-profile --instance-profile-name {of_both} shows it")))
}

async fn find(api: &Api, name: &str) -> Result<Option<Profile>> {
    if let Some(found) = get(api, name).await? {
        return Ok(Some(found));
    }
    let listed =
        written(api, "ListInstanceProfiles", "InstanceProfiles", "InstanceProfileName", name);
    match listed.await? {
        Some(name) => get(api, &name).await,
        None => Ok(None),
    }
}

async fn get(api: &Api, name: &str) -> Result<Option<Profile>> {
    let params = params(&[("InstanceProfileName", name)]);
    let found = existing(api, "GetInstanceProfile", &params).await?;
    let profile = |profile: &Element| Profile {
        name: profile.text("InstanceProfileName").unwrap_or(name).to_owned(),
        role: profile.items("Roles").find_map(|role| role.text("RoleName")).map(str::to_owned),
    };
    let found = found.as_ref();
    Ok(found.and_then(|found| found.at("GetInstanceProfileResult/InstanceProfile")).map(profile))
}

/// Gives an instance profile its role, unless it has it.
pub(super) async fn add(api: &Api, profile: &Profile, role: &Role) -> Result<()> {
    if profile.role.is_some() {
        return Ok(());
    }
    let params = params(&[("InstanceProfileName", &profile.name), ("RoleName", &role.name)]);
    match api.iam("AddRoleToInstanceProfile", &params).await {
        // Another process gave it one at the same time.
        Err(error) if failure::code(&error) == Some("LimitExceeded") => {
            let found = get(api, &profile.name).await?.and_then(|profile| profile.role);
            match found {
                Some(found) if found.eq_ignore_ascii_case(&role.name) => Ok(()),
                _ => Err(error),
            }
        }
        added => added.map(drop).map_err(settling),
    }
}
