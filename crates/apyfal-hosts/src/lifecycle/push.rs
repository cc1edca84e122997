//! Files that a new machine waits for until they are sent to it by ssh: those of an owner who has no
//! place from which it could fetch them.
//!
//! The machine is known by the keys that it says on its console, which its provider tells the owner alone;
//! no other one is talked to. The files are known by their digests, on either side.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use apyfal_package::Digest;
use apyfal_providers::{Artifact, InstanceId, Prepared};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::Lifecycle;
use crate::ledger::HostRecord;
use crate::ssh::Ssh;

/// What a new machine begins a line of its console with that has a key of its server of ssh.
const HOST_KEY: &str = "apyfal: ssh host key ";
/// How a shell there ends where what came is another file. Source: sysexits.h, EX_DATAERR.
const OTHER_FILE: i32 = 65;

/// Checks that what a machine is going to wait for can be sent to it.
///
/// # Errors
/// A file is not what it is said to be, its key pair is not here, or there is no program `ssh`.
pub(super) async fn check(prepared: &Prepared) -> Result<()> {
    if prepared.pushed.is_empty() {
        return Ok(());
    }
    let refused = |why: String| {
        Error::new(ErrorKind::Configuration, why)
            .operation("send the agent to a new machine by ssh, as S3 may not be used")
            .hint("have those who give rights allow S3, or put the agent on the web: agent, agent_sha256")
    };
    let login = prepared.login.as_ref();
    if login.is_none_or(|login| login.private_key.is_none()) {
        let name = login.map_or("?", |login| login.key_pair.as_str());
        return Err(refused(format!("the private key of the key pair '{name}' is not here")));
    }
    // Nobody is there who could be asked for a passphrase, unless an agent of ssh knows the key.
    if let Some(key) = login.and_then(|login| login.private_key.as_ref())
        && !has_agent().await
    {
        let mut read = Command::new("ssh-keygen");
        let read = read.args(["-y", "-P", "", "-f"]).arg(key).stdin(Stdio::null()).output().await;
        if let Ok(read) = read
            && !read.status.success()
        {
            let said = String::from_utf8_lossy(&read.stderr);
            let why = said.lines().last().unwrap_or_default().to_owned();
            return Err(refused(why)
                .context("private key", key.display())
                .hint("or hand its key to an agent of ssh: ssh-add"));
        }
    }
    let asked = Command::new("ssh").arg("-V").stdin(Stdio::null()).output().await;
    if let Err(error) = asked {
        return Err(refused(format!("there is no program 'ssh': {error}"))
            .hint("install the client of OpenSSH"));
    }
    for Artifact { path, sha256 } in &prepared.pushed {
        let reading = || format!("read '{}'", path.display());
        let found = File::open(path).map_err(Error::from);
        let found = found.and_then(|file| Digest::of(file, &Cancel::default()));
        let found = found.map_err(|error| error.operation(reading()))?.to_string();
        if !found.eq_ignore_ascii_case(sha256) {
            let why = format!("'{}' has the SHA-256 {found}, and not {sha256}", path.display());
            return Err(Error::new(ErrorKind::Configuration, why).operation("send it to a machine"));
        }
    }
    Ok(())
}

/// Whether ssh has an agent that knows keys.
async fn has_agent() -> bool {
    let mut list = Command::new("ssh-add");
    let list = list.arg("-l").stdin(Stdio::null()).output().await;
    list.is_ok_and(|list| list.status.success())
}

impl Lifecycle {
    /// Sends a machine all that it waits for.
    pub(super) async fn push(&self, host: &HostRecord, url: &str) -> Result<()> {
        let (Some(login), Some(id), false) = (&host.login, &host.instance, host.pushed.is_empty())
        else {
            return Ok(());
        };
        let known_hosts = self.ledger.known_hosts();
        let ssh = Ssh { login, alias: &id.0, url, known_hosts: &known_hosts };
        let end = Instant::now() + self.limits.boot;
        let mut last = String::from("its console does not say which keys it has");
        while Instant::now() < end {
            if self.remember_keys(id, &ssh).await? {
                match self.push_all(host, &ssh).await? {
                    None => return Ok(()),
                    Some(said) => last = said,
                }
            }
            sleep(self.limits.pause).await;
        }
        Err(Error::new(ErrorKind::Timeout, last)
            .operation(format!("send the agent to the host {} by ssh", host.name))
            .hint("port 22 of the machine has to be open to this one"))
    }

