//! The users of this machine that a host serves without a token.

use std::process::{Command, Stdio};

use apyfal::{Configuration, Result};
use apyfal_server::LocalUsers;

/// As `local_users` of section `[serve]` says.
pub(super) fn local_users(configuration: &Configuration) -> Result<LocalUsers> {
    let section = configuration.section("serve");
    let lines = section.get_list("local_users")?;
    let names = lines.iter().flat_map(|line| line.split([',', ' ']));
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    if names.contains(&"all") {
        return Ok(LocalUsers::All);
    }
    let users = names.into_iter().map(|name| {
        number(name).ok_or_else(|| {
            section
                .error("local_users", format!("there is no user '{name}' on this machine"))
                .hint("give names of users or their numbers, or 'all'")
        })
    });
    Ok(LocalUsers::Only(users.collect::<Result<_>>()?))
}

/// The number of a user. Names may come from anywhere that the system looks, which `id` knows.
fn number(name: &str) -> Option<u32> {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return name.parse().ok();
    }
    let mut id = Command::new("id");
    let told = id.args(["-u", "--", name]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let told = told.ok().filter(|told| told.status.success())?;
    std::str::from_utf8(&told.stdout).ok()?.trim().parse().ok()
}
