//! Whose a job is.

use std::fmt;
use std::sync::Arc;

/// Whose something is, as far as that is known: owners share slots and room fairly, however many
/// sessions and connections each has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Nobody in particular: all who need not say who they are.
    #[default]
    Anyone,
    /// Who has the host's own token.
    Host,
    /// Who has the token of this name.
    Token(Arc<str>),
    /// A user of this machine, by number.
    User(u32),
}

/// What the owner of the host's own token is called.
const HOST: &str = "host";
/// What the names of users begin with. Names of tokens have no colon.
const USER: &str = "user:";

impl Owner {
    /// What it is called, where that is known: the name of a token, `host`, or `user:1000`.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Anyone => None,
            named => Some(named.to_string()),
        }
    }

    /// The owner of this name.
    pub fn named(name: Option<&str>) -> Self {
        match name {
            None => Self::Anyone,
            Some(HOST) => Self::Host,
            Some(name) => match name.strip_prefix(USER).and_then(|number| number.parse().ok()) {
                Some(user) => Self::User(user),
                None => Self::Token(name.into()),
            },
        }
    }

    /// Whether a token may have this name: 1 to 64 letters, digits, `-`, `_` and `.`, and not
    /// `host`.
    pub fn is_name_of_token(name: &str) -> bool {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (1..=64).contains(&name.len()) && name.bytes().all(is_good) && name != HOST
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Host => f.write_str(HOST),
            Self::Token(name) => f.write_str(name),
            Self::User(number) => write!(f, "{USER}{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_owner() {
        for owner in [Owner::Anyone, Owner::Host, Owner::Token("a.b".into()), Owner::User(1000)] {
            assert_eq!(Owner::named(owner.name().as_deref()), owner);
        }
        for good in ["a", "ci-runner", "anna.b_2", &"x".repeat(64)] {
            assert!(Owner::is_name_of_token(good), "{good}");
        }
        for bad in ["", "host", "user:0", "a b", "é", "a/b", "a\n", &"x".repeat(65)] {
            assert!(!Owner::is_name_of_token(bad), "{bad}");
        }
    }
}
