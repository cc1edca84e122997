//! Users of this machine.

use std::sync::OnceLock;

use apyfal_core::{Error, ErrorKind, Owner, Result};
use apyfal_net::Owner as Program;

use super::Access;

/// Which users of this machine are served on loopback without a token, beside the host's own and
/// root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalUsers {
    /// All, and whoever else comes to loopback.
    All,
    /// Those with these numbers.
    Only(Vec<u32>),
}

impl Default for LocalUsers {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

/// The host's own, which stays the same. Each job asks for it.
pub(super) fn own_user() -> u32 {
    static OWN: OnceLock<u32> = OnceLock::new();
    *OWN.get_or_init(|| rustix::process::geteuid().as_raw())
}

impl Access {
    /// Whether it matters whose program a client is.
    pub(crate) fn asks_for_owner(&self) -> bool {
        self.users != LocalUsers::All
    }

    /// Refuses the programs of other users, who would do as the host's own what it can.
    pub(super) fn check_user(&self, program: Program) -> Result<Owner> {
        let LocalUsers::Only(users) = &self.users else { return Ok(Owner::Anyone) };
        let (why, whom) = match program {
            Program::User(user) => {
                let own = own_user();
                if user == 0 || user == own || users.contains(&user) {
                    return Ok(Owner::User(user));
                }
                (format!("it is not for the user {user} of this machine"), user.to_string())
            }
            Program::Nobody => ("nobody is at the other end any more".to_owned(), "all".to_owned()),
            Program::Unknown | Program::NotAsked => {
                ("the system does not tell whose program asks".to_owned(), "all".to_owned())
            }
        };
        Err(Error::new(ErrorKind::Authentication, why)
            .operation("use this host without a token")
            .hint(
                "show its token; 'apyfal serve --token_file FILE' gives it one, which then decides",
            )
            .hint(format!(
                "or set local_users = {whom} in section [serve] of the host's configuration"
            )))
    }
}
