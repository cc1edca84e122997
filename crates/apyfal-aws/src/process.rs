//! Programs that print credentials, as
//! [the tools of AWS run them](https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html).

use std::process::Stdio;

use apyfal_core::{Error, ErrorKind, Result};
use reqsign_aws_v4::Credential;
use serde::Deserialize;
use tokio::process::Command;

/// The longest text of a program that is worth showing.
const SHOWN: usize = 300;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    version: i64,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

/// Runs a program, without a shell, and reads what it prints.
pub(crate) async fn run(command: &str) -> Result<Credential> {
    // The command may hold secrets, its first word hardly.
    let words = shlex::split(command).unwrap_or_default();
    let program = words.first().map_or("credential_process", String::as_str);
    let failed = |why: String| {
        Error::new(ErrorKind::Authentication, why)
            .operation(format!("get the credentials of AWS from '{program}'"))
    };
    let Some((program, arguments)) = words.split_first() else {
        return Err(failed("credential_process is no command".to_owned()));
    };
    let ended = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(Error::from(error).message().to_owned()))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        let said = said.trim().lines().next_back().unwrap_or_default();
        let said: String = said.chars().take(SHOWN).collect();
        return Err(failed(match said.is_empty() {
            true => format!("it failed with {}", ended.status),
            false => format!("it failed with {}: {said}", ended.status),
        }));
    }
    // What serde says of wrong text may quote it.
    let printed: Printed = serde_json::from_slice(&ended.stdout)
        .map_err(|_| failed("it printed something else than credentials".to_owned()))?;
    if printed.version != 1 {
        return Err(failed(format!("it printed version {}, and 1 is known", printed.version)));
    }
    let expires_in = match printed.expiration {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            failed("it printed an Expiration that is no time of ISO 8601".to_owned())
        })?),
    };
    Ok(Credential {
        access_key_id: printed.access_key_id,
        secret_access_key: printed.secret_access_key,
        session_token: printed.session_token,
        expires_in,
    })
}
