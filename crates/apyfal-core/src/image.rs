//! The machine image of a host.

use serde::{Deserialize, Serialize};

/// How a provider is told which image a machine starts from.
///
/// An image's id names one build in one region, which ages; the other forms name what is current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Image {
    /// The provider's own id or name.
    Id(String),
    /// A public parameter of AWS Systems Manager that holds the id.
    Parameter {
        /// The parameter's name: `/aws/service/…`.
        ssm: String,
    },
    /// The newest image whose name matches.
    Name {
        /// The name, `*` standing for anything.
        name: String,
        /// The account that it must belong to: names alone can be imitated.
        owner: String,
    },
}

impl Image {
    /// The image as one text, for programs that know an id only: EC2 resolves the parameter itself.
    /// None for an image that must be looked for.
    ///
    /// Source: EC2 `RunInstances`, `ImageId`, "resolve:ssm:parameter-name".
    pub fn as_id(&self) -> Option<String> {
        match self {
            Self::Id(id) => Some(id.clone()),
            Self::Parameter { ssm } => Some(format!("resolve:ssm:{ssm}")),
            Self::Name { .. } => None,
        }
    }
}

/// By this text a provider finds it: `images.rs` of AWS reads it back.
impl std::fmt::Display for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Parameter { ssm } => write!(f, "resolve:ssm:{ssm}"),
            Self::Name { name, owner } => write!(f, "newest of {owner} named {name}"),
        }
    }
}
