//! The system's ssh, to machines that were made.

use std::path::Path;
use std::process::Command;

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_providers::Login;

/// A machine that ssh is to reach.
#[derive(Clone, Copy, Debug)]
pub struct Ssh<'a> {
    /// Who logs in, and by which key.
    pub login: &'a Login,
    /// What its keys are known by, whatever its address is: an address is another machine's tomorrow.
    pub alias: &'a str,
    /// Where its host is: `https://host`.
    pub url: &'a str,
    /// The file of keys of machines.
    pub known_hosts: &'a Path,
}

impl Ssh<'_> {
    /// What runs ssh; further options go first, and the [`destination`](Self::destination) last.
    pub fn command(&self) -> Command {
        let mut ssh = Command::new("ssh");
        // Without a file it is for ssh to have the key: from its agent, or its own configuration.
        if let Some(private_key) = &self.login.private_key {
            ssh.arg("-i").arg(private_key).args(["-o", "IdentitiesOnly=yes"]);
        }
        ssh.arg("-o").arg(format!("HostKeyAlias={}", self.alias));
        ssh.arg("-o").arg(format!("UserKnownHostsFile={}", self.known_hosts.display()));
        ssh
    }

    /// Who logs in where, as ssh takes it: `ubuntu@192.0.2.1`.
    ///
    /// # Errors
    /// The host has no address.
    pub fn destination(&self) -> Result<String> {
        let rest = self.url.split_once("://").map_or(self.url, |(_, rest)| rest);
        let address = match rest.strip_prefix('[') {
            Some(rest) => rest.split(']').next(),
            None => rest.split([':', '/']).next(),
        };
        match address {
            Some(address) if !address.is_empty() => Ok(format!("{}@{address}", self.login.user)),
            _ => Err(Error::new(ErrorKind::Internal, format!("'{}' has no address", self.url))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_logged_in_to_where_it_is() {
        let key_pair = "k".to_owned();
        let login = Login { user: "ubuntu".into(), key_pair, private_key: None };
        let destination = |url| {
            let ssh = Ssh { login: &login, alias: "i-1", url, known_hosts: Path::new("/k") };
            ssh.destination().unwrap()
        };
        assert_eq!(destination("https://192.0.2.1"), "ubuntu@192.0.2.1");
        assert_eq!(destination("https://192.0.2.1:443/"), "ubuntu@192.0.2.1");
        assert_eq!(destination("https://[2001:db8::1]:443"), "ubuntu@2001:db8::1");
    }
}
