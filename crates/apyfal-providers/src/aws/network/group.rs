//! The security group of a name.

use apyfal_core::{Error, ErrorKind, Result};

use super::list;
use crate::aws::api::Api;
use crate::aws::element::Element;
use crate::aws::{failure, tags};

/// A security group, and what it lets in.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) permissions: Vec<Element>,
}

/// The group of a name in a network, in whatever case it is written there. It is made where there is
/// none; where another process makes it at the same time, it is that one.
///
/// # Errors
/// AWS refuses.
pub(super) async fn find_or_make(
    api: &Api,
    vpc: &str,
    name: &str,
    installation: &str,
) -> Result<Group> {
    if let Some(group) = find(api, vpc, name).await? {
        return Ok(group);
    }
    let mut params = tags::of_new("security-group", installation);
    let own = [
        ("GroupName", name),
        ("GroupDescription", "Hosts of Apyfal: reached by those who use them"),
        ("VpcId", vpc),
    ];
    params.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    match api.ec2("CreateSecurityGroup", &params).await {
        Ok(made) => match made.text("groupId") {
            Some(id) => Ok(Group { id: id.to_owned(), permissions: Vec::new() }),
            None => Err(Error::new(ErrorKind::Unavailable, "AWS tells no id of a new group")),
        },
        Err(error) if failure::code(&error) == Some("InvalidGroup.Duplicate") => {
            let found = find(api, vpc, name).await?;
            found.ok_or_else(|| {
                Error::new(
                    ErrorKind::Unavailable,
                    format!(
                        "the security group '{name}' was made a moment ago, and is not found yet"
                    ),
                )
                .retryable()
            })
        }
        Err(error) => Err(error.operation(format!("make the security group '{name}'"))),
    }
}

async fn find(api: &Api, vpc: &str, name: &str) -> Result<Option<Group>> {
    let mut groups =
        list(api, "DescribeSecurityGroups", "securityGroupInfo", "vpc-id", &[vpc]).await?;
    let is_named = |is_meant: &dyn Fn(&str) -> bool| {
        groups.iter().position(|group| group.text("groupName").is_some_and(is_meant))
    };
    let found =
        is_named(&|its| its == name).or_else(|| is_named(&|its| its.eq_ignore_ascii_case(name)));
    let Some(group) = found.map(|index| groups.swap_remove(index)) else { return Ok(None) };
    let id = group.text("groupId").unwrap_or_default().to_owned();
    Ok(Some(Group { id, permissions: group.into_items("ipPermissions") }))
}
