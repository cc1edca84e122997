//! The host on this machine: where it says how to reach it, and where commands look.

use std::fs;
use std::io::ErrorKind as Io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use apyfal::{Configuration, Error, ErrorKind, RemoteOptions, Result};
use apyfal_machine::private;
use apyfal_tls::{Trust, token};
use rustix::process::Pid;
use serde_json::{Value, json};

/// The file in the host's directory that says how to reach it, while it serves.
const FILE: &str = "listening.json";

/// How to reach a host that serves; forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    path: PathBuf,
}

impl Listening {
    /// Says where the host of this directory listens, and by which URL it is reached from here.
    pub(crate) fn at(
        data_dir: &Path,
        url: &str,
        addresses: &[SocketAddr],
        fingerprint: Option<String>,
    ) -> Result<Self> {
        let path = data_dir.join(FILE);
        let text = json!({
            "url": url,
            "listen": addresses,
            "fingerprint": fingerprint,
            "pid": std::process::id(),
        });
        let text = format!("{text}\n");
        let written = private::replace(&path, text.as_bytes()).or_else(|error| {
            // What a host that was killed left is wrong, and takes room on a disk that may be full.
            fs::remove_file(&path).map_err(|_| error)?;
            private::replace(&path, text.as_bytes())
        });
        written.map_err(|error| {
            Error::from(error).operation(format!("say in '{}' where it listens", path.display()))
        })?;
        Ok(Self { path })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // One that stays says what was true until now.
        let _ = fs::remove_file(&self.path);
    }
}

/// Where a host has its directory.
///
/// # Errors
/// It is not named, and there is no home directory.
pub(crate) fn data_dir(
    named: Option<PathBuf>,
    configuration: &Configuration,
    home: Option<&Path>,
) -> Result<PathBuf> {
    let named = named.map_or_else(
        || Ok(configuration.section("serve").get("data_dir")?.map(PathBuf::from)),
        |named| Ok::<_, Error>(Some(named)),
    )?;
    named.or_else(|| Some(home?.join(".apyfal/host"))).ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "there is no home directory")
            .operation("find a place for what the host remembers")
            .hint("name one: --data-dir")
    })
}

/// The process that serves from a directory, or served from it when it was killed.
pub(crate) fn process(data_dir: &Path) -> Option<Pid> {
    Pid::from_raw(said(data_dir)?["pid"].as_i64()?.try_into().ok()?)
}

/// Where the host listens that serves from a directory; nowhere if there is none.
pub(crate) fn addresses(data_dir: &Path) -> Vec<SocketAddr> {
    let said = said(data_dir).unwrap_or_default();
    let listen = said["listen"].as_array().into_iter().flatten();
    listen.filter_map(|address| address.as_str()?.parse().ok()).collect()
}

fn said(data_dir: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(data_dir.join(FILE)).ok()?).ok()
}

/// How to use the host that serves from a directory, whose token may lie there too.
///
/// # Errors
/// None serves from there, or what it says cannot be read.
pub(crate) fn find(data_dir: &Path) -> Result<RemoteOptions> {
    let path = data_dir.join(FILE);
    let reading = || format!("read '{}'", path.display());
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == Io::NotFound => {
            return Err(Error::new(ErrorKind::NotFound, "no host serves on this machine")
                .operation(reading())
                .hint("name one: --host_ip HOST")
                .hint("or make this machine one: apyfal serve"));
        }
        Err(error) => return Err(Error::from(error).operation(reading())),
    };
    let said: Value = serde_json::from_slice(&text).map_err(|error| {
        Error::new(ErrorKind::Conflict, format!("it is damaged: {error}"))
            .operation(reading())
            .hint("start the host again")
    })?;
    let mut options = RemoteOptions::new(said["url"].as_str().unwrap_or_default());
    if let Some(fingerprint) = said["fingerprint"].as_str() {
        options.trust = Some(Trust::Pinned(fingerprint.parse()?));
    }
    let token = data_dir.join("token");
    if token.exists() {
        options.token = Some(token::load(&token)?);
    }
    Ok(options)
}
