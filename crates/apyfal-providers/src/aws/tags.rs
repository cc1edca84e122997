//! The tag of what hosts share: key pairs, security groups, rights.

use super::api::Params;
pub(crate) use super::host_tags::INSTALLATION;

/// What gives a resource of EC2 its tag at the moment when it is made.
pub(crate) fn of_new(resource_type: &str, installation: &str) -> Params {
    [("ResourceType", resource_type), ("Tag.1.Key", INSTALLATION), ("Tag.1.Value", installation)]
        .map(|(name, value)| (format!("TagSpecification.1.{name}"), value.to_owned()))
        .into()
}
