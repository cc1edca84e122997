//! `apyfal ssh`: log in to the machine of a host that was made.

use std::os::unix::process::CommandExt;

use apyfal::hosts::{HostState, MadeHosts, Ssh};
use apyfal::{Error, ErrorKind, Result};
use clap::Args;

use crate::commands::Context;
use crate::commands::stop::{again, is_meant};

/// Log in to the machine of a host that was made, by ssh and the key pair that it was made with.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The name of its accelerator, or the host's own name or instance id as 'apyfal list' shows them.
    #[arg(default_value = "default")]
    name: String,
    /// What to run there, instead of a shell; further options are those of ssh.
    #[arg(last = true)]
    command: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let Arguments { name, command } = arguments;
    let made = context.made_hosts(None).await?;
    let hosts = made.as_ref().map(MadeHosts::remembered).transpose()?.unwrap_or_default();
    let failed = |why: &str| {
        Error::new(ErrorKind::NotFound, why).operation(format!("log in to the host of '{name}'"))
    };
    let found = hosts.iter().find(|host| is_meant(host, &name)).ok_or_else(|| {
        failed("no host was made for it").hint("'apyfal list' shows those that were made")
    })?;
    // Its address is that of before, and may be another's machine by now.
    if found.state == HostState::Stopped {
        return Err(failed("it is stopped").hint(format!("start it again: {}", again(found))));
    }
    let login = found
        .login
        .as_ref()
        .ok_or_else(|| failed(&format!("nobody can log in to hosts of type {}", found.provider)))?;
    let url = found
        .url
        .as_deref()
        .ok_or_else(|| failed("it is not ready").hint("'apyfal list' shows how far it is"))?;
    let known_hosts = made.as_ref().map(MadeHosts::known_hosts).unwrap_or_default();
    let alias = found.instance.as_ref().map_or(found.name.as_str(), |id| id.0.as_str());
    let ssh = Ssh { login, alias, url, known_hosts: &known_hosts };
    let error = ssh
        .command()
        .args(["-o", "StrictHostKeyChecking=accept-new"])
        .arg(ssh.destination()?)
        .args(command)
        .exec();
    Err(Error::from(error).operation("run ssh").hint("install the client of OpenSSH"))
}