    /// Writes down the keys that a machine says it has; whether it says any.
    async fn remember_keys(&self, id: &InstanceId, ssh: &Ssh<'_>) -> Result<bool> {
        // Who is told nothing now is told later.
        let said = match self.provider.console(id).await {
            Err(error) if !error.is_retryable() => return Err(error),
            said => said.ok().flatten().unwrap_or_default(),
        };
        let lines = said.lines().filter_map(|line| line.strip_prefix(HOST_KEY));
        let mut lines: Vec<_> = lines.map(|key| format!("{} {key}\n", ssh.alias)).collect();
        lines.sort_unstable();
        lines.dedup();
        let known = std::fs::read_to_string(ssh.known_hosts).unwrap_or_default();
        let new = lines.iter().filter(|line| !known.contains(line.as_str())).cloned();
        let new = new.collect::<String>();
        if !new.is_empty() {
            let mut file = File::options().create(true).append(true).open(ssh.known_hosts)?;
            file.write_all(new.as_bytes())?;
        }
        Ok(!lines.is_empty())
    }

    /// Sends all; what ssh said where that is to be tried again.
    async fn push_all(&self, host: &HostRecord, ssh: &Ssh<'_>) -> Result<Option<String>> {
        for Artifact { path, sha256 } in &host.pushed {
            let failed = |error: Error| {
                error.operation(format!("send '{}' to the host {}", path.display(), host.name))
            };
            let file = File::open(path).map_err(|error| failed(error.into()))?;
            let mut command = Command::from(ssh.command());
            command
                .args(["-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null"])
                .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"])
                // A connection that is dead ends by itself, and all is tried again.
                .args(["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"])
                .args(["--", &ssh.destination()?, &receive(sha256)])
                .stdin(file)
                .kill_on_drop(true);
            let done = command.output().await?;
            let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            match done.status.code() {
                Some(0) => {}
                Some(OTHER_FILE) => {
                    let error = Error::new(ErrorKind::Conflict, "what arrived is another file");
                    return Err(failed(error).hint("did it change meanwhile? start again"));
                }
                _ if said.contains("Host key verification failed") => {
                    let error = Error::new(ErrorKind::Security, "it is another machine");
                    return Err(failed(error)
                        .context("ssh", said.lines().last().unwrap_or_default())
                        .hint("its keys are not those that the machine says on its console"));
                }
                _ => return Ok(Some(said)),
            }
        }
        Ok(None)
    }
}

/// The command that takes a file there: it is in its place as a whole, or not at all.
fn receive(sha256: &str) -> String {
    format!(
        "sh -c 'cd /var/lib/apyfal-push && cat >{sha256}.$$ && \
         if echo \"{sha256}  {sha256}.$$\" | sha256sum -c --status; then mv {sha256}.$$ {sha256}; \
         else rm {sha256}.$$; exit {OTHER_FILE}; fi'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the command ends that takes a file, and what is there then.
    fn received(sha256: &str, sent: &str) -> (Option<i32>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().display().to_string();
        let script = receive(sha256).replace("/var/lib/apyfal-push", &there);
        let file = folder.path().join("sent");
        std::fs::write(&file, sent).unwrap();
        let input = File::open(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        let mut shell = std::process::Command::new("sh");
        let done = shell.args(["-c", &script]).stdin(input).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stderr), "");
        let names = std::fs::read_dir(folder.path()).unwrap().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        (done.status.code(), names.collect())
    }

    #[test]
    fn a_file_is_taken_that_has_its_digest_and_no_other() {
        let digest = Digest::of(&b"agent"[..], &Cancel::default()).unwrap().to_string();
        assert_eq!(received(&digest, "agent"), (Some(0), vec![digest.clone()]));
        assert_eq!(received(&digest, "agent of another"), (Some(OTHER_FILE), vec![]));
    }
}
